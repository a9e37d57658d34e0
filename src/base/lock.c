/*-------------------------------------------------------------------------
 *
 * lock.c
 *	  The run lock: one runner a database.
 *
 * The lock is a heavyweight lock on an object tag of our own: the extension's
 * OID with a sub-object number that nothing else uses.  No SQL can take or
 * release it, and it goes with the transaction, or to the prepared one.
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

#define RUN_LOCK_SUBID 0x6d67	/* "mg" */

/*
 * Take the run lock for the rest of the (sub)transaction; needs SPI to be
 * connected.  Error 55P03 naming the holder after dbmigrate.lock_wait.
 */
void
dbm_lock_for_run(const DbmExtension *ext)
{
	DbmWait		wait = {
		.mode = ExclusiveLock,
		.failure = psprintf("could not obtain the migration lock of database \"%s\"",
							get_database_name(MyDatabaseId)),
		.notice = "waiting for another migration run to end"
	};

	SET_LOCKTAG_OBJECT(wait.tag, MyDatabaseId, ExtensionRelationId, ext->oid, RUN_LOCK_SUBID);
	dbm_wait_for_lock(ext, &wait);
}
