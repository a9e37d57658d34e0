-- What was rolled back here: who still wants it, and applying all but that.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT migrate.add('1', 'one', 'CREATE TABLE back_one (a int)', 'DROP TABLE back_one');
SELECT migrate.add('2', 'two', 'CREATE TABLE back_two (a int)', 'DROP TABLE back_two');
SELECT migrate.add('3', 'three', 'CREATE TABLE back_three (a int)', 'DROP TABLE back_three');
SELECT * FROM migrate.pending();
SELECT count(*) FROM migrate.apply();
SELECT version, action FROM migrate.rollback(2);
SELECT * FROM migrate.pending();
SELECT migrate.require();
SELECT migrate.require('2');
\echo :LAST_ERROR_SQLSTATE

-- all but some
SELECT version FROM migrate.apply(without => '{3, 002}');
SELECT version FROM migrate.apply(1, without => '{2}');
SELECT * FROM migrate.pending();
SELECT version FROM migrate.apply_to('2', without => '{}');
SET dbmigrate.out_of_order = 'allow';
SELECT version FROM migrate.apply_to('2', without => '{2}');
SELECT version FROM migrate.apply(without => NULL);
SELECT version FROM migrate.apply(without => '{9}');
\echo :LAST_ERROR_SQLSTATE
SELECT version FROM migrate.apply(without => '{NULL}');
\echo :LAST_ERROR_SQLSTATE
SELECT version FROM migrate.apply(without => '{x}');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add(NULL, 'views', 'SELECT 1');
SELECT version, name FROM migrate.apply(without => '{R__views}');

-- the hint has it as well
SELECT migrate.add('4', 'four', 'VACUUM back_one');
SELECT migrate.add('5', 'it''s', 'SELECT 1');
SELECT * FROM migrate.apply(without => '{5, "R__views"}');
CALL migrate.run(without => '{5, "R__views"}');
CALL migrate.run_to('5', without => '{5}');
CALL migrate.run(without => '{9}');
SELECT version, name, state FROM migrate.pending();

-- a failed attempt later changes nothing, another text does
SELECT migrate.add('6', 'six', 'CREATE TABLE back_six (a int)', 'DROP TABLE back_six');
CALL migrate.run_to('6');
CALL migrate.run_rollback();
CREATE TABLE back_six (b int);
CALL migrate.run();
SELECT action FROM migrate.history ORDER BY id DESC LIMIT 2;
SELECT * FROM migrate.pending();
SELECT migrate.require();
SELECT migrate.add('6', 'six', 'CREATE TABLE back_six (c int)', 'DROP TABLE back_six');
SELECT * FROM migrate.pending();
SELECT migrate.require();

DROP TABLE back_one, back_two, back_three, back_six;
DROP EXTENSION dbmigrate;
