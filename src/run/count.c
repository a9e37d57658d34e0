/*-------------------------------------------------------------------------
 *
 * count.c
 *	  How many migrations a call is about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "nodes/primnodes.h"

#include "run/run.h"

static char *written_as_version(FunctionCallInfo fcinfo, int arg, const char *source);

/*
 * The argument "steps": a count of at least 1.  For NULL DBM_ALL_STEPS, or
 * error 22004 unless "null_is_all".
 *
 * Error 22023 for a number like 014, which somebody means as a version: "to"
 * is the call for that, up to the version in it.  That can be seen only where
 * "source", the text of the statement, is known, and has the number in it.
 */
int64
dbm_count_argument(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg, const char *source,
				   bool null_is_all, const char *to)
{
	char	   *version;

	if (PG_ARGISNULL(arg))
	{
		if (null_is_all)
			return DBM_ALL_STEPS;
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("steps must not be null"),
				 errhint("To roll back everything: %s'0'%s);", to, dbm_target_argument(ext, false))));
	}
	version = written_as_version(fcinfo, arg, source);
	if (version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps is a count, and %s looks like a version", version),
				 errhint("If version %s is meant: %s%s%s); otherwise leave its zeros out.", version, to,
						 dbm_literal(version), dbm_target_argument(ext, false))));
	if (PG_GETARG_INT32(arg) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps must be at least 1"),
				 null_is_all ?
				 errhint("Leave it out for all that is pending.") :
				 errhint("Leave it out for the one applied last.")));
	return PG_GETARG_INT32(arg);
}

/* The statement that calls a set-returning function, or NULL. */
const char *
dbm_count_source(FunctionCallInfo fcinfo)
{
	const ReturnSetInfo *result = (const ReturnSetInfo *) fcinfo->resultinfo;

	return result && result->econtext && result->econtext->ecxt_estate ?
		result->econtext->ecxt_estate->es_sourceText : NULL;
}

/*
 * The digits that stand for the argument in the statement, if they begin with
 * a zero.  The place that a constant remembers may be in another text, that of
 * a function that was inlined: so the number has to be the same.
 */
static char *
written_as_version(FunctionCallInfo fcinfo, int arg, const char *source)
{
	const FuncExpr *call = (const FuncExpr *) fcinfo->flinfo->fn_expr;
	const Const *constant;
	const char *digits;
	size_t		len;

	if (source == NULL || call == NULL || !IsA(call, FuncExpr) || list_length(call->args) <= arg)
		return NULL;
	constant = list_nth(call->args, arg);
	if (!IsA(constant, Const) || constant->location < 0 || constant->location >= strlen(source))
		return NULL;
	digits = source + constant->location;
	digits += *digits == '\'';
	len = strspn(digits, "0123456789");
	if (len < 2 || *digits != '0' || strtol(digits, NULL, 10) != PG_GETARG_INT32(arg))
		return NULL;
	return pnstrdup(digits, len);
}
