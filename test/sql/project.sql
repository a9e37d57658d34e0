-- Projects: several sequences of versions in one database.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT migrate.manage('a test');
CREATE SCHEMA proj_tenant;

-- two teams, the same versions
SELECT migrate.add('001', 'users', 'CREATE TABLE proj_users (a int)', 'DROP TABLE proj_users');
SELECT migrate.add('001', 'invoices', 'CREATE TABLE proj_invoices (a int)', 'DROP TABLE proj_invoices', project => 'billing');
SELECT migrate.add('002', 'due', 'ALTER TABLE proj_invoices ADD due date', 'ALTER TABLE proj_invoices DROP due', project => 'billing');
SELECT migrate.add(NULL, 'views', 'CREATE OR REPLACE VIEW proj_v AS SELECT 1 AS a', project => 'billing');
SELECT migrate.add(NULL, 'views', 'SELECT 1');
SELECT version, name, result FROM migrate.add_file('003_paid.sql', E'-- Up Migration\nALTER TABLE proj_invoices ADD paid date;\n-- Down Migration\nALTER TABLE proj_invoices DROP paid;', project => 'billing');
SELECT version, name, result FROM migrate.add_files('{"004_more.up.sql": "SELECT 4", "004_more.down.sql": "SELECT -4"}', project => 'billing');
SELECT migrate.create('fresh', 'SELECT 1', project => 'later') ~ '^\d{14}$' AS created;
SELECT project, id, name FROM migrate.migration WHERE project <> 'later' ORDER BY 1, 2;
SELECT version, name, state FROM migrate.status();
SELECT version, name, state FROM migrate.status(project => 'billing');
SELECT version, name FROM migrate.pending(project => 'billing');

-- each its own order, state and rollback; one lock, one history
SELECT version, name, action FROM migrate.apply();
SELECT version, name, action FROM migrate.apply(2, project => 'billing');
SELECT migrate.version(), migrate.version(project => 'billing');
SELECT version, name, action FROM migrate.apply(project => 'billing');
SELECT migrate.require(project => 'billing');
SELECT version, name, action FROM migrate.rollback(1);
SELECT version, name, action FROM migrate.rollback_to('001', project => 'billing');
SELECT version, name, action FROM migrate.redo(project => 'billing');
SELECT migrate.apply_json(project => 'billing')->>'message';
SELECT migrate.status_json(project => 'billing')->'status'->>'isUpToDate' AS up_to_date;
SELECT version, action FROM migrate.apply(schema => 'proj_tenant', project => 'billing');
SELECT target_schema, project, version, name FROM migrate.schema_migrations ORDER BY 1, 2, position;
SELECT DISTINCT project, action FROM migrate.history ORDER BY 1, 2;

-- whatever takes a version takes it from one of them
SELECT migrate.add('005', 'late', 'SELECT 5', '', project => 'billing');
SELECT migrate.approve('005', project => 'billing');
SELECT project, migration, script FROM migrate.approval ORDER BY 1, 2, 3;
SELECT migrate.mark_applied('005', 'by hand', project => 'billing');
SELECT migrate.amend('005', 'SELECT 55', NULL, 'a reason', project => 'billing');
SELECT migrate.mark_pending('005', 'not any more', project => 'billing');
SELECT migrate.remove('005', project => 'billing');
SELECT migrate.remove('005');
SELECT migrate.remove('003', project => 'billing');
SELECT migrate.add('003', 'paid', 'SELECT 3', project => 'billing');

-- hints carry the project and the target schema
SELECT migrate.add('006', 'six', 'SELECT 6', project => 'billing');
SELECT migrate.require(project => 'billing');
SELECT migrate.require(schema => 'proj_tenant', project => 'billing');
SELECT * FROM migrate.rollback(project => 'billing', confirm => 'nowhere');
SELECT version FROM migrate.apply(project => 'billing');
SELECT version FROM migrate.rollback(project => 'billing');

-- a name that no migration carries is a mistake
SELECT * FROM migrate.apply(project => 'biling');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.require(project => 'biling');
SELECT * FROM migrate.status(project => 'biling');
SELECT * FROM migrate.pending(project => 'biling');
SELECT migrate.version(project => 'biling');
SELECT migrate.status_json(project => 'biling');
SELECT migrate.baseline('1', project => 'biling');
SELECT migrate.mark_applied('1', 'x', project => 'biling');
SELECT migrate.manage('x', project => 'biling');
SELECT * FROM migrate.adopt(project => 'biling');
SELECT migrate.remove('1', project => 'biling');
SELECT migrate.approve('1', project => 'it''s');
SELECT migrate.add('1', 'x', 'SELECT 1', project => E'a\nb');
SELECT migrate.add('1', 'x', 'SELECT 1', project => repeat('x', 1001));

-- a baseline of one is none of another
SELECT migrate.add('1', 'one', 'SELECT 1', project => 'third'), migrate.add('2', 'two', 'SELECT 2', project => 'third');
SELECT migrate.baseline('1', project => 'third');
SELECT version, state FROM migrate.status(project => 'third');
SELECT version, state FROM migrate.status(project => 'later') WHERE version = '1';

-- a target schema is forgotten for all of them
SELECT migrate.forget_schema('proj_tenant', 'the tenant is gone');
SELECT project, migration FROM migrate.history WHERE action = 'forget' ORDER BY 1, 2;

-- a history table counts once, unless somebody insists
CREATE SCHEMA proj_old;
CREATE TABLE proj_old.pgmigrations (id int, name text, run_on timestamp);
INSERT INTO proj_old.pgmigrations VALUES (1, '1_one', '2024-01-01'), (2, '2_two', '2024-01-02');
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', project => 'third');
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', project => 'third');
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', project => 'later');
\echo :LAST_ERROR_SQLSTATE
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', schema => 'proj_tenant');
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', true, schema => 'proj_tenant');
SELECT version, result FROM migrate.adopt('proj_old.pgmigrations', schema => 'proj_tenant', again => true);

SET client_min_messages = warning;
DROP EXTENSION dbmigrate;
DROP SCHEMA proj_tenant, proj_old CASCADE;
DROP TABLE proj_invoices;
DROP VIEW proj_v;
