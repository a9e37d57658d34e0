# Crashes: a run of 60 migrations in one transaction is ended by kill -9 of its
# backend, kill -9 of the postmaster or an immediate stop, at a known place and
# at random moments.  Afterwards all 60 are applied or none, and the next run
# completes.  DBMIGRATE_CRASH_CYCLES is the number of random moments.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $cycles = $ENV{DBMIGRATE_CRASH_CYCLES} || 10;
my $seed = $ENV{DBMIGRATE_CRASH_SEED} || int(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
restart_after_crash = on
log_statement = none
dbmigrate.progress = off
});
$node->start;

$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	SELECT migrate.add(i::text, 'm' || i,
	           format(E'CREATE TABLE t%1$s (i int PRIMARY KEY);\nINSERT INTO t%1$s SELECT generate_series(1, 100);%2$s', i,
	                  CASE WHEN i = 30 THEN E'\nSELECT pg_advisory_xact_lock(7);' END),
	           format('%2$s DROP TABLE t%1$s', i,
	                  CASE WHEN i = 30 THEN 'SELECT pg_advisory_xact_lock(7);' END))
	  FROM generate_series(1, 60) i});

# psql in the background
sub start_psql
{
	my ($sql) = @_;
	my %psql = (output => '');

	$psql{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'),
			'-c', 'SELECT pg_backend_pid()', '-c', $sql, '-c', '\echo ended'
		],
		'<', \undef, '>', \$psql{output}, '2>', \$psql{output},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

# The pid of the backend that runs it.
sub backend_of
{
	my ($psql) = @_;

	$psql->{run}->pump until $psql->{output} =~ /^(\d+)$/m;
	return $1;
}

sub kill_backend
{
	my ($psql) = @_;

	my $pid = backend_of($psql);

	$psql->{run}->pump_nb;
	kill 'KILL', $pid if $psql->{output} !~ /^ended$/m;
	$psql->{run}->finish;
	$node->poll_query_until('postgres', 'SELECT true') or die 'the server did not come back';
	return;
}

sub stop_immediately
{
	my ($psql) = @_;

	$node->stop('immediate');
	$psql->{run}->finish;
	$node->start;
	return;
}

# The server's processes need a moment to notice, and until then none can start.
sub kill_postmaster
{
	my ($psql) = @_;
	my $tries = 10 * $PostgreSQL::Test::Utils::timeout_default;

	$node->kill9;
	$psql->{run}->finish;
	while (!$node->start(fail_ok => 1))
	{
		die 'the server does not start' if $tries-- == 0;
		usleep(100_000);
		$node->stop('fast', fail_ok => 1);
	}
	return;
}

my @ways = (
	[ 'kill -9 of the backend', \&kill_backend ],
	[ 'an immediate stop', \&stop_immediately ],
	[ 'kill -9 of the postmaster', \&kill_postmaster ]);

# How many are applied; every record of it must say the same.
sub applied
{
	my %counts = map { $_ => 1 } split /,/, $node->safe_psql('postgres', q{
		SELECT concat_ws(',',
		    (SELECT count(*) FROM migrate.applied),
		    (SELECT count(*) FROM migrate.status() WHERE state = 'applied'),
		    (SELECT count(*) FILTER (WHERE action = 'apply') - count(*) FILTER (WHERE action = 'rollback')
		       FROM migrate.history),
		    (SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]+$'),
		    (SELECT count(*) FROM pg_class WHERE relkind = 'i' AND relname ~ '^t[0-9]+_pkey$'))});

	return join ' or ', sort { $a <=> $b } keys %counts;
}

sub rows
{
	return $node->safe_psql('postgres', q{
		SELECT sum((xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || relname, false, true, '')))[1]::text::int)
		  FROM pg_class WHERE relkind = 'r' AND relname ~ '^t[0-9]+$'});
}

sub crashes
{
	my ($way, $psql, $name, $expected) = @_;

	$way->($psql);
	like(applied(), $expected, "$name: all or nothing");
	$node->safe_psql('postgres', q{SET dbmigrate.lock_wait = 0; SELECT FROM migrate.apply()});
	is(applied() . ' ' . rows(), '60 6000', "$name: the next run completes");
	return;
}

sub roll_back_all
{
	return $node->safe_psql('postgres', q{SELECT FROM migrate.rollback_to('0')});
}

# How long does it take?  The first time longer than later.
$node->safe_psql('postgres', 'SELECT FROM migrate.apply()');
is(applied() . ' ' . rows(), '60 6000', 'a run without a crash applies 60');
roll_back_all();
my $start = time;
$node->safe_psql('postgres', 'SELECT FROM migrate.apply()');
my $duration = time - $start;

# In the middle of a run, with others that wait for the lock: both directions
foreach my $way (@ways)
{
	my ($what, $crash) = @$way;

	foreach my $call ([ 'apply()', qr/^0$/ ], [ q{rollback_to('0')}, qr/^60$/ ])
	{
		my ($function, $expected) = @$call;
		my $barrier = $node->background_psql('postgres', on_error_stop => 0);

		roll_back_all() if $function eq 'apply()';
		$barrier->query_safe('SELECT pg_advisory_lock(7)');
		my $psql = start_psql("SELECT FROM migrate.$function");
		$node->poll_query_until('postgres',
			q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted})
		  or die 'the run did not come to its middle';
		crashes($crash, $psql, "$what in the middle of $function", $expected);
		eval { $barrier->quit };
	}
}

# At random moments, from before the run to after its commit
srand($seed);
note("DBMIGRATE_CRASH_SEED=$seed, a run takes $duration s");
my %seen;
foreach my $cycle (1 .. $cycles)
{
	my ($what, $crash) = @{ $ways[ $cycle % @ways ] };
	my $moment = rand(0.9 * $duration);

	roll_back_all();
	my $psql = start_psql('SELECT FROM migrate.apply()');
	backend_of($psql);
	usleep(1e6 * $moment);
	crashes($crash, $psql, "cycle $cycle: $what", qr/^(0|60)$/);
	$seen{ $psql->{output} =~ /^ended$/m && $psql->{output} !~ /ERROR|FATAL|connection/ ? 'after' : 'before' }++;
}
note(join ', ', map { "$seen{$_} $_ the end of the run" } sort keys %seen);

# Nothing of it is damaged.
is($node->safe_psql('postgres', q{
		SELECT count(*) || ' ' || count(DISTINCT position) || ' ' || count(DISTINCT id) FROM migrate.applied}),
	'60 60 60', 'every migration has its own position');
$node->command_ok(
	[ 'pg_amcheck', '--install-missing', '--heapallindexed', '-d', 'postgres', '-s', 'migrate' ],
	'the tables and indexes of the extension are sound')
  if $node->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'});

$node->stop;
done_testing();
