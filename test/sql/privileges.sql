-- Who may do what, and whose scripts are run.
SELECT current_user AS superuser \gset
CREATE ROLE regress_dbmigrate_dba SUPERUSER;
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
SET client_min_messages = error;
CREATE ROLE regress_dbmigrate_owner CREATEDB;
CREATE ROLE regress_dbmigrate_reader;
CREATE ROLE regress_dbmigrate_deployer;
CREATE ROLE regress_dbmigrate_author;
CREATE ROLE regress_dbmigrate_plain;
SELECT current_database() AS db, current_user AS me \gset
ALTER DATABASE :"db" OWNER TO regress_dbmigrate_owner;
GRANT CREATE ON SCHEMA public TO regress_dbmigrate_deployer, regress_dbmigrate_author, regress_dbmigrate_owner;

-- the GRANTs of the README
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_reader, regress_dbmigrate_deployer, regress_dbmigrate_author;
GRANT EXECUTE ON FUNCTION migrate.status, migrate.pending, migrate.version, migrate.require, migrate.status_json, migrate.environment
    TO regress_dbmigrate_reader, regress_dbmigrate_deployer, regress_dbmigrate_author;
GRANT SELECT ON migrate.schema_migrations TO regress_dbmigrate_reader;
GRANT EXECUTE ON FUNCTION migrate.add, migrate.add_file, migrate.add_files, migrate.create, migrate.remove TO regress_dbmigrate_author;
GRANT EXECUTE ON FUNCTION migrate.apply, migrate.apply_to, migrate.apply_json, migrate.rollback, migrate.rollback_to, migrate.rollback_json,
    migrate.redo
    TO regress_dbmigrate_deployer;

RESET client_min_messages;

-- a reader sees the state, not the text
SELECT migrate.add('1', 'secret', 'CREATE TABLE priv_one (a int); SELECT ''secret''', 'DROP TABLE priv_one');
SET ROLE regress_dbmigrate_reader;
SELECT version, name, state FROM migrate.status();
SELECT up FROM migrate.migration;
RESET ROLE;

-- a superuser's script is run by anybody, somebody else's by nobody but him
SET ROLE regress_dbmigrate_deployer;
SELECT version FROM migrate.apply();
SELECT version FROM migrate.rollback();
RESET ROLE;
SELECT migrate.remove('1');
SET ROLE regress_dbmigrate_author;
SELECT migrate.add('1', 'theirs', 'CREATE TABLE priv_one (a int)', 'DROP TABLE priv_one');
SELECT migrate.add('2', 'theirs', 'CREATE TABLE priv_two (a int)', 'DROP TABLE priv_two');
SELECT migrate.approve('1');
RESET ROLE;
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SET ROLE regress_dbmigrate_deployer;
SELECT * FROM migrate.apply();
RESET ROLE;

-- approval is the remedy, for these bytes only
SELECT migrate.approve('1');
SELECT migrate.approve('2');
SELECT version FROM migrate.apply(1);
SET ROLE regress_dbmigrate_author;
SELECT migrate.add('2', 'theirs', 'CREATE TABLE priv_two (a bigint)', 'DROP TABLE priv_two');
RESET ROLE;
SELECT * FROM migrate.apply();
SELECT migrate.approve('2');
SELECT version FROM migrate.apply();
-- a down script apart from its up script
SET ROLE regress_dbmigrate_author;
SELECT migrate.add('2', 'theirs', 'CREATE TABLE priv_two (a bigint)', 'DROP TABLE priv_two; SELECT 1');
RESET ROLE;
SELECT p.script, p.sha256 = CASE p.script WHEN 'up' THEN m.up_sha256 ELSE m.down_sha256 END AS holds
  FROM migrate.approval p JOIN migrate.migration m ON m.id = p.migration WHERE m.version = '2' ORDER BY 1 DESC;
SELECT * FROM migrate.rollback();
SELECT migrate.approve('2');
SELECT version FROM migrate.rollback();
-- text changed behind our back is nobody's
UPDATE migrate.migration SET up = 'SELECT 7' WHERE version = '2';
SELECT * FROM migrate.apply();
SELECT migrate.remove('2');

-- members of a role: author and deployer both as the owning role, or inheriting it
CREATE ROLE regress_dbmigrate_app;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_app;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA migrate TO regress_dbmigrate_app;
GRANT CREATE ON SCHEMA public TO regress_dbmigrate_app;
GRANT regress_dbmigrate_app TO regress_dbmigrate_author, regress_dbmigrate_deployer;
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('3', 'by a member', 'CREATE TABLE priv_three (a int)', 'DROP TABLE priv_three');
SET SESSION AUTHORIZATION regress_dbmigrate_deployer;
SELECT * FROM migrate.apply();
SET ROLE regress_dbmigrate_app;
SELECT version FROM migrate.apply();
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
SELECT tableowner FROM pg_tables WHERE tablename = 'priv_three';
SELECT session_username, username FROM migrate.history ORDER BY id DESC LIMIT 1;

-- whose rights were not enough, and what to type
CREATE FUNCTION public.priv_secret() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM migrate.migration';
ALTER FUNCTION public.priv_secret OWNER TO regress_dbmigrate_plain;
GRANT EXECUTE ON FUNCTION migrate.add, migrate.remove TO regress_dbmigrate_deployer;
SET SESSION AUTHORIZATION regress_dbmigrate_deployer;
SELECT migrate.add('3.1', 'not mine', 'ALTER TABLE priv_one ADD b int');
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('3.1', 'not mine', 'COPY priv_one FROM stdin;
1
\.
');
SELECT * FROM migrate.apply();
SELECT migrate.add('3.1', 'not mine', $m$DO $x$ BEGIN RAISE insufficient_privilege USING HINT = 'mine'; END $x$$m$);
SELECT * FROM migrate.apply();
SELECT migrate.add('3.1', 'not mine', 'SELECT priv_secret()');
SELECT * FROM migrate.apply();
SELECT migrate.remove('3.1');
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
DROP FUNCTION public.priv_secret;

-- only the author, or who could become him, may change what is pending
SET ROLE regress_dbmigrate_author;
SELECT migrate.add('4', 'mine', 'SELECT 1', 'SELECT 2');
RESET ROLE;
GRANT EXECUTE ON FUNCTION migrate.add, migrate.remove TO regress_dbmigrate_deployer;
SET SESSION AUTHORIZATION regress_dbmigrate_deployer;
SELECT migrate.add('4', 'mine', 'SELECT 666', 'SELECT 2');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('4', 'mine', 'SELECT 1', 'SELECT 666');
SELECT migrate.add('4', 'renamed', 'SELECT 1', 'SELECT 2');
SELECT migrate.remove('4');
SELECT migrate.add('4', 'mine', 'SELECT 1', 'SELECT 2');
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
SELECT migrate.add('4', 'mine', 'SELECT 1', 'SELECT 3');
SELECT up_author, down_author = :'me' AS down_mine FROM migrate.migration WHERE version = '4';
-- a role that is gone vouches for nothing
SET ROLE regress_dbmigrate_plain;
RESET ROLE;
UPDATE migrate.migration SET up_author = 'regress_dbmigrate_nobody' WHERE version = '4';
SELECT * FROM migrate.apply();
SELECT migrate.remove('4');

-- a DBA who lowered himself must not be raised again by the script
CREATE TABLE priv_canary (who text);
GRANT INSERT ON priv_canary TO PUBLIC;
CREATE FUNCTION public.priv_attack(label text, script text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    said text;
BEGIN
    PERFORM migrate.add('5', label, script);
    BEGIN
        PERFORM migrate.apply();
        said := 'ran';
    EXCEPTION WHEN OTHERS THEN
        said := SQLSTATE || ' ' || SQLERRM;
    END;
    IF said <> 'ran' THEN
        PERFORM migrate.remove('5');
    END IF;
    RETURN said;
END $$;
GRANT CREATE ON DATABASE :"db" TO regress_dbmigrate_app;
SET ROLE regress_dbmigrate_app;
SELECT migrate.add('5', 'reset role', 'RESET ROLE');
SELECT * FROM migrate.apply();
SELECT migrate.remove('5');
SELECT priv_attack(a, s) FROM (VALUES
    ('reset role', 'RESET ROLE; INSERT INTO priv_canary VALUES (current_user)'),
    ('set role none', 'SET ROLE NONE'),
    ('set role', format('SET ROLE %I', :'me')),
    ('set_config', 'SELECT set_config(''role'', ''none'', false)'),
    ('session authorization', 'SET SESSION AUTHORIZATION DEFAULT'),
    ('reset all', 'SET SESSION AUTHORIZATION DEFAULT'),
    ('named, with a cast', 'SELECT set_config(setting_name => ''role''::text, new_value => ''none'', is_local => true)'),
    ('dynamic', 'DO $x$ BEGIN EXECUTE ''SET ROLE NONE''; END $x$'),
    ('dynamic set_config', 'SELECT set_config(''ro'' || ''le'', ''none'', false)'),
    ('dynamic session authorization', 'DO $x$ BEGIN EXECUTE ''SET SESSION AUTHORIZATION DEFAULT''; END $x$'),
    ('in a block', 'DO $x$ BEGIN EXECUTE ''RESET ROLE''; INSERT INTO priv_canary VALUES (current_user); END $x$'),
    ('function with set', 'CREATE FUNCTION priv_f() RETURNS void LANGUAGE sql SET role = ''none'' AS ''INSERT INTO public.priv_canary VALUES (current_user)''; SELECT priv_f()'),
    ('with hold', 'CREATE FUNCTION priv_g() RETURNS int LANGUAGE plpgsql AS ''BEGIN RESET ROLE; INSERT INTO public.priv_canary VALUES (current_user); RETURN 1; END''; DECLARE c CURSOR WITH HOLD FOR SELECT priv_g()'),
    ('deferred', 'CREATE TABLE priv_d (a int); CREATE FUNCTION priv_h() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RESET ROLE; INSERT INTO public.priv_canary VALUES (current_user); RETURN NULL; END''; CREATE CONSTRAINT TRIGGER h AFTER INSERT ON priv_d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION priv_h(); INSERT INTO priv_d VALUES (1)'),
    ('deferred, no usage', 'CREATE SCHEMA regress_priv_s; CREATE TABLE regress_priv_s.d (a int); CREATE FUNCTION regress_priv_s.h() RETURNS trigger LANGUAGE plpgsql AS ''BEGIN RESET ROLE; INSERT INTO public.priv_canary VALUES (current_user); RETURN NULL; END''; CREATE CONSTRAINT TRIGGER h AFTER INSERT ON regress_priv_s.d DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION regress_priv_s.h(); INSERT INTO regress_priv_s.d VALUES (1); REVOKE ALL ON SCHEMA regress_priv_s FROM regress_dbmigrate_app')) v(a, s);
SELECT current_user;
RESET ROLE;
TABLE priv_canary;
-- SET SESSION AUTHORIZATION is a way back up, too
RESET ROLE;
SET SESSION AUTHORIZATION regress_dbmigrate_app;
SELECT priv_attack('reset role', 'RESET ROLE; INSERT INTO priv_canary VALUES (current_user)');
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
TABLE priv_canary;
-- approved by somebody who may act as the session user, it may do as he likes
SET ROLE regress_dbmigrate_app;
SELECT migrate.add('5', 'approved', 'RESET ROLE; INSERT INTO priv_canary VALUES (''approved'')');
RESET ROLE;
SELECT migrate.approve('5');
SET ROLE regress_dbmigrate_app;
SELECT version FROM migrate.apply();
SELECT migrate.approve('5', may_set_role => true);
SELECT version FROM migrate.apply();
RESET ROLE;
SELECT migrate.approve('5', may_set_role => true);
SET ROLE regress_dbmigrate_app;
SELECT version FROM migrate.apply();
RESET ROLE;
TABLE priv_canary;
-- ordinary deferred constraints work in the restricted case
SET ROLE regress_dbmigrate_app;
SELECT migrate.add('6', 'deferred', 'CREATE TABLE priv_p (a int PRIMARY KEY); CREATE TABLE priv_c (a int REFERENCES priv_p DEFERRABLE INITIALLY DEFERRED); INSERT INTO priv_c VALUES (1); INSERT INTO priv_p VALUES (1)');
SELECT migrate.add('7', 'set', 'SET LOCAL lock_timeout = 0; SET search_path = public; DECLARE c CURSOR FOR SELECT 1');
SELECT version FROM migrate.apply();
RESET ROLE;

-- security-restricted operations, and SECURITY DEFINER
CREATE FUNCTION public.priv_definer() RETURNS bigint LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS 'SELECT count(*) FROM migrate.apply()';
SELECT migrate.add('8', 'definer', 'CREATE TABLE priv_eight AS SELECT current_user::text AS cu, session_user::text AS su');
GRANT EXECUTE ON FUNCTION priv_definer TO regress_dbmigrate_plain;
SET SESSION AUTHORIZATION regress_dbmigrate_plain;
SELECT public.priv_definer();
SET SESSION AUTHORIZATION regress_dbmigrate_dba;
SELECT cu = :'me' AS definer, su FROM priv_eight;
CREATE FUNCTION public.priv_index(a int) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT count(*) FROM migrate.rollback()';
CREATE TABLE priv_indexed AS SELECT 1 AS a;
CREATE INDEX ON priv_indexed (priv_index(a));
CREATE MATERIALIZED VIEW priv_view AS SELECT * FROM migrate.redo();

DROP EXTENSION dbmigrate;
SET client_min_messages = error;
RESET SESSION AUTHORIZATION;
ALTER DATABASE :"db" OWNER TO :"superuser";
DROP TABLE priv_canary, priv_indexed, priv_eight, priv_one;
DROP FUNCTION priv_attack, priv_definer, priv_index;
DROP OWNED BY regress_dbmigrate_owner, regress_dbmigrate_reader, regress_dbmigrate_deployer, regress_dbmigrate_author, regress_dbmigrate_plain, regress_dbmigrate_app, regress_dbmigrate_dba CASCADE;
DROP ROLE regress_dbmigrate_owner, regress_dbmigrate_reader, regress_dbmigrate_deployer, regress_dbmigrate_author, regress_dbmigrate_plain, regress_dbmigrate_app, regress_dbmigrate_dba;
