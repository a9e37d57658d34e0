-- Recording what was run by other means.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
CREATE TABLE take_old (a int);
SELECT migrate.add(v::text, 'old', 'CREATE TABLE take_old (a int)', 'DROP TABLE take_old') FROM generate_series(1, 3) v;
SELECT migrate.add('4', 'new', 'ALTER TABLE take_old ADD b int', 'ALTER TABLE take_old DROP b');

-- a database that is not empty, and nothing recorded
SELECT * FROM migrate.apply();
SELECT migrate.baseline('3');
SELECT version, state, applied_at IS NOT NULL AS at, duration, can_rollback FROM migrate.status();
SELECT version FROM migrate.apply();
SELECT action, migration, statements, duration IS NULL AS not_run FROM migrate.history ORDER BY id;
SELECT migrate.version();
-- not twice, once there is more
SELECT migrate.baseline('4');
\echo :LAST_ERROR_SQLSTATE
-- what is registered later and is older counts as applied
SELECT migrate.add('2.5', 'late', 'SELECT 1/0');
SELECT version, state FROM migrate.status();
SELECT * FROM migrate.apply();
SELECT migrate.require();
SELECT migrate.status_json()->'status'->>'isUpToDate';

-- what a baseline covers is not taken back one by one
SELECT migrate.mark_pending('1', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT version, state FROM migrate.status() WHERE version = '1';

-- a baseline at a version nobody registered
CREATE SCHEMA take_s;
SELECT migrate.baseline('20231106', schema => 'take_s');
SELECT version, name, state FROM migrate.status('take_s');
SELECT migrate.baseline('20231107', schema => 'take_s');
SELECT migrate.version('take_s');
SELECT * FROM migrate.rollback(schema => 'take_s');
SELECT migrate.baseline(NULL);
SELECT migrate.baseline('x');

-- mark_applied
SELECT migrate.add('5', 'by hand', 'CREATE INDEX CONCURRENTLY take_i ON take_old (a)', 'DROP INDEX take_i');
CREATE INDEX take_i ON take_old (a);
SELECT migrate.mark_applied('5', NULL);
SELECT migrate.mark_applied('5', '');
SELECT migrate.mark_applied('77', 'x');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.mark_applied('5', 'built by hand at night');
SELECT migrate.mark_applied('5', 'again');
\echo :LAST_ERROR_SQLSTATE
SELECT version, state, duration, can_rollback FROM migrate.status() WHERE version = '5';
SELECT version, action FROM migrate.rollback();

-- mark_pending
SELECT migrate.mark_pending('5', 'x');
SELECT migrate.mark_pending('77', 'x');
ALTER TABLE take_old DROP b;
SELECT migrate.mark_pending('4', 'dropped by hand');
SELECT version, state FROM migrate.status() WHERE version IN ('4', '5');
SELECT action, migration, reason FROM migrate.history ORDER BY id DESC LIMIT 3;
SELECT version FROM migrate.apply_to('4');

DROP EXTENSION dbmigrate;
DROP SCHEMA take_s;
DROP TABLE take_old;
