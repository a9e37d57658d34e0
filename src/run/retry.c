/*-------------------------------------------------------------------------
 *
 * retry.c
 *	  Another attempt at a migration that did not get a lock, after a pause.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "run/run.h"

/* Milliseconds; each pause is twice the last, and up to a half longer or shorter. */
#define FIRST_PAUSE 500
#define LONGEST_PAUSE 60000
#define LONGEST_TRANSACTION 1000	/* that does nothing but wait */

typedef struct Attempt
{
	DbmRun	   *run;
	const DbmMigration *migration;
	bool		is_up;
	DbmExecution *execution;
} Attempt;

static void attempt_step(void *arg);
static void wait_for(long milliseconds, bool commits);

/*
 * Run and record a migration in a subtransaction: if it fails its locks are
 * released, and those that were held before stay.  NULL, or the error, and who
 * was in the way of a lock; *execution says where.
 */
ErrorData *
dbm_run_attempt(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution,
				DbmBlockers *blockers)
{
	Attempt		attempt = {run, migration, is_up, execution};
	ErrorData  *error;

	memset(execution, 0, sizeof(DbmExecution));
	memset(blockers, 0, sizeof(DbmBlockers));
	dbm_blockers_watch();
	error = dbm_subtransaction(attempt_step, &attempt);
	if (error)
	{
		run->check_deferred = false;
		dbm_blockers_find(blockers);
	}
	else
		dbm_blockers_stop();
	return error;
}

static void
attempt_step(void *arg)
{
	const Attempt *attempt = arg;

	dbm_run_step(attempt->run, attempt->migration, attempt->is_up, attempt->execution);
	dbm_run_check_deferred(attempt->run);
	if (!attempt->is_up)
		dbm_applied_to_repeat(&attempt->run->ext);
}

/* Would the same migration do better a little later, after so many attempts? */
bool
dbm_retry_is_worth(const ErrorData *error, int attempts)
{
	return attempts <= dbm_retries &&
		(error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		 error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		 error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE);
}

/*
 * Tell why there is going to be another attempt, and wait for it.  "commits" is
 * that nothing is to stay of the present transaction, so that nobody has to
 * wait for us.
 */
void
dbm_retry_pause(const DbmMigration *migration, int attempts, const ErrorData *error,
				const DbmBlockers *blockers, bool commits)
{
	double		pause = FIRST_PAUSE;

	for (int i = 1; i < attempts && pause < LONGEST_PAUSE; i++)
		pause *= 2;
	pause = Min(pause, LONGEST_PAUSE) * (0.5 + pg_prng_double(&pg_global_prng_state));
	if (dbm_progress)
		ereport(NOTICE,
				(errmsg("migration %s did not get a lock, trying again in %.1f s",
						DBM_MIGRATION_REF(migration), pause / 1000.0),
				 errdetail_internal("%s", error->message),
				 blockers->who ? errhint("In the way: %s.", blockers->with_queries) : 0,
				 errhidecontext(true)));
	wait_for(pause, commits);
	dbm_activity_attempt(attempts + 1);
}

/*
 * Where there are commits, in transactions that have neither snapshot nor locks,
 * and that are short: a pause is nothing that a timeout is meant for.
 */
static void
wait_for(long milliseconds, bool commits)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0)
	{
		if (commits)
			dbm_transaction_rest();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, LONGEST_TRANSACTION), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (commits)
			dbm_transaction_next();
	}
}
