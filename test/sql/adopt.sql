-- Taking over the history of another tool: first a section for each tool's
-- table, then what is refused.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
CREATE SCHEMA adopt;
SET search_path = adopt, public;

-- Migrations with these file names, whose effects can be counted.
CREATE TABLE adopt.ran (n int);
CREATE FUNCTION register(files text[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT count(migrate.add((regexp_match(f, '\d+'))[1], regexp_replace(f, '^\D*\d+[-_]*|\..*$|/.*$', '', 'g'),
           format('INSERT INTO adopt.ran VALUES (%s)', n), format('DELETE FROM adopt.ran WHERE n = %s', n),
           file_name => f))
      FROM unnest(files) WITH ORDINALITY AS u (f, n)
$$;
CREATE PROCEDURE forget() LANGUAGE plpgsql AS $$
BEGIN
    TRUNCATE migrate.migration, migrate.applied, migrate.history, adopt.ran;
END $$;

-- node-pg-migrate
CREATE TABLE pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
INSERT INTO pgmigrations (name, run_on) VALUES
    ('1699280000000_create-users', '2023-11-06 14:00'), ('1699280000001_create-orders', '2023-11-06 14:00'),
    ('1699290000000_add-index', '2023-11-07 09:30:15.25');
SELECT register('{1699280000000_create-users.sql,1699280000001_create-orders.sql,1699290000000_add-index.sql,1699300000000_add-total.sql,1699310000000_drop-old.sql}');
SELECT * FROM migrate.adopt(dry_run => true);
SELECT count(*) FROM migrate.applied;
SELECT version, name, result, applied_at, applied_by = current_user AS by_me, detail FROM migrate.adopt();
SELECT version, name, state, applied_at FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
SELECT array_agg(n ORDER BY n) AS ran FROM ran;
SELECT version, result, applied_at, detail FROM migrate.adopt();
-- the history says where it is from; rolling back goes back in the tool's order
SELECT action, migration, reason FROM migrate.history WHERE action = 'adopt' ORDER BY id;
SELECT version, action FROM migrate.rollback(4);
-- what was undone here stays undone, unless it was run there since
SELECT version, result, detail FROM migrate.adopt();
SELECT version, state FROM migrate.status();
UPDATE pgmigrations SET run_on = now() + interval '1 second' WHERE name LIKE '%create-orders';
SELECT version, result FROM migrate.adopt();
SELECT migrate.mark_applied('1699290000000', 'done by hand');
-- one more there, one gone
INSERT INTO pgmigrations (name, run_on) VALUES ('1699320000000_one-more', '2023-12-01');
DELETE FROM pgmigrations WHERE name LIKE '%create-users';
SELECT version, result, detail FROM migrate.adopt();
SELECT version, state FROM migrate.status();
-- also where nothing is registered
SELECT migrate.mark_pending('1699320000000', 'it is not there');
SELECT version, result, detail FROM migrate.adopt() WHERE version = '1699320000000';
-- nor does an attempt to run it again put it into force, that fails and is given up
INSERT INTO pgmigrations (name, run_on) VALUES ('1699330000000_fails', '2023-12-02');
SELECT migrate.add('1699330000000', 'fails', 'SELECT 1; CREATE INDEX CONCURRENTLY ON nowhere (a)', '', file_name => '1699330000000_fails.sql');
SELECT migrate.mark_applied('1699330000000', 'by hand');
SELECT migrate.mark_pending('1699330000000', 'it is not there');
CALL migrate.run();
SELECT migrate.abandon('1699330000000', 'it never will');
SELECT action FROM migrate.history WHERE migration = '1699330000000' ORDER BY id;
SELECT version, result, detail FROM migrate.adopt() WHERE version = '1699330000000';
CALL forget();
DROP TABLE pgmigrations;

-- dbmate
CREATE TABLE schema_migrations (version varchar PRIMARY KEY);
INSERT INTO schema_migrations VALUES ('20230101000000'), ('20230102000000');
SELECT register('{20230101000000_a.sql,20230102000000_b.sql,20230103000000_c.sql}');
SELECT version, name, result, applied_at, applied_by, detail FROM migrate.adopt(dry_run => true);
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, state, applied_at > now() - interval '1 minute' AS lately FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
CALL forget();

-- Rails: the same table beside another one
CREATE TABLE ar_internal_metadata (key varchar PRIMARY KEY, value varchar, created_at timestamp(6), updated_at timestamp(6));
SELECT register('{20230101000000_a.rb,20230102000000_b.rb,20230103000000_c.rb}');
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE schema_migrations, ar_internal_metadata;

-- Ecto
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, inserted_at timestamp(0));
INSERT INTO schema_migrations VALUES (20230102000000, '2023-01-02 10:00'), (20230101000000, '2023-01-02 11:00');
SELECT register('{20230101000000_a.exs,20230102000000_b.exs,20230103000000_c.exs}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE schema_migrations;

-- golang-migrate: one row, and everything up to it
CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
SELECT register('{000001_a.up.sql,000002_b.up.sql,000003_c.up.sql}');
SELECT version, name, result FROM migrate.adopt();
INSERT INTO schema_migrations VALUES (2, true);
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
UPDATE schema_migrations SET dirty = false;
SELECT version, name, result, detail FROM migrate.adopt(dry_run => true);
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, state FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
SELECT version, name, result FROM migrate.adopt();
-- and back again over there
UPDATE schema_migrations SET version = 1;
SELECT version, name, result, detail FROM migrate.adopt();
CALL forget();
-- nothing is registered yet: what comes later and is older was run, too
UPDATE schema_migrations SET version = 2;
SELECT version, name, result, detail FROM migrate.adopt();
SELECT register('{000001_a.up.sql,000002_b.up.sql,000003_c.up.sql}');
SELECT version, name, state FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE schema_migrations;

-- supabase: the texts are there
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text NOT NULL PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES
    ('20230101000000', '{CREATE TABLE adopt.s (a int)}', 'a'), ('20230102000000', '{INSERT INTO adopt.ran VALUES (2),INSERT INTO adopt.ran VALUES (22)}', 'b');
SELECT register('{20230101000000_a.sql,20230103000000_c.sql}');
SELECT version, name, result, detail FROM migrate.adopt() \gx
SELECT version, state FROM migrate.status();
-- the command does what it says, and the text counts from then on
SELECT substring(detail FROM 'SELECT.*') AS command FROM migrate.adopt() WHERE version = '20230102000000' \gset
:command
SELECT a.id, a.checksum = m.checksum AS verified FROM migrate.applied a JOIN migrate.migration m USING (id) ORDER BY 1;
SELECT migrate.add('20230102000000', 'b', 'SELECT 2');
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP SCHEMA supabase_migrations CASCADE;

-- hand-written ones
CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz DEFAULT now(), description text, extra int);
INSERT INTO schema_migrations VALUES ('001', '2023-01-01', 'create users'), ('002', '2023-01-02', 'create orders');
SELECT register('{001_create_users.sql,002_orders.sql,003_more.sql}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
-- with the whole name as version, no zone, and a time missing
DROP TABLE schema_migrations;
CREATE TABLE schema_migrations (version varchar(100) PRIMARY KEY, applied_at timestamp);
INSERT INTO schema_migrations VALUES ('001_create_users.sql', '2023-01-01 12:00'), ('002_create_orders', NULL), ('seed', '2023-01-03'), ('V3__more.sql', '2023-01-04');
SELECT register('{001_create_users.sql,002_create_orders.sql,003_more.sql,004_last.sql}');
SET timezone = 'Europe/Berlin';
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SET timezone = 'UTC';
SELECT version, name, action FROM migrate.apply();
CALL forget();
-- bigint, and a flag that says that one failed
DROP TABLE schema_migrations;
CREATE TABLE schema_migrations (version bigint PRIMARY KEY, name text, applied_at timestamp, success boolean);
INSERT INTO schema_migrations VALUES (1, 'create_users', '2023-01-01 12:00', true), (2, 'create_orders', '2023-01-01 13:00', false);
SELECT * FROM migrate.adopt();
DELETE FROM schema_migrations WHERE NOT success;
SELECT register('{001_create_users.sql,002_create_orders.sql}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE schema_migrations;

-- goose
CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL,
    is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now());
INSERT INTO goose_db_version (version_id, is_applied, tstamp) VALUES (0, true, '2023-01-01'), (1, true, '2023-01-01'),
    (2, true, '2023-01-02'), (3, true, '2023-01-03'), (3, false, '2023-01-04'), (2, false, '2023-01-05'), (2, true, '2023-01-06');
SELECT register('{00001_a.sql,00002_b.sql,00003_c.sql}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE goose_db_version;

-- sql-migrate
CREATE TABLE gorp_migrations (id text NOT NULL PRIMARY KEY, applied_at timestamptz);
INSERT INTO gorp_migrations VALUES ('2_b.sql', '2023-01-02'), ('1_a.sql', '2023-01-01');
SELECT register('{1_a.sql,2_b.sql,10_c.sql}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE gorp_migrations;

-- Flyway
CREATE TABLE flyway_schema_history (installed_rank int NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY, version varchar(50),
    description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum integer,
    installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(), execution_time integer NOT NULL, success boolean NOT NULL);
CREATE INDEX flyway_schema_history_s_idx ON flyway_schema_history (success);
INSERT INTO flyway_schema_history VALUES
    (0, NULL, '<< Flyway Schema Creation >>', 'SCHEMA', '"adopt"', NULL, 'fly', '2023-01-01', 0, true),
    (1, '1', '<< Flyway Baseline >>', 'BASELINE', '<< Flyway Baseline >>', NULL, 'fly', '2023-01-01', 0, true),
    (2, '1.1', 'same text', 'SQL', 'V1_1__same_text.sql', 1019988339, 'anna', '2023-01-02', 5, true),
    (3, '1.2', 'other text', 'SQL', 'V1_2__other_text.sql', 12345, 'anna', '2023-01-03', 5, true),
    (4, '1.3', 'undone', 'SQL', 'V1_3__undone.sql', 1, 'anna', '2023-01-04', 5, true),
    (5, '1.3', 'undone', 'UNDO_SQL', 'U1_3__undone.sql', 1, 'anna', '2023-01-05', 5, true),
    (6, '1.4', 'deleted', 'SQL', 'V1_4__deleted.sql', 1, 'anna', '2023-01-06', 5, true),
    (7, '1.4', 'deleted', 'DELETE', 'V1_4__deleted.sql', 1, 'anna', '2023-01-07', 5, true),
    (8, '1.5', 'java', 'JDBC', 'db.migration.V1_5__java', NULL, 'bert', '2023-01-08', 5, true),
    (9, NULL, 'my views', 'SQL', 'R__my_views.sql', 7, 'bert', '2023-01-09', 5, true),
    (10, NULL, 'my grants', 'SQL', 'R__my_grants.sql', 7, 'bert', '2023-01-10', 5, true),
    (11, NULL, 'my views', 'SQL', 'R__my_views.sql', 8, 'bert', '2023-01-11', 5, true),
    (12, NULL, 'my grants', 'DELETE', 'R__my_grants.sql', 7, 'bert', '2023-01-12', 5, true);
SELECT migrate.add('0.9', 'before', 'SELECT 1', file_name => 'V0_9__before.sql');
SELECT migrate.add('1.1', 'same text', E'INSERT INTO adopt.ran\r\nVALUES (1);\n', file_name => 'V1_1__same_text.sql');
SELECT migrate.add('1.2', 'other text', 'INSERT INTO adopt.ran VALUES (2)', file_name => 'V1_2__other_text.sql');
SELECT migrate.add('1.3', 'undone', 'INSERT INTO adopt.ran VALUES (3)', file_name => 'V1_3__undone.sql');
SELECT migrate.add('2', 'next', 'INSERT INTO adopt.ran VALUES (4)', file_name => 'V2__next.sql');
SELECT version, name, result, applied_at, applied_by, detail FROM migrate.adopt() \gx
SELECT version, name, state FROM migrate.status();
SELECT id, version FROM migrate.applied WHERE version IS NULL;
-- what differs keeps apply from running, until the command settles it
SELECT * FROM migrate.apply();
SELECT migrate.amend('1.2', NULL, NULL, 'compared by hand');
SELECT migrate.mark_applied('1.3', 'not needed');
SELECT version, name, action FROM migrate.apply();
SELECT version, result, detail FROM migrate.adopt();
CALL forget();
UPDATE flyway_schema_history SET success = false WHERE installed_rank IN (6, 8);
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
ALTER TABLE flyway_schema_history RENAME TO schema_version;
DELETE FROM schema_version WHERE NOT success;
SELECT version, result FROM migrate.adopt(dry_run => true);
CALL forget();
-- undo takes back the newest of a version, and the one before it then
DELETE FROM schema_version;
INSERT INTO schema_version SELECT n, v, d, t, 's', NULL, 'anna', timestamp '2023-01-01' + n * interval '1 day', 1, true FROM (VALUES
    (1, '1', 'a', 'SQL'), (2, '1.0', 'a again', 'SQL'), (3, '2', 'b', 'SQL'), (4, '2', 'b', 'UNDO_SQL'), (5, '2', 'b', 'UNDO_SQL'),
    (6, '1', 'a', 'UNDO_SQL'), (7, '2', 'b', 'SQL'), (8, NULL, 'r', 'SQL'), (9, NULL, 'r', 'DELETE'), (10, NULL, 'r', 'SQL'),
    (11, NULL, 'r', 'SQL'), (12, '3', 'c', 'UNDO_SQL'), (13, '3', 'c', 'SQL')) v (n, v, d, t);
SELECT version, name, result, applied_at FROM migrate.adopt(dry_run => true);
-- very many rows
INSERT INTO schema_version SELECT 100 + n, CASE WHEN n % 2 = 0 THEN n::text END, 'x' || n, CASE WHEN n % 2 = 0 THEN 'BASELINE' ELSE 'SQL' END, 's', NULL, 'anna', '2023-01-01', 1, true
  FROM generate_series(1, 40000) n;
SELECT result, count(*) FROM migrate.adopt(dry_run => true) GROUP BY 1;
-- repeatable migrations: as it was run, changed, with placeholders, new
DELETE FROM schema_version;
INSERT INTO schema_version VALUES
    (1, NULL, 'as it was', 'SQL', 'R__as_it_was.sql', 1719613851, 'anna', '2023-01-01', 1, true),
    (2, NULL, 'changed', 'SQL', 'R__changed.sql', 1, 'anna', '2023-01-01', 1, true),
    (3, NULL, 'unknown', 'SQL', 'R__unknown.sql', 1, 'anna', '2023-01-01', 1, true);
SELECT migrate.add(NULL, 'as_it_was', 'SELECT 1'), migrate.add(NULL, 'changed', 'SELECT 2'),
       migrate.add(NULL, 'unknown', 'SELECT $$${three}$$'), migrate.add(NULL, 'new', 'SELECT 4');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, state FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
-- whole directories, with a script that stands for all before it
DELETE FROM schema_version;
INSERT INTO schema_version VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', NULL, 'anna', '2023-01-01', 1, true),
    (2, '2', 'b', 'SQL', 'V2__b.sql', NULL, 'anna', '2023-01-02', 1, true), (3, NULL, 'views', 'SQL', 'R__views.sql', NULL, 'anna', '2023-01-02', 1, true);
SELECT version, name, result FROM migrate.add_files('{"V1__a.sql": "SELECT 1", "V2__b.sql": "SELECT 2", "B2__all.sql": "SELECT 3", "V3__c.sql": "SELECT 4", "R__views.sql": "SELECT 5"}');
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, state FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DELETE FROM schema_version;
INSERT INTO schema_version VALUES (1, '2', 'all', 'SQL_BASELINE', 'B2__all.sql', NULL, 'anna', '2023-01-01', 1, true);
SELECT version, name, result FROM migrate.add_files('{"V1__a.sql": "SELECT 1", "B2__all.sql": "SELECT 3", "V3__c.sql": "SELECT 4"}');
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, state FROM migrate.status();
SELECT version, name, action FROM migrate.apply();
SELECT version, name, result, detail FROM migrate.adopt();
CALL forget();
DROP TABLE schema_version;

-- Prisma
CREATE TABLE _prisma_migrations (id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL, finished_at timestamptz,
    migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz, started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0);
INSERT INTO _prisma_migrations (id, checksum, finished_at, migration_name, rolled_back_at) VALUES
    ('a', encode(sha256('INSERT INTO adopt.ran VALUES (1)'), 'hex'), '2023-01-01', '20230101000000_init', NULL),
    ('b', encode(sha256('SELECT 2'), 'hex'), NULL, '20230102000000_more', '2023-01-02'),
    ('c', encode(sha256('SELECT 2'), 'hex'), '2023-01-03', '20230102000000_more', NULL),
    ('d', encode(sha256(E'INSERT INTO adopt.ran VALUES (3)\n'), 'hex'), '2023-01-04', '20230103000000_newline', NULL),
    ('e', 'x', NULL, '20230104000000_broken', NULL);
SELECT register('{20230101000000_init/migration.sql,20230102000000_more/migration.sql,20230103000000_newline/migration.sql,20230104000000_broken/migration.sql}');
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
UPDATE _prisma_migrations SET rolled_back_at = now() WHERE id = 'e';
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, state FROM migrate.status();
SELECT migrate.amend('20230102000000', 'SELECT 2', NULL, 'the text that was run');
SELECT version, name, action FROM migrate.apply();
SELECT version, result, detail FROM migrate.adopt();
CALL forget();
DROP TABLE _prisma_migrations;

-- sqlx
CREATE TABLE _sqlx_migrations (version bigint PRIMARY KEY, description text NOT NULL, installed_on timestamptz NOT NULL DEFAULT now(),
    success boolean NOT NULL, checksum bytea NOT NULL, execution_time bigint NOT NULL);
INSERT INTO _sqlx_migrations VALUES (1, 'a', '2023-01-01', true, sha384('INSERT INTO adopt.ran VALUES (1)'), 7),
    (2, 'b', '2023-01-02', true, sha384('something else'), 7), (3, 'c', '2023-01-03', false, '', -1);
SELECT register('{1_a.sql,2_b.sql,3_c.sql}');
SELECT * FROM migrate.adopt();
DELETE FROM _sqlx_migrations WHERE NOT success;
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT migrate.amend('2', NULL, NULL, 'compared');
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE _sqlx_migrations;

-- diesel
CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY NOT NULL, run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);
INSERT INTO __diesel_schema_migrations VALUES ('00000000000000', '2023-01-01'), ('20230101000000', '2023-01-01');
SELECT register('{00000000000000_diesel_initial_setup/up.sql,20230101000000_a/up.sql,20230102000000_b/up.sql}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE __diesel_schema_migrations;

-- tern
CREATE TABLE schema_version (version int4 NOT NULL PRIMARY KEY);
INSERT INTO schema_version VALUES (0);
SELECT register('{001_a.sql,002_b.sql,003_c.sql}');
SELECT version, name, result, detail FROM migrate.adopt();
UPDATE schema_version SET version = 2;
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE schema_version;

-- any other table, with names that need quotes
CREATE SCHEMA "a ""b"".c";
CREATE TABLE "a ""b"".c"."my 'log' $1" ("the ""file""" text, "done; at" timestamptz, n int, "what's" text);
INSERT INTO "a ""b"".c"."my 'log' $1" VALUES ('001_a.sql', '2023-01-01', 1, 'it''s'), (NULL, '2023-01-02', 2, 'b'), ('', NULL, 3, ''), ('''); DROP TABLE adopt.ran; --', NULL, 4, '');
SELECT register('{001_a.sql,002_b.sql}');
SELECT * FROM migrate.adopt('"a ""b"".c"."my ''log'' $1"');
\echo :LAST_ERROR_SQLSTATE
SELECT version, name, result, applied_at, detail FROM migrate.adopt('"a ""b"".c"."my ''log'' $1"', version_column => 'the "file"', time_column => 'done; at', name_column => 'what''s') \gx
SELECT DISTINCT reason FROM migrate.history;
SELECT * FROM migrate.adopt('"a ""b"".c"."my ''log'' $1"', version_column => 'the');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.adopt('"a ""b"".c"."my ''log'' $1"', version_column => 'n', time_column => 'what''s');
SELECT version, applied_at FROM migrate.adopt('"a ""b"".c"."my ''log'' $1"', version_column => 'n', time_column => 'n', dry_run => true);
CALL forget();
DROP SCHEMA "a ""b"".c" CASCADE;

-- for instance that of knex
CREATE TABLE knex_migrations (id serial PRIMARY KEY, name varchar(255), batch int, migration_time timestamptz);
INSERT INTO knex_migrations (name, batch, migration_time) VALUES ('20230101000000_a.js', 1, '2023-01-01'), ('20230102000000_b.js', 1, '2023-01-01');
SELECT register('{20230101000000_a.sql,20230102000000_b.sql,20230103000000_c.sql}');
SELECT * FROM migrate.adopt('knex_migrations');
SELECT version, name, result, applied_at, detail FROM migrate.adopt('knex_migrations', version_column => 'name', time_column => 'migration_time');
SELECT version, name, action FROM migrate.apply();
CALL forget();
DROP TABLE knex_migrations;

-- dates of different lengths, with separators or not, in the order of text
CREATE TABLE dated (file text, at date);
INSERT INTO dated VALUES ('20250604085536_a.sql', '2025-06-04'), ('2025-06-25-120000_b', '2025-06-25');
SELECT version, name FROM migrate.add_files('{"20250604085536_a.sql": "SELECT 1", "2025-06-25-120000_b/up.sql": "SELECT 2", "20250620_c.sql": "SELECT 3", "20250626_d.sql": "SELECT 4"}');
SELECT version, name, result, applied_at, detail FROM migrate.adopt('dated', version_column => 'file', time_column => 'at');
SELECT version, name, state FROM migrate.status();
CALL forget();
DROP TABLE dated;

-- matching by name, two rows with one version, a row that is there twice
CREATE TABLE pgmigrations (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
INSERT INTO pgmigrations (name, run_on) VALUES ('001_users', '2023-01-01'), ('001_orders', '2023-01-02'), ('001_users', '2023-01-03'),
    ('initial', '2023-01-04'), ('7_elsewhere', '2023-01-05'), ('/20150101-with-slash', '2023-01-06');
SELECT migrate.add('1', 'users', 'SELECT 1'), migrate.add('5', 'Elsewhere', 'SELECT 1', file_name => 'x/7_elsewhere.js'),
       migrate.add('6', 'Initial', 'SELECT 1'), migrate.add('20150101', 'with slash', 'SELECT 1'), migrate.add('4', 'between', 'SELECT 1');
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, state FROM migrate.status();
SELECT migrate.mark_applied('4', 'was there already');
CALL forget();

-- into a target schema, where something is applied already
CREATE SCHEMA adopt_target;
SELECT migrate.add('1', 'users', 'CREATE TABLE u ()'), migrate.add('8', 'new', 'CREATE TABLE n ()');
SELECT version, action FROM migrate.apply(1, schema => 'adopt_target');
SELECT version, name, result, detail FROM migrate.adopt(schema => 'adopt_target');
SELECT count(*) FROM migrate.applied WHERE target_schema = '';
SELECT version, action FROM migrate.apply(schema => 'adopt_target');
SELECT * FROM migrate.adopt(schema => 'adopt_nowhere');
CALL forget();
DROP SCHEMA adopt_target CASCADE;

-- several tables; and the table's name counts for little
CREATE TABLE "Other history" AS SELECT * FROM pgmigrations;
CREATE TABLE app_version (version text, applied_at timestamp);
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
SELECT version, result FROM migrate.adopt('"Other history"', dry_run => true) LIMIT 1;
SELECT count(*) FROM migrate.adopt('app_version', dry_run => true);
DROP TABLE "Other history", app_version;

-- dry_run in a read-only transaction; the table is not changed by anything
BEGIN READ ONLY;
SELECT count(*) FROM migrate.adopt(dry_run => true);
SELECT migrate.adopt();
ROLLBACK;
SELECT count(*) FROM pgmigrations;

-- what is refused: no such table, no table, our own, not recognisable
SELECT * FROM migrate.adopt('nowhere');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.adopt('nowhere.pgmigrations');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.adopt('');
SELECT * FROM migrate.adopt('pgmigrations_id_seq');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.adopt('migrate.schema_migrations');
SELECT * FROM migrate.adopt('ran');
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.adopt(version_column => 'x');
SELECT * FROM migrate.adopt('ran', time_column => 'x');
SELECT migrate.adopt() FROM generate_series(1, 2);
SELECT migrate.manage('a test');
SELECT migrate.add('99', 'recursive', 'SELECT migrate.adopt(dry_run => true)');
CALL forget();
SELECT migrate.add('99', 'recursive', 'SELECT migrate.adopt(dry_run => true)');
SELECT * FROM migrate.apply();
CALL forget();

-- types that do not fit
CREATE TABLE odd_migrations (version text, dirty text);
INSERT INTO odd_migrations VALUES ('1', 'f');
SELECT * FROM migrate.adopt('odd_migrations');
\echo :LAST_ERROR_SQLSTATE
DROP TABLE odd_migrations;

-- views and partitioned tables when they are named, and only then
ALTER TABLE pgmigrations RENAME TO pgm;
ALTER TABLE pgm RENAME run_on TO at;
CREATE VIEW v AS SELECT id, name, at AS run_on FROM pgm;
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
SELECT count(*) FROM migrate.adopt('v', dry_run => true);
SELECT result, count(*) FROM migrate.adopt('adopt.v') GROUP BY 1 ORDER BY 1;
CALL forget();
DROP VIEW v;
ALTER TABLE pgm RENAME TO pgmigrations;
ALTER TABLE pgmigrations RENAME at TO run_on;

-- the tools' own locks, or the table's, until the end of the transaction
CREATE FUNCTION crc32(bytes bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE crc bigint := 4294967295;
BEGIN
    FOR i IN 0 .. length(bytes) - 1 LOOP
        crc := crc # get_byte(bytes, i);
        FOR j IN 1 .. 8 LOOP
            crc := (crc >> 1) # (CASE WHEN crc & 1 = 1 THEN 3988292384 ELSE 0 END);
        END LOOP;
    END LOOP;
    RETURN crc # 4294967295;
END $$;
CREATE FUNCTION java_hash(t text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE hash bigint := 0;
BEGIN
    FOR i IN 1 .. length(t) LOOP
        hash := (hash * 31 + ascii(substr(t, i, 1))) & 4294967295;
    END LOOP;
    RETURN CASE WHEN hash >= 2147483648 THEN hash - 4294967296 ELSE hash END;
END $$;
SELECT crc32('123456789') = 3421780262 AS crc32, java_hash('hello') = 99162322 AS java_hash;
CREATE FUNCTION locks(history text, expected bigint, dry_run boolean DEFAULT false) RETURNS TABLE (result text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM migrate.adopt(history, dry_run => dry_run);
    RETURN QUERY SELECT CASE WHEN (l.classid::bigint << 32 | l.objid::bigint) = expected THEN 'the key' ELSE 'another key' END
        FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'advisory' AND l.objsubid = 1 AND l.mode = 'ExclusiveLock'
        ORDER BY 1 DESC;
    RETURN QUERY SELECT format('%s %s', l.relation::regclass, l.mode)
        FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode IN ('ShareRowExclusiveLock', 'ShareUpdateExclusiveLock') ORDER BY 1;
END $$;
SET client_min_messages = warning;
SELECT current_database() AS db \gset
SELECT * FROM locks('pgmigrations', 7241865325823964);
CREATE TABLE locked (version bigint, dirty boolean);
SELECT * FROM locks('locked', crc32('\x61646f7074006c6f636b656400'::bytea || convert_to(:'db', 'UTF8')) * 1486364155 % 4294967296);
SELECT * FROM locks('locked', crc32('\x61646f7074006c6f636b656400'::bytea || convert_to('/' || :'db', 'UTF8')) * 1486364155 % 4294967296);
DROP TABLE locked;
CREATE TABLE locked (version int);
SELECT * FROM locks('locked', 9628173550095224);
DROP TABLE locked;
CREATE TABLE locked (version text);
SELECT * FROM locks('locked', 0);
CREATE TABLE ar_internal_metadata ();
SELECT * FROM locks('locked', 2053462845 * crc32(convert_to(:'db', 'UTF8')));
DROP TABLE locked, ar_internal_metadata;
CREATE TABLE locked (version bigint, inserted_at timestamp);
SELECT * FROM locks('locked', 0);
DROP TABLE locked;
CREATE TABLE locked (id int, version_id bigint, is_applied boolean, tstamp timestamp);
SELECT * FROM locks('locked', 4097083626);
DROP TABLE locked;
CREATE TABLE locked (migration_name text, checksum text, started_at timestamptz, finished_at timestamptz, rolled_back_at timestamptz);
SELECT * FROM locks('locked', 72707369);
DROP TABLE locked;
CREATE TABLE locked (version bigint, description text, installed_on timestamptz, success boolean, checksum bytea, execution_time bigint);
SELECT * FROM locks('locked', 1026731422 * crc32(convert_to(:'db', 'UTF8')));
DROP TABLE locked;
CREATE TABLE "my""history" (installed_rank int, version text, description text, type text, script text, checksum int, installed_by text, installed_on timestamp, success boolean);
SELECT * FROM locks('"my""history"', 77431708279161 + java_hash('"adopt"."my""history"'));
DROP TABLE "my""history";
-- a dry run keeps out whoever changes the table; its partitions are locked, too
SELECT * FROM locks('pgmigrations', 0, true);
CREATE TABLE locked (version text) PARTITION BY RANGE (version);
CREATE TABLE locked_a PARTITION OF locked FOR VALUES FROM ('0') TO ('2') PARTITION BY RANGE (version);
CREATE TABLE locked_aa PARTITION OF locked_a DEFAULT;
CREATE TABLE locked_b PARTITION OF locked DEFAULT;
INSERT INTO locked VALUES ('1'), ('2');
SELECT * FROM locks('locked', 0);
SELECT * FROM locks('locked', 0, true);
SELECT version, result FROM migrate.adopt('locked');
CALL forget();
RESET client_min_messages;
-- what a view shows is not locked with it
CREATE VIEW locked_view AS SELECT version FROM locked;
CREATE MATERIALIZED VIEW locked_copy AS SELECT version FROM locked;
SELECT * FROM locks('locked_view', 0);
SELECT version, result FROM migrate.adopt('locked_copy');
CALL forget();
DROP TABLE locked CASCADE;
CALL forget();

-- the caller has to be allowed what is done for him
CREATE ROLE regress_dbmigrate_adopter;
GRANT USAGE ON SCHEMA migrate, adopt TO regress_dbmigrate_adopter;
GRANT EXECUTE ON FUNCTION migrate.adopt TO regress_dbmigrate_adopter;
SET ROLE regress_dbmigrate_adopter;
SELECT * FROM migrate.adopt();
SELECT * FROM migrate.adopt('pgmigrations');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
-- a column of it is not enough
GRANT SELECT (name) ON pgmigrations TO regress_dbmigrate_adopter;
SET ROLE regress_dbmigrate_adopter;
SELECT * FROM migrate.adopt('pgmigrations');
RESET ROLE;
GRANT SELECT ON pgmigrations TO regress_dbmigrate_adopter;
SET ROLE regress_dbmigrate_adopter;
SELECT count(*), min(applied_by) FROM migrate.adopt('pgmigrations') WHERE result = 'adopted';
RESET ROLE;
CALL forget();
-- rows that a policy hides would be run again
ALTER TABLE pgmigrations ENABLE ROW LEVEL SECURITY;
SET ROLE regress_dbmigrate_adopter;
SELECT * FROM migrate.adopt();
\echo :LAST_ERROR_SQLSTATE
SHOW row_security;
RESET ROLE;
ALTER TABLE pgmigrations DISABLE ROW LEVEL SECURITY;
-- to read it is enough, it is locked with its owner's rights
CREATE TABLE diesel_migrations (version varchar(50) PRIMARY KEY NOT NULL, run_on timestamp NOT NULL);
GRANT SELECT ON diesel_migrations TO regress_dbmigrate_adopter;
SET ROLE regress_dbmigrate_adopter;
BEGIN;
SELECT * FROM migrate.adopt('diesel_migrations');
SELECT mode FROM pg_locks WHERE relation = 'adopt.diesel_migrations'::regclass AND pid = pg_backend_pid() ORDER BY 1;
ROLLBACK;
RESET ROLE;
DROP TABLE diesel_migrations;
-- but what is elsewhere was shown to the owner alone, be it one partition
SET client_min_messages = warning;
CREATE FOREIGN DATA WRAPPER adopt_wrapper;
CREATE SERVER adopt_server FOREIGN DATA WRAPPER adopt_wrapper;
CREATE TABLE split_history (version text, run_on timestamp) PARTITION BY LIST (version);
CREATE FOREIGN TABLE split_far PARTITION OF split_history FOR VALUES IN ('1') SERVER adopt_server;
GRANT SELECT ON split_history TO regress_dbmigrate_adopter;
SET ROLE regress_dbmigrate_adopter;
\set VERBOSITY terse
SELECT * FROM migrate.adopt('split_history', version_column => 'version', dry_run => true);
\set VERBOSITY default
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
DROP TABLE split_history;
DROP FOREIGN DATA WRAPPER adopt_wrapper CASCADE;
RESET client_min_messages;

-- types of the owner's own are turned into text as the owner
CREATE TYPE word AS ENUM ('001_a', '002_b');
CREATE DOMAIN moment AS timestamptz CHECK (value > '2000-01-01');
CREATE TYPE pair AS (a int, b text);
CREATE TABLE odd_history (file word, at moment, what pair, tags text[]);
INSERT INTO odd_history VALUES ('001_a', '2023-01-01', '(1,x)', '{a,b}');
SELECT version, name, applied_at FROM migrate.adopt('odd_history', version_column => 'file', time_column => 'at', name_column => 'tags', dry_run => true);
SELECT version, name, applied_at FROM migrate.adopt('odd_history', version_column => 'what', dry_run => true);
DROP TABLE odd_history;

-- nor do its names and rows reach a terminal as they are
DO $$ BEGIN EXECUTE format('CREATE TABLE %I (version text, applied_at timestamptz)', E'migrations\x1b[2J'); END $$;
SELECT count(*) FROM migrate.adopt(dry_run => true);
DO $$ BEGIN EXECUTE format('DROP TABLE %I', E'migrations\x1b[2J'); END $$;
CREATE TABLE rude_migrations (version text, applied_at timestamptz, name text);
INSERT INTO rude_migrations VALUES ('1', '2023-01-01', E'a\x1b[2Jb\nERROR:  c\u009b');
SELECT version, name, detail FROM migrate.adopt('rude_migrations', dry_run => true);
DROP TABLE rude_migrations;

-- a trap: what planning a query on the table would run is not run for a
-- table that nobody named; what is called like our operators never
CREATE FUNCTION sprung() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RAISE WARNING ''sprung''; RETURN true; END';
CREATE TABLE trap_migrations (version text, applied_at timestamptz);
SET client_min_messages = error;
CREATE INDEX ON trap_migrations (version) WHERE sprung();
RESET client_min_messages;
SELECT count(*) FROM migrate.adopt(dry_run => true);
DROP TABLE trap_migrations;
CREATE FUNCTION adopt.eq(text, text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''sprung''; END';
CREATE OPERATOR adopt.= (FUNCTION = adopt.eq, LEFTARG = text, RIGHTARG = text);
CREATE OPERATOR adopt.<> (FUNCTION = adopt.eq, LEFTARG = text, RIGHTARG = text);
SET search_path = adopt, pg_catalog;
SELECT count(*) FROM migrate.adopt();
SELECT count(*) FROM migrate.adopt('pgmigrations');
SHOW search_path;

RESET search_path;
SET client_min_messages = error;
DROP EXTENSION dbmigrate;
DROP SCHEMA adopt CASCADE;
DROP ROLE regress_dbmigrate_adopter;

-- Flyway's baseline script stands for what is older; a repeatable migration is
-- not run again because its script becomes known
CREATE EXTENSION dbmigrate;
CREATE TABLE flyway_schema_history (installed_rank int NOT NULL, version varchar(50), description varchar(200) NOT NULL,
    type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL);
INSERT INTO flyway_schema_history VALUES (1, '2', 'base', 'SQL_BASELINE', 'B2__base.sql', NULL, 'anna', '2023-01-01', 1, true),
    (2, '3', 'c', 'SQL', 'V3__c.sql', NULL, 'anna', '2023-01-01', 1, true),
    (3, NULL, 'r', 'SQL', 'R__r.sql', NULL, 'anna', '2023-01-01', 1, true);
SELECT version, name, result FROM migrate.add_files('{"V1__a.sql": "SELECT 1", "V2__b.sql": "SELECT 2", "B2__base.sql": "SELECT 12", "V3__c.sql": "SELECT 3"}');
SELECT version, name, result, detail FROM migrate.adopt();
SELECT version, name, state FROM migrate.status();
SELECT migrate.add(NULL, 'r', 'SELECT 4');
SELECT * FROM migrate.pending();
SELECT * FROM migrate.apply();
SELECT migrate.add(NULL, 'r', 'SELECT 5');
SELECT * FROM migrate.pending();
DROP TABLE flyway_schema_history;
DROP EXTENSION dbmigrate;

-- a table that somebody else made: the notice names the owner
SET client_min_messages = notice;
CREATE EXTENSION dbmigrate;
CREATE ROLE regress_dbmigrate_planter;
CREATE SCHEMA planted AUTHORIZATION regress_dbmigrate_planter;
CREATE TABLE planted.schema_migrations (version varchar PRIMARY KEY);
ALTER TABLE planted.schema_migrations OWNER TO regress_dbmigrate_planter;
INSERT INTO planted.schema_migrations VALUES ('1');
SELECT version, result FROM migrate.adopt(dry_run => true);
DROP SCHEMA planted CASCADE;
DROP ROLE regress_dbmigrate_planter;
DROP EXTENSION dbmigrate;
