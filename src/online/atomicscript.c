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

#include "access/xact.h"
#include "utils/resowner.h"

#include "online/online.h"

static ErrorData *try_once(DbmRun *run, const DbmMigration *migration, bool is_up,
						   DbmExecution *execution, DbmBlockers *blockers,
						   bool *was_aborted);
static void step(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution,
				 ErrorData **error);

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
		long		pause = dbm_retry_pause(attempt);

		if (error == NULL)
			return NULL;

		/*
		 * an abort drops the locks of the run: another one may have been
		 * faster, and all would have to be chosen again
		 */
		if (was_aborted || !dbm_retry_is_worth(error) || attempt > dbm_retries)
		{
			dbm_online_record_failure(run, migration, "failed", NULL, error, execution);
			if (blockers.who && error->detail == NULL)
				error->detail = psprintf("In the way: %s.", blockers.with_queries);
			return error;
		}
		dbm_online_record_failure(run, migration, "retry",
								  blockers.who ? psprintf("in the way: %s", blockers.who) : NULL, error, execution);
		if (dbm_progress)
			ereport(NOTICE,
					(errmsg("migration %s did not get a lock, trying again in %.1f s",
							DBM_MIGRATION_REF(migration), pause / 1000.0),
					 errdetail_internal("%s", error->message),
					 blockers.who ? errhint("In the way: %s.", blockers.with_queries) : 0,
					 errhidecontext(true)));
		dbm_retry_wait(pause);
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
		ErrorData  *failed = NULL;

		dbm_online_open(run);
		step(run, migration, is_up, execution, &failed);
		error = failed;
		dbm_blockers_tell(blockers);
		if (failed == NULL)
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

static void
step(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution, ErrorData **error)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	memset(execution, 0, sizeof(DbmExecution));
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	dbm_blockers_watch();
	PG_TRY();
	{
		dbm_run_step(run, migration, is_up, execution);
		dbm_run_check_deferred(run);
		if (!is_up)
			dbm_applied_to_repeat(&run->ext);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		*error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		run->check_deferred = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}
