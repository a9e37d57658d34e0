-- Repeatable migrations, and scripts that stand for all versions up to theirs
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE VIEW status AS SELECT version, name, state, can_rollback FROM migrate.status();

SELECT migrate.add('001', 'items', 'CREATE TABLE items (id int)', 'DROP TABLE items CASCADE');
SELECT migrate.add('002', 'more', 'ALTER TABLE items ADD COLUMN name text', 'ALTER TABLE items DROP COLUMN name CASCADE');
SELECT migrate.add(NULL, 'b_names', 'CREATE OR REPLACE VIEW names AS SELECT name FROM items');
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items');
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items');
SELECT migrate.add('', 'x', 'SELECT 1');
SELECT migrate.add(NULL, repeat('x', 1001), 'SELECT 1');
SELECT id, version, version_key FROM migrate.migration ORDER BY id;

-- after the versions, in the order of their names
SELECT version, name, action FROM migrate.apply();
SELECT * FROM status;
SELECT * FROM migrate.apply();
SELECT migrate.version(), migrate.require() IS NOT NULL AS complete, migrate.status_json() #> '{status,appliedMigrations}' AS applied;

-- run again when the text differs from what was run, not for a comment
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items -- all');
SELECT * FROM migrate.pending();
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items WHERE id > 0');
SELECT * FROM migrate.pending();
SELECT migrate.require();
SELECT migrate.require('R__a_ids');
SELECT migrate.require('R__b_names');
SELECT migrate.require('R__none');
SELECT migrate.mark_applied('R__a_ids', 'the view is as it should be');
SELECT migrate.mark_applied('R__a_ids', 'again');
SELECT migrate.mark_pending('R__a_ids', 'it is not');
SELECT migrate.add('003', 'third', 'CREATE TABLE third ()', 'DROP TABLE third');
SELECT version, name, action FROM migrate.apply();
SELECT pg_get_viewdef('ids') ~ 'id > 0' AS new_text;
SELECT run, action, migration, version, name FROM migrate.history ORDER BY id;
SELECT id, position > 5 AS run_again FROM migrate.applied WHERE version IS NULL ORDER BY id;

-- rolling back does not count them, and runs them again next time
SELECT version, action FROM migrate.rollback(2);
SELECT * FROM status;
SELECT version, name, action FROM migrate.apply();
SELECT count(*) FROM pg_views WHERE viewname IN ('ids', 'names');
SELECT version, name, action FROM migrate.redo(2);
SELECT count(*) FROM pg_views WHERE viewname IN ('ids', 'names');
SELECT state, count(*) FROM status GROUP BY state;
-- redo leaves those alone that have something new to run
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items WHERE id > 1');
SELECT version, name, action FROM migrate.redo();
SELECT * FROM migrate.pending();
-- up to a version, and a few steps
SELECT * FROM migrate.apply_to('003');
SELECT version, name, action FROM migrate.apply(1);

-- by their id
SELECT migrate.mark_pending('R__b_names', 'test');
SELECT migrate.mark_applied('R__b_names', 'test');
SELECT migrate.amend('R__b_names', 'CREATE OR REPLACE VIEW names AS SELECT name FROM items WHERE name > ''''', NULL, 'the index is there');
SELECT * FROM migrate.pending();
SELECT migrate.remove('R__b_names');
SELECT migrate.mark_pending('R__b_names', 'test');
SELECT migrate.approve('R__b_names'), migrate.remove('R__b_names');
SELECT * FROM status;
-- edited in the table
UPDATE migrate.migration SET up = 'SELECT 1' WHERE id = 'R__a_ids';
SELECT * FROM migrate.apply();
SELECT migrate.add(NULL, 'a_ids', 'CREATE OR REPLACE VIEW ids AS SELECT id FROM items WHERE id > 1');
-- errors name it
SELECT migrate.add(NULL, 'bad', 'SELECT 1/0');
SELECT migrate.apply();
SELECT migrate.add(NULL, 'bad', 'SELEC 1');
SELECT migrate.require();
SELECT migrate.apply();
SELECT migrate.remove('R__bad');
-- environments and other target schemas
CREATE SCHEMA one;
SELECT migrate.add(NULL, 'dev', 'CREATE TABLE dev ()', environments => '{development}');
SELECT version, name, action FROM migrate.apply(schema => 'one');
SELECT version, name, state FROM migrate.status('one') WHERE version IS NULL;
SELECT name, state FROM status WHERE version IS NULL;
DROP EXTENSION dbmigrate CASCADE;
DROP SCHEMA one CASCADE;
DROP TABLE items, third CASCADE;

-- Flyway's baseline scripts: run instead of all versions up to theirs, where nothing is applied
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
CREATE VIEW status AS SELECT version, name, state FROM migrate.status();
CREATE SCHEMA old;
SELECT version, name, result, detail FROM migrate.add_files('{"V1__a.sql": "CREATE TABLE a ()", "V2__b.sql": "CREATE TABLE b ()", "V3__c.sql": "CREATE TABLE c ()"}');
SELECT version, action FROM migrate.apply_to('2', 'old');
SELECT version, name, result, detail FROM migrate.add_files('{"V1__a.sql": "CREATE TABLE a ()", "V2__b.sql": "CREATE TABLE b ()", "V3__c.sql": "CREATE TABLE c ()",
  "B2__both.sql": "CREATE TABLE a (); CREATE TABLE b ()", "B1__first.sql": "CREATE TABLE a ()", "R__r.sql": "SELECT 1"}');
SELECT * FROM status;
SELECT version, name, state FROM migrate.status('old');
SELECT version, name, action FROM migrate.apply(schema => 'old');
SELECT version, name, action FROM migrate.apply();
SELECT * FROM status;
SELECT migrate.version(), migrate.require('2') IS NOT NULL AS two, migrate.require() IS NOT NULL AS all;
SELECT id, version, baseline FROM migrate.applied WHERE target_schema = '' ORDER BY position;
SELECT * FROM migrate.apply();
SELECT version, action FROM migrate.rollback(2);
SELECT migrate.rollback_to('1');
-- changed; a second one; the marks
SELECT result FROM migrate.add_files('{"B2__both.sql": "SELECT 2"}');
SELECT result FROM migrate.add_files('{"B3__three.sql": "SELECT 3"}');
SELECT * FROM status;
SELECT migrate.mark_applied('B__3', 'not needed');
SELECT migrate.mark_pending('3', 'test'), migrate.mark_pending('B__2', 'test');
SELECT * FROM status;
SELECT migrate.mark_applied('B__3', 'run by hand');
SELECT * FROM status;
SELECT * FROM migrate.apply();
SELECT migrate.mark_pending('B__3', 'test');
SELECT migrate.baseline('2');
SELECT * FROM status;
DROP EXTENSION dbmigrate CASCADE;
DROP SCHEMA old CASCADE;
DROP TABLE a, b, c;
