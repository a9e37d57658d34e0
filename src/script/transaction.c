/*-------------------------------------------------------------------------
 *
 * transaction.c
 *	  The transactions of a procedure that the client has called.
 *
 * SPI_commit() is not used: what runs between our transactions must not run
 * below SPI.  Nobody else is between us and the client, so there are no cursors
 * of a language to hold, which is the rest of what SPI_commit() does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "pgstat.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "script/script.h"

/* The transaction that was started last. */
static LocalTransactionId ours = InvalidLocalTransactionId;

/* Start a transaction of ours; the memory context stays the caller's. */
void
dbm_transaction_start(void)
{
	MemoryContext caller = CurrentMemoryContext;

	/* from 18 on its end goes back to this one, which must be there then */
	MemoryContextSwitchTo(MessageContext ? MessageContext : TopMemoryContext);
	/* now() and the statistics are for each transaction, not for the CALL */
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	/* whatever the defaults are: between two of ours others may run */
	XactIsoLevel = XACT_READ_COMMITTED;
	XactReadOnly = false;
	ours = dbm_my_lxid();
	dbm_transaction_limit_statement();
	MemoryContextSwitchTo(caller);
}

/*
 * A statement begins: statement_timeout holds for each, not for the CALL.  In
 * the transaction of somebody else it goes on as it is.
 */
void
dbm_transaction_limit_statement(void)
{
	if (ours != dbm_my_lxid())
		return;
	if (StatementTimeout > 0)
		enable_timeout_after(STATEMENT_TIMEOUT, StatementTimeout);
	else
		disable_timeout(STATEMENT_TIMEOUT, false);
}

/* Nothing runs for a while, on purpose. */
void
dbm_transaction_rest(void)
{
	disable_timeout(STATEMENT_TIMEOUT, false);
}

/* Commit the present one; whoever is left outside of one has no snapshot. */
void
dbm_transaction_commit(void)
{
	MemoryContext caller = CurrentMemoryContext;

	ForgetPortalSnapshots();
	CommitTransactionCommand();
	pgstat_report_stat(false);
	MemoryContextSwitchTo(caller);
}

/*
 * Abort the present one, after an error that was caught.  The snapshot that SPI
 * may have given the portal of the CALL is gone with it, which nobody else tells
 * the portal: what procedures do is caught by the server itself.
 */
void
dbm_transaction_abort(void)
{
	AbortCurrentTransaction();
	if (ActivePortal)
		ActivePortal->portalSnapshot = NULL;
}

/* Commit, and go on in a new one. */
void
dbm_transaction_next(void)
{
	dbm_transaction_commit();
	dbm_transaction_start();
}
