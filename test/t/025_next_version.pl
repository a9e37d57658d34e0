# The road to the next version: a made-up 1.1 is built from these sources and
# installed over data.  It has a column more in status(), another column type
# in a table, another C function behind a name, and a new function.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $source = abs_path("$FindBin::RealBin/../..");
my $config = $ENV{PG_CONFIG} || 'pg_config';
chomp(my $sharedir = `$config --sharedir`);
chomp(my $pkglibdir = `$config --pkglibdir`);
my $extensions = "$sharedir/extension";

plan skip_all => 'the installed extension cannot be replaced here'
  unless -w $extensions && -w $pkglibdir && -w "$pkglibdir/dbmigrate.so";

my $tmp = PostgreSQL::Test::Utils::tempdir();
my @installed = ("$extensions/dbmigrate.control", "$pkglibdir/dbmigrate.so");
my $update = "$extensions/dbmigrate--1.0--1.1.sql";
system_or_bail('cp', @installed, $tmp);

# A new file in place of the old one, as install does it: sessions go on with
# the library that they have.
sub install
{
	my ($from, $to) = @_;
	unlink $to;
	system_or_bail('cp', $from, $to);
	return;
}

END
{
	if (defined $tmp && -e "$tmp/dbmigrate.so")
	{
		install("$tmp/dbmigrate.control", $installed[0]);
		install("$tmp/dbmigrate.so", $installed[1]);
		unlink $update;
	}
}

# A statement of the install script, to be said again by the next version.
my $script = slurp_file("$source/sql/dbmigrate--1.0.sql");

sub body_of
{
	my ($start, $end) = @_;
	my ($body) = $script =~ /^(\Q$start\E.*?^\Q$end\E)/ms or die "no $start";
	$body =~ s/^CREATE /CREATE OR REPLACE /;
	return $body;
}
my $state = body_of('CREATE FUNCTION migrate.state(', 'END;');
my $status = body_of('CREATE FUNCTION migrate.status(', 'END;');
my $view = body_of('CREATE VIEW migrate.schema_migrations', '     WHERE a.state') . " OPERATOR(pg_catalog.=) 'applied';";
$status =~ s/s\.can_rollback$/s.can_rollback, coalesce(\$2, '')/m or die;
$view =~ s/a\.project$/a.project, a.statements/m or die;

my $update_script = qq{
\\echo Use "ALTER EXTENSION dbmigrate UPDATE" to load this file. \\quit

-- What reads the table is emptied, the table changed, and all of it filled again.
CREATE OR REPLACE FUNCTION migrate.state(schema text, project text) RETURNS SETOF migrate.migration_state
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC SELECT (NULL::migrate.migration_state).* WHERE false; END;
CREATE OR REPLACE VIEW migrate.schema_migrations AS
    SELECT NULL::text AS version, NULL::text AS name, NULL::timestamptz AS applied_at, NULL::text AS applied_by, NULL::interval AS duration,
           NULL::text COLLATE "C" AS target_schema, NULL::bigint AS position, NULL::text COLLATE "C" AS project
     WHERE false;
ALTER TABLE migrate.applied ALTER COLUMN statements TYPE bigint;
$state
$view

ALTER TYPE migrate.migration_status ADD ATTRIBUTE project text;
$status

-- the old symbol stays in the library, for databases that have not been updated
CREATE OR REPLACE FUNCTION migrate.environment() RETURNS text
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_environment_1_1';

CREATE FUNCTION migrate.answer() RETURNS integer
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_answer';
COMMENT ON FUNCTION migrate.answer() IS 'new in 1.1';
REVOKE ALL ON FUNCTION migrate.answer() FROM PUBLIC;
};

my $new_functions = q{
PG_FUNCTION_INFO_V1(dbmigrate_environment_1_1);
PG_FUNCTION_INFO_V1(dbmigrate_answer);
Datum
dbmigrate_environment_1_1(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("[%s]", dbm_environment())));
}
Datum
dbmigrate_answer(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(42);
}
};

# Build it

my $next = "$tmp/next";
mkdir $next;
system_or_bail('cp', '-r', "$source/src", "$source/sql", "$source/bin", "$source/Makefile", "$source/dbmigrate.control", $next);
append_to_file("$next/src/dbmigrate.c", $new_functions);
system_or_bail('sed', '-i', "s/^default_version.*/default_version = '1.1'/", "$next/dbmigrate.control");
{
	local @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
	delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};
	system_or_bail('make', '-s', '-C', $next, 'with_llvm=no', "PG_CONFIG=$config", 'clean', 'all');
}

# A database of 1.0, with data, grants, and a session that stays

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

sub query
{
	my ($database, $sql, $role) = @_;
	return scalar $node->safe_psql($database, $sql, extra_params => $role ? [ '-U', $role ] : []);
}
query('postgres', q{CREATE ROLE reader LOGIN; CREATE ROLE deployer LOGIN; CREATE DATABASE old; CREATE DATABASE untouched});
my $setup = q{
	CREATE EXTENSION dbmigrate;
	GRANT USAGE ON SCHEMA migrate TO reader, deployer;
	GRANT EXECUTE ON FUNCTION migrate.status, migrate.version, migrate.environment TO reader;
	GRANT EXECUTE ON FUNCTION migrate.apply, migrate.rollback TO deployer;
	GRANT SELECT ON migrate.schema_migrations TO reader;
	SET dbmigrate.progress = off;
	SELECT migrate.add('1', 'one', 'CREATE TABLE one ()', 'DROP TABLE one'), migrate.add('2', 'two', 'CREATE TABLE two ()', 'DROP TABLE two'),
	       migrate.add('1', 'other', 'SELECT 1', '', project => 'second');
	SELECT count(*) FROM migrate.apply(1)};
query($_, $setup) foreach qw(old untouched);
my $before = query('old', 'SELECT a.target_schema, a.project, a.id, a.position, a.statements, a.checksum FROM migrate.applied a ORDER BY position');
my $history = query('old', 'SELECT h FROM migrate.history h ORDER BY id');
command_ok([ 'pg_dump', '-f', "$tmp/dump.sql", '-d', $node->connstr('old') ], 'a dump of 1.0');
my $stays = $node->background_psql('old', on_error_stop => 0);
is($stays->query_safe(q{SELECT migrate.environment(), count(*) FROM migrate.status()}), '|2', 'a session of 1.0');

# The new files arrive

install("$next/dbmigrate.control", $installed[0]);
install("$next/dbmigrate.so", $installed[1]);
open my $handle, '>', $update or die "$update: $!";
print $handle $update_script;
close $handle or die;

is(query('old', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), '1.0', 'nobody has updated the database yet');
is(query('old', q{SELECT migrate.require('1'); SELECT state FROM migrate.status(); SELECT migrate.environment()}), "\napplied\npending\n", 'the new library serves it');
is(query('old', q{SET dbmigrate.progress = off; SELECT version FROM migrate.apply(); SELECT version FROM migrate.rollback()}), "2\n2", 'and runs migrations');
is(query('old', q{SELECT migrate.environment()}, 'reader'), '', 'with the grants of 1.0');
is($stays->query_safe('SELECT migrate.version()'), '1', 'the session from before goes on');

# The database is updated

query('old', 'ALTER EXTENSION dbmigrate UPDATE');
is(query('old', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), '1.1', 'updated');
is(query('old', 'SELECT a.target_schema, a.project, a.id, a.position, a.statements, a.checksum FROM migrate.applied a ORDER BY position'), $before, 'what is applied is kept');
like(query('old', 'SELECT h FROM migrate.history h ORDER BY id'), qr/^\Q$history\E/, 'so is the history');
is(query('old', q{SELECT version, state, project FROM migrate.status(project => 'second')}), '1|pending|second', 'the new column of status()');
is(query('old', q{SELECT migrate.environment()}, 'reader'), '[]', 'the changed function, with the grant from before');
is(query('old', q{SELECT count(*) FROM migrate.status()}, 'reader'), '2', 'status() with the grant from before');
is(query('old', q{SELECT statements FROM migrate.schema_migrations}, 'reader'), '1', 'the view with the grant from before');
is(query('old', q{SELECT migrate.answer()}), '42', 'the new function');
is(query('old', q{SET dbmigrate.progress = off; SELECT version FROM migrate.apply(); SELECT version FROM migrate.redo()}), "2\n2\n2", 'it goes on');
my ($out, $err) = ('', '');
$stays->query('SELECT migrate.require()');
like($stays->{stderr}, qr/different versions.*serves versions from 1\.0 on.*Connect again/s, 'the session from before is told to connect again');
$stays->quit;

# A fresh 1.1 is the same as an updated 1.0, and a dump of 1.0 restores into it

query('postgres', 'CREATE DATABASE fresh; CREATE DATABASE restored');
query('fresh', $setup);
is(query('fresh', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), '1.1', 'a fresh one');
my %catalogs = (
	functions => q{SELECT pg_get_functiondef(p.oid), p.proacl, obj_description(p.oid, 'pg_proc') FROM pg_proc p
		WHERE p.pronamespace = 'migrate'::regnamespace},
	relations => q{SELECT c.oid::regclass, c.relkind, c.relacl, obj_description(c.oid, 'pg_class'), pg_get_viewdef(c.oid), pg_get_indexdef(c.oid)
		FROM pg_class c WHERE c.relnamespace = 'migrate'::regnamespace},
	columns => q{SELECT a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attacl, pg_get_expr(d.adbin, d.adrelid),
		col_description(a.attrelid, a.attnum)
		FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE c.relnamespace = 'migrate'::regnamespace AND NOT a.attisdropped AND c.relkind <> 'i'},
	constraints => q{SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'migrate'::regnamespace},
	types => q{SELECT oid::regtype, typtype, typacl, obj_description(oid, 'pg_type') FROM pg_type WHERE typnamespace = 'migrate'::regnamespace},
	members => q{SELECT pg_describe_object(classid, objid, 0) FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
		AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'dbmigrate')},
	dumped => q{SELECT unnest(extconfig)::regclass::text, unnest(extcondition) FROM pg_extension WHERE extname = 'dbmigrate'});
sub lines
{
	my ($database, $sql) = @_;
	return join "\n", sort split /\n/, query($database, $sql);
}
is(lines('old', $catalogs{$_}), lines('fresh', $catalogs{$_}), "updated and fresh have the same $_") foreach sort keys %catalogs;

command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$tmp/output", '-f', "$tmp/dump.sql", '-d', $node->connstr('restored') ],
	'the dump of 1.0 restores into 1.1');
is(query('restored', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), '1.1', 'as 1.1');
is(query('restored', 'SELECT a.target_schema, a.project, a.id, a.position, a.statements, a.checksum FROM migrate.applied a ORDER BY position'), $before, 'with its state');
is(query('restored', q{SELECT count(*) FROM migrate.status()}, 'reader'), '2', 'and its grants');
is(lines('restored', $catalogs{$_}), lines('old', $catalogs{$_}), "and the same $_") foreach sort keys %catalogs;

# The old files come back: a database that is ahead of them is told so

is(query('untouched', q{SELECT version FROM migrate.status() WHERE state = 'pending'}), '2', 'another database is still at 1.0');
install("$tmp/dbmigrate.so", $installed[1]);
($out, $err) = ($node->psql('old', 'SELECT migrate.require()'))[1, 2];
like($err, qr/different versions.*Connect again; if that does not help, the server has the library of an older version/s, 'a library that was taken back');

$node->stop;
done_testing();
