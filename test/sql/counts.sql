-- A count above what there is, a version that is taken, a script without a statement.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE SCHEMA count_s;
DO $$ BEGIN FOR i IN 1..15 LOOP
    PERFORM migrate.add(to_char(i, 'FM000'), 'step ' || i, 'SELECT 1', 'SELECT 2');
    PERFORM migrate.add(to_char(i, 'FM000'), 'step ' || i, 'SELECT 1', 'SELECT 2', project => 'second');
END LOOP; END $$;

-- a version where a count is meant
SELECT count(*) FROM migrate.apply(16);
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM migrate.apply_to('012');
SELECT version FROM migrate.apply('014');
SELECT version FROM migrate.rollback('014');
SELECT version FROM migrate.redo('013');
SELECT version FROM migrate.rollback('099');
SELECT version FROM migrate.apply(4, schema => 'count_s', project => 'second');
-- a count that is written as one; and a version, where that is to be seen
SELECT migrate.rollback(steps => '03', schema => 'count_s', project => 'second');
SELECT version FROM migrate.rollback(003, schema => 'count_s', project => 'second');
SELECT version FROM migrate.redo('0003', schema => 'count_s', project => 'second');
SELECT version FROM migrate.apply(steps => '008', schema => 'count_s', project => 'second');
CALL migrate.run('002', schema => 'count_s', project => 'second');
CALL migrate.run_rollback(steps => 02, schema => 'count_s', project => 'second');
DO $$ BEGIN PERFORM migrate.rollback('03', schema => 'count_s', project => 'second'); END $$;
PREPARE count_back(int) AS SELECT version FROM migrate.rollback($1, schema => 'count_s', project => 'second');
EXECUTE count_back('02');
SELECT version FROM migrate.rollback('1', schema => 'count_s', project => 'second');
SELECT version FROM migrate.rollback(0 + 01, schema => 'count_s', project => 'second');
CREATE FUNCTION pg_temp.back() RETURNS SETOF text LANGUAGE sql AS $$ SELECT version FROM migrate.rollback(1, schema => 'count_s', project => 'second') $$;
SELECT '01' AS "01", b FROM pg_temp.back() b WHERE '01' = '01';
SELECT count(*) FROM migrate.apply(4, schema => 'count_s', project => 'second');
-- the place of a constant in an inlined function is not one in the statement
BEGIN;
CREATE FUNCTION pg_temp.i() RETURNS SETOF text STABLE LANGUAGE sql AS $$SELECT b.version FROM migrate.rollback(1, schema => 'count_s', project => 'second') b$$;
SELECT count(*) FROM pg_temp.i() LIMIT 02;
ROLLBACK;
SELECT version FROM migrate.rollback('15', schema => 'count_s', project => 'second');
SELECT count(*) FROM migrate.rollback(12);

-- where there is nothing, one is no mistake: that is how a loop ends
SELECT version FROM migrate.rollback();
SELECT version FROM migrate.redo(1);
SELECT version FROM migrate.rollback(2);
SELECT count(*) FROM migrate.apply();
SELECT version FROM migrate.apply(1);
SELECT version FROM migrate.apply(2);
SELECT version FROM migrate.apply('014');

-- another name and another text are another migration; one of them is a change
SELECT migrate.add('020', 'orders', 'CREATE TABLE count_orders ()');
SELECT migrate.add('020', 'orders', 'CREATE TABLE count_orders (a int)');
SELECT migrate.add('020', 'the orders', 'create table count_orders (A int); -- the same');
SELECT migrate.add('020', 'invoices', 'CREATE TABLE count_invoices ()');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('20', 'invoices', 'CREATE TABLE count_invoices ()');
SELECT version, name FROM migrate.add_files('{"020_invoices.sql": "CREATE TABLE count_invoices ()"}');
SELECT migrate.add('020', '', 'SELECT 1');
SELECT migrate.create('', 'SELECT 1');

-- without a statement
SELECT migrate.remove('020');
SELECT migrate.add('021', 'empty', '-- to be written');
SELECT result, detail FROM migrate.add_files('{"022_empty.sql": "", "R__empty.sql": "/* */"}');
SELECT version, name, state FROM migrate.pending();
SELECT version, name, action, statements FROM migrate.apply();
SELECT version, state FROM migrate.status() WHERE version > '020';

DROP EXTENSION dbmigrate;
DROP SCHEMA count_s;
