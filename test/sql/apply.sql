-- Applying, rolling back, redoing.
CREATE EXTENSION dbmigrate;
SELECT migrate.add('001', 'users', 'CREATE TABLE a_users (id int PRIMARY KEY, name text); INSERT INTO a_users VALUES (1, ''a''), (2, ''b'');', 'DROP TABLE a_users');
SELECT migrate.add('002', 'orders', 'CREATE TABLE a_orders (id int PRIMARY KEY, u int REFERENCES a_users)', 'DROP TABLE a_orders');
SELECT migrate.add('003', 'rename', 'ALTER TABLE a_orders RENAME u TO user_id', 'ALTER TABLE a_orders RENAME user_id TO u');
SELECT migrate.add('004', 'more', 'UPDATE a_users SET name = upper(name); DELETE FROM a_users WHERE id = 2; CREATE TABLE a_copy AS SELECT * FROM a_users; SELECT * FROM a_users;', 'DROP TABLE a_copy');

-- one, up to a version, the rest; each says what it did
SELECT version, name, action, statements, rows, duration > '0' AS timed FROM migrate.apply(1);
SELECT version, name, action, statements, rows FROM migrate.apply_to('3');
SELECT version, name, action, statements, rows FROM migrate.apply();
SELECT version, name, action, statements, rows FROM migrate.apply();
SELECT version, name, state, applied_at IS NOT NULL AS at, applied_by = current_user AS by, duration > '0' AS timed, can_rollback
  FROM migrate.status();
SELECT run, action, migration, version, name, target_schema, statements, rows, wal_bytes > 0 AS wal, duration > '0' AS timed,
       session_username = session_user AND username = current_user AS who, application_name, client_addr,
       transaction_id IS NOT NULL AS xid, search_path
  FROM migrate.history ORDER BY id;

-- nothing pending: no transaction id, no lock
BEGIN;
SELECT count(*) FROM migrate.apply();
SELECT pg_current_xact_id_if_assigned() IS NULL AS no_xid;
SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'object' AND objsubid <> 0;
ROLLBACK;

-- back: one, several, to a version, everything
SELECT version, name, action, statements FROM migrate.rollback();
SELECT version, action FROM migrate.rollback(2);
SELECT version, state FROM migrate.status();
SELECT count(*) FROM migrate.apply();
SELECT version, action FROM migrate.rollback_to('002');
SELECT version, action FROM migrate.rollback_to('002');
SELECT version, action FROM migrate.rollback_to('0');
SELECT version, action FROM migrate.rollback();
SELECT count(*) FROM migrate.applied;
SELECT to_regclass('a_users');

-- redo: exactly those
SELECT count(*) FROM migrate.apply_to('3');
SET dbmigrate.progress = off;
SELECT version, action FROM migrate.redo();
SELECT version, action FROM migrate.redo(2);
SELECT version, action FROM migrate.redo_to('001');
SELECT version, action FROM migrate.redo_to('9');
SELECT version, state FROM migrate.status();
SELECT count(DISTINCT run) AS runs, count(*) FROM migrate.history WHERE id > (SELECT max(id) - 4 FROM migrate.history);

-- all of them or none: one without a down script
SELECT migrate.add('005', 'no way back', 'CREATE TABLE a_last (a int)');
SELECT migrate.add('006', 'only comments', 'SELECT 1', '-- there is none');
SELECT count(*) FROM migrate.apply();
SELECT * FROM migrate.rollback(4);
SELECT * FROM migrate.redo(2);
SELECT version FROM migrate.status() WHERE state <> 'applied';

-- versions that do not exist
SELECT * FROM migrate.apply_to('77');
SELECT * FROM migrate.rollback_to('77');
SELECT * FROM migrate.apply_to('x');
SELECT * FROM migrate.apply_to(NULL);
SELECT * FROM migrate.rollback_to(NULL);
SELECT * FROM migrate.apply(0);
SELECT * FROM migrate.apply(-1);
SELECT * FROM migrate.rollback(0);
SELECT * FROM migrate.rollback(NULL);
SELECT * FROM migrate.redo(0);
-- a lower version is not a way back
SET dbmigrate.progress = on;
SELECT * FROM migrate.apply_to('002');
SELECT * FROM migrate.apply_to('6');
SET dbmigrate.progress = off;
SELECT migrate.version();

-- out of order
SELECT migrate.add('0035', 'nine', 'CREATE TABLE a_nine (a int)', 'DROP TABLE a_nine');
SELECT migrate.add('003.5', 'late', 'CREATE TABLE a_late (a int)', 'DROP TABLE a_late');
SELECT migrate.add('002.5', 'later', 'CREATE TABLE a_later (a int)', 'DROP TABLE a_later');
SELECT version, state FROM migrate.status() WHERE state <> 'applied';
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT version, state FROM migrate.status() WHERE state <> 'applied';
SET dbmigrate.out_of_order = 'allow';
SELECT version, action FROM migrate.apply();
RESET dbmigrate.out_of_order;
SELECT version FROM migrate.applied ORDER BY position;
SELECT version, action FROM migrate.rollback(3);

-- a changed up script stops everything
UPDATE migrate.migration SET up = 'SELECT 2' WHERE version = '002';
SELECT version, state FROM migrate.status() WHERE state = 'changed';
SELECT * FROM migrate.apply();
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.amend('002', NULL, NULL, 'was edited in place');
SELECT version, state FROM migrate.status() WHERE state = 'changed';
UPDATE migrate.migration SET up = 'SELECT 3' WHERE version = '0035';
SELECT * FROM migrate.apply();
SELECT migrate.add('0035', 'nine', 'SELECT 4');
SELECT version, action, statements FROM migrate.apply_to('0035');
SELECT version, name, applied_at IS NOT NULL AS at FROM migrate.schema_migrations ORDER BY position;

DROP TABLE a_users, a_orders, a_copy, a_last CASCADE;
DROP EXTENSION dbmigrate;
