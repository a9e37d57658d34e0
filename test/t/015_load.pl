# migrate.load(): a directory on the server's own disk.  The same result as
# migrate.add_files() for the same files; who may; what is refused.

use strict;
use warnings FATAL => 'all';

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	CREATE ROLE reader LOGIN;
	GRANT USAGE ON SCHEMA migrate TO reader;
	GRANT EXECUTE ON FUNCTION migrate.load, migrate.add_files TO reader;
});

my $dir = PostgreSQL::Test::Utils::tempdir() . '/migrations';
my %files = (
	'001_a.sql' => "\xef\xbb\xbf-- Up Migration\r\nCREATE TABLE a (name text DEFAULT 'é');\r\n-- Down Migration\r\nDROP TABLE a;",
	'20240101000000_b/up.sql' => "CREATE TABLE b ();\n\n",
	'20240101000000_b/down.sql' => '',
	'20240101000000_b/metadata.toml' => "run_in_transaction = true\n",
	'sub/V3__c.sql' => 'CREATE TABLE c ();',
	'sub/R__d.sql' => "-- nothing\n",
	'README.md' => "\xff not looked at",
	'.hidden' => 'x',
	q{002_'; DROP TABLE a; $(id).sql} => 'SELECT 2');

sub write_tree
{
	my ($dir, $files) = @_;
	foreach my $name (keys %$files)
	{
		my $path = "$dir/$name";
		my ($folder) = $path =~ m{^(.*)/};
		system('mkdir', '-p', $folder) == 0 or die;
		open my $fh, '>:raw', $path or die "$path: $!";
		print $fh $files->{$name};
		close $fh;
	}
}
write_tree($dir, \%files);

# psql's result and error output, of one statement
sub run_sql
{
	my ($sql, %options) = @_;
	my ($result, $out, $err) = $node->psql('postgres', $sql, %options);
	return "$out$err";
}

my $columns = q{version, name, result, format, file, detail};
my $stored = q{SELECT id, version, name, file_name, up_sha256, down_sha256, up_online FROM migrate.migration ORDER BY id};
my $loaded = run_sql("SELECT $columns FROM migrate.load('$dir') ORDER BY file");
my $loaded_rows = run_sql($stored);

like($loaded, qr/^\|\|left out\|\|README\.md\|not an \.sql file$/m, 'what is no migration is said to be left out');
like($loaded, qr/^\|d\|added\|flyway\|sub\/R__d\.sql\|no statement, nothing to run$/m, 'a repeatable migration');
is(run_sql(q{SELECT count(*) FROM migrate.migration}), '5', 'five migrations');
is(run_sql(q{SELECT down IS NOT NULL AND down = '' FROM migrate.migration WHERE name = 'b'}), 't', 'an empty file is an empty text');

# the same through the client
$node->safe_psql('postgres', 'DROP EXTENSION dbmigrate; CREATE EXTENSION dbmigrate');
my $json = join(', ', map {
		my ($name, $text) = ($_, $files{$_});
		$text = '' if $name eq 'README.md';
		my $quoted = $name;
		$quoted =~ s/'/''/g;
		"'$quoted', convert_from('\\x" . unpack('H*', $text) . "', 'UTF8')";
} sort keys %files);
is(run_sql("SELECT $columns FROM migrate.add_files(jsonb_build_object($json)) ORDER BY file"), $loaded,
	'add_files() returns the same rows');
is(run_sql($stored), $loaded_rows, 'and stores the same');
is(run_sql("SELECT DISTINCT result FROM migrate.load('$dir') WHERE result <> 'left out'"), 'unchanged', 'nothing changed');
is(run_sql("SELECT count(*) FROM migrate.load('$dir/')"), '7', 'a slash at the end');

# who may
$node->safe_psql('postgres', q{
	GRANT USAGE ON SCHEMA migrate TO reader;
	GRANT EXECUTE ON FUNCTION migrate.load TO reader;
});
like(run_sql("SELECT migrate.load('$dir')", extra_params => [ '-U', 'reader' ]),
	qr/permission denied to read files of the server.*pg_read_server_files.*dbmigrate push/s, 'not without the right');
$node->safe_psql('postgres', 'GRANT pg_read_server_files TO reader');
is(run_sql("SELECT DISTINCT result FROM migrate.load('$dir') WHERE result <> 'left out'", extra_params => [ '-U', 'reader' ]),
	'unchanged', 'with the right');

# what is refused
like(run_sql("SELECT migrate.load('$dir/none')"), qr/could not stat directory ".*none": No such file.*HINT/s, 'not there');
like(run_sql("SELECT migrate.load('$dir/README.md')"), qr/is not a directory.*pg_read_file/s, 'a file');
like(run_sql("SELECT migrate.load('')"), qr/directory must not be empty/, 'no name');
like(run_sql('SELECT migrate.load(NULL)'), qr/directory must not be null/, 'null');
symlink($dir, "$dir.link") or die;
like(run_sql("SELECT migrate.load('$dir.link')"), qr/is a symbolic link.*Name the directory/s, 'a link to a directory');

my $bad = PostgreSQL::Test::Utils::tempdir() . '/bad';
write_tree($bad, { '001_a.sql' => "SELECT '\xff'", '002_b.sql' => "SELECT 1\0", '003_c.sql' => 'SELECT 3' });
symlink('/etc/passwd', "$bad/004_link.sql") or die;
symlink('/', "$bad/root") or die;
system('mkfifo', "$bad/005_fifo.sql") == 0 or die;
socket(my $socket, PF_UNIX, SOCK_STREAM, 0) or die;
SKIP:
{
	chdir $bad or die;
	bind($socket, sockaddr_un('006_socket.sql')) or die $!;
	chdir '/';
}
my $error = run_sql("SELECT migrate.load('$bad')");
like($error, qr/ERROR:  6 problems with these files, nothing was registered/, 'all problems at once');
like($error, qr/^(DETAIL:  )?001_a\.sql: is not valid text in encoding UTF8$/m, 'wrong encoding');
like($error, qr/^(DETAIL:  )?002_b\.sql: is not valid text in encoding UTF8$/m, 'a zero byte');
like($error, qr/^(DETAIL:  )?004_link\.sql: is a symbolic link$/m, 'a link to a file');
like($error, qr/^(DETAIL:  )?root: is a symbolic link$/m, 'a link to a directory below');
like($error, qr/^(DETAIL:  )?005_fifo\.sql: is neither a file nor a directory$/m, 'a pipe does not block');
like($error, qr/^(DETAIL:  )?006_socket\.sql: is neither a file nor a directory$/m, 'a socket');
is(run_sql(q{SELECT count(*) FROM migrate.migration WHERE up LIKE '%root:%'}), '0', 'nothing was read');

# files in another encoding
my $latin1 = PostgreSQL::Test::Utils::tempdir() . '/latin1';
write_tree($latin1, { "007_caf\xe9.sql" => "SELECT '\xe9'" });
is(run_sql("SET client_encoding = 'LATIN1'; SELECT count(*) FROM migrate.load('$latin1')"), '1', 'a directory in LATIN1');
is(run_sql(q{SELECT name = U&'caf\00E9' AND up = U&'SELECT ''\00E9''' FROM migrate.migration WHERE version = '007'}), 't',
	'is converted');
like(run_sql("SELECT migrate.load('$latin1')"), qr/a file: its name is not valid in encoding UTF8/, 'or refused');

# 1,000 files
my $many = PostgreSQL::Test::Utils::tempdir() . '/many';
write_tree($many, { map { sprintf('%04d_m.sql', $_) => "SELECT $_;" } 3001 .. 4000 });
is(run_sql("SELECT count(*) FROM migrate.load('$many') WHERE result = 'added'"), '1000', 'a thousand files');

# A subdirectory that takes turns with a link to another one, all the while:
# what is behind the link is never read, though it has files of the same names.
SKIP:
{
	my %renameat2 = (x86_64 => 316, aarch64 => 276);
	chomp(my $machine = `uname -m`);
	my $number = $renameat2{$machine}
	  or skip 'how to exchange two names is not known here', 2;
	my $race = PostgreSQL::Test::Utils::tempdir() . '/race';
	my @names = map { sprintf('%04d_r.sql', $_) } 5001 .. 5100;

	write_tree($race, { map { ("set/sub/$_" => 'SELECT 1', "secret/$_" => "SELECT 'top secret'") } @names });
	symlink("$race/secret", "$race/link") or die;
	my @paths = ("$race/set/sub\0", "$race/link\0");    # syscall() wants variables

	my $swapper = fork() // die $!;
	if ($swapper == 0)
	{
		# not an END block of the test's, nor for ever without it
		my $parent = getppid();
		while (getppid() == $parent)
		{
			syscall($number, -100, $paths[0], -100, $paths[1], 2);
			select(undef, undef, undef, rand(0.005));
		}
		POSIX::_exit(0);
	}
	my $result = run_sql(qq{
		DO \$\$
		DECLARE
			loaded int := 0;
			refused int := 0;
		BEGIN
			FOR i IN 1 .. 2000 LOOP
				BEGIN
					PERFORM FROM migrate.load('$race/set');
					loaded := loaded + 1;
					IF EXISTS (SELECT FROM migrate.migration WHERE up LIKE '%secret%') THEN
						RAISE NOTICE 'read behind the link';
						EXIT;
					END IF;
				EXCEPTION WHEN OTHERS THEN
					refused := refused + 1;
					PERFORM pg_sleep(0.002);
				END;
				EXIT WHEN loaded >= 50 AND refused >= 50;
			END LOOP;
			RAISE NOTICE '% loaded, % refused', loaded, refused;
		END \$\$;});
	kill 'KILL', $swapper;
	waitpid $swapper, 0;
	like($result, qr/NOTICE:  [1-9]\d* loaded, [1-9]\d* refused/, 'the directory was there, and the link was');
	unlike($result, qr/behind the link/, 'and was never followed');
}

done_testing();
