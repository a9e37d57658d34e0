-- Procedures: a transaction for each migration, and what may not be in one.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SELECT migrate.add('1', 'tables', 'CREATE TABLE run_t (a int, b text); INSERT INTO run_t SELECT g, g FROM generate_series(1, 100) g', 'DROP TABLE run_t');
SELECT migrate.add('2', 'indexes', $$
    SET work_mem = '9MB';
    CREATE INDEX CONCURRENTLY run_t_a ON run_t (a);
    CREATE INDEX CONCURRENTLY ON run_t (b);
    VACUUM ANALYZE run_t;
    BEGIN; INSERT INTO run_t VALUES (101, current_setting('work_mem')); INSERT INTO run_t VALUES (102, 'x'); COMMIT;
    COPY run_t FROM stdin;
103	copied
\.
    DO $d$ BEGIN INSERT INTO run_t VALUES (104, 'do'); COMMIT; END $d$ $$,
    'DROP INDEX CONCURRENTLY run_t_a; DROP INDEX CONCURRENTLY run_t_b_idx');
SELECT migrate.add('3', 'view', 'CREATE VIEW run_v AS SELECT * FROM run_t', 'DROP VIEW run_v');
SELECT migrate.add(NULL, 'again', 'CREATE OR REPLACE FUNCTION run_w() RETURNS bigint LANGUAGE sql AS ''SELECT 1''');

-- not in a transaction
SELECT version FROM migrate.apply();
SET work_mem = '8MB';
CALL migrate.run(1);
CALL migrate.run_to('2');
SHOW work_mem;
SELECT * FROM run_t WHERE a > 100 ORDER BY a;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'run_t'::regclass ORDER BY 1;
CALL migrate.run();
CALL migrate.run();
SELECT version, name, state FROM migrate.status();
SELECT version, action, statements, rows, sqlstate FROM migrate.history WHERE run > 1 ORDER BY id;
SELECT count(DISTINCT transaction_id) AS transactions FROM migrate.history WHERE action = 'apply';
SELECT procedure, ended_at IS NOT NULL AS ended, migrations, sqlstate FROM migrate.run ORDER BY number;
SELECT count(*) FROM migrate.progress;
CALL migrate.run(7);
CALL migrate.run(0);
CALL migrate.run_to('9');
CALL migrate.run_to(NULL);
CALL migrate.run_to('1');
CALL migrate.run_rollback(NULL);
CALL migrate.run_rollback();
CALL migrate.run_rollback_to('0');
SELECT version, name, state FROM migrate.status();
DROP FUNCTION IF EXISTS run_w;

-- what was committed stays, and the next call goes on
SELECT migrate.add('4', 'fails', 'CREATE TABLE run_four (a int);
SELECT 1/0');
CALL migrate.run();
SELECT version, state FROM migrate.status();
SELECT version, action, sqlstate, message, failed_statement, failed_line FROM migrate.history WHERE action = 'failed';
SELECT migrate.add('4', 'fails', 'CREATE TABLE run_four (a int)', 'DROP TABLE run_four');
CALL migrate.run();
-- also what fails at commit, and amid an online script
SELECT migrate.add('5', 'deferred', 'CREATE TABLE run_p (a int PRIMARY KEY); CREATE TABLE run_c (a int REFERENCES run_p DEFERRABLE INITIALLY DEFERRED); INSERT INTO run_c VALUES (1)', 'DROP TABLE run_c, run_p');
CALL migrate.run();
SELECT migrate.add('5', 'deferred', 'CREATE TABLE run_p (a int PRIMARY KEY); CREATE TABLE run_c (a int)', 'DROP TABLE run_c, run_p');
SELECT migrate.add('6', 'unique', 'CREATE TABLE run_u (a int); INSERT INTO run_u VALUES (1), (1); CREATE UNIQUE INDEX CONCURRENTLY run_u_a ON run_u (a); INSERT INTO run_u VALUES (2)', 'DROP TABLE run_u');
CALL migrate.run();
SELECT version, state FROM migrate.status() WHERE version = '6';
SELECT id, direction, statements, finished, started, indexes, sqlstate FROM migrate.progress;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'run_u'::regclass;
SELECT version FROM migrate.apply();
CALL migrate.run();
DELETE FROM run_u WHERE ctid = '(0,1)';
CALL migrate.run();
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'run_u'::regclass;
SELECT * FROM run_u;
SELECT count(*) FROM migrate.progress;

-- only where it can commit
BEGIN;
CALL migrate.run();
ROLLBACK;
DO $$ DECLARE m bigint; n text; r bigint; BEGIN CALL migrate.run(NULL, '', '', '', m, n, r); END $$;
CREATE FUNCTION run_f() RETURNS void LANGUAGE plpgsql AS $$ DECLARE m bigint; n text; r bigint; BEGIN CALL migrate.run(NULL, '', '', '', m, n, r); END $$;
SELECT run_f();
DROP FUNCTION run_f();
SET default_transaction_read_only = on;
CALL migrate.run();
RESET default_transaction_read_only;
SET default_transaction_isolation = 'serializable';
SELECT migrate.add('7', 'isolation', 'CREATE TABLE run_i AS SELECT current_setting(''transaction_isolation'') AS isolation', 'DROP TABLE run_i');
CALL migrate.run();
RESET default_transaction_isolation;
SELECT * FROM run_i;
-- a migration that calls one
SELECT migrate.add('8', 'nested', 'CALL migrate.run()', '', online => true);
CALL migrate.run();
SELECT migrate.abandon('8', 'it was a test');
SELECT migrate.remove('8');

-- what a person says of one that was interrupted
SELECT migrate.add('8', 'database', 'SELECT 1; DO $$ BEGIN CREATE TABLE run_h (); DROP TABLE run_h; COMMIT; RAISE ''half''; END /* ' || repeat('x', 600) || ' */ $$; CREATE TABLE run_d ()', 'DROP TABLE run_d', online => true);
CALL migrate.run();
SELECT version, state FROM migrate.status() WHERE version = '8';
CALL migrate.run();
SELECT migrate.resume('8', true, NULL);
SELECT migrate.resume('7', true, 'a reason');
SELECT migrate.resume('9', true, 'a reason');
SELECT migrate.resume('8', true, 'the table it makes is there');
SELECT finished, started, sqlstate FROM migrate.progress;
CALL migrate.run();
SELECT version, action, reason FROM migrate.history WHERE version = '8' AND action <> 'failed' ORDER BY id;

-- a target schema, a project, production
CREATE SCHEMA run_s;
SELECT migrate.add('1', 'other', 'CREATE TABLE x (a int); CREATE INDEX CONCURRENTLY x_a ON x (a)', 'DROP INDEX CONCURRENTLY x_a; DROP TABLE x', project => 'run_project');
CALL migrate.run(schema => 'run_s', project => 'run_project');
SHOW search_path;
SELECT tablename, indexname FROM pg_indexes WHERE schemaname = 'run_s';
CALL migrate.run(project => 'no_project');
SET dbmigrate.environment = 'production';
CALL migrate.run_rollback(schema => 'run_s', project => 'run_project');
CALL migrate.run_rollback(schema => 'run_s', confirm => current_database(), project => 'run_project');
RESET dbmigrate.environment;

CALL migrate.run_rollback_to('0');
DROP EXTENSION dbmigrate;
DROP SCHEMA run_s;
DROP FUNCTION IF EXISTS run_w;
DROP TABLE IF EXISTS run_t, run_four, run_p, run_c, run_u, run_i, run_d CASCADE;
