-- apply_json() and rollback_json(): what was done, or how it failed, as one JSON document
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
CREATE FUNCTION shown(answer jsonb) RETURNS jsonb LANGUAGE sql AS
$$ SELECT CASE WHEN answer ? 'results' THEN jsonb_set(answer, '{results}',
       (SELECT coalesce(jsonb_agg(r - 'timestamp' ORDER BY n), '[]') FROM jsonb_array_elements(answer->'results') WITH ORDINALITY AS e(r, n)))
   ELSE answer END $$;
SELECT migrate.add('1', 'a', 'CREATE TABLE json_a (x int)', 'DROP TABLE json_a'),
       migrate.add('2', 'b "quoted" \', 'CREATE TABLE json_b ()', 'DROP TABLE json_b'),
       migrate.add('3', 'c', 'CREATE TABLE json_c ()', 'DROP TABLE json_c'),
       migrate.add('4', 'd', 'CREATE TABLE json_d ()', 'DROP TABLE json_d'),
       migrate.add(NULL, 'view', 'CREATE OR REPLACE VIEW json_v AS SELECT 1');
-- a count, a version, all
SELECT shown(migrate.apply_json(1));
SELECT shown(migrate.apply_json(to_version => '3'));
SELECT migrate.status_json();
SELECT shown(migrate.apply_json());
SELECT shown(migrate.apply_json());
-- lastMigration is migrate.version(), a repeatable migration has none
SELECT migrate.status_json() #>> '{status,lastMigration}' AS last, migrate.version();
SELECT shown(migrate.rollback_json());
SELECT shown(migrate.rollback_json(2));
SELECT shown(migrate.rollback_json(to_version => '0'));
SELECT shown(migrate.rollback_json(to_version => '0'));
SELECT migrate.status_json()->'status'->'lastMigration' AS last, migrate.version() IS NULL AS none;
SELECT (r->>'timestamp')::timestamptz BETWEEN now() AND clock_timestamp() AS when_it_was
  FROM jsonb_array_elements(migrate.apply_json()->'results') r;

-- what makes no sense
SELECT migrate.apply_json(0);
SELECT migrate.apply_json(-1);
SELECT migrate.apply_json(1, '4');
SELECT migrate.rollback_json(2, '4');
SELECT migrate.rollback_json(NULL);
SELECT migrate.rollback_json(17);
SELECT shown(migrate.rollback_json(to_version => '77', errors_as_data => true));
SELECT shown(migrate.rollback_json(17, errors_as_data => true));
SELECT shown(migrate.apply_json(schema => 'nowhere', errors_as_data => true));
SELECT shown(migrate.apply_json(project => 'nowhere', errors_as_data => true));
SELECT shown(migrate.rollback_json(NULL, '1'));
SELECT shown(migrate.apply_json());
-- production wants a word
SET dbmigrate.environment = 'production';
SELECT migrate.rollback_json();
SELECT answer - 'hint' - 'detail', answer ? 'hint' AS has_hint FROM shown(migrate.rollback_json(errors_as_data => true)) AS answer;
SELECT shown(migrate.rollback_json(confirm => current_database()));
RESET dbmigrate.environment;
SELECT shown(migrate.apply_json());

-- a failure is an error, or data: then nothing of it is left, and the rest of the transaction stays
SELECT migrate.add('5', 'e', 'CREATE TABLE json_e ()', 'DROP TABLE json_e');
SELECT migrate.add('6', 'f', E'SELECT 1;\nINSERT INTO json_a\n  VALUES (1), (1 / 0);', '');
SELECT migrate.apply_json();
BEGIN;
CREATE TABLE json_mine ();
SELECT shown(migrate.apply_json(errors_as_data => true));
SELECT to_regclass('json_e') AS rolled_back, to_regclass('json_mine') AS stays;
SELECT version, state FROM migrate.pending();
-- it can go on
SELECT shown(migrate.apply_json(1, errors_as_data => true));
COMMIT;
-- and the history knows
SELECT action, version, name, sqlstate, message, failed_statement, failed_line, run = max(run) OVER () - 1 AS run_before
  FROM migrate.history WHERE version IN ('5', '6') ORDER BY id;
-- the other details of an error; one that was there before
SELECT migrate.remove('6');
SELECT migrate.add('6', 'f', E'DO $$ BEGIN RAISE SQLSTATE ''MY001'' USING MESSAGE = E''two\nlines "quoted"'', DETAIL = ''the detail'', HINT = ''the hint''; END $$', '');
SELECT shown(migrate.apply_json(errors_as_data => true));
SELECT migrate.remove('6');
-- what its constraints leave for COMMIT is no success
SELECT migrate.add('6', 'f', 'CREATE TABLE json_f (x int PRIMARY KEY, y int REFERENCES json_f DEFERRABLE INITIALLY DEFERRED); INSERT INTO json_f VALUES (1, 2)', 'DROP TABLE json_f');
SELECT shown(migrate.apply_json(errors_as_data => true));
SELECT migrate.add('7', 'g', 'SELECT 1', '');
SELECT shown(migrate.apply_json(errors_as_data => true));
SELECT migrate.remove('6'), migrate.remove('7');
-- a cancellation is meant for the statement
SELECT migrate.add('6', 'f', 'SELECT pg_sleep(100)', '');
SET statement_timeout = '100ms';
SELECT migrate.apply_json(errors_as_data => true);
RESET statement_timeout;
SELECT migrate.add('6', 'f', 'DO $$BEGIN RAISE query_canceled; END$$', '');
DO $$
BEGIN
    PERFORM migrate.apply_json(errors_as_data => true);
EXCEPTION WHEN query_canceled THEN
    RAISE NOTICE 'cancelled: %', sqlerrm;
END $$;
SELECT migrate.remove('6');
-- a way back that fails
SELECT migrate.add('8', 'h', 'SELECT 1', 'SELECT 1 / 0'), migrate.add('9', 'i', 'SELECT 1', 'SELECT 1');
SELECT shown(migrate.apply_json());
SELECT shown(migrate.rollback_json(3, errors_as_data => true));
SELECT version, state FROM migrate.status() WHERE version > '7';
-- settings of a script that failed are undone
SELECT migrate.add('9.1', 'j', 'SET search_path = pg_catalog; SELECT set_config(''dbmigrate.lock_wait'', ''1s'', false); SELECT 1 / 0', '');
SELECT shown(migrate.apply_json(errors_as_data => true)) ->> 'sqlstate' AS sqlstate;
SHOW dbmigrate.lock_wait;
SELECT migrate.remove('9.1');
-- not within a migration, and not a second time in a statement
SELECT migrate.add('9.2', 'k', 'SELECT migrate.apply_json(errors_as_data => true)', '');
SELECT shown(migrate.apply_json(errors_as_data => true));
SELECT migrate.remove('9.2');
SELECT shown(migrate.rollback_json(errors_as_data => true)) FROM generate_series(1, 2);
-- read-only, and where a snapshot is too old
BEGIN READ ONLY;
SELECT shown(migrate.apply_json(errors_as_data => true));
COMMIT;
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT shown(migrate.apply_json(errors_as_data => true));
COMMIT;
-- in a target schema, in a project
CREATE SCHEMA json_s;
SELECT migrate.add('1', 'other', 'CREATE TABLE json_t ()', 'DROP TABLE json_t', project => 'p');
SELECT shown(migrate.apply_json(schema => 'json_s', project => 'p'));
SELECT 'json_s.json_t'::regclass;
SELECT shown(migrate.rollback_json(schema => 'json_s', project => 'p'));

DROP SCHEMA json_s;
DROP VIEW json_v;
DROP TABLE json_a, json_b, json_c, json_d, json_e, json_mine;
DROP FUNCTION shown;
DROP EXTENSION dbmigrate;
