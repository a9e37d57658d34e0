# migrate.activity: who runs migrations at this moment, what of them, and who is in
# the way; as much of it as pg_stat_activity shows to the one who looks.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
$node->safe_psql('postgres', q{
	CREATE ROLE runner LOGIN;
	CREATE ROLE reader LOGIN;
	CREATE ROLE monitor LOGIN IN ROLE pg_read_all_stats;
	CREATE ROLE stranger LOGIN;
	CREATE EXTENSION dbmigrate;
	SELECT migrate.manage('a test');
	GRANT USAGE ON SCHEMA migrate TO runner, reader, monitor, stranger;
	GRANT SELECT ON migrate.activity TO runner, reader, monitor;
	GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO runner;
	GRANT CREATE ON SCHEMA public TO runner;
	CREATE TABLE busy ();
	ALTER TABLE busy OWNER TO runner;
});

sub query
{
	my ($sql, $role) = @_;
	return $node->safe_psql('postgres', $sql, $role ? (extra_params => [ '-U', $role ]) : ());
}

# A session of a role that waits for our statements, and its process
sub session
{
	my ($role, $name) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', $role ]);
	$session->query_safe("SET application_name = '$name'; SET dbmigrate.progress = off");
	return $session, $session->query_safe('SELECT pg_backend_pid()');
}

# Send a statement whose end is not waited for.
sub begin
{
	my ($session, $sql) = @_;
	$session->query_until(qr/^sent$/m, "\\echo sent\n$sql;\n");
	return;
}

sub wait_for
{
	my ($condition) = @_;
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM migrate.activity WHERE $condition")
	  or die "no run with $condition: " . query('SELECT * FROM migrate.activity');
	return;
}

my ($boss, $boss_pid) = session($node->safe_psql('postgres', 'SELECT current_user'), 'the boss');
my ($run, $pid) = session('runner', 'the run');

is(query('SELECT count(*) FROM migrate.activity'), '0', 'nobody runs anything');

# A run that waits for somebody

query(q{
	SELECT migrate.add('1', 'first', 'SELECT 1', '');
	SELECT migrate.add('2', 'a "name" (up) of "x": y', E'SELECT 2;\nALTER TABLE busy ADD a int;\nSELECT 3', 'SELECT 4; ALTER TABLE busy DROP a');
	SELECT migrate.add('3', 'third', 'SELECT 1', '')}, 'runner');
$boss->query_safe('BEGIN; LOCK TABLE busy');
$boss->query_safe('SELECT $$the secret$$');
begin($run, 'SELECT FROM migrate.apply()');
wait_for('blocked_by_pid IS NOT NULL');

my $what = q{project, direction, version, name, migration_number, migrations, statement_number, statements, statement, attempt};
my $when = q{statement_started BETWEEN now() - interval '1 min' AND clock_timestamp(), run_started <= statement_started};
my $who = 'pid, usename, application_name';
my $blocker = 'blocked_by_pid, blocked_by_user, blocked_by_application';
my $boss_name = query('SELECT current_user');
my $is = q{|up|2|a "name" (up) of "x": y|2|3|2|3|ALTER TABLE busy ADD a int|1};

is(query("SELECT $who, $blocker FROM migrate.activity", $_), "$pid|runner|the run|$boss_pid|$boss_name|the boss", "$_ sees who runs, and who is in the way")
  foreach qw(runner reader monitor);
is(query("SELECT $what FROM migrate.activity", $_), $is, "$_ sees what is run")
  foreach qw(runner monitor);
is(query("SELECT $when FROM migrate.activity", $_), 't|t', "$_ sees since when") foreach qw(runner monitor);
is(query("SELECT $what, statement_started, run_started FROM migrate.activity", 'reader'), '|' x 11, 'who may not see it sees nothing of it');
is(query('SELECT blocked_by_query FROM migrate.activity', 'monitor'), "SELECT \$\$the secret\$\$\n;", 'what the blocker does, for those who may see it');
is(query('SELECT blocked_by_query IS NULL FROM migrate.activity', $_), 't', "and not for $_") foreach qw(runner reader);
like(($node->psql('postgres', 'SELECT * FROM migrate.activity', extra_params => [ '-U', 'stranger' ]))[2],
	qr/permission denied for view activity/, 'whoever was not granted it sees nothing');

# Who waits for the run is none; another database has runs of its own.
my ($second) = session('runner', 'the second');
begin($second, 'CALL migrate.run()');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'the second' AND wait_event = 'Extension'})
  or die;
is(query('SELECT application_name FROM migrate.activity'), 'the run', 'who waits for the run lock is no run');
$node->safe_psql('template1', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION dbmigrate');
is($node->safe_psql('other', 'SELECT count(*) FROM migrate.activity'), '0', 'nothing is run in another database');

$boss->query_safe('COMMIT');
$run->query_safe('SELECT 1');
$second->query_safe('SELECT 1');
is(query('SELECT count(*) FROM migrate.activity'), '0', 'nobody runs anything any more');

# Something was run, and its transaction is still open.
$run->query_safe('BEGIN; SELECT count(*) FROM migrate.rollback()');
is(query("SELECT $who, $what FROM migrate.activity"), "$pid|runner|the run" . '|' x 10, 'a run between two statements');
$run->query_safe('ROLLBACK');

# Back; in a project; with nothing to be seen
$boss->query_safe('BEGIN; LOCK TABLE busy');
begin($run, 'SELECT FROM migrate.rollback(2)');
wait_for('blocked_by_pid IS NOT NULL');
is(query('SELECT direction, version, migration_number, migrations, statement_number, statements FROM migrate.activity'),
	'down|2|2|2|2|2', 'a rollback');
$boss->query_safe('COMMIT');
$run->query_safe('SELECT 1');

query(q{SELECT migrate.add('1', 'p', 'ALTER TABLE busy ADD b int', 'SELECT 1', project => 'shop "x"')}, 'runner');
$boss->query_safe('BEGIN; LOCK TABLE busy');
begin($run, q{SELECT FROM migrate.apply(project => 'shop "x"')});
wait_for('blocked_by_pid IS NOT NULL');
is(query('SELECT project, version, name FROM migrate.activity'), 'shop "x"|1|p', 'a project');
$boss->query_safe('COMMIT');
$run->query_safe('SELECT 1');

# A procedure tries again.
query(q{SELECT migrate.add('4', 'fourth', 'ALTER TABLE busy ADD c int', 'SELECT 1')}, 'runner');
$boss->query_safe('BEGIN; LOCK TABLE busy');
$run->query_safe(q{SET client_min_messages = error; SET dbmigrate.lock_timeout = '300ms'; SET dbmigrate.retries = 20});
begin($run, 'CALL migrate.run()');
wait_for('attempt >= 2 AND blocked_by_pid IS NOT NULL');
is(query(q{SELECT coalesce(version, '2'), coalesce(migrations, 3), coalesce(run_started = (SELECT max(began_at) FROM migrate.run), true)
		FROM migrate.activity}), '2|3|t', 'a procedure tries again, and says since when it runs');
$boss->query_safe('COMMIT');
$run->query_safe('SELECT 1');
is(query(q{SELECT state FROM migrate.status() WHERE version = '4'}), 'applied', 'it was done in the end');

# An index is built: a block of the table for each row, and a pause for each.
query(q{
	CREATE TABLE wide (a int, filler text) WITH (fillfactor = 10);
	ALTER TABLE wide OWNER TO runner;
	INSERT INTO wide SELECT g, repeat('x', 1000) FROM generate_series(1, 60) g;
	CREATE FUNCTION slow(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN PERFORM pg_sleep(0.1); RETURN $1; END'});
query(q{SELECT migrate.add('5', 'index', 'CREATE INDEX CONCURRENTLY wide_idx ON wide (public.slow(a))', 'SELECT 1')}, 'runner');
begin($run, 'CALL migrate.run()');
wait_for('progress_percent BETWEEN 1 AND 99');
is(query(q{SELECT count(*) FROM migrate.activity WHERE progress_percent IS NULL AND application_name = 'the run'}, 'reader'), '1',
	'how far an index is built, for those who may see it');
$run->query_safe('SELECT 1');

# Nothing to be seen
$boss->query_safe('BEGIN; LOCK TABLE busy');
query(q{SELECT migrate.add('6', 'sixth', 'ALTER TABLE busy ADD e int', 'SELECT 1')}, 'runner');
query('ALTER ROLE runner SET track_activities = off');
my ($unseen) = session('runner', 'unseen');
begin($unseen, 'SELECT FROM migrate.apply()');
wait_for('blocked_by_pid IS NOT NULL');
is(query("SELECT $what FROM migrate.activity"), '|' x 9, 'track_activities = off: who, and no more');
$boss->query_safe('COMMIT');
$unseen->query_safe('SELECT 1');

$_->quit foreach $boss, $run, $second, $unseen;

$node->stop;
done_testing();
