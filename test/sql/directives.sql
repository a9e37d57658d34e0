-- What a file says about itself: "-- dbmigrate: environments=development"
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;

-- What is stored of a set, and the set is forgotten again.
CREATE FUNCTION show(files jsonb, wanted text DEFAULT 'auto')
RETURNS TABLE (id text, name text, format text, environments text[], online text, detail text)
LANGUAGE plpgsql AS $$
DECLARE
    r record;
BEGIN
    CREATE TEMP TABLE seen ON COMMIT DROP AS SELECT a.*, row_number() OVER () AS n FROM migrate.add_files($1, $2) a;
    RETURN QUERY SELECT coalesce(m.id, '(' || a.file || ')'), a.name, a.format, m.environments,
                        CASE WHEN m.up_online THEN 'up ' ELSE '' END || CASE WHEN m.down_online THEN 'down' ELSE '' END,
                        concat_ws(': ', nullif(a.result, 'added'), a.detail)
                   FROM seen a LEFT JOIN migrate.migration m
                     ON m.version = a.version OR m.id = 'B__' || a.version OR (a.version IS NULL AND m.id = 'R__' || a.name)
                  ORDER BY a.n;
    FOR r IN SELECT m.id FROM migrate.migration m LOOP
        PERFORM migrate.remove(r.id);
    END LOOP;
    DROP TABLE seen;
END $$;

-- several words, several lines, in upper case, indented, between other comments, behind a byte order mark
SELECT * FROM show(jsonb_build_object(
  '001_all.sql', E'-- dbmigrate: environments=development,test name=seed\n/* now */\n-- that was all\n  --DBMIGRATE:\tonline\nSELECT 1;',
  '002_bom.sql', E'\ufeff-- dbmigrate: environments=Development\r\nSELECT 1;\r\n',
  '003_none.sql', E'-- dbmigrate is not said\n-- see dbmigrate: here\nSELECT 1 AS "-- dbmigrate: online";'));
-- in the formats of all tools
SELECT * FROM show($j${
  "001_node.sql": "-- dbmigrate: environments=a online\n-- Up Migration\nSELECT 1;\n-- Down Migration\nSELECT -1;",
  "002_node.sql": "-- dbmigrate: environments=a\n-- Down Migration\nSELECT -1;\n-- Up Migration\nSELECT 1;",
  "003_dbmate.sql": "-- dbmigrate: environments=a\n-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT -1;",
  "004_goose.sql": "-- +goose NO TRANSACTION\n-- dbmigrate: environments=a online\n-- +goose Up\nSELECT 1;",
  "005_sql-migrate.sql": "-- dbmigrate: environments=a\n-- +migrate Up\nSELECT 1;",
  "006_tern.sql": "-- dbmigrate: environments=a\nSELECT 1;\n---- create above / drop below ----\nSELECT -1;",
  "007_golang.up.sql": "-- dbmigrate: environments=a name=other online\nSELECT 1;",
  "007_golang.down.sql": "SELECT -1;",
  "008_golang.up.sql": "SELECT 1;",
  "008_golang.down.sql": "-- dbmigrate: online\nSELECT -1;",
  "V9__flyway.sql": "-- dbmigrate: environments=a\nSELECT 1;",
  "U9__flyway.sql": "-- dbmigrate: online\nSELECT -1;",
  "R__flyway.sql": "-- dbmigrate: environments=a\nSELECT 1;",
  "B5__flyway.sql": "-- dbmigrate: environments=a name=begin\nSELECT 1;"}$j$);
SELECT * FROM show('{"up/001_x.sql": "-- dbmigrate: environments=a\nSELECT 1", "down/001_x.sql": "-- dbmigrate: online\nSELECT 1"}');
SELECT * FROM show('{"2023-11-06-120000_x/up.sql": "-- dbmigrate: environments=a\nSELECT 1", "2023-11-06-120000_x/down.sql": "SELECT 1"}');
SELECT * FROM show('{"20231106120000_x/migration.sql": "-- dbmigrate: environments=a\nSELECT 1"}');
-- a format that is asked for
SELECT * FROM show('{"001_x.sql": "-- dbmigrate: online\n-- migrate:up\n-- dbmigrate: environments=a\nSELECT 1"}', 'plain');

-- all that is wrong, with its line
SELECT migrate.add_files(jsonb_build_object('001_a.sql', E'\n-- dbmigrate: environment=development\nSELECT 1;'));
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add_files(jsonb_build_object(
  '001_word.sql', E'-- dbmigrate: ONLINE\nSELECT 1;',
  '002_late.sql', E'SELECT 1;\n-- dbmigrate: online\nSELECT 1;',
  '003_within.sql', E'SELECT 1\n-- dbmigrate: online\n;',
  '004_section.sql', E'-- migrate:up\n-- dbmigrate: online\nSELECT 1;',
  '005_nothing.sql', E'\n-- dbmigrate:\nSELECT 1;',
  '006_twice.sql', E'-- dbmigrate: online name=a\n-- dbmigrate: name=b',
  '007_online.sql', E'-- dbmigrate: online online',
  '008_environments.sql', E'-- dbmigrate: environments=a\n-- dbmigrate: environments=b',
  '009_empty.sql', '-- dbmigrate: environments=a,,b',
  '010_blank.sql', '-- dbmigrate: environments=a, b',
  '011_name.sql', '-- dbmigrate: name=',
  '012_control.sql', E'-- dbmigrate: name=a\x01b',
  '013_pair.up.sql', 'SELECT 1;', '013_pair.down.sql', '-- dbmigrate: environments=a',
  '014_pair.up.sql', 'SELECT 1;', '014_pair.down.sql', '-- dbmigrate: name=a',
  '015_body.sql', E'-- dbmigrate: online\nSELECT $$\n-- dbmigrate: nothing\n$$;',
  'R__a.sql', '-- dbmigrate: name=b'));
-- a settings file that says otherwise, and ones that do not
SELECT migrate.add_files('{"1_a/up.sql": "-- dbmigrate: online\nSELECT 1;", "1_a/metadata.toml": "run_in_transaction = true",
  "V2__b.sql": "-- dbmigrate: online\nSELECT 1;", "V2__b.sql.conf": "executeInTransaction=true"}');
SELECT * FROM show('{"1_a/up.sql": "-- dbmigrate: online\nSELECT 1;", "1_a/metadata.toml": "run_in_transaction = false",
  "V2__b.sql": "-- dbmigrate: environments=a\nSELECT 1;", "V2__b.sql.conf": "executeInTransaction=true"}');

-- they are comments: no part of the checksum, and an applied file may get them
SELECT result, detail FROM migrate.add_file('001_seed.sql', 'CREATE TABLE directive_t ();');
SELECT version FROM migrate.apply();
SELECT checksum AS before FROM migrate.migration \gset
SELECT result, detail FROM migrate.add_file('001_seed.sql', E'-- dbmigrate: environments=development online\nCREATE TABLE directive_t ();');
SELECT checksum = :'before' AS same, environments, up_online FROM migrate.migration;
SELECT version, state FROM migrate.status();
-- the same as add() does
SELECT migrate.add('001', 'seed', 'CREATE TABLE directive_t ();', environments => '{staging}', online => false);
SELECT environments FROM migrate.migration;
-- the file has the last word, as long as it says something
SELECT result FROM migrate.add_file('001_seed.sql', E'-- dbmigrate: environments=development\nCREATE TABLE directive_t ();');
SELECT result FROM migrate.add_file('001_seed.sql', E'-- dbmigrate: environments=development\nCREATE TABLE directive_t ();');
SELECT environments FROM migrate.migration;
-- what it does not say any more holds no more
SELECT result FROM migrate.add_file('001_seed.sql', E'-- dbmigrate: name=table\nCREATE TABLE directive_t ();');
SELECT name, environments FROM migrate.migration;
-- and what add() said stays
SELECT migrate.add('001', 'table', 'CREATE TABLE directive_t ();', environments => '{staging}');
SELECT result FROM migrate.add_file('001_seed.sql', E'-- dbmigrate: name=table\n\nCREATE TABLE directive_t ();');
SELECT environments FROM migrate.migration;

-- seeds: once in development; and again whenever they change, beside files of other formats
SELECT version, name, result, format, detail FROM migrate.add_files('{
  "002_people.sql": "-- Up Migration\nCREATE TABLE directive_people (name text PRIMARY KEY);\n-- Down Migration\nDROP TABLE directive_people;",
  "003_ann.sql": "-- dbmigrate: environments=development\nINSERT INTO directive_people VALUES (''Ann'');",
  "seeds/R__people.sql": "-- dbmigrate: environments=development,test\nINSERT INTO directive_people VALUES (''Bob'') ON CONFLICT DO NOTHING;"}');
SET client_min_messages = warning;
SELECT version, name FROM migrate.apply();
SET dbmigrate.environment = 'development';
SELECT version, name FROM migrate.apply();
SELECT version, name FROM migrate.apply();
SELECT result FROM migrate.add_file('seeds/R__people.sql',
  E'-- dbmigrate: environments=development,test\nINSERT INTO directive_people VALUES (''Bob''), (''Eve'') ON CONFLICT DO NOTHING;');
SELECT version, name FROM migrate.apply();
SELECT name FROM directive_people ORDER BY name;
-- also where only one format counts
SELECT f, version, name, result, file
  FROM unnest('{plain,node-pg-migrate,golang-migrate,dbmate,folders,diesel,flyway}'::text[]) f,
       migrate.add_files('{"R__y.sql": "SELECT 5;"}', f);

DROP TABLE directive_t, directive_people;
DROP FUNCTION show;
DROP EXTENSION dbmigrate;
