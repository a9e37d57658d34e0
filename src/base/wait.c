/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Wait for a heavyweight lock, with a bound, and say who holds it.
 *
 * A waiter here holds the snapshot of the statement that called us, and an
 * online run's CREATE INDEX CONCURRENTLY would wait for that snapshot; whoever
 * queues can also be part of a deadlock.  Hence polling with a bound instead
 * of queueing: what cannot be had is an error in time, whatever the order in
 * which others take their locks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/wait_event.h"

#include "base/base.h"

#define POLL_INTERVAL 50		/* milliseconds */

static char *describe_holder(const DbmExtension *ext, const DbmWait *wait);
static const char *tag_condition(const LOCKTAG *tag);
static const char *conflicting_modes(LOCKMODE mode);

/*
 * Take a lock for the rest of the (sub)transaction; needs SPI to be connected.
 * Error 55P03 naming the holder after dbmigrate.lock_wait, or as soon as
 * somebody holds wait->gives_up_for, if that is set.
 */
void
dbm_wait_for_lock(const DbmExtension *ext, const DbmWait *wait)
{
	TimestampTz start = GetCurrentTimestamp();
	DbmWaitText text;
	bool		told = false;

	while (LockAcquire(&wait->tag, wait->mode, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		bool		online = wait->gives_up_for.locktag_field1 != 0 &&
			dbm_lock_is_held_by_others(&wait->gives_up_for);

		if (online || TimestampDifferenceExceeds(start, GetCurrentTimestamp(), dbm_lock_wait))
		{
			dbm_wait_describe(ext, wait, &text);
			if (online)
				text.hint = "It runs online migrations, which would wait for this statement.  Wait for it with CALL migrate.run(), or try again when it has ended.";
			dbm_wait_give_up(&text);
		}
		if (!told && dbm_progress)
		{
			dbm_wait_describe(ext, wait, &text);
			dbm_wait_notice(&text);
		}
		told = true;
		dbm_wait_a_moment();
	}
}

/* Until the next look; error if the wait is cancelled. */
void
dbm_wait_a_moment(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 Min(POLL_INTERVAL, dbm_lock_wait), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

/* All that there is to say of a wait, in the current memory context. */
void
dbm_wait_describe(const DbmExtension *ext, const DbmWait *wait, DbmWaitText *text)
{
	text->failure = pstrdup(wait->failure);
	text->notice = wait->notice;
	text->holder = describe_holder(ext, wait);
	text->hint = "Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';";
}

void
dbm_wait_notice(const DbmWaitText *text)
{
	ereport(NOTICE,
			(errmsg_internal("%s", text->notice),
			 errdetail_internal("%s", text->holder)));
}

/* Error 55P03. */
void
dbm_wait_give_up(const DbmWaitText *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg_internal("%s", text->failure),
			 errdetail_internal("%s", text->holder),
			 errhint("%s", text->hint)));
}

/* Does another session hold a lock, in ExclusiveLock? */
bool
dbm_lock_is_held_by_others(const LOCKTAG *tag)
{
	VirtualTransactionId *holders;
	int			count;

	/*
	 * a look only: a lock of ours, however short, could hinder the next
	 * holder
	 */
	holders = GetLockConflicts(tag, RowShareLock, &count);
	pfree(holders);
	return count > 0;
}

/* A sentence on who is in the way: pid, user, since when; or the gid. */
static char *
describe_holder(const DbmExtension *ext, const DbmWait *wait)
{
	static const char *const query =
		"SELECT CASE WHEN l.pid IS NOT NULL"
		" THEN pg_catalog.format('It is held by process %%s%%s%%s%%s.', l.pid,"
		" CASE WHEN a.usename IS NOT NULL THEN pg_catalog.format(' of user \"%%s\"', a.usename) END,"
		" CASE WHEN a.application_name OPERATOR(pg_catalog.<>) '' THEN pg_catalog.format(' (%%s)', a.application_name)"
		" WHEN a.usename IS NULL AND a.backend_type IS NOT NULL THEN pg_catalog.format(' (%%s)', a.backend_type) END,"
		" CASE WHEN a.xact_start IS NOT NULL THEN pg_catalog.format(', in a transaction since %%s',"
		" pg_catalog.date_trunc('second', a.xact_start)) END)"
		" ELSE pg_catalog.format('It is held by the prepared transaction \"%%s\" of user \"%%s\", since %%s; end it with COMMIT PREPARED or ROLLBACK PREPARED.',"
		" p.gid, p.owner, pg_catalog.date_trunc('second', p.prepared)) END"
		" FROM pg_catalog.pg_locks l"
		" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
		" LEFT JOIN pg_catalog.pg_locks x ON x.locktype OPERATOR(pg_catalog.=) 'transactionid'"
		" AND x.virtualtransaction OPERATOR(pg_catalog.=) l.virtualtransaction AND x.pid IS NULL"
		" LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction OPERATOR(pg_catalog.=) x.transactionid"
		" WHERE l.granted AND l.database OPERATOR(pg_catalog.=) $1"
		" AND (l.pid IS NULL OR l.pid OPERATOR(pg_catalog.<>) $2)"
		" AND l.mode OPERATOR(pg_catalog.=) ANY (ARRAY[%s]) AND %s LIMIT 1";
	DbmParams	params = {0};

	dbm_param(&params, OIDOID, ObjectIdGetDatum(wait->tag.locktag_field1), false);
	dbm_param(&params, INT4OID, Int32GetDatum(MyProcPid), false);

	/* who is there now, not when this transaction first looked */
	pgstat_clear_backend_activity_snapshot();
	dbm_query(ext, psprintf(query, conflicting_modes(wait->mode), tag_condition(&wait->tag)),
			  &params, SPI_OK_SELECT);
	/* a prepared transaction is called as somebody likes */
	return SPI_processed > 0 ? dbm_without_control(dbm_column_text(0, 1)) : "It was held by a process that has just ended.";
}

/* The rows of pg_locks about a tag. */
static const char *
tag_condition(const LOCKTAG *tag)
{
	if (tag->locktag_type == LOCKTAG_RELATION)
		return psprintf("l.locktype OPERATOR(pg_catalog.=) 'relation'"
						" AND l.relation OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid",
						tag->locktag_field2);
	return psprintf("l.locktype OPERATOR(pg_catalog.=) '%s'"
					" AND l.classid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid"
					" AND l.objid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid"
					" AND l.objsubid OPERATOR(pg_catalog.=) '%u'::pg_catalog.int2",
					tag->locktag_type == LOCKTAG_ADVISORY ? "advisory" : "object",
					tag->locktag_field2, tag->locktag_field3, tag->locktag_field4);
}

static const char *
conflicting_modes(LOCKMODE mode)
{
	StringInfoData modes;

	initStringInfo(&modes);
	for (LOCKMODE other = AccessShareLock; other <= AccessExclusiveLock; other++)
		if (DoLockModesConflict(mode, other))
			appendStringInfo(&modes, "%s'%s'", modes.len ? ", " : "",
							 GetLockmodeName(DEFAULT_LOCKMETHOD, other));
	return modes.data;
}
