/*-------------------------------------------------------------------------
 *
 * blockers.c
 *	  Who is, or was, in the way of a statement that wants a lock.
 *
 * When the error is there the wait has been cleaned up, so that nobody can be
 * asked what it was for.  Hence a look at it from time to time while it lasts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timeout.h"
#include "utils/timestamp.h"

#include "online/online.h"

#define LOOK_INTERVAL 100		/* milliseconds */

static TimeoutId look_timeout;
static bool is_registered = false;

/* The last wait that was seen. */
static volatile sig_atomic_t was_seen = false;
static LOCKTAG seen_tag;
static LOCKMODE seen_mode;
static TimestampTz seen_since;

static void look(void);
static void describe(Datum pids, DbmBlockers *blockers);

/* Begin to look. */
void
dbm_blockers_watch(void)
{
	if (!is_registered)
		look_timeout = RegisterTimeout(USER_TIMEOUT, look);
	is_registered = true;
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

		if (proc && (proc->statusFlags & PROC_IS_AUTOVACUUM) == 0)
			return false;
	}
	return count > 0;
}

/* In the signal handler of the timeout. */
static void
look(void)
{
	LOCK	   *lock = MyProc->waitLock;

	if (lock)
	{
		if (!was_seen || memcmp(&seen_tag, &lock->tag, sizeof(LOCKTAG)) != 0)
			seen_since = GetCurrentTimestamp();
		memcpy(&seen_tag, &lock->tag, sizeof(LOCKTAG));
		seen_mode = MyProc->waitLockMode;
		was_seen = true;
	}
}

/*
 * Stop it.  Who still holds what was waited for last, as far as the caller may
 * see it; both texts are NULL if nobody does.  Needs SPI to be connected.
 */
void
dbm_blockers_tell(DbmBlockers *blockers)
{
	VirtualTransactionId *holders;
	Datum	   *pids;
	int			count;
	int			npids = 0;

	disable_timeout(look_timeout, false);
	memset(blockers, 0, sizeof(DbmBlockers));
	if (!was_seen)
		return;
	holders = GetLockConflicts(&seen_tag, seen_mode, &count);
	pids = palloc(Max(count, 1) * sizeof(Datum));
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = dbm_vxid_proc(holders[i]);

		if (proc)
			pids[npids++] = Int32GetDatum(proc->pid);
	}
	if (npids > 0)
		describe(PointerGetDatum(construct_array(pids, npids, INT4OID, sizeof(int32), true, TYPALIGN_INT)),
				 blockers);
}

/*
 * With the caller's rights: the view hides from him what he may not see.
 * Whose transaction is younger than the wait stood behind us in the queue, and
 * has the lock because we gave up.  The oldest first: he it is, most often.
 */
static void
describe(Datum pids, DbmBlockers *blockers)
{
	Oid			types[] = {INT4ARRAYOID, TIMESTAMPTZOID};
	Datum		values[] = {pids, TimestampTzGetDatum(seen_since)};
	MemoryContext caller = CurrentMemoryContext;
	int			guc_level = NewGUCNestLevel();

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
