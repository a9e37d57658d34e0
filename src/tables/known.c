/*-------------------------------------------------------------------------
 *
 * known.c
 *	  What our tables say of migrations that another tool may have applied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"

#include "tables/tables.h"

/* Columns of the query of dbm_known_all(). */
enum
{
	COL_ID = 1, COL_VERSION, COL_VERSION_KEY, COL_NAME, COL_STATE, COL_APPLIED, COL_REGISTERED,
	COL_CHECKSUM, COL_UP_SHA256, COL_FILE_NAME, COL_APPLIED_AT, COL_APPLIED_BY, COL_ADOPTED_FROM
};

static DbmKnown *fetch_known(uint64 row);
static const TimestampTz *time_column(uint64 row, int column);

/* All that is known about a target schema, in version order. */
List *
dbm_known_all(const DbmExtension *ext)
{
	DbmParams	params = {0};
	List	   *known = NIL;

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT s.id, s.version, s.version_key, s.name, s.state, s.position IS NOT NULL, s.registered,"
			  " CASE WHEN s.up_statements OPERATOR(pg_catalog.>=) 0 THEN s.checksum END, s.up_sha256, s.file_name,"
			  " s.applied_at, s.applied_by, h.reason"
			  " FROM migrate.state($1, $2) s"
			  " LEFT JOIN migrate.history h ON h.id OPERATOR(pg_catalog.=) s.position"
			  "  AND h.action OPERATOR(pg_catalog.=) 'adopt'"
			  " ORDER BY s.version_key NULLS LAST, s.name",
			  &params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
		known = lappend(known, fetch_known(row));
	SPI_freetuptable(SPI_tuptable);
	return known;
}

/*
 * Of all that put a migration into force here, or took it out: was the last
 * that it was undone?  Those, with id and version, and the time of that.
 */
List *
dbm_known_undone(const DbmExtension *ext)
{
	DbmParams	params = {0};
	List	   *undone = NIL;

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT l.migration, l.version, l.at FROM"
			  " (SELECT DISTINCT ON (h.migration) h.migration, h.version, h.at, h.action"
			  "  FROM migrate.history h WHERE h.target_schema OPERATOR(pg_catalog.=) $1"
			  "  AND h.project OPERATOR(pg_catalog.=) $2 AND h.migration IS NOT NULL"
			  "  AND h.action OPERATOR(pg_catalog.=) ANY (ARRAY['apply', 'baseline', 'mark_applied', 'adopt',"
			  "   'forget', 'rollback', 'mark_pending'])"
			  "  ORDER BY h.migration, h.id DESC) l"
			  " WHERE l.action OPERATOR(pg_catalog.=) ANY (ARRAY['rollback', 'mark_pending'])",
			  &params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		DbmKnown   *one = palloc0(sizeof(DbmKnown));

		one->migration.id = dbm_column_text(row, 1);
		one->migration.version = dbm_column_text(row, 2);
		one->applied_at = time_column(row, 3);
		undone = lappend(undone, one);
	}
	SPI_freetuptable(SPI_tuptable);
	return undone;
}

/*
 * Is something in force elsewhere that was adopted with this reason, which
 * names the table?  Then ext->target and ext->project say where.
 */
bool
dbm_known_adopted_elsewhere(DbmExtension *ext, const char *reason)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, reason);
	dbm_query(ext,
			  "SELECT a.target_schema, a.project FROM migrate.history h"
			  " JOIN migrate.applied a ON a.target_schema OPERATOR(pg_catalog.=) h.target_schema"
			  "  AND a.position OPERATOR(pg_catalog.=) h.id"
			  " WHERE h.action OPERATOR(pg_catalog.=) 'adopt' AND h.reason OPERATOR(pg_catalog.=) $3"
			  " AND NOT (a.target_schema OPERATOR(pg_catalog.=) $1 AND a.project OPERATOR(pg_catalog.=) $2)"
			  " ORDER BY a.target_schema, a.project LIMIT 1",
			  &params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return false;
	ext->target = dbm_column_text(0, 1);
	ext->project = dbm_column_text(0, 2);
	return true;
}

static DbmKnown *
fetch_known(uint64 row)
{
	DbmKnown   *known = palloc0(sizeof(DbmKnown));
	DbmMigration *migration = &known->migration;

	migration->id = dbm_column_text(row, COL_ID);
	migration->version = dbm_column_text(row, COL_VERSION);
	migration->version_key = dbm_column_datum(row, COL_VERSION_KEY);
	migration->name = dbm_column_text(row, COL_NAME);
	migration->state = dbm_state_by_name(dbm_column_text(row, COL_STATE));
	migration->is_applied = dbm_column_bool(row, COL_APPLIED);
	migration->is_registered = dbm_column_bool(row, COL_REGISTERED);
	migration->is_baseline = strncmp(migration->id, "B__", 3) == 0;
	migration->checksum = dbm_column_datum(row, COL_CHECKSUM);
	migration->up.sha256 = dbm_column_datum(row, COL_UP_SHA256);
	known->file_name = dbm_column_text(row, COL_FILE_NAME);
	known->applied_at = time_column(row, COL_APPLIED_AT);
	known->applied_by = dbm_column_text(row, COL_APPLIED_BY);
	known->adopted_from = dbm_column_text(row, COL_ADOPTED_FROM);
	return known;
}

static const TimestampTz *
time_column(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	TimestampTz *result;

	if (isnull)
		return NULL;
	result = palloc(sizeof(TimestampTz));
	*result = DatumGetTimestampTz(datum);
	return result;
}
