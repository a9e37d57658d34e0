/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Everything that runs as the extension's owner: statements on our own
 *	  tables, so that a user may run migrations without being able to edit
 *	  the record of them.
 *
 * The owner is a superuser and the session is somebody else's, so nothing
 * that the session can choose may have a say in what these statements mean:
 * its search_path and the other settings below are pinned while they run, and
 * it cannot make them wait for ever.  Behind that wall the statements still
 * spell every name and operator in full.
 *
 * The memory context that is current at a call stays current and holds what
 * the call returns, although SPI has contexts of its own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/base.h"

/* What enter() changes. */
typedef struct Caller
{
	DbmUser		user;
	int			guc_level;
	ErrorContextCallback context;
} Caller;

/* Settings that change the meaning of a statement, as ours are meant. */
static const char *const pinned[][2] = {
	{"search_path", "pg_catalog, pg_temp"},
	{"row_security", "off"},
	{"standard_conforming_strings", "on"},
	{"transform_null_equals", "off"},
	{"array_nulls", "on"}
};

static void enter(const DbmExtension *ext, Caller *caller);
static void leave(Caller *caller);
static void explain_wait(void *arg);
static SPIPlanPtr prepare(const char *sql, DbmParams *params);
pg_noreturn static void rethrow_without(const char *sql, MemoryContext context);

/* Add a parameter of any type. */
void
dbm_param(DbmParams *params, Oid type, Datum value, bool isnull)
{
	if (params->n >= lengthof(params->types))
		elog(ERROR, "a statement has more than %d parameters", (int) lengthof(params->types));
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

/*
 * Become the owner, with the settings that our statements are written for;
 * the server refuses SET ROLE until leave().  An error in between ends in the
 * abort of the (sub)transaction, which restores the user and the settings.
 */
static void
enter(const DbmExtension *ext, Caller *caller)
{
	GetUserIdAndSecContext(&caller->user.id, &caller->user.sec_context);
	SetUserIdAndSecContext(ext->owner, caller->user.sec_context | SECURITY_LOCAL_USERID_CHANGE);
	caller->guc_level = NewGUCNestLevel();
	for (int i = 0; i < lengthof(pinned); i++)
		if (strcmp(GetConfigOption(pinned[i][0], false, false), pinned[i][1]) != 0)
			dbm_pin(pinned[i][0], pinned[i][1]);

	/* a row, or a key, that another transaction holds: as long as for a run */
	if (LockTimeout == 0 || LockTimeout > dbm_lock_wait)
		dbm_pin("lock_timeout", psprintf("%d", Max(dbm_lock_wait, 1)));
	caller->context.callback = explain_wait;
	caller->context.arg = NULL;
	caller->context.previous = error_context_stack;
	error_context_stack = &caller->context;
}

static void
leave(Caller *caller)
{
	error_context_stack = caller->context.previous;
	AtEOXact_GUC(false, caller->guc_level);
	SetUserIdAndSecContext(caller->user.id, caller->user.sec_context);
}

/* The server says that a lock could not be had; say whose that probably is. */
static void
explain_wait(void *arg)
{
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("Another transaction holds what dbmigrate has to read or write for this.  Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';");
}

/*
 * Rethrow an error of a statement of ours without its text, which tells nobody
 * anything but us, and whose line SPI has put into the context in the server's
 * language.  What should not happen is told in full.
 */
pg_noreturn static void
rethrow_without(const char *sql, MemoryContext context)
{
	ErrorData  *edata;
	char	   *at;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	FlushErrorState();
	/* an error that has a place in it has the text instead of the line */
	if (edata->sqlerrcode != ERRCODE_INTERNAL_ERROR && edata->internalquery &&
		strcmp(edata->internalquery, sql) == 0)
	{
		edata->internalquery = NULL;
		edata->internalpos = 0;
	}
	if (edata->sqlerrcode != ERRCODE_INTERNAL_ERROR && edata->context &&
		(at = strstr(edata->context, sql)) != NULL)
	{
		char	   *rest = strchr(at + strlen(sql), '\n');

		while (at > edata->context && at[-1] != '\n')
			at--;
		if (rest)
			memmove(at, rest + 1, strlen(rest + 1) + 1);
		else
			at[at > edata->context ? -1 : 0] = '\0';
		if (edata->context[0] == '\0')
			edata->context = NULL;
	}
	ReThrowError(edata);
}

/* Run a statement as the owner; its result is in SPI_tuptable. */
void
dbm_query(const DbmExtension *ext, const char *sql, DbmParams *params, int expected)
{
	MemoryContext caller_context = CurrentMemoryContext;
	Caller		caller;
	int			result;

	enter(ext, &caller);
	PG_TRY();
	{
		result = SPI_execute_with_args(sql, params->n, params->types, params->values,
									   params->nulls, false, 0);
	}
	PG_CATCH();
	{
		rethrow_without(sql, caller_context);
	}
	PG_END_TRY();
	leave(&caller);
	MemoryContextSwitchTo(caller_context);
	if (result != expected)
		elog(ERROR, "SPI_execute_with_args returned %s", SPI_result_code_string(result));
}

/* A plan that stays. */
static SPIPlanPtr
prepare(const char *sql, DbmParams *params)
{
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, params->n, params->types,
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	return plan;
}

/* The same with a plan that is kept for the session. */
void
dbm_query_saved(const DbmExtension *ext, SPIPlanPtr *plan, const char *sql,
				DbmParams *params, int expected)
{
	MemoryContext caller_context = CurrentMemoryContext;
	Caller		caller;
	int			result;

	enter(ext, &caller);
	PG_TRY();
	{
		if (*plan == NULL)
			*plan = prepare(sql, params);
		result = SPI_execute_plan(*plan, params->values, params->nulls, false, 0);
	}
	PG_CATCH();
	{
		rethrow_without(sql, caller_context);
	}
	PG_END_TRY();
	leave(&caller);
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

/*
 * The same for a column of type text: quicker, as no output function is looked
 * for.
 */
char *
dbm_column_string(uint64 row, int column)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
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
