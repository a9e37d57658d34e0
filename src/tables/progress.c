/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  The rows of migrate.progress: online migrations that are begun and not
 *	  finished.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"

#include "tables/tables.h"

/* Columns of the query of dbm_halfway_find(). */
enum
{
	COL_IS_UP = 1, COL_FINISHED, COL_SHA256, COL_STARTED, COL_STATEMENT, COL_INDEXES, COL_COMMITTED, COL_FAILED
};

#define THIS_ONE \
	" WHERE target_schema OPERATOR(pg_catalog.=) $1 AND project OPERATOR(pg_catalog.=) $2" \
	" AND id OPERATOR(pg_catalog.=) $3"

#define NOTHING_STARTED " started = NULL, statement = NULL, indexes = NULL, committed = false"

static void add_key(DbmParams *params, const DbmExtension *ext, const char *id);
static void update(const DbmExtension *ext, DbmParams *params, const char *set);

PG_FUNCTION_INFO_V1(dbmigrate_is_online_run_active);

/* SQL: migrate.is_online_run_active() returns boolean */
Datum
dbmigrate_is_online_run_active(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	bool		is_active;

	dbm_extension_open(&ext);
	is_active = dbm_lock_is_held(&ext, DBM_LOCK_ONLINE);
	dbm_extension_close();
	PG_RETURN_BOOL(is_active);
}

/* How far it has come; NULL if it is not begun. */
DbmHalfway *
dbm_halfway_find(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};
	DbmHalfway *halfway;

	add_key(&params, ext, id);
	dbm_query(ext,
			  "SELECT direction OPERATOR(pg_catalog.=) 'up', finished, finished_sha256, started, statement, indexes, committed,"
			  " sqlstate IS NOT NULL FROM migrate.progress" THIS_ONE,
			  &params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return NULL;
	halfway = palloc0(sizeof(DbmHalfway));
	halfway->is_up = dbm_column_bool(0, COL_IS_UP);
	halfway->finished = dbm_column_int(0, COL_FINISHED, 0);
	halfway->finished_sha256 = dbm_column_datum(0, COL_SHA256);
	halfway->started = dbm_column_int(0, COL_STARTED, 0);
	halfway->statement = dbm_column_text(0, COL_STATEMENT);
	halfway->indexes = dbm_column_datum(0, COL_INDEXES);
	halfway->has_committed = dbm_column_bool(0, COL_COMMITTED);
	halfway->has_failed = dbm_column_bool(0, COL_FAILED);
	SPI_freetuptable(SPI_tuptable);
	return halfway;
}

/* It is going to be run, or to go on; "statements" are those of its script. */
void
dbm_halfway_begin(const DbmExtension *ext, const char *id, bool is_up, int statements, int64 run)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_param_text(&params, is_up ? "up" : "down");
	dbm_param_int64(&params, statements);
	dbm_param_int64(&params, run);
	dbm_query(ext,
			  "INSERT INTO migrate.progress (target_schema, project, id, direction, statements, run)"
			  " VALUES ($1, $2, $3, $4, $5::pg_catalog.int4, $6)"
			  " ON CONFLICT ON CONSTRAINT progress_pkey DO UPDATE SET statements = excluded.statements,"
			  " run = excluded.run, changed_at = excluded.changed_at, sqlstate = NULL, message = NULL",
			  &params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.progress");
}

/*
 * Is a migration half done in some target schema?  Which, and in which
 * direction; NULL if not.
 */
char *
dbm_halfway_anywhere(const DbmExtension *ext, const char *id, bool *is_up)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext,
			  "SELECT target_schema, direction OPERATOR(pg_catalog.=) 'up' FROM migrate.progress"
			  " WHERE project OPERATOR(pg_catalog.=) $1 AND id OPERATOR(pg_catalog.=) $2"
			  " ORDER BY target_schema LIMIT 1",
			  &params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return NULL;
	*is_up = dbm_column_bool(0, 2);
	return dbm_column_text(0, 1);
}

/* A statement (from 1) of this text begins that commits amid its work. */
void
dbm_halfway_started(const DbmExtension *ext, const char *id, int statement, const char *text, Datum indexes)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_param_int64(&params, statement);
	dbm_param_text(&params, text);
	dbm_param_datum(&params, TEXTARRAYOID, indexes);
	update(ext, &params, "started = $4::pg_catalog.int4, statement = $5, indexes = $6, committed = false");
}

/* Everything up to a statement is done; "sha256" is that of the text so far. */
void
dbm_halfway_finished(const DbmExtension *ext, const char *id, int statement, Datum sha256)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_param_int64(&params, statement);
	dbm_param_datum(&params, BYTEAOID, sha256);
	update(ext, &params,
		   "finished = $4::pg_catalog.int4, finished_sha256 = $5," NOTHING_STARTED);
}

/* Somebody says of the statement that was begun whether it was done. */
void
dbm_halfway_undecided(const DbmExtension *ext, const char *id, bool was_done, Datum sha256)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_param_bool(&params, was_done);
	dbm_param_datum(&params, BYTEAOID, sha256);
	update(ext, &params,
		   "finished = CASE WHEN $4 THEN started ELSE finished END,"
		   " finished_sha256 = CASE WHEN $4 THEN $5 ELSE finished_sha256 END," NOTHING_STARTED ","
		   " sqlstate = NULL, message = NULL");
}

/* How it failed; "nothing_done" is that the statement begun last has done nothing. */
void
dbm_halfway_failed(const DbmExtension *ext, const char *id, const ErrorData *error, bool nothing_done)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_param_text(&params, unpack_sql_state(error->sqlerrcode));
	dbm_param_text(&params, error->message);
	update(ext, &params,
		   nothing_done ? "sqlstate = $4, message = $5," NOTHING_STARTED : "sqlstate = $4, message = $5");
}

/* It is finished, or given up. */
void
dbm_halfway_end(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};

	add_key(&params, ext, id);
	dbm_query(ext, "DELETE FROM migrate.progress" THIS_ONE, &params, SPI_OK_DELETE);
}

/* All of a target schema are given up.  Were there any? */
bool
dbm_halfway_forget(const DbmExtension *ext)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_query(ext, "DELETE FROM migrate.progress WHERE target_schema OPERATOR(pg_catalog.=) $1",
			  &params, SPI_OK_DELETE);
	return SPI_processed > 0;
}

static void
update(const DbmExtension *ext, DbmParams *params, const char *set)
{
	dbm_query(ext,
			  psprintf("UPDATE migrate.progress SET %s, changed_at = pg_catalog.clock_timestamp()" THIS_ONE, set),
			  params, SPI_OK_UPDATE);
	dbm_query_expect_one_row("migrate.progress");
}

static void
add_key(DbmParams *params, const DbmExtension *ext, const char *id)
{
	dbm_param_text(params, ext->target);
	dbm_param_text(params, ext->project);
	dbm_param_text(params, id);
}
