/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements on our own tables: run as the extension's owner, so that a
 *	  user may run migrations without being able to edit the record of them.
 *
 * The memory context that is current at a call stays current and holds what
 * the call returns, although SPI has contexts of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/builtins.h"

#include "compat.h"
#include "dbmigrate.h"

/* Add a parameter of any type. */
void
dbm_param(DbmParams *params, Oid type, Datum value, bool isnull)
{
	Assert(params->n < lengthof(params->types));
	params->types[params->n] = type;
	params->values[params->n] = value;
	params->nulls[params->n] = isnull ? 'n' : ' ';
	params->n++;
}

void
dbm_param_text(DbmParams *params, const char *value)
{
	dbm_param(params, TEXTOID, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

void
dbm_param_int64(DbmParams *params, int64 value)
{
	dbm_param(params, INT8OID, Int64GetDatum(value), false);
}

void
dbm_param_bool(DbmParams *params, bool value)
{
	dbm_param(params, BOOLOID, BoolGetDatum(value), false);
}

/* 0 stands for NULL, so not for types passed by value */
void
dbm_param_datum(DbmParams *params, Oid type, Datum value)
{
	dbm_param(params, type, value, DatumGetPointer(value) == NULL);
}

/* Run a statement as the owner; its result is in SPI_tuptable. */
void
dbm_query(const DbmExtension *ext, const char *sql, DbmParams *params, int expected)
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
void
dbm_query_saved(const DbmExtension *ext, SPIPlanPtr *plan, const char *sql,
			  DbmParams *params, int expected)
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
void
dbm_query_expect_one_row(const char *table)
{
	if (SPI_processed != 1)
		elog(ERROR, "%d rows of %s were written instead of one", (int) SPI_processed, table);
}

bool
dbm_column_is_null(uint64 row, int column)
{
	bool		isnull;

	(void) SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	return isnull;
}

/* As text, in the current memory context; NULL for NULL. */
char *
dbm_column_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

/* For int4 and int8 columns. */
int64
dbm_column_int(uint64 row, int column, int64 if_null)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	if (isnull)
		return if_null;
	return SPI_gettypeid(SPI_tuptable->tupdesc, column) == INT8OID ?
		DatumGetInt64(value) : DatumGetInt32(value);
}

bool
dbm_column_bool(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	return !isnull && DatumGetBool(value);
}

/* A copy in the current memory context of a value by reference; 0 for NULL. */
Datum
dbm_column_datum(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
									  column, &isnull);

	return isnull ? (Datum) 0 : PointerGetDatum(PG_DETOAST_DATUM_COPY(value));
}
