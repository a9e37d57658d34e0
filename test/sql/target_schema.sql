-- A target schema: its own state, and unqualified names go there.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE SCHEMA tenant_1;
CREATE SCHEMA "Tenant 2";
CREATE SCHEMA shared;
CREATE FUNCTION shared.helper() RETURNS int LANGUAGE sql AS 'SELECT 42';
CREATE TABLE public.precious (a int);
SELECT migrate.add('1', 'table', 'CREATE TABLE items (a int); CREATE FUNCTION f() RETURNS int LANGUAGE sql AS ''SELECT 1''', 'DROP FUNCTION f(); DROP TABLE items');
SELECT migrate.add('2', 'temp', 'CREATE TEMP TABLE scratch (a int); INSERT INTO scratch VALUES (1); INSERT INTO items SELECT * FROM scratch; DROP TABLE scratch;', '');

SELECT version, action FROM migrate.apply(schema => 'tenant_1');
SELECT version, action FROM migrate.apply(1, 'Tenant 2');
SELECT version, state FROM migrate.status();
SELECT version, state FROM migrate.status('tenant_1');
SELECT version, state FROM migrate.status(schema => 'Tenant 2');
SELECT migrate.version('tenant_1'), migrate.version('Tenant 2'), migrate.version();
SELECT * FROM migrate.pending('Tenant 2');
SELECT migrate.require(schema => 'tenant_1');
SELECT migrate.require('2', 'Tenant 2');
SELECT migrate.status_json('Tenant 2')->'status'->'pendingMigrations';
SELECT schemaname, tablename FROM pg_tables WHERE tablename = 'items' ORDER BY 1;
SELECT target_schema, migration, action, regexp_replace(search_path::text, 'pg_temp_\d+', 'pg_temp') AS path FROM migrate.history ORDER BY id;
SHOW search_path;

-- an unqualified DROP cannot reach public, an unqualified name is not found there
SELECT migrate.add('3', 'drop', 'DROP TABLE precious');
SELECT * FROM migrate.apply(schema => 'tenant_1');
SELECT FROM migrate.remove('3');
SELECT migrate.add('3', 'helper', 'CREATE TABLE t3 AS SELECT helper() AS h', 'DROP TABLE t3');
\set VERBOSITY terse
SELECT * FROM migrate.apply(schema => 'tenant_1');
\set VERBOSITY default
SELECT version, rows FROM migrate.apply(schema => 'tenant_1', extra_search_path => 'shared, "$user"');
SELECT regexp_replace(search_path::text, 'pg_temp_\d+', 'pg_temp') AS path FROM migrate.history WHERE migration = '3';
SELECT version, action FROM migrate.redo(2, schema => 'tenant_1', extra_search_path => 'shared');
SELECT version, action FROM migrate.rollback_to('0', schema => 'tenant_1');
SELECT version, state FROM migrate.status('Tenant 2');
SELECT (migrate.apply_json(schema => 'tenant_1', extra_search_path => 'shared'))->>'message';

-- the schema must be there, usable, and a place for migrations
SELECT * FROM migrate.apply(schema => 'tenant_3');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.apply(schema => 'Odd "one"');
SELECT * FROM migrate.rollback(schema => 'tenant_3');
SELECT migrate.baseline('1', schema => 'tenant_3');
SELECT migrate.mark_applied('1', 'x', schema => 'tenant_3');
SELECT * FROM migrate.apply(schema => 'migrate');
SELECT * FROM migrate.apply(schema => 'pg_catalog');
SELECT * FROM migrate.apply(schema => 'information_schema');
SELECT * FROM migrate.apply(extra_search_path => 'shared');
SELECT * FROM migrate.apply(schema => 'tenant_1', extra_search_path => 'a b');
SELECT * FROM migrate.apply(schema => 'tenant_1', extra_search_path => 'tenant_1"; DROP');
CREATE ROLE regress_dbmigrate_tenant;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_tenant;
GRANT EXECUTE ON FUNCTION migrate.apply TO regress_dbmigrate_tenant;
SET ROLE regress_dbmigrate_tenant;
SELECT * FROM migrate.apply(schema => 'tenant_1');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- NULL is the database as it is
SELECT count(*) FROM migrate.apply(1, NULL, NULL);
SELECT to_regclass('public.items');

-- what is applied elsewhere cannot be removed, and the hint says where
SELECT migrate.add('7', 'there', 'CREATE TABLE there ()', 'DROP TABLE there');
SELECT migrate.add(NULL, 'again', 'CREATE OR REPLACE VIEW seven AS SELECT 7 AS seven');
SELECT migrate.remove('3');
SELECT count(*) FROM migrate.apply(schema => 'Tenant 2', extra_search_path => 'shared');
SELECT migrate.remove('7');
SELECT migrate.remove('R__again');
SELECT migrate.mark_pending('7', 'the reason', schema => 'Tenant 2');
SELECT migrate.remove('7');

DROP EXTENSION dbmigrate;
DROP SCHEMA tenant_1, "Tenant 2", shared CASCADE;
DROP TABLE precious, items;
DROP FUNCTION f;
DROP ROLE regress_dbmigrate_tenant;
