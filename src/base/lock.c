/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  The run lock: one runner a database.
 *
 * The lock is a heavyweight lock on an object tag of our own: the extension's
 * OID with a sub-object number that nothing else uses.  No SQL can take or
 * release it, and it goes with the transaction, or to the prepared one; in a
 * procedure the session holds it.  A second one says that online statements are
 * being run, and a third one is for the notes on files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"

#include "base/base.h"

#define RUN_LOCK_SUBID 0x6d67	/* "mg", and the others behind it */

/* Tries, a millisecond apart, to take what others only look at. */
#define LOOKS 200

static DbmWait run_wait(const DbmExtension *ext);
static void set_tag(LOCKTAG *tag, const DbmExtension *ext, DbmLock lock);

/*
 * Take the run lock for the rest of the (sub)transaction; needs SPI to be
 * connected.  Error 55P03 naming the holder after dbmigrate.lock_wait, or at
 * once while an online run is active: whoever waits here has a snapshot, and
 * CREATE INDEX CONCURRENTLY waits for that.
 */
void
dbm_lock_for_run(const DbmExtension *ext)
{
	DbmWait		wait = run_wait(ext);

	set_tag(&wait.gives_up_for, ext, DBM_LOCK_ONLINE);
	dbm_wait_for_lock(ext, &wait);
}

/*
 * Take a lock for the session, where it can be had at once.  It survives
 * commits and subtransactions; the abort of a transaction drops it.  Whoever
 * looks whether somebody has it holds it for a moment: that is waited for.
 */
bool
dbm_lock_take(const DbmExtension *ext, DbmLock lock)
{
	LOCKTAG		tag;

	set_tag(&tag, ext, lock);
	for (int i = 0; i < (lock == DBM_LOCK_ONLINE ? LOOKS : 1); i++)
	{
		if (i > 0)
			pg_usleep(1000);
		if (dbm_lock_held_by_me(&tag, ExclusiveLock) ||
			LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
			return true;
	}
	return false;
}

/* Take a lock for the rest of the (sub)transaction, where it can be had at once. */
bool
dbm_lock_try(const DbmExtension *ext, DbmLock lock)
{
	LOCKTAG		tag;

	set_tag(&tag, ext, lock);
	return LockAcquire(&tag, ExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* Give a session's lock back, if it is still there. */
void
dbm_lock_release(const DbmExtension *ext, DbmLock lock)
{
	LOCKTAG		tag;

	set_tag(&tag, ext, lock);
	if (dbm_lock_held_by_me(&tag, ExclusiveLock))
		(void) LockRelease(&tag, ExclusiveLock, true);
}

/*
 * Does some session hold a lock, this one included?  What is begun and not
 * finished is at work if so, and interrupted if not.
 */
bool
dbm_lock_is_held(const DbmExtension *ext, DbmLock lock)
{
	LOCKTAG		tag;

	set_tag(&tag, ext, lock);
	return dbm_lock_held_by_me(&tag, ExclusiveLock) || dbm_lock_is_held_by_others(&tag);
}

/* What is said of the run lock while somebody waits for it. */
void
dbm_lock_describe(const DbmExtension *ext, DbmWaitText *text)
{
	DbmWait		wait = run_wait(ext);

	dbm_wait_describe(ext, &wait, text);
}

static DbmWait
run_wait(const DbmExtension *ext)
{
	DbmWait		wait = {
		.mode = ExclusiveLock,
		.failure = psprintf("could not obtain the migration lock of database \"%s\"",
							get_database_name(MyDatabaseId)),
		.notice = "waiting for another migration run to end"
	};

	set_tag(&wait.tag, ext, DBM_LOCK_RUN);
	return wait;
}

static void
set_tag(LOCKTAG *tag, const DbmExtension *ext, DbmLock lock)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId, ext->oid,
					   RUN_LOCK_SUBID + lock);
}
