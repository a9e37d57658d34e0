/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The only reader and writer of migrate.*.
 *
 * Every statement here runs as the extension's owner, so that a user may run
 * migrations without being able to edit the record of them, and names all it
 * uses in full, since the search_path is the caller's.  Results are copied to
 * the memory context that was current at the call.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "dbmigrate.h"

#define SERVER_MAJOR (PG_VERSION_NUM / 10000)

/* A statement's parameters, in order. */
typedef struct Params
{
	int			n;
	Oid			types[24];
	Datum		values[24];
	char		nulls[24];
} Params;

/* Columns of the queries that return migrations. */
enum
{
	COL_ID = 1, COL_VERSION, COL_VERSION_KEY, COL_NAME, COL_STATE, COL_APPLIED, COL_REGISTERED,
	COL_WANTED, COL_ANALYZED_ON, COL_CHECKSUM,
	COL_UP_STATEMENTS, COL_UP_ONLINE, COL_UP_UNREADABLE, COL_UP_AUTHOR, COL_UP_APPROVER, COL_UP_SHA256,
	COL_DOWN_STATEMENTS, COL_DOWN_ONLINE, COL_DOWN_UNREADABLE, COL_DOWN_AUTHOR, COL_DOWN_APPROVER, COL_DOWN_SHA256
};

#define MIGRATION_COLUMNS(wanted) \
	"SELECT s.id, s.version, s.version_key, s.name, s.state," \
	" s.position IS NOT NULL, s.registered, " wanted ", m.analyzed_on, m.checksum," \
	" m.up_statements, m.up_online, m.unreadable, m.up_author, m.up_approved_by, m.up_sha256," \
	" m.down_statements, m.down_online, m.down_unreadable, m.down_author, m.down_approved_by, m.down_sha256"

#define FROM_STATE \
	" FROM migrate.state($1) s" \
	" LEFT JOIN migrate.migration m ON m.id OPERATOR(pg_catalog.=) s.id"

/* $1 run .. $14 reason of a history row */
#define INSERT_HISTORY \
	"INSERT INTO migrate.history (run, action, target_schema, migration, version, name," \
	" statements, rows, wal_bytes, duration, checksum, session_username, username, reason, search_path," \
	" application_name, client_addr, transaction_id)" \
	" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15," \
	" pg_catalog.current_setting('application_name'), pg_catalog.inet_client_addr()," \
	" pg_catalog.pg_current_xact_id())"

static SPIPlanPtr plan_read_up = NULL;
static SPIPlanPtr plan_read_down = NULL;
static SPIPlanPtr plan_record_applied = NULL;
static SPIPlanPtr plan_record_undone = NULL;

static void look_up_extension(DbmExtension *ext);
static void add_param(Params *params, Oid type, Datum value, bool isnull);
static void add_text(Params *params, const char *value);
static void add_int64(Params *params, int64 value);
static void add_bool(Params *params, bool value);
static void add_datum(Params *params, Oid type, Datum value);
static void execute(const DbmExtension *ext, const char *sql, Params *params, int expected);
static void execute_saved(const DbmExtension *ext, SPIPlanPtr *plan, const char *sql,
						  Params *params, int expected);
static void expect_one_row(const char *what);
static bool column_is_null(uint64 row, int column);
static char *column_text(uint64 row, int column);
static int64 column_int(uint64 row, int column, int64 if_null);
static bool column_bool(uint64 row, int column);
static Datum column_datum(uint64 row, int column);
static List *fetch_migrations(void);
static DbmMigration *fetch_migration(uint64 row);
static void add_record(Params *params, const DbmRecord *record);
static void add_registration(Params *params, const DbmRegistration *wanted);
static bool same_text_or_null(const char *a, const char *b);
static bool same_array_or_null(Datum a, Datum b);

PG_FUNCTION_INFO_V1(dbmigrate_script_sha256);

/* SQL: migrate.script_sha256(script text) returns bytea */
Datum
dbmigrate_script_sha256(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dbm_catalog_sha256(PG_GETARG_DATUM(0)));
}

/* SHA-256 of the exact bytes of a text, as bytea. */
Datum
dbm_catalog_sha256(Datum script)
{
	/* text and bytea are the same but for the encoding rules */
	return DirectFunctionCall1(sha256_bytea, script);
}

/* A SHA-256 digest as bytea. */
Datum
dbm_catalog_bytea(const uint8 *digest)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(result), digest, PG_SHA256_DIGEST_LENGTH);
	return PointerGetDatum(result);
}

/*
 * Find the extension and connect to SPI; the caller's memory context stays
 * current.  Error 55000 if the library and the SQL objects do not belong
 * together.
 */
void
dbm_catalog_open(DbmExtension *ext)
{
	MemoryContext caller = CurrentMemoryContext;

	look_up_extension(ext);
	SPI_connect();
	MemoryContextSwitchTo(caller);
}

void
dbm_catalog_close(void)
{
	SPI_finish();
}

/* Has the script just run dropped the extension under us? */
void
dbm_catalog_check_alive(const DbmExtension *ext, const DbmLabel *label)
{
	DbmExtension now;

	look_up_extension(&now);
	if (now.oid != ext->oid)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s dropped extension \"dbmigrate\"", dbm_label_text(label)),
				 errhint("Drop it outside of migrations: DROP EXTENSION dbmigrate;")));
}

int64
dbm_catalog_next_run(const DbmExtension *ext)
{
	Params		params = {0};

	execute(ext, "SELECT pg_catalog.nextval('migrate.run_seq')", &params, SPI_OK_SELECT);
	return column_int(0, 1, 0);
}

/*
 * Everything that migrate.apply() has to look at: what is not applied and not
 * skipped, and what is applied but not as it should be; in version order.
 * "up_to" (numeric[]) limits what is wanted, 0 does not.
 */
List *
dbm_catalog_to_apply(const DbmExtension *ext, const char *schema, Datum up_to)
{
	Params		params = {0};

	add_text(&params, schema);
	add_datum(&params, NUMERICARRAYOID, up_to);
	execute(ext,
			MIGRATION_COLUMNS("$2 IS NULL OR s.version_key OPERATOR(pg_catalog.<=) $2")
			FROM_STATE
			" WHERE s.state OPERATOR(pg_catalog.<>) ALL (ARRAY['applied', 'skipped', 'missing'])"
			" ORDER BY s.version_key NULLS LAST, s.name",
			&params, SPI_OK_SELECT);
	return fetch_migrations();
}

/*
 * What was applied last, newest first: at most "steps" (-1 for all) with a
 * position above "after".
 */
List *
dbm_catalog_to_roll_back(const DbmExtension *ext, const char *schema, int64 steps, int64 after)
{
	Params		params = {0};

	add_text(&params, schema);
	add_int64(&params, after);
	add_param(&params, INT8OID, Int64GetDatum(steps), steps < 0);
	execute(ext,
			MIGRATION_COLUMNS("true")
			FROM_STATE
			" WHERE s.position OPERATOR(pg_catalog.>) $2"
			" ORDER BY s.position DESC LIMIT $3",
			&params, SPI_OK_SELECT);
	return fetch_migrations();
}

/* One migration by its version, NULL if it is not known at all. */
DbmMigration *
dbm_catalog_migration(const DbmExtension *ext, const char *schema, Datum version_key)
{
	Params		params = {0};
	List	   *found;

	add_text(&params, schema);
	add_datum(&params, NUMERICARRAYOID, version_key);
	execute(ext,
			MIGRATION_COLUMNS("true")
			FROM_STATE
			" WHERE s.version_key OPERATOR(pg_catalog.=) $2",
			&params, SPI_OK_SELECT);
	found = fetch_migrations();
	return found == NIL ? NULL : linitial(found);
}

/* All registered migrations up to a version that are not applied. */
List *
dbm_catalog_up_to(const DbmExtension *ext, const char *schema, Datum version_key)
{
	Params		params = {0};

	add_text(&params, schema);
	add_datum(&params, NUMERICARRAYOID, version_key);
	execute(ext,
			MIGRATION_COLUMNS("true")
			FROM_STATE
			" WHERE s.version_key OPERATOR(pg_catalog.<=) $2 AND s.registered AND s.position IS NULL"
			" ORDER BY s.version_key",
			&params, SPI_OK_SELECT);
	return fetch_migrations();
}

/* The place of a version in the order of application, -1 if not applied. */
int64
dbm_catalog_position(const DbmExtension *ext, const char *schema, Datum version_key)
{
	Params		params = {0};

	add_text(&params, schema);
	add_datum(&params, NUMERICARRAYOID, version_key);
	execute(ext,
			"SELECT a.position FROM migrate.applied a"
			" WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			" AND a.version_key OPERATOR(pg_catalog.=) $2",
			&params, SPI_OK_SELECT);
	return SPI_processed == 0 ? -1 : column_int(0, 1, -1);
}

/* The newest applied version, NULL if nothing is applied. */
char *
dbm_catalog_newest(const DbmExtension *ext, const char *schema)
{
	Params		params = {0};

	add_text(&params, schema);
	execute(ext, "SELECT migrate.version($1)", &params, SPI_OK_SELECT);
	return column_is_null(0, 1) ? NULL : column_text(0, 1);
}

/*
 * Does the database, or the target schema, hold tables although nothing ever
 * happened there with our knowledge?
 */
bool
dbm_catalog_looks_unmanaged(const DbmExtension *ext, const char *schema)
{
	Params		params = {0};

	add_text(&params, schema);
	execute(ext,
			"SELECT NOT EXISTS (SELECT FROM migrate.applied a"
			"  WHERE a.target_schema OPERATOR(pg_catalog.=) $1)"
			" AND NOT EXISTS (SELECT FROM migrate.history h"
			"  WHERE h.target_schema OPERATOR(pg_catalog.=) $1)"
			" AND EXISTS (SELECT FROM pg_catalog.pg_class c"
			"  JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
			"  WHERE c.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::\"char\"[])"
			"  AND c.relpersistence OPERATOR(pg_catalog.<>) 't'"
			"  AND CASE WHEN $1 OPERATOR(pg_catalog.=) ''"
			"   THEN n.nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema', 'migrate', 'pg_toast']::pg_catalog.name[])"
			"   ELSE n.nspname OPERATOR(pg_catalog.=) $1::pg_catalog.name END"
			"  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d"
			"   WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass"
			"   AND d.objid OPERATOR(pg_catalog.=) c.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'))",
			&params, SPI_OK_SELECT);
	return column_bool(0, 1);
}

/*
 * The text of a script, NUL-terminated.  Error 55000 if it is no longer the
 * text that was checked.
 */
char *
dbm_catalog_read_script(const DbmExtension *ext, const DbmMigration *migration, bool is_up, int *len)
{
	Params		params = {0};
	text	   *script;
	Datum		stored;
	char	   *result;

	add_text(&params, migration->id);
	add_datum(&params, BYTEAOID, is_up ? migration->up.sha256 : migration->down.sha256);
	if (is_up)
		execute_saved(ext, &plan_read_up,
					  "SELECT m.up FROM migrate.migration m WHERE m.id OPERATOR(pg_catalog.=) $1"
					  " AND m.up_text_sha256 OPERATOR(pg_catalog.=) $2",
					  &params, SPI_OK_SELECT);
	else
		execute_saved(ext, &plan_read_down,
					  "SELECT m.down FROM migrate.migration m WHERE m.id OPERATOR(pg_catalog.=) $1"
					  " AND m.down_text_sha256 OPERATOR(pg_catalog.=) $2",
					  &params, SPI_OK_SELECT);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s was changed while the run began", migration->id),
				 errhint("Try again.")));

	stored = column_datum(0, 1);
	script = DatumGetTextPP(stored);
	*len = VARSIZE_ANY_EXHDR(script);
	result = palloc_extended((Size) *len + 1, MCXT_ALLOC_HUGE);
	memcpy(result, VARDATA_ANY(script), *len);
	result[*len] = '\0';
	if (script != (text *) DatumGetPointer(stored))
		pfree(script);
	SPI_freetuptable(SPI_tuptable);
	return result;
}

/* This server reads a script that was registered on another one. */
void
dbm_catalog_update_analysis(const DbmExtension *ext, const DbmMigration *migration, bool is_up,
							const DbmScript *script)
{
	Params		params = {0};

	add_text(&params, migration->id);
	add_int64(&params, script->ncommands);
	add_datum(&params, BYTEAOID, dbm_catalog_bytea(script->checksum));
	add_int64(&params, SERVER_MAJOR);
	execute(ext,
			is_up ?
			"UPDATE migrate.migration SET unreadable = NULL, up_statements = $2::pg_catalog.int4,"
			" checksum = $3, analyzed_on = $4::pg_catalog.int4 WHERE id OPERATOR(pg_catalog.=) $1" :
			"UPDATE migrate.migration SET down_unreadable = NULL,"
			" down_statements = nullif($2::pg_catalog.int4, 0) WHERE id OPERATOR(pg_catalog.=) $1"
			" AND $3 IS NOT NULL AND $4 IS NOT NULL",
			&params, SPI_OK_UPDATE);
	expect_one_row("migrate.migration");
}

/* A history row alone. */
void
dbm_catalog_record(const DbmExtension *ext, const DbmRecord *record)
{
	Params		params = {0};

	add_record(&params, record);
	execute(ext, INSERT_HISTORY, &params, SPI_OK_INSERT);
	expect_one_row("migrate.history");
}

/* A history row, and with its number as position a row of migrate.applied. */
void
dbm_catalog_record_applied(const DbmExtension *ext, const DbmRecord *record)
{
	Params		params = {0};

	add_record(&params, record);
	add_datum(&params, NUMERICARRAYOID, record->migration->version_key);
	add_bool(&params, record->baseline);
	execute_saved(ext, &plan_record_applied,
				  "WITH h AS (" INSERT_HISTORY " RETURNING id, at)"
				  " INSERT INTO migrate.applied (target_schema, id, position, version, version_key, name,"
				  " checksum, applied_at, applied_by, duration, run, baseline, statements)"
				  " SELECT $3, $4, h.id, $5, $16, $6, $11, h.at, $13, $10, $1, $17,"
				  " coalesce($7, 0)::pg_catalog.int4 FROM h",
				  &params, SPI_OK_INSERT);
	expect_one_row("migrate.applied");
}

/* A history row, and the row of migrate.applied goes. */
void
dbm_catalog_record_undone(const DbmExtension *ext, const DbmRecord *record)
{
	Params		params = {0};

	add_record(&params, record);
	execute_saved(ext, &plan_record_undone,
				  "WITH h AS (" INSERT_HISTORY ")"
				  " DELETE FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $3"
				  " AND a.id OPERATOR(pg_catalog.=) $4",
				  &params, SPI_OK_DELETE);
	expect_one_row("migrate.applied");
}

/*
 * What is registered for the version of "wanted", and how that differs; NULL
 * if nothing is.
 */
DbmStored *
dbm_catalog_stored(const DbmExtension *ext, const DbmRegistration *wanted)
{
	Params		params = {0};
	DbmStored  *stored;

	add_datum(&params, NUMERICARRAYOID, wanted->version_key);
	execute(ext,
			"SELECT m.id, m.version, m.name, m.environments, m.up_online, m.down_online, m.file_name,"
			" m.up_author, m.down_author, m.up_sha256, m.down_sha256, m.checksum,"
			" EXISTS (SELECT FROM migrate.applied a WHERE a.id OPERATOR(pg_catalog.=) m.id),"
			" m.down_statements"
			" FROM migrate.migration m WHERE m.version_key OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return NULL;

	stored = palloc0(sizeof(DbmStored));
	stored->id = column_text(0, 1);
	stored->version = column_text(0, 2);
	stored->up_author = column_text(0, 8);
	stored->down_author = column_is_null(0, 9) ? NULL : column_text(0, 9);
	stored->is_applied = column_bool(0, 13);
	stored->same_up = wanted->up != 0 && datumIsEqual(dbm_catalog_sha256(wanted->up),
								   PointerGetDatum(DatumGetByteaPCopy(column_datum(0, 10))),
								   false, -1);
	stored->same_down = column_is_null(0, 11) || wanted->down == 0 ?
		column_is_null(0, 11) && wanted->down == 0 :
		datumIsEqual(dbm_catalog_sha256(wanted->down),
					 PointerGetDatum(DatumGetByteaPCopy(column_datum(0, 11))), false, -1);
	stored->same_tokens = wanted->up_script != NULL && memcmp(VARDATA(DatumGetByteaPCopy(column_datum(0, 12))),
								 wanted->up_script->checksum,
								 sizeof(wanted->up_script->checksum)) == 0;
	stored->same_rest = wanted->name != NULL &&
		strcmp(stored->version, wanted->version) == 0 &&
		strcmp(column_text(0, 3), wanted->name) == 0 &&
		same_array_or_null(column_datum(0, 4), wanted->environments) &&
		column_bool(0, 5) == wanted->up_online &&
		column_bool(0, 6) == wanted->down_online &&
		same_text_or_null(column_is_null(0, 7) ? NULL : column_text(0, 7), wanted->file_name) &&
		column_int(0, 14, -1) == wanted->down_statements;
	SPI_freetuptable(SPI_tuptable);
	return stored;
}

/*
 * Store a new migration.  False if another session has stored that version
 * in the meantime.
 */
bool
dbm_catalog_insert(const DbmExtension *ext, const DbmRegistration *wanted)
{
	Params		params = {0};

	add_registration(&params, wanted);
	execute(ext,
			"INSERT INTO migrate.migration (id, version, version_key, name, environments,"
			" up_online, down_online, up_statements, down_statements, checksum,"
			" unreadable, down_unreadable, analyzed_on, file_name,"
			" up_author, up_sha256, up, down_author, down_registered_at, down_sha256, down)"
			" VALUES (coalesce((SELECT a.id FROM migrate.applied a"
			"  WHERE a.version_key OPERATOR(pg_catalog.=) $2 LIMIT 1), $1), $1, $2, $3, $4,"
			" $5, $6, $7::pg_catalog.int4, $8::pg_catalog.int4, $9, $10, $11, $12::pg_catalog.int4, $13,"
			" $14, migrate.script_sha256($15), $15,"
			" CASE WHEN $16 IS NOT NULL THEN $14 END,"
			" CASE WHEN $16 IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
			" migrate.script_sha256($16), $16)"
			" ON CONFLICT DO NOTHING",
			&params, SPI_OK_INSERT);
	return SPI_processed == 1;
}

/*
 * Fill in what is stored for a version, texts included; the scripts are left
 * for the caller to scan.  False if nothing is registered.
 */
bool
dbm_catalog_load(const DbmExtension *ext, Datum version_key, DbmRegistration *registration)
{
	Params		params = {0};

	memset(registration, 0, sizeof(DbmRegistration));
	add_datum(&params, NUMERICARRAYOID, version_key);
	execute(ext,
			"SELECT m.version, m.name, m.environments, m.file_name, m.up, m.down,"
			" m.up_online, m.down_online, m.down_statements, m.id"
			" FROM migrate.migration m WHERE m.version_key OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return false;
	registration->version = column_text(0, 1);
	registration->version_key = version_key;
	registration->name = column_text(0, 2);
	registration->environments = column_datum(0, 3);
	registration->file_name = column_text(0, 4);
	registration->up = column_datum(0, 5);
	registration->down = column_datum(0, 6);
	registration->up_online = column_bool(0, 7);
	registration->down_online = column_bool(0, 8);
	registration->down_statements = column_int(0, 9, -1);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/* Is this version registered? */
bool
dbm_catalog_version_taken(const DbmExtension *ext, Datum version_key)
{
	Params		params = {0};

	add_datum(&params, NUMERICARRAYOID, version_key);
	execute(ext, "SELECT FROM migrate.migration m WHERE m.version_key OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/* Is something recorded as applied here other than by a baseline? */
bool
dbm_catalog_has_applied(const DbmExtension *ext, const char *schema)
{
	Params		params = {0};

	add_text(&params, schema);
	execute(ext,
			"SELECT FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			" AND NOT a.baseline LIMIT 1",
			&params, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/*
 * Change a stored migration.  The author and the approval of a script change
 * with its bytes only.
 */
void
dbm_catalog_update(const DbmExtension *ext, const DbmRegistration *wanted, const DbmStored *stored)
{
	Params		params = {0};

	add_registration(&params, wanted);
	add_text(&params, stored->id);
	add_bool(&params, stored->same_up);
	add_bool(&params, stored->same_down);
	execute(ext,
			"UPDATE migrate.migration SET version = $1, version_key = $2, name = $3, environments = $4,"
			" up_online = $5, down_online = $6, up_statements = $7::pg_catalog.int4,"
			" down_statements = $8::pg_catalog.int4, checksum = $9, unreadable = $10,"
			" down_unreadable = $11, analyzed_on = $12::pg_catalog.int4, file_name = $13,"
			" up_author = CASE WHEN $18 THEN up_author ELSE $14 END,"
			" up_registered_at = CASE WHEN $18 THEN up_registered_at ELSE pg_catalog.clock_timestamp() END,"
			" up_approved_by = CASE WHEN $18 THEN up_approved_by END,"
			" up_approved_at = CASE WHEN $18 THEN up_approved_at END,"
			" up_sha256 = migrate.script_sha256($15), up = $15,"
			" down_author = CASE WHEN $19 THEN down_author WHEN $16 IS NOT NULL THEN $14 END,"
			" down_registered_at = CASE WHEN $19 THEN down_registered_at"
			"  WHEN $16 IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
			" down_approved_by = CASE WHEN $19 THEN down_approved_by END,"
			" down_approved_at = CASE WHEN $19 THEN down_approved_at END,"
			" down_sha256 = migrate.script_sha256($16), down = $16"
			" WHERE id OPERATOR(pg_catalog.=) $17",
			&params, SPI_OK_UPDATE);
	expect_one_row("migrate.migration");
}

void
dbm_catalog_delete(const DbmExtension *ext, const char *id)
{
	Params		params = {0};

	add_text(&params, id);
	execute(ext, "DELETE FROM migrate.migration m WHERE m.id OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_DELETE);
	expect_one_row("migrate.migration");
}

/* The current user vouches for both scripts as they are registered. */
void
dbm_catalog_approve(const DbmExtension *ext, const char *id)
{
	Params		params = {0};

	add_text(&params, id);
	add_text(&params, GetUserNameFromId(GetUserId(), false));
	execute(ext,
			"UPDATE migrate.migration SET up_approved_by = $2, up_approved_at = pg_catalog.clock_timestamp(),"
			" down_approved_by = CASE WHEN down IS NOT NULL THEN $2 END,"
			" down_approved_at = CASE WHEN down IS NOT NULL THEN pg_catalog.clock_timestamp() END"
			" WHERE id OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_UPDATE);
	expect_one_row("migrate.migration");
}

/* What is registered counts as what was applied, in every target schema. */
void
dbm_catalog_accept_text(const DbmExtension *ext, const char *id)
{
	Params		params = {0};

	add_text(&params, id);
	execute(ext,
			"UPDATE migrate.applied a SET checksum = m.checksum, version = m.version, name = m.name"
			" FROM migrate.migration m WHERE m.id OPERATOR(pg_catalog.=) $1"
			" AND a.id OPERATOR(pg_catalog.=) $1",
			&params, SPI_OK_UPDATE);
}

/* The installed extension; 55000 if there is none or it is not ours. */
static void
look_up_extension(DbmExtension *ext)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("dbmigrate"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	ext->oid = InvalidOid;
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		ext->oid = form->oid;
		ext->owner = form->extowner;
		version = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion,
												   RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (version && strcmp(version, DBMIGRATE_VERSION) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"dbmigrate\" and its library have different versions"),
				 errdetail("The extension is version %s, the library is version %s.",
						   version, DBMIGRATE_VERSION),
				 errhint("ALTER EXTENSION dbmigrate UPDATE TO '%s';", DBMIGRATE_VERSION)));
}

static void
add_param(Params *params, Oid type, Datum value, bool isnull)
{
	Assert(params->n < lengthof(params->types));
	params->types[params->n] = type;
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	params->n++;
}

static void
add_text(Params *params, const char *value)
{
	add_param(params, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

static void
add_int64(Params *params, int64 value)
{
	add_param(params, INT8OID, Int64GetDatum(value), false);
}

static void
add_bool(Params *params, bool value)
{
	add_param(params, BOOLOID, BoolGetDatum(value), false);
}

/* 0 stands for NULL, so not for types passed by value */
static void
add_datum(Params *params, Oid type, Datum value)
{
	add_param(params, type, value, DatumGetPointer(value) == NULL);
}

/* Run a statement as the owner; its result is in SPI_tuptable. */
static void
execute(const DbmExtension *ext, const char *sql, Params *params, int expected)
{
	MemoryContext caller_context = CurrentMemoryContext;
	DbmUser		caller;
	int			result;

	dbm_owner_enter(ext, &caller);
	result = SPI_execute_with_args(sql, params->n, params->types, params->values,
								   params->nulls, false, 0);
	dbm_owner_leave(&caller);
	MemoryContextSwitchTo(caller_context);
	if (result != expected)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(result));
}

/* The same with a plan that is kept for the session. */
static void
execute_saved(const DbmExtension *ext, SPIPlanPtr *plan, const char *sql,
			  Params *params, int expected)
{
	MemoryContext caller_context = CurrentMemoryContext;
	DbmUser		caller;
	int			result;

	dbm_owner_enter(ext, &caller);
	if (*plan == NULL)
	{
		SPIPlanPtr	made = SPI_prepare_cursor(sql, params->n, params->types,
											  CURSOR_OPT_GENERIC_PLAN);

		if (made == NULL)
			elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(made);
		*plan = made;
	}
	result = SPI_execute_plan(*plan, params->values, params->nulls, false, 0);
	dbm_owner_leave(&caller);
	MemoryContextSwitchTo(caller_context);
	if (result != expected)
		elog(ERROR, "SPI_execute_plan returned %s", SPI_result_code_string(result));
}

/* A rule or trigger on our tables must not make a row vanish unnoticed. */
static void
expect_one_row(const char *table)
{
	if (SPI_processed != 1)
		elog(ERROR, "%d rows of %s were written instead of one", (int) SPI_processed, table);
}

static bool
column_is_null(uint64 row, int column)
{
	bool		isnull;

	(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	return isnull;
}

/* As text, in the current memory context; NULL for NULL. */
static char *
column_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* For int4 and int8 columns. */
static int64
column_int(uint64 row, int column, int64 if_null)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	if (isnull)
		return if_null;
	return SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT8OID ?
		DatumGetInt64(value) : DatumGetInt32(value);
}

static bool
column_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* A copy in the current memory context of a value by reference; 0 for NULL. */
static Datum
column_datum(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	return isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
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

	migration->id = column_text(row, COL_ID);
	migration->version = column_text(row, COL_VERSION);
	migration->version_key = column_datum(row, COL_VERSION_KEY);
	migration->name = column_text(row, COL_NAME);
	migration->state = column_text(row, COL_STATE);
	migration->is_applied = column_bool(row, COL_APPLIED);
	migration->is_registered = column_bool(row, COL_REGISTERED);
	migration->is_wanted = column_bool(row, COL_WANTED);
	migration->analyzed_on = column_int(row, COL_ANALYZED_ON, 0);
	migration->checksum = column_datum(row, COL_CHECKSUM);
	migration->up.statements = column_int(row, COL_UP_STATEMENTS, -1);
	migration->up.online = column_bool(row, COL_UP_ONLINE);
	migration->up.unreadable = column_text(row, COL_UP_UNREADABLE);
	migration->up.author = column_text(row, COL_UP_AUTHOR);
	migration->up.approver = column_text(row, COL_UP_APPROVER);
	migration->up.sha256 = column_datum(row, COL_UP_SHA256);
	migration->down.statements = column_int(row, COL_DOWN_STATEMENTS, -1);
	migration->down.online = column_bool(row, COL_DOWN_ONLINE);
	migration->down.unreadable = column_text(row, COL_DOWN_UNREADABLE);
	migration->down.author = column_text(row, COL_DOWN_AUTHOR);
	migration->down.approver = column_text(row, COL_DOWN_APPROVER);
	migration->down.sha256 = column_datum(row, COL_DOWN_SHA256);
	return migration;
}

/* The parameters of INSERT_HISTORY. */
static void
add_record(Params *params, const DbmRecord *record)
{
	const DbmMigration *migration = record->migration;
	const DbmExecution *execution = record->execution;

	add_int64(params, record->run);
	add_text(params, record->action);
	add_text(params, record->target_schema);
	add_text(params, migration->id);
	add_text(params, migration->version);
	add_text(params, migration->name);
	add_param(params, INT8OID, Int64GetDatum(execution ? execution->statements : 0), !execution);
	add_param(params, INT8OID, Int64GetDatum(execution ? execution->rows : 0), !execution);
	add_param(params, INT8OID, Int64GetDatum(execution ? execution->wal_bytes : 0), !execution);
	add_datum(params, INTERVALOID, execution ? dbm_catalog_interval(execution->duration) : (Datum) 0);
	add_datum(params, BYTEAOID, migration->checksum);
	add_text(params, GetUserNameFromId(GetSessionUserId(), false));
	add_text(params, GetUserNameFromId(GetUserId(), false));
	add_text(params, record->reason);
	add_datum(params, TEXTARRAYOID, execution ? execution->search_path : (Datum) 0);
}

static void
add_registration(Params *params, const DbmRegistration *wanted)
{
	const DbmScript *up = wanted->up_script;
	const DbmScript *down = wanted->down_script;

	add_text(params, wanted->version);
	add_datum(params, NUMERICARRAYOID, wanted->version_key);
	add_text(params, wanted->name);
	add_datum(params, TEXTARRAYOID, wanted->environments);
	add_bool(params, wanted->up_online);
	add_bool(params, wanted->down_online);
	add_int64(params, up->ncommands);
	add_param(params, INT8OID, Int64GetDatum(wanted->down_statements), wanted->down_statements < 0);
	add_datum(params, BYTEAOID, dbm_catalog_bytea(up->checksum));
	add_text(params, up->unreadable ? up->unreadable->message : NULL);
	add_text(params, down && down->unreadable ? down->unreadable->message : NULL);
	add_int64(params, SERVER_MAJOR);
	add_text(params, wanted->file_name);
	add_text(params, GetUserNameFromId(GetUserId(), false));
	add_datum(params, TEXTOID, wanted->up);
	add_datum(params, TEXTOID, wanted->down);
}

/* An interval of so many microseconds. */
Datum
dbm_catalog_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}

static bool
same_text_or_null(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
same_array_or_null(Datum a, Datum b)
{
	if (a == 0 || b == 0)
		return a == b;
	return strcmp(OidOutputFunctionCall(F_ARRAY_OUT, a), OidOutputFunctionCall(F_ARRAY_OUT, b)) == 0;
}
