-- The caller's transaction decides.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
SELECT migrate.add('1', 'one', 'CREATE TABLE tx_one (a int)', 'DROP TABLE tx_one');
SELECT migrate.add('2', 'two', 'CREATE TABLE tx_two (a int)', 'DROP TABLE tx_two');
CREATE VIEW tx_facts AS
    SELECT (SELECT count(*) FROM migrate.applied) AS applied,
           (SELECT count(*) FROM migrate.history) AS history,
           to_regclass('tx_one') IS NOT NULL AS one, to_regclass('tx_two') IS NOT NULL AS two,
           (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND objsubid <> 0) AS locks;

-- rolled back
BEGIN;
SELECT count(*) FROM migrate.apply();
TABLE tx_facts;
ROLLBACK;
TABLE tx_facts;

-- in a savepoint that is rolled back; the lock goes with it, and again works
BEGIN;
SAVEPOINT s;
SELECT count(*) FROM migrate.apply();
ROLLBACK TO s;
TABLE tx_facts;
SELECT count(*) FROM migrate.apply(1);
COMMIT;
TABLE tx_facts;
SELECT count(*) FROM migrate.rollback();

-- in an exception block: what is caught is gone
DO $$
BEGIN
    BEGIN
        PERFORM migrate.apply();
        RAISE EXCEPTION 'no';
    EXCEPTION WHEN raise_exception THEN
        RAISE NOTICE 'caught, % applied', (SELECT count(*) FROM migrate.applied);
    END;
    PERFORM migrate.apply(1);
END $$;
TABLE tx_facts;

-- an error in a migration, caught: as if it had never been; the session is as before
SELECT migrate.add('3', 'fails', 'CREATE TABLE tx_three (a int); SET LOCAL work_mem = ''77MB''; SELECT 1/0');
DO $$
DECLARE
    context text;
BEGIN
    PERFORM migrate.apply();
EXCEPTION WHEN division_by_zero THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE NOTICE '%', context;
    RAISE NOTICE 'work_mem % and %', current_setting('work_mem'), (SELECT applied FROM tx_facts);
    -- and nothing thinks that a migration is still running
    PERFORM migrate.remove('3');
    PERFORM migrate.apply();
END $$;
TABLE tx_facts;

-- several calls in one transaction, in statements of their own
BEGIN;
SELECT version, action FROM migrate.rollback(2);
SELECT version, action FROM migrate.apply();
SELECT version, action FROM migrate.redo(2);
COMMIT;
DO $$ BEGIN
    PERFORM migrate.rollback(2);
    PERFORM migrate.apply();
    PERFORM migrate.redo();
END $$;
SELECT version, action FROM migrate.rollback(2) \; SELECT version, action FROM migrate.apply();

-- a second time in the same SQL statement
SELECT migrate.rollback() FROM generate_series(1, 2);
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.redo(), migrate.redo();
SELECT (SELECT count(*) FROM migrate.redo()) + (SELECT count(*) FROM migrate.rollback());
SELECT x, r.version FROM generate_series(1, 2) x, LATERAL migrate.rollback(x) r;
CREATE FUNCTION pg_temp.inner_call() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM migrate.redo()';
SELECT pg_temp.inner_call(), pg_temp.inner_call();
TABLE tx_facts;

-- isolation levels with a snapshot of their own, read-only
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT * FROM migrate.apply();
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT * FROM migrate.rollback();
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT migrate.mark_pending('1', 'x');
ROLLBACK;
BEGIN READ ONLY;
SELECT * FROM migrate.redo();
ROLLBACK;
\echo :LAST_ERROR_SQLSTATE
-- looking is possible in all of them
BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;
SELECT version, state FROM migrate.status();
SELECT * FROM migrate.pending();
SELECT migrate.version();
SELECT migrate.require();
SELECT migrate.status_json()->>'message';
ROLLBACK;

-- within a migration: no run, no registration
CREATE FUNCTION pg_temp.try(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    PERFORM migrate.add('4', 'tried', script);
    BEGIN
        PERFORM migrate.apply();
        said := 'it ran';
    EXCEPTION WHEN OTHERS THEN
        said := SQLSTATE || ' ' || SQLERRM;
    END;
    IF said <> 'it ran' THEN
        PERFORM migrate.remove('4');
    END IF;
    RETURN said;
END $$;
SELECT pg_temp.try(c), c FROM unnest(ARRAY[
    'SELECT * FROM migrate.apply()', 'SELECT * FROM migrate.apply_to(''4'')', 'SELECT * FROM migrate.rollback()',
    'SELECT * FROM migrate.rollback_to(''1'')', 'SELECT * FROM migrate.redo()', 'SELECT migrate.apply_json()',
    'SELECT migrate.rollback_json(errors_as_data => true)',
    'SELECT migrate.add(''9'', ''x'', ''SELECT 1'')', 'SELECT migrate.create(''x'', ''SELECT 1'')',
    'SELECT migrate.approve(''1'')', 'SELECT migrate.amend(''1'', NULL, NULL, ''x'')', 'SELECT migrate.remove(''4'')',
    'SELECT migrate.mark_applied(''4'', ''x'')', 'SELECT migrate.mark_pending(''1'', ''x'')', 'SELECT migrate.baseline(''9'')',
    'DO $x$ BEGIN PERFORM migrate.apply(); END $x$', 'DROP EXTENSION dbmigrate', 'DROP SCHEMA migrate CASCADE',
    'DROP TABLE migrate.history CASCADE',
    'ALTER TABLE migrate.applied RENAME TO tx_applied', 'ALTER SCHEMA migrate RENAME TO tx_migrate',
    'SELECT count(*) FROM migrate.status()']) c;
SELECT version, state FROM migrate.status();

-- a table the calling query is using
CREATE TABLE tx_used AS SELECT 1 AS a;
SELECT migrate.add('5', 'alters', 'ALTER TABLE tx_used ADD b int');
SELECT a, (SELECT count(*) FROM migrate.apply()) FROM tx_used;
\echo :LAST_ERROR_SQLSTATE
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM tx_used;
FETCH c;
SELECT count(*) FROM migrate.apply();
ROLLBACK;
SELECT count(*) FROM migrate.apply();

DROP VIEW tx_facts;
DROP EXTENSION dbmigrate;
DROP TABLE tx_one, tx_two, tx_used;
