-- Environments: what is skipped, and what wants a confirmation.
CREATE EXTENSION dbmigrate;
SET dbmigrate.progress = off;
SELECT migrate.add('1', 'table', 'CREATE TABLE env_t (a text)', 'DROP TABLE env_t');
SELECT migrate.add('2', 'seed', 'INSERT INTO env_t VALUES (''seed'')', 'TRUNCATE env_t', environments => '{development,Staging}');
SELECT migrate.add('3', 'more', 'INSERT INTO env_t VALUES (''more'')', '');

-- without an environment nothing limited is run
SELECT version, state FROM migrate.status();
SET dbmigrate.environment = 'production';
SELECT version, state FROM migrate.status();
SELECT version, state FROM migrate.pending();
SET dbmigrate.progress = on;
SELECT version FROM migrate.apply_to('1');
SELECT version FROM migrate.apply_to('2');
SELECT version FROM migrate.apply();
SET dbmigrate.progress = off;
SELECT version, state FROM migrate.status();
SELECT migrate.require('2');
SELECT migrate.require();
SELECT migrate.status_json();
SELECT * FROM migrate.apply();

-- rolling back in production
SELECT * FROM migrate.rollback();
\echo :LAST_ERROR_SQLSTATE
SELECT * FROM migrate.rollback_to('1');
SELECT * FROM migrate.redo();
SELECT * FROM migrate.rollback(confirm => 'postgres');
\echo :LAST_ERROR_SQLSTATE
SELECT version, action FROM migrate.redo(confirm => current_database());
SELECT version, action FROM migrate.rollback_to('1', confirm => current_database());
SET dbmigrate.environment = 'Production';
SELECT * FROM migrate.rollback();
SELECT version, action FROM migrate.rollback(confirm => current_database());

-- where it belongs it runs, also when the newer ones ran before
SET dbmigrate.environment = 'staging';
SELECT version FROM migrate.apply();
SELECT * FROM env_t;
SELECT * FROM migrate.rollback(confirm => 'elsewhere');
SELECT version, action FROM migrate.rollback(3);

-- what was applied elsewhere is rolled back here, but not run again
SELECT version FROM migrate.apply();
SET dbmigrate.environment = 'acceptance';
SELECT version, state FROM migrate.status();
SELECT * FROM migrate.redo(2);
\echo :LAST_ERROR_SQLSTATE
SELECT version, action FROM migrate.redo(1);
SELECT version, action FROM migrate.rollback(3);

-- by ALTER DATABASE, before the library is loaded
SELECT current_database() AS db \gset
ALTER DATABASE :"db" SET dbmigrate.environment = 'development';
\c
SELECT version, state FROM migrate.status();
SET dbmigrate.progress = off;
SELECT version FROM migrate.apply();
ALTER DATABASE :"db" RESET dbmigrate.environment;
\c
DROP TABLE env_t;
DROP EXTENSION dbmigrate;
