# Migrations on the coordinator of a Citus cluster with two workers: what is one
# transaction is one on all nodes, and an index that is made or dropped
# concurrently comes to its end although a run was interrupted.
#
# make beside; skipped if the server has no Citus.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => 'Citus is not installed' unless -e "$sharedir/extension/citus.control";

my @nodes = map { PostgreSQL::Test::Cluster->new($_) } qw(coordinator one two);
my ($node, @workers) = @nodes;
foreach (@nodes)
{
	$_->init;
	$_->append_conf('postgresql.conf', q{
listen_addresses = '127.0.0.1'
shared_preload_libraries = 'citus'
citus.enable_statistics_collection = off
dbmigrate.progress = off
});
	$_->start;
	$_->safe_psql('postgres', 'CREATE EXTENSION citus');
}
query(qq{SELECT citus_set_coordinator_host('127.0.0.1', ${\$node->port})});
query(qq{SELECT citus_add_node('127.0.0.1', ${\$_->port})}) foreach @workers;
query(q{CREATE EXTENSION dbmigrate; SELECT migrate.manage('a test')});

sub query { return scalar $node->safe_psql('postgres', $_[0]) }
sub state_of { return query("SELECT state FROM migrate.status() WHERE version = '$_[0]'") }

# SQLSTATE and all that was said
sub said
{
	my ($sql) = @_;
	my (undef, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return "$stdout$stderr";
}

# Of all nodes: the number of tables and shards of that name, that have this
# column, and of their indexes, ! if one is not valid.
sub look
{
	my ($table, $column) = @_;
	my ($tables, $indexes, $bad) = (0, 0, '');

	foreach (@nodes)
	{
		my $found = $_->safe_psql('postgres', qq{
			SET citus.override_table_visibility = off;
			SELECT count(DISTINCT c.oid), count(i), bool_or(NOT i.indisvalid) IS TRUE
			  FROM pg_class c LEFT JOIN pg_index i ON i.indrelid = c.oid
			 WHERE c.relkind = 'r' AND c.relname ~ '^$table(_\\d+)?\$'
			   AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = '$column')});
		my ($its_tables, $its_indexes, $is_bad) = split /\|/, $found;
		$tables += $its_tables;
		$indexes += $its_indexes;
		$bad = '!' if $is_bad eq 't';
	}
	return "$tables $indexes$bad";
}

# Three shell tables and four shards are seven.
query(q{SELECT migrate.add('1', 'table', $$CREATE TABLE t (id bigint, k int);
	SELECT create_distributed_table('t', 'id', shard_count => 4);
	INSERT INTO t SELECT g, g FROM generate_series(1, 100) g$$, 'DROP TABLE t');
	SELECT migrate.add('2', 'column', 'ALTER TABLE t ADD COLUMN x int DEFAULT 1; CREATE INDEX t_x ON t (x)',
	'DROP INDEX t_x; ALTER TABLE t DROP COLUMN x')});
query('SELECT FROM migrate.apply()');
is(look('t', 'x'), '7 7', 'apply: on all nodes');
query('SELECT FROM migrate.rollback()');
is(look('t', 'x') . ', ' . look('t', 'id'), '0 0, 7 0', 'rollback: on all nodes');
query('CALL migrate.run()');
is(look('t', 'x'), '7 7', 'run: on all nodes');
query(q{CALL migrate.run_rollback_to('0')});
is(look('t', 'id'), '0 0', 'run_rollback: on all nodes');
query('CALL migrate.run()');

query(q{SELECT migrate.add('3', 'fails', 'ALTER TABLE t ADD COLUMN y int; INSERT INTO t VALUES (0, 0); SELECT 1/0')});
foreach ('SELECT FROM migrate.apply()', 'CALL migrate.run()')
{
	like(said($_), qr/ERROR:  22012.*migration 3 "fails" \(up\), statement 3/s, "$_: a failure");
	is(look('t', 'y') . query('SELECT count(*) FROM t'), '0 0100', "$_: nothing of it on any node");
}

query(q{SELECT migrate.remove('3'); SELECT migrate.add('3', 'a type', $$UPDATE t SET k = k + 1; CREATE TYPE kind AS ENUM ('a'); ALTER TABLE t ADD COLUMN y kind$$,
	'ALTER TABLE t DROP COLUMN y; DROP TYPE kind')});
like(said('CALL migrate.run()'), qr/parallel operation.*SET LOCAL citus\.multi_shard_modify_mode TO 'sequential'/s,
	'a type after a parallel statement: what Citus says');
query(q{SET citus.multi_shard_modify_mode = 'sequential'; SELECT FROM migrate.apply()});
is(look('t', 'y'), '7 7', 'apply, one node after the other');

query(q{SELECT migrate.add('4', 'copy', E'COPY t FROM stdin;\n1\t1\n\\\\.\n')});
like(said('CALL migrate.run()'), qr/ERROR:  0A000: inline COPY data cannot be loaded into table "t"/, 'inline COPY');
query(q{SELECT migrate.remove('4')});

# Indexes, one by one

query(q{SELECT migrate.add('4', 'index', 'CREATE INDEX CONCURRENTLY t_k ON t (k); REINDEX TABLE CONCURRENTLY t; VACUUM t',
	'DROP INDEX CONCURRENTLY t_k')});
query('CALL migrate.run()');
is(look('t', 'id'), '7 14', 'CREATE INDEX CONCURRENTLY');
query('CALL migrate.run_rollback()');
is(look('t', 'id'), '7 7', 'DROP INDEX CONCURRENTLY');
query('CALL migrate.run()');

query(q{SELECT migrate.add('5', 'unique', 'CREATE UNIQUE INDEX CONCURRENTLY t_u ON t (id, k)', 'DROP INDEX CONCURRENTLY t_u');
	INSERT INTO t SELECT * FROM t WHERE id = 7});
foreach ('once', 'twice')
{
	like(said('CALL migrate.run()'), qr/ERROR:  23505/, "duplicates, $_");
	is(state_of(5), 'failed', "duplicates, $_: failed");
	like(look('t', 'id'), qr/^7 .*!$/, "duplicates, $_: an index that is not valid");
}
query('DELETE FROM t WHERE id = 7');
query('CALL migrate.run()');
is(look('t', 'id'), '7 21', 'mended: it is on all shards, and valid');

# Somebody holds up one shard, and the run is ended.

my $shard = query(q{SELECT 't_' || shardid FROM citus_shards WHERE table_name = 't'::regclass AND nodeport = } . $workers[0]->port . ' LIMIT 1');
my $run = q{FROM pg_stat_activity WHERE query LIKE 'migration 5 %' AND pid <> pg_backend_pid()};
foreach my $call ('CALL migrate.run_rollback()', 'CALL migrate.run()')
{
	foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
	{
		my $is_up = $call !~ /rollback/;
		query($is_up ? 'CALL migrate.run_rollback()' : 'CALL migrate.run()') if state_of(5) eq ($is_up ? 'applied' : 'pending');

		my $writer = $workers[0]->background_psql('postgres');
		$writer->query_safe("SET citus.override_table_visibility = off; SET citus.enable_manual_changes_to_shards = on;
			BEGIN; LOCK TABLE $shard IN ROW EXCLUSIVE MODE");
		my $runner = $node->background_psql('postgres', on_error_stop => 0);
		$runner->query_until(qr//, "$call;\n");
		$workers[0]->poll_query_until('postgres',
			"SELECT count(*) = 1 FROM pg_stat_activity WHERE query ~ 'INDEX CONCURRENTLY.*$shard|INDEX CONCURRENTLY.*t_u' AND wait_event_type = 'Lock'")
		  or die 'nothing waits';
		query("SELECT $how(pid) $run");
		$node->poll_query_until('postgres', 'SELECT NOT migrate.is_online_run_active()') or die 'it does not end';
		is(state_of(5), $how eq 'pg_cancel_backend' ? 'failed' : 'interrupted', "$call, $how");
		like(look('t', 'id'), qr/!$/, "$call, $how: an index that is not valid is left");
		$writer->quit;
		eval { $runner->quit };
		is(said($call) =~ /ERROR.*/ ? $& : '', '', "$call, $how: the next run goes on");
		is(look('t', 'id'), $is_up ? '7 21' : '7 14', "$call, $how: on all shards");
		is(state_of(5), $is_up ? 'applied' : 'pending', "$call, $how: done");
	}
}

# As somebody else, whom the workers let in

query(q{CREATE ROLE owner LOGIN; CREATE ROLE deployer LOGIN; GRANT owner TO deployer; CREATE SCHEMA app AUTHORIZATION owner;
	GRANT USAGE ON SCHEMA migrate TO owner; GRANT EXECUTE ON ALL ROUTINES IN SCHEMA migrate TO owner});
query(q{SET SESSION AUTHORIZATION deployer; SET ROLE owner;
	SELECT migrate.add('1', 'theirs', $$CREATE TABLE o (id bigint, k int); SELECT create_distributed_table('o', 'id', shard_count => 4)$$, '', project => 'app');
	SELECT migrate.add('2', 'index', 'CREATE INDEX CONCURRENTLY o_k ON o (k)', '', project => 'app')});
is(said("SET SESSION AUTHORIZATION deployer;\nSET ROLE owner;\nCALL migrate.run(schema => 'app', project => 'app');") =~ /ERROR.*/ ? $& : '',
	'', 'a lowered session');
is(look('o', 'id'), '7 7', 'a lowered session: on all nodes');

# A worker is down: the cause is told, not what follows from it.

query(q{SELECT migrate.add('6', 'more', 'ALTER TABLE t ADD COLUMN z int', '')});
$workers[1]->stop;
like(said('CALL migrate.run()'), qr/ERROR:  08006.*migration 6 "more" \(up\), statement 1/s, 'a worker is down');
is(query(q{SELECT sqlstate FROM migrate.history WHERE action = 'failed' ORDER BY id DESC LIMIT 1}), '08006', '... in the history, too');
$workers[1]->start;
query('CALL migrate.run()');
is(look('t', 'z'), '7 21', 'it is up again');

$_->stop foreach @nodes;
done_testing();
