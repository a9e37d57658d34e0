-- Which statements are online, and that the functions refuse them early.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE FUNCTION pg_temp.online(script text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    o boolean;
BEGIN
    PERFORM migrate.add('1', 'x', script);
    SELECT up_online INTO o FROM migrate.migration;
    PERFORM migrate.remove('1');
    RETURN o;
END $$;
SELECT pg_temp.online(s) AS online, s FROM unnest(ARRAY[
    'CREATE INDEX CONCURRENTLY i ON t (a)', 'create unique index concurrently if not exists i on t (a)', 'CREATE INDEX i ON t (a)',
    'CREATE INDEX i ON t (a) WITH (timescaledb.transaction_per_chunk)', 'CREATE INDEX i ON t (a) WITH (timescaledb.transaction_per_chunk = false, fillfactor = 50)',
    'CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous) AS SELECT 1', 'CREATE MATERIALIZED VIEW v WITH (timescaledb.continuous, timescaledb.materialized_only) AS SELECT 1 WITH NO DATA', 'CREATE MATERIALIZED VIEW v AS SELECT 1',
    'DROP INDEX CONCURRENTLY i', 'DROP INDEX i', 'REINDEX INDEX CONCURRENTLY i', 'REINDEX (CONCURRENTLY, VERBOSE) TABLE t',
    'REINDEX (CONCURRENTLY off) TABLE t', 'REINDEX (CONCURRENTLY, CONCURRENTLY off) TABLE t', 'REINDEX TABLE t', 'REINDEX SCHEMA s', 'REINDEX DATABASE d', 'REINDEX SYSTEM d',
    'SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE', 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    'SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED', 'SET TRANSACTION SNAPSHOT ''00000003-0000001B-1''', 'SET TRANSACTION NOT DEFERRABLE',
    'SET TRANSACTION READ WRITE', 'SET transaction_isolation = ''repeatable read''', 'SET TRANSACTION_DEFERRABLE = on', 'SET transaction_read_only = off',
    'SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'RESET work_mem', 'SET work_mem = 100',
    'VACUUM', 'VACUUM (ANALYZE) t', 'ANALYZE t', 'CLUSTER', 'CLUSTER VERBOSE', 'CLUSTER t USING i',
    'ALTER TABLE t DETACH PARTITION p CONCURRENTLY', 'ALTER TABLE t DETACH PARTITION p FINALIZE', 'ALTER TABLE t DETACH PARTITION p',
    'CREATE DATABASE d', 'DROP DATABASE d', 'ALTER DATABASE d SET TABLESPACE s', 'ALTER DATABASE d SET work_mem = 1', 'ALTER DATABASE d CONNECTION LIMIT 3',
    'CREATE TABLESPACE s LOCATION ''/x''', 'DROP TABLESPACE s', 'ALTER SYSTEM SET work_mem = 1', 'DISCARD ALL', 'DISCARD TEMP',
    'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p', 'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p WITH (connect = false)',
    'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p WITH (create_slot = false)',
    'ALTER SUBSCRIPTION s REFRESH PUBLICATION', 'ALTER SUBSCRIPTION s SET PUBLICATION p', 'ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)', 'ALTER SUBSCRIPTION s DISABLE',
    'ALTER SUBSCRIPTION s ADD PUBLICATION p', 'ALTER SUBSCRIPTION s DROP PUBLICATION p WITH (copy_data = false)', 'ALTER SUBSCRIPTION s ADD PUBLICATION p WITH (refresh = off)',
    'ALTER SUBSCRIPTION s SET (failover)', 'ALTER SUBSCRIPTION s SET (failover = false, binary)', 'ALTER SUBSCRIPTION s SET (two_phase = false)',
    'ALTER SUBSCRIPTION s SET (two_phase)', 'ALTER SUBSCRIPTION s SET (binary)',
    'COMMIT PREPARED ''x''', 'ROLLBACK PREPARED ''x''',
    'SELECT 1; -- VACUUM', 'SELECT ''VACUUM''; DO $$ BEGIN EXECUTE ''VACUUM''; END $$', 'SELECT 1; VACUUM; SELECT 2']) s;
-- blocks that end transactions themselves, and what only looks like it
SELECT pg_temp.online(s) AS online, s FROM unnest(ARRAY[
    'DO $$ BEGIN COMMIT; END $$', 'DO LANGUAGE plpgsql $$ BEGIN PERFORM 1; rollback; END $$', 'DO $$ BEGIN LOOP COMMIT; EXIT; END LOOP; END $$',
    'DO $$ BEGIN IF true THEN NULL; ELSE ROLLBACK; END IF; END $$', 'DO $$ << b >> BEGIN /* now */ COMMIT AND CHAIN; END $$', 'DO ''BEGIN IF false THEN COMMIT; END IF; END''',
    'DO $$ BEGIN PERFORM 1; END $$', 'DO $$ DECLARE i int; commit bool; BEGIN commit := true; PERFORM commit; END $$', E'DO $$ BEGIN -- COMMIT;\n END $$',
    'DO $$ BEGIN EXECUTE ''COMMIT;''; END $$', 'DO $$ BEGIN SELECT t.commit; END $$', 'DO LANGUAGE plpython3u $$ plpy.commit() $$',
    'DO LANGUAGE plperl $$ BEGIN; COMMIT; $$', 'DO $$ '' BEGIN COMMIT; $$', 'CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$', 'CALL p()']) s;
-- from the words, where this server cannot parse; what newer ones can is known to all
SET client_min_messages = error;
SELECT pg_temp.online(s) AS online, s FROM unnest(ARRAY[
    'CLUSTER (VERBOSE)', 'REPACK', 'repack ;', 'REPACK (VERBOSE)', 'REPACK USING INDEX', 'REPACK (VERBOSE) USING INDEX', 'REPACK (VERBOSE, CONCURRENTLY) t', 'REPACK (CONCURRENTLY) t USING INDEX i', 'REPACK (ANALYZE) t', 'REPACK (analyse) t (a)',
    'REPACK t', 'REPACK (VERBOSE) t', 'REPACK t USING INDEX', 'REPACK t USING INDEX i', 'SELECT 1; REPACK; SELECT 2',
    'ALTER SUBSCRIPTION s REFRESH SEQUENCES', 'WAIT FOR LSN ''0/1''']) s;
SELECT pg_temp.online(s) AS online, s FROM unnest(ARRAY[
    'CREATE INDEX CONCURRENTLY i ON t WITH GADGET', 'CREATE INDEX i ON t WITH GADGET', 'VACUUM GADGET a b', 'ALTER TABLE t DETACH PARTITION p CONCURRENTLY GADGET',
    'REINDEX GADGET CONCURRENTLY x y', 'CREATE GADGET concurrently', 'SELECT 1; VACUUM GADGET a b',
    'CREATE INDEX ON t (notconcurrently) BOGUS', 'CREATE INDEX ON t (concurrentlynot) BOGUS', 'CREATE INDEX ON t ("concurrently") BOGUS', 'CREATE INDEX ON t (éconcurrently) BOGUS',
    'CREATE INDEX/**/CONCURRENTLY ON t BOGUS', 'ALTER SUBSCRIPTION s GADGET (failover)', 'ALTER SUBSCRIPTION s GADGET', 'ALTER SUBSCRIPTION s REFRESH PUBLICATION GADGET', 'ALTER DATABASE d GADGET TABLESPACE t', 'REPACKS',
    'REPACK (GADGET', 'REPACK gadget gadget', 'CLUSTER GADGET a b c']) s;
RESET client_min_messages;

-- the server's word on the same: where do the two differ, if it understands at all?
CREATE FUNCTION pg_temp.refused(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RAISE EXCEPTION SQLSTATE 'X0000';
EXCEPTION
    WHEN active_sql_transaction THEN RETURN true;
    WHEN SQLSTATE 'X0000' THEN RETURN false;
    WHEN OTHERS THEN RETURN NULL;
END $$;
BEGIN;
SET client_min_messages = error;
CREATE TABLE online_t (a int CONSTRAINT online_i PRIMARY KEY);
CREATE TABLE online_p (a int CONSTRAINT online_pi PRIMARY KEY) PARTITION BY RANGE (a);
CREATE TABLE online_q PARTITION OF online_p FOR VALUES FROM (0) TO (9);
CREATE SUBSCRIPTION online_s CONNECTION 'dbname=nowhere' PUBLICATION p, q WITH (connect = false);
CREATE TEMP TABLE online_words (refused boolean, online boolean, s text) ON COMMIT DROP;
INSERT INTO online_words (s) SELECT unnest(ARRAY[
    'CREATE INDEX CONCURRENTLY ON online_t (a)', 'CREATE INDEX ON online_t (a)', 'DROP INDEX CONCURRENTLY online_i',
    'REINDEX INDEX CONCURRENTLY online_i', 'REINDEX (CONCURRENTLY) TABLE online_t', 'REINDEX TABLE online_t', 'REINDEX TABLE online_p', 'REINDEX SCHEMA public',
    'REINDEX SYSTEM ' || quote_ident(current_database()), 'REINDEX DATABASE ' || quote_ident(current_database()),
    'VACUUM', 'VACUUM (FULL) online_t', 'ANALYZE online_t', 'CLUSTER', 'CLUSTER (VERBOSE)', 'CLUSTER online_t USING online_i', 'CLUSTER online_p USING online_pi',
    'REPACK', 'REPACK (VERBOSE)', 'REPACK USING INDEX', 'REPACK (CONCURRENTLY) online_t', 'REPACK (CONCURRENTLY off) online_t',
    'REPACK online_t', 'REPACK (ANALYZE) online_t', 'REPACK (ANALYZE off) online_t', 'REPACK online_t USING INDEX online_i',
    'ALTER TABLE online_p DETACH PARTITION online_q CONCURRENTLY', 'ALTER TABLE online_p DETACH PARTITION online_q',
    'CREATE DATABASE online_d', 'DROP DATABASE online_d', 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET TABLESPACE pg_default',
    'CREATE TABLESPACE online_s LOCATION ''/x''', 'DROP TABLESPACE online_s', 'ALTER SYSTEM SET work_mem = 100', 'DISCARD ALL', 'DISCARD PLANS',
    'CREATE SUBSCRIPTION online_r CONNECTION ''dbname=nowhere'' PUBLICATION p', 'CREATE SUBSCRIPTION online_r CONNECTION ''dbname=nowhere'' PUBLICATION p WITH (connect = false)',
    'ALTER SUBSCRIPTION online_s SET (failover)', 'ALTER SUBSCRIPTION online_s SET (failover = false)', 'ALTER SUBSCRIPTION online_s SET (two_phase = false)',
    'ALTER SUBSCRIPTION online_s SET (two_phase = true)', 'ALTER SUBSCRIPTION online_s SET (binary)', 'ALTER SUBSCRIPTION online_s ENABLE', 'DROP SUBSCRIPTION online_s',
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE', 'SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED', 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED', 'SET TRANSACTION DEFERRABLE',
    'SET TRANSACTION READ WRITE', 'SET TRANSACTION SNAPSHOT ''00000003-0000001B-1''', 'SET transaction_isolation = ''repeatable read''', 'SET transaction_deferrable = on']);
UPDATE online_words SET refused = pg_temp.refused(s), online = pg_temp.online(s);
ALTER SUBSCRIPTION online_s ENABLE;
INSERT INTO online_words SELECT pg_temp.refused(s), pg_temp.online(s), s FROM unnest(ARRAY[
    'ALTER SUBSCRIPTION online_s REFRESH PUBLICATION', 'ALTER SUBSCRIPTION online_s SET PUBLICATION p',
    'ALTER SUBSCRIPTION online_s ADD PUBLICATION r', 'ALTER SUBSCRIPTION online_s DROP PUBLICATION q', 'ALTER SUBSCRIPTION online_s SET PUBLICATION p WITH (refresh = false)']) s;
SELECT * FROM online_words WHERE refused != online;
SELECT s FROM online_words WHERE refused IS NULL AND s !~ 'REPACK|CLUSTER \(|failover|two_phase';
ROLLBACK;

-- refused before anything runs, all named
CREATE TABLE online_t (a int);
SELECT migrate.add('1', 'plain', 'CREATE TABLE online_u (a int)');
SELECT migrate.add('2', 'index', 'CREATE INDEX CONCURRENTLY online_i ON online_t (a)', 'DROP INDEX CONCURRENTLY online_i');
SELECT migrate.add('3', 'vacuum', 'VACUUM online_t');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT to_regclass('online_u');
SELECT version FROM migrate.apply(1);
-- done by hand and recorded; the down script is online, too
CREATE INDEX CONCURRENTLY online_i ON online_t (a);
SELECT migrate.mark_applied('2', 'by hand');
SELECT * FROM migrate.rollback();
-- what only the server can know gets its error and the hint (in a block, where all versions word it alike)
SELECT migrate.add('3', 'vacuum', 'VACUUM online_t', online => false);
BEGIN;
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT FROM migrate.remove('3');
SELECT migrate.add('3', 'partitioned', 'REINDEX TABLE online_p');
CREATE TABLE online_p (a int PRIMARY KEY) PARTITION BY RANGE (a);
BEGIN;
SELECT * FROM migrate.apply();
ROLLBACK;
-- a new enum value
SELECT FROM migrate.remove('3');
SELECT migrate.add('3', 'enum', 'CREATE TYPE online_e AS ENUM (''a'')');
SELECT version FROM migrate.apply();
SELECT migrate.add('4', 'value', 'ALTER TYPE online_e ADD VALUE ''b''');
SELECT migrate.add('5', 'use', 'CREATE TABLE online_v AS SELECT ''b''::online_e AS e');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT version FROM migrate.apply(1);
SELECT version FROM migrate.apply(1);

DROP EXTENSION dbmigrate;
DROP TABLE online_t, online_u, online_p, online_v;
DROP TYPE online_e;
