# The NOTICE for each migration: most wait in the client's buffer, a few are
# sent at once.  Nobody can tell which: all of them arrive, in order, before
# the next message, and they are alike in every field.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', "log_line_prefix = ''\nlog_statement = none\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbmigrate;
	SELECT migrate.add(v::text, 'caf' || chr(233), 'SELECT 1', '') FROM generate_series(1, 499) v;
	SELECT migrate.add('500', 'last', 'DO $$BEGIN RAISE NOTICE ''listen''; PERFORM pg_sleep(0.1); END$$', '');
});

# the messages that psql shows for this, and what is new in the server's log
sub messages
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	my ($stdout, $stderr) = ('', '');
	$node->psql('postgres', "$sql;\nDO 'BEGIN PERFORM migrate.rollback_to(''0''); END'", stderr => \$stderr);
	$stderr =~ s/^psql:<stdin>:\d+: //mg;
	return ($stderr, slurp_file($node->logfile, $from));
}

my @applied = map { "NOTICE:  applied migration $_ \"café\"" } 1 .. 499;
my @undone = map { "NOTICE:  rolled back migration $_ \"café\"" } reverse 1 .. 499;
my $all = join("\n", @applied, 'NOTICE:  listen', 'NOTICE:  applied migration 500 "last"',
	'NOTICE:  rolled back migration 500 "last"', @undone);

my ($shown, $log) = messages('SELECT FROM migrate.apply()');
is($shown, $all, 'a NOTICE for each migration, in order');
unlike($log, qr/NOTICE/, 'not in the server log');

($shown) = messages("SET client_encoding = 'LATIN1';\nSELECT FROM migrate.apply()");
(my $latin1 = $all) =~ s/é/\xe9/g;
is($shown, $latin1, 'in the encoding of the client');

# all fields, and the context of the call
($shown) = messages("\\set VERBOSITY verbose\n\\set SHOW_CONTEXT always\nSELECT FROM migrate.apply_to('499')");
my %forms;
$shown =~ s/^(NOTICE:.*migration )\d+ "café"/$1/mg;
$shown =~ s/(stepnotice\.c:)\d+/$1/g;
$forms{$_}++ foreach split /^(?=NOTICE:)/m, "$shown\n";
is_deeply(\%forms, {
		"NOTICE:  00000: applied migration \nLOCATION:  dbm_progress_notice, stepnotice.c:\n" => 499,
		"NOTICE:  00000: rolled back migration \nCONTEXT:  SQL statement \"SELECT migrate.rollback_to('0')\"\n"
		  . "PL/pgSQL function inline_code_block line 1 at PERFORM\nLOCATION:  dbm_progress_notice, stepnotice.c:\n" => 499 },
	'all are alike in every field');

# who does not want them, and who wants them in the log as well
($shown) = messages('SET client_min_messages = warning; SELECT FROM migrate.apply()');
is($shown, '', 'client_min_messages = warning: none');
($shown, $log) = messages('SET log_min_messages = notice; SELECT FROM migrate.apply()');
is($shown, $all, 'log_min_messages = notice: the client has them');
is(scalar(grep { /^NOTICE:  (applied|rolled back) migration \d+ "(café|last)"$/ } split /\n/, $log), 1000, 'and the log');
($shown, $log) = messages('SET log_min_messages = log; SELECT FROM migrate.apply()');
is($shown, $all, 'log_min_messages = log: the client has them');
unlike($log, qr/NOTICE/, 'and the log has not');

# a statement with parameters has a callback for the context, which says nothing
$node->safe_psql('postgres', q{DO 'BEGIN PERFORM migrate.rollback_to(''0''); END'});
my $file = PostgreSQL::Test::Utils::tempdir() . '/apply.sql';
append_to_file($file, 'SELECT count(*) FROM migrate.apply(:steps);');
$node->command_ok([ 'pgbench', '-n', '-M', 'extended', '-t', 1, '-D', 'steps=3', '-f', $file, 'postgres' ],
	'a statement with parameters');
is($node->safe_psql('postgres', 'SELECT count(*) FROM migrate.status() WHERE applied_at IS NOT NULL'), '3', 'applied its three');

$node->stop;
done_testing();
