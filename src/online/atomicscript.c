/*-------------------------------------------------------------------------
 *
 * atomicscript.c
 *	  A migration of a procedure that is one transaction: all of it, or nothing
 *	  and a record of how it failed.
 *
 * It runs in a subtransaction, whose rollback keeps the locks of the run; the
 * abort of a transaction would drop them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "online/online.h"

static ErrorData *try_once(DbmRun *run, const DbmMigration *migration, bool is_up,
						   DbmExecution *execution, DbmBlockers *blockers,
						   bool *was_aborted);

/*
 * Run and record it, again and again if locks are in the way; in a transaction
 * without anything in it, and there is one afterwards.  NULL, or the error,
 * which is recorded.
 */
ErrorData *
dbm_atomic_run(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution)
{
	for (int attempt = 1;; attempt++)
	{
		DbmBlockers blockers = {0};
		bool		was_aborted = false;
		ErrorData  *error = try_once(run, migration, is_up, execution, &blockers, &was_aborted);

		if (error == NULL)
			return NULL;

		/*
		 * an abort drops the locks of the run: another one may have been
		 * faster, and all would have to be chosen again
		 */
		if (was_aborted || !dbm_retry_is_worth(error, attempt))
		{
			dbm_online_record_failure(run, migration, "failed", dbm_blockers_explain(&blockers, error), error, execution);
			return error;
		}
		dbm_online_record_failure(run, migration, "retry", dbm_blockers_reason(&blockers), error, execution);
		dbm_retry_pause(migration, attempt, error, &blockers, true);
	}
}

static ErrorData *
try_once(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution,
		 DbmBlockers *blockers, bool *was_aborted)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		dbm_online_open(run);
		error = dbm_run_attempt(run, migration, is_up, execution, blockers);
		if (error == NULL)
			dbm_lost_schema_record(&run->ext, run->number);
		dbm_extension_close();
		dbm_transaction_commit();
	}
	PG_CATCH();
	{
		/*
		 * At commit, or somewhere in our own bookkeeping.  What the script
		 * failed with is the cause of it, if it did (Citus refuses to commit
		 * after a connection to a node was lost).
		 */
		MemoryContextSwitchTo(caller);
		if (error == NULL)
			error = CopyErrorData();
		FlushErrorState();
		dbm_transaction_abort();
		*was_aborted = true;
	}
	PG_END_TRY();
	dbm_transaction_start();
	MemoryContextSwitchTo(caller);
	return error;
}
