-- Each migration starts from the same state; the caller's settings survive.
CREATE EXTENSION dbmigrate;
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
SELECT migrate.add('9', 'works', $$ SET lock_timeout = '33s' $$);
SELECT count(*) FROM migrate.apply();
SHOW lock_timeout;
COMMIT;
SHOW lock_timeout;

-- a migration that drops the role it runs as
CREATE ROLE regress_dbmigrate_gone SUPERUSER;
SELECT migrate.add('10', 'suicide', $$ SET SESSION AUTHORIZATION DEFAULT; DROP ROLE regress_dbmigrate_gone $$);
SET ROLE regress_dbmigrate_gone;
SELECT count(*) FROM migrate.apply();
RESET ROLE;
SELECT migrate.remove('10');

-- what stays, as documented: temporary tables, prepared statements
SELECT migrate.add('11', 'temp', $$ CREATE TEMP TABLE state_temp AS SELECT 1 AS a; PREPARE state_p AS SELECT 2; $$);
SELECT count(*) FROM migrate.apply();
TABLE state_temp;
EXECUTE state_p;

RESET lock_timeout;
RESET work_mem;
DROP SCHEMA state_other CASCADE;
DROP FUNCTION state_look, state_f;
DROP TABLE state_seen;
DROP ROLE regress_dbmigrate_state, regress_dbmigrate_gone;
DROP EXTENSION dbmigrate;
