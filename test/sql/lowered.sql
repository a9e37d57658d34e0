-- A session that was lowered stays lowered, whoever wrote the script, and
-- whatever the script sets off or leaves behind.
SELECT current_user AS superuser \gset
CREATE ROLE regress_dbmigrate_dba SUPERUSER;
CREATE ROLE regress_dbmigrate_app;
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO regress_dbmigrate_app;
CREATE SCHEMA low AUTHORIZATION regress_dbmigrate_app;
CREATE TABLE low_canary (what text, who text);
GRANT INSERT ON low_canary TO PUBLIC;

-- code of app's that says who runs it, and tries to be somebody else
SET ROLE regress_dbmigrate_app;
CREATE FUNCTION low.up(what text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'RESET SESSION AUTHORIZATION'; EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user <> 'regress_dbmigrate_app' THEN
        INSERT INTO public.low_canary VALUES (what, current_user);
    END IF;
    RETURN true;
END $$;
CREATE FUNCTION low.trg() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM low.up(TG_NAME); RETURN NULL; END';
CREATE TABLE low.t (a int);
CREATE TRIGGER immediate AFTER INSERT ON low.t FOR EACH ROW EXECUTE FUNCTION low.trg();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON low.t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION low.trg();
RESET ROLE;

-- the superuser's script, app's triggers
SELECT migrate.add('1', 'innocent', 'INSERT INTO low.t VALUES (1)', 'INSERT INTO low.t VALUES (-1)');
SELECT migrate.add('2', 'next', 'SELECT 1', 'SELECT 2');
SET ROLE regress_dbmigrate_app;
BEGIN;
SELECT version FROM migrate.apply();
SELECT version FROM migrate.redo(2);
COMMIT;
RESET ROLE;
SET SESSION AUTHORIZATION regress_dbmigrate_app;
BEGIN;
SELECT version FROM migrate.redo(2);
COMMIT;
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
TABLE low_canary;
-- not lowered: the scripts are the superuser's, and so is what they set off
SELECT count(*) FROM migrate.redo(2);
SELECT DISTINCT what, who FROM low_canary ORDER BY 1;
TRUNCATE low_canary;

-- what a script leaves in pg_temp, whoever would use it later
SET ROLE regress_dbmigrate_app;
SELECT migrate.add('3', 'leaves', $$
    CREATE TEMP TABLE low_table (a serial PRIMARY KEY);
    CREATE TEMP VIEW low_canary AS SELECT low.up('view')::text AS what, 'x'::text AS who;
    CREATE DOMAIN pg_temp.citext AS text CHECK (low.up(VALUE));
    CREATE TYPE pg_temp.low_enum AS ENUM ('a');
    CREATE TYPE pg_temp.low_row AS (a int);
    CREATE FUNCTION pg_temp.low_f() RETURNS int LANGUAGE sql AS 'SELECT 1';
    CREATE FUNCTION pg_temp.low_eq(int, int) RETURNS boolean LANGUAGE sql AS $f$ SELECT low.up('operator') $f$;
    CREATE OPERATOR pg_temp.= (LEFTARG = int, RIGHTARG = int, FUNCTION = pg_temp.low_eq);
    CREATE COLLATION pg_temp.low_c (provider = libc, locale = 'C');
    PREPARE low_p AS SELECT low.up('prepared') $$);
SET client_min_messages = warning;
SELECT version FROM migrate.apply();
RESET client_min_messages;
SELECT migrate.mark_pending('3', 'to see it once more');
SELECT version FROM migrate.apply();
RESET ROLE;
SELECT count(*) FROM low_canary;
SELECT 'x'::citext;
SELECT count(*) FROM pg_prepared_statements;
SELECT count(*) FROM pg_depend WHERE refclassid = 'pg_namespace'::regclass AND refobjid = pg_my_temp_schema();
TABLE low_canary;

-- also from a deferred trigger, and made by a function
SET ROLE regress_dbmigrate_app;
CREATE FUNCTION low.leave() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN CREATE TEMP TABLE low_late (a int); PREPARE low_late AS SELECT 1; RETURN NULL; END $$;
CREATE TABLE low.l (a int);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON low.l DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION low.leave();
SELECT migrate.add('4', 'later', 'INSERT INTO low.l VALUES (1)');
SELECT version FROM migrate.apply();
SELECT to_regclass('pg_temp.low_late'), (SELECT count(*) FROM pg_prepared_statements);

-- what goes with it is said, be it somebody's
SELECT migrate.add('4.1', 'lends a type', 'CREATE DOMAIN pg_temp.low_lent AS text; CREATE TABLE low.borrows (a pg_temp.low_lent, b int)');
SELECT version FROM migrate.apply();

-- the caller's own things stay, and stay as they are
CREATE TEMP TABLE low_mine (a int);
CREATE FUNCTION pg_temp.low_mine() RETURNS text LANGUAGE sql AS 'SELECT ''mine''';
PREPARE low_mine AS SELECT 'prepared';
SELECT migrate.add('5', 'harmless', 'INSERT INTO low_mine VALUES (1); ANALYZE low_mine; SELECT pg_temp.low_mine(); EXECUTE low_mine');
SELECT version FROM migrate.apply();
TABLE low_mine;
SELECT pg_temp.low_mine();
EXECUTE low_mine;
SELECT migrate.add('6', 'replaces a function', 'CREATE OR REPLACE FUNCTION pg_temp.low_mine() RETURNS text LANGUAGE sql AS ''SELECT low.up(''''replaced'''')::text''');
SELECT version FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT FROM migrate.remove('6');
SELECT migrate.add('6', 'adds a trigger', 'CREATE TRIGGER low BEFORE INSERT ON low_mine FOR EACH STATEMENT EXECUTE FUNCTION low.trg()');
SELECT version FROM migrate.apply();
SELECT FROM migrate.remove('6');
SELECT migrate.add('6', 'adds a default', 'ALTER TABLE low_mine ALTER a SET DEFAULT low.up(''default'')::int');
SELECT version FROM migrate.apply();
SELECT FROM migrate.remove('6');
SELECT migrate.add('6', 'adds an index', 'CREATE INDEX ON low_mine ((a + 1))');
SELECT version FROM migrate.apply();
SELECT FROM migrate.remove('6');
SELECT migrate.add('6', 'adds a rule', 'CREATE RULE low AS ON INSERT TO low_mine DO ALSO SELECT low.up(''rule'')');
SELECT version FROM migrate.apply();
SELECT FROM migrate.remove('6');
SELECT migrate.add('6', 'prepares anew', 'DEALLOCATE low_mine; PREPARE low_mine AS SELECT low.up(''prepared again'')');
SELECT version FROM migrate.apply();
EXECUTE low_mine;
BEGIN;
DECLARE low_held CURSOR WITH HOLD FOR SELECT 'held' AS what;
SELECT migrate.add('7', 'beside the cursor of the caller', 'SELECT 1');
SELECT version FROM migrate.apply();
COMMIT;
FETCH low_held;
CLOSE low_held;
SELECT migrate.add('8', 'takes the place of the cursor', 'CLOSE low_held; DECLARE low_held CURSOR WITH HOLD FOR SELECT low.up(''held'')');
BEGIN;
DO $$ BEGIN EXECUTE 'DECLARE low_held CURSOR WITH HOLD FOR SELECT 1'; PERFORM migrate.apply(); END $$;
ROLLBACK;
SELECT migrate.remove('8');
-- nor may they be taken away, so that their names mean something else
SELECT migrate.add('8', 'changes mine', 'DROP TABLE low_mine');
SELECT version FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('8', 'changes mine', 'ALTER TABLE low_mine RENAME TO low_other');
SELECT version FROM migrate.apply();
SELECT migrate.add('8', 'changes mine', 'DISCARD TEMP');
SELECT version FROM migrate.apply();
SELECT migrate.add('8', 'changes mine', 'ALTER FUNCTION pg_temp.low_mine() SET search_path = low');
SELECT version FROM migrate.apply();
SELECT migrate.remove('8');
TABLE low_mine;
DROP TABLE low_mine;
DROP FUNCTION pg_temp.low_mine;

-- an error does not undo PREPARE
SELECT migrate.add('8', 'fails', $$
    DO $d$ BEGIN
        EXECUTE 'DEALLOCATE low_mine';
        EXECUTE 'PREPARE low_mine AS SELECT low.up(''prepared by a failed script'')';
        BEGIN EXECUTE 'PREPARE low_kept AS SELECT 1'; EXCEPTION WHEN duplicate_prepared_statement THEN NULL; END;
    END $d$;
    PREPARE low_new AS SELECT 1;
    SELECT 1 / 0 $$);
PREPARE low_mine AS SELECT 'prepared';
PREPARE low_kept AS SELECT 'kept';
SELECT version FROM migrate.apply();
BEGIN;
SAVEPOINT s;
SELECT version FROM migrate.apply();
ROLLBACK TO s;
COMMIT;
SELECT name FROM pg_prepared_statements;
DEALLOCATE low_kept;
SELECT migrate.remove('8');

-- an approval may say that the script may set the role: by somebody who may act as the session's user
SELECT migrate.add('8', 'raises', 'CREATE TEMP TABLE low_stays (a int); RESET ROLE; SELECT low.up(''approved'')');
SELECT migrate.approve('8', may_set_role => true);
SELECT version FROM migrate.apply();
RESET ROLE;
SELECT migrate.approve('8', may_set_role => true);
SET ROLE regress_dbmigrate_app;
SELECT version FROM migrate.apply();
RESET ROLE;
SELECT to_regclass('pg_temp.low_stays');
TABLE low_canary;
DROP TABLE low_stays;

-- in a SECURITY DEFINER function pg_temp is the weaker one's
CREATE SCHEMA low_target;
CREATE SCHEMA low_types;
CREATE DOMAIN low_types.email AS text;
CREATE FUNCTION public.low_deploy() RETURNS SETOF text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
    $$ SELECT version FROM migrate.apply(schema => 'low_target', extra_search_path => 'low_types', project => 'low') $$;
SELECT migrate.add('1', 'means a domain', 'SELECT ''x''::email', project => 'low');
SELECT migrate.add('2', 'sets the path', 'SET search_path = low_types; SELECT ''x''::email', project => 'low');
SET SESSION AUTHORIZATION regress_dbmigrate_app;
CREATE FUNCTION pg_temp.trap(text) RETURNS boolean LANGUAGE sql AS $$ INSERT INTO public.low_canary VALUES ('trap', current_user); SELECT true $$;
CREATE DOMAIN pg_temp.email AS text CHECK (pg_temp.trap(VALUE));
SELECT low_deploy();
\echo :LAST_ERROR_SQLSTATE
DROP DOMAIN pg_temp.email;
CREATE TEMP TABLE email (a text CHECK (pg_temp.trap(a)));
SELECT low_deploy();
DROP TABLE pg_temp.email;
DROP FUNCTION pg_temp.trap;
SELECT low_deploy();
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
TABLE low_canary;
DROP FUNCTION public.low_deploy;
DROP SCHEMA low_target, low_types CASCADE;

DROP EXTENSION dbmigrate;
RESET SESSION AUTHORIZATION;
SET client_min_messages = warning;
DROP SCHEMA low CASCADE;
DROP TABLE low_canary;
DROP ROLE regress_dbmigrate_app, regress_dbmigrate_dba;
