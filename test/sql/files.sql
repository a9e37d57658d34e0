-- migrate.add_file(), migrate.add_files(): files in the formats of other tools
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;

-- What is stored of a set, and the set is forgotten again.
CREATE FUNCTION show(files jsonb, wanted text DEFAULT 'auto')
RETURNS TABLE (id text, name text, format text, up text, down text, online text, detail text)
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    CREATE TEMP TABLE seen ON COMMIT DROP AS SELECT a.*, row_number() OVER () AS n FROM migrate.add_files($1, $2) a;
    RETURN QUERY SELECT coalesce(m.id, '(' || a.file || ')'), a.name, a.format,
                        replace(replace(m.up, chr(13), '<CR>'), chr(65279), '<BOM>'), replace(m.down, chr(13), '<CR>'),
                        CASE WHEN m.up_online THEN 'up ' ELSE '' END || CASE WHEN m.down_online THEN 'down' ELSE '' END,
                        concat_ws(': ', nullif(a.result, 'added'), a.detail)
                   FROM seen a LEFT JOIN migrate.migration m
                     ON m.version = a.version OR (a.version IS NULL AND m.id = 'R__' || a.name)
                  ORDER BY a.n;
    FOR r IN SELECT m.id FROM migrate.migration m LOOP
        PERFORM migrate.remove(r.id);
    END LOOP;
    DROP TABLE seen;
END $$;

-- plain: version, separators, name; dates written with separators
SELECT id, name, up FROM show('{"003 third.sql": "SELECT 3", "001_first.sql": "SELECT 1", "2-second.sql": "SELECT 2",
  "10x.sql": "SELECT 10", "2023-11-06-120000_with_time.sql": "SELECT 5", "2023_11_05_name.sql": "SELECT 4", "1.2.3-dots.sql": "SELECT 6",
  "20.sql": "SELECT 20", "021_2_steps.sql": "SELECT 21"}');

-- node-pg-migrate: markers in either order, none is up only, other spellings; prefixes of 4, 13 and 17 digits
SELECT * FROM show('{
  "0001_up.sql": "SELECT 1;\n",
  "1699272000000_up-down.sql": "-- made by hand\n\n-- Up Migration\nSELECT 2;\n\n-- Down Migration\nSELECT -2;\n",
  "1699272000001_down-up.sql": "  ---  down   migration\nSELECT -3;\n  --UP Migration: the rest\nSELECT 3;\n",
  "20231106120000123_up.sql": "-- Up Migration\nSELECT 4;"}');
-- a marker is one only where the tool's own parser and the server's scanner agree
SELECT * FROM show($j${"0005_body.sql":
  "-- Up Migration\nCREATE FUNCTION f() RETURNS text LANGUAGE plpgsql AS $$\nBEGIN\n-- Down Migration\nRETURN '\n-- Down Migration\n';\nEND $$;\n/*\n-- Down Migration\n/* -- Down Migration */\n-- Down Migration\n*/\nCREATE FUNCTION g() RETURNS int BEGIN ATOMIC\n-- Down Migration\nSELECT 1; END;\nSELECT (1\n-- Down Migration\n), $q$\n-- Down Migration\n$q$\n-- Down Migration\nDROP FUNCTION g, f"}$j$);
-- inline COPY data holds no markers
SELECT * FROM show($j${"0006_copy.sql":
  "-- Up Migration\nCOPY t FROM stdin;\n-- Down Migration\n\\.\n-- Down Migration\nDELETE FROM t;"}$j$);
-- what the tool would run in the wrong direction, or not at all, is an error
SELECT migrate.add_files('{"0001_a.sql": "SELECT 1;\n-- Down Migration\nSELECT -1;"}');
SELECT migrate.add_files('{"0001_a.sql": "SELECT 0;\n-- Up Migration\nSELECT 1;"}');
SELECT migrate.add_files('{"0001_a.sql": "-- Up Migration\nSELECT 1;\n-- Down Migration\n-- Up Migration\nSELECT 2;"}');

-- dbmate: transaction:false for each section
SELECT * FROM show('{
  "20231106120000_a.sql": "-- migrate:up\nCREATE TABLE a ();\n\n-- migrate:down\nDROP TABLE a;\n",
  "20231106120001_b.sql": "-- migrate:up transaction:false\nSELECT 1;\n-- migrate:down\nSELECT 2;",
  "20231106120002_c.sql": "--migrate:up\nSELECT 1\n-- migrate:down foo:bar transaction:false\nSELECT 2",
  "20231106120003_d.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\n",
  "20231106120004_e.sql": "-- migrate:upwards\nSELECT 1;"}');
SELECT migrate.add_files('{"1_a.sql": "-- migrate:up\nSELECT 1;\n-- migrate:down\n-- migrate:up\nSELECT 2;\n-- migrate:down"}');
SELECT migrate.add_files('{"1_a.sql": "-- migrate:down\nSELECT 1;\n-- migrate:up\nSELECT 2;"}');
SELECT migrate.add_files('{"1_a.sql": "-- migrate:up\nSELECT 1;\n  -- migrate:down\nSELECT 2;"}');
SELECT migrate.add_files('{"1_a.sql": "SELECT 1;"}', 'dbmate');

-- goose: statements between markers need no semicolon of their own
SELECT * FROM show($j${
  "00001_a.sql": "-- +goose Up\n-- +goose StatementBegin\nCREATE TABLE a ()\n-- +goose StatementEnd\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$\n-- +goose Down\nSELECT 1; $$;\n-- +goose StatementEnd\n\n-- +goose Down\nDROP FUNCTION f;\nDROP TABLE a",
  "00002_b.sql": "-- +goose NO TRANSACTION\n-- +goose up\nSELECT 1;\n-- +goose down\nSELECT 2;",
  "00003_c.sql": "-- +goose Up\n-- +goose ENVSUB OFF\nSELECT 1;"}$j$);
SELECT migrate.add_files('{"1_a.sql": "-- +goose Up\n-- +goose ENVSUB ON\nSELECT ''${HOME}'';"}');
SELECT migrate.add_files('{"1_a.sql": "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose Down\nSELECT 2;"}');

-- sql-migrate: repeated sections are one
SELECT * FROM show('{
  "1_a.sql": "-- +migrate Up\nCREATE TABLE a ();\n-- +migrate Down\nDROP TABLE a;",
  "2_b.sql": "-- licence\n-- +migrate Up\nSELECT 1\n-- +migrate Down\nSELECT -1\n-- +migrate Up notransaction\nSELECT 2\n-- +migrate Down\nSELECT -2",
  "3_c.sql": "-- +migrate Up\n-- +migrate StatementBegin\nSELECT 1\n-- +migrate StatementEnd\nSELECT 2;"}');
SELECT migrate.add_files('{"1_a.sql": "-- +migrate Upward\nSELECT 1;"}');

-- tern
SELECT * FROM show('{
  "001_a.sql": "CREATE TABLE a ();\n---- create above / drop below ----\nDROP TABLE a;\n",
  "002_b.sql": "---- tern: disable-tx ----\nSELECT 1;\n---- create above / drop below ----  \nSELECT 2;",
  "003_c.sql": "SELECT ''\n---- create above / drop below ----\n'';"}');
SELECT id, up, down, detail FROM show('{"001_a.sql": "{{ template \"x\" }};\n---- create above / drop below ----\n"}');

-- pairs, in any order; one of them may be empty; sqlx's no-transaction
SELECT * FROM show('{
  "002_b.down.sql": "SELECT -2", "001_a.up.sql": "SELECT 1", "002_b.up.sql": "SELECT 2",
  "001_a.down.sql": "", "003_c.UP.SQL": "-- no-transaction\nSELECT 3", "V0004.Name_of_it.up.sql": "SELECT 4",
  "V0004.Name_of_it.down.sql": "SELECT -4", "0005_1.7.0_schema.up.sql": "SELECT 5", "006_d.sql.up.sql": "SELECT 6",
  "007_e.sql": "SELECT 7", "007_e.down.sql": "SELECT -7"}');
-- databases side by side, in names and in folders
SELECT * FROM show('{
  "001_a.postgres.up.sql": "SELECT 1", "001_a.mysql.up.sql": "x", "001_a.sqlite3.up.sql": "x", "001_a.cockroach.up.sql": "x",
  "001_a.down.sql": "SELECT -1", "002_b.up.sql": "all", "002_b.postgres.autocommit.up.sql": "SELECT 2",
  "003_c.mysql.up.sql": "x", "003_c.down.sql": "y"}');
SELECT * FROM show('{"postgres/001_a.sql": "SELECT 1", "mysql/001_a.sql": "x"}');
-- so are folders that hold a folder for each migration, or up and down
SELECT id, name, format, up, down, detail FROM show('{
  "migrations/mysql/2018-01-14-171611_tables/up.sql": "x", "migrations/mysql/2018-01-14-171611_tables/down.sql": "x",
  "migrations/mysql/2018-01-14-171611_tables/metadata.toml": "run_in_transaction = x",
  "migrations/sqlite/2018-01-14-171611_tables/up.sql": "x", "migrations/sqlite/2018-02-17-205753_more/up.sql": "x", "migrations/sqlite/more/up.sql": "x",
  "migrations/postgresql/2019-09-12-100000_tables/up.sql": "SELECT 1", "migrations/postgresql/2019-09-12-100000_tables/down.sql": "SELECT -1",
  "migrations/postgresql/2019-09-16-150000_more/up.sql": "SELECT 2", "migrations/postgresql/2019-09-16-150000_more/down.sql": "SELECT -2"}');
SELECT id, name, format, up, down, detail FROM show('{"pg/up/001_a.sql": "SELECT 1", "pg/down/001_a.sql": "SELECT -1", "mysql/up/001_a.sql": "x", "mysql/down/001_a.sql": "x"}');
SELECT id, name, format, up, down, detail FROM show('{"pg/20231106120000_a/migration.sql": "SELECT 1", "sqlite/20231106120000_a/migration.sql": "x"}', 'prisma');
-- a migration may be called like a database
SELECT id, name, format, up, down, detail FROM show('{"001_mysql/up.sql": "SELECT 1", "002_postgres/up.sql": "SELECT 2"}');
SELECT * FROM show('{"oracle/001_a.sql": "SELECT 1"}');

-- folders: up and down; diesel; Prisma; others are not looked into
SELECT * FROM show('{"down/001_drop_a.sql": "SELECT -1", "up/001_create_a.sql": "SELECT 1", "up/002_b.sql": "SELECT 2", "base.sql": "x"}');
SELECT * FROM show('{
  "00000000000000_diesel_initial_setup/up.sql": "SELECT 0", "2023-11-06-120000_a/down.sql": "SELECT -1",
  "2023-11-06-120000_a/up.sql": "SELECT 1", "2023-11-06-120000_a/metadata.toml": "# x\nrun_in_transaction = false # y\n",
  "2023-11-06-120000-0000_b/up.sql": "SELECT 2", "2023-11-07-000000_c/up.sql": "SELECT 3",
  "2023-11-08-000000_c/metadata.toml": "", "other.sql": "x"}');
SELECT migrate.add_files('{"2023-11-06-120000_a/up.sql": "", "2023-11-06-120000_a/metadata.toml": "run_in_transaction = maybe"}');
SELECT * FROM show('{
  "20230604085536_a/migration.sql": "SELECT 1", "20230625_b/migration.sql": "-- This is an empty migration.",
  "20230701000000_c/migration.sql": "SELECT 3", "20230701000000_c/down.sql": "SELECT -3", "migration_lock.toml": "x"}');
-- the whole name is the identity for Prisma and sql-migrate; nowhere else
SELECT * FROM show('{
  "20230604085536_b/migration.sql": "SELECT 2", "20230604085536_a/migration.sql": "SELECT 1", "20230604085536_c/migration.sql": "SELECT 3",
  "20230604085536_b/down.sql": "SELECT -2", "20230604085537_d/migration.sql": "SELECT 4"}');
SELECT id, up FROM show('{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "-- +migrate Up\nSELECT 1", "6-c.sql": "-- +migrate Up\nSELECT 3"}');
SELECT migrate.add_files('{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "-- +migrate Up\nSELECT 1", "5.2-c.sql": "-- +migrate Up\nSELECT 3"}');
SELECT migrate.add_files(jsonb_build_object(repeat('9', 255) || '-a.sql', E'-- +migrate Up\nSELECT 1', repeat('9', 255) || '-b.sql', E'-- +migrate Up\nSELECT 1'));
SELECT migrate.add_files('{"5_b.sql": "-- +goose Up\nSELECT 2", "5_a.sql": "-- +goose Up\nSELECT 1"}');
SELECT * FROM show('{"001_a.sql": "SELECT 1", "old/000_x.sql": "x", "meta/0000_snapshot.json": "x", "README.md": "x", ".git/x.sql": "x"}');

-- Flyway: versions with dots or underscores, undo, repeatable, settings, callbacks
SELECT * FROM show('{
  "V1__Create_a.sql": "SELECT 1", "V1_2__b.sql": "SELECT 2", "V1.10__c__d.sql": "SELECT 3", "U1_2__b.sql": "SELECT -2",
  "R__views.sql": "SELECT 4", "afterMigrate.sql": "x", "beforeEachMigrate__log.sql": "x", "sub/V2__e.sql": "SELECT 5",
  "sub/V2__e.sql.conf": "executeInTransaction=false", "V57__readme.md": "x", "V3__f.java": "x"}');
SELECT * FROM show('{"V1__a.sql": "SELECT ''${schema}''"}');

-- what is not SQL keeps its place, and apply stops before it
SELECT id, name, up, down, detail FROM show('{
  "001_a.sql": "SELECT 1", "002_b.js": "x", "003_c.up.go": "x", "003_c.down.sql": "SELECT -3", "004_test.go": "x", "004_d.sql": "SELECT 4",
  "004_d.ts": "x"}');
SELECT result FROM migrate.add_files('{"002_b.js": "x", "001_a.sql": "SELECT 1"}');
SELECT * FROM migrate.apply();
SELECT migrate.add('002', 'b', 'SELECT 2');
SELECT result FROM migrate.add_files('{"002_b.js": "x", "001_a.sql": "SELECT 1"}');
SELECT version, action FROM migrate.apply();
SELECT migrate.mark_pending('002', 'test'), migrate.mark_pending('001', 'test');
SELECT migrate.remove('001'), migrate.remove('002');
-- applied by other means, and its SQL is known later
SELECT result, detail FROM migrate.add_files('{"002_b.js": "x"}');
SELECT migrate.mark_applied('002', 'by the other tool');
-- a way back alone makes no way there
SELECT migrate.amend('002', NULL, 'SELECT -2', 'its way back');
SELECT version, action FROM migrate.rollback();
SELECT * FROM migrate.apply();
SELECT migrate.mark_applied('002', 'by the other tool');
SELECT migrate.add('002', 'b', 'SELECT 2');
SELECT result, detail FROM migrate.add_files('{"002_b.js": "x"}');
SELECT migrate.add('002', 'b', 'SELECT 22');
SELECT version, state FROM migrate.status();
SELECT migrate.mark_pending('002', 'test'), migrate.remove('002');

-- a down file without a statement is a way back, an empty section is none
SELECT result, detail FROM migrate.add_files('{"001_a.up.sql": "SELECT 1", "001_a.down.sql": "-- nothing to undo\n", "002_b.sql": "-- +goose Up\nSELECT 2;\n-- +goose Down\n-- nothing\n"}');
SELECT version, can_rollback FROM migrate.status();
SELECT version, action FROM migrate.apply(1);
SELECT version, action, statements FROM migrate.rollback();
SELECT migrate.remove('001'), migrate.remove('002');

-- bytes as they are: CR LF, byte order mark, no statement at all, no byte at all
SELECT id, up, down, detail FROM show('{
  "001_a.sql": "\ufeff-- Up Migration\r\nSELECT 1;\r\n-- Down Migration\r\nSELECT -1;\r\n", "002_b.sql": "\ufeffSELECT 2;\r\n",
  "003_c.sql": "", "004_d.sql": "-- nothing\n", "005_e.sql": "-- migrate:up\n-- nothing\n-- migrate:down\n-- nothing\n"}');

-- a down script that can never run is a warning, an up script an error
SELECT detail FROM show('{"001_a.up.sql": "SELECT 1;", "001_a.down.sql": "BEGIN; SELECT 2;"}');
SELECT migrate.add_files('{"001_a.up.sql": "BEGIN; SELECT 1;", "001_a.down.sql": "SELECT 2;"}');
-- what this server cannot read is registered, unless its sections are not known
SELECT up, detail FROM show('{"001_a.sql": "SELECT ''x"}');
SELECT migrate.add_files('{"001_a.sql": "-- Up Migration\nSELECT ''x;\n-- Down Migration\n"}');

-- all problems at once, and nothing is registered
SELECT * FROM migrate.add_files('{"001_a.sql": "SELECT 1", "01_b.sql": "SELECT 2", "schema.sql": "SELECT 3",
  "002_c.sql": "-- +goose Up\n-- migrate:up\n", "003_d.sql": "\\connect x", "004_e.down.sql": "SELECT 4", "005_f.up.sql": "ROLLBACK;"}');
SELECT count(*) FROM migrate.status();
SELECT migrate.add_files('{"001_a.sql": "SELECT 1", "1_b.sql": "SELECT 2"}');

-- again; changed; applied and changed; a version taken by somebody else
SELECT version, result FROM migrate.add_files('{"001_a.sql": "SELECT 1", "002_b.sql": "SELECT 2", "003_c.sql": "SELECT 3"}');
SELECT version, result FROM migrate.add_files('[{"name": "001_a.sql", "content": "SELECT 1"}, {"name": "002_b.sql", "content": "SELECT 22"}]');
SELECT count(*) FROM migrate.apply(2);
SELECT * FROM migrate.add_files('{"001_a.sql": "SELECT 11", "002_b.sql": "SELECT 222", "003_x.sql": "SELECT 333"}');
SELECT version, name, result FROM migrate.add_files('{"001_a.sql": "SELECT  1 -- the same", "003_x.sql": "SELECT 3"}');

-- one file; of a pair either may come first
SELECT * FROM migrate.add_file('004_d.down.sql', 'SELECT -4');
SELECT * FROM migrate.apply();
SELECT * FROM migrate.add_file('004_d.up.sql', 'SELECT 4');
SELECT id, up, down, file_name FROM migrate.migration WHERE id = '004';
SELECT version, action FROM migrate.apply();
SELECT version, action FROM migrate.rollback();
SELECT * FROM migrate.add_file('005_e.up.sql', 'SELECT 5');
SELECT * FROM migrate.add_file('005_other.down.sql', 'SELECT -5');
SELECT * FROM migrate.add_file('README.md', 'hello');
SELECT version, result FROM migrate.add_file('006_f.postgres.up.sql', 'SELECT 6');
SELECT version, file, result, detail FROM migrate.add_file('006_f.up.sql', 'SELECT 66');

-- wrong arguments
SELECT migrate.add_file(NULL, 'x');
SELECT migrate.add_file('001_a.sql', NULL);
SELECT migrate.add_file('', 'x');
SELECT migrate.add_file('001_a.sql', 'x', 'liquibase');
SELECT migrate.add_files(NULL);
SELECT migrate.add_files('"x"');
SELECT migrate.add_files('["x"]');
SELECT migrate.add_files('[{"name": 1}]');
SELECT migrate.add_files('{"001_a.sql": 1}');
SELECT migrate.add_files('{"001_a.sql": null, "README.md": null, "002_b.js": null}');
SELECT migrate.add_files('[{"name": "001_a.sql", "contents": "SELECT 1"}]');
SELECT * FROM migrate.add_files('{}');
SELECT * FROM migrate.add_files('{"a": null, "b": null}');

DROP EXTENSION dbmigrate;
CREATE EXTENSION dbmigrate;

-- names are data
SELECT id, name, up FROM show($j${"001_'; DROP TABLE x; --.sql": "SELECT 1", "002_a b \"c\".sql": "SELECT 2", "003_$(id) `id` \\q é.sql": "SELECT 3"}$j$);
SELECT migrate.add_files($j${"002_a\nb.sql": "SELECT 2", "003_\u001b[2J.sql": "SELECT 3", "x\u009b/up.sql": "", "4.sql": "SELECT 4"}$j$);

-- a forced format reads nothing but that
SELECT id, format, up, down, detail FROM show('{"V1__a.sql": "SELECT 1", "002_b.sql": "SELECT 2"}', 'flyway');
SELECT id, format, up, down, detail FROM show('{"001_a.up.sql": "SELECT 1", "002_b.sql": "SELECT 2"}', 'golang-migrate');
SELECT id, format, up, down, detail FROM show('{"001_a.sql": "-- Down Migration\nSELECT 1"}', 'plain');
SELECT id, format, up, down, detail FROM show('{"001_a.up.sql": "-- +goose Up\nSELECT 1\n-- migrate:down\n"}', 'goose');
SELECT migrate.add_files('{"001_a.sql": "SELECT 1"}', 'prisma');
SELECT id, format, up, down, detail FROM show('{"001_a.sql": "SELECT 1", "up/002_b.sql": "SELECT 2"}', 'folders');
DROP EXTENSION dbmigrate;
