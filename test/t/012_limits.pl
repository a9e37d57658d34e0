# Limits: thousands of tables, statements and migrations, statements of many
# megabytes that fail, nesting that is too deep, and memory.

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# What an error may show of a big statement, in bytes.
my $readable = 20_000;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$node->append_conf('postgresql.conf', q{
log_statement = none
shared_buffers = 16MB
max_connections = 100
max_locks_per_transaction = 64
max_stack_depth = 2MB
dbmigrate.progress = off
});
$node->start;

# A fresh database for each part
my $database = 'postgres';

sub fresh
{
	($database) = @_;
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, 'CREATE EXTENSION dbmigrate');
	return;
}

sub value
{
	my ($query) = @_;

	return scalar $node->safe_psql($database, $query);
}

# Run it; returns what the client and the server log are told about it.
sub failing
{
	my ($sql) = @_;
	my $from = -s $node->logfile;
	my $stderr;

	$node->psql($database, $sql, stderr => \$stderr, on_error_stop => 0,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-v', 'SHOW_CONTEXT=always' ]);
	$stderr =~ s/^psql:<stdin>:\d+: //mg;
	return ($stderr, slurp_file($node->logfile, $from));
}

sub is_empty
{
	my ($what) = @_;

	is(value(q{
			SELECT (SELECT count(*) FROM migrate.applied) || ' '
			    || (SELECT count(*) FROM migrate.history) || ' '
			    || (SELECT count(*) FROM pg_tables WHERE schemaname = 'public')}),
		'0 0 0', "$what: nothing is left");
	return;
}

# 7,000 tables in one transaction: more locks than the server has room for

fresh('tables');
$node->safe_psql($database, q{
	SELECT migrate.add(m::text, 'm' || m,
	           (SELECT string_agg(format('CREATE TABLE t%s_%s (i int PRIMARY KEY);', m, t), E'\n')
	              FROM generate_series(1, 100) t),
	           '')
	  FROM generate_series(1, 70) m});
my ($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  53200: out of shared memory$/m, '7,000 tables: the error is the server\'s own');
like($stderr, qr/^HINT:  .*max_locks_per_transaction/m, '7,000 tables: so is the hint');
like($stderr, qr/^HINT:  .*own: CALL migrate\.run\(\);/m,
	'7,000 tables: and another one tells how to give each migration its own transaction');
like($stderr, qr/migration \d+ "m\d+" \(up\), statement \d+ at line \d+$/m, '7,000 tables: the context says where');
is_empty('7,000 tables');
is(value('SELECT count(*) FROM migrate.apply(1); ' x 3 . 'SELECT count(*) FROM migrate.applied'),
	"1\n1\n1\n3", '7,000 tables: what the hint tells works');

# 7,000 tables in one migration: applying one at a time is no way out

fresh('alone');
$node->safe_psql($database, q{
	SELECT migrate.add('1', 'tables',
	           (SELECT string_agg(format('CREATE TABLE t%s (i int PRIMARY KEY);', t), E'\n') FROM generate_series(1, 7000) t),
	           '')});
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  53200: out of shared memory$/m, '7,000 tables in one migration: the same error');
like($stderr, qr/^HINT:  .*max_locks_per_transaction.*make several of it/m, '7,000 tables in one migration: the hint is to divide it');
unlike($stderr, qr/migrate\.apply\(1\)/, '7,000 tables in one migration: and not to repeat what fails');

# 10 MB in one statement, and its last row is wrong

fresh('big');
$node->safe_psql($database, q{
	SELECT migrate.add('1', 'table', 'CREATE TABLE big (i int PRIMARY KEY, filler text)');
	SELECT migrate.add('2', 'rows', E'SELECT 1;\n\nINSERT INTO big VALUES\n'
	    || (SELECT string_agg(format('(%s, %L)', i, repeat('x', 90)), E',\n') FROM generate_series(1, 100000) i)
	    || E',\n(1, \'duplicate\');')});
cmp_ok(value(q{SELECT length(up) FROM migrate.migration WHERE id = '2'}), '>', 10_000_000,
	'a statement that fails on its last row has 10 MB');
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  23505: duplicate key value violates unique constraint "big_pkey"$/m,
	'10 MB of rows: SQLSTATE and message are the server\'s own');
like($stderr, qr/^DETAIL:  Key \(i\)=\(1\) already exists\.$/m, '10 MB of rows: so is the detail');
like($stderr, qr/migration 2 "rows" \(up\), statement 2 at line 3$/m,
	'10 MB of rows: the context names migration, statement and line');
cmp_ok(length $stderr, '<', $readable, '10 MB of rows: what the client is told is short');
cmp_ok(length $log, '<', $readable, '10 MB of rows: what is logged is short');
like($log, qr/duplicate key value/, '10 MB of rows: it is logged');
is_empty('10 MB of rows');

# 10 MB in one statement, and its last value cannot be read: the server points
# into the statement
$node->safe_psql($database, q{
	SELECT migrate.add('2', 'rows', E'INSERT INTO big SELECT i::int, f FROM (VALUES\n'
	    || (SELECT string_agg(format('(''%s'', %L)', i, repeat('x', 90)), E',\n') FROM generate_series(1, 100000) i)
	    || E') v (i, f) WHERE nonsense;')});
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  42703: column "nonsense" does not exist$/m,
	'10 MB and an unknown column: SQLSTATE and message are the server\'s own');
cmp_ok(length $stderr, '<', $readable, '10 MB and an unknown column: what the client is told is short');
cmp_ok(length $log, '<', $readable, '10 MB and an unknown column: what is logged is short');
is(under_caret($stderr), 'nonsense', '10 MB and an unknown column: the caret is under it');

# The word that psql's caret is under
sub under_caret
{
	my ($text) = @_;
	my ($line, $space) = $text =~ /^(LINE \d+: [^\n]*)\n( *)\^$/m or return 'no caret';

	utf8::decode($line);
	return substr($line, length $space) =~ /^(\w+)/ ? $1 : 'no word';
}

# 10 MB in one statement, and a syntax error at its end

($stderr, $log) = failing(q{
	SELECT migrate.remove('2');
	SELECT migrate.add('2', 'é syntax', E'SELECT 1;\nINSERT INTO big VALUES\n'
	    || (SELECT string_agg(format('(%s, %L)', i, repeat('é', 90)), E',\n') FROM generate_series(1, 60000) i)
	    || E',\n(1, 2) oops;')});
like($stderr, qr/^WARNING:  42601: .*syntax error at or near "oops"$/m,
	'10 MB and a syntax error: registering it gives a warning with the error');
cmp_ok(length $stderr, '<', $readable, '10 MB and a syntax error: the warning is short');
cmp_ok(length $log, '<', $readable, '10 MB and a syntax error: what is logged is short');
is(value(q{SELECT state FROM migrate.status() WHERE version = '2'}), 'unreadable',
	'10 MB and a syntax error: the migration is unreadable');
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  42601: syntax error at or near "oops"$/m,
	'10 MB and a syntax error: applying it gives the server\'s own error');
like($stderr, qr/migration 2 "é syntax" \(up\), statement 2 at line 60003$/m,
	'10 MB and a syntax error: the context names migration, statement and line');
cmp_ok(length $stderr, '<', $readable, '10 MB and a syntax error: the error is short');
cmp_ok(length $log, '<', $readable, '10 MB and a syntax error: the log of the error is short');
is(under_caret($stderr), 'oops', '10 MB and a syntax error: the caret is under it');
is_empty('10 MB and a syntax error');

# 10 MB in one literal that never ends
($stderr, $log) = failing(q{
	SELECT migrate.remove('2');
	SELECT migrate.add('2', 'open', E'SELECT 1;\nSELECT \'' || repeat('x', 10000000))});
like($stderr, qr/^WARNING:  42601: .*unterminated quoted string/m, '10 MB of an open literal: there is a warning');
cmp_ok(length $stderr, '<', $readable, '10 MB of an open literal: the warning is short');
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  42601: unterminated quoted string/m, '10 MB of an open literal: the error is the server\'s own');
cmp_ok(length $stderr, '<', $readable, '10 MB of an open literal: the error is short');
cmp_ok(length $log, '<', $readable, '10 MB of an open literal: the log of the error is short');

# 10 MB of COPY data, and the last line is wrong
$node->safe_psql($database, q{
	SELECT migrate.remove('2');
	SELECT migrate.add('2', 'copy', E'COPY big FROM stdin;\n'
	    || (SELECT string_agg(i || E'\t' || repeat('x', 90), E'\n') FROM generate_series(1, 100000) i)
	    || E'\nwrong\tline\n\\\\.\n')});
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^ERROR:  22P02: invalid input syntax for type integer: "wrong"$/m,
	'10 MB of COPY data: SQLSTATE and message are the server\'s own');
like($stderr, qr/COPY big, line 100001, column i: "wrong".*migration 2 "copy" \(up\), statement 1 at line 1$/ms,
	'10 MB of COPY data: the context names the line of the data and the migration');
cmp_ok(length $stderr, '<', $readable, '10 MB of COPY data: the error is short');
cmp_ok(length $log, '<', $readable, '10 MB of COPY data: the log of the error is short');
is_empty('10 MB of COPY data');

# 10,000 statements in one script

fresh('statements');
my $many = q{(SELECT string_agg(format('INSERT INTO s VALUES (%s);', i), E'\n') FROM generate_series(1, 9999) i)};
$node->safe_psql($database,
	"SELECT migrate.add('1', 'many', E'CREATE TABLE s (i int);\n' || $many, 'DROP TABLE s')");
is(value('SELECT statements, rows FROM migrate.apply()'), '10000|9999', '10,000 statements in one script are run');
is(value('SELECT count(*), sum(i) FROM s'), '9999|49995000', '10,000 statements in one script: all took effect');
$node->safe_psql($database,
	"SELECT FROM migrate.rollback(); SELECT migrate.add('1', 'many', E'CREATE TABLE s (i int);\n' || $many || E'\nSELECT 1 / 0')");
($stderr, $log) = failing('SELECT FROM migrate.apply()');
like($stderr, qr/^CONTEXT: .*migration 1 "many" \(up\), statement 10001 at line 10001$/ms,
	'an error behind 10,000 statements has its number and line');

# 2,000 migrations in one call

fresh('migrations');
$node->safe_psql($database, q{
	SELECT migrate.add(i::text, 'm' || i, format('CREATE VIEW v%s AS SELECT %s AS i', i, i), format('DROP VIEW v%s', i))
	  FROM generate_series(1, 2000) i});
is(value('SELECT count(*), min(statements), max(statements) FROM migrate.apply()'), '2000|1|1',
	'2,000 migrations are applied by one call');
is(value(q{SELECT count(*) FROM pg_views WHERE viewname ~ '^v\d+$'}),
	'2000', '2,000 migrations: all took effect');
is(value('SELECT count(*) FROM (SELECT version::int - lag(version::int) OVER (ORDER BY position) AS d FROM migrate.applied) o WHERE d = 1'),
	'1999', '2,000 migrations are applied in the order of their versions');
is(value(q{SELECT count(*) FROM migrate.rollback_to('0')}), '2000', '2,000 migrations are rolled back by one call');
is(value(q{SELECT count(*) FROM pg_views WHERE viewname ~ '^v\d+$'}), '0', '2,000 migrations: all are undone');

# Nesting

fresh('nesting');
my %deep = (
	'200,000 parentheses' => q{'SELECT ' || repeat('(', 200000) || '1' || repeat(')', 200000)},
	'a sum of 200,000 terms' => q{'SELECT 1' || repeat('+1', 200000)},
	'2,500 nested sums' => q{'SELECT ' || repeat('(1+', 2500) || '1' || repeat(')', 2500)},
	'2,500 nested lists' => q{'SELECT ' || repeat('array[', 2500) || '1' || repeat(']', 2500)},
	'9,000 nested sums' => q{'SELECT ' || repeat('(1+', 9000) || '1' || repeat(')', 9000)},
	'9,000 nested lists' => q{'SELECT ' || repeat('array[', 9000) || '1' || repeat(']', 9000)},
	'9,000 nested queries' => q{repeat('SELECT (', 9000) || 'SELECT 1' || repeat(')', 9000)});
foreach my $what (sort keys %deep)
{
	my $started = value('SELECT pg_postmaster_start_time()');
	my ($at_add) = failing("SELECT migrate.add('1', 'deep', $deep{$what})");
	my ($at_apply) = failing('SELECT FROM migrate.apply()');
	my ($state) = $at_apply =~ /^ERROR:  (\w{5}):/m ? $1 : 'none';

	note("$what: $state");

	# how deep is too deep depends on the version; the grammar's own limit is 42601
	like($state, qr/^(54000|54001|42601|none)$/, "$what: an error or none");
	unlike($at_add . $at_apply, qr/server closed the connection/, "$what: no crash");
	cmp_ok(length($at_add) + length($at_apply), '<', $readable, "$what: the messages are short");
	is(value("SELECT pg_postmaster_start_time() = '$started'"), 't', "$what: the server runs on");
	is(value('SELECT count(*) FROM migrate.applied'), $state eq 'none' ? '1' : '0',
		"$what: applied, or nothing is left");
	$node->safe_psql($database,
		$state eq 'none'
		? q{SELECT migrate.mark_pending('1', 'next'); SELECT migrate.remove('1')}
		: q{SELECT migrate.remove('1')});
}

# Memory of one session that goes on and on
#
# Without new foreign keys and PL/pgSQL functions in each cycle: the server
# itself keeps something for each of these until the session ends.

fresh('memory');
$node->safe_psql($database, q{
	SELECT migrate.add('1', 'one', 'CREATE TABLE one (i int PRIMARY KEY); INSERT INTO one SELECT generate_series(1, 10)', 'DROP TABLE one');
	SELECT migrate.add('2', 'two', 'CREATE TABLE two (i int REFERENCES one DEFERRABLE INITIALLY DEFERRED)', 'DROP TABLE two');
	SELECT migrate.add('3', 'data', E'COPY two FROM stdin;\n2\n3\n\\\\.\n', 'DELETE FROM two');
	SELECT migrate.add('4', 'function', 'CREATE FUNCTION four() RETURNS int LANGUAGE sql RETURN 4; SELECT four()', 'DROP FUNCTION four()');
	SELECT migrate.add('5', 'settings', $$SET search_path = public; SELECT set_config('work_mem', '2MB', false); DO 'BEGIN PERFORM 1; END'$$, '')});
$node->safe_psql($database, 'SELECT FROM migrate.apply(2)');

sub stays
{
	my ($times, $what, $cycle) = @_;
	my $measure = "SELECT 'memory ' || sum(total_bytes) FROM pg_backend_memory_contexts;\n";
	my $stdout = $node->safe_psql($database,
		"SET client_min_messages = error;\n" . $cycle x 20 . $measure . $cycle x $times . $measure);
	my ($before, $after) = $stdout =~ /^memory (\d+)\n.*^memory (\d+)$/ms;

	cmp_ok($after - $before, '<', 1024 * 1024, "$times times $what: the memory of the session stays");
	note("from $before to $after bytes");
	return;
}

stays(200, 'apply and rollback', "SELECT FROM migrate.apply();\nSELECT FROM migrate.rollback_to('2');\n");
stays(100, 'apply, redo and rollback',
	"SELECT FROM migrate.apply();\nSELECT FROM migrate.redo(2);\nSELECT FROM migrate.rollback_to('2');\n");
stays(200, 'status', "SELECT FROM migrate.status();\nSELECT migrate.status_json();\nSELECT FROM migrate.pending();\n");
stays(200, 'add and remove', q{SELECT migrate.add('6', 'six', 'SELECT 6'); SELECT migrate.remove('6');} . "\n");
stays(200, 'add of something unreadable', q{SELECT migrate.add('6', 'six', 'SELCT 6'); SELECT migrate.remove('6');} . "\n");
stays(100, 'apply in a subtransaction that is rolled back',
	q{DO 'BEGIN PERFORM migrate.apply(); RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END';} . "\n");
$node->safe_psql($database, q{SELECT migrate.add('6', 'failing', 'SELECT repeat($$x$$, 1000000); SELECT 1 / 0')});
stays(100, 'a failing apply',
	"DO 'BEGIN PERFORM migrate.apply(); EXCEPTION WHEN division_by_zero THEN END';\n");
stays(100, 'apply in a transaction that is rolled back',
	"BEGIN;\nSELECT FROM migrate.apply(3);\nROLLBACK;\n");

# Memory for a big script: 60 MB of COPY data

SKIP:
{
	skip 'no /proc here', 2 unless -r '/proc/self/status';

	fresh('copydata');
	$node->safe_psql($database, q{
		SELECT migrate.add('1', 'data', E'CREATE TABLE data (i int, filler text);\nCOPY data FROM stdin;\n'
		    || (SELECT string_agg(i || E'\t' || repeat(md5(i::text), 18), E'\n') FROM generate_series(1, 104000) i)
		    || E'\n\\\\.\n')});
	my $session = $node->background_psql($database, on_error_stop => 0);
	my $pid = $session->query_safe('SELECT pg_backend_pid()');
	my $before = peak($pid);
	is($session->query_safe('SELECT rows FROM migrate.apply()'), '104000', '60 MB of COPY data are loaded');
	my $grown = peak($pid) - $before;
	my $size = value(q{SELECT length(up) / 1024 FROM migrate.migration});
	note("$size kB of script, $grown kB of memory");
	cmp_ok($grown, '<', 4 * $size, '60 MB of COPY data need less than four times their size');
	$session->quit;
}

# The most memory that a process has had, in kB, shared buffers included
sub peak
{
	my ($pid) = @_;
	my ($peak) = slurp_file("/proc/$pid/status") =~ /^VmHWM:\s+(\d+) kB/m;

	return $peak;
}

$node->stop;
done_testing();
