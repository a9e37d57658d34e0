/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  The arguments that many functions have, and the rows that they return.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/tuplestore.h"

#include "base/base.h"

/* A text argument of a function, "" for NULL. */
char *
dbm_text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* The same, NULL for NULL. */
char *
dbm_optional_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* The same, error 22004 for NULL; "name" is what SQL calls the argument. */
char *
dbm_required_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	dbm_check_not_null(fcinfo, arg, name);
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

void
dbm_check_not_null(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
}

/* The reason that somebody has to give; error 22004 or 22023 if he gives none. */
const char *
dbm_reason_argument(FunctionCallInfo fcinfo, int arg)
{
	const char *reason = dbm_optional_argument(fcinfo, arg);

	if (reason == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("reason must not be null"),
				 errhint("Say why; it is kept in migrate.history.")));
	if (reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be empty"),
				 errhint("Say why; it is kept in migrate.history.")));
	return reason;
}

/* An argument of type text[] as SQL writes it, NULL for NULL. */
char *
dbm_array_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(arg));
}

/* Its elements, none for NULL; error 22004 if one is null. */
List *
dbm_array_elements(const char *array, const char *name)
{
	List	   *elements = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count = 0;

	if (array)
		deconstruct_array(DatumGetArrayTypeP(OidInputFunctionCall(F_ARRAY_IN, pstrdup(array), TEXTOID, -1)),
						  TEXTOID, -1, false, TYPALIGN_INT, &values, &nulls, &count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain a null", name)));
		elements = lappend(elements, TextDatumGetCString(values[i]));
	}
	return elements;
}

/* The next column of a row. */
void
dbm_row_add(DbmRow *row, Datum value, bool isnull)
{
	if (row->n == lengthof(row->values))
		elog(ERROR, "too many columns");
	row->values[row->n] = value;
	row->nulls[row->n++] = isnull;
}

/* The same, NULL for NULL. */
void
dbm_row_add_text(DbmRow *row, const char *value)
{
	dbm_row_add(row, value ? CStringGetTextDatum(value) : (Datum) 0, value == NULL);
}

/* The row is complete: it becomes one of the result of a set-returning function. */
void
dbm_row_put(DbmRow *row, ReturnSetInfo *result)
{
	if (row->n != result->setDesc->natts)
		elog(ERROR, "a result of %d columns gets %d", result->setDesc->natts, row->n);
	tuplestore_putvalues(result->setResult, result->setDesc, row->values, row->nulls);
}
