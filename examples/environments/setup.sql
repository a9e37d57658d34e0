-- Once in each database, as a superuser:
--   psql -v environment=staging -v deployer=shop -d shop_staging -f setup.sql
--
-- Tells the database what it is, and lets the role that deploys do so without
-- being a superuser.  It runs scripts with its own rights, so it has to own
-- what the migrations change: here, the database.
\set ON_ERROR_STOP on
CREATE EXTENSION dbmigrate;
SELECT format('ALTER DATABASE %I SET dbmigrate.environment = %L', current_database(), :'environment') \gexec

GRANT USAGE ON SCHEMA migrate TO :"deployer";
GRANT EXECUTE ON FUNCTION
    migrate.add_files, migrate.apply, migrate.apply_to, migrate.rollback, migrate.rollback_to, migrate.redo, migrate.redo_to,
    migrate.status, migrate.status_json, migrate.pending, migrate.version, migrate.require, migrate.environment, migrate.remove,
    migrate.compare, migrate.compare_json, migrate.files_digest, migrate.wanted_files
TO :"deployer";
GRANT EXECUTE ON PROCEDURE migrate.run, migrate.run_to, migrate.run_rollback, migrate.run_rollback_to TO :"deployer";
GRANT SELECT ON migrate.activity TO :"deployer";
