/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  A statement that commits amid its work was begun, and nobody knows how it
 *	  ended: the catalogs decide.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "online/online.h"

static DbmDecision decide_index(const IndexStmt *stmt, Datum before, List **made);
static List *made_by(const IndexStmt *stmt, Datum before);
static Oid	index_by_name(const IndexStmt *stmt);
static List *invalid_after_reindex(const ReindexStmt *stmt, Datum before);
static List *copies_since(const ReindexStmt *stmt, Datum before);
static bool is_as_written(Oid index, const IndexStmt *stmt);
static DbmDecision decide_drop(const DropStmt *stmt, Datum before, List **made);
static DbmDecision decide_detach(const AlterTableStmt *stmt);
static const AlterTableCmd *detach_of(const AlterTableStmt *stmt);
static List *invalid_ones(List *indexes);

/*
 * Was the statement done?  "before" (text[]) are the indexes that its table
 * had when it began.  *made are indexes that it has left: to be dropped before
 * it is run again, or instead of that; or what it may have made if that is
 * undecided.
 */
DbmDecision
dbm_outcome_decide(Node *tree, Datum before, bool has_committed, List **made)
{
	*made = NIL;
	switch (nodeTag(tree))
	{
		case T_IndexStmt:
			return decide_index((IndexStmt *) tree, before, made);
		case T_DropStmt:
			return decide_drop((DropStmt *) tree, before, made);
		case T_AlterTableStmt:
			return decide_detach((AlterTableStmt *) tree);
		case T_ReindexStmt:
			*made = copies_since((ReindexStmt *) tree, before);
			return DBM_DECIDED_AGAIN;
		case T_CallStmt:
		case T_DoStmt:

			/*
			 * its last transaction would have noted that it is done, so that
			 * one is undone
			 */
			return has_committed ? DBM_UNDECIDED : DBM_DECIDED_AGAIN;
		case T_VacuumStmt:
		case T_RepackStmt:
		case T_AlterSystemStmt:
			return DBM_DECIDED_AGAIN;
		default:
			return DBM_UNDECIDED;
	}
}

/*
 * A statement that has ended without an error: is what it has left in order?
 * NULL, or what is not.  What others are building meanwhile is not looked at.
 * "go_on" is the call that goes on.
 */
DbmTrouble *
dbm_outcome_check(Node *tree, Datum before, const char *go_on)
{
	List	   *invalid = NIL;

	if (IsA(tree, AlterTableStmt) && detach_of((AlterTableStmt *) tree) &&
		decide_detach((AlterTableStmt *) tree) == DBM_DECIDED_FINALIZE)
		return dbm_trouble(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "the partition is not detached yet", NULL,
						   psprintf("Finish it and go on: %s FINALIZE; %s", dbm_outcome_detach(tree), go_on));
	if (IsA(tree, IndexStmt))
		invalid = invalid_ones(((IndexStmt *) tree)->idxname ?
							   list_make1_oid(index_by_name((IndexStmt *) tree)) :
							   made_by((IndexStmt *) tree, before));
	else if (IsA(tree, ReindexStmt))
		invalid = invalid_after_reindex((ReindexStmt *) tree, before);
	if (invalid == NIL)
		return NULL;
	return dbm_trouble(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("index %s is not valid", dbm_relation_ref(linitial_oid(invalid))), NULL,
					   psprintf("Drop it and go on: %s; %s", dbm_outcome_drop(tree, linitial_oid(invalid)), go_on));
}

/* If it has made nothing it is run again, and the server says what is in its way. */
static DbmDecision
decide_index(const IndexStmt *stmt, Datum before, List **made)
{
	*made = made_by(stmt, before);
	if (*made == NIL)
		return DBM_DECIDED_AGAIN;
	if (list_length(*made) > 1 || !is_as_written(linitial_oid(*made), stmt))
		return DBM_UNDECIDED;
	return dbm_index_is_valid(linitial_oid(*made)) ? DBM_DECIDED_DONE : DBM_DECIDED_AGAIN;
}

/*
 * What the table has had since: the index of that name; without a name those
 * that are as the statement would make them.  What it had before is not ours.
 */
static List *
made_by(const IndexStmt *stmt, Datum before)
{
	List	   *since = dbm_indexes_new(dbm_indexes_tables(unconstify(Node *, (const Node *) stmt)), before, false);
	List	   *made = NIL;

	for (int i = 0; i < list_length(since); i++)
	{
		Oid			index = list_nth_oid(since, i);

		if (stmt->idxname ? index == index_by_name(stmt) : is_as_written(index, stmt))
			made = lappend_oid(made, index);
	}
	return made;
}

/* Whosever it is; 0 if there is none. */
static Oid
index_by_name(const IndexStmt *stmt)
{
	Oid			table = dbm_indexes_table(unconstify(Node *, (const Node *) stmt));

	return OidIsValid(table) ? get_relname_relid(stmt->idxname, get_rel_namespace(table)) : InvalidOid;
}

/* The server passes by what is not valid with a warning, so it is looked for. */
static List *
invalid_after_reindex(const ReindexStmt *stmt, Datum before)
{
	if (stmt->kind == REINDEX_OBJECT_TABLE)
	{
		List	   *tables = dbm_indexes_tables(unconstify(Node *, (const Node *) stmt));
		List	   *all = dbm_indexes_new(tables, (Datum) 0, true);
		List	   *since = dbm_indexes_new(tables, before, true);

		return list_concat(copies_since(stmt, before), list_difference_oid(all, since));
	}
	return copies_since(stmt, before);
}

/* Copies that are not valid and were not there before; others may build indexes. */
static List *
copies_since(const ReindexStmt *stmt, Datum before)
{
	List	   *since = dbm_indexes_new(dbm_indexes_tables(unconstify(Node *, (const Node *) stmt)), before, true);
	List	   *copies = NIL;

	for (int i = 0; i < list_length(since); i++)
		if (dbm_index_is_copy(list_nth_oid(since, i)))
			copies = lappend_oid(copies, list_nth_oid(since, i));
	return copies;
}

/* Does an index have the columns, the method and the kind of the statement? */
static bool
is_as_written(Oid index, const IndexStmt *stmt)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	Form_pg_index form;
	bool		same;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_index) GETSTRUCT(tuple);
	same = form->indrelid == dbm_indexes_table(unconstify(Node *, (const Node *) stmt)) &&
		form->indisunique == stmt->unique &&
		form->indnkeyatts == list_length(stmt->indexParams) &&
		form->indnatts == list_length(stmt->indexParams) + list_length(stmt->indexIncludingParams) &&
		heap_attisnull(tuple, Anum_pg_index_indpred, NULL) == (stmt->whereClause == NULL) &&
		dbm_class_of(index).relam == get_am_oid(stmt->accessMethod, true);
	for (int i = 0; same && i < form->indnkeyatts; i++)
	{
		const IndexElem *element = list_nth_node(IndexElem, stmt->indexParams, i);
		AttrNumber	column = form->indkey.values[i];

		if (element->name == NULL)
			same = column == 0;
		else
			same = column == get_attnum(form->indrelid, element->name);
	}
	ReleaseSysCache(tuple);
	return same;
}

/*
 * One that is half dropped is not valid any more.  That it is not found says
 * nothing where the search_path, or the caller, is another than when it was
 * begun: then the server says what is wrong.
 */
static DbmDecision
decide_drop(const DropStmt *stmt, Datum before, List **made)
{
	RangeVar   *name;
	Oid			index;

	if (stmt->removeType != OBJECT_INDEX || list_length(stmt->objects) != 1)
		return DBM_UNDECIDED;
	name = makeRangeVarFromNameList(linitial(stmt->objects));
	index = RangeVarGetRelid(name, NoLock, true);
	if (get_rel_relkind(index) == RELKIND_INDEX && !dbm_index_is_valid(index))
	{
		*made = list_make1_oid(index);
		return DBM_DECIDED_DROP;
	}
	if (OidIsValid(index) || dbm_indexes_is_left(before, name->relname))
		return DBM_DECIDED_AGAIN;
	return DBM_DECIDED_DONE;
}

/*
 * The statement that drops an index which "tree" has left.  IF EXISTS is for
 * Citus, which drops the indexes of the shards as well: not each may have got
 * one, or has it still.  Who cannot make one concurrently (TimescaleDB) cannot
 * drop it so either.
 */
char *
dbm_outcome_drop(const Node *tree, Oid index)
{
	bool		concurrently = !IsA(tree, IndexStmt) || ((const IndexStmt *) tree)->concurrent;

	return psprintf("DROP INDEX %sIF EXISTS %s", concurrently ? "CONCURRENTLY " : "", dbm_relation_ref(index));
}

static DbmDecision
decide_detach(const AlterTableStmt *stmt)
{
	const AlterTableCmd *command = detach_of(stmt);
	Oid			parent;
	Oid			partition;

	if (command == NULL)
		return DBM_UNDECIDED;
	parent = RangeVarGetRelid(stmt->relation, NoLock, true);
	partition = RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, true);
	if (!OidIsValid(parent) || !OidIsValid(partition))
		return DBM_UNDECIDED;
	if (!get_rel_relispartition(partition) || get_partition_parent(partition, true) != parent)
		return DBM_DECIDED_DONE;
	return dbm_detach_is_pending(partition) ? DBM_DECIDED_FINALIZE : DBM_DECIDED_AGAIN;
}

/* The statement without its CONCURRENTLY. */
char *
dbm_outcome_detach(Node *tree)
{
	const AlterTableStmt *stmt = castNode(AlterTableStmt, tree);
	const AlterTableCmd *command = detach_of(stmt);
	Oid			parent;
	Oid			partition;

	if (command == NULL)
		elog(ERROR, "this is not ALTER TABLE ... DETACH PARTITION");
	parent = RangeVarGetRelid(stmt->relation, NoLock, false);
	partition = RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, false);
	return psprintf("ALTER TABLE %s DETACH PARTITION %s", dbm_relation_ref(parent), dbm_relation_ref(partition));
}

/* ALTER TABLE ... DETACH PARTITION ... CONCURRENTLY, or NULL. */
static const AlterTableCmd *
detach_of(const AlterTableStmt *stmt)
{
	const AlterTableCmd *command;

	if (list_length(stmt->cmds) != 1)
		return NULL;
	command = linitial_node(AlterTableCmd, stmt->cmds);
	return command->subtype == AT_DetachPartition ? command : NULL;
}

static List *
invalid_ones(List *indexes)
{
	List	   *invalid = NIL;

	for (int i = 0; i < list_length(indexes); i++)
		if (OidIsValid(list_nth_oid(indexes, i)) && !dbm_index_is_valid(list_nth_oid(indexes, i)))
			invalid = lappend_oid(invalid, list_nth_oid(indexes, i));
	return invalid;
}
