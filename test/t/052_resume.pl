# An online migration was interrupted: where does the next run go on?  A table of
# states, made by hand: kind of statement, how far it had come, up and down.

use strict;
use warnings;

use FindBin;
use lib $FindBin::RealBin;
use PostgreSQL::Test::Utils;
use ResumeTest;
use Test::More;

my $node = start_server();
my $i = 'CREATE INDEX i ON s.t (a)';
my $committed = 'UPDATE migrate.progress SET committed = true';
my $invalid_i = "$i; CALL invalidate('s.i')";

# Kind of statement; what there was before it; and of each state: its name, what
# the statement had done when it was interrupted, how many statements are run
# then (2: it and the one behind it, 1: it was done) or the error, and what
# indexes and partitions there are afterwards.
my @states = (
	[
		'CREATE INDEX CONCURRENTLY i ON s.t (a)', '',
		[ 'nothing', '', 2, 'i p1 p2' ],
		[ 'half', $invalid_i, 2, 'i p1 p2' ],
		[ 'all', $i, 1, 'i p1 p2' ],
		[
			'another, by a text that was another', "CREATE INDEX i ON s.t (b); CALL invalidate('s.i')",
			qr/was interrupted.*index s\.i .*DROP INDEX CONCURRENTLY IF EXISTS s\.i;/s, 'i! p1 p2'
		],
		[ 'somebody has one on another table', 'CREATE INDEX i ON s.other (a)', qr/"i" already exists/, 'i p1 p2' ] ],
	[
		'CREATE INDEX CONCURRENTLY i ON s.t (a)', $invalid_i,
		[ 'nothing', '', qr/"i" already exists/, 'i! p1 p2' ] ],
	[ 'CREATE INDEX CONCURRENTLY i ON s.t (a)', $i, [ 'nothing', '', qr/"i" already exists/, 'i p1 p2' ] ],
	[
		'CREATE INDEX CONCURRENTLY ON s.t (a)', '',
		[ 'nothing', '', 2, 'p1 p2 t_a_idx' ],
		[ 'half', "CREATE INDEX ON s.t (a); CALL invalidate('s.t_a_idx')", 2, 'p1 p2 t_a_idx' ],
		[ 'all', 'CREATE INDEX ON s.t (a)', 1, 'p1 p2 t_a_idx' ],
		[
			'somebody made others', "CREATE INDEX x ON s.t (b); CREATE INDEX y ON s.t (b); CALL invalidate('s.y')", 2,
			'p1 p2 t_a_idx x y!'
		] ],
	[
		'CREATE INDEX CONCURRENTLY ON s.t (a)', "CREATE INDEX ON s.t (a); CALL invalidate('s.t_a_idx')",
		[ 'nothing', '', 2, 'p1 p2 t_a_idx! t_a_idx1' ],
		[ 'half', "CREATE INDEX ON s.t (a); CALL invalidate('s.t_a_idx1')", 2, 'p1 p2 t_a_idx! t_a_idx1' ],
		[ 'all', 'CREATE INDEX ON s.t (a)', 1, 'p1 p2 t_a_idx! t_a_idx1' ] ],
	[
		'CREATE UNIQUE INDEX CONCURRENTLY i ON s.t (lower(b)) WHERE a > 5', '',
		[ 'nothing', '', 2, 'i p1 p2' ],
		[ 'half', "CREATE UNIQUE INDEX i ON s.t (lower(b)) WHERE a > 5; CALL invalidate('s.i')", 2, 'i p1 p2' ],
		[ 'all', 'CREATE UNIQUE INDEX i ON s.t (lower(b)) WHERE a > 5', 1, 'i p1 p2' ],
		[ 'one without UNIQUE', 'CREATE INDEX i ON s.t (lower(b)) WHERE a > 5', qr/was interrupted/, 'i p1 p2' ] ],
	[
		'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a)', '',
		[ 'nothing', '', 2, 'i p1 p2' ],
		[ 'half', $invalid_i, 2, 'i p1 p2' ],
		[ 'all', $i, 1, 'i p1 p2' ] ],
	[
		'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (a)', $invalid_i,
		[ 'nothing', '', qr/index s\.i is not valid.*DROP INDEX CONCURRENTLY IF EXISTS s\.i;/s, 'i! p1 p2' ] ],
	[
		'DROP INDEX CONCURRENTLY s.i', $i,
		[ 'nothing', '', 2, 'p1 p2' ],
		[ 'half', "CALL invalidate('s.i')", 1, 'p1 p2' ],
		[ 'all', 'DROP INDEX s.i', 1, 'p1 p2' ] ],
	[
		'REINDEX INDEX CONCURRENTLY s.i', $i,
		[ 'nothing', '', 2, 'i p1 p2' ],
		[ 'half, _ccnew', "CREATE INDEX i_ccnew ON s.t (a); CALL invalidate('s.i_ccnew')", 2, 'i p1 p2' ],
		[ 'half, _ccold', "CREATE INDEX i_ccold ON s.t (a); CALL invalidate('s.i_ccold')", 2, 'i p1 p2' ] ],
	[
		'REINDEX TABLE CONCURRENTLY s.t', $i,
		[ 'nothing', '', 2, 'i p1 p2' ],
		[ 'half', "CREATE INDEX i_ccnew ON s.t (a); CALL invalidate('s.i_ccnew')", 2, 'i p1 p2' ] ],
	[
		'REINDEX TABLE CONCURRENTLY s.t', "$i; CREATE INDEX i_ccnew ON s.t (a); CALL invalidate('s.i_ccnew')",
		[ 'nothing', '', qr/index s\.i_ccnew is not valid.*DROP INDEX CONCURRENTLY IF EXISTS s\.i_ccnew;/s, 'i i_ccnew! p1 p2' ] ],
	[
		'REINDEX TABLE CONCURRENTLY s.p', 'CREATE INDEX i ON s.p (a)',
		[
			'half', "CREATE INDEX p2_ccnew ON s.p2 (a); CALL invalidate('s.p2_ccnew')", 2, 'i p1 p1_a_idx p2 p2_a_idx'
		] ],
	[
		'REINDEX SCHEMA CONCURRENTLY s', $i,
		[ 'half', "CREATE INDEX i_ccnew ON s.t (a); CALL invalidate('s.i_ccnew')", 2, 'i p1 p2' ] ],
	[ 'VACUUM (ANALYZE) s.t', '', [ 'something', '', 2, 'p1 p2' ] ],
	[ 'CLUSTER s.t USING i', $i, [ 'something', '', 2, 'i p1 p2' ] ],
	[ q{ALTER SYSTEM SET work_mem = '5MB'}, '', [ 'something', '', 2, 'p1 p2' ] ],
	[
		'ALTER TABLE s.p DETACH PARTITION s.p1 CONCURRENTLY', '',
		[ 'nothing', '', 2, 'p2' ],
		[ 'half', q{CALL begin_detach('s.p1')}, 1, 'p2' ],
		[ 'all', 'ALTER TABLE s.p DETACH PARTITION s.p1', 1, 'p2' ],
		[ 'somebody detaches another', q{CALL begin_detach('s.p2')}, qr/already pending detach/, 'p1 p2!' ] ],
	[ 'CREATE DATABASE d', '', [ 'something', '', $undecided, 'p1 p2' ] ],
	[
		'DO $$ BEGIN COMMIT; END $$', '',
		[ 'nothing that was committed', '', 2, 'p1 p2' ],
		[ 'something that was', $committed, $undecided, 'p1 p2' ] ],
	[
		'CALL public.commits()', '',
		[ 'nothing that was committed', '', 2, 'p1 p2' ],
		[ 'something that was', $committed, $undecided, 'p1 p2' ] ]);

foreach my $kind (@states)
{
	my ($statement, $before, @of_it) = @$kind;

	foreach my $direction ('up', 'down')
	{
		foreach my $state (@of_it, [ 'not begun', '', undef, undef ])
		{
			my ($name, $done, $expected, $look) = @$state;
			my $is_begun = defined $expected;
			my $is = "$statement ($direction): $name";

			query('CALL make_tables()');
			query($before) if $before;
			register($direction, "$statement;\nINSERT INTO public.log VALUES ('behind')");
			query("CALL interrupt('$direction', 0, " . ($is_begun ? 1 : 'NULL') . ')');
			query($done) if $done;
			is(state(), 'interrupted', "$is: interrupted");
			my $came = run($direction);

			if (!$is_begun)
			{
				unlike($came, qr/was interrupted/, "$is: it is not asked about");
			}
			elsif (ref $expected)
			{
				like($came, $expected, "$is: the error says so");
				is(query('SELECT count(*) FROM log'), 0, "$is: the next one is not run");
				unlike(state(), qr/^(applied|pending)$/, "$is: it is not recorded as done");
				run($direction);
				is(look(), $look, "$is: nothing is touched, the second time either");
			}
			else
			{
				is("$came: " . look(), "$expected: $look", "$is: $expected statements, and then $look");
				is(state(), $direction eq 'up' ? 'applied' : 'pending', "$is: recorded");
			}
		}
	}
}

# Whoever has looked says it.
foreach my $direction ('up', 'down')
{
	foreach my $said (
		[ q{resume('1', true, 'seen')}, 1, 'resume' ],
		[ q{resume('1', false, 'seen')}, 2, 'resume' ],
		[ q{abandon('1', 'from the start')}, 2, 'abandon' ])
	{
		my ($what, $count, $action) = @$said;

		query('CALL make_tables()');
		register($direction, "CALL public.commits();\nINSERT INTO public.log VALUES ('behind')");
		query("CALL interrupt('$direction', 0, 1); $committed");
		my $error = run($direction);
		like($error, qr/migrate\.resume\('1', statement_was_done => true/, "$direction: the hint is what to type");
		is(state(), 'interrupted', "$direction: still interrupted");
		query("SELECT migrate.$what");
		is(query('SELECT action FROM migrate.history ORDER BY id DESC LIMIT 1'), $action, "$what is in the history");
		is(run($direction), $count, "$direction, $what: $count statements");
		is(query('SELECT count(*) FROM migrate.progress'), 0, "$direction, $what: finished");
	}
}
query('CALL make_tables()');
register('up', 'CALL public.commits()');
like(error_of(q{SELECT migrate.resume('1', true, 'no')}), qr/is not half done/, 'resume() without anything half done');
like(error_of(q{SELECT migrate.abandon('1', 'no')}), qr/is not half done/, 'abandon() without anything half done');
query(q{CALL interrupt('up', 0, NULL)});
like(error_of(q{SELECT migrate.resume('1', true, 'no')}), qr/no statement .* in doubt/, 'resume() without a doubt');

# What is not found in another search_path was not dropped.
query('CALL make_tables()');
query($i);
register('up', 'DROP INDEX CONCURRENTLY i');
query(q{CALL interrupt('up', 0, 1)});
like(run('up'), qr/index "i" does not exist/, 'DROP INDEX in another search_path: the error says so');
isnt(state(), 'applied', 'DROP INDEX in another search_path: it is not done');
query("SET search_path = s, public;\nCALL migrate.run()");
is(state() . ' ' . look(), 'applied p1 p2', 'DROP INDEX in the search_path that it had: it is');

# An index that somebody builds right now has a lock on the table.
query('CALL make_tables()');
register('up', 'CREATE INDEX CONCURRENTLY i ON s.t (a)');
query(q{CALL interrupt('up', 0, 1)});
query($invalid_i);
my $builder = $node->background_psql('postgres');
$builder->query_safe('BEGIN; LOCK TABLE s.t IN SHARE UPDATE EXCLUSIVE MODE');
like(run('up'), qr/index s\.i is not valid, and another session is at work/, 'an index that is being built');
is(look(), 'i! p1 p2', 'it is not touched');
$builder->quit;
is(run('up') . look(), '1i p1 p2', 'and is made anew when nobody is at work on it');

# What is left is dropped before the statement is run again, and that can fail
# itself; or it is gone (as on Citus from some of the shards).
foreach my $drop (
	[ 'CREATE INDEX CONCURRENTLY i ON s.t (a)', 'fails', q{RAISE 'no drop'}, qr/no drop/, 'failed', 'no drop', 'i! p1 p2' ],
	[ 'CREATE INDEX CONCURRENTLY i ON s.t (a)', 'finds nothing', 'ALTER INDEX s.i RENAME TO j', qr/^2$/, 'applied', '', 'i j! p1 p2' ],
	[ 'DROP INDEX CONCURRENTLY s.i', 'fails', q{RAISE 'no drop'}, qr/no drop/, 'failed', 'no drop', 'i! p1 p2' ],
	[ 'DROP INDEX CONCURRENTLY s.i', 'finds nothing', 'ALTER INDEX s.i RENAME TO j', qr/^1$/, 'applied', '', 'j! p1 p2' ])
{
	my ($statement, $what, $code, $came, $state, $message, $look) = @$drop;
	my $name = "$statement: the drop of what is left $what";

	query('CALL make_tables()');
	register('up', "$statement;\nINSERT INTO public.log VALUES ('behind')");
	query(q{CALL interrupt('up', 0, 1)});
	query($invalid_i);
	query(qq{CREATE FUNCTION before_drop() RETURNS event_trigger LANGUAGE plpgsql AS \$\$ BEGIN $code; END \$\$;
		CREATE EVENT TRIGGER before_drop ON ddl_command_start WHEN tag IN ('DROP INDEX') EXECUTE FUNCTION before_drop()});
	like(run('up'), $came, $name);
	query('DROP EVENT TRIGGER before_drop; DROP FUNCTION before_drop()');
	is(state() . ' ' . look(), "$state $look", "$name: $state");
	is(query('SELECT message FROM migrate.progress'), $message, "$name: what is known of it");
}
is(query('SELECT count(*) FROM log'), 1, 'and then the statements behind it');

# A statement that failed before it had committed anything is not in doubt.
foreach my $statement ('CALL public.commits(1)', 'DO $$ BEGIN PERFORM 1 / (SELECT count(*) FROM log); COMMIT; END $$',
	'CREATE DATABASE postgres', 'DROP INDEX CONCURRENTLY s.i', 'VACUUM s.i')
{
	query('CALL make_tables()');
	register('up', $statement);
	my $error = run('up');
	isnt($error, '', "$statement fails");
	is(state(), 'failed', "$statement: failed");
	is(run('up'), $error, "$statement: and again in the same way, without a question");
}
foreach my $commits ('', "INSERT INTO public.log VALUES (''); ")
{
	query('CALL make_tables()');
	register('up', "DO 'BEGIN ${commits}COMMIT; PERFORM 1 / 0; END'") unless $commits;
	register('up', 'DO $$ BEGIN ' . $commits . 'COMMIT; PERFORM 1 / 0; END $$') if $commits;
	like(run('up'), $commits ? qr/division by zero.*HINT:  Statement 1 has committed a part.*migrate\.resume\('1', /s : qr/division by zero.*call it again/s,
		'DO that commits and fails');
	like(run('up'), $commits ? $undecided : qr/division by zero/, $commits ? 'is in doubt' : 'is not, if it has committed nothing');
}

# Code that is killed is run again, unless something of it was committed: each
# with the rows that it leaves, or none if it is asked about.
query(q{
	CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(7); RETURN NULL; END';
	CREATE TABLE slow (what text);
	CREATE CONSTRAINT TRIGGER t AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait();
	CREATE PROCEDURE waits() LANGUAGE plpgsql AS 'BEGIN INSERT INTO log VALUES (1); PERFORM pg_advisory_xact_lock(7); COMMIT; END'});
my $write = 'INSERT INTO public.log VALUES (1)';
my $wait = 'PERFORM pg_advisory_xact_lock(7)';
my @killed = (
	[ "DO 'BEGIN $write; $wait; END'", 1 ],
	[ "DO 'BEGIN $wait; $write; COMMIT; END'", 1 ],
	[ "DO 'BEGIN COMMIT; $write; $wait; END'", 1 ],
	[ "DO 'BEGIN $write; ROLLBACK; $wait; $write; END'", 1 ],
	[ "DO 'BEGIN $write; INSERT INTO public.slow VALUES (1); END'", 1 ],
	[ 'CALL public.waits()', 1 ],
	[ "DO 'BEGIN $write; COMMIT; $wait; END'", undef ],
	[ "DO 'BEGIN $write; COMMIT; INSERT INTO public.slow VALUES (1); END'", undef ],

	# so long that it is not in the row itself
	[ "DO 'BEGIN $write; COMMIT; $wait; END -- " . join('', map { sprintf '%x', rand 2**32 } 1 .. 3000) . "'", undef ]);
foreach my $killed (@killed)
{
	my ($statement, $rows) = @$killed;
	my $waits = q{FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'migration 1 %'};

	query('CALL make_tables()');
	register('up', "$statement; SELECT 'behind'");
	$statement = substr($statement, 0, 80);
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('SELECT pg_advisory_lock(7)');
	my $runner = $node->background_psql('postgres', on_error_stop => 0);
	$runner->query_until(qr//, "$call{up};\n");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 $waits"), "$statement waits");
	query("SELECT pg_terminate_backend(pid) $waits");
	$node->poll_query_until('postgres', q{SELECT NOT migrate.is_online_run_active()});
	$holder->quit;
	eval { $runner->quit };
	is(state(), 'interrupted', "$statement: interrupted");
	like(run('up'), $rows ? qr/^2$/ : $undecided, "$statement: " . ($rows ? 'is run again' : 'is asked about'));
	is(query('SELECT count(*) FROM log'), 1, "$statement: was done once");
}

# Where only whoever does it knows that it is not for a transaction, the mark
# says it: it is run by itself then.
query(q{CREATE FUNCTION not_in_subtransaction() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
	INSERT INTO log VALUES ('tried');
	IF (SELECT xmin::text FROM log WHERE what = 'tried') <> pg_current_xact_id()::xid::text THEN
		RAISE 'not here' USING ERRCODE = 'active_sql_transaction';
	END IF;
END $$});
foreach my $direction ('up', 'down')
{
	query('CALL make_tables()');
	register($direction, "SELECT public.not_in_subtransaction();\nINSERT INTO public.log VALUES ('behind')");
	is(run($direction), 2, "$direction: a function that is not for a transaction");
	is(query(q{SELECT string_agg(what, ' ') FROM log}), 'tried behind', "$direction: it was run");
	query('CALL make_tables()');
	register($direction, "BEGIN;\nSELECT public.not_in_subtransaction();\nCOMMIT");
	like(run($direction), qr/not here/, "$direction: between BEGIN and COMMIT it is refused");
	is(query('SELECT count(*) FROM log'), 0, "$direction: and nothing is done");
}

$node->stop;
done_testing();
