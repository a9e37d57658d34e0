# The dbmigrate command: what it shows before and after (--dry-run, check, history,
# pull, --json), switch, redo --to, the file .env, what it is linked with.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use Cwd qw(abs_path);
use IPC::Run;
use JSON::PP;
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();

sub tables { return query(q{SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'}); }

sub three
{
	fresh_work();
	put("migrations/00${_}_m$_.sql", up_down("CREATE TABLE m$_ ();", "DROP TABLE m$_;")) foreach 1 .. 3;
	return;
}

# One document on stdout, whatever happens.
sub json
{
	my ($code, @arguments) = @_;
	my @got = dbmigrate(@arguments, '--json');

	is($got[0], $code, "@arguments --json: exit code") or diag $got[2];
	unlike($got[1], qr/\n./, "@arguments --json: one line");
	return eval { decode_json($got[1]) } // { bad => $got[1] };
}

# --dry-run
{
	three();
	fresh_database('dry');
	runs_like([ 'up', '--dry-run', '2' ], 0,
		qr/^-- 001 m1 \(up\)\n-- Up Migration\nCREATE TABLE m1 \(\);\n\n-- 002 m2 \(up\)\n-- Up Migration\nCREATE TABLE m2 \(\);\n\n$/, qr/^a dry run: nothing was changed\n$/);
	runs_like([ 'up', '--dry-run', '--to', '1' ], 0, qr/^-- 001 m1 \(up\)\n(?!.*m2)/s, qr/^a dry run/);
	is(query('SELECT count(*) FROM migrate.migration'), 0, 'a dry run registers nothing');
	dbmigrate('up');
	runs_like([ 'up', '--dry-run' ], 0, qr/^nothing to apply\n$/, qr/^a dry run/);
	runs_like([ 'down', '--dry-run' ], 0, qr/^-- 003 m3 \(down\)\n-- Down Migration\nDROP TABLE m3;\n\n$/, qr/^a dry run/);
	runs_like([ 'down', '--dry-run', '--to', '1' ], 0, qr/^-- 003 m3 \(down\)\n.*^-- 002 m2 \(down\)\n(?!.*m1)/ms, qr/^a dry run/);
	runs_like([ 'redo', '--dry-run', '--to', '01' ], 0, qr/^-- 003 m3 \(down\)\n.*^-- 002 m2 \(down\).*^-- 002 m2 \(up\)\n.*^-- 003 m3 \(up\)\n/ms, qr/^a dry run/);
	is(tables(), 'm1 m2 m3', '... changes nothing');
	my $plan = json(0, 'down', '--dry-run', '2')->{plan};
	is_deeply([ map { "$_->{version} $_->{direction}" } @$plan ], [ '003 down', '002 down' ], 'the same as data');
	like($plan->[0]{sql}, qr/^DROP TABLE m3;$/m, '... with its SQL');
	query(q{CREATE ROLE blind LOGIN; GRANT USAGE ON SCHEMA migrate TO blind; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO blind});
	local $ENV{PGUSER} = 'blind';
	runs_like([ 'down', '--dry-run' ], 1, $nothing, qr/blind may not read the scripts\nhint: GRANT USAGE ON SCHEMA migrate TO blind; GRANT SELECT ON migrate\.migration, migrate\.applied TO blind;\n$/);
	runs_like(['history'], 1, $nothing, qr/may not read the history\nhint: GRANT .*migrate\.history TO blind;\n$/);
	runs_like(['pull'], 1, $nothing, qr/may not read the scripts\nhint: GRANT .*migrate\.migration TO blind;\n$/);
}

# redo --to
{
	three();
	fresh_database('redo');
	dbmigrate('up');
	runs_like([ 'redo', '--to', '001' ], 0,
		qr/^rolled back 003 m3\nrolled back 002 m2\napplied 002 m2\napplied 003 m3\n2 migrations done again in \S+ s, now at 003\n$/, $nothing);
	runs_like([ 'redo', '--to', '9' ], 1, $nothing, qr/^ERROR:  .*9.*failed, nothing was changed\n$/s);
	runs_like([ 'redo', '--to', '0' ], 0, qr/^3 migrations done again/m, $nothing);
}

# check
{
	three();
	fresh_database('checked');
	runs_like(['check'], 0, $nothing, qr/^3 files, nothing is wrong\n$/, 'check of what is new');
	put('migrations/008_m8.sql', 'SELECT 8;');
	dbmigrate('up');
	runs_like(['check'], 0, $nothing, qr/nothing is wrong/, 'check of what is applied');
	put('migrations/001_m1.sql', up_down('CREATE TABLE other ();', 'DROP TABLE other;'));
	unlink "$work/migrations/002_m2.sql";
	put('migrations/005_late.sql', 'SELECT 1;');
	put('migrations/009_a.sql', 'SELECT 1;');
	put('migrations/9_b.sql', 'SELECT 1;');
	my ($code, $out) = runs_like(['check'], 1, qr/^001_m1\.sql: changed: it is not what was applied$/m, qr/problems\n$/, 'check of a bad directory');
	like($out, qr/^002_m2\.sql: removed: /m, '... a file is gone');
	like($out, qr/^005_late\.sql: too late: /m, '... one is too late');
	like($out, qr/^9_b\.sql: error: .*9/m, '... a number is taken twice');
	my $document = json(1, 'check');
	ok(!$document->{success}, '... as data');
	is_deeply([ sort map { $_->{problem} } @{ $document->{problems} } ], [ 'changed', 'error', 'removed', 'too late' ], '... each with its kind');
	is(query('SELECT count(*) FROM migrate.migration'), 4, 'check registers nothing');
	runs_like([ 'check', '--registered' ], 2, $nothing, qr/--registered is for/);
	runs_like([ 'check', '-d', 'nowhere' ], 1, $nothing, qr/does not exist/);
}

# history
{
	three();
	fresh_database('past');
	dbmigrate('up', '2');
	dbmigrate('down');
	put('migrations/003_m3.sql', "SELECT oops;\n");
	dbmigrate('up');
	runs_like(['history'], 0, qr/^ run +\| at +\| action +\| version \| name \| by +\| why\n-.*\n.* apply .* 001 .*\n.* apply .* 002 .*\n.* rollback .* 002 .*\n.* apply .* 002 .*\n.* failed .* 003 .* 42703: column "oops" does not exist\n$/, $nothing);
	runs_like([ 'history', '1' ], 0, qr/^[^\n]*\n[^\n]*\n[^\n]* failed [^\n]*\n$/, $nothing);
	is_deeply([ map { "$_->{action} $_->{version}" } @{ json(0, 'history')->{history} } ],
		[ 'apply 001', 'apply 002', 'rollback 002', 'apply 002', 'failed 003' ], 'as data');
	runs_like([ 'history', '003' ], 2, $nothing, qr/history wants a number/);
}

# pull
{
	fresh_work();
	fresh_database('pulled');
	my %texts = ('7_odd.up.sql' => "\xef\xbb\xbfSELECT 'é';\r\n\r\n", '7_odd.down.sql' => 'SELECT 1', '08_two.up.sql' => "SELECT '\t';\n\n\n", 'R__view.sql' => "SELECT 3;\n");
	put("migrations/$_", $texts{$_}) foreach keys %texts;
	dbmigrate('push');
	runs_like([ 'pull', 'back/there' ], 0, qr{^back/there/7_odd\.up\.sql\nback/there/7_odd\.down\.sql\nback/there/08_two\.up\.sql\nback/there/R__view\.sql\n4 files written, 0 unchanged\n$}, $nothing);
	ok(slurp_file("$work/back/there/$_") eq $texts{$_}, "$_ is as it was, byte for byte") foreach sort keys %texts;
	runs_like([ 'pull', 'back/there' ], 0, qr/^0 files written, 4 unchanged\n$/, $nothing, 'pull once more');
	runs_like([ 'push', '-d', 'back/there' ], 0, qr/^(all of it is registered|0 added, 0 updated)/, $nothing, 'what was pulled is what is registered');
	put('back/there/7_odd.down.sql', 'SELECT 2');
	unlink "$work/back/there/08_two.up.sql";
	runs_like([ 'pull', 'back/there' ], 1, $nothing, qr{^back/there/7_odd\.down\.sql: is there already, and is another one\n.*error: nothing was written}s, 'pull over another file');
	ok(!-e "$work/back/there/08_two.up.sql", '... writes nothing at all');
	symlink '/etc/passwd', "$work/back/there/08_two.up.sql" or die;
	runs_like([ 'pull', 'back/there' ], 1, $nothing, qr/08_two\.up\.sql: is there already/, 'pull over a link');

	foreach my $name ('../evil', 'a/b', "x\e[2J", "x\n")
	{
		query('DELETE FROM migrate.migration');
		query(q{SELECT migrate.add('1', 'good', 'SELECT 1'); UPDATE migrate.migration SET name = } . "E'" . $name =~ s/[\e\n]/sprintf '\\x%02x', ord $&/ger . "'");
		my ($code, $out, $err) = runs_like([ 'pull', 'evil' ], 1, $nothing, qr/: no name for a file\n.*error: nothing was written/s, 'pull of a name that is none');
		unlike($err, qr/\e/, '... which steers nothing');
		ok(!-e "$work/evil", '... and writes nothing');
	}
}

# switch
{
	fresh_work();
	fresh_database('branches');
	query(q{ALTER DATABASE branches SET dbmigrate.environment = 'development'});
	my %file = map { $_ => up_down("CREATE TABLE $_ ();", "DROP TABLE $_;") } qw(base mine yours common);
	put('a/001_base.sql', $file{base});
	put('a/002_mine.sql', $file{mine});
	put('a/003_common.sql', $file{common});
	put('b/001_base.sql', $file{base});
	put('b/002_yours.sql', $file{yours});
	put('b/003_common.sql', $file{common});
	runs_like([ 'up', '-d', 'a' ], 0, qr/3 migrations applied/, $nothing);
	runs_like([ 'up', '-d', 'b' ], 1, $nothing, qr/ERROR/, 'up of another branch');
	runs_like([ 'switch', '-d', 'b' ], 0, qr/^rolled back 003 common\nrolled back 002 mine\napplied 002 yours\napplied 003 common\n2 rolled back, 2 applied, now at 003\n$/, qr/^another text in b: 002 yours\n$/);
	is(tables(), 'base common yours', 'what is there is what the branch has');
	runs_like([ 'switch', '-d', 'b' ], 0, qr/^0 rolled back, 0 applied, now at 003\n$/, $nothing);
	runs_like([ 'switch', '-d', 'a' ], 0, qr/^2 rolled back, 2 applied, now at 003$/m, qr/^another text in a: 002 mine\n$/, 'and back');
	query(q{SELECT migrate.add('9', 'of the other branch', 'SELECT 1')});
	runs_like([ 'switch', '-d', 'b' ], 0, qr/^2 rolled back, 2 applied/m, qr/in b: /, 'switch forgets what is pending and has no file');
	is(query(q{SELECT count(*) FROM migrate.migration}), 3, '... which is gone');
	my $document = json(0, 'switch', '-d', 'a');
	is_deeply([ map { "$_->{direction} $_->{name}" } @{ $document->{results} } ], [ 'down 003_common', 'down 002_yours', 'up 002_mine', 'up 003_common' ], 'as data');
	query(q{ALTER DATABASE branches SET dbmigrate.environment = 'production'});
	runs_like([ 'switch', '--yes', '-d', 'b' ], 1, $nothing, qr/switch is for development, and database branches is a production database\n/, 'switch in production');
	runs_like([ 'switch', 'b' ], 2, $nothing, qr/switch takes no argument/);
}

# --json of the rest
{
	three();
	fresh_database('data', 0);
	my $document = json(1, 'up');
	ok(!$document->{success} && $document->{error}{hint} eq 'dbmigrate init', 'an error has its hint');
	ok(json(0, 'init')->{success}, 'init');
	$document = json(0, 'up');
	is_deeply([ map { $_->{name} } @{ $document->{results} } ], [ '001_m1', '002_m2', '003_m3' ], 'up: what was applied');
	is($document->{lastMigration}, '003', '... and where it is now');
	is_deeply([ map { "$_->{result} $_->{file}" } @{ $document->{files} } ], [ 'added 001_m1.sql', 'added 002_m2.sql', 'added 003_m3.sql' ], '... and what was registered');
	is_deeply(json(0, 'pending')->{pending} // [], [], 'pending: nothing');
	is(json(0, 'version')->{version}, '003', 'version');
	put('migrations/004_bad.sql', "SELECT 1;\n\n  SELECT \xc3\xa9;\n");
	is(json(0, 'pending')->{pending}[0]{name}, 'bad', 'pending');
	$document = json(1, 'up');
	is($document->{error}{sqlstate}, '42703', 'an error of the server');
	is("$document->{error}{file}:$document->{error}{line}", 'migrations/004_bad.sql:3', '... with its place');
	is($document->{error}{statement}, 2, '... and statement');
	is($document->{outcome}, 'nothing was changed', '... and what became of it');
	is_deeply($document->{files}, [], '... also of what was registered');
	$document = json(1, 'up', '--single-transaction');
	is($document->{outcome}, 'nothing was changed', 'in one transaction');
	is(json(0, 'down')->{results}[0]{direction}, 'down', 'down');
	ok(json(0, 'status')->{status}, 'status has the document of the server');
	ok(!json(2, 'up', 'x')->{success}, 'wrong usage is a document, too');
	ok(!json(2, 'up', '--frob')->{success}, 'an unknown option as well');
	like(json(0, 'create', 'more')->{created}[0]{file}, qr{^migrations/\d{14}_more\.sql$}, 'create');
}

# Where in which file it failed
{
	fresh_work();
	fresh_database('places');
	my %case = (
		'a/001_x.sql' => [ up_down('CREATE TABLE x ();', "SELECT 1;\n\n  SELECT oops;"), 'down', qr{^a/001_x\.sql:6\n {6}SELECT oops;\n {13}\^$}m ],
		'b/001_x.sql' => [ up_down('SELECT 1;', "SELECT 1;\nVACUUM nothing;"), 'down', qr{^b/001_x\.sql:5\n {4}VACUUM nothing;\n {4}\^$}m ],
		'c/001_x.up.sql' => [ "SELECT 1;\n\tCALL nothing();\n", 'up', qr{^c/001_x\.up\.sql:2\n {5}CALL nothing\(\);\n {10}\^$}m ],
		'd/20240101000000_x/up.sql' => [ "-- here\nVACUUM nothing;\n", 'up', qr{^d/20240101000000_x/up\.sql:2\n {4}VACUUM nothing;$}m ],
		'e/V1_2__x.sql' => [ "SELECT 1 / 0;\n", 'up', qr{^e/V1_2__x\.sql:1\n {4}SELECT 1 / 0;$}m ],
		'f/R__x.sql' => [ "SELECT 1;\nSELECT 1 / 0;\n", 'up', qr{^f/R__x\.sql:2\n {4}SELECT 1 / 0;$}m ],
		'g/001_x.sql' => [ "SELECT 1;\nSELECT '" . 'é' x 600 . "', oops, '" . 'é' x 600 . "';\n", 'up', qr{^g/001_x\.sql:2\n {4}\.\.\.(?:é)+', oops, '(?:é)+\.\.\.\n {4} +\^$}m ],
		'h/001_x.sql' => [ "DO \$\$ BEGIN\n  PERFORM oops;\nEND \$\$;\n", 'up', qr{^h/001_x\.sql:\d}m ],
		'i/001_x.sql' => [ "SELECT \x01, 1;\n", 'up', qr{^i/001_x\.sql:1\n {4}SELECT \?, 1;$}m ]);
	foreach my $file (sort keys %case)
	{
		my ($text, $direction, $place) = @{ $case{$file} };
		my $dir = substr $file, 0, 1;
		put($file, $text);
		fresh_database('places');
		dbmigrate('up', '-q', '-d', $dir) if $direction eq 'down';
		my ($code, $out, $err) = dbmigrate($direction, '-d', $dir);
		is($code, 1, "$file: fails");
		like($err, $place, "$file: where");
	}
}

# Other tools' words
{
	three();
	fresh_database('words');
	runs_like(['migrate'], 0, qr/3 migrations applied/, $nothing);
	runs_like(['rollback'], 0, qr/1 migration rolled back/, $nothing);
	runs_like(['info'], 0, qr/2 applied, 1 pending/, $nothing);
	runs_like([ 'new', 'x' ], 0, qr/_x\.sql$/, $nothing);
}

# A name that looks like production, and says nothing
{
	three();
	foreach my $name ('shop_prod', 'Live', 'prd-2', 'production')
	{
		fresh_database($name);
		runs_like([ 'up', '1' ], 0, qr/1 migration applied/, qr/^warning: database \Q$name\E looks like production, and does not say what it is\nhint: ALTER DATABASE .*\n$/, "up of $name");
		runs_like(['status'], 0, qr/1 applied/, $nothing, "status of $name");
		query(qq{ALTER DATABASE "$name" SET dbmigrate.environment = 'staging'});
		runs_like([ 'up', '1' ], 0, qr/1 migration applied/, $nothing, "up of $name, which says what it is");
	}
	foreach my $name ('products', 'deliver', 'olive')
	{
		fresh_database($name);
		runs_like([ 'up', '1' ], 0, qr/1 migration applied/, $nothing, "up of $name");
	}
}

# .env
{
	three();
	fresh_database('by_file');
	fresh_database('by_environment');
	my $query = 'host=' . $node->host . '&port=' . $node->port;
	sub where { my ($code, $out, $err) = dbmigrate('status', @_); return $err =~ /^database (\S+)/m ? $1 : "$code: $err"; }
	local $ENV{PGDATABASE} = 'postgres';
	put('.env', "# of the application\nPGDATABASE=template1\nexport DATABASE_URL = \"postgres:///by_file?$query\" # here\nDBMIGRATE_DIR='other dir'\nNOISE=\"a\nDATABASE_URL=b\"\nLD_PRELOAD=x\n");
	put('other dir/1_x.sql', 'SELECT 1;');
	is(where(), 'by_file', 'DATABASE_URL of .env');
	runs_like(['pending'], 0, qr/^1 x\n$/, $nothing, 'DBMIGRATE_DIR of .env');
	{
		local $ENV{DATABASE_URL} = "postgres:///by_environment?$query";
		is(where(), 'by_environment', 'the environment wins');
		is(where('--url', "postgres:///by_file?$query"), 'by_file', '--url comes first');
	}
	is(where('--no-env'), 'postgres', '--no-env');
	foreach my $case (
		[ "DATABASE_URL=postgres:///by_file?$query#x", qr/by_file|invalid|cannot/ ], [ "DATABASE_URL=postgres:///by_file?$query   # x\r\n", qr/^by_file$/ ],
		[ "DATABASE_URL='postgres:///by_file?$query'\n", qr/^by_file$/ ], [ "DATABASE_URL=\n", qr/^postgres$/ ],
		[ "DATABASE_URL=\"unfinished", qr/line 1: a quote without its end\nhint: --no-env/ ], [ "a\0b", qr/NUL byte/ ],
		[ 'x' x 2_000_000, qr/too large/ ], [ "\xef\xbb\xbfDATABASE_URL=postgres:///by_file?$query", qr/^by_file$/ ],
		[ "DATABASE_URL=x\nDATABASE_URL=postgres:///by_file?$query", qr/^by_file$/ ], [ "\n=\n=x\nx\n\"\n'\nexport\nexport \n", qr/^postgres$/ ])
	{
		put('.env', $case->[0]);
		like(where(), $case->[1], '.env: ' . substr($case->[0], 0, 40) =~ s/[\r\n\0]/?/gr);
	}
	unlink "$work/.env";
	symlink 'other dir/1_x.sql', "$work/.env" or die;
	like(where(), qr/\.env is a symbolic link/, '.env that is a link');
	unlink "$work/.env";
	POSIX::mkfifo("$work/.env", 0600) or die;
	like(where(), qr/\.env is not a file/, '.env that is a pipe');
	unlink "$work/.env";
	mkdir "$work/.env" or die;
	is(where(), 'postgres', '.env that is a directory');
	rmdir "$work/.env";
	put('.env', "DATABASE_URL=postgres://u:hush\@h:x:y/z\n");
	unlike(where(), qr/hush/, 'a password of .env is not shown');
}

# Pipes and devices do not hang it, and a directory is not read through a link
{
	three();
	fresh_database('pipes');
	POSIX::mkfifo("$work/migrations/004_pipe.sql", 0600) or die;
	runs_like(['up'], 0, qr/3 migrations applied/, $nothing, 'up with a pipe in the directory');
	unlink "$work/migrations/004_pipe.sql";
	symlink "$work/migrations/004_pipe.sql", "$work/migrations/005_x.sql" or die;
	runs_like(['up'], 1, $nothing, qr/^005_x\.sql: is a symbolic link\n/, 'up with a link to nothing');
}

# Completion knows the commands and options that there are
SKIP:
{
	skip 'no bash', 1 unless grep { -x "$_/bash" } split /:/, $ENV{PATH};
	my (undef, $help) = dbmigrate('help');
	my $script = abs_path('client/completion/dbmigrate.bash');
	my $complete = sub {
		my $output = '';
		IPC::Run::run([ 'bash', '-c', 'source "$0" && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _dbmigrate && printf "%s\n" "${COMPREPLY[@]}"', $script, @_ ],
			'>', \$output);
		return join ' ', sort split /\n/, $output;
	};
	my %seen;
	is($complete->('dbmigrate', ''), join(' ', sort grep { !$seen{$_}++ } $help =~ /^  ([a-z]+)\b/mg), 'every command is completed');
	my %options = map { $_ => 1 } map { split / /, $complete->('dbmigrate', $_, '--') } 'up', 'create', 'status';
	is_deeply([ sort keys %options ], [ sort grep { $_ ne '--atomic' && !$seen{$_}++ } $help =~ /(--[a-z][-a-z]*)/g ], 'every option is completed');
	is($complete->('dbmigrate', 'down', '--t'), '--to', 'an option of a command');
	is($complete->('dbmigrate', '--format', 'fl'), 'flyway', 'a value');
}

# What it is linked with
SKIP:
{
	skip 'no readelf', 1 unless grep { -x "$_/readelf" } split /:/, $ENV{PATH};
	my $needed = join ' ', sort qx(readelf -d '$command') =~ /\(NEEDED\).*\[(.*)\]/g;
	like($needed, qr/^libc\.\S+ libcrypto\.so\.\S+ libpq\.so\.5$/, 'nothing but libpq, what that needs, and libc');
}

$node->stop;
done_testing();
