-- Registering, changing, forgetting.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;

-- added, unchanged, updated; what is left out stays as it is
SELECT migrate.add('001', 'users', 'CREATE TABLE reg_users (a int);', 'DROP TABLE reg_users;');
SELECT migrate.add('001', 'users', 'CREATE TABLE reg_users (a int);', 'DROP TABLE reg_users;');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int);', 'DROP TABLE reg_users;');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', 'DROP TABLE reg_users;');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', 'DROP TABLE reg_users', environments => '{production}');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', 'DROP TABLE reg_users', environments => '{production}');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', 'DROP TABLE reg_users', file_name => '001_people.sql');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);');
SELECT environments, down, file_name FROM migrate.migration;
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', environments => '{}');
SELECT migrate.add('001', 'people', 'CREATE TABLE reg_users (a int, b int);', environments => '{}');
SELECT id, version, name, up_statements, down_statements, environments, file_name,
       up_author = current_user AS mine, length(up_sha256)
  FROM migrate.migration;

-- 1 and 001 are the same version, and keep the key they were made with
SELECT migrate.add('1', 'people', 'CREATE TABLE reg_users (a int, b int);', 'DROP TABLE reg_users');
SELECT id, version FROM migrate.migration;

-- versions in order, whatever they look like; from a database's collation independent
SELECT migrate.add(v, 'order', 'SELECT 1')
  FROM unnest('{10,2,1.2.10,1.2.9,20231106120000,20231106120000123,1_3,007,0,99999999999999999999999999}'::text[]) v;
SELECT version, version_key FROM migrate.migration ORDER BY version_key;
SELECT migrate.version_key('1') = migrate.version_key('001.0.0') AS same,
       migrate.version_key('0') AS zero, migrate.version_key('00.0') AS zeros;

-- not versions
SELECT migrate.add('', 'x', 'SELECT 1');
SELECT migrate.add('v1', 'x', 'SELECT 1');
SELECT migrate.add('1.', 'x', 'SELECT 1');
SELECT migrate.add('-1', 'x', 'SELECT 1');
SELECT migrate.add('1; DROP TABLE x', 'x', 'SELECT 1');
SELECT migrate.add(repeat('1', 256), 'x', 'SELECT 1') IS NULL;
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add(repeat('1.', 64) || '1', 'x', 'SELECT 1') IS NULL;
\echo :LAST_ERROR_SQLSTATE

-- nulls
SELECT migrate.add(NULL, '', 'SELECT 1');
SELECT migrate.add('1', NULL, 'SELECT 1');
SELECT migrate.add('1', 'x', NULL);
SELECT migrate.add('500', 'x', 'SELECT 1', environments => '{a,NULL}');
SELECT migrate.remove(NULL);
SELECT migrate.create(NULL, 'SELECT 1');
SELECT migrate.approve(NULL);
SELECT migrate.amend(NULL, NULL, NULL, 'r');

-- names are data
SELECT migrate.add('600', E'it''s "100%" \\ %s %n $(rm) é', 'SELECT 1');
SELECT name FROM migrate.migration WHERE version = '600';
SELECT migrate.add('601', '', 'SELECT 1');

-- create() makes fresh versions, also several within a second
CREATE TEMP TABLE made AS
    SELECT migrate.create('first', 'SELECT 1', 'SELECT 2') AS v
    UNION ALL SELECT migrate.create('second', 'SELECT 1')
    UNION ALL SELECT migrate.create('third', 'SELECT 1');
SELECT count(DISTINCT v), bool_and(v ~ '^\d{14}$'),
       bool_and(to_timestamp(v, 'YYYYMMDDHH24MISS')::timestamp
                BETWEEN (now() AT TIME ZONE 'UTC') - interval '1 minute'
                    AND (now() AT TIME ZONE 'UTC') + interval '1 minute') AS utc
  FROM made;

-- remove
SELECT migrate.remove('0600');
SELECT migrate.remove('600');
SELECT version, action FROM migrate.apply_to('1');
SELECT migrate.remove('1');

-- an applied migration: the up script stays, its comments and the down script may change
DROP EXTENSION dbmigrate;
DROP TABLE reg_users;
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SELECT migrate.add('1', 'users', 'CREATE TABLE reg_users (a int);');
SELECT version, action FROM migrate.apply();
SELECT migrate.add('1', 'users', 'CREATE TABLE reg_users (a bigint);');
SELECT migrate.add('1', 'users', E'-- the users\nCREATE TABLE reg_users\n (a int);');
SELECT migrate.add('1', 'users', E'-- the users\nCREATE TABLE reg_users\n (a int);', 'DROP TABLE reg_users');
SELECT version, state, can_rollback FROM migrate.status();
-- a new name is the name everywhere
SELECT migrate.add('001', 'renamed', E'-- the users\nCREATE TABLE reg_users\n (a int);');
SELECT s.version, s.name, a.version, a.name FROM migrate.status() s, migrate.schema_migrations a;
SELECT migrate.add('1', 'users', E'-- the users\nCREATE TABLE reg_users\n (a int);');

-- amend
SELECT migrate.amend('1', 'CREATE TABLE reg_users (a bigint)', NULL, NULL);
SELECT migrate.amend('1', 'CREATE TABLE reg_users (a bigint)', NULL, '  ');
SELECT migrate.amend('2', 'CREATE TABLE reg_users (a bigint)', NULL, 'x');
SELECT migrate.amend('1', 'CREATE TABLE reg_users (a bigint)', NULL, 'widened by hand');
SELECT m.up, m.down, a.checksum = m.checksum AS agree FROM migrate.migration m JOIN migrate.applied a USING (id);
SELECT migrate.amend('1', NULL, '', 'keep the table');
SELECT up, down, down_statements FROM migrate.migration;
SELECT version, state, can_rollback FROM migrate.status();
SELECT action, migration, reason FROM migrate.history ORDER BY id;
SELECT migrate.add('2', 'pending', 'SELECT 1');
SELECT migrate.amend('2', 'SELECT 2', NULL, 'not applied');
SELECT version, action, statements FROM migrate.rollback();
SELECT migrate.add('1', 'users', 'CREATE TABLE reg_users (a text);');

-- online: recognised, or as told
SELECT migrate.add('10', 'cic', 'CREATE INDEX CONCURRENTLY i ON reg_users (a)', 'DROP INDEX CONCURRENTLY i');
SELECT migrate.add('11', 'told', 'SELECT 1', online => true, down_online => true);
SELECT migrate.add('12', 'told not', 'VACUUM', 'VACUUM', online => false);
SELECT version, up_online, down_online FROM migrate.migration WHERE version_key >= '{10}' ORDER BY version_key;

-- a newer dialect is registered, and said so
SELECT migrate.add('20', 'newer', E'SELECT 1;\n\nCREATE GADGET g WITH (x);', 'DROP GADGET g');
SELECT migrate.add('21', 'newer', E'SELECT 1;\nSELECT 1zzz;');
SELECT migrate.add('22', 'newer', E'CREATE UNIQUE INDEX CONCURRENTLY i ON t (a) WITH GADGETS;');
SELECT migrate.add('23', 'cut off', E'SELECT 1;\nSELECT ''abc;\n');
SELECT version, unreadable, down_unreadable, up_online FROM migrate.migration WHERE version_key >= '{20}' ORDER BY version_key;
SELECT version, state FROM migrate.status() WHERE version::int >= 20;

-- nothing in it
SELECT migrate.add('30', 'empty', E'-- nothing\n/* at all */ ;;', '-- nothing either');
SELECT version, up_statements, down_statements FROM migrate.migration WHERE version = '30';

-- a trigger that makes rows vanish is no endless loop, and no false success
CREATE FUNCTION reg_vanish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER vanish BEFORE INSERT OR UPDATE ON migrate.migration FOR EACH ROW EXECUTE FUNCTION reg_vanish();
SELECT migrate.add('50', 'gone', 'SELECT 1');
SELECT migrate.add('30', 'empty', 'SELECT 30');
DROP FUNCTION reg_vanish CASCADE;

-- read only
BEGIN READ ONLY;
SELECT migrate.add('40', 'x', 'SELECT 1');
ROLLBACK;
DROP TABLE reg_users;
DROP EXTENSION dbmigrate;
