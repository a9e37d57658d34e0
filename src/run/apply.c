/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Apply, roll back, redo: in the caller's transaction, with a row for each
 *	  migration.
 *
 * The choice is made twice: without the lock, to find out cheaply that
 * nothing is pending, and again under it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "run/run.h"

/* One call of a function. */
typedef struct Call
{
	DbmRun		run;
	ReturnSetInfo *result;
	MemoryContext context;		/* of one step */
	bool		may_try_again;	/* nothing has happened in the transaction */
	int			steps;			/* how many there will be */
	int			begun;
} Call;

static void begin_call(Call *call, const char *what, FunctionCallInfo fcinfo, int project_arg);
static bool is_nothing_done(void);
static int64 steps_argument(FunctionCallInfo fcinfo, int arg, bool null_is_all);
static const char *procedure_call(const DbmExtension *ext, const char *procedure, int64 steps,
								  const char *version, const char *without);
static Datum version_argument(FunctionCallInfo fcinfo, int arg, const char **version);
static void apply_pending(Call *call, int64 steps, Datum up_to, const char *version,
						  const char *without);
static void roll_back(Call *call, int64 steps, const char *version, Datum key);
static void roll_back_list(Call *call, List *chosen);
static void step(Call *call, const DbmMigration *migration, bool is_up);
static void run_patiently(DbmRun *run, const DbmMigration *migration, DbmExecution *execution);
static int	lock_timeout(void);
static void put_result(ReturnSetInfo *result, const DbmMigration *migration, const char *action,
					   const DbmExecution *execution);

PG_FUNCTION_INFO_V1(dbmigrate_apply);
PG_FUNCTION_INFO_V1(dbmigrate_apply_to);
PG_FUNCTION_INFO_V1(dbmigrate_rollback);
PG_FUNCTION_INFO_V1(dbmigrate_rollback_to);
PG_FUNCTION_INFO_V1(dbmigrate_redo);

/* SQL: migrate.apply(steps, schema, extra_search_path, project, without) */
Datum
dbmigrate_apply(PG_FUNCTION_ARGS)
{
	Call		call;

	begin_call(&call, "migrate.apply()", fcinfo, 3);
	apply_pending(&call, steps_argument(fcinfo, 0, true), (Datum) 0, NULL, dbm_array_argument(fcinfo, 4));
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.apply_to(target_version, schema, extra_search_path, project, without) */
Datum
dbmigrate_apply_to(PG_FUNCTION_ARGS)
{
	Call		call;
	const char *version;
	Datum		up_to;

	begin_call(&call, "migrate.apply_to()", fcinfo, 3);
	up_to = version_argument(fcinfo, 0, &version);
	apply_pending(&call, DBM_ALL_STEPS, up_to, version, dbm_array_argument(fcinfo, 4));
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.rollback(steps, schema, extra_search_path, confirm, project) */
Datum
dbmigrate_rollback(PG_FUNCTION_ARGS)
{
	Call		call;

	begin_call(&call, "migrate.rollback()", fcinfo, 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	roll_back(&call, steps_argument(fcinfo, 0, false), NULL, (Datum) 0);
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.rollback_to(target_version, schema, extra_search_path, confirm, project) */
Datum
dbmigrate_rollback_to(PG_FUNCTION_ARGS)
{
	Call		call;
	const char *version;
	Datum		key;

	begin_call(&call, "migrate.rollback_to()", fcinfo, 4);
	key = version_argument(fcinfo, 0, &version);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	/* exactly 0 is everything; 0000 may be the version of a migration */
	roll_back(&call, DBM_ALL_STEPS, strcmp(version, "0") == 0 ? NULL : version, key);
	dbm_extension_close();
	return (Datum) 0;
}

/*
 * SQL: migrate.redo(steps, schema, extra_search_path, confirm, project)
 *
 * Repeatable migrations that were up to date are so afterwards.
 */
Datum
dbmigrate_redo(PG_FUNCTION_ARGS)
{
	const char *instead;
	int64		steps;
	Call		call;
	List	   *chosen;
	ListCell   *lc;

	begin_call(&call, "migrate.redo()", fcinfo, 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	steps = steps_argument(fcinfo, 0, false);
	instead = psprintf("%s %s", procedure_call(&call.run.ext, "run_rollback", steps, NULL, NULL),
					   procedure_call(&call.run.ext, "run", DBM_ALL_STEPS, NULL, NULL));
	chosen = dbm_choose_applied(&call.run.ext, steps, NULL, (Datum) 0, instead);
	if (chosen != NIL)
	{
		List	   *repeatables = dbm_state_repeatables(&call.run.ext);

		dbm_refuse_elsewhere(&call.run.ext, list_concat_copy(chosen, repeatables), list_length(chosen));
		dbm_refuse_scripts(&call.run.ext, chosen, true, instead);
		dbm_refuse_scripts(&call.run.ext, repeatables, true, instead);
		dbm_run_begin(&call.run);
		call.steps = 2 * list_length(chosen) + list_length(repeatables);
		roll_back_list(&call, chosen);
		for (int i = list_length(chosen) - 1; i >= 0; i--)
			step(&call, list_nth(chosen, i), true);
		foreach(lc, repeatables)
			step(&call, lfirst(lc), true);
		dbm_run_end(&call.run);
	}
	dbm_extension_close();
	return (Datum) 0;
}

/* What all calls begin with. */
static void
begin_call(Call *call, const char *what, FunctionCallInfo fcinfo, int project_arg)
{
	DbmRun	   *run = &call->run;
	const char *schema;

	memset(call, 0, sizeof(Call));
	call->may_try_again = is_nothing_done();
	dbm_check_caller(what);
	(void) dbm_environment();	/* an error here is not one of a query of ours */
	InitMaterializedSRF(fcinfo, 0);
	call->result = (ReturnSetInfo *) fcinfo->resultinfo;
	call->context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate step", ALLOCSET_SMALL_SIZES);
	schema = dbm_text_argument(fcinfo, 1);
	run->search_path = dbm_target_search_path(schema, dbm_text_argument(fcinfo, 2));
	dbm_extension_open(&run->ext);
	dbm_extension_use(&run->ext, schema, dbm_text_argument(fcinfo, project_arg));
	dbm_extension_check_project(&run->ext);
	dbm_lost_schema_refuse_lost(&run->ext);
}

/* Are we the first that the transaction does, and is it for this statement only? */
static bool
is_nothing_done(void)
{
	return !IsInTransactionBlock(true) && !TransactionIdIsValid(GetTopTransactionIdIfAny());
}

/* A count of at least 1, or DBM_ALL_STEPS. */
static int64
steps_argument(FunctionCallInfo fcinfo, int arg, bool null_is_all)
{
	if (PG_ARGISNULL(arg))
	{
		if (null_is_all)
			return DBM_ALL_STEPS;
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("steps must not be null"),
				 errhint("To roll back everything: SELECT * FROM migrate.rollback_to('0');")));
	}
	if (PG_GETARG_INT32(arg) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps must be at least 1"),
				 null_is_all ?
				 errhint("Leave it out for all that is pending.") :
				 errhint("Leave it out for the one applied last.")));
	return PG_GETARG_INT32(arg);
}

static Datum
version_argument(FunctionCallInfo fcinfo, int arg, const char **version)
{
	*version = dbm_required_argument(fcinfo, arg, "target_version");
	return PointerGetDatum(dbm_version_parse(*version));
}

/*
 * The statement that does the same with a commit for each migration: for so
 * many steps, or DBM_ALL_STEPS, then to a version, if there is one; and without
 * those of an array, if there is one.
 */
static const char *
procedure_call(const DbmExtension *ext, const char *procedure, int64 steps, const char *version,
			   const char *without)
{
	const char *argument = "";

	if (steps != DBM_ALL_STEPS)
		argument = psprintf("%d", (int) steps);
	else if (version)
		argument = dbm_literal(version);
	if (without)
		argument = psprintf("%s%swithout => %s", argument, argument[0] ? ", " : "", dbm_literal(without));
	return psprintf("CALL migrate.%s(%s%s);", procedure, argument, dbm_target_argument(ext, argument[0] == '\0'));
}

/* Apply what is pending: the next few, or those up to a version, or all; but for some. */
static void
apply_pending(Call *call, int64 steps, Datum up_to, const char *version, const char *without)
{
	const DbmExtension *ext = &call->run.ext;
	const char *instead = procedure_call(ext, version ? "run_to" : "run", steps, version, without);
	DbmMigration *target = NULL;
	List	   *chosen;
	ListCell   *lc;

	if (version)
	{
		target = dbm_state_find(ext, version);
		if (target == NULL)
			dbm_migration_missing(ext, version);
	}
	if ((without == NULL && dbm_state_all_applied(ext)) ||
		dbm_choose_pending(ext, steps, up_to, without, false, instead) == NIL)
	{
		dbm_refuse_count(ext, steps, 0, "pending", "apply_to");
		dbm_notice_nothing(ext, target, up_to, version);
		return;
	}

	dbm_lock_for_run(ext);
	chosen = dbm_choose_pending(ext, steps, up_to, without, true, instead);
	dbm_refuse_count(ext, steps, list_length(chosen), "pending", "apply_to");
	if (chosen == NIL)
		return;
	dbm_refuse_unmanaged(ext);

	dbm_run_begin(&call->run);
	call->steps = list_length(chosen);
	call->run.is_alone = call->steps == 1;
	foreach(lc, chosen)
		step(call, lfirst(lc), true);
	dbm_run_end(&call->run);
	if (steps == DBM_ALL_STEPS)
		dbm_notice_skipped(ext, up_to);
}

/* Roll back the last few, or what was applied after a version. */
static void
roll_back(Call *call, int64 steps, const char *version, Datum key)
{
	const DbmExtension *ext = &call->run.ext;
	const char *instead = procedure_call(ext, steps == DBM_ALL_STEPS ? "run_rollback_to" : "run_rollback",
										 steps, version ? version : "0", NULL);
	List	   *chosen = dbm_choose_applied(ext, steps, version, key, instead);

	if (chosen == NIL)
		return;
	dbm_run_begin(&call->run);
	call->steps = list_length(chosen);
	call->run.is_alone = call->steps == 1;
	roll_back_list(call, chosen);
	dbm_run_end(&call->run);
}

static void
roll_back_list(Call *call, List *chosen)
{
	ListCell   *lc;

	foreach(lc, chosen)
		step(call, lfirst(lc), false);
	dbm_applied_to_repeat(&call->run.ext);
}

/* One script, and what is told about it. */
static void
step(Call *call, const DbmMigration *migration, bool is_up)
{
	DbmLabel	label = {DBM_MIGRATION_REF(migration), migration->name, is_up};
	DbmExecution execution;
	MemoryContext caller = MemoryContextSwitchTo(call->context);

	dbm_activity_migration(call->run.number, call->run.ext.project, ++call->begun, call->steps);
	if (is_up && call->may_try_again && dbm_retries > 0)
		run_patiently(&call->run, migration, &execution);
	else
		dbm_run_step(&call->run, migration, is_up, &execution);
	call->may_try_again = false;
	put_result(call->result, migration, is_up ? "apply" : "rollback", &execution);
	if (dbm_progress)
		dbm_progress_notice(migration, is_up);
	if (is_up && execution.statements == 0)
		ereport(NOTICE,
				(errmsg("%s contains no statement, nothing was run", dbm_label_text(&label)),
				 errhidecontext(true)));

	MemoryContextSwitchTo(caller);
	MemoryContextReset(call->context);
}

/*
 * The first migration of a call: as long as it alone has locks, those are
 * given back if it does not get another one, and it is tried again.  What comes
 * later has to wait for its locks, with those of the first ones.
 */
static void
run_patiently(DbmRun *run, const DbmMigration *migration, DbmExecution *execution)
{
	DbmBlockers blockers;
	ErrorData  *error;

	run->lock_timeout = lock_timeout();
	for (int attempt = 1; (error = dbm_run_attempt(run, migration, true, execution, &blockers)) != NULL; attempt++)
	{
		DbmHistoryEntry entry = {
			.action = "retry",
			.migration = migration,
			.run = run->number,
			.reason = dbm_blockers_reason(&blockers)
		};

		if (!dbm_retry_is_worth(error, attempt))
		{
			(void) dbm_blockers_explain(&blockers, error);
			ReThrowError(error);
		}
		dbm_history_add_failure(&run->ext, &entry, error, execution);
		dbm_retry_pause(migration, attempt, error, &blockers, false);
	}
	run->lock_timeout = 0;
}

/* Milliseconds; the session may want less.  0 leaves it. */
static int
lock_timeout(void)
{
	return LockTimeout > 0 ? Min(LockTimeout, dbm_lock_timeout) : dbm_lock_timeout;
}

static void
put_result(ReturnSetInfo *result, const DbmMigration *migration, const char *action,
		   const DbmExecution *execution)
{
	DbmRow		row = {0};

	dbm_row_add_text(&row, migration->version);
	dbm_row_add_text(&row, migration->name);
	dbm_row_add_text(&row, action);
	dbm_row_add(&row, Int64GetDatum(execution->statements), false);
	dbm_row_add(&row, Int64GetDatum(execution->rows), false);
	dbm_row_add(&row, dbm_interval(execution->duration), false);
	dbm_row_put(&row, result);
}
