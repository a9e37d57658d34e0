# CALL migrate.run() that ends badly, in as many places as there are, each time
# with a second runner that waits: who holds the two locks of a run, what is
# recorded, and that the second one, or the next, goes on.  What a waiting
# runner holds; where the CALL is refused; the session afterwards; a long run.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
log_statement = none
max_prepared_transactions = 2
dbmigrate.lock_timeout = 0
});
$node->start;

my ($database, $databases) = (undef, 0);

# A database with three migrations, of which the second is the one to look at.
# The first time, boom() divides by zero; barrier() waits while somebody has (7).
sub database
{
	my ($script, $down) = @_;

	$database = 'd' . ++$databases;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, qq{
		CREATE EXTENSION dbmigrate;
		SELECT migrate.manage('a test');
		CREATE SEQUENCE attempts;
		GRANT ALL ON SEQUENCE attempts TO PUBLIC;
		CREATE TABLE done (what int);
		CREATE TABLE big AS SELECT g AS a, g % 2 AS b FROM generate_series(1, 100) g;
		CREATE FUNCTION boom() RETURNS int LANGUAGE sql AS 'SELECT 1 / (nextval(''public.attempts'') - 1)::int';
		CREATE FUNCTION barrier() RETURNS void LANGUAGE sql AS 'SELECT pg_advisory_xact_lock_shared(7)';
		SELECT migrate.add('1', 'a', 'INSERT INTO done VALUES (1)', 'DELETE FROM done WHERE what = 1');
		SELECT migrate.add('2', 'b', \$script\$$script\$script\$, 'DELETE FROM done WHERE what = 2');
		SELECT migrate.add('3', 'c', 'INSERT INTO done VALUES (3)', 'DELETE FROM done WHERE what = 3')});
	return;
}

sub value
{
	my ($query) = @_;

	return scalar $node->safe_psql($database, $query);
}

sub session
{
	return $node->background_psql($database, on_error_stop => 0);
}

# psql in the background; it says its pid first.
sub start_psql
{
	my (@sql) = @_;
	my %psql = (stdout => '', stderr => '');

	$psql{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database),
			'-v', 'VERBOSITY=verbose', '-c', 'SELECT pg_backend_pid()',
			map { ('-c', $_) } @sql
		],
		'<', \undef, '>', \$psql{stdout}, '2>', \$psql{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$psql{run}->pump until $psql{stdout} =~ /^(\d+)$/m;
	$psql{pid} = $1;
	return \%psql;
}

# Its SQLSTATE, or what the CALL has returned.
sub outcome
{
	my ($psql) = @_;

	eval { $psql->{run}->finish };
	return $1 if $psql->{stderr} =~ /(?:ERROR|FATAL):  (\w{5}):/;
	return 'lost' if $psql->{stderr} =~ /server closed the connection|connection to server was lost/;
	return $psql->{stdout} =~ /^(\d+\|.*)$/m ? $1 : 'nothing';
}

sub wait_until
{
	my ($condition, $what) = @_;

	$node->poll_query_until($database, "SELECT $condition") or die "$what did not happen";
	return;
}

sub waits
{
	my ($psql, $type) = @_;

	wait_until("(SELECT wait_event_type FROM pg_stat_activity WHERE pid = $psql->{pid}) = '$type'",
		"a wait for $type");
	return;
}

# Who holds which of the two locks; A and B are the runners.
sub holders
{
	my ($first, $second) = @_;
	my $locks = value(q{
		SELECT string_agg(CASE objsubid WHEN 28007 THEN 'run' ELSE 'online' END || ' ' || pid, ', ' ORDER BY objsubid)
		  FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass AND granted
		   AND objid = (SELECT oid FROM pg_extension WHERE extname = 'dbmigrate') AND mode = 'ExclusiveLock'});

	$locks =~ s/\b$first->{pid}\b/A/g if $first;
	$locks =~ s/\b$second->{pid}\b/B/g if $second;
	return $locks;
}

# version, action and SQLSTATE of all that was recorded
sub history
{
	return value(q{
		SELECT string_agg(concat_ws(' ', version, action, sqlstate), ', ' ORDER BY id) FROM migrate.history
		 WHERE action <> 'manage'});
}

sub runs
{
	return value(q{
		SELECT string_agg(CASE WHEN ended_at IS NULL THEN 'open' ELSE concat_ws(' ', migrations, sqlstate) END, ', ' ORDER BY number)
		  FROM migrate.run});
}

# One place.  "action" gets the first runner, which is where "waits" says, and
# the session that holds the barrier.
sub place
{
	my ($name, %place) = @_;
	my $call = 'CALL migrate.run()';

	database($place{script});
	$node->safe_psql($database, $place{before}) if $place{before};
	my $barrier = session();
	$barrier->query_safe($_) foreach ref $place{barrier} ? @{ $place{barrier} } : ('SELECT pg_advisory_lock(7)');
	my $first = start_psql(@{ $place{settings} // [] }, $call);
	waits($first, 'Lock');
	my $second = start_psql($call);
	waits($second, 'Extension');
	is(holders($first, $second), $place{online} ? 'run A, online A' : 'run A', "$name: the first runner holds the lock");

	$place{action}->($first, $barrier) if $place{action};
	my $ended = outcome($first) if $place{ends_first};
	$barrier->quit;
	$ended //= outcome($first);
	is($ended, $place{first}, "$name: how the first one ends");
	is(outcome($second), $place{second} // '2|3|3', "$name: the second one goes on");
	is(holders(), '', "$name: nobody holds a lock afterwards");
	is(history(), $place{history}, "$name: what is recorded");
	is(runs(), $place{runs}, "$name: the runs");
	return if $place{unfinished};
	is(value('SELECT string_agg(what::text, $$,$$ ORDER BY what) FROM done'), $place{done} // '1,2,3', "$name: each is run once");
	is(value('SELECT count(*) FROM migrate.progress') . value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'),
		'00', "$name: nothing is half done");
	return;
}

sub cancel
{
	my ($first) = @_;

	return value("SELECT pg_cancel_backend($first->{pid})");
}

sub terminate
{
	my ($first) = @_;

	return value("SELECT pg_terminate_backend($first->{pid})");
}

my $insert = 'INSERT INTO done VALUES (2)';
my $ordinary = "SELECT barrier(); $insert";
my $online = "CREATE INDEX CONCURRENTLY big_a ON big (a); $insert";
my @writer = ('BEGIN', 'INSERT INTO big VALUES (0, 0)');
my @table = ('BEGIN', 'LOCK big');

sub failed
{
	my ($sqlstate) = @_;

	return (first => $sqlstate, history => "1 apply, 2 failed $sqlstate, 2 apply, 3 apply", runs => "1 $sqlstate, 2");
}
my @lost = (history => '1 apply, 2 apply, 3 apply', runs => 'open, 2');

place('error in a script', script => "$ordinary; SELECT boom()", failed('22012'));
place('error below an exception block',
	script => "$ordinary; DO 'BEGIN BEGIN PERFORM 1/0; EXCEPTION WHEN others THEN PERFORM boom(); END; END'",
	failed('22012'));
place('deferred constraint',
	before => q{
		CREATE FUNCTION boom_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM boom(); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER t AFTER INSERT ON big DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION boom_too()},
	script => "$ordinary; INSERT INTO big VALUES (1, 1)", failed('22012'));
place('error at commit',
	before => q{
		CREATE FUNCTION boom_too() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM boom(); RETURN NULL; END';
		CREATE CONSTRAINT TRIGGER t AFTER INSERT ON big DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION boom_too();
		CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO big VALUES (1, 1); END';
		CREATE EVENT TRIGGER e ON ddl_command_end WHEN tag IN ('CREATE TYPE') EXECUTE FUNCTION note()},
	script => "SELECT barrier(); CREATE TYPE y", done => '1,3', failed('22012'));
place('cancel', script => $ordinary, action => \&cancel, ends_first => 1, failed('57014'));
place('cancel of an online statement', script => $online, barrier => \@writer, online => 1,
	action => \&cancel, ends_first => 1, failed('57014'));
place('terminate', script => $ordinary, action => \&terminate, first => '57P01', @lost);
place('terminate in an online statement', script => $online, barrier => \@writer, online => 1,
	action => \&terminate, first => '57P01', @lost);
place('statement_timeout', script => $ordinary, settings => [q{SET statement_timeout = '3s'}], ends_first => 1, failed('57014'));
place('lock timeout', script => "ALTER TABLE big ADD c int; $insert", barrier => \@table, ends_first => 1,
	settings => [ q{SET dbmigrate.lock_timeout = '300ms'}, 'SET dbmigrate.retries = 1', 'SET statement_timeout = 1000' ],
	first => '55P03',
	history => '1 apply, 2 retry 55P03, 2 failed 55P03, 2 apply, 3 apply',
	runs => '1 55P03, 2',
	action => sub {
		my ($first, $barrier) = @_;
		my $pid = $barrier->query_safe('SELECT pg_backend_pid()');

		$first->{run}->finish;
		like($first->{stderr}, qr/trying again in .*In the way: process $pid of user/s, 'lock timeout: a notice says who is in the way');
		like($first->{stderr}, qr/ERROR:  55P03.*DETAIL:  In the way: process $pid of user/s, 'lock timeout: so does the error');
		like(value(q{SELECT reason FROM migrate.history WHERE action = 'retry'}), qr/^in the way: process $pid /,
			'lock timeout: so does the record');
	});
place('deadlock', script => "LOCK done; SELECT barrier(); $insert", settings => ['SET dbmigrate.retries = 0'],
	barrier => [ q{SET deadlock_timeout = '1min'}, 'BEGIN', 'SELECT pg_advisory_xact_lock(7)' ],
	action => sub { $_[1]->query_safe('LOCK done') }, failed('40P01'));
place('client gone', script => $ordinary, settings => ['SET client_connection_check_interval = 100'],
	action => sub {
		kill 'KILL', $_[0]{run}{KIDS}[0]{PID};
		wait_until("NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $_[0]{pid})", 'the end of the backend');
	},
	ends_first => 1, first => 'nothing', @lost);
place('client gone in an online statement', script => $online, barrier => \@writer, online => 1,
	action => sub { kill 'KILL', $_[0]{run}{KIDS}[0]{PID}; }, ends_first => 1, first => 'nothing',
	second => '1|3|3', history => '1 apply, 2 apply, 3 apply', runs => 'open, 1');

# It fails for both, and goes on where it has stopped when the cause is gone.
place('failed online statement', script => "CREATE UNIQUE INDEX CONCURRENTLY big_b ON big (b); $insert",
	barrier => \@writer, online => 1, unfinished => 1, first => '23505', second => '23505',
	history => '1 apply, 2 failed 23505, 2 failed 23505', runs => '1 23505, 0 23505');
is(value(q{SELECT version || ' ' || state FROM migrate.status() WHERE version = '2'}), '2 failed', 'it is told as failed');
value('DELETE FROM big WHERE a > 2');
is(value('CALL migrate.run()'), '2|3|4', 'the next CALL goes on');
is(value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'no invalid index is left');

# kill -9: both runners are gone, and the next goes on.
database($online);
my $barrier = session();
$barrier->query_safe($_) foreach @writer;
my $first = start_psql('CALL migrate.run()');
waits($first, 'Lock');
is(value('SELECT state FROM migrate.status() WHERE version = $$2$$'), 'running', 'an online run at work is told so');

# Whoever waits in a CALL hinders nobody; whoever waits in a function gives up.
my $second = start_psql('CALL migrate.run()');
waits($second, 'Extension');
my $held = value(qq{
	DO \$\$
	DECLARE seen int := 0;
	BEGIN
		FOR i IN 1 .. 200 LOOP
			PERFORM pg_sleep(0.003);
			PERFORM pg_stat_clear_snapshot();
			seen := seen + (SELECT count(*) FROM pg_stat_activity WHERE pid = $second->{pid}
				AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR wait_event_type IS DISTINCT FROM 'Extension'))
			  + (SELECT count(*) FROM pg_locks WHERE pid = $second->{pid} AND locktype <> 'virtualxid');
		END LOOP;
		PERFORM set_config('my.seen', seen::text, false);
	END \$\$;
	SHOW my.seen});
cmp_ok($held, '<', 10, 'a waiting CALL has neither snapshot nor xid nor lock');
my $start = time;
isnt($node->psql($database, '\set VERBOSITY verbose' . "\nSELECT migrate.apply()", stderr => \my $stderr), 0, 'apply() beside it');
like($stderr, qr/ERROR:  55P03.*HINT:  It runs online migrations/s, 'is refused');
cmp_ok(time - $start, '<', 2, 'at once');

kill 'KILL', $first->{pid};
is(outcome($first) . outcome($second), 'lostlost', 'kill -9 ends all');
eval { $barrier->quit };
wait_until('true', 'the restart');
is(value('SELECT state FROM migrate.status() WHERE version = $$2$$'), 'interrupted', 'it is told as interrupted');
like(value('CALL migrate.run()'), qr/^2\|3\|/, 'the next CALL goes on');
is(history() . ' ' . runs(), '1 apply, 2 apply, 3 apply open, 2', 'and records it');
is(value('SELECT count(*) FROM pg_index WHERE NOT indisvalid'), '0', 'nothing is left');

# Where the CALL is refused
database($online);

sub refused
{
	my ($what, $sql, $pattern) = @_;
	my $begun = time;
	my ($rc, $stdout, $err) = $node->psql($database, $sql, extra_params => [ '-v', 'VERBOSITY=verbose' ], on_error_stop => 0);

	like($err, $pattern // qr/ERROR:  25001/, "refused: $what");
	cmp_ok(time - $begun, '<', 2, "refused at once: $what");
	return;
}
$node->safe_psql($database, q{
	CREATE PROCEDURE p() LANGUAGE plpgsql AS 'BEGIN CALL migrate.run(); END';
	CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'DECLARE a bigint; b text; c bigint; BEGIN CALL migrate.run(NULL, '''', '''', '''', a, b, c); END'});
refused('in a transaction block', "BEGIN;\nCALL migrate.run();\nROLLBACK");
refused('below a savepoint', "BEGIN;\nSAVEPOINT s;\nCALL migrate.run();\nROLLBACK");
refused('in a function', 'SELECT f()');
refused('in a procedure', 'CALL p()', qr/ERROR:  (25001|42601)/);
refused('in DO', q{DO 'DECLARE a bigint; b text; c bigint; BEGIN CALL migrate.run(NULL, '''', '''', '''', a, b, c); END'});
refused('in a subtransaction', q{DO 'DECLARE a bigint; b text; c bigint; BEGIN BEGIN CALL migrate.run(NULL, '''', '''', '''', a, b, c); EXCEPTION WHEN division_by_zero THEN NULL; END; END'});
refused('with others in a message', 'CALL migrate.run()\;SELECT 1');
refused('read only', "SET default_transaction_read_only = on;\nCALL migrate.run()", qr/ERROR:  25006/);
my $pipeline = PostgreSQL::Test::Utils::tempdir() . '/pipeline';
append_to_file($pipeline, "\\startpipeline\nSELECT 1;\nCALL migrate.run();\n\\endpipeline\n");
$node->command_fails_like([ 'pgbench', '-n', '-M', 'extended', '-t', '1', '-f', $pipeline, $database ],
	qr/cannot be executed within a pipeline/, 'refused: amid a pipeline');
is(history(), '', 'nothing was run');

# Settings of the session: before as after, also after an error
my $settings = q{
	SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE source = 'session'
	UNION ALL SELECT current_setting('my.own') || current_user || session_user};
database(q{
	RESET my.own; SET my.other = 'x'; SET search_path = pg_catalog; SET work_mem = '9MB'; VACUUM public.big; SET ROLE pg_monitor;
	RESET maintenance_work_mem; SET client_encoding = latin1; SET DateStyle = german; SELECT public.boom()});
value(q{SELECT migrate.approve('2', may_set_role => true)});
my $session = session();
$session->query_safe($_) foreach ('CREATE ROLE somebody SUPERUSER', 'SET SESSION AUTHORIZATION somebody', q{SET my.own = 'mine'},
	'SET client_min_messages = warning', q{SET maintenance_work_mem = '99MB'}, 'SET search_path = public, pg_temp', 'SET ROLE somebody');
my $before = $session->query_safe($settings);
foreach my $isolation ('serializable', 'repeatable read')
{
	$session->query_safe("SET default_transaction_isolation = '$isolation'");
	my ($result, $failed) = $session->query('CALL migrate.run()');
	$session->{stderr} = '';
	is($failed, $isolation eq 'serializable' ? 1 : 0, "$isolation by default: error or not");
	$session->query_safe('RESET default_transaction_isolation');
	is($session->query_safe($settings), $before, "$isolation by default: the session is as it was");
}
is(history(), '1 apply, 2 failed 22012, 2 apply, 3 apply', 'both have run');
$session->quit;

# A standby
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
my ($rc, $stdout, $err) = $standby->psql($database, 'CALL migrate.run()', extra_params => [ '-v', 'VERBOSITY=verbose' ]);
like($err, qr/ERROR:  25006/, 'a standby refuses it');
$standby->stop;

# Who came after the migration, and has the lock because it gave up, was not in its way.
database("ALTER TABLE big ADD c int; $insert");
my ($reader, $late) = (session(), session());
my $reader_pid = $reader->query_safe('SELECT pg_backend_pid()');
my $late_pid = $late->query_safe('SELECT pg_backend_pid()');
$reader->query_safe($_) foreach ('BEGIN', 'SELECT count(*) FROM big');
my $runner = start_psql(q{SET dbmigrate.lock_timeout = '3s'}, 'SET dbmigrate.retries = 0', 'CALL migrate.run()');
waits($runner, 'Lock');
usleep(500_000);
$late->query_until(qr/behind/, "\\echo behind\nBEGIN; SELECT count(*) FROM big;\n");
is(outcome($runner), '55P03', 'a queue: lock timeout');
like($runner->{stderr}, qr/In the way: process $reader_pid /, 'a queue: who held the lock is in the way');
unlike($runner->{stderr}, qr/process $late_pid /, 'a queue: who waited behind us is not');
$_->quit foreach ($late, $reader);

# Many
database($insert);
$node->safe_psql($database, q{SELECT count(migrate.add((100 + g)::text, 'm', 'INSERT INTO done VALUES (' || 100 + g || ')', '')) FROM generate_series(1, 3000) g});
$session = session();
$session->query_safe('SET dbmigrate.progress = off');
my @used;
foreach my $part (1 .. 3)
{
	my $begun = time;
	$session->query_safe('CALL migrate.run(1000)');
	push @used, [ time - $begun, $session->query_safe('SELECT sum(total_bytes) FROM pg_backend_memory_contexts') ];
}
note(join ', ', map { "$_->[0] s $_->[1]" } @used);
cmp_ok($used[2][0], '<', 3 * $used[0][0] + 1, '3000 migrations: the last thousand takes as long as the first');
cmp_ok($used[2][1] - $used[0][1], '<', 4_000_000, '3000 migrations: the memory stays');
is(value('SELECT count(DISTINCT transaction_id) FROM migrate.history WHERE action = $$apply$$'), '3000', 'each in its own transaction');
$session->quit;

$node->stop;
done_testing();
