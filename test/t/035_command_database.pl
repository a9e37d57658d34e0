# The dbmigrate command and its database: passwords, roles with few rights,
# another tool's history, target schemas, projects, what nobody has recorded.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use File::Path qw(remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();

# Passwords
{
	fresh_work();
	fresh_database('secret');
	put('migrations/1_a.sql', "SELECT pg_sleep(1);\n");
	my $password = q{p@ss/w:rd?&#%'"\\ €$(id)};
	utf8::encode($password) if utf8::is_utf8($password);
	query('CREATE ROLE secretive LOGIN SUPERUSER PASSWORD ' . quoted($password));
	my $hba = $node->data_dir . '/pg_hba.conf';
	my $trusting = slurp_file($hba);
	append_to_file("$hba.new", "local all secretive scram-sha-256\n$trusting");
	rename "$hba.new", $hba or die;
	$node->reload;

	my $encoded = join '', map { sprintf '%%%02X', $_ } unpack 'C*', $password;
	my $query = 'host=' . $node->host . '&port=' . $node->port;
	my @urls = (
		"postgres://secretive:$encoded\@/secret?$query",
		"postgresql:///secret?user=secretive&$query&password=$encoded",
		"postgresql:///secret?user=secretive&$query&p%61ssword=$encoded",
		"postgres://secretive:$encoded\@/secret?schema=public&$query&pgbouncer=true",
		"postgres://secretive:$encoded\@?dbname=secret&$query");
	foreach my $url (@urls)
	{
		local $ENV{DATABASE_URL} = $url;
		local $ENV{PGDATABASE} = 'postgres';
		my ($out, $err) = ('', '');
		my $run = start_command(\$out, \$err, 'up');
		my $seen = while_it_runs();
		$run->finish;
		is($? >> 8, 0, "URL $url") or diag $err;
		like($err, qr/^database secret as secretive on the socket /m, '... says where it works');
		ok(index("$out$err$seen", $password) < 0 && index("$out$err$seen", $encoded) < 0 && index("$out$err", 'password=') < 0,
			'... shows it nowhere');
		$node->safe_psql('secret', q{DELETE FROM migrate.applied});
	}

	# an @ in it, as other tools read it; the terminal; libpq's own file
	query(q{ALTER ROLE secretive PASSWORD 'with@at'; UPDATE migrate.migration SET up = 'SELECT 1'});
	local $ENV{DATABASE_URL} = "postgres://secretive:with\@at\@/secret?$query";
	runs_like([ '--registered', 'version' ], 0, $nothing, qr/none/, 'a password with an @');
	$ENV{DATABASE_URL} = "postgres://secretive\@/secret?$query";
	runs_like([ '--registered', 'version' ], 1, $nothing, qr/no password supplied.*cannot connect/s, 'no password, and no terminal to ask');
	append_to_file("$folder/pgpass", '*:*:*:secretive:with@at');
	chmod 0600, "$folder/pgpass";
	{
		local $ENV{PGPASSFILE} = "$folder/pgpass";
		runs_like([ '--registered', 'version' ], 0, $nothing, qr/none/, 'a password of PGPASSFILE');
	}
  SKIP:
	{
		skip 'needs the Perl module IO::Pty', 4 unless eval { require IO::Pty; 1 };
		foreach my $typed ('with@at', 'wrong')
		{
			my ($in, $out) = ('', '');
			my $run = start_on_tty(\$in, \$out, '--registered', 'version');
			$run->pump until $out =~ /^Password: $/;
			$in = "$typed\n";
			$run->finish;
			is($? >> 8, $typed eq 'wrong' ? 1 : 0, "the password $typed is typed") or diag $out;
			unlike($out, qr/$typed/, '... and not shown');
		}
	}
	$ENV{DATABASE_URL} = "postgres://nobody:hush\@/secret?host=/nowhere";
	my ($code, $out, $err) = dbmigrate('up');
	is($code, 1, 'a URL that leads nowhere');
	unlike($out . $err, qr/hush/, '... does not show the password either');
}

sub quoted { return "'" . $_[0] =~ s/'/''/gr . "'" }

# What others can see of the command while it is at work.
sub while_it_runs
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'secret' AND wait_event = 'PgSleep'}) or die;
	my $seen = '';
	foreach my $file (glob '/proc/[0-9]*/cmdline')
	{
		open my $handle, '<:raw', $file or next;
		$seen .= join ' ', <$handle>;
	}
	return $seen;
}

# Who may only look
{
	fresh_work();
	fresh_database('bare', 0);
	fresh_database('reader');
	query(q{DROP ROLE IF EXISTS regress_reader; CREATE ROLE regress_reader LOGIN; GRANT USAGE ON SCHEMA migrate TO regress_reader;
		GRANT EXECUTE ON FUNCTION migrate.status, migrate.pending, migrate.version, migrate.require, migrate.status_json,
			migrate.environment TO regress_reader;
		SELECT migrate.add('1', 'a', 'SELECT 1', '');
		SELECT migrate.apply();});
	put('migrations/1_a.sql', up_down('SELECT 1', ''));
	put('migrations/2_b.sql', "SELECT 1;\n");
	{
		local $ENV{PGUSER} = 'regress_reader';
		runs_like(['status'], 0, qr/1 applied, 0 pending/, qr/^note: the files of migrations are not considered: regress_reader may not call migrate.compare\(\); this is what the database knows\n$/, 'status as a reader');
		runs_like([ 'status', '--check' ], 1, qr/1 applied, 0 pending/, qr/error: the files could not be checked\nhint: .*--registered/, 'status --check as a reader');
		runs_like([ 'status', '--check', '--registered' ], 0, qr/1 applied, 0 pending/, $nothing, 'status --check --registered as a reader');
		runs_like(['up'], 1, $nothing, qr/error: regress_reader may not call the procedure migrate\.run\(\).*\nhint: GRANT EXECUTE ON PROCEDURE migrate\.run TO regress_reader;\nhint: dbmigrate up --single-transaction calls migrate\.apply\(\) instead\n$/, 'up as a reader');
		runs_like([ 'up', '--single-transaction' ], 1, $nothing, qr/ERROR:  permission denied/, 'up as a reader, in one transaction');
		runs_like(['version'], 0, qr/^1\n$/, $nothing, 'version as a reader');
		$ENV{PGDATABASE} = 'bare';
		runs_like(['init'], 1, $nothing, qr/ERROR:  permission denied to create extension.*failed, nothing was changed\nhint: it takes a superuser/s, 'init as a reader');
	}
	$ENV{PGDATABASE} = 'reader';
	{
		local $ENV{PGOPTIONS} = '-c default_transaction_read_only=on';
		runs_like(['pending'], 0, qr/^2 b\n$/, $nothing, 'pending on a read-only server');
	}
	remove_tree("$work/migrations");
	runs_like(['status'], 0, qr/1 applied, 0 pending/, qr/^note: no directory migrations; this is what the database knows\n$/, 'status without a directory');
	put('migrations/1_a.sql', "SELECT 'changed';\n");
	put('migrations/2_b.sql', "SELECT 2;\n");
	runs_like(['status'], 0, qr/^ ! \| 1 .* changed .*^ · \| 2 .* pending .*^1 a, 1_a\.sql: it is not what was applied\n0 applied, 1 pending, 1 need attention\n$/ms, $nothing, 'status of a directory that cannot be registered');
	runs_like(['pending'], 1, qr/^2 b\n$/, qr/^1_a\.sql: it is not what was applied\ndbmigrate up would be refused\n$/, 'pending of a directory that cannot be registered');
	runs_like([ 'status', '--check' ], 3, qr/1 need attention/, $nothing, 'status --check of it');
	my ($code, $out) = dbmigrate('status', '--json');
	like($out, qr/"isUpToDate": false/, 'JSON does not say that it is up to date');
}

# Who may not ask what the database is, is careful
{
	fresh_work();
	fresh_database('careful');
	query(q{CREATE ROLE careful LOGIN; GRANT USAGE ON SCHEMA migrate TO careful;
		GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO careful; REVOKE EXECUTE ON FUNCTION migrate.environment FROM careful;
		GRANT CREATE ON SCHEMA public TO careful});
	put('migrations/1_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	{
		local $ENV{PGUSER} = 'careful';
		runs_like(['up'], 1, $nothing, qr/may be a production database: careful may not call migrate.environment\(\).*wants a confirmation/s, 'up, environment not known');
		runs_like([ 'up', '--environment', 'test' ], 1, $nothing, qr/is not test: its environment is not known/, 'up, another environment');
		runs_like([ 'up', '--yes' ], 0, qr/^applied 1 a/, qr/may be a production database/, 'up, environment not known, confirmed');
	}
	query(q{GRANT EXECUTE ON FUNCTION migrate.environment TO careful});
	local $ENV{PGUSER} = 'careful';
	local $ENV{PGOPTIONS} = '-c dbmigrate.environment=test';
	runs_like([ 'up', '--environment', 'test' ], 1, $nothing, qr/permission denied to set parameter "dbmigrate.environment"/, 'an environment of PGOPTIONS');
}

# Another tool's history
{
	fresh_work();
	fresh_database('adopted');
	query(q{CREATE TABLE schema_migrations (version varchar PRIMARY KEY); INSERT INTO schema_migrations VALUES ('001')});
	put('migrations/001_a.sql', "-- migrate:up\nCREATE TABLE a ();\n-- migrate:down\nDROP TABLE a;\n");
	put('migrations/002_b.sql', "-- migrate:up\nCREATE TABLE b ();\n-- migrate:down\nDROP TABLE b;\n");
	runs_like([ 'adopt', '--dry-run' ], 0, qr/ 001 .*adopt/, qr/a dry run: nothing was changed\n$/);
	is(query('SELECT count(*) FROM migrate.migration'), 0, 'a dry run leaves nothing');
	runs_like([ 'adopt', 'schema_migrations' ], 0, qr/ 001 .*adopt/, qr/^(NOTICE.*\n)*$/);
	runs_like(['up'], 0, qr/^applied 002 b\n1 migration applied in .* now at 002\n$/, $nothing, 'up after adopt');
	runs_like([ 'adopt', 'no_such_table' ], 1, $nothing, qr/ERROR:  .*no_such_table/);
}

# Target schemas
{
	fresh_work();
	fresh_database('tenants');
	query('CREATE SCHEMA "tenant 1"');
	put('migrations/1_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	runs_like([ 'up', '--schema', 'tenant 1' ], 0, qr/1 migration applied in .* now at 1\n$/, $nothing);
	is(query(q{SELECT to_regclass('"tenant 1".a') IS NOT NULL AND to_regclass('public.a') IS NULL}), 't', 'up in a target schema');
	runs_like([ 'version', '--schema=tenant 1' ], 0, qr/^1\n$/, $nothing);
	runs_like(['version'], 0, $nothing, qr/^none\n$/);
	runs_like([ 'down', '--schema', 'tenant 1' ], 0, qr/1 migration rolled back/, $nothing);
}

# Several sequences of versions in one database
{
	fresh_work();
	fresh_database('projects');
	put('billing/001_invoices.sql', up_down('CREATE TABLE invoices ();', 'DROP TABLE invoices;'));
	put('billing/002_more.sql', up_down('CREATE TABLE more ();', 'DROP TABLE more;'));
	put('shipping/001_parcels.sql', up_down('CREATE TABLE parcels ();', 'DROP TABLE parcels;'));
	my @billing = ('--project', 'billing', '-d', 'billing');
	runs_like([ 'up', @billing ], 0, qr/^applied 001 invoices\napplied 002 more\n2 migrations .* now at 002$/, $nothing, 'up of a project');
	runs_like([ 'up', '--project=shipping', '-d', 'shipping' ], 0, qr/^applied 001 parcels\n1 migration .* now at 001$/, $nothing, 'up of another');
	runs_like([ 'status', @billing ], 0, qr/^2 applied, 0 pending$/m, $nothing, 'status of a project');
	runs_like([ 'version', '--project', 'shipping' ], 0, qr/^001$/, $nothing, 'version of a project');
	runs_like([ 'down', '--project', 'billing' ], 0, qr/^rolled back 002 more\n/, $nothing, 'down of a project');
	runs_like([ 'pending', @billing ], 0, qr/^002 more\n$/, $nothing, 'pending of a project');
	runs_like([ 'down', '--project', 'biling' ], 1, $nothing, qr/ERROR: +project "biling" has no migrations/, 'a project that is misspelt');
	{
		local $ENV{DBMIGRATE_PROJECT} = 'billing';
		runs_like([ 'redo', '1' ], 0, qr/1 migration done again/, $nothing, 'DBMIGRATE_PROJECT');
		runs_like([ 'version', '--project', '' ], 0, qr/^$/, qr/none/, 'the project without a name');
	}
	unlink "$work/billing/002_more.sql";
	runs_like([ 'up', @billing ], 0, qr/^nothing to apply, at 001$/, qr/002 more, which was rolled back here/, 'a file of a project is gone, rolled back');
	query(q{SELECT migrate.add('003', 'other', 'SELECT 1', project => 'billing')});
	runs_like([ 'up', @billing ], 1, $nothing, qr/^  003 other +SELECT migrate.remove\('003', project => 'billing'\);$/m, 'a file of a project is gone');
}

# Tables, and nothing recorded
{
	fresh_work();
	fresh_database('unmanaged');
	query('CREATE TABLE customers ()');
	put('migrations/0000_init.sql', up_down('CREATE TABLE init ();', 'DROP TABLE init;'));
	runs_like(['up'], 1, qr/^$/, qr/nothing is recorded as applied in this database.*public\.customers.*migrate\.manage.*failed, nothing was changed/s, 'up of an unmanaged database');
	runs_like(['manage'], 2, $nothing, qr/manage wants a reason/);
	runs_like([ 'manage', 'the tables come from the installer' ], 0, $nothing, qr/nothing counts as applied/);
	runs_like(['up'], 0, qr/^applied 0000 init\n/, $nothing, 'then up');
	is(query(q{SELECT reason FROM migrate.history WHERE action = 'manage'}), 'the tables come from the installer', 'the reason is kept');
}

$node->stop;
done_testing();
