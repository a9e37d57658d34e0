/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What migrate.status() tells, for code that puts something else beside it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "utils/datum.h"

#include "tables/tables.h"

/* Columns of the query of dbm_status_all(). */
enum
{
	COL_ID = 1, COL_VERSION, COL_NAME, COL_STATE, COL_APPLIED_AT, COL_APPLIED_BY, COL_DURATION,
	COL_CAN_ROLLBACK, COL_BASELINE, COL_REGISTERED, COL_APPLIED, COL_FILE_NAME
};

static Datum value_column(uint64 row, int column, bool *isnull);

/* Every migration that a target schema knows, in order. */
DbmStatus *
dbm_status_all(const DbmExtension *ext, int *count)
{
	DbmParams	params = {0};
	DbmStatus  *all;

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT s.id, s.version, s.name, s.state, s.applied_at, s.applied_by, s.duration, s.can_rollback,"
			  " s.baseline, s.registered, s.position IS NOT NULL, s.file_name"
			  " FROM migrate.state($1, $2) s ORDER BY s.version_key NULLS LAST, s.name",
			  &params, SPI_OK_SELECT);
	*count = (int) SPI_processed;
	all = palloc_extended(Max(*count, 1) * sizeof(DbmStatus), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < *count; i++)
	{
		DbmStatus  *status = &all[i];

		status->id = dbm_column_string(i, COL_ID);
		status->version = dbm_column_string(i, COL_VERSION);
		status->name = dbm_column_string(i, COL_NAME);
		status->state = dbm_column_string(i, COL_STATE);
		status->applied_at = value_column(i, COL_APPLIED_AT, &status->no_time);
		status->applied_by = dbm_column_string(i, COL_APPLIED_BY);
		status->duration = value_column(i, COL_DURATION, &status->no_duration);
		if (!status->no_duration)
			status->duration = datumCopy(status->duration, false, sizeof(Interval));
		status->can_rollback = dbm_column_bool(i, COL_CAN_ROLLBACK);
		status->is_baseline = dbm_column_bool(i, COL_BASELINE);
		status->is_registered = dbm_column_bool(i, COL_REGISTERED);
		status->is_applied = dbm_column_bool(i, COL_APPLIED);
		status->file_name = dbm_column_string(i, COL_FILE_NAME);
	}
	SPI_freetuptable(SPI_tuptable);
	return all;
}

static Datum
value_column(uint64 row, int column, bool *isnull)
{
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}
