-- migrate.file: files that are as they were are not read again, and need not be sent
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;

CREATE FUNCTION hex(content text) RETURNS text LANGUAGE sql AS $$SELECT encode(sha256(convert_to($1, 'UTF8')), 'hex')$$;
-- the same files by their hashes alone
CREATE FUNCTION hashes(files jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(key, CASE WHEN value IS NULL THEN 'null'::jsonb ELSE jsonb_build_object('sha256', hex(value)) END)
      FROM jsonb_each_text($1)$$;
-- the digest as a client counts it
CREATE FUNCTION digest(files jsonb) RETURNS bytea LANGUAGE sql AS $$
    SELECT sha256(string_agg(convert_to(key, 'UTF8') || '\x00'
                             || CASE WHEN key ~* '\.(sql|toml|conf)$' THEN sha256(convert_to(value, 'UTF8')) ELSE decode(repeat('00', 32), 'hex') END,
                             '' ORDER BY convert_to(key, 'UTF8')))
      FROM jsonb_each_text($1)$$;
-- what a client would be asked for
CREATE FUNCTION wanted(files jsonb, format text DEFAULT 'auto', project text DEFAULT '') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT migrate.wanted_files(array_agg(key), array_agg(sha256(convert_to(value, 'UTF8'))), $2, $3) FROM jsonb_each_text($1)$$;
CREATE TABLE was (files jsonb);
INSERT INTO was VALUES ('{"001_a.sql": "CREATE TABLE filehash_a ()", "002_b.up.sql": "SELECT 2", "002_b.down.sql": "SELECT -2",
  "10_c.sql": "-- Up Migration\nSELECT 3;\n-- Down Migration\nSELECT -3;", "9_é.sql": "SELECT ''é''", "README.md": null}');
SELECT files AS f FROM was \gset

-- nothing is known before the first time
SELECT migrate.files_digest(), migrate.files_digest('plain'), migrate.files_digest('auto', 'nobody''s');
SELECT wanted(:'f');
SELECT version, result, file FROM migrate.add_files(:'f');
SELECT name, sha256 = sha256(convert_to(w.files ->> name, 'UTF8')) AS right, migration, read_as, detail, reading_sha256 IS NOT NULL AS main
  FROM migrate.file f, was w ORDER BY name;
-- then all is, and the digest is the client's
SELECT migrate.files_digest() = digest(:'f') AS same;
SELECT wanted(:'f');
SELECT version, name, result, format, file, detail FROM migrate.add_files(:'f');
SELECT version, name, result, format, file, detail FROM migrate.add_files(hashes(:'f'));
-- also as an array, with content, hash, or both
SELECT version, result, file FROM migrate.add_files(jsonb_build_array(
  jsonb_build_object('name', '001_a.sql', 'sha256', hex('CREATE TABLE filehash_a ()')),
  jsonb_build_object('name', '9_é.sql', 'content', 'SELECT ''é''', 'sha256', upper(hex('SELECT ''é''')))));
SELECT migrate.files_digest() = digest('{"001_a.sql": "CREATE TABLE filehash_a ()", "9_é.sql": "SELECT ''é''"}') AS the_last_set;
SELECT version, result FROM migrate.add_files(:'f') WHERE result <> 'unchanged';
-- nothing is written for what is as it was
BEGIN;
SELECT count(*) FROM migrate.add_files(:'f');
SELECT pg_current_xact_id_if_assigned() IS NULL AS nothing_written;
COMMIT;

-- a pair is wanted together; a new name wants what it has to do with
SELECT wanted(:'f' || '{"002_b.down.sql": "SELECT -22"}'::jsonb);
SELECT wanted(:'f'::jsonb - '002_b.down.sql');
SELECT wanted(:'f' || '{"10_c.down.sql": "SELECT 1", "11_d.sql": "x", "notes.txt": "x"}'::jsonb);
SELECT wanted(:'f' || '{"README.md": "changed", "x.sh": "new"}'::jsonb);
-- what is wanted by its hash alone is named
SELECT migrate.add_files(hashes(:'f' || '{"002_b.down.sql": "SELECT -22", "3_d.sql": "SELECT 4"}'::jsonb));
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add_files(hashes(:'f' || '{"002_b.down.sql": "SELECT -22"}'::jsonb) || '{"002_b.down.sql": "SELECT -22"}');
SELECT version, result FROM migrate.add_files(hashes(:'f') || '{"002_b.down.sql": "SELECT -22", "002_b.up.sql": "SELECT 2"}') WHERE result <> 'unchanged';
SELECT migrate.files_digest() = digest(:'f' || '{"002_b.down.sql": "SELECT -22"}'::jsonb) AS same;
-- a content that is not that of its hash
SELECT migrate.add_files(jsonb_build_object('001_a.sql', jsonb_build_object('content', 'CREATE TABLE b ()', 'sha256', hex('CREATE TABLE filehash_a ()'))));
\echo :LAST_ERROR_SQLSTATE
-- a set with something wrong is not registered, and not remembered
SELECT count(*) FROM migrate.add_files(:'f');
SELECT migrate.add_files(:'f' || '{"12_x.sql": "SELECT 1", "x.sql": "SELECT 2"}'::jsonb);
SELECT migrate.files_digest() = digest(:'f') AS same, count(*) FROM migrate.file;
-- a file that is gone is forgotten; its migration is not
SELECT count(*) FROM migrate.add_files(:'f'::jsonb - '10_c.sql');
SELECT migrate.files_digest() = digest(:'f'::jsonb - '10_c.sql') AS same, (SELECT count(*) FROM migrate.status()) AS migrations;
SELECT wanted(:'f');
SELECT count(*) FROM migrate.add_files(:'f');

-- it counts while the migration is what it was
SELECT migrate.approve('001');
SELECT migrate.files_digest() IS NOT NULL AS approved;
SELECT migrate.add('001', 'renamed', 'CREATE TABLE filehash_a ()');
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT version, name, result FROM migrate.add_files(:'f') WHERE result <> 'unchanged';
SELECT migrate.add('001', 'a', 'CREATE TABLE filehash_a ()', environments => '{test}');
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT count(*) FROM migrate.add_files(:'f');
SELECT migrate.remove('002');
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT version, result FROM migrate.add_files(:'f') WHERE result <> 'unchanged';
SELECT migrate.manage('a test');
SELECT version FROM migrate.apply();
SELECT migrate.files_digest() = digest(:'f') AS applied;
SELECT migrate.amend('002', NULL, 'SELECT -222', 'a test');
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT version, result FROM migrate.add_files(:'f') WHERE result <> 'unchanged';
UPDATE migrate.migration SET up = 'SELECT 666' WHERE id = '002';
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT migrate.amend('002', 'SELECT 2', NULL, 'a test');
SELECT count(*) FROM migrate.add_files(:'f');
SELECT migrate.files_digest() = digest(:'f') AS same;
-- an edited table of files is no worse than an empty one
UPDATE migrate.file SET reading_sha256 = '\x00', read_as = 'nonsense', registered = NULL WHERE name = '001_a.sql';
SELECT migrate.files_digest(), array_agg(w) FROM wanted(:'f') w;
SELECT version, result, format FROM migrate.add_files(:'f') WHERE version = '001';
-- read by another version, or on another server
UPDATE migrate.file SET read_by = '0.9/14';
SELECT migrate.files_digest(), count(*) FROM wanted(:'f');
SELECT count(*) FROM migrate.add_files(:'f');
SELECT migrate.files_digest() = digest(:'f') AS same;

-- what is to be told each time is read each time
SELECT version, detail FROM migrate.add_files('{"1_x.sql": "SELEC 1", "2_x.up.sql": "SELECT 1", "2_x.down.sql": "DROP DATABASE x; COMMIT", "3_x.sql": "SELECT 3"}', project => 'odd');
SELECT wanted('{"1_x.sql": "SELEC 1", "2_x.up.sql": "SELECT 1", "2_x.down.sql": "DROP DATABASE x; COMMIT", "3_x.sql": "SELECT 3"}', project => 'odd'), migrate.files_digest('auto', 'odd');
SELECT version, result FROM migrate.add_files('{"1_x.sql": "SELEC 1", "2_x.up.sql": "SELECT 1", "2_x.down.sql": "DROP DATABASE x; COMMIT", "3_x.sql": "SELECT 3"}', project => 'odd');
-- each format and each project has files of its own
SELECT wanted(:'f', project => 'odd');
SELECT wanted('{"3_x.sql": "SELECT 3"}', 'plain', 'odd');
SELECT migrate.add_files(hashes('{"3_x.sql": "SELECT 3"}'), 'plain', 'odd');
SELECT version, result FROM migrate.add_files('{"3_x.sql": "SELECT 3"}', 'plain', 'odd');
SELECT migrate.files_digest('plain', 'odd') = digest('{"3_x.sql": "SELECT 3"}') AS same, migrate.files_digest('PLAIN', 'odd') IS NOT NULL AS folded;

-- files about other files; code; dialects; several of one number
CREATE FUNCTION steps(project text, VARIADIC sets jsonb[]) RETURNS TABLE (step int, wants text, results text, knows boolean) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. cardinality(sets) LOOP
        step := i;
        SELECT coalesce(string_agg(w, ' ' ORDER BY w), '-') INTO wants FROM wanted(sets[step], project => $1) w;
        SELECT string_agg(format('%s %s', coalesce(a.version, a.name, a.file), a.result), ', ') INTO results
          FROM migrate.add_files((SELECT jsonb_object_agg(key, CASE WHEN value IS NULL THEN 'null'
                                                                    WHEN key = ANY (string_to_array(wants, ' ')) THEN to_jsonb(value)
                                                                    ELSE jsonb_build_object('sha256', hex(value)) END)
                                    FROM jsonb_each_text(sets[step])), project => $1) a;
        knows := migrate.files_digest('auto', $1) = digest(sets[step]);
        RETURN NEXT;
    END LOOP;
END $$;
SELECT * FROM steps('diesel',
  '{"20231106_a/up.sql": "SELECT 1", "20231106_a/down.sql": "SELECT -1", "20231107_b/up.sql": "SELECT 2"}',
  '{"20231106_a/up.sql": "SELECT 1", "20231106_a/down.sql": "SELECT -1", "20231107_b/up.sql": "SELECT 2", "20231106_a/metadata.toml": "run_in_transaction = false"}',
  '{"20231106_a/up.sql": "SELECT 1", "20231106_a/down.sql": "SELECT -1", "20231107_b/up.sql": "SELECT 2", "20231106_a/metadata.toml": "run_in_transaction = false"}',
  '{"20231106_a/up.sql": "SELECT 1", "20231106_a/down.sql": "SELECT -1", "20231107_b/up.sql": "SELECT 22", "20231106_a/metadata.toml": "run_in_transaction = true"}',
  '{"20231106_a/up.sql": "SELECT 1", "20231106_a/down.sql": "SELECT -1", "20231107_b/up.sql": "SELECT 22", "other/metadata.toml": "x"}');
SELECT * FROM steps('flyway',
  '{"V1__a.sql": "SELECT 1", "V1__a.sql.conf": "executeInTransaction=false", "V2__b.sql": "SELECT ''${x}''", "R__v.sql": "SELECT 3", "B5__base.sql": "SELECT 5"}',
  '{"V1__a.sql": "SELECT 1", "V1__a.sql.conf": "executeInTransaction=false", "V2__b.sql": "SELECT ''x''", "R__v.sql": "SELECT 3", "B5__base.sql": "SELECT 5"}',
  '{"V1__a.sql": "SELECT 11", "V1__a.sql.conf": "executeInTransaction=false", "V2__b.sql": "SELECT ''x''", "R__v.sql": "SELECT 33", "B5__base.sql": "SELECT 5", "U2__b.sql": "SELECT -2"}');
SELECT * FROM steps('dialects',
  '{"001_a.up.sql": "SELECT 1", "001_a.mysql.up.sql": "x", "002_b.js": null}',
  '{"001_a.up.sql": "SELECT 1", "001_a.mysql.up.sql": "y", "002_b.js": null}',
  '{"001_a.up.sql": "SELECT 1", "001_a.mysql.up.sql": "y", "001_a.postgres.up.sql": "SELECT 11", "002_b.js": null}',
  '{"001_a.up.sql": "SELECT 1", "001_a.mysql.up.sql": "y", "002_b.js": null}');
SELECT * FROM steps('numbers',
  '{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "-- +migrate Up\nSELECT 1"}',
  '{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "-- +migrate Up\nSELECT 1"}',
  '{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "-- +migrate Up\nSELECT 1", "5-c.sql": "-- +migrate Up\nSELECT 3"}');
-- what a file says about itself
SELECT version, name, result, detail FROM migrate.add_files('{"1_a.sql": "-- dbmigrate: name=better environments=test\nSELECT 1"}', project => 'said');
SELECT version, name, result, detail FROM migrate.add_files(hashes('{"1_a.sql": "-- dbmigrate: name=better environments=test\nSELECT 1"}'), project => 'said');
SELECT version, name, state, detail FROM migrate.compare('{"1_a.sql": "-- dbmigrate: name=better environments=test\nSELECT 1"}', project => 'said');
SELECT version, name, result, detail FROM migrate.add_files('{"1_a.sql": "SELECT 1"}', project => 'said');
SELECT version, name, result, detail FROM migrate.add_files(hashes('{"1_a.sql": "SELECT 1"}'), project => 'said');
-- one that was known is another's double now
SELECT migrate.add_files('{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-a.sql": "SELECT 1"}', project => 'numbers');
SELECT migrate.add_files(hashes('{"5-b.sql": "-- +migrate Up\nSELECT 2", "5-c.sql": "-- +migrate Up\nSELECT 3"}')
  || '{"5-a.sql": "-- +migrate Up\nSELECT 1", "5.2-d.sql": "-- +migrate Up\nSELECT 4"}', project => 'numbers');
-- a hash without its content is believed of nothing that was not read here
SELECT version, result, detail FROM migrate.add_files('{"mysql/001_a.sql": {"sha256": "0000000000000000000000000000000000000000000000000000000000000001"}, "postgres/001_a.sql": "SELECT 1"}', project => 'claims');
SELECT wanted('{"postgres/001_a.sql": "SELECT 1", "mysql/001_a.sql": "SELECT 1"}', project => 'claims');
SELECT migrate.add_files('{"mysql/001_a.sql": {"sha256": "0000000000000000000000000000000000000000000000000000000000000001"}}', project => 'claims');
SELECT migrate.add_files(hashes('{"001_a.sql": "CREATE TABLE filehash_a ()"}'), project => 'claims');

-- a set of many is few statements: in the order of the files, with the ids of what is applied already
SELECT migrate.add('1', 'm', 'SELECT 1', project => 'many', file_name => '1_m.sql');
SELECT migrate.baseline('07', project => 'many');
SELECT count(*), min(result), max(result) FROM migrate.add_files((SELECT jsonb_object_agg(format('%s_m.sql', g), format('SELECT %s', g)) FROM generate_series(1, 1500) g), project => 'many');
SELECT count(*), min(result), max(result) FROM migrate.add_files((SELECT jsonb_object_agg(format('%s_m.sql', g), format('SELECT %s', g)) FROM generate_series(1, 1501) g), project => 'many');
SELECT count(*), count(*) FILTER (WHERE m.id = CASE m.version WHEN '7' THEN '07' ELSE m.version END AND m.name = 'm'
                                  AND m.up = 'SELECT ' || m.version AND m.file_name = m.version || '_m.sql' AND m.version_key = migrate.version_key(m.version) AND NOT m.altered AND m.up_statements = 1 AND m.down IS NULL) AS right
  FROM migrate.migration m WHERE project = 'many';
SELECT a.id, a.checksum = m.checksum AS learned FROM migrate.applied a JOIN migrate.migration m USING (project, id) WHERE project = 'many';

-- arguments
SELECT migrate.add_files('{"1_a.sql": {"sha256": "abc"}}');
SELECT migrate.add_files('{"1_a.sql": {"sha256": "zz00000000000000000000000000000000000000000000000000000000000001"}}');
SELECT migrate.add_files('{"1_a.sql": {"sha256": 7}}');
SELECT migrate.add_files('{"1_a.sql": {"content": 7}}');
SELECT migrate.add_files('{"1_a.sql": {}}');
SELECT migrate.add_files('[{"name": "README.md"}, {"name": "README.md"}, {"name": "1_a.sql", "content": "SELECT 1"}, {"name": "1_a.sql", "content": "SELECT 1"}]', project => 'twice');
SELECT version, result, file FROM migrate.add_files('[{"name": "README.md"}, {"name": "README.md"}, {"name": "1_a.sql", "content": "SELECT 1"}]', project => 'twice');
SELECT migrate.wanted_files(NULL, '{}');
SELECT migrate.wanted_files('{}', NULL);
SELECT migrate.wanted_files('{}', '{}');
SELECT migrate.wanted_files('{a,b}', '{NULL}');
SELECT migrate.wanted_files('{NULL}', '{NULL}');
SELECT migrate.wanted_files('{1_a.sql}', '{"\\x00"}');
SELECT migrate.wanted_files('{{1_a.sql}}', '{{NULL}}');
SELECT migrate.wanted_files('{1_a.sql}', '{NULL}', 'nonsense');
SELECT * FROM migrate.wanted_files(ARRAY['2_a.sql', '3_a.js', 'x.sql', E'4_\n.sql', '', repeat('9', 300) || '_a.sql', '5_' || repeat('a', 2000) || '.sql'], array_fill(NULL::bytea, '{7}')) w WHERE length(w) < 300;
SELECT migrate.files_digest('nonsense');
SELECT count(*), min(result) FROM migrate.add_files(jsonb_build_object('5_' || repeat('a', 2000) || '.sql', 'SELECT 1', '6_b.sql', 'SELECT 2'), project => 'long');
SELECT name FROM migrate.file WHERE project = 'long';
BEGIN READ ONLY;
SELECT migrate.files_digest('auto', 'long') IS NOT NULL AS answers;
SELECT wanted('{"6_b.sql": "SELECT 2"}', project => 'long');
COMMIT;

-- whoever may not register is not told what is registered
CREATE ROLE regress_dbmigrate_asker;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_asker;
GRANT EXECUTE ON FUNCTION migrate.files_digest, migrate.wanted_files TO regress_dbmigrate_asker;
SET ROLE regress_dbmigrate_asker;
SELECT migrate.files_digest();
SELECT migrate.wanted_files('{1_a.sql}', '{NULL}');
\echo :LAST_ERROR_SQLSTATE
RESET ROLE;
GRANT EXECUTE ON FUNCTION migrate.add_files TO regress_dbmigrate_asker;
SET ROLE regress_dbmigrate_asker;
SELECT migrate.files_digest() IS NOT NULL AS answers;
SELECT migrate.wanted_files('{1_a.sql}', '{NULL}');
SELECT version, result FROM migrate.add_files(hashes(:'f')) WHERE result <> 'unchanged';
RESET ROLE;

DROP EXTENSION dbmigrate;
DROP TABLE was;
DROP FUNCTION hex, hashes, digest, wanted, steps;
DROP OWNED BY regress_dbmigrate_asker;
DROP ROLE regress_dbmigrate_asker;
