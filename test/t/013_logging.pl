# The server log: statements of migrations reach it as log_statement asks, each
# once and alone; what is not asked for, such as a password, does not.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
log_statement = none
log_line_prefix = '%m [%p] '
dbmigrate.progress = off
});
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbmigrate');

# What the log says while this is run: the messages, without their prefixes.
sub logged
{
	my ($sql, %params) = @_;
	my $from = -s $node->logfile;
	my $stderr = '';

	$node->psql('postgres', $sql, stderr => \$stderr, on_error_stop => 0, %params);
	my $log = slurp_file($node->logfile, $from);
	my @messages = split /^\d{4}-\d\d-\d\d [\d:.]+ \w+ \[\d+\] /m, $log;

	shift @messages;
	return @messages;
}

# The statements among them.
sub statements
{
	return map { /^LOG:  statement: (.*)\n\z/s ? $1 : () } @_;
}

# One statement of each kind, and text around them that is no statement.
my $up = <<'SQL';
-- comment_before
CREATE TABLE kind_ddl (a text);
/* comment_between */ INSERT INTO kind_ddl VALUES ('kind_mod');
COPY kind_ddl FROM stdin;
copied_data
\.
SELECT
    count(*) AS kind_select FROM kind_ddl;
SET work_mem = '1MB'; -- comment_behind
DO $$ BEGIN PERFORM 'kind_do'; END $$
SQL
my @all = (
	'CREATE TABLE kind_ddl (a text)',
	q{INSERT INTO kind_ddl VALUES ('kind_mod')},
	'COPY kind_ddl FROM stdin',
	"SELECT\n\t    count(*) AS kind_select FROM kind_ddl",
	q{SET work_mem = '1MB'},
	q{DO $$ BEGIN PERFORM 'kind_do'; END $$});
my %asked = (
	none => [],
	ddl => [ $all[0] ],
	mod => [ @all[ 0 .. 2 ] ],
	all => [@all]);

$node->safe_psql('postgres', "SELECT migrate.add('1', 'kinds', \$up\$$up\$up\$, 'DROP TABLE kind_ddl')");

foreach my $level (qw(none ddl mod all))
{
	my @messages = logged("SET log_statement = '$level';\nSELECT FROM migrate.apply();");
	my @statements = grep { !/^SELECT FROM migrate\.apply|^SET log_statement/ } statements(@messages);
	my $rest = join '', @messages;

	is_deeply(\@statements, $asked{$level}, "log_statement = $level: these statements are logged, each once and alone");
	unlike($rest, qr/comment_|copied_data/, "log_statement = $level: nothing between and after the statements is logged");
	is(scalar(grep { /^SELECT FROM migrate\.apply/ } statements(@messages)),
		$level eq 'all' ? 1 : 0,
		"log_statement = $level: the call itself is logged as the server does it");
	unlike($rest, qr/^(STATEMENT|CONTEXT):/m, "log_statement = $level: the lines carry no context or second copy");

	@messages = logged("SET log_statement = '$level';\nSELECT FROM migrate.rollback();");
	is(scalar(grep { $_ eq 'DROP TABLE kind_ddl' } statements(@messages)),
		$level eq 'none' ? 0 : 1,
		"log_statement = $level: the down script is treated in the same way");
}

# psql sends the same statements.
my @psql = statements(logged("SET log_statement = 'all';\n$up;"));
s/\s*;\z// foreach @psql;
s/\A(--[^\n]*\n\t?|\/\*.*?\*\/ )+// foreach @psql;
is_deeply(\@psql, \@all, 'log_statement = all: psql -f of the same script logs the same statements');
$node->safe_psql('postgres', 'DROP TABLE kind_ddl');

# Our own queries are nobody's statements.
unlike(
	join('', logged("SET log_statement = 'all';\nSELECT FROM migrate.apply();")),
	qr/INTO migrate\.|FROM migrate\.(migration|state)/,
	'the extension\'s own queries are not logged as statements');
$node->safe_psql('postgres', q{SELECT FROM migrate.rollback(); SELECT migrate.remove('1')});

# Who may not set log_statement has it as it was set for him.
$node->safe_psql('postgres', q{
	CREATE ROLE deployer LOGIN;
	ALTER ROLE deployer SET log_statement = ddl;
	GRANT USAGE ON SCHEMA migrate TO deployer;
	GRANT EXECUTE ON FUNCTION migrate.apply TO deployer;
	GRANT CREATE ON SCHEMA public TO deployer;
	SELECT migrate.add('2', 'of a deployer', 'CREATE TABLE deployed ()')});
is_deeply([ statements(logged('SELECT FROM migrate.apply()', extra_params => [ '-U', 'deployer' ])) ],
	['CREATE TABLE deployed ()'], 'log_statement of a role holds for the migrations it runs');

# Secrets

my @registered = logged(q{
	SELECT migrate.add('3', 'with a secret', $$CREATE ROLE secretive PASSWORD 'open sesame'$$);
	SELECT FROM migrate.apply();});
is(join('', @registered), '', 'log_statement = none: registering and applying a password logs nothing');
unlike($node->safe_psql('postgres', 'SELECT h FROM migrate.history h'),
	qr/sesame/, 'the password of a migration is not in migrate.history');
unlike($node->safe_psql('postgres', 'SELECT a FROM migrate.applied a'),
	qr/sesame/, 'the password of a migration is not in migrate.applied');
unlike($node->safe_psql('postgres', 'SELECT s FROM migrate.status() s'),
	qr/sesame/, 'the password of a migration is not in migrate.status()');
my $stderr;
$node->psql('postgres', q{
	SET client_min_messages = debug5;
	SET dbmigrate.progress = on;
	SELECT migrate.add('4', 'with a secret', $$SELECT 'open sesame'$$);
	SELECT FROM migrate.apply();}, stderr => \$stderr);
unlike($stderr, qr/sesame/, 'no message to the client, at any level, shows the script');

# Errors
#
# Another statement of a failing script is nobody's business.

$node->safe_psql('postgres', q{
	SELECT migrate.add('5', 'failing', E'SELECT \'open sesame\';\nSELECT 1 / 0;\nSELECT \'open sesame\'')});
my $call = 'SELECT FROM migrate.apply() /* called */';

my @messages = logged("$call;");
is(scalar(grep { /^ERROR:/ } @messages), 1, 'an error in a migration is logged once');
is(scalar(grep { /^STATEMENT:  \Q$call\E;?\n/ } @messages), 1, 'the log shows the statement of the client, once');
like(join('', @messages), qr/^CONTEXT:  .*^\tmigration 5 "failing" \(up\), statement 2 at line 2$/ms,
	'the log names migration, statement and line');
unlike(join('', @messages), qr/sesame/, 'the log does not show the other statements of the script');

@messages = logged("SET log_min_error_statement = panic;\n$call;");
is(scalar(grep { /^ERROR:/ } @messages), 1, 'log_min_error_statement = panic: the error is logged');
is(scalar(grep { /^STATEMENT:/ } @messages), 0, 'log_min_error_statement = panic: the statement is not');

@messages = logged("SET log_error_verbosity = terse;\nSET log_min_error_statement = panic;\n$call;");
is_deeply(\@messages, ["ERROR:  division by zero\n"], 'log_error_verbosity = terse: nothing but the message');

is_deeply([ logged("SET log_min_messages = panic;\nSET log_min_error_statement = panic;\n$call;") ],
	[], 'log_min_messages = panic: the error is not logged');

# A warning that a migration raises is logged at the level it has.
$node->safe_psql('postgres', q{
	SELECT migrate.remove('5');
	SELECT migrate.add('6', 'warning', $$DO 'BEGIN RAISE WARNING ''beware''; RAISE NOTICE ''listen''; END'$$, '')});
@messages = logged("SET log_min_messages = warning;\n$call;");
is(scalar(grep { /^WARNING:  beware\n/ } @messages), 1, 'log_min_messages = warning: a warning is logged once');
is(scalar(grep { /^NOTICE:/ } @messages), 0, 'log_min_messages = warning: a notice is not logged');

# How long it took
$node->safe_psql('postgres', 'SELECT FROM migrate.rollback()');
@messages = logged("SET log_min_messages = log;\nSET log_min_duration_statement = 0;\n$call;");
is(scalar(grep { /^LOG:  duration: .* statement: \Q$call\E/ } @messages), 1,
	'log_min_duration_statement logs the call');
unlike(join('', @messages), qr/RAISE/, 'log_min_duration_statement logs no text of a script');

$node->stop;
done_testing();
