/* sql/dbmigrate--1.0.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION dbmigrate" to load this file. \quit

-- In this order: what the functions return, tables, the state of each migration,
-- functions to register, to run, to know and to take over, privileges.  What is
-- for the extension's own use stands under "Internal" and says so in its comment.

-- A schema of our own, made here and not by the control file: one that is
-- already there is an error, so that nobody can plant objects beside ours.
CREATE SCHEMA migrate;
COMMENT ON SCHEMA migrate IS 'schema migrations: what is registered, what is applied, what happened';

--
-- Types: what the functions return.  They have a name, so that a later version
-- adds columns with ALTER TYPE, and no function has to be dropped for that, nor
-- the grants on it.
--

CREATE TYPE migrate.migration_status AS (
    version      text,
    name         text,
    state        text,
    applied_at   timestamptz,
    applied_by   text,
    duration     interval,
    can_rollback boolean
);
COMMENT ON TYPE migrate.migration_status IS 'what migrate.status() returns';

CREATE TYPE migrate.pending_migration AS (
    version     text,
    name        text,
    state       text,
    rolled_back boolean
);
COMMENT ON TYPE migrate.pending_migration IS 'what migrate.pending() returns';

CREATE TYPE migrate.migration_run AS (
    version    text,
    name       text,
    action     text,
    statements bigint,
    rows       bigint,
    duration   interval
);
COMMENT ON TYPE migrate.migration_run IS 'what migrate.apply(), rollback() and redo() return';

CREATE TYPE migrate.registered_file AS (
    version text,
    name    text,
    result  text,
    format  text,
    file    text,
    detail  text
);
COMMENT ON TYPE migrate.registered_file IS 'what migrate.add_file(), add_files() and load() return';

CREATE TYPE migrate.adopted_migration AS (
    version    text,
    name       text,
    result     text,
    applied_at timestamptz,
    applied_by text,
    detail     text
);
COMMENT ON TYPE migrate.adopted_migration IS 'what migrate.adopt() returns';

CREATE TYPE migrate.compared_migration AS (
    version      text,
    name         text,
    state        text,
    applied_at   timestamptz,
    applied_by   text,
    duration     interval,
    can_rollback boolean,
    file         text,
    detail       text
);
COMMENT ON TYPE migrate.compared_migration IS 'what migrate.compare() returns';

CREATE TYPE migrate.statement_activity AS (
    migration_number integer,
    migrations       integer,
    statement_number integer,
    statements       integer,
    attempt          integer,
    run              bigint,
    version          text,
    name             text,
    direction        text,
    project          text,
    statement        text
);
COMMENT ON TYPE migrate.statement_activity IS 'what migrate.read_activity() returns; internal';

--
-- Internal: what tables and states are computed with
--

CREATE FUNCTION migrate.version_key(version text) RETURNS numeric[]
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'dbmigrate_version_key';
COMMENT ON FUNCTION migrate.version_key(text) IS 'the form in which versions are compared; internal';

CREATE FUNCTION migrate.script_sha256(script text) RETURNS bytea
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'dbmigrate_script_sha256';
COMMENT ON FUNCTION migrate.script_sha256(text) IS 'SHA-256 of the exact bytes of a script; internal';

--
-- Tables
--

CREATE TABLE migrate.migration (
    project            text COLLATE "C" NOT NULL,
    id                 text COLLATE "C" NOT NULL,
    version            text,
    version_key        numeric[],
    baseline_key       numeric[],
    name               text NOT NULL,
    environments       text[],
    up_online          boolean NOT NULL,
    down_online        boolean NOT NULL,
    up_sets_role       boolean NOT NULL,
    down_sets_role     boolean NOT NULL,
    up_statements      integer NOT NULL,
    down_statements    integer,
    checksum           bytea NOT NULL,
    checksum_kind      smallint NOT NULL,
    unreadable         text,
    down_unreadable    text,
    analyzed_on        integer NOT NULL,
    file_name          text,
    up_author          text NOT NULL,
    up_registered_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    up_sha256          bytea NOT NULL,
    down_author        text,
    down_registered_at timestamptz,
    down_sha256        bytea,
    altered            boolean NOT NULL GENERATED ALWAYS AS (
                           migrate.script_sha256(up) OPERATOR(pg_catalog.<>) up_sha256
                           OR migrate.script_sha256(down) IS DISTINCT FROM down_sha256) STORED,
    up                 text NOT NULL,
    down               text,
    CONSTRAINT migration_pkey PRIMARY KEY (project, id),
    CONSTRAINT migration_version_check CHECK ((version IS NULL) OPERATOR(pg_catalog.=) (version_key IS NULL)),
    CONSTRAINT migration_baseline_check CHECK (version_key IS NULL OR baseline_key IS NULL)
);
COMMENT ON TABLE migrate.migration IS 'registered migrations; written by migrate.add() and its relatives only';
COMMENT ON COLUMN migrate.migration.project IS 'the sequence of versions it belongs to; empty where there is only one';
COMMENT ON COLUMN migrate.migration.id IS 'the version as first written, R__name for a repeatable migration, or B__version for a baseline script';
COMMENT ON COLUMN migrate.migration.version_key IS 'the version as numbers, for comparing';
COMMENT ON COLUMN migrate.migration.baseline_key IS 'in an empty target schema the script stands for everything up to this version';
COMMENT ON COLUMN migrate.migration.environments IS 'where the migration runs; NULL is everywhere';
COMMENT ON COLUMN migrate.migration.up_online IS 'the up script must run outside a transaction block';
COMMENT ON COLUMN migrate.migration.down_online IS 'the down script must run outside a transaction block';
COMMENT ON COLUMN migrate.migration.up_sets_role IS 'the up script says SET ROLE or the like';
COMMENT ON COLUMN migrate.migration.down_sets_role IS 'the down script says SET ROLE or the like';
COMMENT ON COLUMN migrate.migration.up_statements IS 'number of statements in the up script; -1 if only the down script is known yet';
COMMENT ON COLUMN migrate.migration.down_statements IS 'number of statements in the down script; 0 is nothing to undo, NULL is cannot be rolled back';
COMMENT ON COLUMN migrate.migration.checksum IS 'SHA-256 over the tokens of the up script, without comments and white space';
COMMENT ON COLUMN migrate.migration.checksum_kind IS 'by which rule the checksum was made';
COMMENT ON COLUMN migrate.migration.unreadable IS 'why the server it was registered on could not parse the up script';
COMMENT ON COLUMN migrate.migration.down_unreadable IS 'why the server it was registered on could not parse the down script';
COMMENT ON COLUMN migrate.migration.analyzed_on IS 'major version of the server that parsed the scripts';
COMMENT ON COLUMN migrate.migration.up_author IS 'who registered this text of the up script';
COMMENT ON COLUMN migrate.migration.up_sha256 IS 'SHA-256 of the up script as it was registered';
COMMENT ON COLUMN migrate.migration.altered IS 'a script is not what was registered: somebody edited this table';
-- Unique indexes and no constraints: scripts that go through all unique
-- constraints of a database have no business here.
CREATE UNIQUE INDEX migration_version_idx ON migrate.migration (project, version_key);
CREATE INDEX migration_altered_idx ON migrate.migration (project, id) WHERE altered;
CREATE INDEX migration_baseline_idx ON migrate.migration (project, baseline_key) WHERE baseline_key IS NOT NULL;
-- Scripts are read whole and often; compressed they would be read slower.
ALTER TABLE migrate.migration ALTER COLUMN up SET STORAGE EXTERNAL;
ALTER TABLE migrate.migration ALTER COLUMN down SET STORAGE EXTERNAL;

CREATE TABLE migrate.approval (
    project      text COLLATE "C" NOT NULL,
    migration    text COLLATE "C" NOT NULL,
    script       text COLLATE "C" NOT NULL,
    approved_by  text NOT NULL,
    approved_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    sha256       bytea NOT NULL,
    environments text[],
    may_set_role boolean NOT NULL,
    CONSTRAINT approval_pkey PRIMARY KEY (project, migration, script, approved_by),
    CONSTRAINT approval_script_check CHECK (script OPERATOR(pg_catalog.=) 'up' OR script OPERATOR(pg_catalog.=) 'down')
);
COMMENT ON TABLE migrate.approval IS 'who vouches for the scripts of others, for exactly these bytes';
COMMENT ON COLUMN migrate.approval.migration IS 'migrate.migration.id';
COMMENT ON COLUMN migrate.approval.script IS 'up or down';
COMMENT ON COLUMN migrate.approval.sha256 IS 'of the script that was approved; any other text is not';
COMMENT ON COLUMN migrate.approval.environments IS 'what the migration was limited to; other environments make the approval void, fewer do not';
COMMENT ON COLUMN migrate.approval.may_set_role IS 'the script may SET ROLE also where the session was lowered by it';

CREATE TABLE migrate.applied (
    target_schema text COLLATE "C" NOT NULL,
    project       text COLLATE "C" NOT NULL,
    id            text COLLATE "C" NOT NULL,
    position      bigint NOT NULL,
    version       text,
    version_key   numeric[],
    name          text NOT NULL,
    checksum      bytea,
    checksum_kind smallint,
    applied_at    timestamptz NOT NULL,
    applied_by    text NOT NULL,
    duration      interval,
    run           bigint NOT NULL,
    baseline      boolean NOT NULL DEFAULT false,
    state         text NOT NULL DEFAULT 'applied',
    statements    integer NOT NULL DEFAULT 0,
    CONSTRAINT applied_pkey PRIMARY KEY (target_schema, project, id)
);
COMMENT ON TABLE migrate.applied IS 'what is in force here, for each target schema';
COMMENT ON COLUMN migrate.applied.target_schema IS 'where unqualified names went; empty is the database as it is';
COMMENT ON COLUMN migrate.applied.position IS 'order of application; rolling back goes from the highest down';
COMMENT ON COLUMN migrate.applied.checksum IS 'of the up script that was run; NULL if its text was not known';
COMMENT ON COLUMN migrate.applied.duration IS 'NULL if it was recorded without being run';
COMMENT ON COLUMN migrate.applied.baseline IS 'counts as applied since migrate.baseline()';
COMMENT ON COLUMN migrate.applied.statements IS 'how many statements were run';
COMMENT ON COLUMN migrate.applied.state IS 'applied, or running, interrupted or failed';
CREATE UNIQUE INDEX applied_position_idx ON migrate.applied (target_schema, position);
CREATE UNIQUE INDEX applied_version_idx ON migrate.applied (target_schema, project, version_key);
CREATE INDEX applied_key_idx ON migrate.applied (project, version_key);
CREATE INDEX applied_id_idx ON migrate.applied (project, id);

CREATE TABLE migrate.history (
    id               bigint GENERATED ALWAYS AS IDENTITY,
    run              bigint NOT NULL,
    at               timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    action           text NOT NULL,
    target_schema    text NOT NULL,
    project          text NOT NULL,
    migration        text,
    version          text,
    name             text,
    statements       bigint,
    rows             bigint,
    wal_bytes        bigint,
    duration         interval,
    checksum         bytea,
    checksum_kind    smallint,
    session_username text NOT NULL,
    username         text NOT NULL,
    application_name text,
    client_addr      inet,
    transaction_id   xid8,
    search_path      text[],
    sqlstate         text,
    message          text,
    failed_statement integer,
    failed_line      integer,
    reason           text,
    CONSTRAINT history_pkey PRIMARY KEY (id)
);
COMMENT ON TABLE migrate.history IS 'what happened, in order; rows are added and never changed';
COMMENT ON COLUMN migrate.history.run IS 'one call of apply, rollback, redo, ...';
COMMENT ON COLUMN migrate.history.action IS 'apply, rollback, baseline, manage, mark_applied, mark_pending, amend, adopt, forget, resume, abandon, retry or failed';
COMMENT ON COLUMN migrate.history.migration IS 'migrate.migration.id; NULL if the row is about no single one';
COMMENT ON COLUMN migrate.history.rows IS 'rows inserted, updated, deleted, merged or copied by the script';
COMMENT ON COLUMN migrate.history.wal_bytes IS 'write-ahead log written by the script';
COMMENT ON COLUMN migrate.history.search_path IS 'current_schemas(true) when the script began';
COMMENT ON COLUMN migrate.history.reason IS 'what a person gave as the reason';

CREATE TABLE migrate.target_schema (
    schema       text COLLATE "C" NOT NULL,
    held_objects boolean NOT NULL,
    run          bigint NOT NULL,
    at           timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    CONSTRAINT target_schema_pkey PRIMARY KEY (schema)
);
COMMENT ON TABLE migrate.target_schema IS 'how the last run left each target schema';
COMMENT ON COLUMN migrate.target_schema.held_objects IS 'something was in it; if nothing is now, it was emptied, or dropped and made again';

CREATE TABLE migrate.progress (
    target_schema   text COLLATE "C" NOT NULL,
    project         text COLLATE "C" NOT NULL,
    id              text COLLATE "C" NOT NULL,
    direction       text NOT NULL,
    statements      integer NOT NULL,
    finished        integer NOT NULL DEFAULT 0,
    finished_sha256 bytea,
    started         integer,
    statement       text,
    indexes         text[],
    committed       boolean NOT NULL DEFAULT false,
    run             bigint NOT NULL,
    began_at        timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    changed_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    sqlstate        text,
    message         text,
    CONSTRAINT progress_pkey PRIMARY KEY (target_schema, project, id),
    CONSTRAINT progress_direction_check CHECK (direction OPERATOR(pg_catalog.=) 'up' OR direction OPERATOR(pg_catalog.=) 'down')
);
COMMENT ON TABLE migrate.progress IS 'online migrations that are begun and not finished: how far each has come';
COMMENT ON COLUMN migrate.progress.direction IS 'up or down: which script';
COMMENT ON COLUMN migrate.progress.statements IS 'number of statements in the script when it began, BEGIN and COMMIT included';
COMMENT ON COLUMN migrate.progress.finished IS 'how many of them are done';
COMMENT ON COLUMN migrate.progress.finished_sha256 IS 'SHA-256 of the statements up to there, which must not change any more, but for comments and white space';
COMMENT ON COLUMN migrate.progress.started IS 'the statement that was begun last, if it is not known to be done';
COMMENT ON COLUMN migrate.progress.statement IS 'its text';
COMMENT ON COLUMN migrate.progress.indexes IS 'the indexes that its table had before';
COMMENT ON COLUMN migrate.progress.committed IS 'it is CALL or DO, and has committed something amid its work';
COMMENT ON COLUMN migrate.progress.sqlstate IS 'how it failed; NULL if it was not told, or is at work';

CREATE TABLE migrate.run (
    number           bigint NOT NULL,
    procedure        text NOT NULL,
    target_schema    text NOT NULL,
    project          text NOT NULL,
    session_username text NOT NULL,
    username         text NOT NULL,
    application_name text,
    client_addr      inet,
    began_at         timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at         timestamptz,
    migrations       bigint,
    sqlstate         text,
    message          text,
    CONSTRAINT run_pkey PRIMARY KEY (number)
);
COMMENT ON TABLE migrate.run IS 'calls of the procedures, which commit as they go';
COMMENT ON COLUMN migrate.run.number IS 'as in migrate.history.run';
COMMENT ON COLUMN migrate.run.ended_at IS 'NULL while it is at work, or if it was interrupted';
COMMENT ON COLUMN migrate.run.migrations IS 'how many were finished';
COMMENT ON COLUMN migrate.run.sqlstate IS 'how it failed; NULL if it did not';

CREATE TABLE migrate.file (
    project        text COLLATE "C" NOT NULL,
    format         text COLLATE "C" NOT NULL,
    name           text COLLATE "C" NOT NULL,
    sha256         bytea,
    migration      text COLLATE "C",
    read_as        text,
    detail         text,
    reading_sha256 bytea,
    read_by        text NOT NULL,
    registered     bigint,
    CONSTRAINT file_pkey PRIMARY KEY (project, format, name)
);
COMMENT ON TABLE migrate.file IS 'the files of the last set that was registered, so that those which are as they were need not be read again';
COMMENT ON COLUMN migrate.file.format IS 'the format that was asked for';
COMMENT ON COLUMN migrate.file.sha256 IS 'of its bytes; NULL if they were not given, or are of no interest';
COMMENT ON COLUMN migrate.file.migration IS 'migrate.migration.id; NULL if it was left out, or is about other files';
COMMENT ON COLUMN migrate.file.read_as IS 'the format that it has';
COMMENT ON COLUMN migrate.file.detail IS 'what is worth knowing about the migration';
COMMENT ON COLUMN migrate.file.reading_sha256 IS 'SHA-256 of all that its migration was read from: names and hashes of its files';
COMMENT ON COLUMN migrate.file.read_by IS 'version of the extension and major version of the server; empty if it is to be read again each time';
COMMENT ON COLUMN migrate.file.registered IS 'hash of what is registered of the migration: with another one the file is read again';

CREATE SEQUENCE migrate.run_seq;
COMMENT ON SEQUENCE migrate.run_seq IS 'run numbers';

-- A dump holds all of it: what is applied is data.
SELECT pg_catalog.pg_extension_config_dump('migrate.migration', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.approval', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.applied', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.history', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.target_schema', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.progress', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.run', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.file', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.history_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('migrate.run_seq', '');

CREATE VIEW migrate.schema_migrations AS
    SELECT a.version, a.name, a.applied_at, a.applied_by, a.duration, a.target_schema, a.position, a.project
      FROM migrate.applied a
     WHERE a.state OPERATOR(pg_catalog.=) 'applied'
           -- what is half rolled back is no more in force than what is half applied
           AND NOT EXISTS (SELECT FROM migrate.progress g
                            WHERE g.target_schema OPERATOR(pg_catalog.=) a.target_schema
                                  AND g.project OPERATOR(pg_catalog.=) a.project AND g.id OPERATOR(pg_catalog.=) a.id);
COMMENT ON VIEW migrate.schema_migrations IS 'applied migrations, under the name that other tools use';

--
-- Who runs migrations at this moment.  The lock says who; what is run is shown to
-- those who may see it in pg_stat_activity, and to nobody else.
--

CREATE FUNCTION migrate.read_activity(query text) RETURNS migrate.statement_activity
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE
AS 'MODULE_PATHNAME', 'dbmigrate_read_activity';
COMMENT ON FUNCTION migrate.read_activity(text) IS
    'what a text says that a run shows in pg_stat_activity; internal, use migrate.activity';

CREATE VIEW migrate.activity AS
    SELECT a.pid, a.usename, a.application_name,
           coalesce(r.began_at, a.xact_start) AS run_started,
           s.project, s.direction, s.version, s.name, s.migration_number, s.migrations,
           s.statement_number, s.statements, s.statement,
           CASE WHEN s.statement_number IS NOT NULL THEN a.query_start END AS statement_started,
           s.attempt,
           b.pid AS blocked_by_pid, b.usename AS blocked_by_user, b.application_name AS blocked_by_application,
           nullif(b.query, '<insufficient privilege>') AS blocked_by_query,
           (SELECT round(least(100, 100.0 * p.done / p.total), 1)
              FROM (SELECT i.pid, CASE WHEN i.blocks_total > 0 THEN i.blocks_done ELSE i.tuples_done END AS done,
                           CASE WHEN i.blocks_total > 0 THEN i.blocks_total ELSE i.tuples_total END AS total
                      FROM pg_stat_progress_create_index i
                    UNION ALL SELECT v.pid, v.heap_blks_scanned, v.heap_blks_total FROM pg_stat_progress_vacuum v
                    UNION ALL SELECT n.pid, n.sample_blks_scanned, n.sample_blks_total FROM pg_stat_progress_analyze n
                    UNION ALL SELECT c.pid, c.bytes_processed, c.bytes_total FROM pg_stat_progress_copy c) p
             WHERE p.pid = a.pid AND p.total > 0 LIMIT 1) AS progress_percent
      FROM pg_locks l
      JOIN pg_stat_activity a ON a.pid = l.pid
     CROSS JOIN LATERAL migrate.read_activity(coalesce(a.query, '')) s
      LEFT JOIN migrate.run r ON r.number = s.run AND r.ended_at IS NULL
      LEFT JOIN LATERAL (SELECT w.pid, w.usename, w.application_name, w.query
                           FROM unnest(pg_blocking_pids(a.pid)) k(pid) JOIN pg_stat_activity w ON w.pid = k.pid
                          ORDER BY w.xact_start, w.pid LIMIT 1) b ON true
     WHERE l.locktype = 'object' AND l.classid = 'pg_extension'::regclass
           AND l.objid = (SELECT e.oid FROM pg_extension e WHERE e.extname = 'dbmigrate')
           AND l.objsubid = 28007       -- the run lock, see base/lock.c
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.granted AND l.mode = 'ExclusiveLock';
COMMENT ON VIEW migrate.activity IS 'who runs migrations at this moment, what of them, and who is in the way';

--
-- What this database is, which decides where migrations run
--

CREATE FUNCTION migrate.environment() RETURNS text
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_environment';
COMMENT ON FUNCTION migrate.environment() IS 'the environment of this database: dbmigrate.environment, which only superusers set; empty if nobody has';

--
-- Internal: what state each migration is in.  The one definition: the functions
-- below and those in C read it.  STABLE, so that it is merged into their queries.
--

CREATE TYPE migrate.migration_state AS (
    id           text,
    version      text,
    version_key  numeric[],
    name         text,
    state        text,
    applied_at   timestamptz,
    applied_by   text,
    duration     interval,
    can_rollback boolean,
    "position"   bigint,
    registered   boolean,
    baseline     boolean,
    to_run       boolean,
    runs_here    boolean,
    -- what the functions in C want to know of a registered one
    file_name    text,
    analyzed_on  integer,
    checksum     bytea,
    up_statements integer,
    up_online    boolean,
    up_sets_role boolean,
    unreadable   text,
    up_author    text,
    up_sha256    bytea,
    down_statements integer,
    down_online  boolean,
    down_sets_role boolean,
    down_unreadable text,
    down_author  text,
    down_sha256  bytea,
    rolled_back  boolean
);
COMMENT ON TYPE migrate.migration_state IS 'what migrate.state() returns; internal';

CREATE FUNCTION migrate.is_online_run_active()
RETURNS boolean
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_is_online_run_active';
COMMENT ON FUNCTION migrate.is_online_run_active() IS 'does some session run online statements? internal';

CREATE FUNCTION migrate.state(schema text, project text)
RETURNS SETOF migrate.migration_state
LANGUAGE sql STABLE PARALLEL UNSAFE
BEGIN ATOMIC
    SELECT s.id, s.version, s.version_key, s.name, s.state, s.applied_at, s.applied_by, s.duration,
           s.can_rollback, s.position, s.registered, s.baseline,
           -- what is applied is not run again, but for a repeatable migration
           s.registered AND (s.position IS NULL OR s.version_key IS NULL)
           AND s.state NOT IN ('applied', 'skipped', 'superseded'),
           s.runs_here,
           s.file_name, s.analyzed_on, s.checksum,
           s.up_statements, s.up_online, s.up_sets_role, s.unreadable, s.up_author, s.up_sha256,
           s.down_statements, s.down_online, s.down_sets_role, s.down_unreadable, s.down_author, s.down_sha256,
           -- its rollback is the last that happened to it here, and its text is still the one that was undone
           s.state IN ('pending', 'out_of_order', 'unreadable')
           -- (one pass through the history, and only where something is pending)
           AND coalesce((s.id, s.checksum) IN (
               SELECT h.migration, (array_agg(h.checksum ORDER BY h.id DESC))[1]
                 FROM migrate.history h
                WHERE h.target_schema = $1 AND h.project = $2
                  AND h.action NOT IN ('failed', 'retry', 'resume', 'abandon', 'amend')
                GROUP BY h.migration
               HAVING max(h.id) = max(h.id) FILTER (WHERE h.action = 'rollback')), false)
      FROM (
    SELECT coalesce(m.id, a.id) AS id,
           coalesce(m.version, a.version, CASE WHEN m.baseline_key IS NOT NULL THEN substr(m.id, 4) END) AS version,
           coalesce(m.version_key, m.baseline_key, a.version_key) AS version_key,
           coalesce(m.name, a.name) AS name,
           CASE
               WHEN g.id IS NOT NULL THEN
                    CASE WHEN migrate.is_online_run_active()
                              AND g.run = (SELECT max(r.number) FROM migrate.run r) THEN 'running'
                         WHEN g.sqlstate IS NOT NULL THEN 'failed'
                         ELSE 'interrupted' END
               WHEN m.id IS NULL THEN CASE WHEN a.baseline THEN 'applied' ELSE 'missing' END
               WHEN m.altered THEN 'changed'
               WHEN a.id IS NOT NULL AND (m.version_key IS NOT NULL OR m.baseline_key IS NOT NULL
                                          OR a.checksum = m.checksum) THEN
                    CASE WHEN a.checksum <> m.checksum AND a.checksum_kind = m.checksum_kind THEN 'changed'
                         ELSE 'applied' END
               WHEN m.version_key <= (SELECT max(b.version_key) FROM migrate.applied b
                                       WHERE b.target_schema = $1 AND b.project = $2 AND b.baseline) THEN 'applied'
               WHEN NOT m.runs_here THEN 'skipped'
               -- the newest baseline script runs first, and only where nothing did
               WHEN m.baseline_key IS NOT NULL
                    AND (EXISTS (SELECT FROM migrate.applied p WHERE p.target_schema = $1 AND p.project = $2
                                     AND p.version_key IS NOT NULL)
                         OR m.baseline_key < (SELECT max(b.baseline_key) FROM migrate.migration b
                                               WHERE b.project = $2 AND b.baseline_key IS NOT NULL)) THEN 'superseded'
               WHEN m.version_key <= (SELECT max(b.baseline_key) FROM migrate.migration b
                                       WHERE b.project = $2 AND b.baseline_key IS NOT NULL)
                    AND NOT EXISTS (SELECT FROM migrate.applied p
                                     WHERE p.target_schema = $1 AND p.project = $2
                                     AND p.version_key IS NOT NULL) THEN 'superseded'
               WHEN m.version_key < (SELECT max(n.version_key) FROM migrate.applied n
                                      WHERE n.target_schema = $1 AND n.project = $2) THEN 'out_of_order'
               WHEN m.unreadable IS NOT NULL THEN 'unreadable'
               ELSE 'pending'
           END AS state,
           a.applied_at,
           a.applied_by,
           a.duration,
           m.down_statements IS NOT NULL AND (m.version_key IS NOT NULL OR m.baseline_key IS NOT NULL) AS can_rollback,
           a.position,
           m.id IS NOT NULL AS registered,
           m.baseline_key IS NOT NULL AS baseline,
           m.runs_here,
           m.file_name, m.analyzed_on, m.checksum,
           m.up_statements, m.up_online, m.up_sets_role, m.unreadable, m.up_author, m.up_sha256,
           m.down_statements, m.down_online, m.down_sets_role, m.down_unreadable, m.down_author, m.down_sha256
      FROM (SELECT *,
                   p.environments IS NULL
                   OR coalesce(lower(migrate.environment()) = ANY (lower(p.environments::text)::text[]), false) AS runs_here
              FROM migrate.migration p WHERE p.project = $2) m
      FULL JOIN (SELECT * FROM migrate.applied p WHERE p.target_schema = $1 AND p.project = $2) a ON a.id = m.id
      LEFT JOIN migrate.progress g ON g.target_schema = $1 AND g.project = $2 AND g.id = coalesce(m.id, a.id)) s;
END;
COMMENT ON FUNCTION migrate.state(text, text) IS 'every known migration with its state; internal, use migrate.status()';

CREATE FUNCTION migrate.check_target(schema text, project text)
RETURNS boolean
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_check_target';
COMMENT ON FUNCTION migrate.check_target(text, text) IS
    'true, an error where there is no such schema, a warning where it lost its objects; internal';

--
-- Registering
--

CREATE FUNCTION migrate.add(
    version text,
    name text,
    up text,
    down text DEFAULT NULL,
    environments text[] DEFAULT NULL,
    online boolean DEFAULT NULL,
    down_online boolean DEFAULT NULL,
    file_name text DEFAULT NULL,
    project text DEFAULT '')
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_add';
COMMENT ON FUNCTION migrate.add(text, text, text, text, text[], boolean, boolean, text, text) IS
    'register a migration, or change a pending one';

CREATE FUNCTION migrate."create"(name text, up text, down text DEFAULT NULL, project text DEFAULT '')
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_create';
COMMENT ON FUNCTION migrate."create"(text, text, text, text) IS
    'register a migration under a fresh version made from the time, and return the version';

CREATE FUNCTION migrate.add_file(
    filename text,
    content text,
    format text DEFAULT 'auto',
    project text DEFAULT '')
RETURNS SETOF migrate.registered_file
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_add_file';
COMMENT ON FUNCTION migrate.add_file(text, text, text, text) IS
    'register a migration from the name and the content of a file: version, name, result, format, file, detail';

CREATE FUNCTION migrate.add_files(
    files jsonb,
    format text DEFAULT 'auto',
    project text DEFAULT '')
RETURNS SETOF migrate.registered_file
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_add_files';
COMMENT ON FUNCTION migrate.add_files(jsonb, text, text) IS
    'register the migrations of a directory, given as {"name": "content", ...}: version, name, result, format, file, detail';

CREATE FUNCTION migrate.load(
    directory text,
    format text DEFAULT 'auto',
    project text DEFAULT '')
RETURNS SETOF migrate.registered_file
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_load';
COMMENT ON FUNCTION migrate.load(text, text, text) IS
    'register the migrations of a directory on the server: version, name, result, format, file, detail';

CREATE FUNCTION migrate.files_digest(format text DEFAULT 'auto', project text DEFAULT '')
RETURNS bytea
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_files_digest';
COMMENT ON FUNCTION migrate.files_digest(text, text) IS
    'SHA-256 over the names and hashes of the files registered last: a directory with the same is registered as it is; NULL if it has to be looked at';

CREATE FUNCTION migrate.wanted_files(names text[], sha256 bytea[], format text DEFAULT 'auto', project text DEFAULT '')
RETURNS SETOF text
LANGUAGE C STABLE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_wanted_files';
COMMENT ON FUNCTION migrate.wanted_files(text[], bytea[], text, text) IS
    'of a directory whose files have these names and SHA-256: those whose content migrate.add_files() needs';

CREATE FUNCTION migrate.remove(version text, project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_remove';
COMMENT ON FUNCTION migrate.remove(text, text) IS 'forget a pending migration';

CREATE FUNCTION migrate.amend(version text, up text, down text, reason text, project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_amend';
COMMENT ON FUNCTION migrate.amend(text, text, text, text, text) IS
    'replace the text of an applied migration without running it';

CREATE FUNCTION migrate.approve(
    version text,
    sha256 bytea DEFAULT NULL,
    may_set_role boolean DEFAULT false,
    project text DEFAULT '')
RETURNS text
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_approve';
COMMENT ON FUNCTION migrate.approve(text, bytea, boolean, text) IS
    'vouch for the scripts of a migration that somebody else registered, or for the one with a SHA-256';

--
-- Running
--

CREATE FUNCTION migrate.apply(
    steps integer DEFAULT NULL,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    project text DEFAULT '',
    without text[] DEFAULT NULL)
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_apply';
COMMENT ON FUNCTION migrate.apply(integer, text, text, text, text[]) IS
    'run all pending migrations, or the next few, in the present transaction: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.apply_to(
    target_version text,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    project text DEFAULT '',
    without text[] DEFAULT NULL)
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_apply_to';
COMMENT ON FUNCTION migrate.apply_to(text, text, text, text, text[]) IS
    'run the pending migrations up to and including a version: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.rollback(
    steps integer DEFAULT 1,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '')
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_rollback';
COMMENT ON FUNCTION migrate.rollback(integer, text, text, text, text) IS
    'roll back the migrations applied last: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.rollback_to(
    target_version text,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '')
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_rollback_to';
COMMENT ON FUNCTION migrate.rollback_to(text, text, text, text, text) IS
    'roll back what was applied after a version; 0 rolls back everything: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.redo(
    steps integer DEFAULT 1,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '')
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_redo';
COMMENT ON FUNCTION migrate.redo(integer, text, text, text, text) IS
    'roll back the migrations applied last and apply exactly those again: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.redo_to(
    target_version text,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '')
RETURNS SETOF migrate.migration_run
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_redo_to';
COMMENT ON FUNCTION migrate.redo_to(text, text, text, text, text) IS
    'the same with what was applied after a version; 0 is everything: version, name, action, statements, rows, duration';

CREATE FUNCTION migrate.apply_json(
    steps integer DEFAULT NULL,
    to_version text DEFAULT NULL,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    project text DEFAULT '',
    errors_as_data boolean DEFAULT false)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_apply_json';
COMMENT ON FUNCTION migrate.apply_json(integer, text, text, text, text, boolean) IS
    'apply, or apply_to, with what was done, or with errors_as_data how it failed, as one JSON document';

CREATE FUNCTION migrate.rollback_json(
    steps integer DEFAULT 1,
    to_version text DEFAULT NULL,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '',
    errors_as_data boolean DEFAULT false)
RETURNS jsonb
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_rollback_json';
COMMENT ON FUNCTION migrate.rollback_json(integer, text, text, text, text, text, boolean) IS
    'rollback, or rollback_to, with what was done, or with errors_as_data how it failed, as one JSON document';

--
-- Running with a transaction for each migration
--

CREATE PROCEDURE migrate.run(
    steps integer DEFAULT NULL,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    project text DEFAULT '',
    INOUT migrations bigint DEFAULT NULL,
    INOUT newest text DEFAULT NULL,
    INOUT run bigint DEFAULT NULL,
    without text[] DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'dbmigrate_run';
COMMENT ON PROCEDURE migrate.run(integer, text, text, text, bigint, text, bigint, text[]) IS
    'run all pending migrations, or the next few, each in a transaction of its own; online ones, too';

CREATE PROCEDURE migrate.run_to(
    target_version text,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    project text DEFAULT '',
    INOUT migrations bigint DEFAULT NULL,
    INOUT newest text DEFAULT NULL,
    INOUT run bigint DEFAULT NULL,
    without text[] DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'dbmigrate_run_to';
COMMENT ON PROCEDURE migrate.run_to(text, text, text, text, bigint, text, bigint, text[]) IS
    'the same up to a version';

CREATE PROCEDURE migrate.run_rollback(
    steps integer DEFAULT 1,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '',
    INOUT migrations bigint DEFAULT NULL,
    INOUT newest text DEFAULT NULL,
    INOUT run bigint DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'dbmigrate_run_rollback';
COMMENT ON PROCEDURE migrate.run_rollback(integer, text, text, text, text, bigint, text, bigint) IS
    'undo the last migrations, each in a transaction of its own; online ones, too';

CREATE PROCEDURE migrate.run_rollback_to(
    target_version text,
    schema text DEFAULT '',
    extra_search_path text DEFAULT '',
    confirm text DEFAULT NULL,
    project text DEFAULT '',
    INOUT migrations bigint DEFAULT NULL,
    INOUT newest text DEFAULT NULL,
    INOUT run bigint DEFAULT NULL)
LANGUAGE C
AS 'MODULE_PATHNAME', 'dbmigrate_run_rollback_to';
COMMENT ON PROCEDURE migrate.run_rollback_to(text, text, text, text, text, bigint, text, bigint) IS
    'the same down to a version, which stays';

CREATE FUNCTION migrate.resume(
    version text, statement_was_done boolean, reason text, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_resume';
COMMENT ON FUNCTION migrate.resume(text, boolean, text, text, text) IS
    'say of an interrupted online migration whether its last statement was done, so that the next run goes on';

CREATE FUNCTION migrate.abandon(version text, reason text, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_abandon';
COMMENT ON FUNCTION migrate.abandon(text, text, text, text) IS
    'forget how far an interrupted online migration has come: it begins anew';

--
-- Knowing.  SECURITY DEFINER, so that EXECUTE is all a reader needs and no
-- script text has to be readable; the bodies were parsed at this point and
-- depend on nobody's search_path.
--

CREATE FUNCTION migrate.status(schema text DEFAULT '', project text DEFAULT '')
RETURNS SETOF migrate.migration_status
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.version, s.name, s.state, s.applied_at, s.applied_by, s.duration, s.can_rollback
      FROM migrate.state(coalesce($1, ''), coalesce($2, '')) s
     WHERE migrate.check_target($1, $2)
     ORDER BY s.version_key NULLS LAST, s.name;
END;
COMMENT ON FUNCTION migrate.status(text, text) IS 'every known migration, in order: version, name, state, applied_at, applied_by, duration, can_rollback';

CREATE FUNCTION migrate.pending(schema text DEFAULT '', project text DEFAULT '')
RETURNS SETOF migrate.pending_migration
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT s.version, s.name, s.state, s.rolled_back
      FROM migrate.state(coalesce($1, ''), coalesce($2, '')) s
     WHERE s.to_run AND migrate.check_target($1, $2)
     ORDER BY s.version_key NULLS LAST, s.name;
END;
COMMENT ON FUNCTION migrate.pending(text, text) IS 'the migrations that migrate.apply() would have to run, in order: version, name, state, rolled_back';

CREATE FUNCTION migrate.version(schema text DEFAULT '', project text DEFAULT '')
RETURNS text
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT a.version
      FROM migrate.applied a
     WHERE a.target_schema = coalesce($1, '') AND a.project = coalesce($2, '') AND a.state = 'applied' AND a.version_key IS NOT NULL
           AND NOT EXISTS (SELECT FROM migrate.progress g
                            WHERE g.target_schema = a.target_schema AND g.project = a.project AND g.id = a.id)
           AND migrate.check_target($1, $2)
     ORDER BY a.version_key DESC
     LIMIT 1;
END;
COMMENT ON FUNCTION migrate.version(text, text) IS 'the newest applied version, NULL if there is none';

CREATE FUNCTION migrate.require(version text DEFAULT NULL, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_require';
COMMENT ON FUNCTION migrate.require(text, text, text) IS
    'raise an error unless a version, or everything that was not rolled back here, is applied';

CREATE FUNCTION migrate.status_json(schema text DEFAULT '', project text DEFAULT '')
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH known AS (
        SELECT CASE WHEN s.version IS NULL THEN s.id ELSE concat_ws('_', s.version, nullif(s.name, '')) END AS name,
               s.state, s.version_key, s."position", s.to_run,
               NOT s.to_run AND s.state NOT IN ('running', 'interrupted', 'failed') AS is_applied
          FROM migrate.state(coalesce($1, ''), coalesce($2, '')) s
         WHERE s.state NOT IN ('skipped', 'superseded') AND migrate.check_target($1, $2)
    ), facts AS (
        SELECT coalesce(jsonb_agg(k.name ORDER BY k.version_key, k.name) FILTER (WHERE k.is_applied), '[]') AS applied,
               coalesce(jsonb_agg(k.name ORDER BY k.version_key, k.name) FILTER (WHERE k.to_run), '[]') AS pending,
               -- as migrate.version() has it
               (array_agg(k.name ORDER BY k.version_key DESC)
                FILTER (WHERE k.is_applied AND k.version_key IS NOT NULL AND k."position" IS NOT NULL))[1] AS last,
               count(*) FILTER (WHERE k.to_run) AS npending,
               count(*) FILTER (WHERE NOT k.to_run AND k.state NOT IN ('applied', 'missing')) AS nodd
          FROM known k
    )
    SELECT jsonb_build_object(
               'status', jsonb_build_object(
                   'appliedMigrations', f.applied,
                   'pendingMigrations', f.pending,
                   'lastMigration', f.last,
                   'isUpToDate', f.npending = 0 AND f.nodd = 0),
               'message', CASE
                   WHEN f.nodd = 1 THEN '1 applied migration needs attention, see migrate.status()'
                   WHEN f.nodd > 0 THEN format('%s applied migrations need attention, see migrate.status()', f.nodd)
                   WHEN f.npending = 0 THEN 'database is up to date'
                   WHEN f.npending = 1 THEN '1 migration is pending'
                   ELSE format('%s migrations are pending', f.npending)
               END)
      FROM facts f;
END;
COMMENT ON FUNCTION migrate.status_json(text, text) IS 'the status as one JSON document';

CREATE FUNCTION migrate.compare(
    files jsonb,
    format text DEFAULT 'auto',
    schema text DEFAULT '',
    project text DEFAULT '')
RETURNS SETOF migrate.compared_migration
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_compare';
COMMENT ON FUNCTION migrate.compare(jsonb, text, text, text) IS
    'the status that a directory would have, without registering it: version, name, state, applied_at, applied_by, duration, can_rollback, file, detail';

-- Runs with the caller's rights, as migrate.compare() itself.
CREATE FUNCTION migrate.compare_json(
    files jsonb,
    format text DEFAULT 'auto',
    schema text DEFAULT '',
    project text DEFAULT '')
RETURNS jsonb
LANGUAGE sql VOLATILE PARALLEL UNSAFE
BEGIN ATOMIC
    WITH compared AS (
        SELECT CASE WHEN c.version IS NULL THEN CASE WHEN c.state = 'error' THEN c.file ELSE 'R__' || c.name END
                    ELSE concat_ws('_', c.version, nullif(c.name, '')) END AS name,
               CASE WHEN c.state = 'file_missing' THEN split_part(c.detail, ';', 1) ELSE c.state END AS state,
               c.version, c.applied_at, c.number
          FROM migrate.compare($1, $2, $3, $4) WITH ORDINALITY c(version, name, state, applied_at, applied_by, duration,
                                                                can_rollback, file, detail, number)
    ), known AS (
        SELECT c.name, c.state, c.version, c.number,
               -- a repeatable one is run again
               c.applied_at IS NULL OR (c.version IS NULL AND c.state <> 'applied') AS to_run,
               c.state IN ('running', 'interrupted', 'failed') AS is_half_done
          FROM compared c
         WHERE c.state NOT IN ('skipped', 'superseded')
    ), facts AS (
        SELECT coalesce(jsonb_agg(k.name ORDER BY k.number) FILTER (WHERE NOT k.to_run AND NOT k.is_half_done), '[]') AS applied,
               coalesce(jsonb_agg(k.name ORDER BY k.number) FILTER (WHERE k.to_run), '[]') AS pending,
               (array_agg(k.name ORDER BY k.number DESC)
                FILTER (WHERE k.version IS NOT NULL AND NOT k.to_run AND NOT k.is_half_done))[1] AS last,
               count(*) FILTER (WHERE k.to_run) AS npending,
               count(*) FILTER (WHERE k.state = 'error' OR (NOT k.to_run AND k.state <> 'applied')) AS nodd
          FROM known k
    )
    SELECT jsonb_build_object(
               'status', jsonb_build_object(
                   'appliedMigrations', f.applied,
                   'pendingMigrations', f.pending,
                   'lastMigration', f.last,
                   'isUpToDate', f.npending = 0 AND f.nodd = 0),
               'message', CASE
                   WHEN f.nodd = 1 THEN '1 migration needs attention, see migrate.compare()'
                   WHEN f.nodd > 0 THEN format('%s migrations need attention, see migrate.compare()', f.nodd)
                   WHEN f.npending = 0 THEN 'database is up to date'
                   WHEN f.npending = 1 THEN '1 migration is pending'
                   ELSE format('%s migrations are pending', f.npending)
               END)
      FROM facts f;
END;
COMMENT ON FUNCTION migrate.compare_json(jsonb, text, text, text) IS
    'the status that a directory would have as one JSON document, as migrate.status_json() has it';

--
-- Taking over
--

CREATE FUNCTION migrate.baseline(version text, schema text DEFAULT '', project text DEFAULT '')
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_baseline';
COMMENT ON FUNCTION migrate.baseline(text, text, text) IS
    'count everything up to a version as applied, without running it';

CREATE FUNCTION migrate.manage(reason text, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_manage';
COMMENT ON FUNCTION migrate.manage(text, text, text) IS
    'say that none of the migrations was run here yet, although there are tables';

CREATE FUNCTION migrate.mark_applied(version text, reason text, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_mark_applied';
COMMENT ON FUNCTION migrate.mark_applied(text, text, text, text) IS
    'record a migration as applied without running it';

CREATE FUNCTION migrate.mark_pending(version text, reason text, schema text DEFAULT '', project text DEFAULT '')
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_mark_pending';
COMMENT ON FUNCTION migrate.mark_pending(text, text, text, text) IS
    'record a migration as not applied without running it';

CREATE FUNCTION migrate.forget_schema(schema text, reason text)
RETURNS bigint
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_forget_schema';
COMMENT ON FUNCTION migrate.forget_schema(text, text) IS
    'forget what was applied in a target schema, which may be gone';

CREATE FUNCTION migrate.adopt(
    history_table text DEFAULT NULL,
    dry_run boolean DEFAULT false,
    version_column text DEFAULT NULL,
    time_column text DEFAULT NULL,
    name_column text DEFAULT NULL,
    schema text DEFAULT '',
    again boolean DEFAULT false,
    project text DEFAULT '')
RETURNS SETOF migrate.adopted_migration
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'dbmigrate_adopt';
COMMENT ON FUNCTION migrate.adopt(text, boolean, text, text, text, text, boolean, text) IS
    'read another tool''s history table and continue from it: version, name, result, applied_at, applied_by, detail';

--
-- Privileges.  Nobody but the owner may do anything, until granted; the
-- database's owner may look, or his pg_dump would fail.
--

REVOKE ALL ON ALL ROUTINES IN SCHEMA migrate FROM PUBLIC;
-- Whoever may read the view has to be able to call it; it tells what is in its argument.
GRANT EXECUTE ON FUNCTION migrate.read_activity(text) TO PUBLIC;
GRANT USAGE ON SCHEMA migrate TO pg_database_owner;
GRANT SELECT ON ALL TABLES IN SCHEMA migrate TO pg_database_owner;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA migrate TO pg_database_owner;
-- Somebody's column of a row type of ours would be in the way of a later
-- version's ALTER TABLE.  pg_dump knows no privileges of row types and would
-- warn of the initial ones in every dump; those of whatever leaves an
-- extension are forgotten.
DO $$
DECLARE
    type record;
BEGIN
    FOR type IN
        SELECT t.oid::regtype AS name, c.relkind <> 'c' AS has_table,
               EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') AS is_member
          FROM pg_type t
          JOIN pg_class c ON c.oid = t.typrelid
         WHERE t.typnamespace = 'migrate'::regnamespace
    LOOP
        EXECUTE format('REVOKE USAGE ON TYPE %s FROM PUBLIC', type.name);
        IF type.has_table THEN
            -- since PostgreSQL 17 they are members in their own right
            IF NOT type.is_member THEN
                EXECUTE format('ALTER EXTENSION dbmigrate ADD TYPE %s', type.name);
            END IF;
            EXECUTE format('ALTER EXTENSION dbmigrate DROP TYPE %s', type.name);
        END IF;
    END LOOP;
END $$;
