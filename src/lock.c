/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  Who may run now: the checks on the caller, and one runner a database.
 *
 * The lock is a heavyweight lock on an object tag of our own: the extension's
 * OID with a sub-object number that nothing else uses.  No SQL can take or
 * release it, and it goes with the transaction, or to the prepared one.
 *
 * A waiter here holds the snapshot of the statement that called us, and an
 * online run's CREATE INDEX CONCURRENTLY would wait for that snapshot: hence
 * polling with a bound instead of queueing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "dbmigrate.h"

#define RUN_LOCK_SUBID 0x6d67	/* "mg" */
#define POLL_INTERVAL 50		/* milliseconds */

/* Is a script running in this session?  Reset by execute.c on errors, too. */
bool		dbm_script_running = false;

/* The last run that ended in this session: its transaction, its last command. */
static LocalTransactionId finished_lxid = InvalidLocalTransactionId;
static CommandId finished_command = FirstCommandId;

static char *describe_holder(const DbmExtension *ext);

/*
 * Refuse what can be refused before anything is read: "what" is called where
 * it can do harm or cannot work.
 *
 * Errors: 55000 within a migration or a second time in the same statement,
 * 42501 in a security-restricted operation, 25006 on a standby or read-only,
 * 0A000 at REPEATABLE READ and above.
 */
void
dbm_check_caller(const char *what)
{
	dbm_check_not_in_script(what);
	if (InSecurityRestrictedOperation())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot execute %s within a security-restricted operation", what)));
	PreventCommandDuringRecovery(what);
	PreventCommandIfReadOnly(what);
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot execute %s at isolation level %s", what,
						XactIsoLevel == XACT_SERIALIZABLE ? "SERIALIZABLE" : "REPEATABLE READ"),
				 errdetail("The transaction's snapshot may be older than what another session has applied."),
				 errhint("Begin with: BEGIN ISOLATION LEVEL READ COMMITTED;")));

	/*
	 * A statement keeps the snapshot it began with, so one that is older than
	 * the end of the last run called that run as well.
	 */
	if (finished_lxid == dbm_my_lxid() && ActiveSnapshotSet() &&
		GetActiveSnapshot()->curcid < finished_command)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot execute %s a second time in the same SQL statement", what),
				 errhint("Call it once, for example: SELECT * FROM %s;", what)));
}

/* The part that holds for all functions that write. */
void
dbm_check_not_in_script(const char *what)
{
	if (dbm_script_running)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot execute %s within a migration", what)));
}

/* Remember that a run has ended, for dbm_check_caller(). */
void
dbm_run_finished(void)
{
	finished_lxid = dbm_my_lxid();
	finished_command = GetCurrentCommandId(false);
}

/*
 * Take the run lock for the rest of the (sub)transaction; needs SPI to be
 * connected.  Error 55P03 naming the holder after dbmigrate.lock_wait.
 */
void
dbm_lock_for_run(const DbmExtension *ext)
{
	LOCKTAG		tag;
	TimestampTz start = GetCurrentTimestamp();
	bool		told = false;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, ext->oid, RUN_LOCK_SUBID);
	while (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), dbm_lock_wait))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not obtain the migration lock of database \"%s\"",
							get_database_name(MyDatabaseId)),
					 errdetail_internal("%s", describe_holder(ext)),
					 errhint("Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';")));
		if (!told && dbm_progress)
			ereport(NOTICE,
					(errmsg("waiting for another migration run to end"),
					 errdetail_internal("%s", describe_holder(ext))));
		told = true;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(POLL_INTERVAL, dbm_lock_wait), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* A sentence on who holds the lock: pid, user, since when; or the gid. */
static char *
describe_holder(const DbmExtension *ext)
{
	static const char *const query =
		"SELECT CASE WHEN l.pid IS NOT NULL"
		" THEN pg_catalog.format('It is held by process %s of user \"%s\"%s, in a transaction since %s.',"
		" l.pid, a.usename, CASE WHEN a.application_name OPERATOR(pg_catalog.=) '' THEN ''"
		" ELSE pg_catalog.format(' (%s)', a.application_name) END,"
		" pg_catalog.date_trunc('second', a.xact_start))"
		" ELSE pg_catalog.format('It is held by the prepared transaction \"%s\" of user \"%s\", since %s; end it with COMMIT PREPARED or ROLLBACK PREPARED.',"
		" p.gid, p.owner, pg_catalog.date_trunc('second', p.prepared)) END"
		" FROM pg_catalog.pg_locks l"
		" LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
		" LEFT JOIN pg_catalog.pg_locks x ON x.locktype OPERATOR(pg_catalog.=) 'transactionid'"
		" AND x.virtualtransaction OPERATOR(pg_catalog.=) l.virtualtransaction AND x.pid IS NULL"
		" LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction OPERATOR(pg_catalog.=) x.transactionid"
		" WHERE l.locktype OPERATOR(pg_catalog.=) 'object' AND l.granted"
		" AND l.database OPERATOR(pg_catalog.=) $1 AND l.classid OPERATOR(pg_catalog.=) $2"
		" AND l.objid OPERATOR(pg_catalog.=) $3 AND l.objsubid OPERATOR(pg_catalog.=) $4";
	DbmParams	params = {0};

	dbm_param(&params, OIDOID, ObjectIdGetDatum(MyDatabaseId), false);
	dbm_param(&params, OIDOID, ObjectIdGetDatum(ExtensionRelationId), false);
	dbm_param(&params, OIDOID, ObjectIdGetDatum(ext->oid), false);
	dbm_param(&params, INT2OID, Int16GetDatum(RUN_LOCK_SUBID), false);

	/* who is there now, not when this transaction first looked */
	pgstat_clear_backend_activity_snapshot();
	dbm_query(ext, query, &params, SPI_OK_SELECT);
	return SPI_processed > 0 ? dbm_column_text(0, 1) : "It was held by a process that has just ended.";
}
