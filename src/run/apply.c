/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  Apply, roll back, redo: choose, refuse, lock, execute, record.
 *
 * What is wrong is refused before the first statement runs, with all
 * offenders in one message.  The choice is made twice: without the lock, to
 * find out cheaply that nothing is pending, and again under it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

#include "run/run.h"

#define ALL_STEPS (-1)

/* One call. */
typedef struct Run
{
	ReturnSetInfo *result;
	DbmExtension ext;
	const char *schema;			/* target schema, "" is the database as it is */
	const char *search_path;	/* to set for each script, or NULL */
	int64		number;
	List	   *cursors;		/* the caller's, see leftover.c */
	bool		is_alone;		/* one script is all that is run */
	bool		check_deferred; /* the last script may have left events */
	DbmLabel	last;			/* that script */
} Run;

static void begin_run(Run *run, const char *what, FunctionCallInfo fcinfo, int project_arg);
static void number_run(Run *run);
static int64 steps_argument(FunctionCallInfo fcinfo, int arg, bool null_is_all);
static Datum version_argument(FunctionCallInfo fcinfo, int arg, const char **version);
static void apply_pending(Run *run, int64 steps, Datum up_to, const char *version);
static void notice_newer(const Run *run, Datum up_to, const char *version);
static void notice_skipped(const Run *run, Datum up_to);
static List *choose_pending(const Run *run, int64 steps, Datum up_to, bool check);
static void roll_back(Run *run, int64 steps, const char *version, Datum key);
static List *choose_applied(const Run *run, int64 steps, const char *version, Datum key);
static int64 position_of(const Run *run, const char *version, Datum key);
static void check_not_in_baseline(const Run *run, const char *version);
static void roll_back_list(Run *run, List *chosen);
static void run_migration(Run *run, const DbmMigration *migration, bool is_up);
static void check_deferred(Run *run);
static void end_run(const Run *run);
static void put_result(Run *run, const DbmMigration *migration, const char *action,
					   const DbmExecution *execution);

PG_FUNCTION_INFO_V1(dbmigrate_apply);
PG_FUNCTION_INFO_V1(dbmigrate_apply_to);
PG_FUNCTION_INFO_V1(dbmigrate_rollback);
PG_FUNCTION_INFO_V1(dbmigrate_rollback_to);
PG_FUNCTION_INFO_V1(dbmigrate_redo);

/* SQL: migrate.apply(steps, schema, extra_search_path) */
Datum
dbmigrate_apply(PG_FUNCTION_ARGS)
{
	Run			run;

	begin_run(&run, "migrate.apply()", fcinfo, 3);
	apply_pending(&run, steps_argument(fcinfo, 0, true), (Datum) 0, NULL);
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.apply_to(target_version, schema, extra_search_path) */
Datum
dbmigrate_apply_to(PG_FUNCTION_ARGS)
{
	Run			run;
	const char *version;
	Datum		up_to;

	begin_run(&run, "migrate.apply_to()", fcinfo, 3);
	up_to = version_argument(fcinfo, 0, &version);
	apply_pending(&run, ALL_STEPS, up_to, version);
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.rollback(steps, schema, extra_search_path, confirm) */
Datum
dbmigrate_rollback(PG_FUNCTION_ARGS)
{
	Run			run;

	begin_run(&run, "migrate.rollback()", fcinfo, 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	roll_back(&run, steps_argument(fcinfo, 0, false), NULL, (Datum) 0);
	dbm_extension_close();
	return (Datum) 0;
}

/* SQL: migrate.rollback_to(target_version, schema, extra_search_path, confirm) */
Datum
dbmigrate_rollback_to(PG_FUNCTION_ARGS)
{
	Run			run;
	const char *version;
	Datum		key;

	begin_run(&run, "migrate.rollback_to()", fcinfo, 4);
	key = version_argument(fcinfo, 0, &version);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	/* exactly 0 is everything; 0000 may be the version of a migration */
	roll_back(&run, ALL_STEPS, strcmp(version, "0") == 0 ? NULL : version, key);
	dbm_extension_close();
	return (Datum) 0;
}

/*
 * SQL: migrate.redo(steps, schema, extra_search_path, confirm)
 *
 * Repeatable migrations that were up to date are so afterwards.
 */
Datum
dbmigrate_redo(PG_FUNCTION_ARGS)
{
	Run			run;
	List	   *chosen;
	ListCell   *lc;

	begin_run(&run, "migrate.redo()", fcinfo, 4);
	dbm_refuse_unconfirmed(dbm_optional_argument(fcinfo, 3));
	chosen = choose_applied(&run, steps_argument(fcinfo, 0, false), NULL, (Datum) 0);
	if (chosen != NIL)
	{
		List	   *repeatables = dbm_state_repeatables(&run.ext, run.schema);

		dbm_refuse_elsewhere(&run.ext, list_concat_copy(chosen, repeatables), list_length(chosen));
		dbm_refuse_scripts(&run.ext, chosen, true);
		dbm_refuse_scripts(&run.ext, repeatables, true);
		number_run(&run);
		roll_back_list(&run, chosen);
		for (int i = list_length(chosen) - 1; i >= 0; i--)
			run_migration(&run, list_nth(chosen, i), true);
		foreach(lc, repeatables)
			run_migration(&run, lfirst(lc), true);
		end_run(&run);
	}
	dbm_extension_close();
	return (Datum) 0;
}

/* What all calls begin with. */
static void
begin_run(Run *run, const char *what, FunctionCallInfo fcinfo, int project_arg)
{
	memset(run, 0, sizeof(Run));
	dbm_check_caller(what);
	(void) dbm_environment();	/* an error here is not one of a query of ours */
	InitMaterializedSRF(fcinfo, 0);
	run->result = (ReturnSetInfo *) fcinfo->resultinfo;
	run->schema = dbm_text_argument(fcinfo, 1);
	run->search_path = dbm_target_search_path(run->schema, dbm_text_argument(fcinfo, 2));
	dbm_extension_open(&run->ext);
	dbm_extension_use(&run->ext, run->schema, dbm_text_argument(fcinfo, project_arg));
	dbm_extension_check_project(&run->ext);
	dbm_targets_refuse_lost(&run->ext, run->schema);
}

/* Something is to be run: from here on it is a run of its own. */
static void
number_run(Run *run)
{
	run->number = dbm_history_next_run(&run->ext);
	run->cursors = dbm_leftover_callers_cursors();
}

/* A count of at least 1, or ALL_STEPS. */
static int64
steps_argument(FunctionCallInfo fcinfo, int arg, bool null_is_all)
{
	if (PG_ARGISNULL(arg))
	{
		if (null_is_all)
			return ALL_STEPS;
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("steps must not be null"),
				 errhint("To roll back everything: SELECT * FROM migrate.rollback_to('0');")));
	}
	if (PG_GETARG_INT32(arg) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("steps must be at least 1")));
	return PG_GETARG_INT32(arg);
}

static Datum
version_argument(FunctionCallInfo fcinfo, int arg, const char **version)
{
	*version = dbm_required_argument(fcinfo, arg, "target_version");
	return PointerGetDatum(dbm_version_parse(*version));
}

/* Apply what is pending: the next few, or those up to a version, or all. */
static void
apply_pending(Run *run, int64 steps, Datum up_to, const char *version)
{
	DbmMigration *target = NULL;
	List	   *chosen;
	ListCell   *lc;

	if (version)
	{
		target = dbm_state_find(&run->ext, run->schema, version);
		if (target == NULL)
			dbm_migration_missing(&run->ext, version);
	}
	if (dbm_state_all_applied(&run->ext, run->schema) ||
		choose_pending(run, steps, up_to, false) == NIL)
	{
		dbm_refuse_count(&run->ext, steps, 0, "pending", "apply_to");
		if (target && target->is_applied)
			notice_newer(run, up_to, version);
		else if (target)
			notice_skipped(run, up_to);
		return;
	}

	dbm_lock_for_run(&run->ext);
	chosen = choose_pending(run, steps, up_to, true);
	dbm_refuse_count(&run->ext, steps, list_length(chosen), "pending", "apply_to");
	if (chosen == NIL)
		return;
	dbm_refuse_unmanaged(&run->ext);

	number_run(run);
	run->is_alone = list_length(chosen) == 1;
	foreach(lc, chosen)
		run_migration(run, lfirst(lc), true);
	end_run(run);
	if (steps == ALL_STEPS)
		notice_skipped(run, up_to);
}

/* Asked to apply up to a version that is behind us: that is no way back. */
static void
notice_newer(const Run *run, Datum up_to, const char *version)
{
	char	   *newest = dbm_state_newest(&run->ext, run->schema);

	if (newest && dbm_progress &&
		!datumIsEqual(PointerGetDatum(dbm_version_parse(newest)), up_to, false, -1))
		ereport(NOTICE,
				(errmsg("nothing to apply up to version %s, the newest applied is %s",
						version, newest),
				 errhint("To go back: SELECT * FROM migrate.rollback_to(%s%s);", dbm_literal(version),
						 dbm_target_argument(&run->ext, false))));
}

/* Nothing is left out without a word. */
static void
notice_skipped(const Run *run, Datum up_to)
{
	ListCell   *lc;

	if (!dbm_progress)
		return;
	foreach(lc, dbm_state_to_apply(&run->ext, run->schema, up_to))
	{
		DbmMigration *migration = lfirst(lc);

		if (migration->is_wanted && migration->state == DBM_STATE_SKIPPED)
			ereport(NOTICE,
					(errmsg("skipped migration %s%s%s%s, which is limited to other environments",
							DBM_MIGRATION_REF(migration),
							migration->name[0] ? " \"" : "", migration->name,
							migration->name[0] ? "\"" : ""),
					 errhidecontext(true)));
	}
}

/* The pending migrations asked for; refuses what is wrong if "check". */
static List *
choose_pending(const Run *run, int64 steps, Datum up_to, bool check)
{
	List	   *known = dbm_state_to_apply(&run->ext, run->schema, up_to);
	List	   *chosen = NIL;
	ListCell   *lc;

	dbm_refuse_changed(&run->ext, known);
	foreach(lc, known)
	{
		DbmMigration *migration = lfirst(lc);

		if (migration->to_run && migration->is_wanted &&
			(steps == ALL_STEPS || list_length(chosen) < steps))
			chosen = lappend(chosen, migration);
	}
	if (check)
	{
		dbm_refuse_out_of_order(&run->ext, run->schema, chosen);
		dbm_refuse_scripts(&run->ext, chosen, true);
	}
	return chosen;
}

/* Roll back the last few, or what was applied after a version. */
static void
roll_back(Run *run, int64 steps, const char *version, Datum key)
{
	List	   *chosen = choose_applied(run, steps, version, key);

	if (chosen == NIL)
		return;
	number_run(run);
	run->is_alone = list_length(chosen) == 1;
	roll_back_list(run, chosen);
	end_run(run);
}

/*
 * What is to be rolled back, newest first, with the lock taken unless there
 * is nothing.  All is read again under the lock, the place of "version", too:
 * another run may have applied it anew.
 */
static List *
choose_applied(const Run *run, int64 steps, const char *version, Datum key)
{
	List	   *chosen;

	if (dbm_state_to_roll_back(&run->ext, run->schema, steps,
								 position_of(run, version, key)) == NIL)
	{
		dbm_refuse_count(&run->ext, steps, 0, "applied", "rollback_to");
		return NIL;
	}
	dbm_lock_for_run(&run->ext);
	chosen = dbm_state_to_roll_back(&run->ext, run->schema, steps,
									  position_of(run, version, key));
	dbm_refuse_count(&run->ext, steps, list_length(chosen), "applied", "rollback_to");
	dbm_refuse_changed(&run->ext, chosen);
	dbm_refuse_without_down(&run->ext, chosen);
	dbm_refuse_scripts(&run->ext, chosen, false);
	return chosen;
}

/* Where a version stands in the order of application; NULL is before all. */
static int64
position_of(const Run *run, const char *version, Datum key)
{
	int64		position = 0;

	if (version)
		position = dbm_state_position(&run->ext, run->schema, key);
	if (position < 0)
	{
		check_not_in_baseline(run, version);
		/* it may have been applied since */
		position = dbm_state_position(&run->ext, run->schema, key);
	}
	if (position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration %s is not applied", version),
				 errhint("See what is applied with: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(&run->ext, true))));
	return position;
}

/* What a baseline covers is in force, but nobody knows in which order. */
static void
check_not_in_baseline(const Run *run, const char *version)
{
	DbmMigration *migration = dbm_state_find(&run->ext, run->schema, version);

	if (migration && !migration->is_applied && migration->state == DBM_STATE_APPLIED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s counts as applied by a baseline", version),
				 errdetail("It has no place in the order of application."),
				 errhint("See what has one: SELECT version, name FROM migrate.schema_migrations ORDER BY position;")));
}

static void
roll_back_list(Run *run, List *chosen)
{
	ListCell   *lc;

	foreach(lc, chosen)
		run_migration(run, lfirst(lc), false);
	dbm_applied_to_repeat(&run->ext, run->schema);
}

/* Run one script and record it. */
static void
run_migration(Run *run, const DbmMigration *migration, bool is_up)
{
	DbmTrust	trust = dbm_approvals_trust(&run->ext, migration, is_up);
	DbmLabel	label = {DBM_MIGRATION_REF(migration), migration->name, is_up, run->is_alone};
	DbmExecution execution;
	DbmHistoryEntry	record = {
		.action = is_up ? "apply" : "rollback",
		.target_schema = run->schema,
		.migration = migration,
		.run = run->number,
		.execution = &execution,
		.baseline = migration->is_baseline
	};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate migration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DbmScript  *script;
	char	   *text;
	int			len;

	check_deferred(run);

	text = dbm_state_read_script(&run->ext, migration, is_up, &len);
	script = dbm_script_scan(text, len, false);
	if (trust == DBM_TRUST_NONE && script->ncommands > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody whom \"%s\" may trust vouches for %s",
						GetUserNameFromId(GetUserId(), false), dbm_label_text(&label)),
				 errhint("Read it, then: SELECT migrate.approve(%s%s);", dbm_migration_literal(migration),
						 dbm_project_argument(&run->ext))));
	dbm_execute_script(script, &label, run->search_path, trust != DBM_TRUST_FULL, run->cursors, &execution);
	run->check_deferred = execution.may_have_events;
	run->last = label;

	dbm_extension_check_alive(&run->ext, &label);
	if (is_up)
		dbm_applied_add(&run->ext, &record);
	else
		dbm_applied_remove(&run->ext, &record);
	put_result(run, migration, record.action, &execution);
	if (dbm_progress)
		dbm_progress_notice(migration, is_up);
	if (is_up && script->ncommands == 0)
		ereport(NOTICE,
				(errmsg("%s contains no statement, nothing was run", dbm_label_text(&label)),
				 errhidecontext(true)));

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* The next migration must not stumble over what the last one left to check. */
static void
check_deferred(Run *run)
{
	if (run->check_deferred)
		dbm_execute_deferred_check(&run->last, run->cursors);
	run->check_deferred = false;
}

static void
end_run(const Run *run)
{
	dbm_targets_record(&run->ext, run->schema, run->number);
	dbm_run_finished();
}

static void
put_result(Run *run, const DbmMigration *migration, const char *action,
		   const DbmExecution *execution)
{
	DbmRow		row = {0};

	dbm_row_add_text(&row, migration->version);
	dbm_row_add_text(&row, migration->name);
	dbm_row_add_text(&row, action);
	dbm_row_add(&row, Int64GetDatum(execution->statements), false);
	dbm_row_add(&row, Int64GetDatum(execution->rows), false);
	dbm_row_add(&row, dbm_interval(execution->duration), false);
	dbm_row_put(&row, run->result);
}
