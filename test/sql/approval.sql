-- What an approval is for: exact bytes, and the environments of the migration.
CREATE EXTENSION dbmigrate;
SELECT migrate.manage('a test');
SET dbmigrate.progress = off;
CREATE ROLE regress_dbmigrate_author;
CREATE ROLE regress_dbmigrate_deployer;
CREATE ROLE regress_dbmigrate_boss;
CREATE ROLE regress_dbmigrate_deputy;
GRANT regress_dbmigrate_deployer TO regress_dbmigrate_boss;
GRANT USAGE ON SCHEMA migrate TO regress_dbmigrate_author, regress_dbmigrate_deployer, regress_dbmigrate_boss, regress_dbmigrate_deputy;
GRANT EXECUTE ON FUNCTION migrate.add TO regress_dbmigrate_author;
GRANT EXECUTE ON FUNCTION migrate.apply, migrate.rollback TO regress_dbmigrate_deployer;
GRANT EXECUTE ON FUNCTION migrate.approve, migrate.add TO regress_dbmigrate_boss, regress_dbmigrate_deputy;
GRANT SELECT ON migrate.migration TO regress_dbmigrate_boss, regress_dbmigrate_deputy;

-- exactly what was read, without a right to lock the row
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('1', 'one', 'SELECT 1', 'SELECT -1');
SET SESSION AUTHORIZATION regress_dbmigrate_boss;
SELECT up_sha256 AS up, down_sha256 AS down FROM migrate.migration WHERE version = '1' \gset
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('1', 'one', 'SELECT 666', 'SELECT -1');
SET SESSION AUTHORIZATION regress_dbmigrate_boss;
SELECT migrate.approve('1', :'up');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.approve('1', :'down');
SELECT migrate.approve('1', sha256('SELECT 666'));
SET SESSION AUTHORIZATION regress_dbmigrate_deployer;
SELECT version FROM migrate.apply();
SELECT version FROM migrate.rollback();
RESET SESSION AUTHORIZATION;
SELECT migration, script, approved_by, environments, may_set_role FROM migrate.approval ORDER BY script;

-- for fewer environments, but not for others
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'demo data', 'SELECT 2', environments => '{development, Staging}');
SET SESSION AUTHORIZATION regress_dbmigrate_boss;
SELECT migrate.approve('2');
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'demo data', 'SELECT 2', environments => '{STAGING}');
RESET SESSION AUTHORIZATION;
CREATE FUNCTION approval_may_run(environment text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('dbmigrate.environment', environment, true);
    SET LOCAL SESSION AUTHORIZATION regress_dbmigrate_deployer;
    PERFORM migrate.apply();
    RAISE EXCEPTION 'ran';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END $$;
SELECT migrate.approve('1');
SELECT approval_may_run('staging');
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'demo data', 'SELECT 2', environments => '{staging, production}');
RESET SESSION AUTHORIZATION;
SELECT approval_may_run('staging');
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'renamed', 'SELECT 2', environments => '{}');
RESET SESSION AUTHORIZATION;
SELECT approval_may_run('production');
SET SESSION AUTHORIZATION regress_dbmigrate_boss;
SELECT migrate.approve('2');
RESET SESSION AUTHORIZATION;
SELECT approval_may_run('production');
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'renamed', 'SELECT 2', environments => '{production}');
RESET SESSION AUTHORIZATION;
SELECT approval_may_run('production');

-- nobody's approval takes the place of another's
SET SESSION AUTHORIZATION regress_dbmigrate_deputy;
SELECT migrate.approve('2');
RESET SESSION AUTHORIZATION;
SELECT approval_may_run('production');
DELETE FROM migrate.approval WHERE approved_by = 'regress_dbmigrate_boss' AND migration = '2';
SELECT approval_may_run('production');

-- what could not be read when it was registered may hold anything: it is read
-- before it is decided whose it is (the row as another major version left it)
SELECT migrate.remove('2');
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add('2', 'hexa', 'ALTER ROLE regress_dbmigrate_author SUPERUSER');
RESET SESSION AUTHORIZATION;
UPDATE migrate.migration SET unreadable = 'junk', up_statements = 0, analyzed_on = 14 WHERE version = '2';
SELECT version FROM migrate.apply();
UPDATE migrate.migration SET up_statements = 0 WHERE version = '2';
SELECT version FROM migrate.apply();
SELECT rolsuper FROM pg_roles WHERE rolname = 'regress_dbmigrate_author';
SELECT migrate.approve('2');

-- and it goes with the migration
SELECT migrate.remove('2');
SELECT count(*) FROM migrate.approval WHERE migration = '2';

-- a hint is for copying: whatever a migration is called, it holds nothing but a name
SET SESSION AUTHORIZATION regress_dbmigrate_author;
SELECT migrate.add(NULL, 'x''); ALTER ROLE regress_dbmigrate_author SUPERUSER; --', 'SELECT 1');
SELECT migrate.add(NULL, E'zz\n\x1forphan', 'SELECT 1');
\echo :LAST_ERROR_SQLSTATE
SELECT migrate.add('9', U&'c1 \009B2J', 'SELECT 1');
SELECT migrate.add('9', 'file', 'SELECT 1', file_name => E'9_\x1b]0;x.sql');
SELECT migrate.add('9', 'place', 'SELECT 1', environments => ARRAY[E'a\tb']);
RESET SESSION AUTHORIZATION;
SELECT migrate.create(E'a\x7f', 'SELECT 1');
SELECT * FROM migrate.apply();

DROP EXTENSION dbmigrate;
DROP FUNCTION approval_may_run;
DROP OWNED BY regress_dbmigrate_author, regress_dbmigrate_deployer, regress_dbmigrate_boss, regress_dbmigrate_deputy;
DROP ROLE regress_dbmigrate_author, regress_dbmigrate_deployer, regress_dbmigrate_boss, regress_dbmigrate_deputy;
