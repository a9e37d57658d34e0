/*-------------------------------------------------------------------------
 *
 * state.c
 *	  The state of each migration, and what is to be done.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "tables/tables.h"

/* Columns of the queries that return migrations. */
enum
{
	COL_ID = 1, COL_VERSION, COL_VERSION_KEY, COL_NAME, COL_STATE, COL_APPLIED, COL_REGISTERED,
	COL_BASELINE, COL_TO_RUN, COL_RUNS_HERE, COL_WANTED, COL_ANALYZED_ON, COL_CHECKSUM,
	COL_UP_STATEMENTS, COL_UP_ONLINE, COL_UP_SETS_ROLE, COL_UP_UNREADABLE, COL_UP_AUTHOR, COL_UP_SHA256,
	COL_DOWN_STATEMENTS, COL_DOWN_ONLINE, COL_DOWN_SETS_ROLE, COL_DOWN_UNREADABLE, COL_DOWN_AUTHOR, COL_DOWN_SHA256
};

#define MIGRATION_COLUMNS(wanted) \
	"SELECT s.id, s.version, s.version_key, s.name, s.state," \
	" s.position IS NOT NULL, s.registered, s.baseline, s.to_run, s.runs_here, " wanted ", s.analyzed_on," \
	" CASE WHEN s.up_statements OPERATOR(pg_catalog.>=) 0 THEN s.checksum END," \
	" s.up_statements, s.up_online, s.up_sets_role, s.unreadable, s.up_author, s.up_sha256," \
	" s.down_statements, s.down_online, s.down_sets_role, s.down_unreadable, s.down_author, s.down_sha256"

#define FROM_STATE \
	" FROM migrate.state($1, $2) s"

/* In the order of DbmState. */
static const char *const state_names[] = {
	"applied", "changed", "failed", "interrupted", "missing", "out_of_order", "pending", "running",
	"skipped", "superseded", "unreadable"
};

static SPIPlanPtr plan_all_applied = NULL;
static SPIPlanPtr plan_read_up = NULL;
static SPIPlanPtr plan_read_down = NULL;

static void add_target(DbmParams *params, const DbmExtension *ext);
static List *fetch_migrations(void);
static DbmMigration *fetch_migration(uint64 row);

/*
 * The quick answer: is everything registered applied here, and as it was
 * registered?  No does not mean that there is something to do.
 */
bool
dbm_state_all_applied(const DbmExtension *ext)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_query_saved(ext, &plan_all_applied,
	/* the order makes the planner take the index, also without statistics */
					"SELECT NOT EXISTS (SELECT FROM (SELECT m.id FROM migrate.migration m"
					"  WHERE m.project OPERATOR(pg_catalog.=) $2 AND m.altered ORDER BY m.id LIMIT 1) x)"
					" AND NOT EXISTS (SELECT FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $2 AND m.version_key IS NULL"
					"  AND NOT EXISTS (SELECT FROM migrate.applied a"
					"   WHERE a.target_schema OPERATOR(pg_catalog.=) $1 AND a.project OPERATOR(pg_catalog.=) $2"
					"   AND a.id OPERATOR(pg_catalog.=) m.id"
					"   AND a.checksum OPERATOR(pg_catalog.=) m.checksum))"
					" AND NOT EXISTS (SELECT FROM migrate.migration m"
					"  WHERE m.project OPERATOR(pg_catalog.=) $2"
					"  AND NOT m.id OPERATOR(pg_catalog.=) ANY (SELECT a.id FROM migrate.applied a"
					"   WHERE a.target_schema OPERATOR(pg_catalog.=) $1 AND a.project OPERATOR(pg_catalog.=) $2"
					"   AND a.state OPERATOR(pg_catalog.=) 'applied'))"
					" AND NOT EXISTS (SELECT FROM migrate.progress g WHERE g.target_schema OPERATOR(pg_catalog.=) $1"
					"  AND g.project OPERATOR(pg_catalog.=) $2)",
					&params, SPI_OK_SELECT);
	return dbm_column_bool(0, 1);
}

/*
 * Everything that migrate.apply() has to look at: what is not applied, and
 * what is applied but not as it should be; in version order.
 * "up_to" (numeric[]) limits what is wanted, 0 does not.
 */
List *
dbm_state_to_apply(const DbmExtension *ext, Datum up_to)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_param_datum(&params, NUMERICARRAYOID, up_to);
	dbm_query(ext,
			  MIGRATION_COLUMNS("$3 IS NULL OR s.version_key OPERATOR(pg_catalog.<=) $3")
			  FROM_STATE
			  " WHERE s.state OPERATOR(pg_catalog.<>) ALL (ARRAY['applied', 'missing', 'superseded'])"
			  " ORDER BY s.version_key NULLS LAST, s.name",
			  &params, SPI_OK_SELECT);
	return fetch_migrations();
}

/*
 * The same without a limit; wanted is what was not rolled back here, as it is
 * registered now.
 */
List *
dbm_state_to_require(const DbmExtension *ext)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_query(ext,
			  MIGRATION_COLUMNS("NOT s.rolled_back")
			  FROM_STATE
			  " WHERE s.state OPERATOR(pg_catalog.<>) ALL (ARRAY['applied', 'missing', 'superseded'])"
			  " ORDER BY s.version_key NULLS LAST, s.name",
			  &params, SPI_OK_SELECT);
	return fetch_migrations();
}

/*
 * What was applied last, newest first: at most "steps" (-1 for all) with a
 * position above "after".  Repeatable migrations are not counted: they have
 * no place in the order of versions.
 */
List *
dbm_state_to_roll_back(const DbmExtension *ext, int64 steps, int64 after)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_param_int64(&params, after);
	dbm_param(&params, INT8OID, Int64GetDatum(steps), steps < 0);
	dbm_query(ext,
			  MIGRATION_COLUMNS("true")
			  FROM_STATE
			  " WHERE s.position OPERATOR(pg_catalog.>) $3 AND s.version_key IS NOT NULL"
			  " ORDER BY s.position DESC LIMIT $4",
			  &params, SPI_OK_SELECT);
	return fetch_migrations();
}

/* One migration by its version or id, NULL if it is not known at all. */
DbmMigration *
dbm_state_find(const DbmExtension *ext, const char *version)
{
	bool		is_id = dbm_version_is_id(version);
	DbmParams	params = {0};
	List	   *found;

	add_target(&params, ext);
	if (is_id)
		dbm_param_text(&params, version);
	else
		dbm_param_datum(&params, NUMERICARRAYOID, PointerGetDatum(dbm_version_parse(version)));
	dbm_query(ext, is_id ?
			  MIGRATION_COLUMNS("true")
			  FROM_STATE
			  " WHERE s.id OPERATOR(pg_catalog.=) $3" :
			  MIGRATION_COLUMNS("true")
			  FROM_STATE
			  " WHERE s.version_key OPERATOR(pg_catalog.=) $3"
			  " ORDER BY s.position IS NULL, s.baseline",
			  &params, SPI_OK_SELECT);
	found = fetch_migrations();
	return found == NIL ? NULL : linitial(found);
}

/* The repeatable migrations whose present text is in force. */
List *
dbm_state_repeatables(const DbmExtension *ext)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_query(ext,
			  MIGRATION_COLUMNS("true")
			  FROM_STATE
			  " WHERE s.version_key IS NULL AND s.position IS NOT NULL"
			  " AND s.state OPERATOR(pg_catalog.=) 'applied' ORDER BY s.name",
			  &params, SPI_OK_SELECT);
	return fetch_migrations();
}

/* All registered migrations up to a version that are not applied. */
List *
dbm_state_up_to(const DbmExtension *ext, Datum version_key)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_param_datum(&params, NUMERICARRAYOID, version_key);
	dbm_query(ext,
			  MIGRATION_COLUMNS("true")
			  FROM_STATE
			  " WHERE s.version_key OPERATOR(pg_catalog.<=) $3 AND s.registered AND s.position IS NULL"
			  " AND NOT s.baseline"
			  " ORDER BY s.version_key",
			  &params, SPI_OK_SELECT);
	return fetch_migrations();
}

/* The place of a version in the order of application, -1 if not applied. */
int64
dbm_state_position(const DbmExtension *ext, Datum version_key)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_param_datum(&params, NUMERICARRAYOID, version_key);
	dbm_query(ext,
			  "SELECT a.position FROM migrate.applied a"
			  " WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			  " AND a.project OPERATOR(pg_catalog.=) $2 AND a.version_key OPERATOR(pg_catalog.=) $3",
			  &params, SPI_OK_SELECT);
	return SPI_processed == 0 ? -1 : dbm_column_int(0, 1, -1);
}

/* The newest applied version, NULL if nothing is applied. */
char *
dbm_state_newest(const DbmExtension *ext)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_query(ext, "SELECT migrate.version($1, $2)", &params, SPI_OK_SELECT);
	return dbm_column_is_null(0, 1) ? NULL : dbm_column_text(0, 1);
}

/*
 * Names of tables in "schemas" (OIDs), at most as many as "limit", if nothing
 * was ever applied or recorded in this database: in no target schema, and for
 * no project.  What extensions have brought does not count.
 */
List *
dbm_state_unmanaged_tables(const DbmExtension *ext, List *schemas, int64 limit)
{
	DbmParams	params = {0};
	List	   *tables = NIL;
	Datum	   *oids = palloc(Max(list_length(schemas), 1) * sizeof(Datum));
	ListCell   *lc;

	foreach(lc, schemas)
		oids[foreach_current_index(lc)] = ObjectIdGetDatum(lfirst_oid(lc));
	dbm_param_datum(&params, OIDARRAYOID,
					PointerGetDatum(construct_array(oids, list_length(schemas), OIDOID, sizeof(Oid),
													true, TYPALIGN_INT)));
	dbm_param_int64(&params, limit);
	dbm_query(ext,
			  "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c"
			  " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
			  " WHERE c.relnamespace OPERATOR(pg_catalog.=) ANY ($1)"
			  " AND c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog.\"char\"[])"
			  " AND NOT EXISTS (SELECT FROM migrate.applied) AND NOT EXISTS (SELECT FROM migrate.history)"
			  " AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
			  "  WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
			  "  AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e')"
			  " ORDER BY n.nspname, c.relname LIMIT $2",
			  &params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
		tables = lappend(tables, dbm_column_text(row, 1));
	SPI_freetuptable(SPI_tuptable);
	return tables;
}

/*
 * The text of a script, NUL-terminated.  Error 55000 if it is no longer the
 * text that was checked.
 */
char *
dbm_state_read_script(const DbmExtension *ext, const DbmMigration *migration, bool is_up, int *len)
{
	DbmParams	params = {0};
	char	   *result;

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, migration->id);
	dbm_param_datum(&params, BYTEAOID, is_up ? migration->up.sha256 : migration->down.sha256);
	if (is_up)
		dbm_query_saved(ext, &plan_read_up,
						"SELECT m.up FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1 AND m.id OPERATOR(pg_catalog.=) $2"
						" AND m.up_sha256 OPERATOR(pg_catalog.=) $3 AND NOT m.altered",
						&params, SPI_OK_SELECT);
	else
		dbm_query_saved(ext, &plan_read_down,
						"SELECT m.down FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1 AND m.id OPERATOR(pg_catalog.=) $2"
						" AND m.down_sha256 OPERATOR(pg_catalog.=) $3 AND NOT m.altered",
						&params, SPI_OK_SELECT);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s was changed while the run began", migration->id),
				 errhint("Try again.")));

	/* in place: the text may be as large as a text can be */
	result = (char *) DatumGetPointer(dbm_column_datum(0, 1));
	SPI_freetuptable(SPI_tuptable);
	*len = VARSIZE(result) - VARHDRSZ;
	memmove(result, result + VARHDRSZ, *len);
	result[*len] = '\0';
	return result;
}

/* Is something recorded as applied here other than by a baseline? */
bool
dbm_state_has_applied(const DbmExtension *ext)
{
	DbmParams	params = {0};

	add_target(&params, ext);
	dbm_query(ext,
			  "SELECT FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			  " AND a.project OPERATOR(pg_catalog.=) $2 AND NOT a.baseline LIMIT 1",
			  &params, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/* The first target schema where a migration is applied; NULL if nowhere. */
char *
dbm_state_applied_in(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext,
			  "SELECT a.target_schema FROM migrate.applied a"
			  " WHERE a.project OPERATOR(pg_catalog.=) $1 AND a.id OPERATOR(pg_catalog.=) $2"
			  " ORDER BY a.target_schema LIMIT 1",
			  &params, SPI_OK_SELECT);
	return SPI_processed == 0 ? NULL : dbm_column_text(0, 1);
}

/* Target schema and project, which most queries here begin with. */
static void
add_target(DbmParams *params, const DbmExtension *ext)
{
	dbm_param_text(params, ext->target);
	dbm_param_text(params, ext->project);
}

static List *
fetch_migrations(void)
{
	List	   *migrations = NIL;

	for (uint64 row = 0; row < SPI_processed; row++)
		migrations = lappend(migrations, fetch_migration(row));
	SPI_freetuptable(SPI_tuptable);
	return migrations;
}

static DbmMigration *
fetch_migration(uint64 row)
{
	DbmMigration *migration = palloc0(sizeof(DbmMigration));

	migration->id = dbm_column_text(row, COL_ID);
	migration->version = dbm_column_text(row, COL_VERSION);
	migration->version_key = dbm_column_datum(row, COL_VERSION_KEY);
	migration->name = dbm_column_text(row, COL_NAME);
	migration->state = dbm_state_by_name(dbm_column_text(row, COL_STATE));
	migration->is_applied = dbm_column_bool(row, COL_APPLIED);
	migration->is_registered = dbm_column_bool(row, COL_REGISTERED);
	migration->is_baseline = dbm_column_bool(row, COL_BASELINE);
	migration->to_run = dbm_column_bool(row, COL_TO_RUN);
	migration->runs_here = dbm_column_bool(row, COL_RUNS_HERE);
	migration->is_wanted = dbm_column_bool(row, COL_WANTED);
	migration->analyzed_on = dbm_column_int(row, COL_ANALYZED_ON, 0);
	migration->checksum = dbm_column_datum(row, COL_CHECKSUM);
	migration->up.statements = dbm_column_int(row, COL_UP_STATEMENTS, -1);
	migration->up.online = dbm_column_bool(row, COL_UP_ONLINE);
	migration->up.unreadable = dbm_column_text(row, COL_UP_UNREADABLE);
	migration->up.author = dbm_column_text(row, COL_UP_AUTHOR);
	migration->up.sets_role = dbm_column_bool(row, COL_UP_SETS_ROLE);
	migration->up.sha256 = dbm_column_datum(row, COL_UP_SHA256);
	migration->down.statements = dbm_column_int(row, COL_DOWN_STATEMENTS, -1);
	migration->down.online = dbm_column_bool(row, COL_DOWN_ONLINE);
	migration->down.unreadable = dbm_column_text(row, COL_DOWN_UNREADABLE);
	migration->down.author = dbm_column_text(row, COL_DOWN_AUTHOR);
	migration->down.sets_role = dbm_column_bool(row, COL_DOWN_SETS_ROLE);
	migration->down.sha256 = dbm_column_datum(row, COL_DOWN_SHA256);
	return migration;
}

/* Is a row of migrate.progress about it? */
bool
dbm_migration_is_half_done(const DbmMigration *migration)
{
	return migration->state == DBM_STATE_RUNNING || migration->state == DBM_STATE_INTERRUPTED ||
		migration->state == DBM_STATE_FAILED;
}

/* The state that migrate.state() calls by this name. */
DbmState
dbm_state_by_name(const char *name)
{
	for (int i = 0; i < lengthof(state_names); i++)
		if (strcmp(name, state_names[i]) == 0)
			return i;
	elog(ERROR, "unknown state \"%s\" of a migration", name);
}

const char *
dbm_state_name(DbmState state)
{
	return state_names[state];
}

/* Error 42704: nothing is known of a migration that somebody has named. */
void
dbm_migration_missing(const DbmExtension *ext, const char *version)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("migration %s does not exist", version),
			 errhint("See what is registered with: SELECT * FROM migrate.status(%s);",
					 dbm_target_argument(ext, true))));
}

/* How SQL names a migration: by its version, or its id. */
char *
dbm_migration_literal(const DbmMigration *migration)
{
	return dbm_literal(DBM_MIGRATION_REF(migration));
}
