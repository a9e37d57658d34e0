-- What one can know.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT * FROM migrate.status();
SELECT * FROM migrate.pending();
SELECT migrate.version();
SELECT migrate.require();
SELECT migrate.status_json();
SELECT migrate.apply_json();
SELECT migrate.require('1');

SELECT migrate.add('1', 'one', 'CREATE TABLE know_one (a int)', 'DROP TABLE know_one');
SELECT migrate.add('2', 'two', 'CREATE TABLE know_two (a int)');
SELECT migrate.add('10', 'ten', 'SELECT 1');
SELECT migrate.status_json();
SELECT count(*) FROM migrate.apply(1);
SELECT version, name, state, applied_at IS NOT NULL AS at, applied_by = current_user AS by, duration IS NOT NULL AS timed, can_rollback FROM migrate.status();
SELECT * FROM migrate.pending();
SELECT migrate.version();
SELECT migrate.status_json();
SELECT migrate.require('1');
SELECT migrate.require('001');
SELECT migrate.require('2');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.require('3');
SELECT migrate.require();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.require('x');

SELECT jsonb_set(j, '{results}', (SELECT jsonb_agg(r - 'timestamp') FROM jsonb_array_elements(j->'results') r)),
       (j->'results'->0->>'timestamp')::timestamptz > now() - interval '1 minute' AS stamped
  FROM migrate.apply_json() j;
SELECT migrate.apply_json();
SELECT migrate.status_json();
SELECT migrate.require();
SELECT version, name, applied_at IS NOT NULL AS at, applied_by = current_user AS by, target_schema FROM migrate.schema_migrations ORDER BY position;

-- an error is an error in JSON, too
SELECT migrate.add('11', 'fails', 'SELECT 1/0');
SELECT migrate.apply_json();
SELECT migrate.remove('11');

-- text unknown: applied, and the registration is gone
DELETE FROM migrate.migration WHERE version = '2';
SELECT version, name, state, can_rollback FROM migrate.status();
SELECT * FROM migrate.rollback(2);
SELECT migrate.add('2', 'two', 'CREATE TABLE know_two (a text)', 'DROP TABLE know_two');
SELECT migrate.add('2', 'two', 'CREATE TABLE know_two (a int)', 'DROP TABLE know_two');
SELECT version, name, state, can_rollback FROM migrate.status();
SELECT migrate.add('002', 'two', 'CREATE TABLE know_two (b int)', 'DROP TABLE know_two');
SELECT migrate.add('10', 'ten', 'SELECT 1', '');
SELECT version, action FROM migrate.rollback(2);

-- a target schema that does not exist is an error
SELECT * FROM migrate.status('typo');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.pending('typo');
SELECT migrate.version('typo');
SELECT migrate.status_json('typo');
SELECT migrate.require(schema => 'typo');
SELECT migrate.require('1', 'typo');
SELECT * FROM migrate.status('pg_catalog');
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM migrate.status(NULL);

-- hints name the schema that was asked about
CREATE SCHEMA "know it's";
SELECT migrate.require(schema => 'know it''s');
SELECT migrate.require('2', 'know it''s');
SELECT migrate.require('99', 'know it''s');
SELECT * FROM migrate.rollback_to('10', 'know it''s');
SELECT version FROM migrate.apply_to('2', 'know it''s');
SELECT migrate.add('0.1', 'early', 'SELECT 1');
SELECT migrate.require('0.1', 'know it''s');
SELECT migrate.require(NULL, 'know it''s');
SELECT migrate.baseline('2', 'know it''s');
SELECT migrate.mark_pending('10', 'x', 'know it''s');
SELECT migrate.remove('0.1');
SET dbmigrate.progress = on;
SELECT * FROM migrate.apply_to('1', 'know it''s');
SET dbmigrate.progress = off;
SELECT version, action FROM migrate.rollback_to('1', schema => 'know it''s');
DROP SCHEMA "know it's" CASCADE;

DROP TABLE know_one;
DROP EXTENSION dbmigrate;

-- a function of the library where the extension is not
CREATE FUNCTION know_require(text, text) RETURNS void LANGUAGE C AS '$libdir/dbmigrate', 'dbmigrate_require';
SELECT know_require(NULL, '');
\echo :LAST_ERROR_SQLSTATE
DROP FUNCTION know_require(text, text);
