/*-------------------------------------------------------------------------
 *
 * caller.c
 *	  May this caller run migrations, here and now?
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/snapmgr.h"

#include "base/base.h"

/* Is a script running in this session?  Reset by execute.c on errors, too. */
bool		dbm_script_running = false;

/* The last run that ended in this session: its transaction, its last command. */
static LocalTransactionId finished_lxid = InvalidLocalTransactionId;
static CommandId finished_command = FirstCommandId;

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
