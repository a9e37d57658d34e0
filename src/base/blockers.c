/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Who is, or was, in the way of a statement that wants a lock.
 *
 * When the error is there the wait has been cleaned up, so that nobody can be
 * asked what it was for.  Hence a look at it from time to time while it lasts.
 *
 * A process that waits can say nothing, but for what log_lock_waits has it tell
 * the log after deadlock_timeout: then the client is told as well.  To look
 * wakes the process, and each time it would tell the log again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "base/base.h"

#define LOOK_INTERVAL 100		/* milliseconds */

static TimeoutId look_timeout;
static bool is_registered = false;
static bool is_looking = false;

/* The last wait that was seen. */
static volatile sig_atomic_t was_seen = false;
static LOCKTAG seen_tag;
static LOCKMODE seen_mode;
static TimestampTz seen_since;

/* Is the client told while it lasts? */
static bool is_telling = false;

/* When the wait began that the log knows of. */
static uint64 logged_wait = 0;
static emit_log_hook_type next_log_hook = NULL;

static void look(void);
static void hear(ErrorData *logged);
static void notice_wait(const LOCKTAG *tag, LOCKMODE mode);
static Datum *holders_of(const LOCKTAG *tag, LOCKMODE mode, int *npids, bool *is_prepared);
static void describe(Datum pids, TimestampTz since, DbmBlockers *blockers);

/* Begin to look. */
void
dbm_blockers_watch(void)
{
	if (!is_registered)
	{
		look_timeout = RegisterTimeout(USER_TIMEOUT, look);
		next_log_hook = emit_log_hook;
		emit_log_hook = hear;
	}
	is_registered = is_looking = true;
	was_seen = false;
	enable_timeout_every(look_timeout,
						 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), LOOK_INTERVAL), LOOK_INTERVAL);
}

/*
 * Is autovacuum all that holds a lock on a table that is in the way of a
 * statement CONCURRENTLY?
 */
bool
dbm_autovacuum_is_alone(Oid table)
{
	VirtualTransactionId *holders;
	LOCKTAG		tag;
	int			count;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
	holders = GetLockConflicts(&tag, ShareUpdateExclusiveLock, &count);
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = dbm_vxid_proc(holders[i]);

		if (proc == NULL || (proc->statusFlags & PROC_IS_AUTOVACUUM) == 0)
			return false;
	}
	return count > 0;
}

/* In the signal handler of the timeout; perhaps of a process that is ending. */
static void
look(void)
{
	LOCK	   *lock = MyProc ? MyProc->waitLock : NULL;
	uint64		since = lock ? pg_atomic_read_u64(&MyProc->waitStart) : 0;

	if (since > 0)
	{
		seen_since = (TimestampTz) since;
		memcpy(&seen_tag, &lock->tag, sizeof(LOCKTAG));
		seen_mode = MyProc->waitLockMode;
		was_seen = true;
	}
}

/*
 * Tell the client as well, from now on; "is_wanted" is false for not any more.
 * Takes effect where log_lock_waits is on.
 */
void
dbm_blockers_tell(bool is_wanted)
{
	is_telling = is_wanted;
}

/* Something goes to the log: of a wait once, and then the client hears of it, too. */
static void
hear(ErrorData *logged)
{
	LOCK	   *lock = MyProc ? MyProc->waitLock : NULL;

	if (is_looking && lock && logged->elevel == LOG)
	{
		uint64		wait = pg_atomic_read_u64(&MyProc->waitStart);

		if (wait == logged_wait)
		{
			logged->output_to_server = false;
			return;
		}
		logged_wait = wait;
		if (is_telling)
		{
			/* the wait must not be ended amid the report of it */
			HOLD_INTERRUPTS();
			notice_wait(&lock->tag, MyProc->waitLockMode);
			RESUME_INTERRUPTS();
		}
	}
	if (next_log_hook)
		next_log_hook(logged);
}

/* Without a look at a catalog: we are waiting for a lock. */
static void
notice_wait(const LOCKTAG *tag, LOCKMODE mode)
{
	StringInfoData list;
	bool		is_prepared;
	int			npids;
	Datum	   *pids = holders_of(tag, mode, &npids, &is_prepared);

	initStringInfo(&list);
	for (int i = 0; i < npids; i++)
		appendStringInfo(&list, "%s%d", i > 0 ? ", " : "", DatumGetInt32(pids[i]));
	if (npids > 0)
		ereport(NOTICE,
				(errmsg("waiting for a lock"),
				 errdetail_plural("In the way: process %s.", "In the way: processes %s.", npids, list.data),
				 errhint("See what it does: SELECT pid, usename, application_name, state, xact_start, query FROM pg_catalog.pg_stat_activity WHERE pid IN (%s);",
						 list.data)));
	else if (is_prepared)
		ereport(NOTICE,
				(errmsg("waiting for a lock"),
				 errdetail("In the way: a prepared transaction."),
				 errhint("See which: SELECT * FROM pg_catalog.pg_prepared_xacts; end it with COMMIT PREPARED or ROLLBACK PREPARED.")));
}

/* Stop to look. */
void
dbm_blockers_stop(void)
{
	disable_timeout(look_timeout, false);
	is_looking = false;
}

/*
 * Stop it.  Who still holds what was waited for last, as far as the caller may
 * see it; both texts are NULL if nobody does.  Needs SPI to be connected.
 */
void
dbm_blockers_find(DbmBlockers *blockers)
{
	Datum	   *pids;
	int			npids;
	bool		is_prepared;

	dbm_blockers_stop();
	memset(blockers, 0, sizeof(DbmBlockers));
	if (!was_seen)
		return;
	pids = holders_of(&seen_tag, seen_mode, &npids, &is_prepared);
	if (npids > 0)
		describe(PointerGetDatum(construct_array(pids, npids, INT4OID, sizeof(int32), true, TYPALIGN_INT)),
				 seen_since, blockers);
}

/* The same of another process, while it waits. */
void
dbm_blockers_of(int pid, DbmBlockers *blockers)
{
	memset(blockers, 0, sizeof(DbmBlockers));
	describe(DirectFunctionCall1(pg_blocking_pids, Int32GetDatum(pid)), GetCurrentTimestamp(), blockers);
}

/* The processes that hold a lock; *is_prepared if a prepared transaction does. */
static Datum *
holders_of(const LOCKTAG *tag, LOCKMODE mode, int *npids, bool *is_prepared)
{
	int			count;
	VirtualTransactionId *holders = GetLockConflicts(tag, mode, &count);
	Datum	   *pids = palloc(Max(count, 1) * sizeof(Datum));

	*npids = 0;
	*is_prepared = false;
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = dbm_vxid_proc(holders[i]);

		if (proc)
			pids[(*npids)++] = Int32GetDatum(proc->pid);
		else
			*is_prepared = true;
	}
	return pids;
}

/*
 * With the caller's rights: the view hides from him what he may not see.
 * Whose transaction is younger than the wait stood behind us in the queue, and
 * has the lock because we gave up.  The oldest first: he it is, most often.
 */
static void
describe(Datum pids, TimestampTz since, DbmBlockers *blockers)
{
	Oid			types[] = {INT4ARRAYOID, TIMESTAMPTZOID};
	Datum		values[] = {pids, TimestampTzGetDatum(since)};
	MemoryContext caller = CurrentMemoryContext;
	int			guc_level = NewGUCNestLevel();

	/* who is there now, not when this transaction first looked */
	pgstat_clear_backend_activity_snapshot();
	dbm_pin("search_path", "pg_catalog, pg_temp");
	if (SPI_execute_with_args("SELECT pg_catalog.string_agg(x.who, '; '),"
							  " pg_catalog.string_agg(pg_catalog.concat(x.who, ': ', x.query), '; ') FROM ("
							  "SELECT pg_catalog.format('process %s of user \"%s\"%s%s', a.pid, a.usename,"
							  " CASE WHEN a.application_name OPERATOR(pg_catalog.<>) '' THEN pg_catalog.format(' (%s)', a.application_name) END,"
							  " CASE WHEN a.xact_start IS NOT NULL THEN pg_catalog.format(', in a transaction since %s',"
							  " pg_catalog.date_trunc('second', a.xact_start)) END) AS who, pg_catalog.left(a.query, 200) AS query"
							  " FROM pg_catalog.pg_stat_activity a WHERE a.pid OPERATOR(pg_catalog.=) ANY ($1)"
							  " AND (a.xact_start IS NULL OR a.xact_start OPERATOR(pg_catalog.<=) $2)"
							  " ORDER BY a.xact_start, a.pid) x",
							  2, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_activity");
	AtEOXact_GUC(false, guc_level);
	MemoryContextSwitchTo(caller);
	if (SPI_processed > 0 && !dbm_column_is_null(0, 1))
	{
		blockers->who = dbm_without_control(dbm_column_text(0, 1));
		blockers->with_queries = dbm_without_control(dbm_column_text(0, 2));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* For the history, which others read; or NULL. */
const char *
dbm_blockers_reason(const DbmBlockers *blockers)
{
	return blockers->who ? psprintf("in the way: %s", blockers->who) : NULL;
}

/*
 * Add it to an error that has to do with waiting, and return it for the history;
 * NULL if there is nothing to say.  To a deadlock the server has said it already.
 */
const char *
dbm_blockers_explain(const DbmBlockers *blockers, ErrorData *error)
{
	if (blockers->who == NULL ||
		(error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE && error->sqlerrcode != ERRCODE_QUERY_CANCELED))
		return NULL;
	if (error->detail == NULL)
		error->detail = psprintf("In the way: %s.", blockers->with_queries);
	return dbm_blockers_reason(blockers);
}
