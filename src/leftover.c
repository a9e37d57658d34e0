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

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "commands/prepare.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/portal.h"

#include "compat.h"
#include "dbmigrate.h"

/* A statement that was there before. */
typedef struct Prepared
{
	const char *name;
	TimestampTz when;
	const char *text;
} Prepared;

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
	List	   *temporary;		/* ObjectAddress, what pg_temp held */
	List	   *prepared;		/* Prepared */
	CommandId	began;
};

static SPIPlanPtr plan_cursors = NULL;

static uint64 find_cursors(void);
static Oid	temp_namespace(void);
static List *temporary_objects(void);
static List *depending_on(Oid class, Oid object);
static List *prepared_statements(void);
static void drop_expected(DbmLeftover *leftover);
static void close_cursors(DbmLeftover *leftover);
static bool is_callers(DbmLeftover *leftover, Portal portal);
static void drop_temporary(DbmLeftover *leftover);
static char *describe(const ObjectAddress *object);
static bool is_listed(List *objects, const ObjectAddress *object);
static void refuse_changed(DbmLeftover *leftover);
static bool is_changed(const ObjectAddress *object, CommandId since);
static bool has_new_dependency(const ObjectAddress *object, bool as_referenced, CommandId since);
static void deallocate(DbmLeftover *leftover);
static bool was_prepared(DbmLeftover *leftover, const Prepared *statement);

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
		leftover->temporary = temporary_objects();
		leftover->prepared = prepared_statements();
		leftover->began = GetCurrentCommandId(true);
		CommandCounterIncrement();
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
		!(OidIsValid(temp_namespace()) && OidIsValid(get_relname_relid(relation->relname, temp_namespace()))))
		leftover->expected = relation->relname;
}

/* After it: that is the table. */
void
dbm_leftover_take(DbmLeftover *leftover)
{
	Oid			table;

	if (leftover->expected == NULL || !OidIsValid(temp_namespace()))
		return;
	table = get_relname_relid(leftover->expected, temp_namespace());
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
		deallocate(leftover);
		drop_temporary(leftover);
	}
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
			get_rel_namespace(object.objectId) == temp_namespace())
			performDeletion(&object, DROP_CASCADE, PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	}
	CommandCounterIncrement();
}

static Oid
temp_namespace(void)
{
	Oid			temp;
	Oid			toast;

	GetTempNamespaceState(&temp, &toast);
	return temp;
}

static List *
temporary_objects(void)
{
	return OidIsValid(temp_namespace()) ? depending_on(NamespaceRelationId, temp_namespace()) : NIL;
}

/* Everything that has a dependency on an object, of whatever kind. */
static List *
depending_on(Oid class, Oid object)
{
	List	   *objects = NIL;
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(class));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(object));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *found = palloc(sizeof(ObjectAddress));

		ObjectAddressSet(*found, form->classid, form->objid);
		objects = lappend(objects, found);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return objects;
}

/* Drop what a restricted script has left in pg_temp. */
static void
drop_temporary(DbmLeftover *leftover)
{
	ObjectAddresses *doomed = new_object_addresses();
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	refuse_changed(leftover);
	foreach(lc, temporary_objects())
	{
		ObjectAddress *object = lfirst(lc);

		if (is_listed(leftover->temporary, object))
			continue;
		add_exact_object_address(object, doomed);
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", describe(object));
	}
	if (list.len == 0)
		return;
	performMultipleDeletions(doomed, DROP_CASCADE, PERFORM_DELETION_INTERNAL | PERFORM_DELETION_QUIETLY);
	CommandCounterIncrement();
	ereport(NOTICE,
			(errmsg("dropped what the script left in the session"),
			 errdetail("%s.", list.data)));
}

/* With pg_temp for the schema's real name, which means nothing to anybody. */
static char *
describe(const ObjectAddress *object)
{
	char	   *schema = psprintf("%s.", get_namespace_name(temp_namespace()));
	char	   *description = getObjectDescription(object, true);
	char	   *found;

	if (description == NULL)
		return NULL;
	while ((found = strstr(description, schema)) != NULL)
	{
		char	   *rest = found + strlen(schema);

		memcpy(found, "pg_temp.", strlen("pg_temp."));
		memmove(found + strlen("pg_temp."), rest, strlen(rest) + 1);
	}
	return dbm_without_control(description);
}

static bool
is_listed(List *objects, const ObjectAddress *object)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		const ObjectAddress *other = lfirst(lc);

		if (other->classId == object->classId && other->objectId == object->objectId)
			return true;
	}
	return false;
}

/* The caller's own temporary things must be as they were. */
static void
refuse_changed(DbmLeftover *leftover)
{
	ListCell   *lc;

	foreach(lc, leftover->temporary)
	{
		const ObjectAddress *object = lfirst(lc);
		char	   *description = describe(object);

		if (description && is_changed(object, leftover->began))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the script changed temporary %s, which it did not make",
							description),
					 errdetail("What it has put there could be executed later with the rights of \"%s\".",
							   GetUserNameFromId(dbm_stronger_user(), true)),
					 errhint("Drop it before the run; or log in as \"%s\" instead of SET ROLE.",
							 GetUserNameFromId(GetUserId(), true))));
	}
}

/*
 * Whatever can be executed is an object of its own that depends on the one it
 * is for (a trigger, a rule, a default, a constraint, an index), or makes the
 * dependencies of that one anew (the body of a function, a column's type).
 */
static bool
is_changed(const ObjectAddress *object, CommandId since)
{
	return has_new_dependency(object, true, since) || has_new_dependency(object, false, since);
}

static bool
has_new_dependency(const ObjectAddress *object, bool as_referenced, CommandId since)
{
	bool		found = false;
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], as_referenced ? Anum_pg_depend_refclassid : Anum_pg_depend_classid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->classId));
	ScanKeyInit(&keys[1], as_referenced ? Anum_pg_depend_refobjid : Anum_pg_depend_objid,
				BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object->objectId));
	scan = systable_beginscan(rel, as_referenced ? DependReferenceIndexId : DependDependerIndexId,
							  true, NULL, 2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data)) &&
			HeapTupleHeaderGetCmin(tuple->t_data) >= since;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static List *
prepared_statements(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *statements = NIL;
	bool		isnull;

	if (SPI_execute("SELECT p.name, p.prepare_time, p.statement FROM pg_catalog.pg_prepared_statements p",
					false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_prepared_statements");
	MemoryContextSwitchTo(caller);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		Prepared   *statement = palloc(sizeof(Prepared));

		statement->name = dbm_column_text(row, 1);
		statement->when = DatumGetTimestampTz(SPI_getbinval(SPI_tuptable->vals[row],
															SPI_tuptable->tupdesc, 2, &isnull));
		statement->text = dbm_column_text(row, 3);
		statements = lappend(statements, statement);
	}
	SPI_freetuptable(SPI_tuptable);
	return statements;
}

/* Deallocate what a restricted script has prepared. */
static void
deallocate(DbmLeftover *leftover)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	foreach(lc, prepared_statements())
	{
		const Prepared *statement = lfirst(lc);

		if (was_prepared(leftover, statement))
			continue;
		DropPreparedStatement(statement->name, false);
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(statement->name));
	}
	if (list.len > 0)
		ereport(NOTICE,
				(errmsg("deallocated statements that the script prepared"),
				 errdetail("%s.", dbm_without_control(list.data))));
}

static bool
was_prepared(DbmLeftover *leftover, const Prepared *statement)
{
	ListCell   *lc;

	foreach(lc, leftover->prepared)
	{
		const Prepared *other = lfirst(lc);

		if (strcmp(other->name, statement->name) == 0 && other->when == statement->when &&
			strcmp(other->text, statement->text) == 0)
			return true;
	}
	return false;
}
