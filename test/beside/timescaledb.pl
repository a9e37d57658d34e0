# Migrations beside TimescaleDB: hypertables, indexes that are built chunk by
# chunk, continuous aggregates, and functions that are not for a transaction.
#
# make beside; skipped if the server has no TimescaleDB.

use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

chomp(my $sharedir = `pg_config --sharedir`);
plan skip_all => 'TimescaleDB is not installed' unless -e "$sharedir/extension/timescaledb.control";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', q{
shared_preload_libraries = 'timescaledb'
timescaledb.telemetry_level = off
dbmigrate.progress = off
});
$node->start;
query(q{CREATE EXTENSION timescaledb; CREATE EXTENSION dbmigrate; SELECT migrate.manage('a test')});

sub query { return scalar $node->safe_psql('postgres', $_[0]) }
sub state_of { return query("SELECT state FROM migrate.status() WHERE version = '$_[0]'") }

sub said
{
	my ($sql) = @_;
	my (undef, $stdout, $stderr) = $node->psql('postgres', "\\set VERBOSITY verbose\n$sql");
	return "$stdout$stderr";
}

# How many indexes of this name there are, the chunks' included, and how many of them are valid
sub look
{
	return query(q{SELECT count(*), count(*) FILTER (WHERE indisvalid) FROM pg_index JOIN pg_class ON oid = indexrelid WHERE relname ~ '} . "$_[0]\$'");
}

query(q{SELECT migrate.add('1', 'table', $$CREATE TABLE m (at timestamptz NOT NULL, dev int, v float);
	SELECT create_hypertable('m', 'at', chunk_time_interval => interval '1 day');
	INSERT INTO m SELECT '2026-01-01 00:00+00'::timestamptz + g * interval '1 hour', g % 5, g FROM generate_series(0, 191) g$$, 'DROP TABLE m');
	SELECT migrate.add('2', 'column', 'ALTER TABLE m ADD COLUMN w int DEFAULT 3; CREATE INDEX m_dev ON m (dev, at)', 'DROP INDEX m_dev; ALTER TABLE m DROP COLUMN w')});
query('SELECT FROM migrate.apply()');
is(look('m_dev'), '9|9', 'apply');
query('SELECT FROM migrate.rollback(2)');
is(query(q{SELECT count(*) FROM timescaledb_information.chunks}), '0', 'rollback');
query('CALL migrate.run()');
is(look('m_dev'), '9|9', 'run');

query(q{SELECT migrate.add('3', 'fails', $$ALTER TABLE m ADD COLUMN x int; INSERT INTO m VALUES ('2027-01-01', 1, 1); SELECT 1/0$$)});
foreach ('SELECT FROM migrate.apply()', 'CALL migrate.run()')
{
	like(said($_), qr/ERROR:  22012/, "$_: a failure");
	is(query(q{SELECT count(*) FROM timescaledb_information.chunks}) . query('SELECT count(*) FROM m'), '8192', "$_: no chunk and no row is left");
}
query(q{SELECT migrate.remove('3'); SELECT migrate.add('3', 'copy', E'COPY m FROM stdin;\n2026-01-03\t1\t1\n\\\\.\n')});
like(said('CALL migrate.run()'), qr/ERROR:  0A000: inline COPY data cannot be loaded into table "m"/, 'inline COPY');
query(q{SELECT migrate.remove('3'); SELECT migrate.add('3', 'index', 'CREATE INDEX CONCURRENTLY m_v ON m (v)')});
like(said('CALL migrate.run()'), qr/ERROR:  0A000: hypertables do not support concurrent index creation/, 'CREATE INDEX CONCURRENTLY');

# Chunk by chunk; somebody holds up one of them, and the run is ended.

query(q{SELECT migrate.abandon('3', 'not so'); SELECT migrate.remove('3');
	SELECT migrate.add('3', 'index', 'CREATE INDEX m_v ON m (v) WITH (timescaledb.transaction_per_chunk)', 'DROP INDEX m_v')});
like(said('SELECT FROM migrate.apply()'), qr/ERROR:  25001: 1 migration must run outside/, 'it is known to be online');
foreach my $how ('pg_cancel_backend', 'pg_terminate_backend')
{
	my $writer = $node->background_psql('postgres');
	$writer->query_safe(q{SELECT format('BEGIN; LOCK TABLE %s IN ROW EXCLUSIVE MODE', c) FROM show_chunks('m') c ORDER BY c OFFSET 3 LIMIT 1 \gexec});
	my $runner = $node->background_psql('postgres', on_error_stop => 0);
	$runner->query_until(qr//, "CALL migrate.run();\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'migration 3 %' AND wait_event_type = 'Lock'})
	  or die 'nothing waits';
	query(qq{SELECT $how(pid) FROM pg_stat_activity WHERE query LIKE 'migration 3 %' AND wait_event_type = 'Lock'});
	$node->poll_query_until('postgres', 'SELECT NOT migrate.is_online_run_active()') or die 'it does not end';
	is(state_of(3), $how eq 'pg_cancel_backend' ? 'failed' : 'interrupted', $how);
	is(look('m_v'), '4|3', "$how: three chunks have it");
	$writer->quit;
	eval { $runner->quit };
	query('CALL migrate.run()');
	is(look('m_v'), '9|9', "$how: and all after the next run");
	query('CALL migrate.run_rollback()');
	is(look('m_v'), '0|0', "$how: and none after a rollback");
}
query('CALL migrate.run()');

# What is not for a transaction

query(q{SELECT migrate.add('4', 'daily', $$CREATE MATERIALIZED VIEW daily WITH (timescaledb.continuous) AS
		SELECT time_bucket('1 day', at) AS day, avg(v) FROM m GROUP BY 1$$, 'DROP MATERIALIZED VIEW daily');
	SELECT migrate.add('5', 'empty', $$CREATE MATERIALIZED VIEW empty WITH (timescaledb.continuous) AS
		SELECT time_bucket('1 day', at) AS day, avg(v) FROM m GROUP BY 1 WITH NO DATA$$, 'DROP MATERIALIZED VIEW empty')});
query('CALL migrate.run()');
is(query('SELECT count(*) FROM daily') . query('SELECT count(*) FROM empty'), '80', 'continuous aggregates, WITH DATA and WITH NO DATA');

query(q{SELECT migrate.add('6', 'refresh', $$CALL refresh_continuous_aggregate('empty', NULL, NULL)$$)});
like(said('CALL migrate.run()'), qr/ERROR:  25001.*online => true/s, 'a refresh that is not marked');
query(q{SELECT migrate.add('6', 'refresh', $$CALL refresh_continuous_aggregate('empty', NULL, NULL);
	SELECT reorder_chunk((SELECT c FROM show_chunks('m') c LIMIT 1), 'm_dev')$$, online => true)});
query('CALL migrate.run()');
is(query('SELECT count(*) FROM empty'), '8', 'refresh_continuous_aggregate() and reorder_chunk() in a script that is marked');

$node->stop;
done_testing();
