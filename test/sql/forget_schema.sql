-- A target schema that has lost what its migrations made, and how to start anew.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE FUNCTION pg_temp.noted() RETURNS TABLE (schema text, held_objects boolean, is_last_run boolean) LANGUAGE sql AS $$
    SELECT t.schema, t.held_objects, t.run = (SELECT max(h.run) FROM migrate.history h WHERE h.target_schema = t.schema) AND t.at <= clock_timestamp()
      FROM migrate.target_schema t ORDER BY 1 $$;
CREATE SCHEMA t2;
SELECT migrate.add('10', 'x', 'CREATE TABLE tt (i int)', 'DROP TABLE tt');
SELECT version FROM migrate.apply(schema => 't2');
SELECT * FROM pg_temp.noted();

-- gone: what is recorded can be seen, and nothing can be run
DROP SCHEMA t2 CASCADE;
SELECT version, state FROM migrate.status('t2');
SELECT version, state FROM migrate.pending('t2');
SELECT migrate.version('t2');
SELECT migrate.status_json('t2')->>'message';
SELECT migrate.require(schema => 't2');
SELECT * FROM migrate.apply(schema => 't2');
SELECT migrate.remove('10');

-- made again: nothing counts on what is not there
CREATE SCHEMA t2;
SELECT * FROM migrate.apply(schema => 't2');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.apply_to('10', schema => 't2');
SELECT * FROM migrate.rollback(schema => 't2');
SELECT * FROM migrate.rollback_to('0', schema => 't2');
SELECT * FROM migrate.redo(schema => 't2');
SELECT migrate.apply_json(schema => 't2');
-- also with more to do
SELECT migrate.add('11', 'y', 'CREATE TABLE uu (i int)', 'DROP TABLE uu');
SELECT * FROM migrate.apply(schema => 't2');
-- whoever only looks is warned
SELECT migrate.require('10', schema => 't2');
SELECT version, state FROM migrate.status('t2');
SELECT version, state FROM migrate.pending('t2');
SELECT migrate.version('t2');
SELECT migrate.status_json('t2')->'status'->>'isUpToDate';
BEGIN READ ONLY;
SELECT version, state FROM migrate.status('t2');
SELECT migrate.require('10', 't2');
COMMIT;
-- others are not concerned
SELECT version FROM migrate.apply();

-- what can be forgotten, and by whom
SELECT migrate.forget_schema('', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.forget_schema(NULL, 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.forget_schema('t2', NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.forget_schema('t2', ' ');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.forget_schema('typo', 'x');
\echo :LAST_ERROR_SQLSTATE
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT migrate.forget_schema('t2', 'x');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
BEGIN READ ONLY;
SELECT migrate.forget_schema('t2', 'x');
\echo :LAST_ERROR_SQLSTATE
ROLLBACK;
SELECT migrate.add('12', 'forgets', $$SELECT migrate.forget_schema('t2', 'x')$$);
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.remove('12');
CREATE ROLE regress_dbmigrate_forget;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_forget;
SET ROLE regress_dbmigrate_forget;
SELECT migrate.forget_schema('t2', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.check_target('t2', '');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- then all is run there again
SELECT migrate.forget_schema('t2', 'tenant was set up anew');
SELECT action, migration, version, name, checksum IS NOT NULL AS checksum, run > 0 AS run, username = current_user AS me, reason
  FROM migrate.history WHERE target_schema = 't2' ORDER BY id;
SELECT * FROM pg_temp.noted();
SELECT version, state FROM migrate.status('t2');
SELECT version FROM migrate.apply(schema => 't2');
SELECT * FROM pg_temp.noted();

-- the newest first; also where the schema is gone, and where a run left nothing
DROP SCHEMA t2 CASCADE;
SELECT migrate.forget_schema('t2', 'tenant has left');
SELECT action, migration FROM migrate.history WHERE target_schema = 't2' ORDER BY id DESC LIMIT 2;
SELECT migrate.forget_schema('t2', 'again');
SELECT * FROM migrate.status('t2');
CREATE SCHEMA t2;
SELECT count(*) FROM migrate.apply(schema => 't2');
SELECT count(*) FROM migrate.rollback_to('0', schema => 't2');
SELECT * FROM pg_temp.noted();
SELECT migrate.forget_schema('t2', 'nothing is applied');

-- emptied by hand, a table at a time, is the same
SELECT count(*) FROM migrate.apply(schema => 't2');
DROP TABLE t2.tt;
SELECT version FROM migrate.apply(schema => 't2');
DROP TABLE t2.uu;
SELECT version FROM migrate.apply(schema => 't2');
-- once all that was applied is marked as pending there is nothing to lose
SELECT migrate.mark_pending('10', 'emptied', schema => 't2');
SELECT version FROM migrate.apply(schema => 't2');
SELECT migrate.mark_pending('11', 'emptied', schema => 't2');
SELECT migrate.baseline('10', schema => 't2');
SELECT version FROM migrate.apply(schema => 't2');

-- each kind of object is one, what only refers to the schema is none
CREATE FUNCTION pg_temp.stops(script text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    CREATE SCHEMA kinds;
    PERFORM migrate.add('99', 'kind', script);
    PERFORM migrate.baseline('98', schema => 'kinds');
    PERFORM FROM migrate.apply(schema => 'kinds');
    DROP SCHEMA kinds CASCADE;
    CREATE SCHEMA kinds;
    PERFORM FROM migrate.apply(schema => 'kinds');
    DROP SCHEMA kinds;
    PERFORM migrate.forget_schema('kinds', 'a test'), migrate.remove('99');
    RETURN false;
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    RETURN true;
END $$;
SET client_min_messages = warning;
SELECT s AS script, pg_temp.stops(s)
  FROM unnest(ARRAY[
    'CREATE TABLE a ()', 'CREATE VIEW a AS SELECT 1 AS a', 'CREATE SEQUENCE a', 'CREATE TYPE a AS (i int)', 'CREATE DOMAIN a AS int',
    'CREATE FUNCTION a() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'CREATE OPERATOR + (FUNCTION = numeric_add, LEFTARG = numeric, RIGHTARG = numeric)',
    'CREATE COLLATION a FROM "C"', 'CREATE TEXT SEARCH CONFIGURATION a (COPY = pg_catalog.simple)',
    'ALTER DEFAULT PRIVILEGES IN SCHEMA kinds GRANT SELECT ON TABLES TO regress_dbmigrate_forget',
    'GRANT USAGE ON SCHEMA kinds TO regress_dbmigrate_forget', 'COMMENT ON SCHEMA kinds IS ''a''',
    'CREATE TEMP TABLE a ()', 'CREATE TABLE a (); DROP TABLE a', 'SELECT 1']) s;
RESET client_min_messages;

-- a schema that never held an object never stops anything
CREATE SCHEMA t3;
CREATE TABLE public.forget_shared (a text);
SELECT migrate.baseline('11', schema => 't3');
SELECT migrate.require(schema => 't3');
SELECT migrate.add('20', 'rows', 'INSERT INTO public.forget_shared VALUES (''from t3'')', 'DELETE FROM public.forget_shared');
SELECT migrate.add('21', 'grant', 'GRANT USAGE ON SCHEMA t3 TO regress_dbmigrate_forget', 'REVOKE USAGE ON SCHEMA t3 FROM regress_dbmigrate_forget');
SELECT version FROM migrate.apply(schema => 't3');
SELECT * FROM pg_temp.noted() WHERE schema = 't3';
SELECT version FROM migrate.apply(schema => 't3');
SELECT migrate.require(schema => 't3');
SELECT version, action FROM migrate.redo(2, schema => 't3');
-- nor one that the migrations themselves have emptied
SELECT migrate.add('22', 'table', 'CREATE TABLE v ()', 'DROP TABLE v');
SELECT migrate.add('23', 'without', 'DROP TABLE v', 'CREATE TABLE v ()');
SELECT version FROM migrate.apply(1, schema => 't3');
SELECT * FROM pg_temp.noted() WHERE schema = 't3';
SELECT version FROM migrate.apply(schema => 't3');
SELECT * FROM pg_temp.noted() WHERE schema = 't3';
SELECT version, action FROM migrate.rollback(2, schema => 't3');
SELECT migrate.require('21', schema => 't3');
SELECT version, action FROM migrate.rollback(1, schema => 't3');

-- a run that fails, or that is undone, notes nothing; nor does one without a target schema
BEGIN;
SELECT count(*) FROM migrate.apply(schema => 't3');
ROLLBACK;
SELECT * FROM pg_temp.noted() WHERE schema = 't3';
SELECT version FROM migrate.rollback();
SELECT version FROM migrate.apply_to('11');
SELECT count(*) FROM migrate.target_schema WHERE schema = '';
-- a script may drop the schema it is for
SELECT migrate.add('24', 'drop', 'CREATE TABLE w (); DROP SCHEMA t3 CASCADE');
SELECT count(*) FROM migrate.apply(schema => 't3');
SELECT * FROM pg_temp.noted() WHERE schema = 't3';

-- renamed: the state stays with the old name, and is given to the new one like this
CREATE SCHEMA before;
SELECT migrate.forget_schema('t3', 'gone');
SELECT migrate.remove('24');
SELECT migrate.forget_schema('t2', 'not needed any more');
CREATE SCHEMA t3;
SELECT count(*) FROM migrate.apply(schema => 'before');
ALTER SCHEMA before RENAME TO "After";
SELECT migrate.forget_schema('before', 'renamed to After');
SELECT migrate.baseline('23', schema => 'After');
SELECT version FROM migrate.apply(schema => 'After');
SELECT version, action FROM migrate.rollback(1, schema => 'After');

DROP EXTENSION dbmigrate;
DROP SCHEMA t2, t3, "After" CASCADE;
DROP TABLE public.forget_shared, public.tt, public.uu;
DROP ROLE regress_dbmigrate_forget;
