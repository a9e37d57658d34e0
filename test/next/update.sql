\echo Use "ALTER EXTENSION dbmigrate UPDATE" to load this file. \quit

-- Locks the extension, and changes nothing: whoever is at work ends first, and
-- whoever comes meanwhile waits, and looks at the version again.
ALTER FUNCTION migrate.environment() NO DEPENDS ON EXTENSION dbmigrate;

-- Types of columns.  What uses them is emptied before and filled afterwards.
CREATE OR REPLACE FUNCTION migrate.state(schema text, project text)
RETURNS SETOF migrate.migration_state
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT (NULL::migrate.migration_state).* WHERE false;
END;
CREATE OR REPLACE VIEW migrate.schema_migrations AS
    SELECT NULL::text AS version, NULL::text AS name, NULL::timestamptz AS applied_at, NULL::text AS applied_by,
           NULL::interval AS duration, NULL::text COLLATE "C" AS target_schema, NULL::bigint AS position,
           NULL::text COLLATE "C" AS project
     WHERE false;

ALTER TABLE migrate.applied
    ALTER COLUMN statements TYPE bigint,
    ALTER COLUMN name TYPE varchar(2000),
    ADD COLUMN remark text;

-- the same as in the version before
@STATE@
CREATE OR REPLACE VIEW migrate.schema_migrations AS
    SELECT a.version, a.name::text AS name, a.applied_at, a.applied_by, a.duration, a.target_schema, a.position, a.project,
           a.remark
      FROM migrate.applied a
     WHERE a.state OPERATOR(pg_catalog.=) 'applied';

-- One more column in a result.
ALTER TYPE migrate.migration_status ADD ATTRIBUTE statements bigint;
CREATE OR REPLACE FUNCTION migrate.status(schema text DEFAULT '', project text DEFAULT '')
RETURNS SETOF migrate.migration_status
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.version, s.name, s.state, s.applied_at, s.applied_by, s.duration, s.can_rollback, a.statements
      FROM migrate.state(coalesce($1, ''), coalesce($2, '')) s
      LEFT JOIN migrate.applied a
        ON a.target_schema = coalesce($1, '') AND a.project = coalesce($2, '') AND a.id = s.id
     WHERE migrate.check_target($1, $2)
     ORDER BY s.version_key NULLS LAST, s.name;
END;

-- A C function that means something else: another symbol.
CREATE OR REPLACE FUNCTION migrate.require(version text DEFAULT NULL, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_require_next';

-- What is new.  Privileges are revoked by name: with ALL FUNCTIONS a dump would
-- take what people have granted on the old ones for ours, and leave it out.
CREATE TABLE migrate.run_remark (
    run    bigint NOT NULL,
    remark text,
    CONSTRAINT run_remark_pkey PRIMARY KEY (run)
);
COMMENT ON TABLE migrate.run_remark IS 'what was remarked on a run';
SELECT pg_catalog.pg_extension_config_dump('migrate.run_remark', '');
GRANT SELECT ON migrate.run_remark TO pg_database_owner;

CREATE TYPE migrate.remarked_run AS (run bigint, remark text);

CREATE FUNCTION migrate.remarks(project text DEFAULT '')
RETURNS SETOF migrate.remarked_run
LANGUAGE sql STABLE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT r.run, r.remark FROM migrate.run_remark r ORDER BY r.run;
END;
COMMENT ON FUNCTION migrate.remarks(text) IS 'what was remarked: run, remark';
REVOKE ALL ON FUNCTION migrate.remarks(text) FROM PUBLIC;

-- Row types, as in the version before.
REVOKE USAGE ON TYPE migrate.run_remark, migrate.remarked_run FROM PUBLIC;
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_type'::regclass AND d.objid = 'migrate.run_remark'::regtype AND d.deptype = 'e') THEN
        ALTER EXTENSION dbmigrate ADD TYPE migrate.run_remark;
    END IF;
    ALTER EXTENSION dbmigrate DROP TYPE migrate.run_remark;
END $$;
