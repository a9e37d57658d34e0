-- How a script is split: the server's own rules, psql's habits.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;

-- statements counted, nothing run
CREATE FUNCTION pg_temp.statements(script text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    n int;
BEGIN
    PERFORM migrate.add('1', 'x', script);
    SELECT up_statements INTO n FROM migrate.migration;
    PERFORM migrate.remove('1');
    RETURN n;
END $$;
SELECT pg_temp.statements(s), s FROM (VALUES
    ('SELECT 1'),
    ('SELECT 1; SELECT 2'),
    (';;SELECT 1;;;SELECT 2;;'),
    ('SELECT '';'' ; SELECT $$;$$; SELECT $a$ $$;$$ ; $a$; SELECT ";" FROM t'),
    ('SELECT 1 -- ; SELECT 2'),
    ('/* ; /* ; */ ; */ SELECT 1'),
    (E'SELECT E''\\'';'' ; SELECT U&''d!0061;'' UESCAPE ''!'''),
    ('CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3'),
    ('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END; SELECT 3'),
    ('CREATE OR REPLACE PROCEDURE f() BEGIN ATOMIC END; SELECT 3'),
    ('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; SELECT 1 AS end; SELECT 1 "case"; SELECT x.end FROM x; END; SELECT 3'),
    ('CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1 end; SELECT 2; END; SELECT 3'),
    ('CREATE FUNCTION begin() RETURNS int RETURN 1; SELECT 3'),
    ('CREATE VIEW v AS SELECT begin atomic FROM (SELECT 1 AS begin) t; SELECT 1'),
    ('BEGIN; SELECT 1; COMMIT; SELECT 2; START TRANSACTION; SELECT 3; END WORK'),
    ('PREPARE transaction AS SELECT 1; EXECUTE transaction'),
    (E'\\restrict x7\nSELECT 1;\n\\unrestrict x7\n'),
    (E'\uFEFFSELECT 1; SELECT 2'),
    (E'SELECT 1;\r\nSELECT 2;\r\n')
) AS v(s);

-- COPY data belong to their statement; a backslash line may be anywhere in a literal
SELECT pg_temp.statements(E'COPY t FROM stdin;\n1;2;\\N\n\\N;\n\\.\nSELECT 1;');
SELECT pg_temp.statements(E'COPY t FROM stdin; SELECT 1; SELECT 2;\n1;2;\n\\.\nSELECT 3;');
SELECT pg_temp.statements(E'SELECT $$\n\\.\n\\restrict\n$$;\nCOPY t FROM stdin;\n;;\n\\.\n/*\n\\.\n*/ SELECT 1;\n\\restrict x\nSELECT 2;');
SELECT pg_temp.statements(E'COPY t FROM stdin;\n;;\n;;');
SELECT pg_temp.statements(E'COPY t FROM stdin');
SELECT pg_temp.statements(E'COPY t FROM ''/file'' WHERE a IS DISTINCT FROM stdin;\n SELECT 1;\n SELECT 2;');

-- psql commands: an error with the line, wherever they are
SELECT migrate.add('1', 'x', E'SELECT 1;\n\\i other.sql\n');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('1', 'x', E'SELECT 1 \\gset\n');
SELECT migrate.add('1', 'x', E'SELECT 1;\n\n  \\copy t from file\n');
SELECT migrate.add('1', 'x', E'\\set x 1\nSELECT 1;');
SELECT migrate.add('1', 'x', E'SELECT 1\n\\restrict x\n;');
SELECT migrate.add('1', 'x', E'SELECT 1;\n\\.\n');
SELECT migrate.add('1', 'x', E'\\restricted\nSELECT 1;');
SELECT migrate.add('1', 'x', 'SELECT 1', E'\n\\! rm -rf /');

-- lines that end with CR LF, or with CR alone: the same numbers
CREATE FUNCTION pg_temp.line(script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    context text;
BEGIN
    PERFORM migrate.add('1', 'x', script);
    PERFORM migrate.apply();
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS context = PG_EXCEPTION_CONTEXT;
    RETURN substring(context FROM '\(up\)[^\n]*');
END $$;
SELECT pg_temp.line(replace(script, E'\n', line_end)), to_json(line_end), to_json(script)
FROM unnest(ARRAY[E'\n', E'\r\n', E'\r']) line_end,
    unnest(ARRAY[E'SELECT 1;\n\n  \\gset\n', E'SELECT 1;\n\nSELECT\n2;\n/*\n*/ SELECT 1/0;\n']) script
ORDER BY script COLLATE "C", line_end COLLATE "C";
SELECT migrate.add('1', 'x', E'COPY t FROM stdin;\r1\r\\.\rSELECT 1;\r');
SELECT migrate.add('1', 'x', E'COPY t FROM stdin;\r1\r\\.\rSELECT 1;\n');

-- transaction statements, in any dress
CREATE FUNCTION pg_temp.refused(script text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM migrate.add('1', 'x', script);
    PERFORM migrate.remove('1');
    RETURN 'accepted';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
SELECT pg_temp.refused('SELECT 1; ' || s || ';'), s FROM unnest(ARRAY[
    'BEGIN', 'COMMIT', 'END', 'rollback', 'ABORT', '/* */ SaVePoInT a', 'RELEASE a', 'ROLLBACK TO a',
    'PREPARE TRANSACTION ''x''', 'PREPARE TRANSACTION U&''x''', 'COMMIT AND CHAIN', 'BEGIN; COMMIT AND CHAIN', 'BEGIN; BEGIN; COMMIT; COMMIT',
    'BEGIN READ ONLY; COMMIT', 'START TRANSACTION ISOLATION LEVEL SERIALIZABLE; COMMIT', 'START x; COMMIT',
    'BEGIN; ROLLBACK', 'BEGIN; SELECT 1; END; COMMIT', 'COMMIT; BEGIN',
    'BEGIN; COMMIT', 'BEGIN WORK; COMMIT TRANSACTION', 'COMMIT PREPARED ''x''']) s;
SELECT migrate.add('1', 'x', E'SELECT 1;\n\n  SAVEPOINT a;\nSELECT 2;');

SELECT migrate.add('1', 'x', E'SELECT 1;\nBEGIN;\nSELECT 2;');

-- what else no migration may hold
SELECT migrate.add('1', 'x', 'SET standard_conforming_strings TO off');
SELECT migrate.add('1', 'x', 'SET SESSION standard_conforming_strings = ''false''');
SELECT pg_temp.refused('SET standard_conforming_strings = on');
SELECT migrate.add('1', 'x', 'COPY t TO stdout');
SELECT migrate.add('1', 'x', E'COPY t FROM stdin; SELECT\n1\n\\.\n2;');

-- the session's string settings do not matter (and from 19 on not all can be made)
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN feature_not_supported THEN END $$;
SELECT migrate.add('1', 'backslash', $$CREATE TABLE script_t AS SELECT 'a\' AS a; INSERT INTO script_t VALUES ('b;');$$);
RESET standard_conforming_strings;
SELECT up_statements FROM migrate.migration;
DO $$ BEGIN SET standard_conforming_strings = off; EXCEPTION WHEN feature_not_supported THEN END $$;
SELECT current_setting('standard_conforming_strings') AS strings \gset
SELECT version, statements, rows FROM migrate.apply();
SELECT current_setting('standard_conforming_strings') = :'strings' AS unchanged;
RESET standard_conforming_strings;
TABLE script_t;

-- nor can a script get there by a back door
SELECT migrate.add('2', 'back door', $$SELECT set_config('standard_conforming_strings', 'off', false); SELECT '\';$$);
\set VERBOSITY sqlstate
SELECT * FROM migrate.apply();
\set VERBOSITY default
SELECT migrate.remove('2');

-- a negative code of SPI would be a failure that nobody raised
CREATE PROCEDURE script_p() LANGUAGE plpgsql AS 'BEGIN COMMIT; END';
SELECT migrate.add('2', 'commits', 'CALL script_p()');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
DROP TABLE script_t;
-- pg_stat_activity shows whole characters, wherever they are cut
SELECT migrate.remove('2');
CREATE TABLE script_seen (q text);
SELECT migrate.add('90', repeat('é', 200), '/* x */ INSERT INTO script_seen SELECT query FROM pg_stat_get_activity(pg_backend_pid()) --'),
       migrate.add('91', 'x' || repeat('é', 200), 'INSERT INTO script_seen SELECT query /* ' || repeat('é', 200) || ' */ FROM pg_stat_get_activity(pg_backend_pid())'),
       migrate.add('92', 'y', 'INSERT INTO script_seen SELECT query /* x' || repeat('é', 200) || ' */ FROM pg_stat_get_activity(pg_backend_pid())');
SELECT count(*) FROM migrate.apply();
SELECT length(convert_from(convert_to(q, 'UTF8'), 'UTF8')) > 100 AS whole FROM script_seen;
DROP TABLE script_seen;

DROP EXTENSION dbmigrate;
