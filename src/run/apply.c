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

typedef void (*GoBack) (DbmRunCall *call, int64 steps, const char *version);

static Datum go_back(FunctionCallInfo fcinfo, const char *what, bool has_version, GoBack go);
static void begin_call(DbmRunCall *call, const char *what, FunctionCallInfo fcinfo, int project_arg);
static bool is_nothing_done(void);
static const char *procedure_call(const DbmExtension *ext, const char *procedure, int64 steps,
								  const char *version, const char *without);
static void redo(DbmRunCall *call, int64 steps, const char *version);
static List *choose_to_roll_back(DbmRunCall *call, int64 steps, const char *version, const char *instead);
static void roll_back_list(DbmRunCall *call, List *chosen);
static void step(DbmRunCall *call, const DbmMigration *migration, bool is_up);
static void run_patiently(DbmRun *run, const DbmMigration *migration, DbmExecution *execution);
static int	lock_timeout(void);
static void put_result(DbmRunCall *call);

PG_FUNCTION_INFO_V1(dbmigrate_apply);
PG_FUNCTION_INFO_V1(dbmigrate_apply_to);
PG_FUNCTION_INFO_V1(dbmigrate_rollback);
PG_FUNCTION_INFO_V1(dbmigrate_rollback_to);
PG_FUNCTION_INFO_V1(dbmigrate_redo);
PG_FUNCTION_INFO_V1(dbmigrate_redo_to);

/* SQL: migrate.apply(steps, schema, extra_search_path, project, without) */
Datum
dbmigrate_apply(PG_FUNCTION_ARGS)
{
	DbmRunCall	call;
	int64		steps;

	begin_call(&call, "migrate.apply()", fcinfo, 3);
	steps = dbm_count_argument(&call.run.ext, fcinfo, 0, dbm_count_source(fcinfo), true, "SELECT * FROM migrate.apply_to(");
	dbm_call_apply(&call, steps, NULL, dbm_array_argument(fcinfo, 4));
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.apply_to(target_version, schema, extra_search_path, project, without) */
Datum
dbmigrate_apply_to(PG_FUNCTION_ARGS)
{
	DbmRunCall	call;

	begin_call(&call, "migrate.apply_to()", fcinfo, 3);
	dbm_call_apply(&call, DBM_ALL_STEPS, dbm_required_argument(fcinfo, 0, "target_version"),
				   dbm_array_argument(fcinfo, 4));
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.rollback(steps, schema, extra_search_path, confirm, project) */
Datum
dbmigrate_rollback(PG_FUNCTION_ARGS)
{
	return go_back(fcinfo, "migrate.rollback()", false, dbm_call_roll_back);
}

/* SQL: migrate.rollback_to(target_version, schema, extra_search_path, confirm, project) */
Datum
dbmigrate_rollback_to(PG_FUNCTION_ARGS)
{
	return go_back(fcinfo, "migrate.rollback_to()", true, dbm_call_roll_back);
}

/*
 * SQL: migrate.redo(steps, schema, extra_search_path, confirm, project)
 *
 * Repeatable migrations that were up to date are so afterwards.
 */
Datum
dbmigrate_redo(PG_FUNCTION_ARGS)
{
	return go_back(fcinfo, "migrate.redo()", false, redo);
}

/* SQL: migrate.redo_to(target_version, schema, extra_search_path, confirm, project) */
Datum
dbmigrate_redo_to(PG_FUNCTION_ARGS)
{
	return go_back(fcinfo, "migrate.redo_to()", true, redo);
}

/* The first argument is a version, or a count. */
static Datum
go_back(FunctionCallInfo fcinfo, const char *what, bool has_version, GoBack go)
{
	DbmRunCall	call;
	const char *version = NULL;
	int64		steps = DBM_ALL_STEPS;

	begin_call(&call, what, fcinfo, 4);
	if (has_version)
		version = dbm_required_argument(fcinfo, 0, "target_version");
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	if (!has_version)
		steps = dbm_count_argument(&call.run.ext, fcinfo, 0, dbm_count_source(fcinfo), false,
								   "SELECT * FROM migrate.rollback_to(");
	go(&call, steps, version);
	dbm_extension_close();
	return (Datum) 0;
}

/* What the functions begin with that return a row for each migration. */
static void
begin_call(DbmRunCall *call, const char *what, FunctionCallInfo fcinfo, int project_arg)
{
	dbm_call_begin(call, what, dbm_text_argument(fcinfo, 1), dbm_text_argument(fcinfo, 2),
				   dbm_text_argument(fcinfo, project_arg));
	InitMaterializedSRF(fcinfo, 0);
	call->result = (ReturnSetInfo *) fcinfo->resultinfo;
}

/* What all calls begin with; "what" is how messages call the function. */
void
dbm_call_begin(DbmRunCall *call, const char *what, const char *schema, const char *extra_search_path,
			   const char *project)
{
	DbmRun	   *run = &call->run;

	memset(call, 0, sizeof(DbmRunCall));
	call->may_try_again = is_nothing_done();
	dbm_check_caller(what);
	(void) dbm_environment();	/* an error here is not one of a query of ours */
	call->context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate step", ALLOCSET_SMALL_SIZES);
	run->search_path = dbm_target_search_path(schema, extra_search_path);
	dbm_extension_open(&run->ext);
	dbm_extension_use(&run->ext, schema, project);
	dbm_extension_check_project(&run->ext);
	dbm_lost_schema_refuse_lost(&run->ext);
}

/* Are we the first that the transaction does, and is it for this statement only? */
static bool
is_nothing_done(void)
{
	return !IsInTransactionBlock(true) && !TransactionIdIsValid(GetTopTransactionIdIfAny());
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
void
dbm_call_apply(DbmRunCall *call, int64 steps, const char *version, const char *without)
{
	const DbmExtension *ext = &call->run.ext;
	Datum		up_to = version ? PointerGetDatum(dbm_version_parse(version)) : (Datum) 0;
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

/* Roll back the last few, or what was applied after a version; exactly "0" is everything. */
void
dbm_call_roll_back(DbmRunCall *call, int64 steps, const char *version)
{
	const char *instead = procedure_call(&call->run.ext, version ? "run_rollback_to" : "run_rollback", steps, version, NULL);
	List	   *chosen = choose_to_roll_back(call, steps, version, instead);

	if (chosen == NIL)
		return;
	dbm_run_begin(&call->run);
	call->steps = list_length(chosen);
	call->run.is_alone = call->steps == 1;
	roll_back_list(call, chosen);
	dbm_run_end(&call->run);
}

/* The same, and apply exactly those again. */
static void
redo(DbmRunCall *call, int64 steps, const char *version)
{
	const DbmExtension *ext = &call->run.ext;
	const char *instead =
		psprintf("%s %s", procedure_call(ext, version ? "run_rollback_to" : "run_rollback", steps, version, NULL),
				 procedure_call(ext, "run", DBM_ALL_STEPS, NULL, NULL));
	List	   *chosen = choose_to_roll_back(call, steps, version, instead);
	List	   *repeatables;
	ListCell   *lc;

	if (chosen == NIL)
		return;
	repeatables = dbm_state_repeatables(ext);
	dbm_refuse_elsewhere(ext, list_concat_copy(chosen, repeatables), list_length(chosen));
	dbm_refuse_scripts(ext, chosen, true, instead);
	dbm_refuse_scripts(ext, repeatables, true, instead);
	dbm_run_begin(&call->run);
	call->steps = 2 * list_length(chosen) + list_length(repeatables);
	roll_back_list(call, chosen);
	for (int i = list_length(chosen) - 1; i >= 0; i--)
		step(call, list_nth(chosen, i), true);
	foreach(lc, repeatables)
		step(call, lfirst(lc), true);
	dbm_run_end(&call->run);
}

/* So many, or what was applied after a version, if there is one. */
static List *
choose_to_roll_back(DbmRunCall *call, int64 steps, const char *version, const char *instead)
{
	Datum		key = version ? PointerGetDatum(dbm_version_parse(version)) : (Datum) 0;
	bool		is_all = version && strcmp(version, "0") == 0;	/* 0000 may be one */

	return dbm_choose_applied(&call->run.ext, steps, is_all ? NULL : version, key, instead);
}

static void
roll_back_list(DbmRunCall *call, List *chosen)
{
	ListCell   *lc;

	foreach(lc, chosen)
		step(call, lfirst(lc), false);
	dbm_applied_to_repeat(&call->run.ext);
}

/* One script, and what is told about it. */
static void
step(DbmRunCall *call, const DbmMigration *migration, bool is_up)
{
	DbmLabel	label = {DBM_MIGRATION_REF(migration), migration->name, is_up};
	MemoryContext caller = MemoryContextSwitchTo(call->context);

	dbm_activity_migration(call->run.number, call->run.ext.project, (int) call->done + 1, call->steps);
	call->migration = migration;
	call->is_up = is_up;
	memset(&call->execution, 0, sizeof(DbmExecution));
	if (is_up && call->may_try_again && dbm_retries > 0)
		run_patiently(&call->run, migration, &call->execution);
	else
		dbm_run_step(&call->run, migration, is_up, &call->execution);
	call->may_try_again = false;
	if (call->result)
		put_result(call);
	if (call->json)
		dbm_json_add_step(call, true);
	if (dbm_progress)
		dbm_progress_notice(migration, is_up);
	if (is_up && call->execution.statements == 0)
		ereport(NOTICE,
				(errmsg("%s contains no statement, nothing was run", dbm_label_text(&label)),
				 errhidecontext(true)));
	call->done++;
	call->last = migration;
	call->migration = NULL;

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
put_result(DbmRunCall *call)
{
	const DbmExecution *execution = &call->execution;
	DbmRow		row = {0};

	dbm_row_add_text(&row, call->migration->version);
	dbm_row_add_text(&row, call->migration->name);
	dbm_row_add_text(&row, call->is_up ? "apply" : "rollback");
	dbm_row_add(&row, Int64GetDatum(execution->statements), false);
	dbm_row_add(&row, Int64GetDatum(execution->rows), false);
	dbm_row_add(&row, dbm_interval(execution->duration), false);
	dbm_row_put(&row, call->result);
}
