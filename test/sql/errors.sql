-- Errors of a script: the server's own, with the place in the migration.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;

-- syntax: registered with a warning, refused with the parser's error and position
SELECT migrate.add('1', 'typo', E'CREATE TABLE err_a (a int);\n\n-- a comment\nCREATE TABLE err_b (\n    a int,,\n    b int);');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT to_regclass('err_a');
-- the place is right when somebody calls from a function, too
DO $$ BEGIN PERFORM migrate.add('1', 'typo', E'SELECT 1;\n\nSELECT\n\n 1 FROM FROM x;'); END $$;
SELECT migrate.apply_json();
-- psql variables
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'variable', 'SELECT * FROM :tab');
SELECT * FROM migrate.apply();
-- several at once are named
SELECT migrate.add('2', 'typo', 'SELCT 1');
SELECT migrate.add('3', 'typo', 'SELECT 1; SELECT ''x');
SELECT * FROM migrate.apply();
SELECT migrate.remove('2'), migrate.remove('3');

-- unknown names: position in the statement
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'names', E'SELECT 1;\nSELECT 2,\n       é_nowhere FROM pg_class;');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE

-- run time, with detail and hint as the server gives them
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'unique', E'CREATE TABLE err_u (a int PRIMARY KEY);\nINSERT INTO err_u VALUES (1);\n\n\nINSERT INTO err_u VALUES (1);');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'raise', $$DO 'BEGIN RAISE EXCEPTION ''own'' USING ERRCODE = ''MG123'', DETAIL = ''a detail'', HINT = ''a hint''; END'$$);
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'nested', E'CREATE FUNCTION err_f() RETURNS int LANGUAGE plpgsql AS $f$\nBEGIN\n  RETURN (SELECT nowhere FROM pg_class);\nEND $f$;\nSELECT err_f();');
SELECT * FROM migrate.apply();

-- rights
CREATE ROLE regress_dbmigrate_err;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_err;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO regress_dbmigrate_err;
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'rights', E'SELECT 1;\n\nCREATE TABLE pg_catalog.err_r (a int);');
SELECT migrate.approve('1');
SET ROLE regress_dbmigrate_err;
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;

-- down scripts
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'down', 'CREATE TABLE err_d (a int)', E'DROP TABLE err_d;\nDROP TABLE err_nowhere;');
SELECT count(*) FROM migrate.apply();
SELECT * FROM migrate.rollback();
SELECT migrate.amend('1', NULL, 'DROP TABEL err_d', 'typo');
SELECT * FROM migrate.rollback();
SELECT migrate.amend('1', NULL, 'DROP TABLE err_d', 'right');
SELECT count(*) FROM migrate.rollback();

-- messages of a script reach the client, once; none for what was only looked at
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'notices', $$
    DO 'BEGIN RAISE NOTICE ''hello''; RAISE WARNING ''careful''; END';
    CREATE TABLE a_table_name_that_is_much_longer_than_the_sixty_three_bytes_allowed (a int);
    DROP TABLE IF EXISTS err_not_there; $$);
SELECT count(*) FROM migrate.apply();
SELECT migrate.mark_pending('1', 'again');
DROP TABLE a_table_name_that_is_much_longer_than_the_sixty_three_bytes_all;

-- ten kinds of error: SQLSTATE, message, detail and hint as without us
CREATE TABLE err_t (a int PRIMARY KEY CHECK (a < 10), b text NOT NULL, c int REFERENCES err_t);
SELECT FROM migrate.remove('1');
CREATE FUNCTION pg_temp.compare(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    a text; b text; m text; d text; h text;
BEGIN
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        a := concat_ws('|', SQLSTATE, SQLERRM, d, h);
    END;
    PERFORM migrate.add('1', 'compared', statement);
    BEGIN
        PERFORM migrate.apply();
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
        b := concat_ws('|', SQLSTATE, SQLERRM, d, h);
    END;
    RETURN CASE WHEN a = b THEN 'same ' || left(a, 5) ELSE format('%s <> %s', a, b) END;
END $$;
SET client_min_messages = error;
SELECT pg_temp.compare(s) FROM unnest(ARRAY[
    'INSERT INTO err_t VALUES (77, ''x'')', 'INSERT INTO err_t VALUES (1, NULL)', 'INSERT INTO err_t VALUES (1, ''x'', 5)',
    'INSERT INTO err_t VALUES (''z'', ''x'')', 'SELECT 1/0', 'SELECT * FROM err_nope', 'SELECT err_nope(1)',
    'CREATE TABLE err_t (a int)', 'DROP TABLE err_nope', 'SELECT ''2020-13-13''::date', 'DROP ROLE regress_dbmigrate_nope',
    'ALTER TABLE err_t ADD COLUMN a int', 'SELECT count(*) FROM err_t GROUP BY', 'SELECT 1 FROM err_t LIMIT -1']) s;
RESET client_min_messages;

-- a long statement is cut to a window around the place
\set VERBOSITY terse
SELECT FROM migrate.remove('1');
SELECT migrate.add('1', 'long', 'SELECT ' || repeat('1 + ', 2000) || E'\n\n nowhere' || repeat(' + 1', 2000));
\set VERBOSITY default
DO $$
DECLARE
    context text; message text;
BEGIN
    PERFORM migrate.apply();
EXCEPTION WHEN undefined_column THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE NOTICE '% %', SQLERRM, length(context) < 2000;
END $$;
SELECT migrate.add('1', 'long', 'CREATE TABLE err_l AS SELECT 1 AS a; SELECT 1/(a - 1), ''' || repeat('x', 5000) || ''' FROM err_l');
DO $$
DECLARE
    context text; message text;
BEGIN
    PERFORM migrate.apply();
EXCEPTION WHEN division_by_zero THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RAISE NOTICE '% % %', SQLERRM, length(context) < 2000, context ~ E'\nmigration 1 "long" \\(up\\), statement 2 at line 1\n';
END $$;
-- an unterminated literal does not bring the rest of the script with it
SELECT FROM migrate.remove('1');
SELECT length(migrate.add('1', 'cut', 'SELECT ''' || repeat('x', 100000))) \g /dev/null
SELECT length(unreadable) < 300 AS short FROM migrate.migration;

SELECT migrate.remove('1');
DROP TABLE err_t;
DROP EXTENSION dbmigrate;
DROP ROLE regress_dbmigrate_err;
