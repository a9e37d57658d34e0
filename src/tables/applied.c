/*-------------------------------------------------------------------------
 *
 * applied.c
 *	  What happened: migrate.history, and with it what is in force,
 *	  migrate.applied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/timestamp.h"

#include "tables/tables.h"

/* the parameters of the values are those of add_record() */
#define HISTORY_COLUMNS \
	"run, action, target_schema, migration, version, name," \
	" statements, rows, wal_bytes, duration, checksum, session_username, username, reason, search_path," \
	" project, checksum_kind, application_name, client_addr, transaction_id"

#define HISTORY_VALUES \
	"$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17::pg_catalog.int2," \
	" pg_catalog.current_setting('application_name'), pg_catalog.inet_client_addr()," \
	" pg_catalog.pg_current_xact_id()"

#define INSERT_HISTORY \
	"INSERT INTO migrate.history (" HISTORY_COLUMNS ") VALUES (" HISTORY_VALUES ")"

static SPIPlanPtr plan_applied = NULL;
static SPIPlanPtr plan_adopted = NULL;
static SPIPlanPtr plan_undone = NULL;

static void forget_applied(const DbmExtension *ext, const DbmHistoryEntry *record);
static void add_record(DbmParams *params, const DbmExtension *ext, const DbmHistoryEntry *record);

/* The number of a new run. */
int64
dbm_history_next_run(const DbmExtension *ext)
{
	DbmParams	params = {0};

	dbm_query(ext, "SELECT pg_catalog.nextval('migrate.run_seq')", &params, SPI_OK_SELECT);
	return dbm_column_int(0, 1, 0);
}

/* A history row alone. */
void
dbm_history_add(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};

	add_record(&params, ext, record);
	dbm_query(ext, INSERT_HISTORY, &params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.history");
}

/*
 * A history row for what has failed, and how.  "execution" says where, if it
 * came so far.
 */
void
dbm_history_add_failure(const DbmExtension *ext, const DbmHistoryEntry *record,
						const ErrorData *error, const DbmExecution *execution)
{
	DbmParams	params = {0};
	bool		has_place = execution && execution->failed_statement > 0;

	add_record(&params, ext, record);
	dbm_param_text(&params, unpack_sql_state(error->sqlerrcode));
	dbm_param_text(&params, error->message);
	dbm_param(&params, INT4OID, Int32GetDatum(has_place ? execution->failed_statement : 0), !has_place);
	dbm_param(&params, INT4OID, Int32GetDatum(has_place ? execution->failed_line : 0), !has_place);
	dbm_query(ext,
			  "INSERT INTO migrate.history (" HISTORY_COLUMNS
			  ", sqlstate, message, failed_statement, failed_line)"
			  " VALUES (" HISTORY_VALUES ", $18, $19, $20, $21)",
			  &params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.history");
}

/*
 * A history row, and with its number as position a row of migrate.applied,
 * which takes the place of the one a repeatable migration has from last time.
 */
void
dbm_applied_add(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};

	if (record->migration->is_applied && record->migration->version_key == 0)
		forget_applied(ext, record);
	add_record(&params, ext, record);
	dbm_param_datum(&params, NUMERICARRAYOID, record->migration->version_key);
	dbm_param_bool(&params, record->baseline);
	dbm_query_saved(ext, &plan_applied,
					"WITH h AS (" INSERT_HISTORY " RETURNING id, at)"
					" INSERT INTO migrate.applied (target_schema, project, id, position, version, version_key, name,"
					" checksum, checksum_kind, applied_at, applied_by, duration, run, baseline, statements)"
					" SELECT $3, $16, $4, h.id, $5, $18, $6, $11, $17::pg_catalog.int2, h.at, $13, $10, $1, $19,"
					" coalesce($7, 0)::pg_catalog.int4 FROM h",
					&params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.applied");
}

/* The same for what another tool applied, when and by whom it says. */
void
dbm_applied_adopt(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};

	add_record(&params, ext, record);
	dbm_param_datum(&params, NUMERICARRAYOID, record->migration->version_key);
	dbm_param_bool(&params, record->baseline);
	dbm_param(&params, TIMESTAMPTZOID, TimestampTzGetDatum(record->applied_at ? *record->applied_at : 0),
			  record->applied_at == NULL);
	dbm_param_text(&params, record->applied_by);
	dbm_query_saved(ext, &plan_adopted,
					"WITH h AS (" INSERT_HISTORY " RETURNING id, at)"
					" INSERT INTO migrate.applied (target_schema, project, id, position, version, version_key, name,"
					" checksum, checksum_kind, applied_at, applied_by, run, baseline)"
					" SELECT $3, $16, $4, h.id, $5, $18, $6, $11, $17::pg_catalog.int2,"
					" coalesce($20, h.at), coalesce($21, $13), $1, $19 FROM h",
					&params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.applied");
}

/* A history row, and the row of migrate.applied goes. */
void
dbm_applied_remove(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};

	add_record(&params, ext, record);
	dbm_query_saved(ext, &plan_undone,
					"WITH h AS (" INSERT_HISTORY ")"
					" DELETE FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $3"
					" AND a.project OPERATOR(pg_catalog.=) $16 AND a.id OPERATOR(pg_catalog.=) $4",
					&params, SPI_OK_DELETE);
	dbm_query_expect_one_row("migrate.applied");
}

/*
 * Versions were rolled back, and what repeatable migrations made may have gone
 * with them: they are run again next time.
 */
void
dbm_applied_to_repeat(const DbmExtension *ext)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "UPDATE migrate.applied SET checksum = NULL, checksum_kind = NULL"
			  " WHERE target_schema OPERATOR(pg_catalog.=) $1 AND project OPERATOR(pg_catalog.=) $2"
			  " AND version_key IS NULL",
			  &params, SPI_OK_UPDATE);
}

/*
 * All rows of migrate.applied of a target schema go, and each leaves a history
 * row.  Returns how many; what the record says of a migration is not used.
 */
int64
dbm_applied_forget(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};
	int64		count;

	dbm_param_text(&params, ext->target);
	dbm_query(ext,
			  "SELECT pg_catalog.count(*) FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1",
			  &params, SPI_OK_SELECT);
	count = dbm_column_int(0, 1, 0);
	if (count == 0)
		return 0;

	dbm_param_int64(&params, record->run);
	dbm_param_text(&params, record->action);
	dbm_param_text(&params, GetUserNameFromId(GetSessionUserId(), false));
	dbm_param_text(&params, GetUserNameFromId(GetUserId(), false));
	dbm_param_text(&params, record->reason);
	dbm_query(ext,
			  "WITH gone AS (DELETE FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			  "  RETURNING a.position, a.project, a.id, a.version, a.name, a.checksum, a.checksum_kind)"
			  " INSERT INTO migrate.history (run, action, target_schema, project, migration, version, name, checksum, checksum_kind,"
			  " session_username, username, reason, application_name, client_addr, transaction_id)"
			  " SELECT $2, $3, $1, g.project, g.id, g.version, g.name, g.checksum, g.checksum_kind, $4, $5, $6,"
			  " pg_catalog.current_setting('application_name'), pg_catalog.inet_client_addr(),"
			  " pg_catalog.pg_current_xact_id()"
			  " FROM gone g ORDER BY g.position DESC",
			  &params, SPI_OK_INSERT);
	if (SPI_processed != count)
		elog(ERROR, "%d rows of migrate.history were written instead of %d",
			 (int) SPI_processed, (int) count);
	return count;
}

static void
forget_applied(const DbmExtension *ext, const DbmHistoryEntry *record)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, record->migration->id);
	dbm_query(ext,
			  "DELETE FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			  " AND a.project OPERATOR(pg_catalog.=) $2 AND a.id OPERATOR(pg_catalog.=) $3",
			  &params, SPI_OK_DELETE);
	dbm_query_expect_one_row("migrate.applied");
}

/* The parameters of INSERT_HISTORY. */
static void
add_record(DbmParams *params, const DbmExtension *ext, const DbmHistoryEntry *record)
{
	const DbmMigration *migration = record->migration;
	const DbmExecution *execution = record->execution;

	dbm_param_int64(params, record->run);
	dbm_param_text(params, record->action);
	dbm_param_text(params, ext->target);
	dbm_param_text(params, migration->id);
	dbm_param_text(params, migration->version);
	dbm_param_text(params, migration->name);
	dbm_param(params, INT8OID, Int64GetDatum(execution ? execution->statements : 0), !execution);
	dbm_param(params, INT8OID, Int64GetDatum(execution ? execution->rows : 0), !execution);
	dbm_param(params, INT8OID, Int64GetDatum(execution ? execution->wal_bytes : 0), !execution);
	dbm_param_datum(params, INTERVALOID, execution ? dbm_interval(execution->duration) : (Datum) 0);
	dbm_param_datum(params, BYTEAOID, migration->checksum);
	dbm_param_text(params, GetUserNameFromId(GetSessionUserId(), false));
	dbm_param_text(params, GetUserNameFromId(GetUserId(), false));
	dbm_param_text(params, record->reason);
	dbm_param_datum(params, TEXTARRAYOID, execution ? execution->search_path : (Datum) 0);
	dbm_param_text(params, ext->project);
	dbm_param(params, INT4OID, Int32GetDatum(DBM_CHECKSUM_KIND), migration->checksum == 0);
}

/* An interval of so many microseconds. */
Datum
dbm_interval(int64 microseconds)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = microseconds;
	return IntervalPGetDatum(interval);
}
