/*-------------------------------------------------------------------------
 *
 * indexes.c
 *	  What a statement that commits amid its work may leave: indexes that are
 *	  not valid, partitions that are not detached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "online/online.h"

static List *all_indexes(Oid table);
static const char *index_name(Oid index);

/* The table whose indexes a statement makes, drops or makes anew; 0 if none. */
Oid
dbm_indexes_table(Node *tree)
{
	RangeVar   *relation = NULL;
	Oid			oid;

	if (IsA(tree, IndexStmt))
		relation = ((IndexStmt *) tree)->relation;
	else if (IsA(tree, ReindexStmt))
		relation = ((ReindexStmt *) tree)->relation;
	else if (IsA(tree, DropStmt) && list_length(((DropStmt *) tree)->objects) == 1)
		relation = makeRangeVarFromNameList(linitial(((DropStmt *) tree)->objects));
	if (relation == NULL)
		return InvalidOid;
	oid = RangeVarGetRelid(relation, NoLock, true);
	if (OidIsValid(oid) && get_rel_relkind(oid) == RELKIND_INDEX)
		oid = IndexGetRelation(oid, true);
	return oid;
}

/* The names of its indexes, as text[]; 0 without a table. */
Datum
dbm_indexes_names(Oid table)
{
	List	   *indexes;
	Datum	   *names;
	int			n = 0;

	if (!OidIsValid(table))
		return (Datum) 0;
	indexes = all_indexes(table);
	names = palloc(Max(list_length(indexes), 1) * sizeof(Datum));
	for (int i = 0; i < list_length(indexes); i++)
		names[n++] = CStringGetTextDatum(index_name(list_nth_oid(indexes, i)));
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/* Those of a table that are not among "names" (text[]). */
List *
dbm_indexes_new(Oid table, Datum names)
{
	List	   *found = NIL;
	List	   *indexes = OidIsValid(table) ? all_indexes(table) : NIL;
	Datum	   *before = NULL;
	int			n = 0;

	if (names)
		deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT, &before, NULL, &n);
	for (int i = 0; i < list_length(indexes); i++)
	{
		const char *name = index_name(list_nth_oid(indexes, i));
		bool		is_old = false;

		for (int k = 0; k < n && !is_old; k++)
			is_old = strcmp(TextDatumGetCString(before[k]), name) == 0;
		if (!is_old)
			found = lappend_oid(found, list_nth_oid(indexes, i));
	}
	return found;
}

bool
dbm_index_is_valid(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	bool		is_valid;

	if (!HeapTupleIsValid(tuple))
		return false;
	is_valid = ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;
	ReleaseSysCache(tuple);
	return is_valid;
}

/* schema.name, quoted where it has to be */
char *
dbm_relation_ref(Oid index)
{
	return pstrdup(index_name(index));
}

/* Is some partition of a table on its way out? */
bool
dbm_detach_is_pending(Oid table)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_inherits_inhparent, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(rel, InheritsParentIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = ((Form_pg_inherits) GETSTRUCT(tuple))->inhdetachpending;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static List *
all_indexes(Oid table)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *indexes = NIL;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		indexes = lappend_oid(indexes, ((Form_pg_index) GETSTRUCT(tuple))->indexrelid);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return indexes;
}

/* "" if it is gone meanwhile. */
static const char *
index_name(Oid index)
{
	char	   *name = get_rel_name(index);
	char	   *schema = name ? get_namespace_name(get_rel_namespace(index)) : NULL;

	return schema ? quote_qualified_identifier(schema, name) : "";
}
