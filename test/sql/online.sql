-- Which statements are online, and that the functions refuse them early.
CREATE EXTENSION dbmigrate;
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
    'DROP INDEX CONCURRENTLY i', 'DROP INDEX i', 'REINDEX INDEX CONCURRENTLY i', 'REINDEX (CONCURRENTLY, VERBOSE) TABLE t',
    'REINDEX (CONCURRENTLY off) TABLE t', 'REINDEX TABLE t', 'REINDEX SCHEMA s', 'REINDEX DATABASE d', 'REINDEX SYSTEM d',
    'SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE', 'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    'VACUUM', 'VACUUM (ANALYZE) t', 'ANALYZE t', 'CLUSTER', 'CLUSTER t USING i',
    'ALTER TABLE t DETACH PARTITION p CONCURRENTLY', 'ALTER TABLE t DETACH PARTITION p FINALIZE', 'ALTER TABLE t DETACH PARTITION p',
    'CREATE DATABASE d', 'DROP DATABASE d', 'ALTER DATABASE d SET TABLESPACE s', 'ALTER DATABASE d SET work_mem = 1', 'ALTER DATABASE d CONNECTION LIMIT 3',
    'CREATE TABLESPACE s LOCATION ''/x''', 'DROP TABLESPACE s', 'ALTER SYSTEM SET work_mem = 1', 'DISCARD ALL', 'DISCARD TEMP',
    'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p', 'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p WITH (connect = false)',
    'CREATE SUBSCRIPTION s CONNECTION ''x'' PUBLICATION p WITH (create_slot = false)',
    'ALTER SUBSCRIPTION s REFRESH PUBLICATION', 'ALTER SUBSCRIPTION s SET PUBLICATION p', 'ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)', 'ALTER SUBSCRIPTION s DISABLE',
    'COMMIT PREPARED ''x''', 'ROLLBACK PREPARED ''x''',
    'SELECT 1; -- VACUUM', 'SELECT ''VACUUM''; DO $$ BEGIN EXECUTE ''VACUUM''; END $$', 'SELECT 1; VACUUM; SELECT 2']) s;
-- from the words, where this server cannot parse
SET client_min_messages = error;
SELECT pg_temp.online(s) AS online, s FROM unnest(ARRAY[
    'CREATE INDEX CONCURRENTLY i ON t WITH GADGET', 'CREATE INDEX i ON t WITH GADGET', 'VACUUM GADGET a b', 'ALTER TABLE t DETACH PARTITION p CONCURRENTLY GADGET',
    'REINDEX GADGET CONCURRENTLY x y', 'CREATE GADGET concurrently', 'SELECT 1; VACUUM GADGET a b']) s;
RESET client_min_messages;

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
-- what only the server can know gets its error and the hint
SELECT migrate.add('3', 'vacuum', 'VACUUM online_t', online => false);
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('3', 'partitioned', 'REINDEX TABLE online_p');
CREATE TABLE online_p (a int PRIMARY KEY) PARTITION BY RANGE (a);
SELECT * FROM migrate.apply();
-- a new enum value
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
