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

#include "online/online.h"

/* Milliseconds; each pause is twice the last, and up to a half longer or shorter. */
#define FIRST_PAUSE 500
#define LONGEST_PAUSE 60000
#define LONGEST_TRANSACTION 1000	/* that does nothing but wait */

/* Would the same migration do better a little later? */
bool
dbm_retry_is_worth(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		error->sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED ||
		error->sqlerrcode == ERRCODE_T_R_SERIALIZATION_FAILURE;
}

/* Milliseconds to wait after that attempt, which are counted from 1. */
long
dbm_retry_pause(int attempt)
{
	double		pause = FIRST_PAUSE;

	for (int i = 1; i < attempt && pause < LONGEST_PAUSE; i++)
		pause *= 2;
	return Min(pause, LONGEST_PAUSE) * (0.5 + pg_prng_double(&pg_global_prng_state));
}

/*
 * In transactions that have neither snapshot nor locks, so nobody waits for us,
 * and that are short: a pause is nothing that a timeout is meant for.
 */
void
dbm_retry_wait(long milliseconds)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), milliseconds);
	long		left;

	while ((left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end)) > 0)
	{
		dbm_transaction_rest();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, LONGEST_TRANSACTION), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		dbm_transaction_next();
	}
}
