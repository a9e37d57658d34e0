/*-------------------------------------------------------------------------
 *
 * procedure.c
 *	  migrate.run() and its relatives: a transaction for each migration, online
 *	  ones included.
 *
 * What was committed stays.  The migration that fails is rolled back and
 * recorded, and is the error of the CALL; the next one goes on from there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "online/online.h"

static void begin_call(DbmCall *call, FunctionCallInfo fcinfo, const char *procedure, int project_arg);
static void check_direct(FunctionCallInfo fcinfo, const char *procedure);
static void check_caller(const char *what);
static void version_argument(DbmCall *call, FunctionCallInfo fcinfo);
static Datum finish_call(DbmCall *call, FunctionCallInfo fcinfo);
static bool is_nothing_to_do(DbmCall *call);
static void take_run_lock(DbmCall *call);
static List *choose(DbmCall *call);
static void run_chosen(DbmCall *call, List *chosen);
static void step(DbmCall *call, const DbmMigration *migration);
static void end_with_error(DbmCall *call, ErrorData *error);
static void end_unexpectedly(DbmCall *call);
static Datum result(DbmCall *call, FunctionCallInfo fcinfo);

PG_FUNCTION_INFO_V1(dbmigrate_run);
PG_FUNCTION_INFO_V1(dbmigrate_run_to);
PG_FUNCTION_INFO_V1(dbmigrate_run_rollback);
PG_FUNCTION_INFO_V1(dbmigrate_run_rollback_to);

/* SQL: CALL migrate.run(steps, schema, extra_search_path, project, ..., without) */
Datum
dbmigrate_run(PG_FUNCTION_ARGS)
{
	DbmCall		call = {.is_up = true};

	begin_call(&call, fcinfo, "run", 3);
	call.steps = dbm_count_argument(&call.run.ext, fcinfo, 0, ActivePortal->sourceText, true, "CALL migrate.run_to(");
	call.without = dbm_array_argument(fcinfo, 7);
	return finish_call(&call, fcinfo);
}

/* SQL: CALL migrate.run_to(target_version, schema, extra_search_path, project, ..., without) */
Datum
dbmigrate_run_to(PG_FUNCTION_ARGS)
{
	DbmCall		call = {.is_up = true, .steps = DBM_ALL_STEPS};

	begin_call(&call, fcinfo, "run_to", 3);
	version_argument(&call, fcinfo);
	call.without = dbm_array_argument(fcinfo, 7);
	return finish_call(&call, fcinfo);
}

/* SQL: CALL migrate.run_rollback(steps, schema, extra_search_path, confirm, project, ...) */
Datum
dbmigrate_run_rollback(PG_FUNCTION_ARGS)
{
	DbmCall		call = {.is_up = false};

	begin_call(&call, fcinfo, "run_rollback", 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	call.steps = dbm_count_argument(&call.run.ext, fcinfo, 0, ActivePortal->sourceText, false,
									"CALL migrate.run_rollback_to(");
	return finish_call(&call, fcinfo);
}

/* SQL: CALL migrate.run_rollback_to(target_version, schema, extra_search_path, confirm, project, ...) */
Datum
dbmigrate_run_rollback_to(PG_FUNCTION_ARGS)
{
	DbmCall		call = {.is_up = false, .steps = DBM_ALL_STEPS};

	begin_call(&call, fcinfo, "run_rollback_to", 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	version_argument(&call, fcinfo);
	/* exactly 0 is everything; 0000 may be the version of a migration */
	if (strcmp(call.version, "0") == 0)
		call.version = NULL;
	return finish_call(&call, fcinfo);
}

/* What all calls begin with; the arguments are kept where a commit leaves them. */
static void
begin_call(DbmCall *call, FunctionCallInfo fcinfo, const char *procedure, int project_arg)
{
	const char *what = psprintf("migrate.%s()", procedure);
	const char *schema;

	check_direct(fcinfo, procedure);
	/* and not amid a pipeline of the client's, which only the server knows of */
	PreventInTransactionBlock(true, psprintf("CALL migrate.%s()", procedure));
	check_caller(what);
	(void) dbm_environment();
	call->procedure = procedure;
	call->context = AllocSetContextCreate(PortalContext, "dbmigrate call", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(call->context);
	schema = dbm_text_argument(fcinfo, 1);
	call->run.search_path = dbm_target_search_path(schema, dbm_text_argument(fcinfo, 2));
	call->run.lock_timeout = dbm_lock_timeout;
	call->run.ext.target = schema;
	call->run.ext.project = dbm_text_argument(fcinfo, project_arg);
}

/*
 * Only a CALL that the client has sent, alone and outside of a transaction
 * block, may end the transaction it is in.  Error 25001 with the reason.
 */
static void
check_direct(FunctionCallInfo fcinfo, const char *procedure)
{
	const CallContext *context = (const CallContext *) fcinfo->context;
	const Node *statement = NULL;
	const char *hint;

	if (ActivePortal && list_length(ActivePortal->stmts) == 1)
		statement = linitial_node(PlannedStmt, ActivePortal->stmts)->utilityStmt;
	if (context && IsA(context, CallContext) && !context->atomic && !IsSubTransaction() &&
		statement && IsA(statement, CallStmt) &&
		((const CallStmt *) statement)->funcexpr->funcid == fcinfo->flinfo->fn_oid)
		return;
	if (statement && IsA(statement, CallStmt) &&
		((const CallStmt *) statement)->funcexpr->funcid == fcinfo->flinfo->fn_oid)
		hint = "Send it alone: outside a transaction block, with autocommit on, and without other statements in the same message.";
	else
		hint = "Send it as a statement of its own, not from a function, a procedure or DO.";
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("migrate.%s() commits as it goes, and cannot do so here", procedure),
			 errhint("%s", hint)));
}

/* The isolation of the CALL's own transaction does not matter: it is ended at once. */
static void
check_caller(const char *what)
{
	dbm_check_not_in_script(what);
	PreventCommandDuringRecovery(what);
	PreventCommandIfReadOnly(what);
}

static void
version_argument(DbmCall *call, FunctionCallInfo fcinfo)
{
	call->version = dbm_required_argument(fcinfo, 0, "target_version");
	call->key = PointerGetDatum(dbm_version_parse(call->version));
}

/* Here, or in a worker where this session cannot. */
static Datum
finish_call(DbmCall *call, FunctionCallInfo fcinfo)
{
	dbm_transaction_next();
	if (dbm_worker_is_wanted())
		dbm_worker_run(call);
	else
		dbm_call_run(call);
	return result(call, fcinfo);
}

/*
 * Choose, lock, choose again, and run one after the other; in a transaction
 * without anything in it, and there is one afterwards.
 */
void
dbm_call_run(DbmCall *call)
{
	List	   *chosen;

	if (!is_nothing_to_do(call))
	{
		take_run_lock(call);
		chosen = choose(call);
		run_chosen(call, chosen);
		if (chosen != NIL)
		{
			dbm_online_open(&call->run);
			dbm_runs_end(&call->run.ext, call->run.number, call->done, NULL);
			if (call->is_up && call->steps == DBM_ALL_STEPS)
				dbm_notice_skipped(&call->run.ext, call->key);
			dbm_online_close();
		}
		dbm_lock_release(&call->run.ext, DBM_LOCK_RUN);
	}
	dbm_online_open(&call->run);
	call->newest = dbm_state_newest(&call->run.ext);
	dbm_online_close();
}

/* Without the lock, so that this is cheap and hinders nobody. */
static bool
is_nothing_to_do(DbmCall *call)
{
	const DbmExtension *ext = &call->run.ext;
	DbmMigration *target = NULL;
	bool		nothing = false;

	dbm_online_open(&call->run);
	dbm_extension_use(&call->run.ext, ext->target, ext->project);
	dbm_extension_check_project(ext);
	dbm_lost_schema_refuse_lost(ext);
	if (call->is_up)
	{
		if (call->version)
		{
			target = dbm_state_find(ext, call->version);
			if (target == NULL)
				dbm_migration_missing(ext, call->version);
		}
		nothing = (call->without == NULL && dbm_state_all_applied(ext)) ||
			dbm_choose_pending(ext, call->steps, call->key, call->without, false, NULL) == NIL;
		if (nothing)
		{
			dbm_refuse_count(ext, call->steps, 0, "pending", "apply_to");
			dbm_notice_nothing(ext, target, call->key, call->version);
		}
	}
	dbm_online_close();
	return nothing;
}

/*
 * Wait for another run without a snapshot or anything else that somebody could
 * wait for.  Error 55P03 after dbmigrate.lock_wait.
 */
static void
take_run_lock(DbmCall *call)
{
	TimestampTz start = GetCurrentTimestamp();
	DbmWaitText text;
	bool		told = false;

	while (!dbm_lock_take(&call->run.ext, DBM_LOCK_RUN))
	{
		bool		is_over = TimestampDifferenceExceeds(start, GetCurrentTimestamp(), dbm_lock_wait);

		if (is_over || !told)
		{
			dbm_online_open(&call->run);
			dbm_lock_describe(&call->run.ext, &text);
			dbm_online_close();
			if (is_over)
				dbm_wait_give_up(&text);
			if (dbm_progress)
				dbm_wait_notice(&text);
		}
		told = true;
		dbm_transaction_next();
		dbm_wait_a_moment();
	}
}

/* What is to be run; it stays so while the lock is held. */
static List *
choose(DbmCall *call)
{
	DbmRun	   *run = &call->run;
	List	   *chosen;

	dbm_online_open(run);
	if (call->is_up)
	{
		chosen = dbm_choose_pending(&run->ext, call->steps, call->key, call->without, true, NULL);
		dbm_refuse_count(&run->ext, call->steps, list_length(chosen), "pending", "apply_to");
		if (chosen != NIL)
			dbm_refuse_unmanaged(&run->ext);
	}
	else
		chosen = dbm_choose_applied(&run->ext, call->steps, call->version, call->key, NULL);
	if (chosen != NIL)
	{
		dbm_run_begin(run);
		dbm_runs_begin(&run->ext, run->number, call->procedure);
		run->is_alone = true;	/* each has its own transaction */
	}
	dbm_online_close();
	return chosen;
}

/* One after the other; whatever ends it is recorded. */
static void
run_chosen(DbmCall *call, List *chosen)
{
	PG_TRY();
	{
		for (int i = 0; i < list_length(chosen); i++)
		{
			dbm_activity_migration(call->run.number, call->run.ext.project, i + 1, list_length(chosen));
			step(call, list_nth(chosen, i));
		}
	}
	PG_CATCH();
	{
		if (!call->is_recorded)
			end_unexpectedly(call);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* One migration, and what is told about it. */
static void
step(DbmCall *call, const DbmMigration *migration)
{
	MemoryContext context = AllocSetContextCreate(call->context, "dbmigrate step", ALLOCSET_DEFAULT_SIZES);
	const DbmScriptInfo *info = call->is_up ? &migration->up : &migration->down;
	DbmLabel	label = {DBM_MIGRATION_REF(migration), migration->name, call->is_up};
	DbmExecution execution;
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	MemoryContextSwitchTo(context);
	if (info->online || dbm_migration_is_half_done(migration))
		error = dbm_online_run(&call->run, migration, call->is_up, &execution);
	else
		error = dbm_atomic_run(&call->run, migration, call->is_up, &execution);
	if (error)
		end_with_error(call, error);
	call->done++;
	if (dbm_progress)
		dbm_progress_notice(migration, call->is_up);
	if (call->is_up && execution.statements == 0)
		ereport(NOTICE,
				(errmsg("%s contains no statement, nothing was run", dbm_label_text(&label)),
				 errhidecontext(true)));
	MemoryContextSwitchTo(call->context);
	MemoryContextDelete(context);
}

/* It is recorded already; raise it. */
static void
end_with_error(DbmCall *call, ErrorData *error)
{
	dbm_online_open(&call->run);
	dbm_runs_end(&call->run.ext, call->run.number, call->done, error);
	dbm_online_close();
	call->is_recorded = true;
	if (error->hint == NULL)
		error->hint = call->done == 0 ? pstrdup("Nothing was changed by it; mend the cause, and call it again.") :
			psprintf(ngettext("%d migration before it is committed; mend the cause, and call it again.",
							  "%d migrations before it are committed; mend the cause, and call it again.",
							  (unsigned long) call->done), (int) call->done);
	ReThrowError(error);
}

/*
 * Between two migrations, in a pause, or where our own bookkeeping has failed.
 * The error stays what it is, whether or not it can be recorded.
 */
static void
end_unexpectedly(DbmCall *call)
{
	ErrorData  *error;

	MemoryContextSwitchTo(call->context);
	error = CopyErrorData();
	FlushErrorState();
	dbm_transaction_abort();
	dbm_transaction_start();
	PG_TRY();
	{
		dbm_online_open(&call->run);
		dbm_runs_end(&call->run.ext, call->run.number, call->done, error);
		dbm_online_close();
	}
	PG_CATCH();
	{
		FlushErrorState();
	}
	PG_END_TRY();
	call->is_recorded = true;
	ReThrowError(error);
}

/* How many were run, the newest version applied now, the number of the run. */
static Datum
result(DbmCall *call, FunctionCallInfo fcinfo)
{
	TupleDesc	desc;
	Datum		values[3];
	bool		nulls[3] = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Int64GetDatum(call->done);
	nulls[1] = call->newest == NULL;
	values[1] = call->newest ? CStringGetTextDatum(call->newest) : (Datum) 0;
	nulls[2] = call->run.number == 0;
	values[2] = Int64GetDatum(call->run.number);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}
