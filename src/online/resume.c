/*-------------------------------------------------------------------------
 *
 * resume.c
 *	  A statement that commits amid its work was begun, and nobody knows how it
 *	  ended: the catalogs decide.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "online/online.h"

static DbmDecision decide_index(const IndexStmt *stmt, Datum before, List **leftovers);
static List *made_by(const IndexStmt *stmt, Oid table, Datum before);
static bool is_as_written(Oid index, const IndexStmt *stmt);
static Oid	access_method(Oid index);
static DbmDecision decide_drop(const DropStmt *stmt);
static DbmDecision decide_detach(const AlterTableStmt *stmt);
static const AlterTableCmd *detach_of(const AlterTableStmt *stmt);
static List *invalid_ones(List *indexes);
static DbmTrouble *invalid_trouble(Oid index);

/*
 * Was the statement done?  "before" (text[]) are the indexes that its table
 * had when it began.  *leftovers are indexes that have to be dropped before it
 * is run again.
 */
DbmDecision
dbm_resume_decide(Node *tree, Datum before, List **leftovers)
{
	*leftovers = NIL;
	switch (nodeTag(tree))
	{
		case T_IndexStmt:
			return decide_index((IndexStmt *) tree, before, leftovers);
		case T_DropStmt:
			return decide_drop((DropStmt *) tree);
		case T_AlterTableStmt:
			return decide_detach((AlterTableStmt *) tree);
		case T_ReindexStmt:
			*leftovers = invalid_ones(dbm_indexes_new(dbm_indexes_table(tree), before));
			return DBM_DECIDED_AGAIN;
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
 * NULL, or what is not.
 */
DbmTrouble *
dbm_resume_check(Node *tree, Datum before)
{
	Oid			table = dbm_indexes_table(tree);
	List	   *invalid = invalid_ones(dbm_indexes_new(table, before));

	if (IsA(tree, IndexStmt) && invalid == NIL)
		invalid = invalid_ones(made_by((IndexStmt *) tree, table, before));
	if (invalid)
		return invalid_trouble(linitial_oid(invalid));
	if (IsA(tree, AlterTableStmt) && detach_of((AlterTableStmt *) tree) &&
		decide_detach((AlterTableStmt *) tree) != DBM_DECIDED_DONE)
		return dbm_trouble(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
						   "the partition is not detached", NULL,
						   "Finish it: ALTER TABLE ... DETACH PARTITION ... FINALIZE");
	return NULL;
}

static DbmDecision
decide_index(const IndexStmt *stmt, Datum before, List **leftovers)
{
	Oid			table = dbm_indexes_table((Node *) stmt);
	List	   *made;
	List	   *invalid;

	if (!OidIsValid(table))
		return DBM_DECIDED_AGAIN;	/* and the server says what is wrong */
	made = made_by(stmt, table, before);
	if (made == NIL)
		return DBM_DECIDED_AGAIN;
	if (list_length(made) > 1)
		return DBM_UNDECIDED;
	if (!is_as_written(linitial_oid(made), stmt))
		return DBM_UNDECIDED;
	invalid = invalid_ones(made);
	if (invalid == NIL)
		return DBM_DECIDED_DONE;
	*leftovers = invalid;
	return DBM_DECIDED_AGAIN;
}

/* The index of that name; without a name all that the table has new. */
static List *
made_by(const IndexStmt *stmt, Oid table, Datum before)
{
	Oid			index;

	if (stmt->idxname == NULL)
		return dbm_indexes_new(table, before);
	index = get_relname_relid(stmt->idxname, get_rel_namespace(table));
	return OidIsValid(index) ? list_make1_oid(index) : NIL;
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
		access_method(index) == get_am_oid(stmt->accessMethod, true);
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

static Oid
access_method(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	Oid			method = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		method = ((Form_pg_class) GETSTRUCT(tuple))->relam;
		ReleaseSysCache(tuple);
	}
	return method;
}

/* One that is half dropped is not valid any more, and is dropped again. */
static DbmDecision
decide_drop(const DropStmt *stmt)
{
	RangeVar   *index;

	if (stmt->removeType != OBJECT_INDEX || list_length(stmt->objects) != 1)
		return DBM_UNDECIDED;
	index = makeRangeVarFromNameList(linitial(stmt->objects));
	return OidIsValid(RangeVarGetRelid(index, NoLock, true)) ? DBM_DECIDED_AGAIN : DBM_DECIDED_DONE;
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
	return dbm_detach_is_pending(parent) ? DBM_DECIDED_FINALIZE : DBM_DECIDED_AGAIN;
}

/* The statement without its CONCURRENTLY. */
char *
dbm_resume_detach(Node *tree)
{
	const AlterTableStmt *stmt = castNode(AlterTableStmt, tree);
	const AlterTableCmd *command = detach_of(stmt);
	Oid			parent = RangeVarGetRelid(stmt->relation, NoLock, false);
	Oid			partition = RangeVarGetRelid(castNode(PartitionCmd, command->def)->name, NoLock, false);

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
		if (!dbm_index_is_valid(list_nth_oid(indexes, i)))
			invalid = lappend_oid(invalid, list_nth_oid(indexes, i));
	return invalid;
}

static DbmTrouble *
invalid_trouble(Oid index)
{
	const char *ref = dbm_relation_ref(index);

	return dbm_trouble(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("index %s is not valid", ref), NULL,
					   psprintf("Drop it and go on: DROP INDEX CONCURRENTLY %s; CALL migrate.run();", ref));
}
