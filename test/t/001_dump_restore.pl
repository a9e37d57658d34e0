# Dump and restore: registered, applied and rolled back migrations, the history,
# the sequences and the privileges survive pg_dump in every format, taken by a
# superuser or by a database owner who is none, and stored scripts stay data.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', 'log_statement = none');
$node->start;

my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $trap = "$folder/executed";

sub literal
{
	my ($text) = @_;
	$text =~ s/\\/\\\\/g;
	$text =~ s/'/''/g;
	return "E'$text'";
}

sub add
{
	my ($version, $name, $up, $down, $more) = @_;
	return sprintf "SELECT migrate.add(%s, %s, %s, %s%s);\n", literal($version), literal($name),
	  literal($up), defined $down ? literal($down) : 'NULL', defined $more ? ", $more" : '';
}

sub as
{
	my ($role, $database, $sql) = @_;
	return $node->safe_psql($database, $sql, extra_params => [ '-U', $role ]);
}

# Everything that a restore must bring back, one row a line.
my %contents = (
	'migrate.migration' => 'SELECT md5(m::text), m FROM migrate.migration m ORDER BY id',
	'migrate.approval' => 'SELECT md5(p::text), p FROM migrate.approval p ORDER BY migration, script, approved_by',
	'migrate.applied' => 'SELECT md5(a::text), a FROM migrate.applied a ORDER BY target_schema, position',
	'migrate.history' => 'SELECT md5(h::text), h FROM migrate.history h ORDER BY id',
	'migrate.file' => 'SELECT md5(f::text), f FROM migrate.file f ORDER BY project, format, name',
	'the digest of the files' => q{SELECT migrate.files_digest('auto', 'filed') IS NOT NULL, migrate.files_digest('auto', 'filed')},
	'migrate.target_schema' => 'SELECT md5(t::text), t FROM migrate.target_schema t ORDER BY schema',
	'the run sequence' => 'SELECT last_value, is_called FROM migrate.run_seq',
	'the history sequence' => 'SELECT last_value, is_called FROM migrate.history_id_seq',
	'the status without target schema' => 'SELECT * FROM migrate.status()',
	'the status of a target schema' => q{SELECT * FROM migrate.status('Tenant "A"')},
	'the status of a baselined schema' => q{SELECT * FROM migrate.status('legacy')},
	'the order of application' =>
	  'SELECT target_schema, string_agg(version, $$ $$ ORDER BY position) FROM migrate.applied GROUP BY 1 ORDER BY 1',
	'what the migrations made' => q{SELECT * FROM people ORDER BY id},
	'the privileges on functions' => q{
		SELECT p.oid::regprocedure, r.rolname, has_function_privilege(r.oid, p.oid, 'EXECUTE')
		  FROM pg_proc p, pg_roles r
		 WHERE p.pronamespace = 'migrate'::regnamespace
		   AND r.rolname IN ('keeper', 'reader', 'author', 'stranger')
		 ORDER BY p.oid::regprocedure::text, r.rolname},
	'the privileges on tables, sequences and the schema' => q{
		SELECT c.relname, r.rolname, p, CASE WHEN c.relkind = 'S' THEN has_sequence_privilege(r.oid, c.oid, p)
		                                     ELSE has_table_privilege(r.oid, c.oid, p) END,
		       has_schema_privilege(r.oid, 'migrate', 'USAGE')
		  FROM pg_class c, pg_roles r, unnest('{SELECT,UPDATE}'::text[]) p
		 WHERE c.relnamespace = 'migrate'::regnamespace AND c.relkind IN ('r', 'v', 'S')
		   AND r.rolname IN ('keeper', 'reader', 'author', 'stranger')
		 ORDER BY c.relname, r.rolname, p});

# The database to be dumped
#
# The owner works in it; an author registers what the owner has to approve.

$node->safe_psql('postgres', q{
	CREATE ROLE keeper LOGIN;
	CREATE ROLE author LOGIN;
	CREATE ROLE reader LOGIN;
	CREATE ROLE stranger LOGIN;
	CREATE DATABASE source OWNER keeper TEMPLATE template0;
	ALTER DATABASE source SET dbmigrate.environment = 'staging';
});
$node->safe_psql('source', q{
	CREATE EXTENSION dbmigrate;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO keeper;
	GRANT USAGE ON SCHEMA migrate TO author, reader;
	GRANT EXECUTE ON FUNCTION migrate.add TO author;
	GRANT EXECUTE ON FUNCTION migrate.status, migrate.version TO reader;
	GRANT SELECT ON migrate.schema_migrations TO reader;
});

# Names and scripts that would hurt if anybody executed, or broke, them.
my @odd = (
	[ '100', q{it's "quoted" $$dollars$$ :variable :'variable'},
		"SELECT 'it''s', \"c\" FROM (SELECT 1 AS \"c\") s; SELECT \$x\$ a 'b' \$\$ c \$x\$", "SELECT ';'" ],
	[ '101', 'two lines', "SELECT 1;\r\nSELECT 'a\r\nb';\r\n", "SELECT 2;\r\n" ],
	[ '102', 'Zoë ☃ 日本語 𝄞', "SELECT 'Zoë ☃ 日本語 𝄞' -- ☃", 'SELECT 1 /* ☃ */' ],
	[ '103', 'back\\slash \\n \\N \\\\ \\.', "SELECT E'\\\\ \\n', '\\', '\\.\n\\.\n'", "SELECT '\n\\.\n\\N'" ],
	[ '104', "\\! touch $trap", "/*\n\\! touch $trap\n*/ SELECT '\n\\! touch $trap\n', \$f\$\n\\! touch $trap\n\$f\$",
		"SELECT '\n\\! touch $trap\n'" ],
	[ '105', "-- \\! touch $trap /* */ */ --", "-- '\nSELECT 1 /* /* nested */ ' */ -- '\n", "-- \"\nSELECT 1" ],
	[ '106', "'; DROP TABLE people; --", "SELECT '''; DROP TABLE people; --'", "SELECT '\\''; DROP TABLE people; --'" ],
	[ '107', "\\. DROP TABLE people;", "SELECT '\n\\.\nDROP TABLE people;\n'", '' ],
	[ '108', 'inline data',
		"CREATE TABLE lines (a text, b text);\nCOPY lines FROM stdin;\n\\\\! touch $trap\t\\N\n\\\\.\t☃\n\\.\nSELECT 1;\n",
		'DROP TABLE lines' ],
	[ '109', "\\c postgres", "SELECT 'x' AS \"\\c postgres\"", undef ]);

as('keeper', 'source', 'SET dbmigrate.progress = off;'
	  . add('001', 'people', 'CREATE TABLE people (id int, name text)', 'DROP TABLE people')
	  . add('002', 'first ones', q{INSERT INTO people VALUES (1, 'Ann'), (2, E'Bo\n\\\\.')}, 'DELETE FROM people')
	  . add('003', 'third', 'CREATE TABLE third (a int)', 'DROP TABLE third')
	  . add('010', 'tenth', 'CREATE TABLE tenth (a int)', 'DROP TABLE tenth')
	  . 'SELECT * FROM migrate.apply();'
	  . add('005', 'late', 'CREATE TABLE late (a int)', 'DROP TABLE late')
	  . q{SET dbmigrate.out_of_order = 'allow'; SELECT * FROM migrate.apply(); RESET dbmigrate.out_of_order;}
	  . add('020', 'undone', 'CREATE TABLE undone (a int)', 'DROP TABLE undone')
	  . 'SELECT * FROM migrate.apply(); SELECT * FROM migrate.rollback(); SELECT migrate.remove($$020$$);'
	  . add('021', 'staging only', 'CREATE TABLE staging (a int)', 'DROP TABLE staging', q{environments => '{staging,"Dev, x"}'})
	  . add('022', 'production only', 'CREATE TABLE production (a int)', undef, q{environments => '{production}'})
	  . join('', map { add(@$_) } @odd)
	  . 'SELECT * FROM migrate.apply();');
as('author', 'source', add('200', 'by somebody else', 'CREATE TABLE foreign_work (a int)', 'DROP TABLE foreign_work')
	  . add('300', 'never approved', 'CREATE TABLE executed (a int)', 'DROP TABLE people'));
as('keeper', 'source', q{SET dbmigrate.progress = off;
	SELECT migrate.approve('200');
	SELECT * FROM migrate.apply_to('200');
	SELECT * FROM migrate.redo();
	SELECT migrate.amend('003', NULL, 'DROP TABLE third -- amended', E'a reason;\n\\\\! touch '} . "'$trap'" . q{);
	CREATE SCHEMA "Tenant ""A""";
	SELECT * FROM migrate.apply(3, schema => 'Tenant "A"');
	SELECT * FROM migrate.rollback(schema => 'Tenant "A"');
	CREATE SCHEMA legacy;
	SELECT migrate.baseline('003', schema => 'legacy');
	SELECT migrate.mark_applied('005', E'done by "hand"\n\\\\.', schema => 'legacy');
	SELECT migrate.mark_applied('010', 'done by hand', schema => 'legacy');
	SELECT migrate.mark_pending('010', 'it was not', schema => 'legacy');});

as('keeper', 'source', q{SELECT count(*) FROM migrate.add_files(
	'{"1_a.sql": "SELECT 1", "2_ü.up.sql": "SELECT 2", "2_ü.down.sql": "SELECT -2", "3_c.js": null, "README.md": null}', project => 'filed')});

my %before = map { $_ => $node->safe_psql('source', $contents{$_}) } keys %contents;
my $order = '001 002 003 010 005 021 100 101 102 103 104 105 106 107 108 109 200';
like($before{'the order of application'}, qr/^\|\Q$order\E$/m, 'the source has an order of its own');
like($before{'the digest of the files'}, qr/^t/, 'the source knows its files');
is($node->safe_psql('source', 'SELECT count(DISTINCT action) FROM migrate.history'),
	'6', 'the source has a history of every kind');

my $next_id = $node->safe_psql('source', 'SELECT max(id) FROM migrate.history');
my $next_run = $node->safe_psql('source', 'SELECT max(run) FROM migrate.history');

# Compare a restored database with the source, then work in it.
sub check_restored
{
	my ($database, $how) = @_;

	ok(!-e $trap, "$how: no stored text was executed by psql");
	is($node->safe_psql($database, q{SELECT to_regclass('executed'), to_regclass('people') IS NOT NULL}),
		'|t', "$how: no stored script was executed by the server");
	is($node->safe_psql($database, $contents{$_}), $before{$_}, "$how: $_") for sort keys %contents;

	# A migration of the future continues the numbers.
	as('keeper', $database, add('400', 'after the restore', 'SELECT 1', '')
		  . q{SELECT migrate.mark_applied('300', 'not wanted'); SELECT * FROM migrate.apply()});
	is($node->safe_psql($database, "SELECT min(id) > $next_id, min(run) > $next_run, count(*)
		  FROM migrate.history WHERE migration IN ('300', '400')"),
		't|t|2', "$how: history ids and run numbers go on");
	is($node->safe_psql($database, 'SELECT string_agg(version, $$ $$ ORDER BY position) FROM migrate.applied WHERE target_schema = $$$$'),
		"$order 300 400", "$how: positions go on");

	# 109 has no down script, so everything above it.
	is(as('keeper', $database, q{SELECT string_agg(version, ' ') FROM migrate.rollback(1)}),
		'400', "$how: the new migration is rolled back");
	as('keeper', $database, q{SELECT migrate.mark_pending('300', 'x'); SELECT migrate.mark_pending('109', 'x')});
	is(as('keeper', $database, q{SELECT string_agg(version, ' ') FROM migrate.rollback_to('3')}),
		'200 108 107 106 105 104 103 102 101 100 021 005 010',
		"$how: old migrations are rolled back in reverse order of application");
	is($node->safe_psql($database,
			q{SELECT string_agg(t, ' ') FROM unnest('{people,third,late,tenth,lines,staging,foreign_work}'::text[]) t
			   WHERE to_regclass(t) IS NOT NULL}),
		'people third', "$how: their down scripts were run");
	is(as('keeper', $database, q{SELECT string_agg(version, ' ') FROM migrate.rollback(1, schema => 'Tenant "A"')}),
		'002', "$how: a target schema is rolled back");
	is(as('keeper', $database, q{SELECT count(*) FROM people}), '2', "$how: ... and nothing outside it");

	# The privileges are used, not only listed.
	is(as('reader', $database, q{SELECT migrate.version(), count(*) FROM migrate.status(), migrate.schema_migrations LIMIT 1}),
		as('keeper', $database, q{SELECT migrate.version(), count(*) FROM migrate.status(), migrate.schema_migrations LIMIT 1}),
		"$how: the reader reads");
	my ($rc, $stdout, $stderr) = $node->psql($database, 'SELECT * FROM migrate.apply()',
		extra_params => [ '-U', 'reader' ]);
	like($stderr, qr/permission denied for function apply/, "$how: the reader does not apply");
}

sub new_database
{
	my ($database, $template) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database OWNER keeper TEMPLATE $template");
	$node->safe_psql('postgres', "ALTER DATABASE $database SET dbmigrate.environment = 'staging'");
}

# Run a client program that must say nothing.
sub run_quietly
{
	my ($what, @command) = @_;
	my ($stdout, $stderr) = run_command([@command]);
	is($stderr, '', $what);
}

my @dumps = (
	[ 'plain', $superuser, 'plain' ],
	[ 'plain', 'keeper', 'plain', '--rows-per-insert=3', '--column-inserts' ],
	[ 'plain', 'keeper', 'plain', '--inserts' ],
	[ 'custom', $superuser, 'custom' ],
	[ 'custom', 'keeper', 'custom' ],
	[ 'tar', 'keeper', 'tar' ],
	[ 'directory', 'keeper', 'directory', '--jobs=2' ]);

my $n = 0;
foreach my $dump (@dumps)
{
	my ($name, $role, $format, @options) = @$dump;
	my $database = 'restored' . ++$n;
	my $file = "$folder/$database";
	my $who = $role eq 'keeper' ? 'the owner' : 'a superuser';
	my $how = join(' ', $name, @options, 'by', $who);

	new_database($database, 'template0');
	run_quietly("$how: dumped without a word",
		'pg_dump', "--format=$format", "--file=$file", @options, '-d', $node->connstr('source') . " user=$role");
	run_quietly("$how: restored without a word",
		$format eq 'plain'
		? ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$folder/output", '-f', $file, '-d', $node->connstr($database))
		: ('pg_restore', '--exit-on-error', '-d', $node->connstr($database), $file));
	check_restored($database, $how);
}

# A copy inside the server
new_database('copied', 'source');
check_restored('copied', 'CREATE DATABASE TEMPLATE');

# The schema alone has the extension and what migrations made, but no rows;
# the data alone brings them.
new_database('halves', 'template0');
foreach my $part ('schema', 'data')
{
	run_quietly("--$part-only: dumped without a word",
		'pg_dump', "--$part-only", "--file=$folder/$part", '-d', $node->connstr('source'));
	run_quietly("--$part-only: restored without a word",
		'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$folder/output", '-f', "$folder/$part", '-d', $node->connstr('halves'));
	is($node->safe_psql('halves', 'SELECT count(*), (SELECT count(*) FROM migrate.history), to_regclass($$people$$) FROM migrate.migration'),
		'0|0|people', '--schema-only: tables without rows') if $part eq 'schema';
}
check_restored('halves', '--schema-only and --data-only');

# The source is as it was.
is($node->safe_psql('source', $contents{$_}), $before{$_}, "unchanged in the source: $_") for sort keys %contents;

$node->stop;
done_testing();
