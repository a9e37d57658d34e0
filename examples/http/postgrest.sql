-- Once in the database, as a superuser, after CREATE EXTENSION dbmigrate:
--   psql -d app -f postgrest.sql
--
-- The role that PostgREST connects as becomes one of two: migration_viewer sees
-- what is applied, migrator runs what is pending.  Neither registers anything:
-- that is for whoever deploys, with the dbmigrate command or migrate.add().
\set ON_ERROR_STOP on
\if :{?authenticator}
\else
    \set authenticator authenticator
\endif

CREATE ROLE migration_viewer NOLOGIN;
CREATE ROLE migrator NOLOGIN;
GRANT migration_viewer, migrator TO :"authenticator";

GRANT USAGE ON SCHEMA migrate TO migration_viewer, migrator;
GRANT EXECUTE ON FUNCTION migrate.status_json TO migration_viewer, migrator;
GRANT EXECUTE ON FUNCTION migrate.apply_json, migrate.rollback_json TO migrator;

-- scripts run with the rights of migrator: what they change has to be its own
GRANT CREATE ON SCHEMA public TO migrator;

-- The schema that PostgREST serves.  Not schema migrate itself: PostgREST puts
-- the schema it serves first into the search_path, and there the tables of the
-- migrations would go.  Hence SET search_path, too.
CREATE SCHEMA IF NOT EXISTS api;
GRANT USAGE ON SCHEMA api TO migration_viewer, migrator;

CREATE FUNCTION api.migrations() RETURNS jsonb
LANGUAGE sql STABLE
RETURN migrate.status_json();

CREATE FUNCTION api.apply_migrations(steps integer DEFAULT NULL, to_version text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    RETURN api.with_status(migrate.apply_json(steps, to_version, errors_as_data => true));
END $$;

CREATE FUNCTION api.rollback_migrations(
    steps integer DEFAULT 1, to_version text DEFAULT NULL, confirm text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql SET search_path = public AS $$
BEGIN
    RETURN api.with_status(migrate.rollback_json(steps, to_version, confirm => confirm, errors_as_data => true));
END $$;

-- PostgREST answers with the status in this setting, otherwise with 200.
CREATE FUNCTION api.with_status(answer jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
    IF answer ->> 'success' = 'false' THEN
        PERFORM set_config('response.status', CASE
            WHEN answer ->> 'migration' IS NOT NULL THEN '500'
            WHEN answer ->> 'sqlstate' IN ('22004', '22023') THEN '400'
            WHEN answer ->> 'sqlstate' = '42501' THEN '403'
            WHEN answer ->> 'sqlstate' = '42704' THEN '404'
            WHEN answer ->> 'sqlstate' IN ('25001', '55000', '55P03') THEN '409'
            ELSE '500' END, true);
    END IF;
    RETURN answer;
END $$;

REVOKE ALL ON FUNCTION api.migrations, api.apply_migrations, api.rollback_migrations, api.with_status FROM PUBLIC;
GRANT EXECUTE ON FUNCTION api.migrations TO migration_viewer, migrator;
GRANT EXECUTE ON FUNCTION api.apply_migrations, api.rollback_migrations, api.with_status TO migrator;
