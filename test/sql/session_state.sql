-- Each migration starts from the same state; the caller's settings survive.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE ROLE regress_dbmigrate_state;
CREATE SCHEMA state_other;
CREATE TABLE state_seen (step text, path text, lock_timeout text, work_mem text, me text, session text, role text, client_encoding text, replication_role text);
CREATE FUNCTION public.state_look(step text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO public.state_seen VALUES (step, current_setting('search_path'), current_setting('lock_timeout'),
        current_setting('work_mem'), current_user, session_user, current_setting('role'),
        current_setting('client_encoding'), current_setting('session_replication_role')) $$;
SET lock_timeout = '11s';
SET work_mem = '5MB';
SELECT public.state_look('caller before');

SELECT migrate.add('1', 'set', $$ SET search_path = state_other; SET lock_timeout = '99s'; SET LOCAL work_mem = '9MB';
    CREATE TABLE here (a int); SELECT public.state_look('in 1'); $$);
SELECT migrate.add('2', 'look', $$ SELECT public.state_look('in 2') $$);
SELECT migrate.add('3', 'as pg_dump', $$ SELECT pg_catalog.set_config('search_path', '', false); SET client_encoding = 'LATIN1';
    SET session_replication_role = replica; SELECT public.state_look('in 3'); $$);
SELECT migrate.add('4', 'role', $$ GRANT CREATE ON SCHEMA state_other TO regress_dbmigrate_state; GRANT USAGE ON SCHEMA state_other TO regress_dbmigrate_state;
    SET ROLE regress_dbmigrate_state; CREATE TABLE state_other.owned (a int); $$);
SELECT migrate.add('5', 'authorization', $$ SET SESSION AUTHORIZATION regress_dbmigrate_state; CREATE TABLE state_other.owned_too (a int); $$);
SELECT migrate.add('6', 'reset', $$ RESET ALL; RESET ROLE; SELECT public.state_look('in 6') $$);
SELECT migrate.add('7', 'look again', $$ SELECT public.state_look('in 7') $$);
SELECT migrate.add('8', 'function', $$ CREATE FUNCTION state_f() RETURNS void LANGUAGE plpgsql AS 'BEGIN SET lock_timeout = ''88s''; PERFORM set_config(''search_path'', ''nowhere'', false); END';
    SELECT state_f(); $$);
SELECT count(*) FROM migrate.apply();
SELECT public.state_look('caller after');
SELECT step, path, lock_timeout, work_mem, me = current_user AS me, session = session_user AS session, role, client_encoding, replication_role FROM state_seen;
SELECT tablename, CASE tableowner WHEN current_user THEN 'caller' ELSE tableowner END AS owner FROM pg_tables WHERE schemaname = 'state_other' ORDER BY 1;
SELECT migration, search_path FROM migrate.history ORDER BY id LIMIT 3;

-- so too when a migration fails
SELECT migrate.add('9', 'fails', $$ SET search_path = state_other; SET ROLE regress_dbmigrate_state; SELECT 1/0 $$);
SELECT * FROM migrate.apply();
SELECT public.state_look('caller after error');
SELECT path, lock_timeout, me = current_user AS me, role FROM state_seen WHERE step = 'caller after error';

-- the rest of the caller's transaction, too
BEGIN;
SET LOCAL lock_timeout = '22s';
SELECT FROM migrate.remove('9');
SELECT migrate.add('9', 'works', $$ SET lock_timeout = '33s' $$);
SELECT count(*) FROM migrate.apply();
SHOW lock_timeout;
COMMIT;
SHOW lock_timeout;

-- a migration that drops the role it runs as
CREATE ROLE regress_dbmigrate_gone SUPERUSER;
SELECT migrate.add('10', 'suicide', $$ SET SESSION AUTHORIZATION DEFAULT; DROP ROLE regress_dbmigrate_gone $$);
SELECT migrate.approve('10', may_set_role => true);
SET ROLE regress_dbmigrate_gone;
SELECT count(*) FROM migrate.apply();
RESET ROLE;
SELECT migrate.remove('10');

-- what stays, as documented: temporary tables, prepared statements
SELECT migrate.add('11', 'temp', $$ CREATE TEMP TABLE state_temp AS SELECT 1 AS a; PREPARE state_p AS SELECT 2; $$);
SELECT count(*) FROM migrate.apply();
TABLE state_temp;
EXECUTE state_p;

-- what a commit would have ended, ends with each migration: ON COMMIT DROP ...
CREATE TABLE state_users (a int);
SELECT migrate.add('12', 'scratch', $$ CREATE TEMP TABLE state_users ON COMMIT DROP AS SELECT 1 AS a;
    CREATE TEMP TABLE IF NOT EXISTS state_scratch (a int UNIQUE) ON COMMIT DROP;
    CREATE TABLE pg_temp."State Odd" (a int) ON COMMIT DROP; CREATE TEMP VIEW state_over AS SELECT * FROM state_scratch $$);
SELECT migrate.add('13', 'scratch again', $$ CREATE LOCAL TEMPORARY TABLE state_scratch (a int) ON COMMIT DROP; ALTER TABLE state_users ADD b int $$);
SELECT version FROM migrate.apply();
SELECT attname FROM pg_attribute WHERE attrelid = 'public.state_users'::regclass AND attnum > 0;
-- ... and cursors, but for those WITH HOLD
SELECT migrate.add('14', 'cursor', $$ DECLARE state_c CURSOR FOR SELECT * FROM state_users; FETCH 1 FROM state_c;
    DECLARE state_h CURSOR WITH HOLD FOR SELECT 7 AS held $$);
SELECT migrate.add('15', 'the same cursor', $$ ALTER TABLE state_users ADD c int; DECLARE state_c CURSOR FOR SELECT 1;
    DO 'DECLARE r refcursor := ''state_open''; BEGIN OPEN r FOR SELECT 1; END' $$);
BEGIN;
SELECT version FROM migrate.apply();
SELECT name FROM pg_cursors WHERE name LIKE 'state%' ORDER BY 1;
FETCH state_h;
COMMIT;
CLOSE state_h;
-- the caller's own things are left alone
SELECT migrate.add('16', 'drops', $$ CREATE TEMP TABLE IF NOT EXISTS state_mine (a int) ON COMMIT DROP; SELECT 1 $$);
SELECT migrate.add('17', 'more', $$ DECLARE state_c CURSOR FOR SELECT 2; SELECT 1 $$);
BEGIN;
CREATE TEMP TABLE state_mine ON COMMIT DROP AS SELECT 1 AS a;
CREATE TEMP TABLE state_rows ON COMMIT DELETE ROWS AS SELECT 2 AS a;
INSERT INTO state_rows VALUES (2);
DECLARE state_c1 CURSOR FOR SELECT 1 AS one;
DO $$ DECLARE r refcursor := 'state_c2'; BEGIN OPEN r FOR SELECT 2 AS two; PERFORM migrate.apply(); END $$;
FETCH state_c1;
FETCH state_c2;
TABLE state_mine;
TABLE state_rows;
COMMIT;
SELECT version, state FROM migrate.status() WHERE version IN ('16', '17');

-- a temporary relation that hides a permanent one is an error before anything runs
SELECT migrate.add('18', 'temporary', $$ CREATE TEMP TABLE state_users AS SELECT 1 AS a $$);
SELECT migrate.add('19', 'means the permanent one', $$ ALTER TABLE state_users ADD d int $$);
SELECT version FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT version FROM migrate.apply(1);
SELECT version FROM migrate.apply();
DROP TABLE pg_temp.state_users;
CREATE TEMP VIEW state_users AS SELECT 1;
SELECT version FROM migrate.apply();
DROP VIEW pg_temp.state_users;
CREATE TEMP TABLE state_t (a int CONSTRAINT state_index PRIMARY KEY);
CREATE INDEX state_index ON public.state_users (a);
SELECT version FROM migrate.apply();
DROP TABLE state_t;
-- the same for types, and for the type of a table's rows
CREATE DOMAIN public.state_domain AS int;
CREATE TYPE pg_temp.state_domain AS ENUM ('a');
SELECT version FROM migrate.apply();
DROP TYPE pg_temp.state_domain;
CREATE DOMAIN pg_temp.text AS int;
SELECT version FROM migrate.apply();
DROP DOMAIN pg_temp.text;
CREATE TEMP TABLE state_domain (a int);
SELECT version FROM migrate.apply();
DROP TABLE pg_temp.state_domain;
DROP DOMAIN state_domain;
-- unless pg_temp is searched later, or there is a target schema
CREATE TEMP TABLE state_users (a int);
SELECT migrate.add('20', 'elsewhere', $$ CREATE TABLE state_elsewhere (a int); DROP TABLE state_elsewhere $$);
SET search_path = public, pg_temp;
SELECT version FROM migrate.apply(1);
RESET search_path;
SELECT version FROM migrate.apply();
SELECT migrate.baseline('19', 'state_other');
SELECT version FROM migrate.apply(schema => 'state_other');
SELECT version FROM migrate.apply(schema => 'state_other', extra_search_path => 'public');
DROP TABLE pg_temp.state_users;
SELECT version FROM migrate.apply();

RESET lock_timeout;
RESET work_mem;
DROP SCHEMA state_other CASCADE;
DROP FUNCTION state_look, state_f;
DROP TABLE state_seen, public.state_users;
DROP ROLE regress_dbmigrate_state, regress_dbmigrate_gone;
DROP EXTENSION dbmigrate;
