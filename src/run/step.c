/*-------------------------------------------------------------------------
 *
 * step.c
 *	  One migration of a run: its script is executed, and that is recorded.
 *
 * Whoever calls decides about transactions, and about what is told to whom.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "run/run.h"

/* Something is to be run: from here on it is a run of its own. */
void
dbm_run_begin(DbmRun *run)
{
	run->number = dbm_history_next_run(&run->ext);
	run->cursors = dbm_leftover_callers_cursors();
}

/*
 * Run the up or the down script of a migration and record it.  What was done
 * is in *execution.  "migration" has to outlive the run: errors of the next
 * step may be about what this one left to be checked.
 */
void
dbm_run_step(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution)
{
	DbmLabel	label = {DBM_MIGRATION_REF(migration), migration->name, is_up, run->is_alone};
	DbmHistoryEntry entry = {
		.action = is_up ? "apply" : "rollback",
		.migration = migration,
		.run = run->number,
		.execution = execution,
		.baseline = migration->is_baseline
	};
	DbmExecuteOptions options = {
		.search_path = run->search_path,
		.lock_timeout = run->lock_timeout,
		.cursors = run->cursors
	};
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate migration",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DbmScript  *script;
	DbmTrust	trust;

	dbm_run_check_deferred(run);
	script = dbm_run_read_script(run, migration, &label, &trust);
	options.restricted = trust != DBM_TRUST_FULL;
	dbm_execute_script(script, &label, &options, execution);
	run->check_deferred = execution->may_have_events;
	run->last = label;

	dbm_extension_check_alive(&run->ext, &label);
	if (is_up)
		dbm_applied_add(&run->ext, &entry);
	else
		dbm_applied_remove(&run->ext, &entry);
	execution->search_path = (Datum) 0; /* it goes with the memory of the step */

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* All is run. */
void
dbm_run_end(const DbmRun *run)
{
	dbm_lost_schema_record(&run->ext, run->number);
	dbm_run_finished();
}

/* The script as it is now, and how far it is trusted; 42501 if it is not. */
DbmScript *
dbm_run_read_script(const DbmRun *run, const DbmMigration *migration, const DbmLabel *label, DbmTrust *trust)
{
	int			len;
	char	   *text = dbm_state_read_script(&run->ext, migration, label->is_up, &len);
	DbmScript  *script = dbm_script_scan(text, len, false);

	*trust = dbm_approvals_trust(&run->ext, migration, label->is_up);
	if (*trust == DBM_TRUST_NONE && script->ncommands > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("nobody whom \"%s\" may trust vouches for %s",
						GetUserNameFromId(GetUserId(), false), dbm_label_text(label)),
				 errhint("Read it, then: SELECT migrate.approve(%s%s);", dbm_migration_literal(migration),
						 dbm_project_argument(&run->ext))));
	return script;
}

/* The next migration must not stumble over what the last one left to check. */
void
dbm_run_check_deferred(DbmRun *run)
{
	if (run->check_deferred)
		dbm_execute_deferred_check(&run->last, run->cursors);
	run->check_deferred = false;
}
