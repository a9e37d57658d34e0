/*-------------------------------------------------------------------------
 *
 * migrations.c
 *	  The rows of migrate.migration: what is registered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"

#include "tables/tables.h"

static SPIPlanPtr plan_stored = NULL;
static SPIPlanPtr plan_stored_by_id = NULL;
static SPIPlanPtr plan_contradicts = NULL;
static SPIPlanPtr plan_insert = NULL;

static void compare(DbmStored *stored, const DbmRegistration *wanted, uint64 row);
static bool same_bytes(Datum a, Datum b);
static void add_registration(DbmParams *params, const DbmExtension *ext, const DbmRegistration *wanted);
static bool same_text(const char *stored, const char *wanted);
static bool same_environments(Datum stored, Datum wanted);

/* In the order of DBM_STORED_COLUMNS. */
enum
{
	COL_ID = 1, COL_VERSION, COL_NAME, COL_ENVIRONMENTS, COL_UP_ONLINE, COL_DOWN_ONLINE, COL_FILE_NAME,
	COL_UP_AUTHOR, COL_DOWN_AUTHOR, COL_UP_SHA256, COL_DOWN_SHA256, COL_CHECKSUM, COL_APPLIED,
	COL_DOWN_STATEMENTS, COL_UP_STATEMENTS, COL_ALTERED
};

/* Columns of the query of dbm_migrations_load(). */
enum
{
	LOAD_VERSION = 1, LOAD_NAME, LOAD_ENVIRONMENTS, LOAD_FILE_NAME, LOAD_UP, LOAD_DOWN, LOAD_UP_ONLINE,
	LOAD_DOWN_ONLINE, LOAD_DOWN_STATEMENTS, LOAD_VERSION_KEY, LOAD_BASELINE_KEY,
	LOAD_HAS_UP
};

/*
 * What is registered for the version, or the id, of "wanted", and how that
 * differs; NULL if nothing is.
 */
DbmStored *
dbm_migrations_stored(const DbmExtension *ext, const DbmRegistration *wanted)
{
	DbmParams	params = {0};
	DbmStored  *stored;

	dbm_param_text(&params, ext->project);
	if (wanted->version_key)
	{
		dbm_param_datum(&params, NUMERICARRAYOID, wanted->version_key);
		dbm_query_saved(ext, &plan_stored,
						"SELECT " DBM_STORED_COLUMNS " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1"
						" AND m.version_key OPERATOR(pg_catalog.=) $2",
						&params, SPI_OK_SELECT);
	}
	else
	{
		dbm_param_text(&params, wanted->id);
		dbm_query_saved(ext, &plan_stored_by_id,
						"SELECT " DBM_STORED_COLUMNS " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1"
						" AND m.id OPERATOR(pg_catalog.=) $2 AND m.version_key IS NULL",
						&params, SPI_OK_SELECT);
	}
	if (SPI_processed == 0)
		return NULL;

	stored = dbm_migrations_fetch(0, wanted);
	SPI_freetuptable(SPI_tuptable);
	return stored;
}

/* The same from a row of a query that begins with DBM_STORED_COLUMNS. */
DbmStored *
dbm_migrations_fetch(uint64 row, const DbmRegistration *wanted)
{
	DbmStored  *stored = palloc0(sizeof(DbmStored));

	stored->id = dbm_column_text(row, COL_ID);
	stored->version = dbm_column_is_null(row, COL_VERSION) ? stored->id : dbm_column_text(row, COL_VERSION);
	stored->is_repeatable = strncmp(stored->id, "R__", 3) == 0 && dbm_column_is_null(row, COL_VERSION);
	stored->name = dbm_column_text(row, COL_NAME);
	stored->file_name = dbm_column_text(row, COL_FILE_NAME);
	stored->up_author = dbm_column_text(row, COL_UP_AUTHOR);
	stored->down_author = dbm_column_text(row, COL_DOWN_AUTHOR);
	stored->environments = dbm_column_datum(row, COL_ENVIRONMENTS);
	stored->up_sha256 = dbm_column_datum(row, COL_UP_SHA256);
	stored->down_sha256 = dbm_column_datum(row, COL_DOWN_SHA256);
	stored->checksum = dbm_column_datum(row, COL_CHECKSUM);
	stored->is_applied = dbm_column_bool(row, COL_APPLIED);
	stored->has_up = dbm_column_int(row, COL_UP_STATEMENTS, 0) >= 0;
	compare(stored, wanted, row);
	return stored;
}

/* How does a row just read differ from what is wanted? */
static void
compare(DbmStored *stored, const DbmRegistration *wanted, uint64 row)
{
	bool		altered = dbm_column_bool(row, COL_ALTERED);	/* the hashes are not
																 * those of the texts */

	stored->same_up = wanted->up == 0 ||
		(!altered && datumIsEqual(wanted->up_sha256, stored->up_sha256, false, -1));
	stored->same_down = wanted->down == 0 ||
		(!altered && stored->down_sha256 != 0 &&
		 datumIsEqual(wanted->down_sha256, stored->down_sha256, false, -1));
	/* made as the stored one was: how it is run is no part of its text */
	stored->same_tokens = wanted->up == 0 || stored->same_up ||
		(wanted->up_script != NULL &&
		 same_bytes(stored->checksum,
					dbm_script_checksum(wanted->up_script, dbm_column_bool(row, COL_UP_ONLINE))));
	stored->same_rest = wanted->name != NULL &&
		(wanted->version_key == 0 || strcmp(stored->version, wanted->version) == 0) &&
		strcmp(stored->name, wanted->name) == 0 &&
		same_environments(stored->environments, wanted->environments) &&
		(wanted->up == 0 ||
		 (dbm_column_bool(row, COL_UP_ONLINE) == wanted->up_online &&
		  (wanted->file_name == NULL || same_text(stored->file_name, wanted->file_name)))) &&
		(wanted->down == 0 ||
		 (dbm_column_bool(row, COL_DOWN_ONLINE) == wanted->down_online &&
		  dbm_column_int(row, COL_DOWN_STATEMENTS, -1) == wanted->down_statements));
}

/*
 * Is a version that is not registered applied somewhere with another text
 * than this one?
 */
bool
dbm_migrations_contradicts(const DbmExtension *ext, const DbmRegistration *wanted)
{
	DbmParams	params = {0};

	if (wanted->version_key == 0 || wanted->up == 0 || wanted->is_unheard_of)
		return false;
	dbm_param_text(&params, ext->project);
	dbm_param_datum(&params, NUMERICARRAYOID, wanted->version_key);
	dbm_param_datum(&params, BYTEAOID, dbm_script_checksum(wanted->up_script, wanted->up_online));
	dbm_param_int64(&params, DBM_CHECKSUM_KIND);
	dbm_query_saved(ext, &plan_contradicts,
					"SELECT FROM migrate.applied a WHERE a.project OPERATOR(pg_catalog.=) $1"
					" AND a.version_key OPERATOR(pg_catalog.=) $2"
					" AND a.checksum OPERATOR(pg_catalog.<>) $3"
					" AND a.checksum_kind OPERATOR(pg_catalog.=) $4 LIMIT 1",
					&params, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/*
 * Store a new migration.  False if another session has stored that version
 * in the meantime.
 */
bool
dbm_migrations_insert(const DbmExtension *ext, const DbmRegistration *wanted)
{
	DbmParams	params = {0};

	add_registration(&params, ext, wanted);
	dbm_query_saved(ext, &plan_insert,
					"INSERT INTO migrate.migration (project, id, version, version_key, baseline_key, name, environments,"
					" up_online, down_online, up_sets_role, down_sets_role, up_statements, down_statements, checksum,"
					" checksum_kind, unreadable, down_unreadable, analyzed_on, file_name,"
					" up_author, up_sha256, up, down_author, down_registered_at, down_sha256, down)"
					" VALUES ($23, coalesce($17, (SELECT a.id FROM migrate.applied a"
					"  WHERE a.project OPERATOR(pg_catalog.=) $23 AND a.version_key OPERATOR(pg_catalog.=) $2 LIMIT 1), $1), $1, $2, $18, $3,"
					" CASE WHEN pg_catalog.cardinality($4) OPERATOR(pg_catalog.>) 0 THEN $4 END,"
					" $5, $6, $21, $22, $7::pg_catalog.int4, $8::pg_catalog.int4, $9,"
					" $24::pg_catalog.int2, $10, $11, $12::pg_catalog.int4, $13,"
					" $14, $19, $15,"
					" CASE WHEN $16 IS NOT NULL THEN $14 END,"
					" CASE WHEN $16 IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
					" $20, $16)"
					" ON CONFLICT DO NOTHING",
					&params, SPI_OK_INSERT);
	if (SPI_processed != 1)
		return false;
	dbm_applied_learn_text(ext, wanted);
	return true;
}

/*
 * Fill in what is stored under an id, texts included; the scripts are left
 * for the caller to scan.  False if nothing is registered.
 */
bool
dbm_migrations_load(const DbmExtension *ext, const char *id, DbmRegistration *registration)
{
	DbmParams	params = {0};

	memset(registration, 0, sizeof(DbmRegistration));
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext,
			  "SELECT m.version, m.name, m.environments, m.file_name, m.up, m.down,"
			  " m.up_online, m.down_online, m.down_statements, m.version_key, m.baseline_key,"
			  " m.up_statements OPERATOR(pg_catalog.>=) 0"
			  " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1 AND m.id OPERATOR(pg_catalog.=) $2",
			  &params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return false;
	registration->version = dbm_column_text(0, LOAD_VERSION);
	registration->version_key = dbm_column_datum(0, LOAD_VERSION_KEY);
	registration->baseline_key = dbm_column_datum(0, LOAD_BASELINE_KEY);
	registration->id = registration->version_key ? NULL : pstrdup(id);
	registration->name = dbm_column_text(0, LOAD_NAME);
	registration->environments = dbm_column_datum(0, LOAD_ENVIRONMENTS);
	registration->file_name = dbm_column_text(0, LOAD_FILE_NAME);
	if (dbm_column_bool(0, LOAD_HAS_UP))
		registration->up = dbm_column_datum(0, LOAD_UP);
	registration->down = dbm_column_datum(0, LOAD_DOWN);
	registration->up_online = dbm_column_bool(0, LOAD_UP_ONLINE);
	registration->down_online = dbm_column_bool(0, LOAD_DOWN_ONLINE);
	registration->down_statements = dbm_column_int(0, LOAD_DOWN_STATEMENTS, -1);
	SPI_freetuptable(SPI_tuptable);
	return true;
}

/*
 * Change a stored migration.  The author of a script changes with its bytes
 * only.
 */
void
dbm_migrations_update(const DbmExtension *ext, const DbmRegistration *wanted, const DbmStored *stored)
{
	DbmParams	params = {0};

	add_registration(&params, ext, wanted);
	dbm_param_text(&params, stored->id);
	dbm_param_bool(&params, stored->same_up);
	dbm_param_bool(&params, stored->same_down);
	dbm_param_bool(&params, wanted->up != 0);
	dbm_query(ext,
			  "UPDATE migrate.migration SET version = $1, version_key = $2, baseline_key = $18, name = $3,"
			  " environments = CASE WHEN $4 IS NULL THEN environments"
			  "  WHEN pg_catalog.cardinality($4) OPERATOR(pg_catalog.>) 0 THEN $4 END,"
			  " up_online = CASE WHEN $28 THEN $5 ELSE up_online END,"
			  " up_sets_role = CASE WHEN $28 THEN $21 ELSE up_sets_role END,"
			  " up_statements = CASE WHEN $28 THEN $7::pg_catalog.int4 ELSE up_statements END,"
			  " checksum = CASE WHEN $28 THEN $9 ELSE checksum END,"
			  " checksum_kind = CASE WHEN $28 THEN $24::pg_catalog.int2 ELSE checksum_kind END,"
			  " unreadable = CASE WHEN $28 THEN $10 ELSE unreadable END,"
			  " down_online = CASE WHEN $16 IS NULL THEN down_online ELSE $6 END,"
			  " down_sets_role = CASE WHEN $16 IS NULL THEN down_sets_role ELSE $22 END,"
			  " down_statements = CASE WHEN $16 IS NULL THEN down_statements ELSE $8::pg_catalog.int4 END,"
			  " down_unreadable = CASE WHEN $16 IS NULL THEN down_unreadable ELSE $11 END,"
			  " analyzed_on = CASE WHEN $28 THEN $12::pg_catalog.int4 ELSE analyzed_on END,"
			  " file_name = CASE WHEN $28 OR file_name IS NULL THEN coalesce($13, file_name) ELSE file_name END,"
			  " up_author = CASE WHEN $26 THEN up_author ELSE $14 END,"
			  " up_registered_at = CASE WHEN $26 THEN up_registered_at ELSE pg_catalog.clock_timestamp() END,"
			  " up_sha256 = CASE WHEN $28 THEN $19 ELSE up_sha256 END,"
			  " up = CASE WHEN $28 THEN $15 ELSE up END,"
			  " down_author = CASE WHEN $27 THEN down_author WHEN $16 IS NOT NULL THEN $14 END,"
			  " down_registered_at = CASE WHEN $27 THEN down_registered_at"
			  "  WHEN $16 IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
			  " down_sha256 = CASE WHEN $16 IS NULL THEN down_sha256 ELSE $20 END,"
			  " down = coalesce($16, down)"
			  " WHERE project OPERATOR(pg_catalog.=) $23 AND id OPERATOR(pg_catalog.=) $25",
			  &params, SPI_OK_UPDATE);
	dbm_query_expect_one_row("migrate.migration");
	if (wanted->version_key)
		dbm_applied_learn_text(ext, wanted);
	dbm_applied_follow_checksum(ext, wanted, stored);
}

void
dbm_migrations_delete(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext, "DELETE FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1"
			  " AND m.id OPERATOR(pg_catalog.=) $2",
			  &params, SPI_OK_DELETE);
	dbm_query_expect_one_row("migrate.migration");
}

/* This server reads a script that was registered on another one. */
void
dbm_migrations_update_analysis(const DbmExtension *ext, const DbmMigration *migration, bool is_up,
							   const DbmScript *script)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, migration->id);
	dbm_param_int64(&params, script->ncommands);
	dbm_param_bool(&params, script->sets_role);
	if (is_up)
	{
		dbm_param_datum(&params, BYTEAOID, dbm_script_checksum(script, migration->up.online));
		dbm_param_int64(&params, DBM_SERVER_MAJOR);
	}
	dbm_query(ext,
			  is_up ?
			  "UPDATE migrate.migration SET unreadable = NULL, up_statements = $3::pg_catalog.int4,"
			  " up_sets_role = $4, checksum = $5, analyzed_on = $6::pg_catalog.int4"
			  " WHERE project OPERATOR(pg_catalog.=) $1 AND id OPERATOR(pg_catalog.=) $2" :
			  "UPDATE migrate.migration SET down_unreadable = NULL, down_sets_role = $4,"
			  " down_statements = CASE WHEN down_statements OPERATOR(pg_catalog.=) 0 THEN 0"
			  "  WHEN $3 OPERATOR(pg_catalog.<>) 0 THEN $3::pg_catalog.int4 END"
			  " WHERE project OPERATOR(pg_catalog.=) $1 AND id OPERATOR(pg_catalog.=) $2",
			  &params, SPI_OK_UPDATE);
	dbm_query_expect_one_row("migrate.migration");
}

static void
add_registration(DbmParams *params, const DbmExtension *ext, const DbmRegistration *wanted)
{
	const DbmScript *up = wanted->up_script;
	const DbmScript *down = wanted->down_script;

	dbm_param_text(params, wanted->version);
	dbm_param_datum(params, NUMERICARRAYOID, wanted->version_key);
	dbm_param_text(params, wanted->name);
	dbm_param_datum(params, TEXTARRAYOID, wanted->environments);
	dbm_param_bool(params, wanted->up_online);
	dbm_param_bool(params, wanted->down_online);
	dbm_param_int64(params, wanted->up ? up->ncommands : -1);
	dbm_param(params, INT8OID, Int64GetDatum(wanted->down_statements), wanted->down_statements < 0);
	dbm_param_datum(params, BYTEAOID, dbm_script_checksum(up, wanted->up_online));
	dbm_param_text(params, up->unreadable ? up->unreadable->message : NULL);
	dbm_param_text(params, down && down->unreadable ? down->unreadable->message : NULL);
	dbm_param_int64(params, DBM_SERVER_MAJOR);
	dbm_param_text(params, wanted->file_name);
	dbm_param_text(params, GetUserNameFromId(GetUserId(), false));
	dbm_param_datum(params, TEXTOID, wanted->up ? wanted->up : CStringGetTextDatum(""));
	dbm_param_datum(params, TEXTOID, wanted->down);
	dbm_param_text(params, wanted->id);
	dbm_param_datum(params, NUMERICARRAYOID, wanted->baseline_key);
	dbm_param_datum(params, BYTEAOID, wanted->up_sha256);
	dbm_param_datum(params, BYTEAOID, wanted->down_sha256);
	dbm_param_bool(params, up->sets_role);
	dbm_param_bool(params, down && down->sets_role);
	dbm_param_text(params, ext->project);
	dbm_param_int64(params, DBM_CHECKSUM_KIND);
}

static bool
same_bytes(Datum a, Datum b)
{
	return datumIsEqual(a, b, false, -1);
}

static bool
same_text(const char *stored, const char *wanted)
{
	return stored != NULL && strcmp(stored, wanted) == 0;
}

/* development, test */
char *
dbm_environments_text(Datum environments)
{
	return TextDatumGetCString(OidFunctionCall2Coll(F_ARRAY_TO_STRING_ANYARRAY_TEXT, C_COLLATION_OID,
													environments, CStringGetTextDatum(", ")));
}

static bool
same_environments(Datum stored, Datum wanted)
{
	if (wanted == 0)
		return true;
	if (ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(wanted)),
					   ARR_DIMS(DatumGetArrayTypeP(wanted))) == 0)
		return stored == 0;
	return stored != 0 &&
		strcmp(OidOutputFunctionCall(F_ARRAY_OUT, stored),
			   OidOutputFunctionCall(F_ARRAY_OUT, wanted)) == 0;
}
