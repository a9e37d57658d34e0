# The command, run by a superuser in the database of somebody who must not be
# one: whatever he has planted, and whatever he has called things, nothing of
# it is executed, and nothing of it steers the terminal.

use strict;
use warnings FATAL => 'all';

use Encode ();
use File::Path qw(make_path remove_tree);
use FindBin;
use lib "$FindBin::RealBin/../attack", $FindBin::RealBin;
use Attack;
use CommandTest;
use IPC::Run;
use JSON::PP;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = use_server(Attack::start_server());
%ENV = (%ENV, PGUSER => 'boss', PGDATABASE => 'attack');

# The files of the directory are these, and no others.
sub files
{
	my %content = @_;

	remove_tree("$work/migrations");
	put("migrations/$_", $content{$_}) foreach sort keys %content;
	return;
}

#
# What is planted ahead of pg_catalog
#

$node->safe_psql('postgres', 'ALTER DATABASE attack OWNER TO mallory');
Attack::plant($node);
$node->safe_psql('attack', 'ALTER DATABASE attack SET search_path = hostile, pg_catalog, public', extra_params => [ '-U', 'mallory' ]);
Attack::songs($node);
$node->psql('attack', q{SELECT 'a'::pg_catalog.text = 'b'::pg_catalog.text}, extra_params => [ '-U', 'boss' ]);
like(Attack::songs($node), qr/for boss/, 'what is planted sings for whoever steps on it');

my @four = map { ("00${_}_m.sql" => up_down("CREATE TABLE public.m$_ ();", "DROP TABLE public.m$_;")) } 1 .. 4;
files(@four);
my @calls = (
	[ 0, 'init' ], [ 0, 'push' ], [ 0, 'status' ], [ 0, 'status', '--json' ], [ 3, 'status', '--check' ], [ 0, 'pending' ], [ 0, 'version' ],
	[ 0, 'manage', 'a test' ], [ 0, 'up', '1' ], [ 0, 'up', '--to', '003' ], [ 0, 'up' ], [ 0, 'down' ], [ 0, 'redo', '2' ], [ 0, 'down', '--to', '001' ],
	[ 0, 'version' ], [ 0, 'up', '--registered' ], [ 0, 'status' ], [ 0, 'up' ],
	[ 1, 'baseline', '004' ], [ 0, 'down', '--to', '0' ], [ 0, 'baseline', '002' ], [ 0, 'status' ], [ 1, 'down', '99' ], [ 0, 'create', 'one more' ],
	[ 1, 'adopt', '--dry-run' ], [ 1, 'adopt' ]);
foreach my $call (@calls)
{
	my ($expected, @arguments) = @$call;
	my ($code, $out, $err) = dbmigrate(@arguments);

	is($code, $expected, "dbmigrate @arguments") or diag($out, $err);
	is(Attack::songs($node), '', "dbmigrate @arguments: nothing sings");
}

# Two that have no file: that is refused, with commands to forget them.
query(q{SELECT migrate.add('009', 'nobody''s', 'SELECT 1'); SELECT migrate.add(NULL, 'nobody''s', 'SELECT 1')});
Attack::songs($node);
files(@four);
my ($code, $out, $err) = dbmigrate('up');
is($code, 1, 'what has no file is refused') or diag($out, $err);
like($err, qr/^  009 nobody's +SELECT migrate\.remove\('009'\);\n  R__nobody's +SELECT migrate\.remove\('R__nobody''s'\);$/m, 'with what forgets it');
is(Attack::songs($node), '', 'what has no file: nothing sings');

# Production asks for more, and so does another tool's table.
query(q{
	DELETE FROM migrate.applied; DELETE FROM migrate.migration;
	ALTER DATABASE attack SET dbmigrate.environment = 'production';
	CREATE TABLE public.pgmigrations (id pg_catalog.int4, name pg_catalog.text, run_on pg_catalog.timestamp);
	INSERT INTO public.pgmigrations VALUES (1, '001_m', pg_catalog.now()), (2, '002_m', pg_catalog.now())});
files(@four);
foreach my $call ([ 0, 'adopt', '--dry-run' ], [ 0, 'adopt', '--yes' ], [ 1, 'up' ], [ 0, 'up', '--yes' ], [ 0, 'down', '--yes' ], [ 0, 'redo', '--yes' ], [ 0, 'status' ])
{
	my ($expected, @arguments) = @$call;
	my ($code, $out, $err) = dbmigrate(@arguments);

	is($code, $expected, "in production: dbmigrate @arguments") or diag($out, $err);
	is(Attack::songs($node), '', "in production: dbmigrate @arguments: nothing sings");
}
$node->safe_psql('postgres', 'ALTER DATABASE attack RESET search_path');

#
# What a terminal gets to see
#

my $steering = qr/[\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]/;
my %bad = (
	BEL => "\x07", ESC => "\x1b[2J", DEL => "\x7f", backspace => "\x08", CR => "\rx",
	CSI => "\xc2\x9b2J", override => "\xe2\x80\xae", isolate => "\xe2\x81\xa6");

sub is_harmless
{
	my ($name, @arguments) = @_;
	my ($code, $out, $err) = dbmigrate(@arguments);

	unlike("$out$err", $steering, "$name: dbmigrate @arguments");
	return ($code, $out, $err);
}

my $server = $node->safe_psql('postgres', 'SHOW server_version_num');

foreach my $what (sort keys %bad)
{
	my $text = $bad{$what};

	# from 19 on no database and no role has a line end in its name
	my $name = $text =~ /[\r\n]/ && $server >= 190000 ? "bad $what name" : "bad $text name";
	my $ident = $name =~ s/"/""/gr;

	$node->safe_psql('postgres', qq{CREATE DATABASE "$ident" OWNER mallory; CREATE ROLE "$ident" LOGIN SUPERUSER});
	{
		local $ENV{PGDATABASE} = $name;
		local $ENV{PGUSER} = $name;
		is_harmless("$what in a database and a role", 'status');
		is_harmless("$what in a database and a role", 'init');
		$node->safe_psql($name, qq{ALTER DATABASE "$ident" SET dbmigrate.environment = E'$text'});
		is_harmless("$what in the environment", 'status');
		is_harmless("$what in the environment", 'up', '--environment', 'test');
		files('001_says.sql' => "DO \$x\$ BEGIN RAISE NOTICE E'says $text'; RAISE WARNING USING MESSAGE = E'warns $text', HINT = E'hint $text'; END \$x\$;");
		($code, $out, $err) = is_harmless("$what in a notice", 'up');
		is($code, 0, "$what in a notice: it ran") or diag($out, $err);
		is_harmless("$what in who has run it", 'status');
		put("migrations/002_f$text.sql", 'SELECT 2;');
		is_harmless("$what in a file's name", $_) foreach qw(push status pending up);
		unlink glob "$work/migrations/002*";
		put('migrations/003_fails.sql', "DO \$x\$ BEGIN RAISE EXCEPTION E'fails $text'; END \$x\$;");
		($code, $out, $err) = is_harmless("$what in an error", 'up');
		is($code, 1, "$what in an error: it failed");
		like($err, qr/failed, nothing was changed/, "$what in an error: and says so");
	}
	local $ENV{PGDATABASE} = "no $text such";
	is_harmless("$what in what does not exist", 'status');
	is_harmless("$what in an argument", $text);
	local $ENV{DATABASE_URL} = "postgres://$text/x";
	is_harmless("$what in a URL", 'status');
	$node->safe_psql('postgres', qq{DROP DATABASE "$ident"; DROP ROLE "$ident"});
}

#
# What it says of a run is true
#

query('ALTER DATABASE attack RESET dbmigrate.environment; DROP EXTENSION dbmigrate; DROP TABLE public.pgmigrations; CREATE EXTENSION dbmigrate');
query(q{SELECT migrate.manage('a test')});

# A script's own notice does not pass for ours.
my @liar = ('001_liar.sql' => q{DO $x$ BEGIN
	RAISE NOTICE 'applied migration 999 "never was"';
	RAISE NOTICE E'\nNOTICE:  applied migration 998 "nor this"';
	RAISE NOTICE E'x\npsql:/tmp/dbmigrate.x/sql:1: NOTICE:  applied migration 997 "nor this"\npsql:/tmp/dbmigrate.x/sql:1: NOTICE:  x';
	RAISE NOTICE USING MESSAGE = 'rolled back migration 996 "' || repeat('x', 2000) || '"';
END $x$;});
files(@liar);
($code, $out, $err) = dbmigrate('up');
is($code, 0, 'a script that lies runs') or diag($err);
like($out, qr/^applied 001 liar\n1 migration applied /, 'what was applied is said, and nothing else');
unlike($out, qr/99[6-9]/, 'nothing that a script says is a line of ours');
like($err, qr/999 "never was"/, 'what it says is shown as its own');

# Who may run, and not ask for the version, is told what has become of the run.
query(q{
	CREATE ROLE deployer LOGIN;
	GRANT CREATE ON SCHEMA public TO deployer;
	GRANT USAGE ON SCHEMA migrate TO deployer;
	GRANT EXECUTE ON FUNCTION migrate.apply, migrate.rollback, migrate.environment TO deployer;
	SELECT migrate.add('002', 'there', 'CREATE TABLE public.really_there ()', 'DROP TABLE public.really_there')});
{
	local $ENV{PGUSER} = 'deployer';
	($code, $out, $err) = dbmigrate('up', '--registered', '--single-transaction');
	is($code, 0, 'up without the right to ask for the version') or diag($out, $err);
	like($out, qr/^applied 002 there\n1 migration applied in [0-9.]+ s$/m, 'is told what was done');
	unlike($err, qr/nothing was changed/, 'and nothing untrue');
	is(query(q{SELECT to_regclass('public.really_there')}), 'really_there', 'it is there');
	($code, $out, $err) = dbmigrate('down', '--single-transaction');
	is($code, 0, 'down without that right') or diag($out, $err);
	is(query(q{SELECT to_regclass('public.really_there')}), '', 'it is gone');
}

# What fails after something was said to be applied.
my @there = ('002_there.sql' => up_down('CREATE TABLE public.really_there ();', 'DROP TABLE public.really_there'));
files(@liar, @there, '003_late.sql' => q{
	CREATE TABLE public.late (a int); INSERT INTO public.late VALUES (1);
	CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'refused'; END$$;
	CREATE CONSTRAINT TRIGGER refuse AFTER UPDATE ON public.late DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.refuse()},
	'004_update.sql' => 'UPDATE public.late SET a = 2');
dbmigrate('up', '--registered', '--single-transaction');
($code, $out, $err) = dbmigrate('up', '--single-transaction');
is($code, 1, 'a deferred trigger that refuses');
like($err, qr/refused.*failed, nothing was changed/s, 'says that nothing was changed');
is($out, '', 'on stdout nothing is said to be applied');
is(query(q{SELECT to_regclass('public.late')}), '', 'and nothing was');

# The types of a script are not ours.
files(@liar, @there, '003_domain.sql' => 'CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false)');
($code, $out, $err) = dbmigrate('up');
is($code, 0, 'a script that leaves a type of its own') or diag($out, $err);
put('migrations/004_four.sql', up_down('CREATE TABLE public.four ();', 'DROP TABLE public.four;'));
dbmigrate('up');

# What happens after COMMIT changes nothing any more.
SKIP:
{
	skip 'no /dev/full', 1 unless -e '/dev/full';
	IPC::Run::run([ $command, 'redo' ], '<', \undef, '>', '/dev/full', '2>', \$err, init => sub { chdir $work or die });
	is($? >> 8, 0, 'a run that cannot be printed was one') or diag($err);
}

# Rows of a list are not made of names.  Most such names can no longer be registered.
sub rename_repeatable
{
	my $id = 'R__' . $_[0] =~ s/'/''/gr;

	query(qq{UPDATE migrate.migration SET id = '$id', name = substr('$id', 4) WHERE version IS NULL});
	return;
}
query(q{SELECT migrate.add(NULL, 'forged', 'SELECT 1')});
foreach my $what (sort keys %bad)
{
	rename_repeatable($bad{$what});
	is_harmless("$what in a name", $_) foreach qw(status pending);
	($code, $out, $err) = is_harmless("$what in a name", 'up');
	my ($forget) = $err =~ /^  \S.*? (SELECT migrate\.remove\(.*\);)$/m;
	ok($forget, "$what in a name: a command is shown that forgets it") or diag($err);
	is(query("BEGIN; $forget; SELECT count(*) FROM migrate.migration WHERE version IS NULL; ROLLBACK"), "\n0", '... and forgets it') if $forget;
	($code, $out, $err) = is_harmless("$what in a name", 'status', '--json');
	is_deeply(decode_json($out)->{status}{pendingMigrations}, [ Encode::decode('UTF-8', "R__$bad{$what}") ], "$what in JSON is the same");
}
query(q{SELECT migrate.add('010', 'x', 'SELECT 1', project => 'billing')});
foreach my $what (qw(isolate override))
{
	my $project = "it's $bad{$what}" =~ s/'/''/gr;
	query("UPDATE migrate.migration SET project = '$project' WHERE project <> ''");
	($code, $out, $err) = is_harmless("$what in a project", 'up', '--project', "it's $bad{$what}");
	my ($forget) = $err =~ /^  010 x +(SELECT migrate\.remove\('010', project => .*\);)$/m;
	ok($forget, "$what in a project: a command is shown that forgets") or diag($err);
	is(query("BEGIN; $forget; SELECT count(*) FROM migrate.migration WHERE project <> ''; ROLLBACK"), "\n0", '... what is there') if $forget;
}
query(q{DELETE FROM migrate.migration WHERE project <> ''});
rename_repeatable("z\n\x1forphan\x1f003 cleanup\x1fALTER ROLE author SUPERUSER; --'\a\x7f");
is_harmless('a forged list', $_) foreach qw(status pending version);
($code, $out, $err) = is_harmless('a forged list', 'up');
my @forgets = $err =~ /^  \S.*? (SELECT .*)$/mg;
is(scalar @forgets, 1, 'a name is one row, whatever is in it') or diag($err);
query($forgets[0]);
is(query(q{SELECT count(*) FROM migrate.migration WHERE version IS NULL}), 0, 'and what is to forget it forgets it');

#
# All of it at once
#

query('DELETE FROM migrate.applied; DELETE FROM migrate.migration');
files(@liar, '002_all.sql' => "DO \$x\$ BEGIN RAISE NOTICE E'@{[ join ' ', values %bad ]}'; END \$x\$", '003_big.sql' => q{
	DO $x$ BEGIN RAISE NOTICE '%', repeat('0123456789', 30000); END $x$});
($code, $out, $err) = is_harmless('all', 'up');
is($code, 0, 'up') or diag($err);
like($out, qr/^applied 001 liar\napplied 002 all\napplied 003 big\n3 migrations applied /, 'what was applied is said');
like($err, qr/^NOTICE:  (0123456789){30000}$/m, 'a large message is shown');

#
# Files, links, addresses
#

files('001_a.sql' => 'SELECT 1;');
open my $secret, '>', "$work/secret" or die;
print $secret "s3cr3t\n";
close $secret;
symlink "$work/secret", "$work/migrations/002_link.sql" or die;
($code, $out, $err) = dbmigrate('push');
is($code, 1, 'a link to a file is refused');
like($err, qr/002_link\.sql: is a symbolic link/, 'and said so');
unlike("$out$err", qr/s3cr3t/, 'what it leads to is not shown');
unlink "$work/migrations/002_link.sql";

# URLs that libpq would quote, or that are none
foreach my $url ("postgres:///attack\nsecond", 'postgres:///attack?SSLPassword=s3cr3t', 'postgres://u:s3cr3t@[::1/attack', 'postgres://u:s3cr3t',
	'postgres://u:s3cr3t@h:1x/attack', 'postgres://u:s3c/r3t@h/attack', 'postgres:///attack?password=s3cr3t&x', 'postgres://u:s3cr3t%@h/attack',
	'postgres://u:s3cr3t@h/attack?s3cr3t=1&password=s3cr3t', 'mysql://u:s3cr3t@h/attack')
{
	local $ENV{DATABASE_URL} = $url;
	($code, $out, $err) = dbmigrate('status');
	is($code, $url =~ /:1x/ ? 1 : 2, 'a URL that cannot be used: ' . $url =~ s/\n/ /r) or diag($out, $err);
	unlike("$out$err", qr/s3c.?r3t/, '... and its password is not shown');
}

$node->stop;
done_testing();
