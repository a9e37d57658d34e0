-- migrate.compare(), migrate.compare_json(): the status that a directory would have
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;

CREATE FUNCTION compared(files jsonb, format text DEFAULT 'auto', schema text DEFAULT '', project text DEFAULT '')
RETURNS TABLE (version text, name text, state text, applied boolean, can_rollback boolean, file text, detail text) LANGUAGE sql AS $$
    SELECT c.version, c.name, c.state, c.applied_at IS NOT NULL AND c.applied_by = current_user AND c.duration IS NOT NULL, c.can_rollback, c.file, c.detail
      FROM migrate.compare($1, $2, $3, $4) c$$;
CREATE TABLE was (files jsonb);
INSERT INTO was VALUES ('{"001_a.sql": "CREATE TABLE compare_a ()", "002_b.up.sql": "SELECT 2", "002_b.down.sql": "SELECT -2",
  "003_c.sql": "-- Up Migration\nSELECT 3;\n-- Down Migration\nSELECT -3;", "004_d.sql": "SELECT 4", "R__v.sql": "SELECT 5", "README.md": null}');
SELECT files AS f FROM was \gset

-- all is new; nothing is written
SELECT * FROM compared(:'f');
SELECT migrate.compare_json(:'f');
SELECT count(*) FROM migrate.migration;
SELECT count(*) FROM migrate.file;
-- as status() has it, once it is registered
SELECT count(*) FROM migrate.add_files(:'f');
SELECT * FROM compared(:'f');
SELECT migrate.compare_json(:'f') = migrate.status_json() AS same;
SELECT version FROM migrate.apply_to('003');
SELECT * FROM compared(:'f');
SELECT version FROM migrate.apply();
SELECT migrate.compare_json(:'f');
SELECT c.version, c.name, c.state, c.applied_at, c.applied_by, c.duration, c.can_rollback FROM migrate.compare(:'f') c
EXCEPT ALL SELECT * FROM migrate.status();
-- in a transaction that must not write
BEGIN READ ONLY;
SELECT count(*) FROM migrate.compare(:'f');
SELECT migrate.compare_json(:'f') #>> '{status,isUpToDate}' AS up_to_date;
COMMIT;

-- an edited file hides nothing behind it; comments do not matter; a repeatable one is run again
SELECT * FROM compared(:'f' || '{"001_a.sql": "CREATE TABLE compare_aa ()", "002_b.down.sql": "SELECT -22", "003_c.sql": "-- x\n-- Up Migration\nSELECT 3;\n-- Down Migration\nSELECT -3;", "R__v.sql": "SELECT 55", "005_e.sql": "SELECT 6", "0.5_f.sql": "CREATE INDEX CONCURRENTLY i ON compare_a (x)"}'::jsonb);
SELECT migrate.compare_json(:'f' || '{"001_a.sql": "CREATE TABLE compare_aa ()"}'::jsonb);
SELECT migrate.compare_json(:'f' || '{"R__v.sql": "SELECT 55", "005_e.sql": "SELECT 6"}'::jsonb);
-- files that are gone; one that never was
SELECT migrate.add('006', 'by hand', 'SELECT 6');
SELECT * FROM compared(:'f'::jsonb - '001_a.sql' - '002_b.down.sql');
SELECT migrate.compare_json(:'f'::jsonb - '001_a.sql');
SELECT migrate.remove('006');
SELECT migrate.compare_json(:'f'::jsonb - '001_a.sql');
-- another text than is registered, pending
SELECT count(*) FROM migrate.rollback_to('002', confirm => NULL);
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.amend('004', NULL, '', 'a test');
SELECT count(*) FROM migrate.rollback_to('002');
SELECT * FROM compared(:'f' || '{"004_d.sql": "SELECT 44", "003_renamed.sql": "-- Up Migration\nSELECT 3;\n-- Down Migration\nSELECT -3;"}'::jsonb - '003_c.sql');
SELECT * FROM compared(:'f' || '{"004_d.sql": "SELEC 44"}'::jsonb);

-- what add_files() would refuse is told where it is, and hides nothing
SELECT * FROM compared(:'f' || '{"bad.sql": "x", "005_a.sql": "SELECT 1", "05_b.sql": "SELECT 2", "007_x.sql": "\\connect x", "008_y.sql": "-- Down Migration\nSELECT 1",
  "009_z.down.sql": "SELECT 1", "001_a.down.sql": "SELECT 1", "004_other.sql": "SELECT 0"}'::jsonb);
SELECT migrate.compare_json(:'f' || '{"bad.sql": "x", "005_a.sql": "SELECT 1", "05_b.sql": "SELECT 2"}'::jsonb);
SELECT * FROM compared(:'f' || '{"V7__x.sql": "SELECT 1", "V7__x.sql.conf": "executeInTransaction=perhaps", "008_q.sql": "-- migrate:up\nSELECT 1;\n-- +goose Up\nSELECT 2"}'::jsonb);
-- by hashes alone
CREATE FUNCTION hashes(files jsonb) RETURNS jsonb LANGUAGE sql AS $$
    SELECT jsonb_object_agg(key, CASE WHEN value IS NULL THEN 'null'::jsonb ELSE jsonb_build_object('sha256', encode(sha256(convert_to(value, 'UTF8')), 'hex')) END)
      FROM jsonb_each_text($1)$$;
SELECT count(*) FROM migrate.add_files(:'f');
SELECT version, state FROM compared(hashes(:'f') || '{"005_new.sql": "SELECT 1"}');
SELECT version, state FROM compared(hashes(:'f' || '{"005_new.sql": "SELECT 1", "004_d.sql": "SELECT 44"}'::jsonb));
\echo :LAST_ERROR_SQLSTATE

-- somebody else's
CREATE ROLE regress_dbmigrate_comparer;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_comparer;
GRANT EXECUTE ON FUNCTION migrate.compare, migrate.compare_json TO regress_dbmigrate_comparer;
SET ROLE regress_dbmigrate_comparer;
SELECT version, state, detail FROM migrate.compare(:'f' || '{"004_d.sql": "SELECT 44"}'::jsonb);
SELECT migrate.compare_json(:'f') #>> '{message}';
SELECT * FROM migrate.file;
RESET ROLE;
REVOKE EXECUTE ON FUNCTION migrate.compare FROM regress_dbmigrate_comparer;
SET ROLE regress_dbmigrate_comparer;
SELECT migrate.compare_json(:'f');
RESET ROLE;

-- environments, baselines, other schemas and projects, altered rows, applied and not registered
SELECT migrate.add('004', 'd', 'SELECT 4', environments => '{nowhere}');
SELECT version, state, detail FROM compared(:'f');
SELECT version, state, detail FROM compared('{}');
SELECT migrate.compare_json('{}');
CREATE SCHEMA compare_s;
SELECT version, state, detail FROM compared(:'f' || '{"001_a.sql": "CREATE TABLE compare_aa ()"}'::jsonb, schema => 'compare_s');
SELECT version, state, detail FROM compared(:'f', schema => 'compare_none');
SELECT version, state, detail FROM compared('{"B2__base.sql": "SELECT 1", "V1__a.sql": "SELECT 1", "V3__b.sql": "SELECT 1"}', 'flyway', project => 'new one');
SELECT count(*) FROM migrate.add_files('{"B2__base.sql": "SELECT 1", "V1__a.sql": "SELECT 1", "V3__b.sql": "SELECT 1"}', 'flyway', project => 'base');
SELECT version, state, detail FROM compared('{"B2__base.sql": "SELECT 1", "V1__a.sql": "SELECT 1", "V3__b.sql": "SELECT 1"}', 'flyway', project => 'base');
SELECT migrate.baseline('20', project => 'base');
SELECT version, state, detail FROM compared('{"B2__base.sql": "SELECT 1", "V1__a.sql": "SELECT 1"}', 'flyway', project => 'base');
SELECT version, state, detail FROM compared('{"V20__late.sql": "SELECT 1"}', 'flyway', project => 'base');
UPDATE migrate.migration SET up = 'SELECT 666' WHERE id = '002';
SELECT version, state, detail FROM compared(:'f') WHERE version = '002';
DELETE FROM migrate.migration WHERE id = '002';
SELECT version, state, detail FROM compared(:'f') WHERE version = '002';
SELECT version, state, detail FROM compared(:'f' || '{"002_b.up.sql": "SELECT 22"}'::jsonb) WHERE version = '002';
SELECT version, state, detail FROM compared('{}') WHERE version = '002';

-- arguments
SELECT migrate.compare(NULL);
SELECT migrate.compare('7');
SELECT migrate.compare('{"1_a.sql": 7}');
SELECT migrate.compare('{}', 'nonsense');
SELECT migrate.compare('{}', project => E'a\nb');

DROP EXTENSION dbmigrate;
DROP SCHEMA compare_s;
DROP TABLE was, compare_a;
DROP FUNCTION compared, hashes;
DROP ROLE regress_dbmigrate_comparer;
