# Somebody is in the way: who is told, and when; what gives way, and is tried
# again.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nmax_prepared_transactions = 2\n");
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION dbmigrate; SELECT migrate.manage('a test')});

sub value { return scalar $node->safe_psql('postgres', $_[0]) }

# Tables, and these scripts as migrations 1, 2, ...
sub fresh
{
	my (@scripts) = @_;
	my $number = 0;

	value(q{DROP TABLE IF EXISTS a, b, c; CREATE TABLE a (x int); CREATE TABLE b (x int); CREATE TABLE c (x int);
		DELETE FROM migrate.applied; DELETE FROM migrate.migration; DELETE FROM migrate.history WHERE action <> 'manage'; DELETE FROM migrate.progress});
	$node->safe_psql('postgres', "SELECT migrate.add('" . ++$number . "', 'm', \$_\$$_\$_\$, '')") foreach @scripts;
	return;
}

sub history
{
	return value(q{SELECT string_agg(concat_ws(' ', version, action, sqlstate), ', ' ORDER BY id) FROM migrate.history WHERE action <> 'manage'});
}

# A session, and the number of its process
sub session
{
	my (@begin) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');

	$session->query_safe('\set VERBOSITY verbose');
	$session->query_safe($_) foreach @begin;
	return ($session, $pid);
}

# What a session is at work on, until it is finished
sub begin { my ($session, $sql) = @_; $session->query_until(qr/begun/, "\\echo begun\n$sql;\n\\echo state :SQLSTATE\n"); return }

sub finish
{
	my ($session) = @_;
	my $out = $session->query_until(qr/state \w+/, "\n");
	my $said = $session->{stderr};

	$session->{stderr} = '';
	return (($out =~ /state (\w+)/)[0], $said);
}

sub until_true
{
	my ($sql, $what) = @_;

	$node->poll_query_until('postgres', "SELECT $sql") or die "$what: not in time";
	return;
}

sub until_it_waits
{
	my ($pid, $kind) = @_;

	until_true("EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = '$kind')", "$kind of $pid");
	return;
}

# How often the log says that a session waits
sub times_logged
{
	my ($pid) = @_;
	return scalar(() = slurp_file($node->logfile) =~ /process $pid still waiting for/g);
}

my ($holder, $holder_pid) = session('SET application_name = holder');
my $hold_b = 'BEGIN; SELECT count(*) FROM b';
my $change = 'ALTER TABLE a ADD y int; ALTER TABLE b ADD y int';
my @impatient = (q{SET dbmigrate.lock_timeout = '200ms'}, 'SET dbmigrate.retries = 20');

# SELECT migrate.apply(): the first migration gives way.
{
	fresh($change, 'CREATE TABLE IF NOT EXISTS c (x int)');
	my ($runner, $pid) = session(@impatient);
	$holder->query_safe($hold_b);
	begin($runner, 'SELECT count(*) FROM migrate.apply()');
	until_it_waits($pid, 'Extension');
	is(value("SELECT count(*) FROM pg_locks WHERE pid = $pid AND relation IN ('a'::regclass, 'b'::regclass)"), 0,
		'apply(): in the pause it has none of the locks of its migration');
	is(value('SELECT count(*) FROM a'), 0, 'apply(): others go on');
	until_it_waits($pid, 'Lock');
	until_it_waits($pid, 'Extension');
	$holder->query_safe('COMMIT');
	my ($state, $said) = finish($runner);
	is($state, '00000', 'apply(): goes on when nobody is in the way') or diag $said;
	like($said, qr/NOTICE:  00000: migration 1 did not get a lock, trying again in [\d.]+ s.*In the way: process $holder_pid of user "\w+" \(holder\), in a transaction since .*SELECT count/s,
		'apply(): a notice says who is in the way');
	like(history(), qr/^(1 retry 55P03, )+1 apply, 2 apply$/, 'apply(): attempts are in the history');
	like(value(q{SELECT DISTINCT reason FROM migrate.history WHERE action = 'retry'}),
		qr/^in the way: process $holder_pid of user "\w+" \(holder\), in a transaction since [^:]*:\d\d:\d\d\S*$/, 'apply(): with who was in the way');
	is(value('SELECT count(DISTINCT transaction_id) FROM migrate.history WHERE version IS NOT NULL'), 1, 'apply(): and are part of its transaction');
	$runner->quit;
}

# When it gives up
sub gives_up
{
	my ($what, $attempts, $sql, @settings) = @_;
	my ($runner, $pid) = session(@settings);

	$holder->query_safe($hold_b);
	my $begun = time;
	begin($runner, $sql);
	my ($state, $said) = finish($runner);
	cmp_ok(time - $begun, '<', 10, "$what: in time");
	is($state, '55P03', "$what: gives up") or diag $said;
	is(scalar(() = $said =~ /trying again in/g), $attempts, "$what: tried again $attempts times");
	$holder->query_safe('COMMIT');
	$runner->query('ROLLBACK');
	$runner->quit;
	return $said;
}

my $short = q{SET lock_timeout = '200ms'};
my $once = 'SET dbmigrate.retries = 1';
my $apply = 'SELECT count(*) FROM migrate.apply()';

fresh($change, 'SELECT 2');
like(gives_up('after the last attempt', 1, $apply, $impatient[0], $once),
	qr/ERROR:  55P03: .*DETAIL:  In the way: process $holder_pid of user .*CONTEXT: .*migration 1 "m" \(up\), statement 2 at line 1/s, '... and the error says who was in the way');
is(history(), '', '... and nothing of it stays');
gives_up('where lock_timeout is less', 1, $apply, $short, $once);
gives_up('apply_to()', 1, q{SELECT count(*) FROM migrate.apply_to('1')}, $impatient[0], $once);
gives_up('apply_json()', 1, q{SELECT migrate.apply_json()}, $impatient[0], $once);
gives_up('without retries', 0, $apply, $short, 'SET dbmigrate.retries = 0');
gives_up('in a transaction block', 0, "BEGIN; $apply", $short);
gives_up('with other statements in a message', 0, "SELECT 1\\; $apply", $short);
gives_up('where something was done before', 0, q{DO $$ BEGIN INSERT INTO c VALUES (1); PERFORM migrate.apply(); END $$}, $short);
gives_up('below an exception block', 0, q{DO $$ BEGIN PERFORM migrate.apply(); EXCEPTION WHEN division_by_zero THEN NULL; END $$}, $short);
fresh('SELECT 1', $change);
gives_up('the second migration', 0, $apply, $short);
is(value('SELECT count(*) FROM migrate.applied'), 0, '... and the first is undone with it');

# ... which waits as long as lock_timeout says.
{
	my ($runner, $pid) = session(@impatient);
	$holder->query_safe($hold_b);
	begin($runner, $apply);
	until_it_waits($pid, 'Lock');
	usleep(600_000);
	until_it_waits($pid, 'Lock');
	$holder->query_safe('COMMIT');
	my ($state, $said) = finish($runner);
	is($state, '00000', 'the second migration waits longer than dbmigrate.lock_timeout') or diag $said;
	$runner->quit;
}

# Who stood behind us has the lock because we gave up, and was in nobody's way.
{
	fresh($change);
	my ($runner, $pid) = session(q{SET dbmigrate.lock_timeout = '1s'}, 'SET dbmigrate.retries = 0');
	my ($behind, $behind_pid) = session();
	$holder->query_safe($hold_b);
	begin($runner, 'CALL migrate.run()');
	until_it_waits($pid, 'Lock');
	begin($behind, 'BEGIN; SELECT count(*) FROM b');
	until_it_waits($behind_pid, 'Lock');
	my ($state, $said) = finish($runner);
	is($state, '55P03', 'somebody behind: it gives up');
	like($said, qr/In the way: process $holder_pid /, 'somebody behind: the one before us is named');
	unlike($said, qr/process $behind_pid /, 'somebody behind: he is not');
	finish($behind);
	$holder->query_safe('COMMIT');
	$_->quit foreach ($runner, $behind);
}

# A deadlock is dissolved by another attempt; what is wrong otherwise is told at once.
{
	fresh('LOCK a; SELECT pg_advisory_xact_lock(7); LOCK b');
	my ($runner, $pid) = session(q{SET deadlock_timeout = '100ms'});
	my ($gate) = session('SELECT pg_advisory_lock(7)');
	$holder->query_safe($_) foreach (q{SET deadlock_timeout = '1min'}, 'BEGIN', 'LOCK b');
	begin($runner, $apply);
	until_it_waits($pid, 'Lock');
	begin($holder, 'LOCK a');
	until_it_waits($holder_pid, 'Lock');
	$gate->query_safe('SELECT pg_advisory_unlock(7)');
	is((finish($holder))[0], '00000', 'deadlock: the other one goes on');
	$holder->query_safe('COMMIT');
	my ($state, $said) = finish($runner);
	is($state, '00000', 'deadlock: and then the migration') or diag $said;
	is(history(), '1 retry 40P01, 1 apply', 'deadlock: which was tried twice');
	$_->quit foreach ($runner, $gate);

	fresh('SELECT 1/0');
	my ($rc, $out, $err) = $node->psql('postgres', $apply);
	like($err, qr/^\S+ ERROR:  division by zero\n(?!.*trying again)/, 'another error is no reason to try again');
}

# An online statement that waits says for whom while it waits ...
my $index = "SET work_mem = '9MB';\nCREATE INDEX CONCURRENTLY a_x ON a (x)";
foreach my $case (
	[ 'a writer', 'INSERT INTO a VALUES (1)', $index ],
	[ 'an old snapshot', 'SELECT count(*) FROM b', $index, 'ISOLATION LEVEL REPEATABLE READ' ],
	[ 'a reader', 'SELECT count(*) FROM a', "ALTER TABLE a ADD y int;\nVACUUM b" ])
{
	my ($what, $sql, $script, $isolation) = @$case;
	my ($runner, $pid) = session(q{SET deadlock_timeout = '100ms'});

	fresh($script);
	$holder->query_safe('BEGIN ' . ($isolation // ''));
	$holder->query_safe($sql);
	begin($runner, 'CALL migrate.run()');
	my $deadline = time + 30;
	while ($runner->{stderr} !~ /HINT:/ && time < $deadline) { $runner->{run}->pump_nb; usleep(50_000) }
	like($runner->{stderr},
		qr/NOTICE:  00000: waiting for a lock\nDETAIL:  In the way: process $holder_pid\.\nHINT:  See what it does: SELECT .* WHERE pid IN \($holder_pid\);/,
		"online, $what: told while it waits");
	usleep(500_000);
	$runner->{run}->pump_nb;
	is(scalar(() = $runner->{stderr} =~ /waiting for a lock/g), 1, "online, $what: once");
	is(times_logged($pid), 1, "online, $what: and so in the log");
	$holder->query_safe('COMMIT');
	my ($state, $said) = finish($runner);
	is($state, '00000', "online, $what: then it goes on") or diag $said;
	is($runner->query_safe('SHOW log_lock_waits'), 'off', "online, $what: the settings are as before");
	$runner->quit;
}
{
	fresh($index);
	my ($runner, $pid) = session(q{SET deadlock_timeout = '100ms'}, q{SET lock_timeout = '2s'});
	$holder->query_safe($_) foreach ('BEGIN', 'INSERT INTO a VALUES (1)', q{PREPARE TRANSACTION 'p'});
	begin($runner, 'CALL migrate.run()');
	like((finish($runner))[1], qr/In the way: a prepared transaction\./, 'online: also if it is a prepared transaction');
	$holder->query_safe(q{ROLLBACK PREPARED 'p'});
	$runner->quit;
}

# ... and the error says it, too.
foreach my $case ([ lock_timeout => '55P03' ], [ statement_timeout => '57014' ])
{
	my ($setting, $sqlstate) = @$case;
	my ($runner, $pid) = session("SET $setting = '700ms'");

	fresh($index);
	$holder->query_safe($_) foreach ('BEGIN', 'INSERT INTO a VALUES (1)');
	begin($runner, 'CALL migrate.run()');
	my ($state, $said) = finish($runner);
	is($state, $sqlstate, "online, $setting: ends it");
	like($said, qr/ERROR: .*DETAIL:  In the way: process $holder_pid of user "\w+" \(holder\), in a transaction since .*INSERT INTO a/s, "online, $setting: and says who was in the way");
	like(value(q{SELECT reason FROM migrate.history WHERE action = 'failed'}), qr/^in the way: process $holder_pid of user /, "online, $setting: the history has it");
	$holder->query_safe('COMMIT');
	begin($runner, 'CALL migrate.run()');
	is((finish($runner))[0], '00000', "online, $setting: it goes on");
	$runner->quit;
}

# Somebody is at our own table: the error is about that, not about our statement.
{
	my ($runner) = session(q{SET lock_timeout = '200ms'});

	fresh($index);
	$holder->query_safe($_) foreach ('BEGIN', 'LOCK migrate.progress');
	begin($runner, 'CALL migrate.run()');
	my ($state, $said) = finish($runner);
	is($state, '55P03', 'our own table is locked');
	like($said, qr/HINT:  Another transaction holds/, '... and that is told');
	unlike($said, qr/migrate\.progress|LINE 1/, '... but not the statement');
	$holder->query_safe('COMMIT');
	$runner->quit;
}

# Autovacuum gives way when what an earlier run has left is dropped.
{
	my ($runner, $pid) = session(q{SET deadlock_timeout = '100ms'});

	fresh("CREATE UNIQUE INDEX CONCURRENTLY a_x ON a (x)");
	value('INSERT INTO a SELECT 1 FROM generate_series(1, 40000)');
	begin($runner, 'CALL migrate.run()');
	is((finish($runner))[0], '23505', 'an index that cannot be unique');
	value(q{DELETE FROM a; ALTER TABLE a SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_scale_factor = 0,
		autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)});
	$node->append_conf('postgresql.conf', "autovacuum = on\nautovacuum_naptime = 1s\n");
	$node->reload;
	until_true(q{EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'a'::regclass)}, 'autovacuum');
	begin($runner, 'CALL migrate.run()');
	my ($state, $said) = finish($runner);
	is($state, '00000', '... is dropped although autovacuum is at its table') or diag $said;
	$runner->quit;
}

$holder->quit;
$node->stop;
done_testing();
