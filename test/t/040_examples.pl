# The examples, as their README files say: npm projects with npm's own
# packages, the roles that PostgREST needs, the entry-point of a container,
# three environments.
#
# DBMIGRATE_TEST_NPM=required makes a missing npm or package registry a
# failure; otherwise the npm projects are skipped then.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $examples = abs_path('examples');
my $folder = PostgreSQL::Test::Utils::tempdir();

# A password that is none of the other words, and its form in a URL.
my $password = 'hidden/%41:@word';
my $encoded = 'hidden%2F%2541%3A%40word';

plan skip_all => 'needs the Perl module IO::Pty (Debian: libio-pty-perl)'
  unless eval { require IO::Pty; 1 };

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
{
	open my $hba, '>', $node->data_dir . '/pg_hba.conf' or die;
	print $hba "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
	close $hba or die;
}
$node->start;
my $port = $node->port;

delete @ENV{ grep { /^(PG|DBMIGRATE_|DATABASE_URL|NO_COLOR|LC_|LANG|NODE_ENV)/ and $_ !~ /^(PG_|PGCTL|DBMIGRATE_TEST_)/ } keys %ENV };
%ENV = (
	%ENV,
	LC_ALL => 'C.UTF-8',
	TMPDIR => $folder,
	HOME => $folder,
	PATH => join ':', abs_path('bin'), $node->config_data('--bindir'), $ENV{PATH});

sub sql { return $node->safe_psql(@_); }

sql('postgres', "CREATE ROLE administrator SUPERUSER LOGIN PASSWORD '$password'");
sql('postgres', "CREATE ROLE shop LOGIN PASSWORD '$password'");

sub url
{
	my ($role, $database) = @_;
	return "postgres://$role:$encoded\@127.0.0.1:$port/$database";
}

my $all_output = '';

# Runs a program without a terminal: exit code (or signal), stdout, stderr.
sub run_program
{
	my ($command, $environment, $directory) = @_;
	my ($out, $err) = ('', '');
	local %ENV = (%ENV, %$environment);

	delete @ENV{ grep { !defined $environment->{$_} } keys %$environment };
	IPC::Run::run($command, '<', \undef, '>', \$out, '2>', \$err,
		init => sub { chdir $directory or die }, IPC::Run::timeout(300));
	$all_output .= $out . $err;
	return ($? & 127 ? 'signal ' . ($? & 127) : $? >> 8, $out, $err);
}

sub in_path
{
	my ($program) = @_;
	return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}

sub put
{
	my ($file, $content) = @_;

	open my $handle, '>', $file or die "$file: $!";
	print $handle $content;
	close $handle or die;
	return;
}

sub copy_of
{
	my ($source, $name) = @_;

	system('cp', '-R', $source, "$folder/$name") == 0 or die;
	return "$folder/$name";
}

sub wait_until
{
	my ($condition) = @_;

	for (1 .. 600)
	{
		return 1 if $condition->();
		sleep 0.1;
	}
	return 0;
}

#
# The npm projects
#

# Why an npm project cannot be tested here, or nothing if it was.
sub test_npm
{
	my ($name, $tests) = @_;
	my @missing = grep { !in_path($_) } qw(node npm);
	return join(' and ', @missing) . ' not installed' if @missing;

	my $project = copy_of("$examples/$name", "$name project");
	my %environment = (
		DATABASE_URL => url('administrator', 'postgres'),
		npm_config_cache => "$folder/npm-cache",
		npm_config_update_notifier => 'false',
		npm_config_fetch_retry_mintimeout => 1000,
		npm_config_fetch_timeout => 60000);

	my ($code, $out, $err) =
	  run_program([qw(npm ci --no-audit --no-fund --ignore-scripts)], \%environment, $project);
	return "npm ci failed: $err" if $code ne '0';
	pass("$name: npm ci");
	($code, $out, $err) = run_program([qw(npm test -- --test-reporter=tap)], \%environment, $project);
	is($code, 0, "$name, npm test: exit code") or diag "$out$err";
	like($out, qr/^# pass $tests$/m, "$name, npm test: all of its tests ran");
	like($out, qr/^# fail 0$/m, "$name, npm test: none failed");
	is(sql('postgres', "SELECT count(*) FROM pg_database WHERE datname LIKE '%\\_test\\_%'"),
		0, "$name, npm test: its database is gone");
	return;
}

for my $project ([ 'npm', 10 ], [ 'http', 8 ])
{
	my ($name, $tests) = @$project;

	unlike(slurp_file("$examples/$name/package-lock.json"), qr/"resolved"/, "$name: the lock file names no package host");
  SKIP:
	{
		my $reason = test_npm($name, $tests) or last;

		if (($ENV{DBMIGRATE_TEST_NPM} // '') eq 'required')
		{
			fail("$name: the project can be tested");
			diag $reason;
			last;
		}
		diag "$name: the project is not tested: $reason";
		skip "$name: " . (split /\n/, $reason)[0], 1;
	}
	ok(!-e "$examples/$name/node_modules", "$name: nothing is left in the source tree");
}

#
# PostgREST: the roles it becomes, and what it calls as them
#

sql('postgres', 'CREATE DATABASE rest');
sql('postgres', q{CREATE ROLE authenticator LOGIN NOINHERIT});
sql('rest', 'CREATE EXTENSION dbmigrate');
{
	my ($code, $out, $err) = run_program([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-f', "$examples/http/postgrest.sql" ],
		{ PGHOST => $node->host, PGPORT => $port, PGDATABASE => 'rest', PGUSER => 'administrator' }, $folder);
	is($code, 0, 'postgrest.sql') or diag $err;
}
sql('rest', q{SELECT migrate.add('1', 'books', 'CREATE TABLE books (title text)', 'DROP TABLE books')});
sql('rest', q{SELECT migrate.add('2', 'fails', 'SELECT 1; SELECT 1 / 0', '')});

# As PostgREST does it: one transaction, the role of the token, the schema that
# it serves first in the search_path.  The answer and its status, or SQLSTATE.
sub rpc
{
	my ($role, $call, $access) = @_;
	my ($code, $out, $err) = $node->psql('rest',
		'BEGIN ISOLATION LEVEL READ COMMITTED ' . ($access // 'READ WRITE') . ";\n"
		  . "SELECT set_config('search_path', 'api, public', true), set_config('role', '$role', true);\n"
		  . "WITH s AS (SELECT c FROM (SELECT api.$call AS c) AS t) SELECT c::text FROM s;\n"
		  . "SELECT format('status %s', current_setting('response.status', true));\nCOMMIT;",
		extra_params => [ '-U', 'authenticator', '-v', 'VERBOSITY=verbose' ]);
	return $err =~ /ERROR:  (\w{5}):/ ? $1 : $out =~ s/\A.*?^(?=\{)//msr;
}

like(rpc('migration_viewer', 'migrations()', 'READ ONLY'),
	qr/"pendingMigrations": \["1_books", "2_fails"\]/, 'the viewer: GET /rpc/migrations');
is(rpc('migration_viewer', 'apply_migrations()'), '42501', 'the viewer may not apply');
is(rpc('migration_viewer', 'rollback_migrations()'), '42501', 'the viewer may not roll back');
is(rpc('authenticator', 'migrations()'), '42501', 'PostgREST itself may not look');
like(rpc('migrator', 'apply_migrations(steps => 1)'),
	qr/"1 migration applied".*"1_books".*^status $/ms, 'the migrator: POST /rpc/apply_migrations');
is(sql('rest', q{SELECT schemaname, tableowner FROM pg_tables WHERE tablename = 'books'}), 'public|migrator', 'the tables are its own, in public');
like(rpc('migrator', 'apply_migrations()'),
	qr/"line": 1.*"success": false.*"sqlstate": "22012".*"migration": "2_fails", "statement": 2.*^status 500$/ms, 'a migration fails: 500');
like(rpc('migrator', q{apply_migrations(to_version => '9')}), qr/"sqlstate": "42704".*^status 404$/ms, 'no such version: 404');
like(rpc('migrator', 'rollback_migrations(steps => 9)'), qr/"sqlstate": "22023".*^status 400$/ms, 'too many steps: 400');
{
	my $other = $node->background_psql('rest');
	$other->query_safe('BEGIN; SET LOCAL dbmigrate.progress = off; SELECT count(*) FROM migrate.rollback()');
	sql('rest', q{ALTER DATABASE rest SET dbmigrate.lock_wait = '100ms'});
	like(rpc('migrator', 'rollback_migrations()'), qr/"sqlstate": "55P03".*^status 409$/ms, 'another run: 409');
	$other->query_safe('ROLLBACK');
	$other->quit;
}
sql('rest', q{ALTER DATABASE rest SET dbmigrate.environment = 'production'});
like(rpc('migrator', q{rollback_migrations(to_version => '0')}), qr/"sqlstate": "55000".*^status 409$/ms, 'production: 409 without a confirmation');
like(rpc('migrator', q{rollback_migrations(to_version => '0', confirm => 'rest')}),
	qr/"1_books".*"direction": "down".*^status $/ms, 'the migrator: POST /rpc/rollback_migrations');
like(rpc('migrator', 'migrations()', 'READ ONLY'), qr/"lastMigration": null/, 'the migrator may look, too');

#
# The entry-point of a container
#

my $entrypoint = "$examples/container/entrypoint.sh";
my %container = (
	PGHOST => '127.0.0.1',
	PGPORT => $port,
	PGUSER => 'administrator',
	PGPASSWORD => $password,
	PGDATABASE => 'library',
	MIGRATIONS => "$examples/npm/migrations",
	SEED => "$examples/container/seed.sql",
	WAIT_SECONDS => 60);

sub entrypoint
{
	my ($environment, @arguments) = @_;
	return run_program([ $entrypoint, @arguments ], { %container, %$environment }, $folder);
}

# Started, not waited for; the handle, and where its stderr and stdout go.
sub start_entrypoint
{
	my ($environment, @arguments) = @_;
	my $text = '';
	local %ENV = (%ENV, %container, %$environment);
	my $handle = IPC::Run::start([ $entrypoint, @arguments ],
		'<', \undef, '>&', \$text, IPC::Run::timeout(120));

	return ($handle, \$text);
}

sub says
{
	my ($handle, $text, $pattern) = @_;
	return wait_until(sub { $handle->pump_nb; $$text =~ $pattern });
}

sub pid_of { return $_[0]{KIDS}[0]{PID}; }

sub finish
{
	my ($handle, $text) = @_;

	$handle->finish;
	my $status = $handle->full_result(0);
	$all_output .= $$text;
	return $status & 127 ? 'signal ' . ($status & 127) : $status >> 8;
}

# As the database image does it at its first start.
sub fresh_library
{
	my ($environment) = @_;

	sql('postgres', 'DROP DATABASE IF EXISTS library');
	sql('postgres', 'CREATE DATABASE library');
	my ($code, $out, $err) =
	  run_program([ 'psql', '-X', '-f', "$examples/container/init.sql" ], { %container, APP_ENV => $environment }, $folder);
	is($code, 0, 'init.sql') or diag $err;
	return;
}

sub books { return sql('library', 'SELECT count(*) FROM books'); }
sub applied { return sql('library', 'SELECT count(*) FROM migrate.applied'); }

my ($code, $out, $err) = entrypoint({});
is($code, 1, 'no application: exit code');
like($err, qr/no application to start/, 'no application: message');

($code, $out, $err) = entrypoint({ PGHOST => undef }, 'echo', 'started');
isnt($code, 0, 'no PGHOST: exit code');
like($err, qr/PGHOST/, 'no PGHOST: message');
unlike($out, qr/started/, 'no PGHOST: not started');

($code, $out, $err) = entrypoint({ WAIT_SECONDS => 'a; touch evil' }, 'echo', 'started');
is($code, 1, 'WAIT_SECONDS is no number: exit code');
like($err, qr/not a number of seconds: a; touch evil/, 'WAIT_SECONDS is no number: message');
ok(!-e "$folder/evil", 'WAIT_SECONDS is no number: not evaluated');

my $before = time;
($code, $out, $err) =
  entrypoint({ PGPORT => PostgreSQL::Test::Cluster::get_free_port(), WAIT_SECONDS => 2 }, 'echo', 'started');
is($code, 1, 'no server: exit code');
like($err, qr/no server at 127\.0\.0\.1, port \d+, within 2 s; gave up/, 'no server: message');
unlike($out, qr/started/, 'no server: not started');
cmp_ok(time - $before, '>=', 1, 'no server: waits');
cmp_ok(time - $before, '<', 30, 'no server: not for ever');

# Signals, while it waits
my ($handle, $text) = start_entrypoint({ PGPORT => PostgreSQL::Test::Cluster::get_free_port() }, 'echo', 'started');
ok(says($handle, $text, qr/waiting for the server/), 'stopped while it waits: it waits');
kill TERM => pid_of($handle);
is(finish($handle, $text), 143, 'stopped while it waits: exit code');

# The server comes later
fresh_library('production');
$node->stop;
($handle, $text) = start_entrypoint({}, 'echo', 'application started');
ok(says($handle, $text, qr/waiting for the server/), 'a late server: it waits');
$node->start;
is(finish($handle, $text), 0, 'a late server: exit code');
like($$text, qr/4 migrations applied.*^application started$/ms, 'a late server: pending migrations, then the application');
is(books(), 3, 'production, the default: no sample data');

# The application: the same process, the same arguments, its own exit code
($handle, $text) = start_entrypoint({}, 'sh', '-c', 'echo "process $$"; printf "<%s>" "$@"; exit 7', 'sh', 'a b', '', '$(touch evil)', "'\n;");
my $pid = pid_of($handle);
is(finish($handle, $text), 7, 'the exit code is the application\'s');
like($$text, qr/^process $pid$/m, 'the application is the same process');
ok(index($$text, "<a b><><\$(touch evil)><'\n;>") >= 0, 'arguments are passed on as they are');
ok(!-e "$folder/evil" && !-e 'evil', 'arguments are not evaluated');

($handle, $text) = start_entrypoint({}, 'sh', '-c', 'echo running; exec sleep 100');
ok(says($handle, $text, qr/^running$/m), 'a signal to the application: it runs');
kill TERM => pid_of($handle);
is(finish($handle, $text), 'signal 15', 'a signal to the application: it gets it');

# Environments and sample data
($code, $out, $err) = entrypoint({ APP_ENV => 'development' }, 'echo', 'started');
is($code, 1, 'development container, production database: exit code');
like($err, qr/APP_ENV is development, but database library says that it is production/,
	'development container, production database: message');
is($out, '', 'development container, production database: not started');

for my $environment (qw(staging development))
{
	fresh_library($environment);
	for my $round (1, 2)
	{
		($code, $out, $err) = entrypoint({ APP_ENV => $environment, DATABASE_URL => 'postgres://nowhere.invalid/' }, 'echo', 'started');
		is($code, 0, "$environment, start $round: exit code") or diag $err;
		like($out, qr/^started$/m, "$environment, start $round: started");
		is(books(), $environment eq 'development' ? 5 : 3, "$environment, start $round: sample data");
	}
}
put("$folder/broken.sql", "DELETE FROM books;\nSELECT 1 / 0;\n");
($code, $out, $err) = entrypoint({ APP_ENV => 'development', SEED => "$folder/broken.sql" }, 'echo', 'started');
is($code, 1, 'sample data that fail: exit code');
like($err, qr/division by zero.*broken\.sql failed/s, 'sample data that fail: message');
unlike($out, qr/started/, 'sample data that fail: not started');
is(books(), 5, 'sample data that fail: nothing of them is left');
($code, $out, $err) = entrypoint({ APP_ENV => 'development', SEED => "$folder/none.sql" }, 'echo', 'started');
is($code, 0, 'no sample data: exit code');

# A migration that fails; one that is stopped; one that two want to run
my $migrations = copy_of("$examples/npm/migrations", 'migrations $(touch evil)');
fresh_library('production');
put("$migrations/20260201000000_fails.sql", 'SELECT 1 / 0;');
($code, $out, $err) = entrypoint({ MIGRATIONS => $migrations }, 'echo', 'started');
is($code, 1, 'a migration fails: exit code');
like($err, qr/division by zero.*the migrations failed, the application is not started/s, 'a migration fails: message');
unlike($out, qr/started/, 'a migration fails: not started');
is(applied(), 4, 'a migration fails: those before it stay');
unlink "$migrations/20260201000000_fails.sql";

put("$migrations/20260201000000_slow.sql", 'SELECT pg_sleep(100);');
my $sleeping = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'library' AND wait_event = 'PgSleep'";
($handle, $text) = start_entrypoint({ MIGRATIONS => $migrations }, 'echo', 'started');
ok($node->poll_query_until('postgres', $sleeping, '1'), 'stopped while it migrates: it migrates');
$before = time;
kill TERM => pid_of($handle);
is(finish($handle, $text), 143, 'stopped while it migrates: exit code');
cmp_ok(time - $before, '<', 30, 'stopped while it migrates: at once');
unlike($$text, qr/^started/m, 'stopped while it migrates: not started');
ok($node->poll_query_until('postgres', $sleeping, '0'), 'stopped while it migrates: the server knows');
is(applied(), 4, 'stopped while it migrates: nothing of it is left');

put("$migrations/20260201000000_slow.sql", 'SELECT pg_sleep(2);');
my @both = map { [ start_entrypoint({ MIGRATIONS => $migrations }, 'echo', "application $_ started") ] } (1, 2);
is(finish(@$_), 0, 'two at once: exit code') or diag ${ $_->[1] } for @both;
$text = join '', map { ${ $_->[1] } } @both;
like($text, qr/^application 1 started$/m, 'two at once: the first starts');
like($text, qr/^application 2 started$/m, 'two at once: the second starts');
is(scalar(() = $text =~ /^applied 20260201000000 slow$/mg), 1, 'two at once: one of them migrates');
is(applied(), 5, 'two at once: all is applied');
is(sql('library', q{SELECT count(*) FROM migrate.history WHERE action = 'apply'}), 5, 'two at once: each migration once');
ok(!-e "$folder/evil", 'the name of the directory is not evaluated');

#
# Three environments
#

my $shop = copy_of("$examples/environments", 'shop');
my %urls;
for my $environment (qw(development staging production))
{
	sql('postgres', "CREATE DATABASE shop_$environment OWNER shop");
	($code, $out, $err) = run_program(
		[ 'psql', '-X', '-v', "environment=$environment", '-v', 'deployer=shop', '-f', "$shop/setup.sql" ],
		{ %container, PGDATABASE => "shop_$environment" }, $folder);
	is($code, 0, "$environment: setup.sql") or diag $err;
}
%urls = (
	DEV_DATABASE_URL => url('shop', 'shop_development'),
	STAGING_DATABASE_URL => url('shop', 'shop_staging'),
	PROD_DATABASE_URL => url('shop', 'shop_production'));

sub deploy
{
	my ($environment, @arguments) = @_;
	return run_program([ "$shop/deploy.sh", @arguments ], { %urls, %$environment }, $folder);
}

for my $arguments ([], ['prod'], [ 'staging', '--force' ], [ 'staging', '--yes', 'x' ], ['$(touch evil)'])
{
	($code, $out, $err) = deploy({}, @$arguments);
	is($code, 2, "deploy.sh @$arguments: exit code");
	like($err, qr/^usage: /, "deploy.sh @$arguments: usage");
}
ok(!-e "$folder/evil", 'deploy.sh evaluates nothing');

($code, $out, $err) = deploy({ STAGING_DATABASE_URL => undef }, 'staging');
is($code, 1, 'no URL: exit code');
like($err, qr/STAGING_DATABASE_URL is not set/, 'no URL: message');

($code, $out, $err) = deploy({ STAGING_DATABASE_URL => $urls{PROD_DATABASE_URL} . '?schema=public' }, 'staging', '--yes');
is($code, 1, 'the URL of another environment: exit code');
like($err, qr/database shop_production is not staging: its environment is production.*nothing was done to the database that STAGING_DATABASE_URL names/s,
	'the URL of another environment: message');
is(sql('shop_production', 'SELECT count(*) FROM migrate.migration'), 0, 'the URL of another environment: nothing was done');

($code, $out, $err) = deploy({ STAGING_DATABASE_URL => 'postgres://127.0.0.1:1/shop' }, 'staging');
is($code, 1, 'no server: exit code');
like($err, qr/cannot connect to the database/, 'no server: message');

($code, $out, $err) = deploy({}, 'production');
is($code, 1, 'production, nobody to ask: exit code');
like($err, qr/--yes/, 'production, nobody to ask: hint');
is(sql('shop_production', 'SELECT count(*) FROM migrate.migration'), 0, 'production, nobody to ask: nothing was done');

for my $typed ('shop_staging', 'shop_production')
{
	my ($in, $screen) = ("$typed\n", '');
	local %ENV = (%ENV, %urls);
	IPC::Run::run([ "$shop/deploy.sh", 'production' ], '<pty<', \$in, '>pty>', \$screen,
		init => sub { open STDERR, '>&', \*STDOUT }, IPC::Run::timeout(60));
	$all_output .= $screen;
	is($? >> 8, $typed eq 'shop_production' ? 0 : 1, "production, \"$typed\" typed: exit code") or diag $screen;
	is(sql('shop_production', 'SELECT count(*) FROM migrate.applied'),
		$typed eq 'shop_production' ? 3 : 0, "production, \"$typed\" typed: what is applied");
}

for my $expected ([ 'development', 'http://localhost:8080/pretend-to-pay', 3 ],
	[ 'staging', 'https://sandbox.payments.example/v1', 1000 ],
	[ 'production', 'https://payments.example/v1', 0 ])
{
	my ($environment, $service, $customers) = @$expected;

	($code, $out, $err) = deploy({}, $environment);
	is($code, 0, "$environment: exit code") or diag $err;
	like($err, qr/^deploy: $environment is up to date/m, "$environment: message");
	($code, $out, $err) = deploy({}, $environment);
	is($code, 0, "$environment, again: exit code") or diag $err;
	like($err, qr/^deploy: $environment is up to date$/m, "$environment, again: nothing to do");
	is(sql("shop_$environment", 'SELECT value FROM settings'), $service, "$environment: its own value");
	is(sql("shop_$environment", 'SELECT count(*) FROM customers'), $customers, "$environment: its own rows");
	is(sql("shop_$environment", q{SELECT state FROM migrate.status() WHERE version = '004'}),
		$environment eq 'production' ? 'skipped' : 'applied',
		"$environment: what the file limits itself to");
}

put("$shop/migrations/005_fails.sql", 'SELECT 1 / 0;');
($code, $out, $err) = deploy({}, 'production', '--yes');
is($code, 1, 'a migration fails: exit code');
like($err, qr/division by zero/, 'a migration fails: message');
unlike($err, qr/up to date/, 'a migration fails: no success');
put("$shop/migrations/005_fails.sql", 'SELECT 1;');
($code, $out, $err) = deploy({}, 'production', '--yes');
is($code, 0, 'mended: exit code') or diag $err;
is(sql('shop_production', 'SELECT migrate.version()'), '005', 'mended: applied');

# Where nothing says what the database is
sql('postgres', 'ALTER DATABASE shop_staging RESET dbmigrate.environment');
($code, $out, $err) = deploy({}, 'staging');
is($code, 1, 'no environment set: exit code');
like($err, qr/is not staging: its environment is not set/, 'no environment set: message');

unlike($all_output, qr/\Q$password\E|\Q$encoded\E/, 'no password in any output');

SKIP:
{
	skip 'shellcheck is not installed', 1 unless in_path('shellcheck');
	($code, $out, $err) = run_program([ 'shellcheck', '-s', 'sh', $entrypoint, "$examples/environments/deploy.sh" ], {}, $folder);
	is($code, 0, 'shellcheck') or diag $out;
}

done_testing();
