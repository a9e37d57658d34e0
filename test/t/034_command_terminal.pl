# The dbmigrate command and who sits before it: confirmation in production,
# terminals and pipes, interruption.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use PostgreSQL::Test::Utils;
use Test::More;

plan skip_all => 'needs the Perl module IO::Pty (Debian: libio-pty-perl)'
  unless eval { require IO::Pty; 1 };

my $node = start_server();

# Production
{
	fresh_work();
	fresh_database('shop');
	query(q{ALTER DATABASE shop SET dbmigrate.environment = 'Production'});
	put('migrations/1_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	runs_like($_, 1, $nothing, qr/^warning: database shop is a production database\n.*error: $_->[0] in production wants a confirmation.*hint: dbmigrate $_->[0] --yes/s)
	  foreach ['up'], ['down'], ['redo'], [ 'baseline', '1' ], ['adopt'];
	is(query('SELECT count(*) FROM migrate.migration'), 0, 'nothing was done');
	runs_like(['status'], 0, qr/1 pending/, $nothing, 'status asks nobody');
	runs_like(['push'], 0, qr/1 added/, $nothing, 'push asks nobody');
	runs_like([ 'up', '--environment', 'staging', '--yes' ], 1, $nothing, qr/database shop is not staging: its environment is Production\n/);
	runs_like([ 'status', '--environment=Production' ], 0, qr/1 pending/, $nothing);
	my ($code, $out) = dbmigrate_on_tty("yes\n", 'up');
	is($code, 1, 'another word than the name does not confirm') or diag $out;
	like($out, qr/Type the name of the database to go on with up: .*error: not confirmed, nothing was done/s, '... and says so');
	($code, $out) = dbmigrate_on_tty("shop\n", 'up');
	is($code, 0, 'the name confirms') or diag $out;
	like($out, qr/1 migration applied/, '... and up runs');
	($code, $out) = dbmigrate_on_tty("shop\n", 'redo');
	is($code, 0, 'the name confirms redo') or diag $out;
	($code, $out) = dbmigrate_on_tty("shop\n", 'down');
	is($code, 0, 'the name confirms down') or diag $out;
	runs_like([ 'up', '--yes' ], 0, qr/1 migration applied/, qr/^warning: /);
	runs_like([ '-y', 'redo' ], 0, qr/1 migration done again/, qr/^warning: /);
	runs_like([ 'down', '-y' ], 0, qr/1 migration rolled back/, qr/^warning: /);
}

# Terminals and pipes
{
	fresh_work();
	fresh_database('display');
	local $ENV{TERM} = 'xterm';
	put('migrations/1_a.sql', up_down('CREATE TABLE a ();', 'DROP TABLE a;'));
	my ($code, $out) = dbmigrate_on_tty('', 'status');
	like($out, qr/^\e\[33m · \| 1 .*\e\[0m$/m, 'status is coloured on a terminal');
	($code, $out) = dbmigrate_on_tty('', 'up');
	like($out, qr/^\e\[32m✓ \e\[0m1 a\n1 migration applied/m, 'a mark in colour on a terminal');
	($code, $out) = dbmigrate_on_tty('', 'down');
	like($out, qr/^\e\[32m✓ rolled back \e\[0m1 a$/m, 'what was rolled back says so');
	($code, $out) = dbmigrate_on_tty('', 'up', '--no-color');
	like($out, qr/^✓ 1 a$/m, 'a mark without colour');
	{
		local $ENV{NO_COLOR} = 1;
		local $ENV{LC_ALL} = 'C';
		($code, $out) = dbmigrate_on_tty('', 'redo');
		like($out, qr/^rolled back 1 a\napplied 1 a$/m, 'words where the locale has no marks');
		unlike($out, qr/[^\n -~]/, '... nothing but ASCII');
		($code, $out) = dbmigrate('status');
		like($out, qr/^ \+ \| 1 /m, 'status has ASCII marks there');
	}
	put('migrations/2_b.sql', "SELECT oops;\n");
	($code, $out) = dbmigrate_on_tty('', 'up');
	like($out, qr/^\e\[31m✗ ERROR:  column "oops" does not exist\e\[0m\nmigrations\/2_b\.sql:1\n {4}SELECT oops;\n {11}\^\n/m, 'an error on a terminal');
	is($code, 1, '... is a failure');

	# notices and warnings of scripts; settings that hide ours
	put('migrations/2_b.sql', "DO \$\$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'careful'; END \$\$;\n");
	local $ENV{PGOPTIONS} = '-c client_min_messages=error -c dbmigrate.progress=off';
	runs_like(['up'], 0, qr/^applied 2 b\n1 migration applied/, qr/^NOTICE:  hello\n.*WARNING:  careful\n/s, 'up with messages of scripts');
	put('migrations/3_c.sql', "DO \$\$ BEGIN RAISE NOTICE E'\\033[31m'; END \$\$;\n");
	($code, $out) = dbmigrate_on_tty('', 'up');
	like($out, qr/^NOTICE:  \?\[31m$/m, 'messages cannot steer the terminal');
	put('migrations/4_d.sql', "SELECT 1;\n");
	my $command_line = "$command up --dir $work/migrations | true";
	PostgreSQL::Test::Utils::system_log('sh', '-c', $command_line);
	is(query(q{SELECT migrate.version()}), '4', 'a reader that goes away does not stop the run');
}

# A line that shows what is going on, of 80 columns, and is not there in the end
{
	fresh_work();
	fresh_database('lively');
	local $ENV{TERM} = 'xterm';
	query('CREATE TABLE busy (i int); SELECT migrate.manage($$a test$$)');
	put('migrations/001_first.sql', "SELECT 1;\n");
	put('migrations/002_waits.sql', "SELECT 1;\nALTER TABLE busy ADD j int; -- " . ('a long comment ' x 10) . "\nSELECT 3;\n");
	my $blocker = $node->background_psql('lively', on_error_stop => 0);
	$blocker->query_safe("SET application_name = E'b\\033[1mx'; BEGIN; LOCK TABLE busy IN ACCESS SHARE MODE");
	my ($in, $out) = ('', '');
	my $run = start_on_tty(\$in, \$out, 'up');
	$run->pump until $out =~ /waits for/;
	my ($line) = $out =~ /\r\e\[K([^\r\n]*waits for[^\r\n]*)/;
	like($line // '', qr{^002 waits \(2/2\), statement 2/3, \d+ s, waits for \S+ \(b[^\e]*x, pid \d+\)}, 'who is in the way');
	my $text = $line;
	utf8::decode($text);
	cmp_ok(length $text, '<', 80, '... in one line');
	like((dbmigrate('status'))[1], qr{^\S+ \(dbmigrate, pid \d+\) runs since [-0-9]+ [:0-9]+: 002 waits \(2/2\), statement 2/3, }m, 'status says who runs');
	$blocker->query_safe('COMMIT');
	$blocker->quit;
	$run->finish;
	is($? >> 8, 0, '... and it goes on') or diag $out;
	my @screen = map { s/.*\r(?:\e\[K)?//r } split /\r?\n/, $out;
	is(scalar(grep { /waits for/ } @screen), 0, '... without that line');
	like($out, qr/✓ \e\[0m002 waits\r?\n2 migrations applied/, '... and the result') or diag $out;

	# no second connection: the run does not mind; in a pipe there is none
	query(q{CREATE ROLE single LOGIN SUPERUSER; ALTER ROLE single CONNECTION LIMIT 1});
	put('migrations/003_slow.sql', "SELECT pg_sleep(1.5);\n");
	my ($code, $err);
	{
		local $ENV{PGOPTIONS} = '-c dbmigrate.progress=on';
		($code, $out, $err) = dbmigrate('up');
		unlike($out . $err, qr/\e/, 'no such line in a pipe');
	}
	put('migrations/004_slow.sql', "SELECT pg_sleep(1.5);\n");
	query('ALTER DATABASE lively CONNECTION LIMIT 1; ALTER ROLE single NOSUPERUSER; GRANT ALL ON SCHEMA public, migrate TO single; GRANT ALL ON ALL ROUTINES IN SCHEMA migrate TO single');
	local $ENV{PGUSER} = 'single';
	($code, $out) = dbmigrate_on_tty('', 'up');
	is($code, 0, 'up where a second connection is refused') or diag $out;
}

# Interruption
{
	fresh_work();
	fresh_database('interrupted');
	put('migrations/1_a.sql', "CREATE TABLE a ();\n");
	put('migrations/2_b.sql', "SELECT pg_sleep(300);\n");
	foreach my $case ([ INT => 130 ], [ TERM => 143 ])
	{
		my ($signal, $code) = @$case;
		my ($out, $err) = ('', '');
		my $run = start_command(\$out, \$err, 'up', '--single-transaction');
		$node->poll_query_until('postgres',
			q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'interrupted' AND wait_event = 'PgSleep'})
		  or die 'it does not run';
		$run->signal($signal);
		$run->finish;
		is($? >> 8, $code, "exit code after $signal") or diag $err;
		like($err, qr/interrupted, everything is rolled back\n$/, "... says what became of it");
		$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'interrupted'})
		  or die 'it still runs';
		is(query(q{SELECT count(*) FROM migrate.migration}), 0, "... nothing is left in the database");
	}
}

# Ctrl-C on a terminal
{
	fresh_work();
	fresh_database('interrupted');
	put('migrations/1_a.sql', "SELECT pg_sleep(300);\n");
	my ($in, $out) = ('', '');
	my $run = start_on_tty(\$in, \$out, 'up', '--single-transaction');
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'interrupted' AND wait_event = 'PgSleep'})
	  or die 'it does not run';
	$in = "\cC";
	$run->finish;
	is($? >> 8, 130, 'exit code after Ctrl-C') or diag $out;
	like($out, qr/interrupted, everything is rolled back/, 'Ctrl-C says what became of it');
	is(query(q{SELECT count(*) FROM migrate.migration}), 0, 'Ctrl-C leaves nothing');

	query(q{ALTER DATABASE interrupted SET dbmigrate.environment = 'production'});
	($in, $out) = ('', '');
	$run = start_on_tty(\$in, \$out, 'up');
	$run->pump until $out =~ /to go on with up: $/;
	$in = "\cC";
	$run->finish;
	is($? >> 8, 130, 'exit code after Ctrl-C instead of an answer') or diag $out;
	like($out, qr/to go on with up: (?:\^C)?\r?\n[^\n]*interrupted, nothing was done\r?\n/, '... which is said on a line of its own');
}

$node->stop;
done_testing();
