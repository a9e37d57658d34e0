# The environment of a database is what a superuser has said it is, also in a
# session that has set something else before the library was loaded.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;

$node->safe_psql('postgres', q{
	CREATE DATABASE live;
	ALTER DATABASE live SET dbmigrate.environment = 'production';
	CREATE ROLE joe LOGIN;
	CREATE ROLE boss LOGIN;
	CREATE DATABASE own OWNER joe;
});
$node->safe_psql('live', q{
	CREATE EXTENSION dbmigrate;
	GRANT USAGE ON SCHEMA migrate TO joe, boss;
	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO joe, boss;
	SELECT migrate.add('1', 'seed', 'CREATE TABLE seed ()', 'DROP TABLE seed', environments => '{development}');
	SELECT migrate.add('2', 'one', 'CREATE TEMP TABLE IF NOT EXISTS one (a int) ON COMMIT DROP', '');
});

my $set = q{SET dbmigrate.environment = 'development';};
my %questions = (
	q{SELECT migrate.environment()} => 'production',
	q{SELECT state FROM migrate.status() WHERE version = '1'} => 'skipped',
	q{SELECT count(*) FROM migrate.pending() WHERE version = '1'} => '0',
	q{SELECT migrate.status_json()->'status'->>'pendingMigrations'} => '["2_one"]',
	q{SELECT count(*) FROM migrate.apply_to('1')} => '0');

sub ask
{
	my ($how, $role, $before, $options, $question, $expected) = @_;
	local $ENV{PGOPTIONS} = $options;
	my ($rc, $out, $err) = $node->psql('live', "SET client_min_messages = error; $before $question",
		extra_params => [ '-U', $role ]);
	is($out, $expected, "$how: $question") or diag $err;
}

foreach my $question (sort keys %questions)
{
	ask('nothing set', 'joe', '', '', $question, $questions{$question});
	ask('first statement is SET', 'joe', $set, '', $question, $questions{$question});
	foreach my $value ('development', '')
	{
		local $ENV{PGOPTIONS} = "-c dbmigrate.environment=$value";
		my ($rc, $out, $err) = $node->psql('live', $question, extra_params => [ '-U', 'joe' ]);
		like($err, qr/permission denied to set parameter "dbmigrate.environment"/, "PGOPTIONS, '$value': $question");
		is($out, '', 'and nothing is told');
	}
}

# To have none is no way out of production either.
$node->safe_psql('live', 'SELECT migrate.apply()');
foreach my $options ('', '-c dbmigrate.environment=', '-c dbmigrate.environment=development')
{
	local $ENV{PGOPTIONS} = $options;
	my ($rc, $out, $err) = $node->psql('live', 'SELECT * FROM migrate.rollback()', extra_params => [ '-U', 'joe' ]);
	like($err, qr/rolling back in production needs a confirmation|permission denied to set parameter/, "no rollback with '$options'");
}

# Once the library is loaded the server says so itself.
my ($rc, $out, $err) = $node->psql('live', "SELECT migrate.environment(); $set", extra_params => [ '-U', 'joe' ]);
like($err, qr/permission denied to set parameter "dbmigrate.environment"/, 'SET is refused');
($rc, $out, $err) = $node->psql('live', q{
	SELECT migrate.environment();
	CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE sql SET dbmigrate.environment = 'development' AS 'SELECT 1';
	SELECT pg_temp.f()}, extra_params => [ '-U', 'joe' ]);
like($err, qr/permission denied to set parameter/, 'so is SET of a function');
($rc, $out, $err) = $node->psql('own', q{ALTER DATABASE own SET dbmigrate.environment = 'development'},
	extra_params => [ '-U', 'joe' ]);
like($err, qr/permission denied to set parameter/, 'and ALTER DATABASE by its owner');
($rc, $out, $err) = $node->psql('live', q{SELECT migrate.environment(); ALTER ROLE joe SET dbmigrate.environment = 'development'},
	extra_params => [ '-U', 'joe' ]);
like($err, qr/permission denied to set parameter/, 'and ALTER ROLE by himself');

# A superuser is not held, nor whom he lets.
is($node->safe_psql('live', "$set SELECT migrate.environment()"), 'development', 'a superuser sets it');
$node->safe_psql('live', 'GRANT SET ON PARAMETER dbmigrate.environment TO boss');
ask('with the right to set it', 'boss', $set, '', 'SELECT migrate.environment()', 'development');
$node->safe_psql('postgres', q{ALTER ROLE joe IN DATABASE live SET dbmigrate.environment = 'test'});
ask('set for the role by a superuser', 'joe', '', '', 'SELECT migrate.environment()', 'test');

# Nobody has said anything.
$node->safe_psql('own', 'CREATE EXTENSION dbmigrate');
is($node->safe_psql('own', 'SELECT migrate.environment()'), '', 'not set');

$node->stop;
done_testing();
