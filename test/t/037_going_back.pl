# A release fails in production: back to the one before, which starts from its
# own directory, through the container's entry point and with its require();
# then the mended release rolls out.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();
my $entrypoint = abs_path('examples/container/entrypoint.sh');
my %release = (
	'1.0' => { '001_orders.sql' => [ 'orders', 'id int' ], '002_people.sql' => [ 'people', 'id int' ] });

$release{'1.1'} = { %{ $release{'1.0'} }, '003_notes.sql' => [ 'notes', 'id int' ] };
$release{'1.1-mended'} = { %{ $release{'1.0'} }, '003_notes.sql' => [ 'notes', 'id bigint' ], };
$release{'1.0-hotfix'} = { %{ $release{'1.0'} }, '004_urgent.sql' => [ 'urgent', 'id int' ] };

sub put_releases
{
	fresh_work();
	foreach my $name (keys %release)
	{
		while (my ($file, $table) = each %{ $release{$name} })
		{
			put("$name/$file", up_down("CREATE TABLE $table->[0] ($table->[1]);", "DROP TABLE $table->[0];"));
		}
	}
	return;
}

# The way a container of that release starts: exit code, and all it says.
sub start_release
{
	my ($name) = @_;
	my $output = '';

	local %ENV = (%ENV, MIGRATIONS => "$work/$name", APP_ENV => 'production');
	$ENV{PATH} = $command =~ s{/[^/]*$}{}r . ":$ENV{PATH}";
	IPC::Run::run([ 'sh', $entrypoint, 'echo', "release $name serves" ], '<', \undef, '>&', \$output);
	return ($? >> 8, $output);
}

sub starts
{
	my ($name, $says) = @_;
	my ($code, $output) = start_release($name);

	is($code, 0, "release $name starts: exit code") or diag $output;
	like($output, qr/^release \Q$name\E serves$/m, "release $name starts");
	like($output, $says, "release $name starts: what it says");
	return;
}

sub fails
{
	my ($sql, $message) = @_;
	my (undef, undef, $stderr) = $node->psql($ENV{PGDATABASE}, $sql);
	return like($stderr, $message, "$sql fails");
}

# Production, where 1.1 was rolled out and does not do what it should
sub roll_out_and_back
{
	my ($database) = @_;

	fresh_database($database);
	query("ALTER DATABASE $database SET dbmigrate.environment = 'production'");
	put_releases();
	starts('1.0', qr/2 migrations applied .*, now at 002$/m);
	starts('1.1', qr/1 migration applied .*, now at 003$/m);
	query(q{SELECT migrate.require('003'), migrate.require()});
	starts('1.0', qr/^nothing to apply, at 003$/m);
	runs_like([ 'down', '--yes', '-d', '1.1' ], 0, qr/^rolled back 003 notes\n1 migration rolled back in \S+ s, now at 002\n$/, qr/production/);
	return;
}

roll_out_and_back('shop');

# The one before starts, as often as it has to
my $left_out = qr/left out: 003 notes, which was rolled back here and is not in the directory\n/;
starts('1.0', qr/$left_out.*^nothing to apply, at 002$/ms) foreach 1, 2;
query('SELECT migrate.require()');
query(q{SELECT migrate.require('002'), migrate.require()});
is(query("SELECT to_regclass('notes') IS NULL"), 't', 'what was rolled back stays so');
is(query('SELECT version, state, rolled_back FROM migrate.pending()'), '003|pending|t', 'it is known what is pending, and why');
runs_like([ 'status', '-d', '1.0', '--check' ], 0, qr/^ - \| 003 .* rolled back .*^2 applied, 0 pending, 1 rolled back$/ms, $nothing);
runs_like([ 'pending', '-d', '1.0' ], 0, $nothing, $nothing);

# A job, an init container, a one-shot service: they end, and the program only asks
{
	my $output;
	my $job = sub {
		local %ENV = (%ENV, MIGRATIONS => "$work/$_[0]", APP_ENV => 'production');
		$ENV{PATH} = $command =~ s{/[^/]*$}{}r . ":$ENV{PATH}";
		IPC::Run::run([ 'sh', $entrypoint, 'true' ], '<', \undef, '>&', \$output);
		return $? >> 8;
	};
	is($job->('1.0'), 0, 'a job of the release before ends well') or diag $output;
	put('broken/004_broken.sql', 'SELECT 1 / 0;');
	put("broken/$_", slurp_file("$work/1.0/$_")) foreach keys %{ $release{'1.0'} };
	is($job->('broken'), 1, 'a job with a migration that fails does not');
	like($output, qr/division by zero/, 'a job that fails says why');
	query('CREATE ROLE program LOGIN; GRANT USAGE ON SCHEMA migrate TO program; GRANT EXECUTE ON FUNCTION migrate.require TO program');
	query(q{SET SESSION AUTHORIZATION program; SELECT migrate.require('002'), migrate.require()});
}

# The one that was rolled back does not, unless it migrates
fails(q{SELECT migrate.require('003')}, qr/migration 003 is required but not applied/);
runs_like([ 'status', '-d', '1.1', '--check' ], 3, qr/^ · \| 003 .*^2 applied, 1 pending$/ms, $nothing);
runs_like([ 'pending', '-d', '1.1' ], 0, qr/^003 notes\n$/, $nothing);

# Something else that has no file stops as ever
query(q{SELECT migrate.add('0025', 'of somebody else', 'SELECT 1')});
runs_like([ 'up', '--yes', '-d', '1.0' ], 1, $nothing,
	qr/registered in the database and pending, but not in the directory:\n  0025 of somebody else .*\n(?!.*003 notes +SELECT).*error: 1 migration would be applied/s);
fails('SELECT migrate.require()', qr/1 migration is not applied\nDETAIL:  Not applied: 0025\./);
query(q{SELECT migrate.remove('0025')});

# The mended release
starts('1.1-mended', qr/^applied 003 notes\n1 migration applied .*, now at 003$/m);
is(query(q{SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'notes'::regclass AND attname = 'id'}),
	'bigint', 'the mended text was run');
query(q{SELECT migrate.require('003'), migrate.require()});
starts('1.0', qr/^nothing to apply, at 003$/m);
is(query(q{SELECT string_agg(action || ' ' || version, ', ' ORDER BY id) FROM migrate.history WHERE action <> 'failed'}),
	'apply 001, apply 002, apply 003, rollback 003, apply 003', 'the history has the whole story');

# Mended elsewhere: the same migration again
roll_out_and_back('same');
starts('1.1', qr/^applied 003 notes\n1 migration applied .*, now at 003$/m);

# A newer migration of the old release does not bring the failed one back, neither at once nor online
foreach my $text ('CREATE TABLE urgent (id int);', 'CREATE INDEX CONCURRENTLY urgent ON people (id);')
{
	roll_out_and_back('urgent');
	put('1.0-hotfix/004_urgent.sql', up_down($text, $text =~ /INDEX/ ? 'DROP INDEX CONCURRENTLY urgent;' : 'DROP TABLE urgent;'));
	starts('1.0-hotfix', qr/^applied 004 urgent\n(?:$left_out)?1 migration applied .*, now at 004$/m);
	query('SELECT migrate.require()');
	is(query("SELECT to_regclass('notes') IS NULL AND to_regclass('urgent') IS NOT NULL"), 't', 'the newer one is there, the failed one is not');
	runs_like([ 'status', '-d', '1.0-hotfix', '--check' ], 0, qr/^3 applied, 0 pending, 1 rolled back$/m, $nothing);
	starts('1.0-hotfix', qr/^nothing to apply, at 004$/m);
}

# With a pooler's or psql's own means
roll_out_and_back('sql');
query(q{SELECT migrate.add('004', 'urgent', 'CREATE TABLE urgent (id int)')});
is(query(q{SELECT version FROM migrate.apply(without => '{3}')}), '004', 'apply() without a version');
fails(q{SELECT * FROM migrate.apply(without => '{9}')}, qr/migration 9 does not exist/);

# Nobody has rolled it back: recorded otherwise, another schema, another text
roll_out_and_back('other');
query('CREATE SCHEMA tenant');
is(query(q{SELECT count(*) FROM migrate.pending('tenant') WHERE rolled_back}), '0', 'what was rolled back elsewhere');
query(q{SELECT migrate.mark_applied('003', 'by hand'), migrate.mark_pending('003', 'by hand, too')});
is(query('SELECT rolled_back FROM migrate.pending()'), 'f', 'what was recorded later');
fails('SELECT migrate.require()', qr/1 migration is not applied/);
roll_out_and_back('other');
query(q{SELECT migrate.add('003', 'notes', 'CREATE TABLE notes (id numeric)')});
is(query('SELECT rolled_back FROM migrate.pending()'), 'f', 'what was changed since');
fails('SELECT migrate.require()', qr/1 migration is not applied/);

$node->stop;
done_testing();
