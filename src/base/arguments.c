/*-------------------------------------------------------------------------
 *
 * arguments.c
 *	  The arguments that many functions have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/base.h"

/* A text argument of a function, "" for NULL. */
char *
dbm_text_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? pstrdup("") : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* The reason somebody gave; 22004 or 22023 if there is none. */
const char *
dbm_reason(const char *reason)
{
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
