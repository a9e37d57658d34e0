# Concurrent runs: many sessions at once, who is named as the holder of the run
# lock, cancel, terminate and timeouts in the middle of a run, what other
# sessions see of a run, and what does not matter (other databases, advisory
# locks of the application).

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $folder = PostgreSQL::Test::Utils::tempdir();
my $files = 0;
my $rounds = $ENV{DBMIGRATE_CONCURRENCY_ROUNDS} || 3;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
log_statement = none
max_prepared_transactions = 5
statement_timeout = 60s
dbmigrate.progress = off
});
$node->start;
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');

# A database with the extension and these migrations: version => up script.
sub database
{
	my ($database, %migrations) = @_;

	$node->safe_psql('postgres', "DROP DATABASE IF EXISTS $database");
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate');
	foreach my $version (sort keys %migrations)
	{
		$node->safe_psql($database,
			"SELECT migrate.add('$version', 'm$version', \$up\$$migrations{$version}\$up\$, '')");
	}
	return;
}

# The value of a query, without waiting for anything.
sub value
{
	my ($database, $query) = @_;

	return scalar $node->safe_psql($database, $query);
}

# psql in the background, which runs the SQL and ends.
sub start_psql
{
	my ($database, $sql) = @_;
	my %psql = (stdout => '', stderr => '');
	my $file = sprintf '%s/%d.sql', $folder, ++$files;

	append_to_file($file, $sql);
	$psql{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-d', $node->connstr($database),
			'-v', 'VERBOSITY=verbose', '-f', $file
		],
		'<', \undef, '>', \$psql{stdout}, '2>', \$psql{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

sub finish_psql
{
	my ($psql) = @_;

	$psql->{run}->finish;
	return ($psql->{stdout}, $psql->{stderr});
}

# A session that is used step by step.
sub session
{
	my ($database, @options) = @_;

	return $node->background_psql($database, on_error_stop => 0, @options);
}

# The pid of the one session that waits for an advisory lock.
sub wait_for_barrier
{
	my ($database) = @_;
	my $waiting = "FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
	  . ' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())';

	$node->poll_query_until($database, "SELECT count(*) = 1 $waiting")
	  or die 'nobody came to the barrier';
	return value($database, "SELECT pid $waiting");
}

# What a run must not leave behind.
sub is_untouched
{
	my ($database, $what) = @_;

	is(value($database, q{
			SELECT (SELECT count(*) FROM migrate.applied) || ' applied, '
			    || (SELECT count(*) FROM migrate.history) || ' in history, '
			    || (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') || ' tables'}),
		'0 applied, 0 in history, 0 tables',
		"nothing is left of a run that was $what");
	is(value($database, q{SELECT count(*) FROM pg_locks WHERE locktype = 'object' AND objsubid <> 0}),
		'0', "the run lock is free after a run that was $what");
	return;
}

# Many at once
#
# All clients wait for a shared advisory lock and are let go together.

sub round
{
	my ($clients, $lock_wait) = @_;
	my $starter = session('crowd');
	my (@psql, %ends);
	my $applied = 0;

	$starter->query_safe('SELECT pg_advisory_lock(1)');
	push @psql, start_psql('crowd', qq{
		SET dbmigrate.lock_wait = '$lock_wait';
		SELECT pg_advisory_lock_shared(1);
		SELECT 'applied ' || version FROM migrate.apply();
		\\echo end :SQLSTATE
		}) for 1 .. $clients;
	$node->poll_query_until('crowd',
		"SELECT count(*) = $clients FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
	  or die 'not all clients came to the start';
	$starter->query_safe('SELECT pg_advisory_unlock(1)');
	$starter->quit;

	foreach my $psql (@psql)
	{
		my ($stdout, $stderr) = finish_psql($psql);
		my ($end) = $stdout =~ /^end (\w{5})$/m ? $1 : 'none';

		$applied += () = $stdout =~ /^applied /mg;
		$ends{$end}++;
		diag($stderr) if $end !~ /^(00000|55P03)$/;
	}
	my $ends = join ', ', sort keys %ends;
	my $name = "$clients clients at once, lock_wait $lock_wait";

	is($applied, 20, "$name: 20 migrations were reported as applied, by whomever");
	is(value('crowd', q{
			SELECT (SELECT count(*) || ' ' || count(DISTINCT id) FROM migrate.applied) || ', '
			    || (SELECT count(*) || ' ' || count(DISTINCT migration) FROM migrate.history) || ', '
			    || (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')}),
		'20 20, 20 20, 20', "$name: each was applied once, recorded once and made one table");
	if ($lock_wait eq '0')
	{
		like($ends, qr/^(00000|00000, 55P03)$/, "$name: every client succeeded or was told 55P03");
	}
	else
	{
		is($ends, '00000', "$name: every client succeeded");
	}
	return;
}

sub crowd
{
	my ($clients, $lock_wait) = @_;

	for (1 .. $rounds)
	{
		database('crowd');
		$node->safe_psql('crowd', q{
			SELECT migrate.add(i::text, 'm' || i, format('CREATE TABLE t%s (); SELECT pg_sleep(0.002)', i))
			  FROM generate_series(1, 20) i});
		round($clients, $lock_wait);
	}
	return;
}

crowd(2, '1min');
crowd(2, '0');
crowd(8, '1min');
crowd(8, '0');

# Who holds the lock

database('held', 1 => 'CREATE TABLE one ()', 2 => 'CREATE TABLE two ()');
$node->safe_psql('held', q{
	CREATE ROLE deployer LOGIN;
	CREATE ROLE watcher LOGIN;
	GRANT USAGE ON SCHEMA migrate TO deployer, watcher;
	GRANT EXECUTE ON FUNCTION migrate.apply TO deployer, watcher;
	GRANT CREATE ON SCHEMA public TO deployer, watcher});

my $holder = session('held', extra_params => [ '-U', 'deployer' ]);
$holder->query_safe(q{SET application_name = 'release 100%s'});
$holder->query_safe('BEGIN');
my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
my $since = $holder->query_safe(q{SELECT date_trunc('second', now())});
$holder->query_safe('SELECT FROM migrate.apply(1)');

my ($stdout, $stderr);
$node->psql('held', "SET dbmigrate.lock_wait = 0;\n\\set VERBOSITY verbose\nSELECT FROM migrate.apply()",
	extra_params => [ '-U', 'watcher' ], on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/ERROR:  55P03: could not obtain the migration lock of database "held"/,
	'a second run without a wait ends with 55P03 and the name of the database');
like($stderr,
	qr/DETAIL:  It is held by process $holder_pid of user "deployer" \(release 100%s\), in a transaction since \Q$since\E\./,
	'the holder is named to an ordinary user: pid, user, application, since when');
like($stderr, qr/HINT:  .*SET dbmigrate\.lock_wait/, 'the hint tells how to wait longer');

my $waiter = start_psql('held', q{
	SET dbmigrate.progress = on;
	SET dbmigrate.lock_wait = '5min';
	SELECT 'applied ' || version FROM migrate.apply();
	});
$node->poll_query_until('held',
	q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Extension' AND state = 'active'})
  or die 'nobody waits';
$holder->query_safe('ROLLBACK');
($stdout, $stderr) = finish_psql($waiter);
is($stdout, "applied 1\napplied 2\n", 'who waited applies everything after a rollback');
like($stderr, qr/waiting for another migration run.*process $holder_pid of user "deployer"/s,
	'who waits is told for whom');
$holder->quit;

# Two who register the same: the one who does not wait is told so, and nothing of our own statements
$holder = session('held');
$holder->query_safe('BEGIN');
$holder->query_safe(q{SELECT migrate.add('7', 'same', 'SELECT 1')});
$node->psql('held', q{SET dbmigrate.lock_wait = 0; DO $$ BEGIN PERFORM migrate.add('7', 'same', 'SELECT 1'); END $$},
	on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/canceling statement due to lock timeout\nHINT:  Another transaction registers migration 7 as well/, 'registering without a wait');
like($stderr, qr/CONTEXT:.*PL\/pgSQL function/s, 'the context of the caller stays');
unlike($stderr, qr/INSERT|SQL statement "INSERT/, 'the statement of the library is not shown');
$holder->quit;

# Cancelling somebody who waits for the lock.
database('held', 1 => 'CREATE TABLE one ()');
$holder = session('held');
$holder->query_safe('BEGIN');
$holder->query_safe('SELECT FROM migrate.apply()');
$waiter = start_psql('held', q{
	SET dbmigrate.lock_wait = '1d';
	SELECT migrate.apply();
	});
$node->poll_query_until('held', q{
	SELECT count(pg_cancel_backend(pid)) = 1 FROM pg_stat_activity
	 WHERE wait_event_type = 'Extension' AND state = 'active'})
  or die 'nobody waits';
($stdout, $stderr) = finish_psql($waiter);
like($stderr, qr/ERROR:  57014:/, 'waiting for the run lock can be cancelled');

# Neither of these lets go of the lock.
$holder->query_safe('SELECT pg_advisory_unlock_all()');
$holder->query_safe('SAVEPOINT s');
$holder->query_safe('ROLLBACK TO s');
$node->psql('held', "SET dbmigrate.lock_wait = 0;\n\\set VERBOSITY sqlstate\nSELECT FROM migrate.apply()",
	on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/55P03/, 'pg_advisory_unlock_all() and a later savepoint do not release the lock');
$holder->quit;

# Prepared transaction

$node->safe_psql('held', q{
	BEGIN;
	SELECT FROM migrate.apply();
	PREPARE TRANSACTION 'release 42';
	});
$since = value('held', q{SELECT date_trunc('second', prepared) FROM pg_prepared_xacts});
$node->psql('held', "SET dbmigrate.lock_wait = 0;\n\\set VERBOSITY verbose\nSELECT FROM migrate.apply()",
	on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/ERROR:  55P03:/, 'a prepared run holds the lock');
like($stderr,
	qr/DETAIL:  It is held by the prepared transaction "release 42" of user "\Q$superuser\E", since \Q$since\E; end it with COMMIT PREPARED or ROLLBACK PREPARED\./,
	'a prepared transaction is named by its gid, with what ends it');
$node->restart;
$node->psql('held', "SET dbmigrate.lock_wait = 0;\n\\set VERBOSITY verbose\nSELECT FROM migrate.apply()",
	on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/prepared transaction "release 42"/, 'a prepared run holds the lock after a restart, too');
$node->safe_psql('held', q{ROLLBACK PREPARED 'release 42'});
is(value('held', q{SET dbmigrate.lock_wait = 0; SELECT version FROM migrate.apply()}),
	'1', 'ROLLBACK PREPARED releases the lock and takes the run back');
$node->safe_psql('held', q{SELECT migrate.add('2', 'two', 'CREATE TABLE two ()')});
$node->safe_psql('held', q{
	BEGIN;
	SELECT FROM migrate.apply();
	PREPARE TRANSACTION 'release 43';
	});
$node->safe_psql('held', q{COMMIT PREPARED 'release 43'});
is(value('held', q{SELECT string_agg(version || ' ' || state, ', ' ORDER BY version) FROM migrate.status()}),
	'1 applied, 2 applied', 'COMMIT PREPARED makes the run count');
$node->safe_psql('held', q{SELECT migrate.add('3', 'three', 'CREATE TABLE three ()')});
$node->safe_psql('held', qq{
	BEGIN;
	SELECT FROM migrate.apply();
	PREPARE TRANSACTION E'\\x1b[2J';
	});
$node->psql('held', "SET dbmigrate.lock_wait = 0;\nSELECT FROM migrate.apply()", on_error_stop => 0, stderr => \$stderr);
like($stderr, qr/prepared transaction "\?\[2J"/, 'a gid reaches a terminal without control characters');
$node->safe_psql('held', q{ROLLBACK PREPARED E'\x1b[2J'});

# Advisory locks of the application

database('advisory', 1 => 'CREATE TABLE one ()');
my $application = session('advisory');
$application->query_safe(q{
	SELECT count(pg_advisory_lock(k)), count(pg_advisory_lock(k, 28007))
	  FROM (SELECT generate_series(0, 1000)::int
	        UNION SELECT oid::int FROM pg_extension
	        UNION SELECT oid::int FROM pg_database
	        UNION SELECT 'pg_extension'::regclass::oid::int) s(k)});
$application->query_safe(q{
	SELECT count(pg_advisory_lock('pg_extension'::regclass::oid::int, oid::int)) FROM pg_extension});
is(value('advisory', q{SET dbmigrate.lock_wait = 0; SELECT version FROM migrate.apply()}),
	'1', 'advisory locks of the application, on the same numbers as well, do not matter');
$application->quit;

# Other databases

database('neighbour', 1 => 'CREATE TABLE one ()');
database('held', 1 => 'CREATE TABLE one ()');
$holder = session('held');
$holder->query_safe('BEGIN');
$holder->query_safe('SELECT FROM migrate.apply()');
is(value('neighbour', q{SET dbmigrate.lock_wait = 0; SELECT version FROM migrate.apply()}),
	'1', 'a run in another database of the cluster does not matter');
$holder->quit;

# In the middle of a run
#
# The second migration waits at an advisory lock that somebody else holds.

my %stopping = (
	1 => 'CREATE TABLE before_it ()',
	2 => "CREATE TABLE in_it ();\nSET search_path = pg_catalog;\nSELECT pg_advisory_xact_lock(7);\nCREATE TABLE public.behind_it ();",
	3 => 'CREATE TABLE after_it ()');
my $barrier;

sub close_barrier
{
	my ($database, $key) = @_;

	$barrier = session($database);
	$barrier->query_safe("SELECT pg_advisory_lock($key)");
	return;
}

sub open_barrier
{
	$barrier->query_safe('SELECT pg_advisory_unlock_all()');
	$barrier->quit;
	return;
}

sub is_complete
{
	my ($database, $what) = @_;

	is(value($database, q{
			SET dbmigrate.lock_wait = 0;
			SELECT string_agg(version, ' ' ORDER BY version) FROM migrate.apply()}),
		'1 2 3', "after a run that was $what the next one works");
	return;
}

database('stopped', %stopping);
close_barrier('stopped', 7);
my $run = start_psql('stopped', q{
	SELECT migrate.apply();
	\echo state :SQLSTATE
	SHOW search_path;
	SELECT count(*) FROM migrate.status() WHERE state = 'pending';
	});
my $pid = wait_for_barrier('stopped');
is(value('stopped', "SELECT pg_cancel_backend($pid)"), 't', 'a cancel request is sent to a run');
($stdout, $stderr) = finish_psql($run);
is($stdout, "state 57014\n\"\$user\", public\n3\n",
	'a cancelled run ends with 57014; the session has its settings back and can be used');
like($stderr, qr/migration 2 "m2" \(up\), statement 3 at line 3/, 'the error says what was cancelled');
is_untouched('stopped', 'cancelled');
open_barrier();
is_complete('stopped', 'cancelled');

database('stopped', %stopping);
close_barrier('stopped', 7);
$run = start_psql('stopped', 'SELECT migrate.apply()');
$pid = wait_for_barrier('stopped');
is(value('stopped', "SELECT pg_terminate_backend($pid)"), 't', 'a run is told to terminate');
($stdout, $stderr) = finish_psql($run);
like($stderr, qr/FATAL:  57P01:/, 'a terminated run ends with 57P01');
$node->poll_query_until('stopped', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid")
  or die 'the session did not end';
is_untouched('stopped', 'terminated');
open_barrier();
is_complete('stopped', 'terminated');

# The client goes away; the server notices when it wants to send something.
database('stopped', %stopping);
close_barrier('stopped', 7);
$run = start_psql('stopped', "SET client_connection_check_interval = '50ms';\nSELECT migrate.apply()");
$pid = wait_for_barrier('stopped');
$run->{run}->kill_kill;
$node->poll_query_until('stopped', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid")
  or die 'the session did not end';
is_untouched('stopped', 'left by its client');
open_barrier();
is_complete('stopped', 'left by its client');

foreach my $setting ([ statement_timeout => '57014' ], [ lock_timeout => '55P03' ])
{
	my ($name, $sqlstate) = @$setting;

	database('stopped', %stopping);
	close_barrier('stopped', 7);
	($stdout, $stderr) = finish_psql(start_psql('stopped',
			"SET $name = '300ms';\nSELECT migrate.apply();\n\\echo state :SQLSTATE\nSHOW search_path;\n"));
	is($stdout, "state $sqlstate\n\"\$user\", public\n", "$name ends a run with $sqlstate");
	is_untouched('stopped', "ended by $name");
	open_barrier();
	is_complete('stopped', "ended by $name");
}

# What others see

database('watched',
	1 => 'CREATE TABLE one ()',
	2 => "CREATE TABLE two ();\nSELECT pg_advisory_xact_lock(7);\nCREATE TABLE three ();");
$node->safe_psql('watched', q{
	CREATE FUNCTION meet(bigint) RETURNS text LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_advisory_xact_lock(8); RETURN $1 || '' applied''; END'});
my $activity = q{SELECT state || ': ' || query FROM pg_stat_activity WHERE pid = };

close_barrier('watched', 7);
$barrier->query_safe('SELECT pg_advisory_lock(8)');
$run = session('watched');
$pid = $run->query_safe('SELECT pg_backend_pid()');
$run->query_until(qr/^started$/m, "\\echo started\nSELECT meet(count(*)) FROM migrate.apply();\n");
wait_for_barrier('watched');
like(value('watched', $activity . $pid),
	qr/^active: migration 2 of 2, statement 2 of 3 in run \d+: 2 "m2" \(up\): SELECT pg_advisory_xact_lock\(7\)$/,
	'others see which migration and which of its statements is running');
$barrier->query_safe('SELECT pg_advisory_unlock(7)');
$node->poll_query_until('watched',
	"SELECT count(*) = 1 FROM pg_locks WHERE pid = $pid AND locktype = 'advisory' AND NOT granted AND objid = 8")
  or die 'the run did not end';
is(value('watched', $activity . $pid),
	'active: SELECT meet(count(*)) FROM migrate.apply();',
	'after the last migration others see the caller\'s own query again');
open_barrier();
like($run->query('SELECT 1'), qr/^2 applied$/m, 'the watched run was complete');
$run->quit;

$node->safe_psql('watched', q{SELECT migrate.add('3', 'broken', 'SELECT 1 / 0')});
$run = session('watched');
$pid = $run->query_safe('SELECT pg_backend_pid()');
$run->query('SELECT migrate.apply()');
$run->query('BEGIN');
$run->query('SAVEPOINT s');
$run->query_until(qr/^echoed$/m, "SELECT migrate.apply() /* failed */;\n\\echo echoed\n");
is(value('watched', $activity . $pid),
	'idle in transaction (aborted): SELECT migrate.apply() /* failed */;',
	'after a failed migration others see the caller\'s own query');
$run->quit;

$node->stop;
done_testing();
