# The dbmigrate command: every subcommand with its exit code; arguments; what is
# missing.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use File::Path qw(make_path remove_tree);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();

{
	fresh_database('flow', 0);

	# Before there is anything
	runs_like(['status'], 1, $nothing, qr/error: the extension dbmigrate is not installed in database flow\nhint: dbmigrate init\n$/);
	runs_like(['up'], 1, $nothing, qr/error: the directory migrations does not exist\nhint: mkdir migrations/);
	runs_like(['init'], 0, $nothing, qr/^created the extension in database flow\ncreated the directory migrations\n$/);
	runs_like(['init'], 0, $nothing, qr/^the extension is already installed/);
	ok(-d "$work/migrations", "init makes the directory");
	runs_like(['up'], 1, $nothing, qr/error: there are no migration files in migrations\nhint: dbmigrate create/, 'up of an empty directory');
	runs_like(['version'], 0, $nothing, qr/^none\n$/);

	# Files
	my (undef, $made) = runs_like([ 'create', "add  users; 'x' \$(id).down" ], 0,
		qr{^migrations/\d{14}_add_users_x_id_down\.sql\n$}, $nothing, 'create with a wild name');
	chomp $made;
	like(slurp_file("$work/$made"), qr/^-- Up Migration\n-- [^\n]*\n\n-- Down Migration\n-- [^\n]*\n\n$/, "the new file");
	my ($code, $both) = runs_like([ 'create', '--split', 'two' ], 0,
		qr{^migrations/(\d{14})_two\.up\.sql\nmigrations/\1_two\.down\.sql\n$}, $nothing);
	unlike($both, qr/\Q@{[ substr $made, 11, 14 ]}\E/, "a second file has a version of its own");
	runs_like([$_], 1, $nothing, qr/nothing is filled in: .*\Q$made\E/s, "$_ of new files as they are") foreach 'up', 'push';
	symlink 'migrations', "$work/linked" or die;
	runs_like([ 'push', '-d', 'linked' ], 1, $nothing, qr/nothing is filled in: /, 'push of a directory that is a link');
	put($made, up_down('SELECT 1;', ''));
	unlike((runs_like(['up'], 1, $nothing, qr/nothing is filled in: /))[2], qr/\Q$made\E/, "a filled one is not named");
	runs_like(['create'], 2, $nothing, qr/create wants a name/);
	runs_like([ 'create', '///' ], 2, $nothing, qr/no file name can be made/);
	remove_tree("$work/migrations");

	# Up and down
	put('migrations/001_a.sql', up_down('CREATE TABLE a (i int);', 'DROP TABLE a;'));
	put('migrations/002_b.sql', up_down('CREATE TABLE b (i int);', 'DROP TABLE b;'));
	put('migrations/003_c.sql', up_down('CREATE TABLE c (i int);', 'DROP TABLE c;'));
	put('migrations/README.md', "not sent, only named\0\xff");
	runs_like(['status'], 0, qr/^ · \| 001     \| a    \| pending \|.*^0 applied, 3 pending$/ms, $nothing);
	runs_like([ 'status', '--check' ], 3, qr/0 applied, 3 pending/, $nothing);
	runs_like(['pending'], 0, qr/^001 a\n002 b\n003 c\n$/, $nothing);
	is(query('SELECT count(*) FROM migrate.migration'), 0, "looking registers nothing");
	runs_like(['push'], 0, qr/^added 001 a\nadded 002 b\nadded 003 c\n3 added, 0 updated, 0 unchanged, 1 left out\n$/,
		qr/^left out: README\.md/);
	runs_like([ 'up', '1' ], 0, qr/^applied 001 a\n1 migration applied in \d+\.\d\d s, now at 001\n$/, $nothing);
	runs_like(['up'], 0, qr/^applied 002 b\napplied 003 c\n2 migrations applied in \d+\.\d\d s, now at 003\n$/, $nothing);
	runs_like(['up'], 0, qr/^nothing to apply, at 003\n$/, $nothing);
	is(query('SELECT DISTINCT application_name FROM migrate.history'), 'dbmigrate', "the application's name");
	runs_like([ 'status', '--check' ], 0, qr/^ ✓ \| 001     \| a    \| applied \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \| .*^3 applied, 0 pending$/ms, $nothing);
	runs_like(['version'], 0, qr/^003\n$/, $nothing);
	runs_like([ 'redo', '2' ], 0,
		qr/^rolled back 003 c\nrolled back 002 b\napplied 002 b\napplied 003 c\n2 migrations done again in \S+ s, now at 003\n$/, $nothing);
	runs_like(['down'], 0, qr/^rolled back 003 c\n1 migration rolled back in \S+ s, now at 002\n$/, $nothing);
	runs_like([ 'down', '--to', '0' ], 0, qr/^rolled back 002 b\nrolled back 001 a\n2 migrations rolled back in \S+ s, nothing is applied now\n$/, $nothing);
	runs_like(['down'], 0, qr/^nothing to roll back/, qr/^(NOTICE:.*\n)?$/);
	runs_like([ '--dir=migrations', 'up', '--to=002' ], 0, qr/applied in .*, now at 002\n$/, $nothing);
	runs_like([ 'status', '--json' ], 0, qr/^\{"status": \{.*"pendingMigrations": \["003_c"\].*\}\n$/, $nothing);
	runs_like([ 'down', '-q', '2' ], 0, $nothing, $nothing);
	runs_like([ 'baseline', '002' ], 0, $nothing, qr/^everything up to 002 counts as applied/);
	runs_like([ 'baseline', 'x 1' ], 1, $nothing, qr/^ERROR:  .*x 1.*failed, nothing was changed\n$/s);
	runs_like([ '-q', 'up' ], 0, $nothing, $nothing);
	is(query("SELECT to_regclass('a') IS NULL AND to_regclass('c') IS NOT NULL"), 't', "what was applied is there");

	# A failure shows what the server said and where that is; what is registered stays, or in one transaction nothing
	put('migrations/004_d.sql', "CREATE TABLE d (i int);\n\n-- é\nSELECT 1,\n\toops;\n");
	put('migrations/005_e.sql', "CREATE TABLE e (i int);\n");
	my $error = qr/ERROR:  column "oops" does not exist\nmigrations\/004_d\.sql:5\n {5}oops;\n {5}\^\n.*CONTEXT:  migration 004 "d" \(up\), statement 2 at line 4\n/s;
	runs_like([ 'up', '--single-transaction' ], 1, $nothing, qr/^${error}failed, nothing was changed\n$/s);
	is(query("SELECT count(*) FROM migrate.migration WHERE version > '003'"), 0, "a failed up in one transaction registers nothing");
	runs_like(['up'], 1, $nothing, qr/^${error}failed, nothing was changed\n$/s);
	is(query("SELECT count(*) FROM migrate.migration WHERE version > '003'"), 0, "a failed up leaves nothing registered either");
	unlink "$work/migrations/004_d.sql";
	runs_like([ 'up', '--to', '999' ], 1, $nothing, qr/ERROR:  .*999.*failed, nothing was changed/s);

	# What is in the database only
	query(q{SELECT migrate.add('0045', 'it''s mine', 'CREATE TABLE mine (i int)')});
	runs_like(['up'], 1, $nothing,
		qr/^registered in the database and pending.*  0045 it's mine +SELECT migrate.remove\('0045'\);\n.*error: 1 migration would be applied.*hint: dbmigrate up --registered/s);
	is(query("SELECT to_regclass('e') IS NULL AND count(*) = 0 FROM migrate.migration WHERE version = '005'"), 't', "refused as a whole");
	runs_like([ 'up', '--registered' ], 0, qr/^applied 0045 it's mine\n1 migration applied/, $nothing);
}

# Arguments
{
	my @wrong = (
		[ [], qr/^usage: dbmigrate/ ],
		[ ['statsu'], qr/unknown command: statsu\nhint: dbmigrate status\n$/ ],
		[ ['undo'], qr/hint: dbmigrate down\n$/ ],
		[ ['frobnicate'], qr/hint: dbmigrate help\n$/ ],
		[ [ 'up', '--frob' ], qr/unknown option: --frob\nhint: dbmigrate help\n$/ ],
		[ [ 'up', '1', '2' ], qr/too many arguments: 2/ ],
		[ [ 'up', '003_x' ], qr/up wants a number of migrations, not "003_x"\nhint: dbmigrate up --to VERSION/ ],
		[ [ 'up', '1', '--to', '2' ], qr/either a number or --to/ ],
		[ [ 'status', '--to', '2' ], qr/--to is for up, down or redo/ ],
		[ [ 'up', '--to' ], qr/--to wants a value/ ],
		[ [ 'up', '--dir=' ], qr/--dir wants a value/ ],
		[ [ 'up', '--check' ], qr/--check is for status/ ],
		[ [ 'status', 'x' ], qr/status takes no argument: x/ ],
		[ ['baseline'], qr/baseline wants a version/ ],
		[ [ 'status', '--url', 'mysql://x:secret@y/z' ], qr/^dbmigrate: cannot read the database URL: it does not begin/ ],
		[ [ 'status', '--url', 'postgres://u:se/cret@y/z' ], qr/cannot read the database URL: write \/ in a password as %2F/ ],
		[ [ 'status', '--url', 'postgres://u:se%cret@y/z' ], qr/cannot read the database URL: a % / ]);
	runs_like($_->[0], 2, $nothing, $_->[1]) foreach @wrong;

	my ($control) = slurp_file('dbmigrate.control') =~ /^default_version *= *'(.*)'/m;
	runs_like(['--version'], 0, qr/^dbmigrate \Q$control\E\n$/, $nothing);
	runs_like([$_], 0, qr/^usage: dbmigrate.*Exit code/s, $nothing) foreach qw(help --help -h);
}

# A count with a leading zero is a version
runs_like([ $_, '014' ], 2, $nothing, qr/wants a number of migrations, not "014"\nhint: dbmigrate $_ --to 014\n/) foreach qw(up down);

# What is missing
{
	fresh_work();
	put('migrations/1_a.sql', "SELECT 1;\n");
	{
		local $ENV{PGPORT} = 1;
		runs_like(['up'], 1, $nothing, qr/^connection to server .*error: cannot connect to the database\nhint: /s, 'up without a server');
	}
	fresh_database('bare', 0);
	runs_like([ 'up', '-d', 'nowhere' ], 1, $nothing, qr/error: the directory nowhere does not exist\nhint: mkdir nowhere/);
	runs_like([ 'status', '-d', 'nowhere' ], 1, $nothing, qr/error: the directory nowhere does not exist/);
	runs_like(['up'], 1, $nothing, qr/is not installed in database bare\nhint: dbmigrate init/);

	# an extension without the function, and a server without the extension's files
	fresh_database('old');
	query('ALTER FUNCTION migrate.add_files RENAME TO not_add_files');
	runs_like(['push'], 1, $nothing, qr/too old to register files\nhint: .*ALTER EXTENSION dbmigrate UPDATE/, 'push to an old extension');
  SKIP:
	{
		my $control = $node->config_data('--sharedir') . '/extension/dbmigrate.control';
		skip "not ours: $control", 2 unless -w $control && -w $control =~ s{/[^/]*$}{}r;
		$ENV{PGDATABASE} = 'bare';
		rename $control, "$control.away" or die;
		runs_like([$_], 1, $nothing, qr/error: the extension dbmigrate is not available on this server/) foreach qw(init status);
		rename "$control.away", $control or die;
	}
}

$node->stop;
done_testing();
