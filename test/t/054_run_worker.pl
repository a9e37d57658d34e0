# CALL migrate.run() beside pgaudit, which refuses a client's statement within
# another one's: a background worker does it with the caller's users and
# settings.
#
# DBMIGRATE_TEST_PGAUDIT=required makes a missing pgaudit a failure; otherwise
# the test is skipped.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $libraries = `pg_config --pkglibdir`);
if (!-e "$libraries/pgaudit.so")
{
	die 'pgaudit is missing' if ($ENV{DBMIGRATE_TEST_PGAUDIT} // '') eq 'required';
	plan skip_all => 'pgaudit is not installed';
}

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pgaudit'\npgaudit.log = 'ddl, misc'\nlog_statement = none");
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbmigrate;
	CREATE ROLE owner NOLOGIN; CREATE ROLE deployer LOGIN; GRANT owner TO deployer; CREATE SCHEMA app AUTHORIZATION owner;
	GRANT USAGE ON SCHEMA migrate TO deployer, owner; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO deployer, owner});

# SQLSTATE, or nothing, and what was said
sub call
{
	my ($sql, $user) = @_;
	my (undef, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql", extra_params => [ '-U', $user // 'postgres' ]);

	return ($err =~ /ERROR:  (\w{5}):/ ? $1 : '', "$out$err");
}

sub state_of
{
	my ($version) = @_;

	return $node->safe_psql('postgres', "SELECT state FROM migrate.status() WHERE version = '$version'");
}

my $offset = -s $node->logfile;
$node->safe_psql(
	'postgres', q{
	SELECT migrate.add('1', 'table', 'CREATE TABLE t (a int); INSERT INTO t VALUES (1)', 'DROP TABLE t');
	SELECT migrate.add('2', 'online', E'SET work_mem = ''9MB'';
	CREATE INDEX CONCURRENTLY t_a ON t (a); VACUUM t; COPY t FROM stdin;\n2\n\\\\.\nDO $$ BEGIN INSERT INTO t VALUES (3); COMMIT; END $$', '')});
my ($code, $said) = call('CALL migrate.run()');
is($code, '', 'online and ordinary migrations') or diag $said;
like($said, qr/^2\|2\|1$/m, 'with the result of a CALL');
is($node->safe_psql('postgres', q{SELECT string_agg(a::text, ' ' ORDER BY a) FROM t}), '1 2 3', 'they were run');
is($node->safe_psql('postgres', q{SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass}), 't', 'and the index is there');
like(slurp_file($node->logfile, $offset), qr/AUDIT: .*CREATE INDEX CONCURRENTLY t_a/, 'pgaudit has seen it');

# What the caller leaves out stays out
$node->safe_psql('postgres', q{SELECT migrate.add('2.1', 'left out', 'SELECT 1/0', ''), migrate.add('2.2', 'wanted', 'SELECT 1', '')});
($code, $said) = call(q{CALL migrate.run(without => '{2.1}')});
is($code, '', 'without one of them') or diag $said;
is(state_of('2.1') . ' ' . state_of('2.2'), 'out_of_order applied', 'which is not run');
$node->safe_psql('postgres', q{SELECT migrate.remove('2.1')});

# As whom, and with which settings

$node->safe_psql('postgres', q{SELECT migrate.add('3', 'who', 'CREATE TABLE app.who AS SELECT session_user::text, current_user::text, current_setting(''work_mem'') AS work_mem, current_setting(''application_name'') AS application'); SELECT migrate.approve('3')});
($code, $said) = call("SET application_name = 'here';\nSET work_mem = '7MB';\nSET ROLE owner;\nCALL migrate.run();", 'deployer');
is($code, '', 'a lowered session') or diag $said;
is($node->safe_psql('postgres', 'SELECT * FROM app.who'), 'deployer|owner|7MB|here', 'the users and settings are those of the caller');
is($node->safe_psql('postgres', q{SELECT session_username, username FROM migrate.history WHERE version = '3'}), 'deployer|owner', 'in the history, too');

# Whom the worker waits for

$node->safe_psql('postgres', q{SELECT migrate.add('3.1', 'index', 'CREATE INDEX CONCURRENTLY t_b ON t (a)', '')});
{
	my $writer = $node->background_psql('postgres');
	$writer->query_safe('BEGIN; INSERT INTO t VALUES (4)');
	my $writer_pid = $writer->query_safe('SELECT pg_backend_pid()');
	my $runner = $node->background_psql('postgres');
	$runner->query_until(qr/begins/, "\\echo begins\nCALL migrate.run();\n\\echo ended\n");
	foreach (1 .. 200)
	{
		last if $runner->{stderr} =~ /In the way/;
		$runner->{run}->pump_nb;
		select undef, undef, undef, 0.05;
	}
	like($runner->{stderr}, qr/NOTICE:  waiting for a lock\nDETAIL:  In the way: process $writer_pid of user "postgres".*, in a transaction since .*: SELECT pg_backend_pid/,
		'whom it waits for is told while it waits');
	$writer->query_safe('COMMIT');
	$runner->query_until(qr/ended/, "\n");
	is(() = $runner->{stderr} =~ /waiting for a lock/g, 1, '... once');
	$_->quit foreach ($runner, $writer);
	is(state_of('3.1'), 'applied', '... and then it goes on');
}

# What goes wrong

$node->safe_psql('postgres', q{SELECT migrate.add('4', 'fails', 'CREATE TABLE four ();
SELECT 1/0')});
($code, $said) = call('CALL migrate.run()');
is($code, '22012', 'the error of a migration is the error of the CALL');
like($said, qr/division by zero.*migration 4 "fails" \(up\), statement 2 at line 2/s, '... with its place');
$node->safe_psql('postgres', q{SELECT migrate.add('4', 'fails', 'SELECT pg_sleep(60)')});
($code, $said) = call("SET statement_timeout = '300ms';\nCALL migrate.run();");
is($code, '57014', 'statement_timeout holds for the statement');
($code, $said) = call("BEGIN;\nCALL migrate.run();");
is($code, '25001', 'not in a transaction block');

my $workers = q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'dbmigrate'};

sub while_it_runs
{
	my ($do) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$session->query_until(qr/begins/, "\\echo begins\nCALL migrate.run();\n");
	$node->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'dbmigrate' AND query LIKE 'migration %: 4 "%')})
	  or die 'it does not run';
	is($node->safe_psql('postgres', q{
			SELECT b.backend_type, a.version, a.name, a.migration_number, a.migrations, a.statement, a.run_started = r.began_at
			  FROM migrate.activity a JOIN pg_stat_activity b USING (pid), (SELECT * FROM migrate.run ORDER BY number DESC LIMIT 1) r}),
		'dbmigrate|4|fails|1|1|SELECT pg_sleep(60)|t', 'others see what the worker runs');
	$node->safe_psql('postgres', $do);
	$node->poll_query_until('postgres', "SELECT ($workers) = 0") or die 'the worker does not end';
	eval { $session->query('SELECT 1') };
	my $err = $session->{stderr};
	eval { $session->quit };
	return $err;
}
like(while_it_runs(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'dbmigrate'}),
	qr/terminating background worker|has gone/, 'the worker is terminated');
like(while_it_runs(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL migrate%' AND backend_type = 'client backend'}),
	qr/canceling statement due to user request/, 'the caller is cancelled, and the worker ends');
is($node->safe_psql('postgres', q{SELECT sqlstate FROM migrate.history WHERE version = '4' ORDER BY id DESC LIMIT 1}), '57014', '... and has recorded it');
is($node->safe_psql('postgres', q{SELECT sqlstate FROM migrate.run ORDER BY number DESC LIMIT 1}), '57014', '... and so is the run');
is(state_of('4'), 'pending', 'nothing of it stays');
while_it_runs(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL migrate%' AND backend_type = 'client backend'});
is($node->safe_psql('postgres', $workers), '0', 'the caller goes, and so does the worker');

my $late = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'deployer' ]);
$late->query('SELECT 1');
$node->safe_psql('postgres', 'ALTER ROLE deployer NOLOGIN');
$late->query('CALL migrate.run()');
like($late->{stderr}, qr/role "deployer" is not permitted to log in/, 'who may not log in any more is told so');
$late->quit;

$node->append_conf('postgresql.conf', 'max_worker_processes = 0');
$node->restart;
($code, $said) = call('CALL migrate.run()');
is($code, '53000', 'no slot for a worker');
like($said, qr/max_worker_processes/, '... with the setting');

$node->stop;
done_testing();
