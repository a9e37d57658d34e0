/*-------------------------------------------------------------------------
 *
 * leftover.c
 *	  What a script leaves in the session.
 *
 * With a transaction for each migration a commit would end part of it: ON
 * COMMIT DROP tables and cursors.  All of one call share a transaction, so
 * that happens here; what the caller has, or had before, stays.
 *
 * In a lowered session the rest must not stay either: pg_temp is searched
 * first, for types always, and a prepared statement keeps its plan, so that
 * whoever goes back to being himself would run what somebody else has left.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "commands/prepare.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

#include "script/internal.h"

/* A cursor of the caller's. */
typedef struct Cursor
{
	const char *name;
	const char *text;
} Cursor;

struct DbmLeftover
{
	List	   *cursors;		/* Cursor */
	bool		restricted;
	const char *expected;		/* the ON COMMIT DROP table now being made */
	List	   *dropped_at_end; /* OIDs of those that were */

	/* if restricted: */
	List	   *prepared;		/* names of statements */
	List	   *temporary;		/* DbmTemporary, what pg_temp held */
	CommandId	began;
};

static SPIPlanPtr plan_cursors = NULL;

/* Of the restricted script that is running, or NULL. */
static DbmLeftover *watched = NULL;
static ProcessUtility_hook_type next_utility_hook = NULL;

static void watch_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
						  ProcessUtilityContext context, ParamListInfo params,
						  QueryEnvironment *environment, DestReceiver *dest,
						  QueryCompletion *completion);

static uint64 find_cursors(void);
static void drop_expected(DbmLeftover *leftover);
static void close_cursors(DbmLeftover *leftover);
static bool is_callers(DbmLeftover *leftover, Portal portal);
static List *deallocate(const DbmLeftover *leftover);
static void notice_deallocated(List *names);

/*
 * PREPARE is not undone by an error, and after one no query can tell what is
 * prepared.  So see it while a restricted script runs.
 */
void
dbm_leftover_init(void)
{
	next_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = watch_utility;
}

/* Does some other extension see utility statements as well? */
bool
dbm_leftover_other_hooks(void)
{
	return ProcessUtility_hook != watch_utility || next_utility_hook != NULL;
}

static void
watch_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
			  ProcessUtilityContext context, ParamListInfo params,
			  QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *completion)
{
	const char *name;

	dbm_frozen_check(context, pstmt->utilityStmt);
	name = watched && IsA(pstmt->utilityStmt, PrepareStmt) ?
		((PrepareStmt *) pstmt->utilityStmt)->name : NULL;

	/* one of that name makes PREPARE fail, and is not the script's */
	if (name && FetchPreparedStatement(name, false) == NULL)
	{
		MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(watched));

		watched->prepared = lappend(watched->prepared, pstrdup(name));
		MemoryContextSwitchTo(caller);
	}
	if (next_utility_hook)
		next_utility_hook(pstmt, query, read_only_tree, context, params, environment, dest, completion);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest,
								completion);
}

/*
 * The cursors that the statement which called us has opened before; those of
 * earlier statements are told by their time.
 */
List *
dbm_leftover_callers_cursors(void)
{
	List	   *cursors = NIL;
	uint64		n = find_cursors();

	for (uint64 row = 0; row < n; row++)
	{
		Cursor	   *cursor = palloc(sizeof(Cursor));
		Portal		portal;

		cursor->name = dbm_column_text(row, 1);
		portal = GetPortalByName(cursor->name);
		cursor->text = PortalIsValid(portal) ? pstrdup(portal->sourceText) : "";
		cursors = lappend(cursors, cursor);
	}
	SPI_freetuptable(SPI_tuptable);
	return cursors;
}

/*
 * Remember what is there before a script runs.  "cursors" are the caller's,
 * "restricted" says that nothing of the script may stay in the session.
 */
DbmLeftover *
dbm_leftover_begin(List *cursors, bool restricted)
{
	DbmLeftover *leftover = palloc0(sizeof(DbmLeftover));

	leftover->cursors = cursors;
	leftover->restricted = restricted;
	if (restricted)
	{
		leftover->temporary = dbm_temporary_objects();
		leftover->began = GetCurrentCommandId(true);
		CommandCounterIncrement();
		watched = leftover;
	}
	return leftover;
}

/* Before a statement: will it make an ON COMMIT DROP table, as far as its text says? */
void
dbm_leftover_expect(DbmLeftover *leftover, const char *sql)
{
	Node	   *tree;
	RangeVar   *relation = NULL;
	OnCommitAction action = ONCOMMIT_NOOP;

	leftover->expected = NULL;
	if (pg_strncasecmp(sql, "create", 6) != 0 || strcasestr(sql, "commit") == NULL)
		return;
	tree = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt;
	if (IsA(tree, CreateStmt))
	{
		relation = ((CreateStmt *) tree)->relation;
		action = ((CreateStmt *) tree)->oncommit;
	}
	else if (IsA(tree, CreateTableAsStmt))
	{
		relation = ((CreateTableAsStmt *) tree)->into->rel;
		action = ((CreateTableAsStmt *) tree)->into->onCommit;
	}
	if (action == ONCOMMIT_DROP &&
		!(OidIsValid(dbm_temporary_schema()) && OidIsValid(get_relname_relid(relation->relname, dbm_temporary_schema()))))
		leftover->expected = relation->relname;
}

/* After it: that is the table. */
void
dbm_leftover_take(DbmLeftover *leftover)
{
	Oid			table;

	if (leftover->expected == NULL || !OidIsValid(dbm_temporary_schema()))
		return;
	table = get_relname_relid(leftover->expected, dbm_temporary_schema());
	leftover->expected = NULL;
	if (OidIsValid(table))
	{
		MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(leftover));

		leftover->dropped_at_end = lappend_oid(leftover->dropped_at_end, table);
		MemoryContextSwitchTo(caller);
	}
}

/*
 * The script is done.  "may_have_cursors" is false if none of its statements
 * can open one.  Errors, for a restricted script: 42501 where it has left
 * something to be executed later that cannot be dropped.
 */
void
dbm_leftover_end(DbmLeftover *leftover, bool may_have_cursors)
{
	if (leftover->restricted)
		dbm_deferred_flush();
	if (leftover->restricted || may_have_cursors)
		close_cursors(leftover);
	if (leftover->dropped_at_end)
		drop_expected(leftover);
	if (leftover->restricted)
	{
		notice_deallocated(deallocate(leftover));
		dbm_temporary_drop_new(leftover->temporary, leftover->began);
	}
	watched = NULL;
}

/*
 * The script has failed, and the transaction, or a part of it, is going to be
 * aborted: nothing that reads a catalog is possible any more.
 */
void
dbm_leftover_abort(void)
{
	if (watched)
		(void) deallocate(watched);
	watched = NULL;
}

/*
 * The cursors of the present statement: name, and whether they are WITH
 * HOLD, in SPI_tuptable.  Returns how many.
 */
static uint64
find_cursors(void)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			type = TIMESTAMPTZOID;
	Datum		now = TimestampTzGetDatum(GetCurrentStatementStartTimestamp());

	if (plan_cursors == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare("SELECT c.name, c.is_holdable FROM pg_catalog.pg_cursors c"
									   " WHERE c.creation_time OPERATOR(pg_catalog.=) $1", 1, &type);

		if (plan == NULL)
			elog(ERROR, "SPI_prepare returned %s", SPI_result_code_string(SPI_result));
		SPI_keepplan(plan);
		plan_cursors = plan;
	}
	if (SPI_execute_plan(plan_cursors, &now, NULL, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_cursors");
	MemoryContextSwitchTo(caller);
	return SPI_processed;
}

/* Close what the script has opened. */
static void
close_cursors(DbmLeftover *leftover)
{
	uint64		n = find_cursors();

	for (uint64 row = 0; row < n; row++)
	{
		char	   *name = dbm_column_text(row, 1);
		Portal		portal = GetPortalByName(name);

		if (!PortalIsValid(portal) || portal->createSubid == InvalidSubTransactionId ||
			is_callers(leftover, portal))
			continue;
		if (!dbm_column_bool(row, 2))
			PortalDrop(portal, false);
		else if (leftover->restricted)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("cursor \"%s\" WITH HOLD is not allowed here", name),
					 errdetail("Its query would run at commit, with the rights of the session.")));
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Not one that has taken its name. */
static bool
is_callers(DbmLeftover *leftover, Portal portal)
{
	ListCell   *lc;

	foreach(lc, leftover->cursors)
	{
		const Cursor *cursor = lfirst(lc);

		if (strcmp(cursor->name, portal->name) == 0 && strcmp(cursor->text, portal->sourceText) == 0)
			return true;
	}
	return false;
}

/* As the server would at a commit. */
static void
drop_expected(DbmLeftover *leftover)
{
	ListCell   *lc;

	foreach(lc, leftover->dropped_at_end)
	{
		ObjectAddress object;

		ObjectAddressSet(object, RelationRelationId, lfirst_oid(lc));
		/* a script that drops or moves it itself is free to do so */
		if (OidIsValid(get_rel_namespace(object.objectId)) &&
			get_rel_namespace(object.objectId) == dbm_temporary_schema())
			performDeletion(&object, DROP_CASCADE, PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	}
	CommandCounterIncrement();
}

/* Deallocate what a restricted script has prepared, and return the names. */
static List *
deallocate(const DbmLeftover *leftover)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, leftover->prepared)
	{
		const char *name = lfirst(lc);

		/* the script may have done so, and prepared another one */
		if (FetchPreparedStatement(name, false) == NULL)
			continue;
		DropPreparedStatement(name, false);
		names = lappend(names, lfirst(lc));
	}
	return names;
}

static void
notice_deallocated(List *names)
{
	StringInfoData list;
	ListCell   *lc;

	if (names == NIL)
		return;
	initStringInfo(&list);
	foreach(lc, names)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(lfirst(lc)));
	ereport(NOTICE,
			(errmsg("deallocated statements that the script prepared"),
			 errdetail("%s.", dbm_without_control(list.data))));
}
