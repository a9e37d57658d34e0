# What the attack tests share: a server with an attacker on it, and the canary.
#
# mallory	may create schemas and call all functions of ours; his schema
#		hostile comes first in everybody's search_path
# boss		a superuser, one of his victims; the extension belongs to another

package Attack;

use strict;
use warnings FATAL => 'all';

use File::Basename;
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

# It notes every query and its result, which are tens of thousands here.
{
	no warnings 'redefine';
	*PostgreSQL::Test::BackgroundPsql::note = sub { };
}

my $here = dirname(__FILE__);
my $heard = 0;

# make attack: everything.  make test: what is quick and finds nearly as much.
sub everything
{
	return ($ENV{DBMIGRATE_ATTACK} || '') eq 'all';
}

# Our own sources, for the tests that must not overlook what is new there.
sub sources
{
	return join '', map { slurp_file($_) } glob "$here/../../src/*.[ch] $here/../../src/*/*.[ch] $here/../../sql/*.sql";
}

sub start_server
{
	my ($settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new('main');

	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
	$node->append_conf('postgresql.conf', q{
log_statement = none
max_prepared_transactions = 5
statement_timeout = 60s
});
	$node->start;
	$node->safe_psql('postgres', q{
		CREATE ROLE mallory LOGIN;
		CREATE ROLE boss LOGIN SUPERUSER;
		CREATE DATABASE attack;
		GRANT CREATE ON DATABASE attack TO mallory;
		GRANT pg_read_server_files TO mallory});
	return $node;
}

# Copies of the functions of these names, or of all, and of everything else.
sub plant
{
	my ($node, @names) = @_;
	my ($rc, $out, $err) = run_psql($node, 'mallory', slurp_file("$here/plant.sql"),
		names => '{' . join(',', @names) . '}', pairs => everything() ? 'yes' : '');

	die $err if $rc != 0;
	return split /\n/, $out;
}

# From now on the attacker's schema comes first.
sub hide_the_catalog
{
	my ($node) = @_;

	$node->safe_psql('attack', qq{
		ALTER ROLE $_ SET search_path = hostile, pg_catalog;
		ALTER ROLE $_ SET client_min_messages = error}) for qw(mallory boss);
	return;
}

sub create_extension
{
	my ($node) = @_;

	$node->safe_psql('attack', q{
		CREATE EXTENSION dbmigrate;
		GRANT USAGE ON SCHEMA migrate TO mallory;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO mallory;
		GRANT SELECT ON migrate.schema_migrations, migrate.activity TO mallory});
	return;
}

# A session that lives as long as the test.
sub session
{
	my ($node, $role) = @_;
	my $session = $node->background_psql('attack', on_error_stop => 0, extra_params => [ $role ? ('-U', $role) : () ]);

	$session->set_query_timer_restart();
	$session->query_safe('SET client_min_messages = error');
	return $session;
}

sub psql_options
{
	my ($node, $role, %variables) = @_;

	return ('-U', $role, map { ('-v', "$_=$variables{$_}") } sort keys %variables);
}

sub run_psql
{
	my ($node, $role, $sql, %variables) = @_;

	return $node->psql('attack', $sql, on_error_stop => 0,
		extra_params => [ psql_options($node, $role, %variables) ]);
}

# In the background, a statement after the other; finish with $psql->{run}->finish.
sub start_psql
{
	my ($node, $role, @statements) = @_;
	my %psql = (stdout => '', stderr => '');

	$psql{run} = IPC::Run::start(
		[
			$node->installed_command('psql'), '-XAtq', '-d', $node->connstr('attack'),
			psql_options($node, $role), map { ('-c', $_) } @statements
		],
		'<', \undef, '>', \$psql{stdout}, '2>', \$psql{stderr},
		IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	return \%psql;
}

# What has sung since the last time: what it was, and for whom.
sub songs
{
	my ($node) = @_;
	my $log = slurp_file($node->logfile, $heard);
	my %songs;

	$heard += length $log;
	$songs{$1}++ while $log =~ /canary: (.*)$/mg;
	return join '; ', sort keys %songs;
}

1;
