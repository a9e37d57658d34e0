-- What CREATE EXTENSION makes, and that nobody else can have prepared it.

-- a schema that is already there is not taken over
-- (18 would show the line of the script)
\set SHOW_CONTEXT never
CREATE SCHEMA migrate;
CREATE TABLE migrate.planted (a int);
CREATE EXTENSION dbmigrate;
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM pg_extension WHERE extname = 'dbmigrate';
DROP SCHEMA migrate CASCADE;

-- another schema cannot be asked for, nor the extension moved
CREATE SCHEMA elsewhere;
CREATE EXTENSION dbmigrate SCHEMA elsewhere;
CREATE EXTENSION dbmigrate;
ALTER EXTENSION dbmigrate SET SCHEMA elsewhere;
DROP SCHEMA elsewhere;

-- the tables, and that dumps carry them and their sequences
SELECT c.relname, c.relkind, c.oid = ANY (e.extconfig) AS dumped
  FROM pg_class c, pg_extension e
 WHERE c.relnamespace = 'migrate'::regnamespace AND c.relkind IN ('r', 'v', 'S')
   AND e.extname = 'dbmigrate'
 ORDER BY c.relname;

-- the functions: volatile unless they compute, parallel unsafe, commented,
-- not for everybody; SECURITY DEFINER only where nothing is written
SELECT p.oid::regprocedure AS function,
       p.provolatile AS vol, p.proparallel AS par, p.prosecdef AS secdef, p.proconfig,
       has_function_privilege('public', p.oid, 'EXECUTE') AS public,
       obj_description(p.oid, 'pg_proc') IS NOT NULL AS commented
  FROM pg_proc p
 WHERE p.pronamespace = 'migrate'::regnamespace
 ORDER BY p.proname;

-- privileges on tables: SELECT for the database's owner, nothing for others
SELECT c.relname, a.grantee::regrole, string_agg(a.privilege_type, ',' ORDER BY a.privilege_type)
  FROM pg_class c, aclexplode(c.relacl) a
 WHERE c.relnamespace = 'migrate'::regnamespace AND c.relkind IN ('r', 'v', 'S')
   AND a.grantee <> c.relowner
 GROUP BY 1, 2 ORDER BY 1, 2;
SELECT a.grantee::regrole, a.privilege_type
  FROM pg_namespace n, aclexplode(n.nspacl) a
 WHERE n.nspname = 'migrate' AND a.grantee <> n.nspowner;

-- settings
SELECT migrate.version();
SELECT migrate.version_key('1');
SELECT name, setting, unit, vartype, context, enumvals FROM pg_settings
 WHERE name LIKE 'dbmigrate.%' ORDER BY name;
SET dbmigrate.nonsense = 1;

-- dropping it needs no CASCADE and leaves what the migrations made
SELECT migrate.add('1', 'made', 'CREATE TABLE install_made (a int)');
SELECT version, action FROM migrate.apply();
DROP EXTENSION dbmigrate;
SELECT count(*) FROM pg_namespace WHERE nspname = 'migrate';
DROP TABLE install_made;
