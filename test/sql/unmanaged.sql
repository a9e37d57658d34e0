-- A database that was built by other means is not migrated without a word.
CREATE SCHEMA unm;
CREATE SCHEMA unm_other;
CREATE SCHEMA unm_tenant;
CREATE TABLE unm.b (a int);
CREATE TABLE unm_other.c (a int);
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT migrate.add('0000', 'init', 'CREATE TABLE made (a int)', 'DROP TABLE made'), migrate.add('0001', 'next', 'SELECT 1', '');

-- tables in somebody else's schema are no business of this run
SET search_path = unm_tenant;
BEGIN;
SELECT version FROM migrate.apply();
ROLLBACK;
-- nor are views, temporary tables, and what extensions have brought
CREATE VIEW unm_tenant.v AS SELECT 1;
CREATE TEMP TABLE unm_temp (a int);
CREATE TABLE unm_tenant.member (a int);
ALTER EXTENSION dbmigrate ADD TABLE unm_tenant.member;
BEGIN;
SELECT version FROM migrate.apply();
ROLLBACK;
ALTER EXTENSION dbmigrate DROP TABLE unm_tenant.member;
DROP TABLE unm_tenant.member, unm_temp;
DROP VIEW unm_tenant.v;

-- tables where unqualified names go
SET search_path = unm, unm_other;
SELECT version FROM migrate.apply();
-- whose names may be somebody else's
DO $$ BEGIN EXECUTE format('CREATE TABLE unm.%I (a int)', E'a\x1b[2J'); END $$;
SELECT version FROM migrate.apply();
DO $$ BEGIN EXECUTE format('DROP TABLE unm.%I', E'a\x1b[2J'); END $$;
\echo :LAST_ERROR_SQLSTATE
SELECT version FROM migrate.apply_to('0000');
SELECT version FROM migrate.apply(1);
SELECT count(*) FROM migrate.history;
CREATE TABLE unm.d (a int);
CREATE TABLE unm.e (a int);
SELECT version FROM migrate.apply();
RESET search_path;
SELECT version FROM migrate.apply(schema => 'unm');
-- looking and undoing are free
SELECT version, state FROM migrate.status();
SELECT version FROM migrate.rollback_to('0', 'unm');
-- with nothing to apply nobody is asked
BEGIN;
SELECT migrate.remove('0000'), migrate.remove('0001');
SELECT version FROM migrate.apply(schema => 'unm');
ROLLBACK;

-- tenants first: from then on it is managed
BEGIN;
SELECT version FROM migrate.apply(schema => 'unm_tenant');
SELECT version FROM migrate.apply(schema => 'unm');
SELECT migrate.add('1', 'one', 'SELECT 1', project => 'second');
SET search_path = unm, unm_other;
SELECT version FROM migrate.apply(project => 'second');
ROLLBACK;

-- the ways out
BEGIN;
SELECT migrate.baseline('0000', 'unm');
SELECT version FROM migrate.apply(schema => 'unm');
ROLLBACK;
BEGIN;
CREATE TABLE unm.pgmigrations (id int, name text, run_on timestamp);
INSERT INTO unm.pgmigrations VALUES (1, '0000_init', '2024-01-01');
SELECT version, result FROM migrate.adopt('unm.pgmigrations', schema => 'unm');
SELECT version FROM migrate.apply(schema => 'unm');
ROLLBACK;
SELECT migrate.manage(NULL);
SELECT migrate.manage(' ');
SELECT migrate.manage('all of it comes from the old installer', 'unm');
SELECT action, target_schema, migration, version, reason FROM migrate.history;
SELECT version, state FROM migrate.status('unm');
SELECT version FROM migrate.apply(schema => 'unm');

DROP EXTENSION dbmigrate;
SET client_min_messages = warning;
DROP SCHEMA unm, unm_other, unm_tenant CASCADE;
