/*-------------------------------------------------------------------------
 *
 * toplevel.c
 *	  Run one statement as if the client had sent it alone.
 *
 * CREATE INDEX CONCURRENTLY and its like commit amid their work, so that the
 * server refuses them below SPI.  A procedure that the client has called may
 * end its transaction; between two of them the server's own path for a simple
 * query is open, with the portal of the CALL waiting below, as it does for a
 * statement that commits inside (see PortalRunMulti() and AtAbort_Portals()).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "parser/analyze.h"
#include "pgstat.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/snapmgr.h"

#include "script/internal.h"

static void run_as_query(const char *sql);

/*
 * Run a statement of a script (from 0) with its own transactions and commit.
 *
 * Wants a transaction without snapshot, xid or SPI level, in a procedure that
 * the client has called itself; there is a new one of that kind afterwards.
 * The current memory context must survive transactions.  NULL, or the error:
 * it is not raised, since its transaction is aborted here already, and with it
 * the locks of the session.  *has_committed says whether anything was committed
 * before that.  "at_end" (or NULL) is called in the statement's last transaction.
 *
 * A statement that commits must not have a security context, so what is
 * restricted is so by other means, see frozen.c.
 */
ErrorData *
dbm_execute_top_level(DbmScript *script, const DbmLabel *label, int number, bool restricted,
					  void (*at_end) (void *), void *arg, bool *has_committed)
{
	LocalTransactionId began = dbm_my_lxid();
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "dbmigrate statement", ALLOCSET_DEFAULT_SIZES);
	ErrorData  *volatile error = NULL;
	DbmPlace	place = {.label = dbm_label_text(label), .activity = dbm_activity_label(label), .script = script};

	dbm_place_enter(&place);
	dbm_script_running = true;
	if (restricted)
		dbm_frozen_begin();
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		dbm_place_statement(&place, number);
		run_as_query(place.sql);
		if (at_end)
			at_end(arg);
		dbm_transaction_commit();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		*has_committed = dbm_my_lxid() != began;
		dbm_transaction_abort();
	}
	PG_END_TRY();
	if (restricted)
		dbm_frozen_end();
	dbm_script_running = false;
	dbm_place_statement_done(&place);
	dbm_place_leave(&place);
	dbm_transaction_start();
	if (error && restricted)
		dbm_frozen_explain(error);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return error;
}

/* What exec_simple_query() does for a statement, as far as it is not the client's. */
static void
run_as_query(const char *sql)
{
	RawStmt    *tree = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	bool		wants_snapshot = analyze_requires_snapshot(tree);
	DestReceiver *dest = CreateDestReceiver(DestNone);
	QueryCompletion completion;
	List	   *plans;
	Portal		portal;

	if (wants_snapshot)
		PushActiveSnapshot(GetTransactionSnapshot());
	plans = pg_plan_queries(pg_analyze_and_rewrite_fixedparams(tree, sql, NULL, 0, NULL), sql,
							CURSOR_OPT_PARALLEL_OK, NULL);
	if (wants_snapshot)
		PopActiveSnapshot();

	portal = CreateNewPortal();
	portal->visible = false;
	PortalDefineQuery(portal, NULL, sql, CreateCommandTag(tree->stmt), plans, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	dbm_portal_run(portal, dest, &completion);
	dest->rDestroy(dest);
	PortalDrop(portal, false);
}
