# An online migration is half done: what of its text may change, what other calls
# say of it, and what is seen while it is at work.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use ResumeTest;
use Test::More;

my $node = start_server();
my $i = 'CREATE INDEX i ON s.t (a)';

# The part that is done: a group, COPY with data, and settings for the rest
my $done = q{SET search_path = s;
SET work_mem = '7MB';
BEGIN;
CREATE TABLE g (a int);
INSERT INTO g VALUES (1);
COMMIT;
COPY g FROM stdin;
1
2
\.
};
my $rest = q{CREATE UNIQUE INDEX CONCURRENTLY u ON g (a);
INSERT INTO public.log SELECT current_setting('work_mem');
};
query('CALL make_tables()');
register('up', $done . $rest);
like(run('up'), qr/could not create unique index "u"/, 'an index that cannot be unique');
is(query('SELECT state FROM migrate.status()') . ' ' . look(), 'failed p1 p2 u!', 'the migration has failed');
is(query(q{SELECT finished || ' ' || started || ' ' || sqlstate FROM migrate.progress}), '7 8 23505', 'its progress');
is(
	query(q{SELECT procedure || ' ' || migrations || ' ' || sqlstate FROM migrate.run ORDER BY number DESC LIMIT 1}),
	'run 0 23505', 'its run');
is(
	query(q{SELECT action || ' ' || failed_statement || ' ' || failed_line FROM migrate.history ORDER BY id DESC LIMIT 1}),
	'failed 8 11', 'its place');

register('up', $done =~ s/7MB/8MB/r . $rest);
like(run('up'), qr/the part of .* that is done already has changed/, 'another text of the part that is done');
register('up', $done =~ s/^2$/3/mr . $rest);
like(run('up'), qr/the part of .* that is done already has changed/, 'other data in it');
register('up', $done =~ s/BEGIN;\n|COMMIT;\n//gr . "SELECT 1;\nSELECT 2;\n" . $rest);
like(run('up'), qr/the part of .* that is done already has changed/, 'no transaction around what was one');
register('up', 'SET search_path = s');
like(run('up'), qr/the part of .* that is done already has changed/, 'less of it');
is(state() . ' ' . look(), 'failed p1 p2 u!', 'nothing is changed by that');

my $reformatted = $done =~ s/SET work_mem =/-- 7MB is enough\nset work_mem\t=/r =~ s/INSERT INTO g/INSERT \/* one *\/ INTO\r\n  g/r;
register('up', $reformatted . "DELETE FROM g WHERE ctid = '(0,2)';\n" . $rest);
is(run('up'), 3, 'the text behind it may change, with what is left of the statement that was there dropped');
is(query('SELECT what FROM log'), '7MB', 'the settings of the part that is done hold');
is(state() . ' ' . look(), 'applied p1 p2 u', 'it is applied');

# What else can be called while it is half done: call, what it says, the state then
my @calls = (
	[
		'up',
		[ q{SELECT migrate.remove('1')}, qr/is half applied and cannot be forgotten.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT FROM migrate.apply()}, qr/must run outside a transaction block.*CALL migrate\.run\(\)/s, 'interrupted' ],
		[ q{SELECT FROM migrate.rollback()}, qr/is half applied.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{CALL migrate.run_rollback()}, qr/is half applied.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT migrate.mark_pending('1', 'r')}, qr/is not applied.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT migrate.require()}, qr/not applied/, 'interrupted' ],
		[ q{SELECT migrate.add('1', 'm', 'SELECT 2', '')}, undef, 'interrupted' ],
		[ q{SELECT FROM migrate.apply()}, qr/must run outside a transaction block/s, 'interrupted' ],
		[ q{CALL migrate.run()}, qr/the part of .* that is done already has changed/s, 'interrupted' ],
		[ q{SELECT migrate.mark_applied('1', 'r')}, undef, 'applied' ] ],
	[
		'down',
		[ q{SELECT migrate.remove('1')}, qr/is half rolled back and cannot be forgotten.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT FROM migrate.rollback()}, qr/must run outside a transaction block.*CALL migrate\.run_rollback\(/s, 'interrupted' ],
		[ q{SELECT FROM migrate.apply()}, qr/half rolled back/, 'interrupted' ],
		[ q{CALL migrate.run()}, qr/half rolled back.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT migrate.mark_applied('1', 'r')}, qr/is half rolled back.*migrate\.abandon\('1'/s, 'interrupted' ],
		[ q{SELECT migrate.require()}, qr/not applied/, 'interrupted' ],
		[ q{SELECT migrate.mark_pending('1', 'r')}, undef, 'pending' ] ]);

foreach my $calls (@calls)
{
	my ($direction, @of_it) = @$calls;

	query('CALL make_tables()');
	query(q{SELECT migrate.add('0', 'before', 'SELECT 1', ''); SELECT FROM migrate.apply()});
	register($direction, "CREATE INDEX CONCURRENTLY i ON s.t (a);\n$rest");
	query("CALL interrupt('$direction', 1, NULL)");
	is(query('SELECT migrate.version()'), '0', "half $direction: the one before it is the newest");
	is(query('SELECT version FROM migrate.schema_migrations'), '0', "half $direction: and the only one that is applied");
	is(
		query(q{SELECT s->>'appliedMigrations', s->>'lastMigration', s->>'isUpToDate' FROM (SELECT migrate.status_json()->'status' AS s) x}),
		'["0_before"]|0_before|false', "half $direction: in JSON, too");
	foreach my $call (@of_it)
	{
		my ($sql, $expected, $state) = @$call;
		my $error = error_of($sql);

		$expected ? like($error, $expected, "half $direction: $sql is refused") : is($error, '', "half $direction: $sql");
		is(state(), $state, "half $direction, then $sql: $state");
	}
	is(query('SELECT count(*) FROM migrate.progress'), 0, "half $direction: and nothing is half done any more");
	is(query(q{SELECT count(*) FROM migrate.applied WHERE version = '0'}), 1, 'the one before it is still applied');
}

# A text that has changed where the statement is known to be done
query('CALL make_tables()');
register('up', 'CREATE INDEX CONCURRENTLY i ON s.t (b)');
query(q{CALL interrupt('up', 0, 1); UPDATE migrate.progress SET statement = 'CREATE INDEX CONCURRENTLY i ON s.t (a)'});
query($i);
like(run('up'), qr/statement 1 of .* is done already and has changed/, 'another text of a statement that is done');
is(state(), 'interrupted', 'and that changes nothing');

query(q{SELECT migrate.add('1', 'm', '/* a */ create index CONCURRENTLY i -- b
	ON s.t (a)', '', online => true)});
is(run('up') . ' ' . look(), '0 i p1 p2', 'but for comments and white space');

# A text that has nothing online any more goes on all the same; as does a
# repeatable migration, also where it was applied before.
query('CALL make_tables()');
query(q{SELECT migrate.add('1', 'm', 'CREATE TABLE s.n ()', '')});
query(q{CALL interrupt('up', 1, NULL);
	UPDATE migrate.progress SET finished_sha256 = sha256((SELECT checksum FROM migrate.migration))});
like(error_of('SELECT FROM migrate.apply()'), qr/must run outside a transaction block/, 'not in a transaction');
is(run('up'), 0, 'all was done, and the text is not online any more');
query(q{SELECT migrate.add(NULL, 'r', 'VACUUM s.t')});
query($call{up});
query(q{SELECT migrate.add(NULL, 'r', 'VACUUM s.t; VACUUM s.nobody')});
isnt(run('up'), '', 'a repeatable migration fails the second time');
query(q{SELECT migrate.add(NULL, 'r', 'VACUUM s.t; VACUUM s.other')});
is(run('up'), 1, 'and goes on');

# In a target schema the hints say so, and it can be forgotten with it.
query('CALL make_tables()');
register('up', 'CALL public.commits()');
query(q{CALL interrupt('up', 0, 1); UPDATE migrate.progress SET target_schema = 's', committed = true});
like(error_of(q{CALL migrate.run(schema => 's')}), qr/seen', schema => 's'\)/, 'the hint of resume() has the schema');
like(error_of(q{SELECT migrate.remove('1')}), qr/migrate\.run\(schema => 's'\)/, 'the hint of remove() has it');
is(query(q{SELECT state FROM migrate.status('s')}) . ' ' . state(), 'interrupted pending', 'interrupted there only');
query(q{SELECT migrate.forget_schema('s', 'r')});
is(query('SELECT count(*) FROM migrate.progress'), 0, 'it is forgotten with the schema');

# For real: somebody is in the way, and the run is ended while it waits.
# What it waits at, and what is left then
my @real = (
	[ 'CREATE INDEX CONCURRENTLY i ON s.t (a)', '', 'i! p1 p2', 'i p1 p2' ],
	[ 'DROP INDEX CONCURRENTLY s.i', $i, 'i! p1 p2', 'p1 p2' ],
	[ 'REINDEX TABLE CONCURRENTLY s.t', $i, 'i i_ccnew! p1 p2', 'i p1 p2' ],
	[ 'ALTER TABLE s.p DETACH PARTITION s.p1 CONCURRENTLY', '', 'p1! p2', 'p2' ]);

foreach my $real (@real)
{
	my ($statement, $before, $left, $result) = @$real;
	my $waits = q{FROM pg_stat_activity WHERE query LIKE 'migration 1 of 1, statement 1 of 1 in run %: 1 "m" (up): %'
	              AND wait_event_type = 'Lock'};

	foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
	{
		query('CALL make_tables()');
		query($before) if $before;
		register('up', $statement);
		my $reader = $node->background_psql('postgres');
		$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM s.t, s.p');
		my $runner = $node->background_psql('postgres', on_error_stop => 0);
		$runner->query_until(qr//, "$call{up};\n");
		ok($node->poll_query_until('postgres', "SELECT count(*) = 1 $waits"), "$statement waits, and is shown");
		is(state(), 'running', "$statement: running");
		is(query('SELECT ended_at IS NULL FROM migrate.run ORDER BY number DESC LIMIT 1'), 't', 'as its run is');
		like(error_of('SELECT FROM migrate.apply()'), qr/It runs online migrations/, 'nobody waits for it in a transaction');
		query("SELECT $how(pid) $waits");
		$node->poll_query_until('postgres', q{SELECT NOT migrate.is_online_run_active()});
		is(state(), $how eq 'pg_cancel_backend' ? 'failed' : 'interrupted', "$statement, $how: not running any more");
		is(look(), $left, "$statement, $how: $left is left");
		$reader->quit;
		eval { $runner->quit };
		like(run('up'), qr/^[01]$/, "$statement, $how: the next run ends well");
		is(look(), $result, "$statement, $how: and has made $result");
		is(query(q{SELECT count(*) FROM pg_index WHERE NOT indisvalid}), 0, "$statement, $how: all is valid");
	}
}

# What was at work when it was dumped is interrupted where it is restored.
query('CALL make_tables()');
register('up', "VACUUM s.t;\nCALL public.commits();\nINSERT INTO public.log VALUES ('behind')");
query(q{CALL interrupt('up', 1, 2);
	UPDATE migrate.progress SET finished_sha256 = sha256(sha256('vacuum\000s\000.\000t\000;\000')), statement = 'CALL public.commits()'});
$node->command_ok([ 'pg_dump', '-Fc', '-f', $node->backup_dir . '.dump', '-d', $node->connstr('postgres') ], 'dumped');
query('CREATE DATABASE copy');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), $node->backup_dir . '.dump' ], 'restored');
is($node->safe_psql('copy', q{SELECT state FROM migrate.status()}), 'interrupted', 'it is interrupted there');
$node->safe_psql('copy', q{SELECT migrate.resume('1', true, 'it was')});
$node->safe_psql('copy', $call{up});
is($node->safe_psql('copy', q{SELECT state, what FROM migrate.status(), log}), 'applied|behind', 'and goes on');

$node->stop;
done_testing();
