# The dbmigrate command and its files: texts arrive byte for byte, hostile names
# are data, folders and repeatable migrations, many files.

use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CommandTest;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();

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
	query('DELETE FROM migrate.migration; DELETE FROM migrate.file');
	my ($code, $out, $err) = dbmigrate('push', '--format', 'plain');
	is($code, 0, 'texts are registered') or diag $out, $err;
	foreach my $file (sort keys %texts)
	{
		my $hex = query("SELECT encode(convert_to(up, 'UTF8'), 'hex') FROM migrate.migration WHERE file_name = '$file'");
		ok(pack('H*', $hex) eq $texts{$file}, "$file arrives byte for byte");
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
	($code, $out, $err) = dbmigrate('push');
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
			INSERT INTO public.handed_over SELECT e.key, e.value #>> '{}' FROM jsonb_each(files) e;
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
	is(query(q[SELECT count(*) FROM handed_over WHERE content <> E'SELECT 1;\n' AND content NOT LIKE '{"sha256": %' AND name LIKE '%.sql']), 0, 'with their contents');
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

# Many files are one statement
{
	fresh_work();
	fresh_database('many');
	put(sprintf('migrations/%04d_m.sql', $_), up_down("CREATE TABLE m$_ ();" . (' ' x 1000), "DROP TABLE m$_;")) foreach 1 .. 1000;
	query(q{ALTER DATABASE many SET log_statement = 'all'});
	my $log = -s $node->logfile;
	runs_like(['push'], 0, qr/^1000 added, /m, $nothing, 'push of 1,000 files');
	my $statements = () = slurp_file($node->logfile, $log) =~ /execute <unnamed>: SELECT .* FROM migrate\.add_files/g;
	is($statements, 1, '1,000 files are one statement');
	runs_like(['status'], 0, qr/^0 applied, 1000 pending$/m, $nothing, 'status of 1,000 files');
}

$node->stop;
done_testing();
