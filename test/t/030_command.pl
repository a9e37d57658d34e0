# The dbmigrate command: every subcommand with its exit code, in the shells
# that are there; hostile names and texts; no password in sight; confirmation
# in production; terminals and pipes; interruption.

use strict;
use warnings FATAL => 'all';

use Cwd qw(abs_path getcwd);
use File::Path qw(make_path remove_tree);
use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $command = abs_path('bin/dbmigrate');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $work = "$folder/work";
my $tmp = "$folder/tmp";
mkdir $tmp;

plan skip_all => 'needs the Perl module IO::Pty (Debian: libio-pty-perl)'
  unless eval { require IO::Pty; 1 };

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->start;

delete @ENV{ grep { /^(PG|DBMIGRATE_|DATABASE_URL|NO_COLOR|LC_|LANG)/ and $_ !~ /^(PG_|PGCTL)/ } keys %ENV };
%ENV = (%ENV, PGHOST => $node->host, PGPORT => $node->port, TMPDIR => $tmp, LC_ALL => 'C.UTF-8');
my $bindir = $node->config_data('--bindir');
my $psql = "$bindir/psql";
$ENV{PATH} = "$bindir:$ENV{PATH}";
$ENV{PGUSER} = $node->safe_psql('postgres', 'SELECT current_user');

# The shells to run it with: what sh is, and others if present.
sub in_path
{
	my ($program) = @_;
	return grep { -x "$_/$program" } split /:/, $ENV{PATH};
}
my %shells = (
	sh => ['sh'],
	dash => ['dash'],
	'busybox sh' => [ 'busybox', 'sh' ],
	'bash --posix' => [ 'bash', '--posix' ],
	mksh => ['mksh'],
	ksh => ['ksh'],
	'zsh --emulate sh' => [ 'zsh', '--emulate', 'sh' ]);
my @shells = grep { in_path($shells{$_}[0]) } sort keys %shells;
my $shell = 'sh';

# Runs the command in the work folder, without a terminal: exit code, stdout,
# stderr.  The first line of stderr that says where it works is taken off.
sub dbmigrate
{
	my @arguments = @_;
	my ($out, $err) = ('', '');

	IPC::Run::run([ @{ $shells{$shell} }, $command, @arguments ],
		'<', \undef, '>', \$out, '2>', \$err, init => sub { chdir $work or die }, IPC::Run::timeout(120));
	my $code = $? >> 8;
	$code = 'signal ' . ($? & 127) if $? & 127;
	$err =~ s/^database \S+ as .* \(PostgreSQL \S+, environment .*\)\n//m;
	return ($code, $out, $err);
}

# The same on a terminal, with what is typed there.
sub dbmigrate_tty
{
	my ($typed, @arguments) = @_;
	my $out = '';
	my $in = $typed;

	IPC::Run::run([ @{ $shells{$shell} }, $command, @arguments ],
		'<pty<', \$in, '>pty>', \$out, init => sub { chdir $work or die; open STDERR, '>&', \*STDOUT },
		IPC::Run::timeout(60));
	my $code = $? >> 8;
	$out =~ s/\r//g;
	return ($code, $out);
}

sub runs_like
{
	my ($arguments, $code, $out, $err, $name) = @_;
	my @got = dbmigrate(@$arguments);

	$name = "$shell: dbmigrate " . ($name // join ' ', @$arguments);
	is($got[0], $code, "$name: exit code") or diag "stdout: $got[1]stderr: $got[2]";
	like($got[1], $out, "$name: stdout");
	like($got[2], $err, "$name: stderr");
	return @got;
}

sub fresh_work
{
	remove_tree($work);
	make_path("$work/migrations");
	return;
}

sub fresh_database
{
	my ($database, $extension) = @_;
	$ENV{PGDATABASE} = $database;
	$node->safe_psql('postgres', qq{DROP DATABASE IF EXISTS "$database"});
	$node->safe_psql('postgres', qq{CREATE DATABASE "$database"});
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate') if $extension // 1;
	return;
}

# A file of the work folder, byte for byte.
sub put
{
	my ($file, $content) = @_;
	my $path = "$work/$file";

	(my $parent = $path) =~ s{/[^/]*$}{};
	make_path($parent);
	open my $handle, '>:raw', $path or die "$path: $!";
	print $handle $content;
	close $handle or die;
	return;
}

sub up_down
{
	my ($up, $down) = @_;
	return "-- Up Migration\n$up\n-- Down Migration\n$down\n";
}

sub query
{
	my ($sql) = @_;
	return scalar $node->safe_psql($ENV{PGDATABASE}, $sql);
}

my $nothing = qr/^$/;

note 'every shell: ' . join ', ', @shells;
foreach (@shells)
{
	$shell = $_;
	remove_tree($work);
	make_path($work);
	fresh_database('flow', 0);

	# Before there is anything
	runs_like(['status'], 1, $nothing, qr/error: the extension dbmigrate is not installed in database flow\nhint: dbmigrate init\n$/);
	runs_like(['up'], 1, $nothing, qr/error: the directory migrations does not exist\nhint: mkdir migrations/);
	runs_like(['init'], 0, $nothing, qr/^created the extension in database flow\ncreated the directory migrations\n$/);
	runs_like(['init'], 0, $nothing, qr/^the extension is already installed/);
	ok(-d "$work/migrations", "$shell: init makes the directory");
	runs_like(['up'], 1, $nothing, qr/error: there are no migration files in migrations\nhint: dbmigrate create/, 'up of an empty directory');
	runs_like(['version'], 0, $nothing, qr/^none\n$/);

	# Files
	my (undef, $made) = runs_like([ 'create', "add  users; 'x' \$(id).down" ], 0,
		qr{^migrations/\d{14}_add_users_x_id_down\.sql\n$}, $nothing, 'create with a wild name');
	chomp $made;
	like(slurp_file("$work/$made"), qr/^-- Up Migration\n-- [^\n]*\n\n-- Down Migration\n-- [^\n]*\n\n$/, "$shell: the new file");
	my ($code, $both) = runs_like([ 'create', '--split', 'two' ], 0,
		qr{^migrations/(\d{14})_two\.up\.sql\nmigrations/\1_two\.down\.sql\n$}, $nothing);
	unlike($both, qr/\Q@{[ substr $made, 11, 14 ]}\E/, "$shell: a second file has a version of its own");
	runs_like([$_], 1, $nothing, qr/nothing is filled in: .*\Q$made\E/s, "$_ of new files as they are") foreach 'up', 'push';
	symlink 'migrations', "$work/linked" or die;
	runs_like([ 'push', '-d', 'linked' ], 1, $nothing, qr/nothing is filled in: /, 'push of a directory that is a link');
	put($made, up_down('SELECT 1;', ''));
	unlike((runs_like(['up'], 1, $nothing, qr/nothing is filled in: /))[2], qr/\Q$made\E/, "$shell: a filled one is not named");
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
	is(query('SELECT count(*) FROM migrate.migration'), 0, "$shell: looking registers nothing");
	runs_like(['push'], 0, qr/^added 001 a\nadded 002 b\nadded 003 c\n3 added, 0 updated, 0 unchanged, 1 left out\n$/,
		qr/^left out: README\.md/);
	runs_like([ 'up', '1' ], 0, qr/^applied 001 a\n1 migration applied in \d+\.\d\d s, now at 001\n$/, $nothing);
	runs_like(['up'], 0, qr/^applied 002 b\napplied 003 c\n2 migrations applied in \d+\.\d\d s, now at 003\n$/, $nothing);
	runs_like(['up'], 0, qr/^nothing to apply, at 003\n$/, $nothing);
	is(query('SELECT DISTINCT application_name FROM migrate.history'), 'dbmigrate', "$shell: the application's name");
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
	is(query("SELECT to_regclass('a') IS NULL AND to_regclass('c') IS NOT NULL"), 't', "$shell: what was applied is there");

	# A failure leaves nothing, and shows what the server said
	put('migrations/004_d.sql', "CREATE TABLE d (i int);\nSELECT oops;\n");
	put('migrations/005_e.sql', "CREATE TABLE e (i int);\n");
	runs_like(['up'], 1, $nothing,
		qr/^ERROR:  column "oops" does not exist\nLINE 1: .*\n +\^\n.*CONTEXT:  migration 004 "d" \(up\), statement 2 at line 2\nfailed, nothing was changed\n$/s);
	is(query("SELECT count(*) FROM migrate.migration WHERE version > '003'"), 0, "$shell: a failed up registers nothing");
	unlink "$work/migrations/004_d.sql";
	runs_like([ 'up', '--to', '999' ], 1, $nothing, qr/ERROR:  .*999.*failed, nothing was changed/s);

	# What is in the database only
	query(q{SELECT migrate.add('0045', 'it''s mine', 'CREATE TABLE mine (i int)')});
	runs_like(['up'], 1, $nothing,
		qr/^registered in the database and pending.*  0045 it's mine +SELECT migrate.remove\('0045'\);\n.*error: 1 migration would be applied.*hint: dbmigrate up --registered/s);
	is(query("SELECT to_regclass('e') IS NULL AND count(*) = 0 FROM migrate.migration WHERE version = '005'"), 't', "$shell: refused as a whole");
	runs_like([ 'up', '--registered' ], 0, qr/^applied 0045 it's mine\n1 migration applied/, $nothing);
	is((glob "$tmp/*")[0], undef, "$shell: no temporary files are left");
}
$shell = 'sh';

# Arguments
{
	my @wrong = (
		[ [], qr/^usage: dbmigrate/ ],
		[ ['statsu'], qr/unknown command: statsu\nhint: dbmigrate status\n$/ ],
		[ ['rollback'], qr/hint: dbmigrate down\n$/ ],
		[ ['frobnicate'], qr/hint: dbmigrate help\n$/ ],
		[ [ 'up', '--frob' ], qr/unknown option: --frob\nhint: dbmigrate help\n$/ ],
		[ [ 'up', '1', '2' ], qr/too many arguments: 2/ ],
		[ [ 'up', '003_x' ], qr/up wants a number of migrations, not "003_x"\nhint: dbmigrate up --to VERSION/ ],
		[ [ 'up', '1', '--to', '2' ], qr/either a number or --to/ ],
		[ [ 'redo', '--to', '2' ], qr/--to is for up or down/ ],
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

# What is missing
{
	fresh_work();
	put('migrations/1_a.sql', "SELECT 1;\n");
	my $sh = (in_path('sh'))[0] . '/sh';
	{
		local $ENV{PATH} = '/nowhere';
		local $shells{sh} = [$sh];
		runs_like(['up'], 1, $nothing, qr/error: psql is not installed, or not in PATH\nhint: .*postgresql-client/, 'up without psql');
	}
	{
		local $ENV{PGPORT} = 1;
		runs_like(['up'], 1, $nothing, qr/psql: error: .*error: cannot connect to the database\nhint: /s, 'up without a server');
	}
	fresh_database('bare', 0);
	runs_like([ 'up', '-d', 'nowhere' ], 1, $nothing, qr/error: the directory nowhere does not exist\nhint: mkdir nowhere/);
	runs_like([ 'status', '-d', 'nowhere' ], 1, $nothing, qr/error: the directory nowhere does not exist/);
	runs_like(['up'], 1, $nothing, qr/is not installed in database bare\nhint: dbmigrate init/);

	# a psql that answers for a server without the extension's files
	make_path("$folder/without");
	append_to_file("$folder/without/psql", "#!/bin/sh\nprintf '%s\\n' h 5432 d u 15.1 '' f f f f f f\n");
	chmod 0755, "$folder/without/psql";
	local $ENV{PATH} = "$folder/without:$ENV{PATH}";
	runs_like([$_], 1, $nothing, qr/error: the extension dbmigrate is not available on this server/) foreach qw(init status);

	make_path("$folder/old");
	append_to_file("$folder/old/psql", "#!/bin/sh\nprintf '%s\\n' h 5432 d u 15.1 '' t f t f f f\n");
	chmod 0755, "$folder/old/psql";
	$ENV{PATH} = "$folder/old:$ENV{PATH}";
	runs_like(['push'], 1, $nothing, qr/too old to register files\nhint: .*ALTER EXTENSION dbmigrate UPDATE/, 'push to an old extension');
}

# Texts arrive byte for byte
{
	fresh_work();
	fresh_database('texts');
	my %texts = (
		'01_no_newline.sql' => 'SELECT 1',
		'02_newlines.sql' => "\n\nSELECT 1;\n\n\n",
		'03_crlf.sql' => "SELECT 1;\r\nSELECT 2;\r\n",
		'04_cr.sql' => "SELECT 1;\r",
		'05_quotes.sql' => qq{SELECT 'it''s', E'\\\\a\\'b', "version" FROM (SELECT 1 AS version) x; -- ' " `date`\n},
		'06_psql.sql' => "SELECT ':name', :'name', \$1:\"x\"; -- \\q :{?x} \\gset\n\tSELECT 'a' -- \\\\ \n",
		'07_shell.sql' => "SELECT '\$(touch pwned) `touch pwned` \${HOME} \$\$ * ? ! ~';\n",
		'08_control.sql' => join('', '/* ', (map { chr } 1 .. 31, 127), " */ SELECT 1;\n"),
		'09_utf8.sql' => "SELECT '\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x98 \xed\x9f\xbf \xef\xbf\xbd \xc2\x80';\n",
		'10_dollar.sql' => "SELECT \$x\$ '' \\ \" \$x\$;\n",
		'11_json.sql' => "SELECT '{\"a\": \"\\u0041 \\n \\\\ \\/\"}', '&amp; & \\& \\\\&';\n",
		'12_long.sql' => "SELECT '" . ('x\\"' x 100_000) . "';\n",
		'13_empty_lines.sql' => "SELECT 1;\n \n\t\n",
		'14_bom.sql' => "\xef\xbb\xbfSELECT 1;\n");
	put("migrations/$_", $texts{$_}) foreach keys %texts;
	foreach my $awk ([], map { [$_] } grep { in_path($_->[0]) } ['mawk'], ['gawk'], [ 'busybox', 'awk' ], ['original-awk'])
	{
		my $path = "$folder/awk" . join '-', @{ $awk->[0] // [] };
		if ($awk->[0])
		{
			make_path($path);
			append_to_file("$path/awk", "#!/bin/sh\nexec @{$awk->[0]} \"\$@\"\n");
			chmod 0755, "$path/awk";
		}
		local $ENV{PATH} = "$path:$ENV{PATH}";
		my $with = 'with ' . ($awk->[0] ? "@{$awk->[0]}" : 'awk');
		query('DELETE FROM migrate.migration');
		my ($code, $out, $err) = dbmigrate('push', '--format', 'plain');
		is($code, 0, "texts are registered $with") or diag $out, $err;
		foreach my $file (sort keys %texts)
		{
			my $hex = query("SELECT encode(convert_to(up, 'UTF8'), 'hex') FROM migrate.migration WHERE file_name = '$file'");
			ok(pack('H*', $hex) eq $texts{$file}, "$file arrives byte for byte $with");
		}
	}
	ok(!-e "$work/pwned", 'no text is run by the shell');

	# What no text can hold
	fresh_work();
	put('migrations/01_good.sql', "SELECT 1;\n");
	put('migrations/02_latin1.sql', "SELECT 1;\n-- \xe9\n");
	put('migrations/03_nul.sql', "SELECT 1;\n\0");
	put('migrations/04_ff.sql', "SELECT 1;\n\xff");
	put('migrations/05_surrogate.sql', "\xed\xa0\x80");
	put("migrations/06_\xe9.sql", 'SELECT 1');
	put('migrations/07_secret.sql', 'SELECT 1');
	chmod 0, "$work/migrations/07_secret.sql";
	query('DELETE FROM migrate.migration');
	my ($code, $out, $err) = dbmigrate('push');
	is($code, 1, 'files that are no text: exit code');
	like($err, qr/^02_latin1\.sql, line 2: not UTF-8$/m, 'Latin-1 is named with its line');
	like($err, qr/^03_nul\.sql: not UTF-8 text/m, 'a file with a NUL byte is named');
	like($err, qr/^04_ff\.sql: not UTF-8 text/m, 'a file with a byte FF is named');
	like($err, qr/^05_surrogate\.sql, line 1: not UTF-8$/m, 'a surrogate is not UTF-8');
	like($err, qr/^06_.\.sql: not UTF-8$/m, 'a name in Latin-1 is an error');
  SKIP:
	{
		skip 'root can read everything', 1 if $> == 0;
		like($err, qr/^07_secret\.sql: cannot be read$/m, 'an unreadable file is named');
	}
	unlike($err, qr/01_good/, 'a good file is not named');
	is(query('SELECT count(*) FROM migrate.migration'), 0, 'nothing is registered then');
	chmod 0600, "$work/migrations/07_secret.sql";
}

# Names are data
{
	fresh_work();
	fresh_database('names');
	my $n = 10;
	my @names = map { sprintf '%03d_%s.sql', $n++, $_ } (
		q{it's}, q{say "x"}, 'two  spaces', 'back\\slash', '$(touch pwned)', '`touch pwned`', '*', '[a-z]?', "\xc3\xa9\xe2\x82\xac",
		';id', '&', '%s%d', '--', ':x', '$HOME', 'a=b', '#', '!x', '{a,b}', "it's :'schema'");
	my @odd = ("100_new\nline.sql", '-rf.sql', '--.sql', '-', "tab\there.sql", "\x1b[31mred.sql", 'a=1.sql');
	put("migrations/$_", "SELECT 1;\n") foreach @names, @odd;
	put('migrations/.hidden/001_x.sql', 'SELECT nonsense');
	put('migrations/.002_x.sql', 'SELECT nonsense');
	symlink "$work/migrations", "$work/migrations/loop";
	PostgreSQL::Test::Utils::system_log('mkfifo', "$work/migrations/202_pipe.sql");

	# what the command hands over, whatever the server would make of it
	query(q{
		CREATE TABLE handed_over (name text, content text);
		ALTER FUNCTION migrate.add_files(jsonb, text, text) RENAME TO true_add_files;
		CREATE FUNCTION migrate.add_files(files jsonb, format text, project text,
			OUT version text, OUT name text, OUT result text, OUT file text, OUT detail text)
		RETURNS SETOF record LANGUAGE sql AS $$
			INSERT INTO public.handed_over SELECT e->>'name', e->>'content' FROM jsonb_array_elements(files) e;
			SELECT '', '', '', '', '' WHERE false $$});
	my ($code, $out, $err) = dbmigrate('push');
	is($code, 0, 'hostile names are handed over') or diag $out, $err;
	like($err, qr{not followed, links to directories:\nloop}, 'a link to a directory is left out, and said so');
	query(q{
		DROP FUNCTION migrate.add_files(jsonb, text, text);
		ALTER FUNCTION migrate.true_add_files(jsonb, text, text) RENAME TO add_files});
	query(q{SELECT migrate.manage('a test')});
	my $got = query(q{SELECT string_agg(encode(convert_to(name, 'UTF8'), 'hex'), ' ' ORDER BY name COLLATE "C") FROM handed_over});
	is($got, join(' ', map { unpack 'H*', $_ } sort @names, @odd), 'every name arrives byte for byte, hidden ones and pipes do not');
	is(query(q{SELECT count(*) FROM handed_over WHERE content <> E'SELECT 1;\n' AND name LIKE '%.sql'}), 0, 'with their contents');
	ok(!-e "$work/pwned" && !-e "$work/migrations/pwned", 'no name is run by the shell');

	unlink "$work/migrations/$_" foreach @odd;
	runs_like(['up'], 0, qr/^applied 010 it's\n.*now at 029\n$/s, qr/^note: not followed/, 'up with hostile names');

	# directories and arguments
	my $version = 900;
	foreach my $dir (q{it's "a" $(touch pwned) \\ dir}, '-d', "\n", '*', 'a/b/../b', '-', ' ')
	{
		$version++;
		put("$dir/${version}_z.sql", "SELECT 1;\n");
		my ($code, $out, $err) = dbmigrate('push', '-d', $dir);
		is("$code $out", "0 added $version z\n1 added, 0 updated, 0 unchanged, 0 left out\n", "the directory $dir") or diag $err;
	}
	my $evil = q{'; DROP TABLE handed_over; -- $(touch pwned) `touch pwned` :'x' \\gexec};
	foreach my $arguments ([ 'up', '--registered', '--to', $evil ], [ 'baseline', $evil ], [ 'up', '--registered', '--schema', $evil ],
		[ 'push', '--format', $evil ], [ 'down', '--to', $evil ], [ 'adopt', $evil ], [ 'version', '--schema', $evil ])
	{
		my ($code, $out, $err) = dbmigrate(@$arguments);
		unlike($err, qr/syntax error/, "$arguments->[0] takes a hostile argument as data") or diag $err;
	}
	is(query(q{SELECT to_regclass('handed_over') IS NOT NULL}), 't', 'no argument is SQL');
	ok(!-e "$work/pwned", 'no argument is run by the shell');
}

# Passwords
{
	fresh_work();
	fresh_database('secret');
	put('migrations/1_a.sql', "SELECT 1;\n");
	my $password = q{p@ss/w:rd?&#%'"\\ €$(id)};
	utf8::encode($password) if utf8::is_utf8($password);
	make_path("$folder/watch");
	my $seen = "$folder/seen";
	append_to_file("$folder/watch/psql", <<"EOF");
#!/bin/sh
cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >>$seen.ps
printf '%s\\n' "\$@" >>$seen.ps
printf '%s\\n' "\${PGPASSWORD-none}" >$seen.password
exec '$psql' "\$@"
EOF
	chmod 0755, "$folder/watch/psql";
	local $ENV{PATH} = "$folder/watch:$ENV{PATH}";
	my $encoded = join '', map { sprintf '%%%02X', $_ } unpack 'C*', $password;
	my $query = 'host=' . $node->host . '&port=' . $node->port;
	my %urls = (
		"postgres://$ENV{PGUSER}:$encoded\@/secret?$query" => $password,
		"postgresql:///secret?user=$ENV{PGUSER}&$query&password=$encoded" => $password,
		"postgresql:///secret?user=$ENV{PGUSER}&$query&PASSWORD=$encoded" => $password,
		"postgresql:///secret?user=$ENV{PGUSER}&$query&p%61ssword=$encoded" => $password,
		"postgres://$ENV{PGUSER}:plainXq7\@/secret?schema=public&$query&pgbouncer=true" => 'plainXq7',
		"postgres://$ENV{PGUSER}:with\@at\@/secret?$query" => 'with@at',
		"postgres://$ENV{PGUSER}\@/secret?$query" => 'none',
		"postgres://$ENV{PGUSER}:p%61ssXq7\@?dbname=secret&$query" => 'passXq7');
	foreach my $url (sort keys %urls)
	{
		unlink "$seen.ps", "$seen.password";
		my ($out, $err) = ('', '');
		local $ENV{DATABASE_URL} = $url;
		local $ENV{PGDATABASE} = 'postgres';
		IPC::Run::run([ @{ $shells{sh} }, $command, 'status' ], '<', \undef, '>', \$out, '2>', \$err, init => sub { chdir $work });
		is($? >> 8, 0, "URL $url") or diag $err;
		like($err, qr/^database secret as \Q$ENV{PGUSER}\E on the socket /m, '... says where it works');
		is(slurp_file("$seen.password"), "$urls{$url}\n", '... hands over the password');
		next if $urls{$url} eq 'none';
		my $public = "$out$err" . slurp_file("$seen.ps");
		ok(index($public, $urls{$url}) < 0 && index($public, $encoded) < 0 && index("$out$err", 'password=') < 0,
			'... shows it nowhere');
	}
	local $ENV{DATABASE_URL} = "postgres://nobody:hush\@/secret?host=/nowhere";
	my ($code, $out, $err) = dbmigrate('up');
	is($code, 1, 'a URL that leads nowhere');
	unlike($out . $err, qr/hush/, '... does not show the password either');
}

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
	my ($code, $out) = dbmigrate_tty("yes\n", 'up');
	is($code, 1, 'another word than the name does not confirm') or diag $out;
	like($out, qr/Type the name of the database to go on with up: .*error: not confirmed, nothing was done/s, '... and says so');
	($code, $out) = dbmigrate_tty("shop\n", 'up');
	is($code, 0, 'the name confirms') or diag $out;
	like($out, qr/1 migration applied/, '... and up runs');
	($code, $out) = dbmigrate_tty("shop\n", 'redo');
	is($code, 0, 'the name confirms redo') or diag $out;
	($code, $out) = dbmigrate_tty("shop\n", 'down');
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
	my ($code, $out) = dbmigrate_tty('', 'status');
	like($out, qr/^\e\[33m · \| 1 .*\e\[0m$/m, 'status is coloured on a terminal');
	($code, $out) = dbmigrate_tty('', 'up');
	like($out, qr/^\e\[32m✓ \e\[0m1 a\n1 migration applied/m, 'a mark in colour on a terminal');
	($code, $out) = dbmigrate_tty('', 'down');
	like($out, qr/^\e\[32m✓ rolled back \e\[0m1 a$/m, 'what was rolled back says so');
	($code, $out) = dbmigrate_tty('', 'up', '--no-color');
	like($out, qr/^✓ 1 a$/m, 'a mark without colour');
	{
		local $ENV{NO_COLOR} = 1;
		local $ENV{LC_ALL} = 'C';
		($code, $out) = dbmigrate_tty('', 'redo');
		like($out, qr/^rolled back 1 a\napplied 1 a$/m, 'words where the locale has no marks');
		unlike($out, qr/[^\n -~]/, '... nothing but ASCII');
		($code, $out) = dbmigrate('status');
		like($out, qr/^ \+ \| 1 /m, 'status has ASCII marks there');
	}
	put('migrations/2_b.sql', "SELECT oops;\n");
	($code, $out) = dbmigrate_tty('', 'up');
	like($out, qr/^\e\[31m✗ ERROR:  column "oops" does not exist\e\[0m\nLINE 1: SELECT oops\n +\^\n/m, 'an error on a terminal');
	is($code, 1, '... is a failure');

	# notices and warnings of scripts; settings that hide ours
	put('migrations/2_b.sql', "DO \$\$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'careful'; END \$\$;\n");
	local $ENV{PGOPTIONS} = '-c client_min_messages=error -c dbmigrate.progress=off';
	runs_like(['up'], 0, qr/^applied 2 b\n1 migration applied/, qr/^NOTICE:  hello\n.*WARNING:  careful\n/s, 'up with messages of scripts');
	put('migrations/3_c.sql', "DO \$\$ BEGIN RAISE NOTICE E'\\033[31m'; END \$\$;\n");
	($code, $out) = dbmigrate_tty('', 'up');
	like($out, qr/^NOTICE:  \?\[31m$/m, 'messages cannot steer the terminal');
	put('migrations/4_d.sql', "SELECT 1;\n");
	my $command_line = "$command up --dir $work/migrations | true";
	PostgreSQL::Test::Utils::system_log('sh', '-c', $command_line);
	is(query(q{SELECT migrate.version()}), '4', 'a reader that goes away does not stop the run');
}

# Who may only look
{
	fresh_work();
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
		runs_like(['status'], 0, qr/1 applied, 0 pending/, qr/^note: the files of migrations are not considered: regress_reader may not register files; this is what the database knows\n$/, 'status as a reader');
		runs_like([ 'status', '--check' ], 1, qr/1 applied, 0 pending/, qr/error: the files could not be checked\nhint: .*--registered/, 'status --check as a reader');
		runs_like([ 'status', '--check', '--registered' ], 0, qr/1 applied, 0 pending/, $nothing, 'status --check --registered as a reader');
		runs_like(['up'], 1, $nothing, qr/ERROR:  permission denied/, 'up as a reader');
		runs_like(['version'], 0, qr/^1\n$/, $nothing, 'version as a reader');
		$ENV{PGDATABASE} = 'bare';
		runs_like(['init'], 1, $nothing, qr/ERROR:  permission denied to create extension.*failed, nothing was changed\nhint: it takes a superuser/s, 'init as a reader');
	}
	$ENV{PGDATABASE} = 'reader';
	{
		local $ENV{PGOPTIONS} = '-c default_transaction_read_only=on';
		runs_like(['pending'], 0, $nothing, qr/^note: the files of migrations are not considered: this server is read-only/, 'pending on a read-only server');
	}
	remove_tree("$work/migrations");
	runs_like(['status'], 0, qr/1 applied, 0 pending/, qr/^note: no directory migrations; this is what the database knows\n$/, 'status without a directory');
	put('migrations/1_a.sql', "SELECT 'changed';\n");
	runs_like(['status'], 1, qr/1 applied, 0 pending/, qr/^ERROR:  .*note: the files of migrations are not considered: they could not be registered/s, 'status of a directory that cannot be registered');
	runs_like(['pending'], 1, $nothing, qr/^ERROR:  /, 'pending of a directory that cannot be registered');
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

# Interruption: a signal to the shell alone
foreach my $name (@shells)
{
	$shell = $name;
	fresh_work();
	fresh_database('interrupted');
	put('migrations/1_a.sql', "CREATE TABLE a ();\n");
	put('migrations/2_b.sql', "SELECT pg_sleep(300);\n");
	foreach my $case ([ INT => 130 ], [ TERM => 143 ])
	{
		my ($signal, $code) = @$case;
		my ($out, $err) = ('', '');
		my $run = IPC::Run::start([ @{ $shells{$shell} }, $command, 'up' ], '<', \undef, '>', \$out, '2>', \$err,
			init => sub { chdir $work; $SIG{INT} = 'DEFAULT' });
		$node->poll_query_until('postgres',
			q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'interrupted' AND wait_event = 'PgSleep'})
		  or die 'it does not run';
		$run->signal($signal);
		$run->finish;
		is($? >> 8, $code, "$shell: exit code after $signal") or diag $err;
		like($err, qr/interrupted, everything is rolled back\n$/, "$shell: ... says what became of it");
		$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'interrupted'})
		  or die 'it still runs';
		is(query(q{SELECT count(*) FROM migrate.migration}), 0, "$shell: ... nothing is left in the database");
		is((glob "$tmp/*")[0], undef, "$shell: ... nor in TMPDIR");
	}
}
$shell = 'sh';

# Ctrl-C on a terminal
{
	fresh_work();
	fresh_database('interrupted');
	put('migrations/1_a.sql', "SELECT pg_sleep(300);\n");
	my ($in, $out) = ('', '');
	my $run = IPC::Run::start([ 'sh', $command, 'up' ], '<pty<', \$in, '>pty>', \$out,
		init => sub { chdir $work; $SIG{INT} = 'DEFAULT'; open STDERR, '>&', \*STDOUT });
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'interrupted' AND wait_event = 'PgSleep'})
	  or die 'it does not run';
	$in = "\cC";
	$run->finish;
	is($? >> 8, 130, 'exit code after Ctrl-C') or diag $out;
	like($out, qr/interrupted, everything is rolled back/, 'Ctrl-C says what became of it');
	is(query(q{SELECT count(*) FROM migrate.migration}), 0, 'Ctrl-C leaves nothing');
}

# Folders and repeatable migrations
{
	fresh_work();
	fresh_database('folders');
	put('migrations/20240101000000_init/migration.sql', 'CREATE TABLE a ();');
	put('migrations/20240102000000_more/migration.sql', 'CREATE TABLE b ();');
	put('migrations/migration_lock.toml', "provider = \"postgresql\"\n");
	runs_like(['up'], 0, qr/^applied 20240101000000 init\napplied 20240102000000 more\n2 migrations/, $nothing, 'up of Prisma folders');
	fresh_work();
	fresh_database('repeatable');
	put('migrations/V1__a.sql', 'CREATE TABLE a ();');
	put('migrations/R__view.sql', 'CREATE VIEW v AS SELECT 1;');
	runs_like(['up'], 0, qr/^applied 1 a\napplied R__view\n2 migrations applied/, $nothing, 'up of a repeatable migration');
	put('migrations/R__view.sql', 'CREATE OR REPLACE VIEW v AS SELECT 1, 2;');
	runs_like(['pending'], 0, qr/^R__view\n$/, $nothing, 'a changed repeatable migration is pending');
	runs_like([ 'status', '--check' ], 3, qr/1 pending/, $nothing, 'status of a changed repeatable migration');
	unlink "$work/migrations/R__view.sql";
	query(q{SELECT migrate.add(NULL, 'view', 'SELECT 1')});
	runs_like(['up'], 1, $nothing, qr/^  R__view +SELECT migrate.remove\('R__view'\);$/m, 'up without the file of a repeatable migration');
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
	runs_like([ 'up', @billing ], 1, $nothing, qr/^  002 more +SELECT migrate.remove\('002', project => 'billing'\);$/m, 'a file of a project is gone');
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

# A count with a leading zero is a version
runs_like([ $_, '014' ], 2, $nothing, qr/wants a number of migrations, not "014"\nhint: dbmigrate $_ --to VERSION/) foreach qw(up down);

# Who may not ask what the database is, is careful
{
	fresh_work();
	fresh_database('careful');
	query(q{CREATE ROLE careful LOGIN; GRANT USAGE ON SCHEMA migrate TO careful;
		GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO careful; REVOKE EXECUTE ON FUNCTION migrate.environment FROM careful;
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

# Many files are one statement
{
	fresh_work();
	fresh_database('many');
	put(sprintf('migrations/%04d_m.sql', $_), up_down("CREATE TABLE m$_ ();" . (' ' x 1000), "DROP TABLE m$_;")) foreach 1 .. 1000;
	query(q{ALTER DATABASE many SET log_statement = 'all'});
	my $log = -s $node->logfile;
	runs_like(['push'], 0, qr/^1000 added, /m, $nothing, 'push of 1,000 files');
	my $statements = () = slurp_file($node->logfile, $log) =~ /statement: SELECT .* FROM migrate\.add_files/g;
	is($statements, 1, '1,000 files are one statement');
	runs_like(['status'], 0, qr/^0 applied, 1000 pending$/m, $nothing, 'status of 1,000 files');
}

$node->stop;
done_testing();
