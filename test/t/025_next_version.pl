# The road to the next version.  A made-up one is built from this source, whose
# update script, test/next/update.sql, has what versions bring.  It is installed
# into a copy of the server's files, while sessions hold the present library.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib "$FindBin::RealBin/../next";

use Compare;
use NextVersion;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => "needs the server's build files"
  unless -e `pg_config --pgxs` =~ s/\n//r;
plan skip_all => 'needs make and a compiler'
  if system('command -v make >/dev/null && command -v cc >/dev/null') != 0;

# The places that tell the version say the same.
my $source = "$FindBin::RealBin/../..";
like(slurp_file("$source/META.json"), qr/(?:"version": "\Q$current\E\.\d+",?\n.*){2}/s, 'META.json has the version of the control file');
like(slurp_file("$source/CHANGELOG.md"), qr/\A# Changelog\n\n## \Q$current\E /, 'CHANGELOG.md begins with it');

my $installation = copy_server();
my $node = PostgreSQL::Test::Cluster->new('main', install_path => $installation);
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "log_statement = none\ndbmigrate.progress = off");
$node->start;

my $folder = PostgreSQL::Test::Utils::tempdir();
my ($grants) = slurp_file("$source/README.md") =~ /^## Permissions\n.*?^```sql\n(.*?)^```/ms;

sub create
{
	my ($database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	$node->safe_psql($database, "CREATE EXTENSION dbmigrate; $grants; GRANT CREATE ON SCHEMA public TO PUBLIC");
	return;
}

# A session that stays, with the library that is there now.
sub session
{
	my ($database) = @_;
	my $session = $node->background_psql($database, on_error_stop => 0);

	$session->set_query_timer_restart();
	$session->query_safe("\\set VERBOSITY verbose\nSELECT migrate.environment()");
	return $session;
}

# Everything that a session says to a statement, errors first.
sub says
{
	my ($session, $sql) = @_;

	$session->{stderr} = '';
	my $out = $session->query($sql);
	my $said = join("\n", grep { $_ ne '' } $session->{stderr}, $out) =~ s/\n+\z//r;

	$session->{stderr} = '';
	return $said;
}

sub as
{
	my ($role, $database, $sql) = @_;

	return $node->safe_psql($database, "SET ROLE $role; $sql");
}

my $too_old = qr/ERROR:  55000: the library of extension "dbmigrate" in this session is too old
DETAIL:  The extension in this database is version \Q$next\E, the library is version \Q$current\E\.
HINT:  Connect again\./;
my $no_symbol = qr/ERROR:  42883: could not find function "dbmigrate_require_next" in file/;

# The present version, with data

$node->safe_psql('postgres', 'CREATE ROLE reader; CREATE ROLE author; CREATE ROLE deployer');
create('people');
is($node->safe_psql('people', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), $current, 'the present version is installed');
as('author', 'people', q{
	SELECT migrate.add('1', 'one', 'CREATE TABLE one ()', 'DROP TABLE one');
	SELECT migrate.add('2', 'two', 'CREATE TABLE two (); SELECT 1', 'DROP TABLE two');
	SELECT migrate.add(NULL, 'again', 'SELECT 1');
	SELECT migrate.add('1', 'elsewhere', 'CREATE TABLE elsewhere ()', '', project => 'other')});
$node->safe_psql('people', q{SELECT migrate.approve(v) FROM unnest('{1,2,R__again}'::text[]) v; SELECT migrate.approve('1', project => 'other')});
as('deployer', 'people', q{
	SELECT * FROM migrate.apply();
	SELECT * FROM migrate.apply(project => 'other');
	SELECT * FROM migrate.rollback(1)});
$node->safe_psql('people', q{CREATE SCHEMA tenant; SELECT migrate.baseline('1', 'tenant')});

system_or_bail("$installation/bin/pg_dump", '-d', $node->connstr('people'), '-f', "$folder/present");
my %present = rows($node, 'people');
my $arguments = 'SELECT oid::regprocedure, pg_get_function_arguments(oid) FROM pg_proc'
  . q{ WHERE pronamespace = 'migrate'::regnamespace ORDER BY oid::regprocedure::text};
my $functions = $node->safe_psql('people', $arguments);

# Versions that there are not: before the first that is served, and others.
foreach my $case (
	[ '0.9', "too old for its library\nDETAIL: .* is version 0.9; .* version \Q$current\E, and serves .* from .* on.\nHINT:  ALTER EXTENSION dbmigrate UPDATE;" ],
	[ '999.0', "in this session is too old\nDETAIL: .* is version 999.0, .*\nHINT:  Connect again" ],
	[ 'next', "in this session is too old\nDETAIL: .* is version next, .*\nHINT:  Connect again" ])
{
	my ($version, $words) = @$case;
	my (undef, undef, $err) = $node->psql('people',
		"BEGIN; UPDATE pg_extension SET extversion = '$version' WHERE extname = 'dbmigrate'; SELECT migrate.require('1')");
	like($err, qr/^psql:<stdin>:1: ERROR:  .*$words/m, "version $version is not served");
}

my %before = catalogs($node, 'people');
$node->safe_psql('people', slurp_file("$FindBin::RealBin/../next/refill.sql"), extra_params => ['-1']);
same_catalogs($node, 'people', \%before, 'emptied and filled again');

# The next library, with the present SQL

my @old = map { session('people') } 1 .. 3;
install_next($installation, $node->safe_psql('people', q{SELECT pg_get_functiondef('migrate.state'::regproc)}));
my $new = session('people');

like(says($old[0], $_), qr/\Aadded\z|^3\|/m, "a session with the old library goes on: $_")
  foreach q{SELECT migrate.add('3', 'three', 'CREATE TABLE three ()', 'DROP TABLE three')}, 'SELECT version, name FROM migrate.apply()';

foreach my $case (
	[ q{SELECT migrate.add('4', 'four', 'CREATE TABLE four ()', 'DROP TABLE four')}, 'added' ],
	[ q{SELECT version, state FROM migrate.pending()}, '4|pending' ],
	[ q{SELECT count(*) FROM migrate.apply()}, '1' ],
	[ q{SELECT migrate.require('4'), migrate.require()}, '|' ],
	[ q{SELECT * FROM migrate.status() WHERE version = '4'}, qr/\A4\|four\|applied\|[^|]+\|[^|]+\|[^|]+\|t\z/ ],
	[ q{SELECT * FROM migrate.status('tenant') WHERE version = '1'}, qr/\A1\|one\|applied\|/ ],
	[ q{SELECT version, action FROM migrate.redo()}, "4|rollback\n4|apply\n|apply" ],
	[ q{SELECT * FROM migrate.adopt('public.nothing')}, qr/ERROR:  42P01:/ ],
	[ q{SELECT migrate.version('', 'other')}, '1' ])
{
	my ($sql, $answer) = @$case;
	like(says($new, $sql), ref $answer ? $answer : qr/\A\Q$answer\E\z/, "the next library serves the present SQL: $sql");
}
is(says($new, q{BEGIN; DO $$
	DECLARE f record; BEGIN
	    FOR f IN SELECT pg_get_functiondef(p.oid) AS definition FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
	              WHERE p.pronamespace = 'migrate'::regnamespace AND l.lanname = 'c' LOOP EXECUTE f.definition; END LOOP; END $$; ROLLBACK}),
	'', 'it has all C functions of the present SQL');

# The update, between a run that ends first and a call that comes meanwhile

like(says($old[0], 'ALTER EXTENSION dbmigrate UPDATE'), $no_symbol, 'a session with the old library cannot update');
is($node->safe_psql('people', q{SELECT extversion FROM pg_extension WHERE extname = 'dbmigrate'}), $current, '... and nothing has changed');

sub wait_for_waiters
{
	my ($n) = @_;

	$node->poll_query_until('people', "SELECT count(*) = $n FROM pg_locks WHERE NOT granted AND locktype = 'object'")
	  or die "nobody waits";
	return;
}

my $update = session('people');
$new->query_safe('PREPARE every AS SELECT * FROM migrate.status(); PREPARE listed AS SELECT version, state FROM migrate.status()');
is(says($new, q{BEGIN; SELECT migrate.add('5', 'five', 'SELECT 1; SELECT 2', ''); SELECT version FROM migrate.apply()}), "added\n5", 'a run is in progress');
$update->query_until(qr/begins/, "\\echo begins\nALTER EXTENSION dbmigrate UPDATE;\n");
wait_for_waiters(1);
$old[1]->query_until(qr/begins/, "\\echo begins\nSELECT migrate.add('6', 'six', 'SELECT 1');\n");
wait_for_waiters(2);
my %kept = map { $_ => says($new, $rows{$_}) } keys %rows;
is(says($new, q{SELECT count(*) FROM migrate.status() WHERE version = '5'; COMMIT}), '1', '... and ends as it began');
is(says($update, 'SELECT 1'), '1', 'then the extension is updated');
like(says($old[1], 'SELECT 1'), $too_old, 'who came meanwhile is told to connect again');
same_rows($node, 'people', \%kept, 'kept by the update');

# Sessions of before the update

like(says($old[2], $_), $too_old, "the old library: $_")
  foreach q{SELECT migrate.add('6', 'six', 'SELECT 1')}, 'SELECT * FROM migrate.apply()', q{SELECT migrate.approve('1')},
  q{SELECT * FROM migrate.status('tenant')}, 'SELECT * FROM migrate.adopt()', q{SELECT * FROM migrate.rollback()};
is(says($old[2], 'SELECT count(*) > 5 FROM migrate.status()'), 't', '... where no C function looks, it answers');
like(says($old[2], 'SELECT migrate.require()'), $no_symbol, 'under another symbol: words of the server');
says($old[2], "\\connect\n\\set VERBOSITY verbose");
like(says($old[2], 'SELECT migrate.require()'), qr/NOTICE:  00000: version \Q$next\E looks$/m, 'after \connect all is well');

like(says($new, 'EXECUTE listed'), qr/^5\|applied$/m, 'what a client prepared with a list of columns goes on');
like(says($new, 'EXECUTE every'), qr/ERROR:  0A000: cached plan must not change result type/, 'with * it breaks');
like(says($new, 'EXECUTE every'), qr/ERROR:  0A000: cached plan must not change result type/, '... and stays broken');
is(says($new, 'DEALLOCATE every; PREPARE every AS SELECT * FROM migrate.status(); EXECUTE every') =~ /^5\|five\|applied\|.*\|2$/m, 1,
	'... until it is prepared anew');
is(says($new, q{SELECT migrate.add('6', 'six', 'SELECT 1', ''); SELECT version FROM migrate.apply(); SELECT version FROM migrate.rollback()}), "added\n6\n6",
	'the next library goes on with plans of before');

# The same as a fresh one

my $more = 'GRANT EXECUTE ON FUNCTION migrate.remarks TO reader';
$node->safe_psql('people', $more);
create('fresh');
$node->safe_psql('fresh', $more);
my %fresh = catalogs($node, 'fresh');
like($fresh{'the extension'}, qr/\A\Q$next\E\|.*run_remark/, 'the next version is installed');
same_catalogs($node, 'people', \%fresh, 'updated and fresh are the same');
is($node->safe_psql('fresh', q{SELECT string_agg(DISTINCT proname, ' ') FROM (
	SELECT proname FROM pg_proc WHERE pronamespace = 'migrate'::regnamespace GROUP BY 1 HAVING count(*) > 1) x}), '', 'no function name is overloaded');
my %has = map { $_ => 1 } split /\n/, $node->safe_psql('fresh', $arguments);
is(join("\n", grep { !$has{$_} } split /\n/, $functions), '', 'no function has lost its arguments');

# The update as a migration
$node->safe_psql('postgres', 'CREATE DATABASE scripted');
is($node->safe_psql('scripted', qq{
	CREATE EXTENSION dbmigrate VERSION '$current';
	SELECT migrate.add('1', 'one', 'CREATE TABLE one ()', 'DROP TABLE one');
	SELECT migrate.add('2', 'update', 'ALTER EXTENSION dbmigrate UPDATE', '');
	SELECT migrate.add('3', 'three', 'CREATE TABLE three ()', 'DROP TABLE three');
	SELECT version, name, action, statements FROM migrate.apply();
	SELECT version, statements FROM migrate.status()}),
	"added\nadded\nadded\n1|one|apply|1\n2|update|apply|1\n3|three|apply|1\n1|1\n2|1\n3|1", 'a migration updates the extension');

# A dump of the present version, in a server that makes the next one

sub restored
{
	my ($database, $file) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0");
	my ($out, $err) = run_command([ "$installation/bin/psql", '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-o', "$folder/output",
			'-f', $file, '-d', $node->connstr($database) ]);
	is($err, '', "$database: restored without a word");
	return;
}

restored('from_present', "$folder/present");
same_rows($node, 'from_present', \%present, 'restored from the present version');
$node->safe_psql('from_present', $more);
same_catalogs($node, 'from_present', \%fresh, 'restored from the present version');

system_or_bail("$installation/bin/pg_dump", '-d', $node->connstr('people'), '-f', "$folder/next");
restored('from_next', "$folder/next");
same_rows($node, 'from_next', { rows($node, 'people') }, 'restored from an updated one');
same_catalogs($node, 'from_next', \%fresh, 'restored from an updated one');

foreach my $database ('people', 'from_present', 'from_next')
{
	is(as('reader', $database, q{SELECT statements FROM migrate.status() WHERE version = '1'}), '1', "$database: the reader sees what is new");
	is(as('author', $database, q{SELECT migrate.add('7', 'seven', 'CREATE TABLE seven ()', 'DROP TABLE seven')}), 'added', "$database: the author registers");
	$node->safe_psql($database, q{SELECT migrate.approve('7')});
	like(as('deployer', $database, 'SELECT version FROM migrate.apply()'), qr/^7$/m, "$database: the deployer applies");
}

$_->quit foreach @old, $new, $update;
$node->stop;
done_testing();
