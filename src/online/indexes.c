/*-------------------------------------------------------------------------
 *
 * indexes.c
 *	  What a statement that commits amid its work may leave: indexes that are
 *	  not valid, partitions that are not detached.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

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
#include "utils/varlena.h"

#include "online/online.h"

static List *reindexed_tables(const ReindexStmt *stmt);
static List *tables_of_schema(Oid schema);
static List *all_indexes(List *tables);
static bool is_among(const char *name, char *const *names, int n);
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
	if (OidIsValid(oid) &&
		(get_rel_relkind(oid) == RELKIND_INDEX || get_rel_relkind(oid) == RELKIND_PARTITIONED_INDEX))
		oid = IndexGetRelation(oid, true);
	return oid;
}

/* All tables of that kind: REINDEX can be about many, and their TOAST tables. */
List *
dbm_indexes_tables(Node *tree)
{
	Oid			table;

	if (IsA(tree, ReindexStmt))
		return reindexed_tables((ReindexStmt *) tree);
	table = dbm_indexes_table(tree);
	return OidIsValid(table) ? list_make1_oid(table) : NIL;
}

static List *
reindexed_tables(const ReindexStmt *stmt)
{
	Oid			table = dbm_indexes_table(unconstify(Node *, (const Node *) stmt));
	List	   *tables;
	List	   *all;

	if (OidIsValid(table))
		tables = find_all_inheritors(table, NoLock, NULL);
	else if (stmt->relation)
		return NIL;
	else
		tables = tables_of_schema(stmt->kind == REINDEX_OBJECT_SCHEMA ?
								  get_namespace_oid(stmt->name, true) : InvalidOid);
	all = list_copy(tables);
	for (int i = 0; i < list_length(tables); i++)
	{
		Oid			toast = dbm_class_of(list_nth_oid(tables, i)).reltoastrelid;

		if (OidIsValid(toast))
			all = lappend_oid(all, toast);
	}
	return all;
}

/* Tables and materialized views of a schema, or of all without one. */
static List *
tables_of_schema(Oid schema)
{
	Relation	rel = table_open(RelationRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *tables = NIL;

	ScanKeyInit(&key, Anum_pg_class_relnamespace, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, InvalidOid, false, NULL, OidIsValid(schema) ? 1 : 0, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if ((form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW) &&
			form->relpersistence != RELPERSISTENCE_TEMP)
			tables = lappend_oid(tables, form->oid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tables;
}

/* What pg_class has of it, but for the variable part; zeros if it is gone. */
FormData_pg_class
dbm_class_of(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	FormData_pg_class form = {0};

	if (HeapTupleIsValid(tuple))
	{
		memcpy(&form, GETSTRUCT(tuple), CLASS_TUPLE_SIZE);
		ReleaseSysCache(tuple);
	}
	return form;
}

/* The names of their indexes, as text[]; 0 without tables. */
Datum
dbm_indexes_names(List *tables)
{
	List	   *indexes = all_indexes(tables);
	Datum	   *names;
	int			n = 0;

	if (tables == NIL)
		return (Datum) 0;
	names = palloc(Max(list_length(indexes), 1) * sizeof(Datum));
	for (int i = 0; i < list_length(indexes); i++)
		names[n++] = CStringGetTextDatum(index_name(list_nth_oid(indexes, i)));
	return PointerGetDatum(construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Those of some tables that are not among "names" (text[]); all of them, or
 * those that are not valid.
 */
List *
dbm_indexes_new(List *tables, Datum names, bool only_invalid)
{
	List	   *found = NIL;
	List	   *indexes = all_indexes(tables);
	Datum	   *before = NULL;
	char	  **texts;
	int			n = 0;

	if (names)
		deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT, &before, NULL, &n);
	texts = palloc(Max(n, 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
		texts[i] = TextDatumGetCString(before[i]);
	for (int i = 0; i < list_length(indexes); i++)
	{
		Oid			index = list_nth_oid(indexes, i);

		if (only_invalid && dbm_index_is_valid(index))
			continue;
		if (!is_among(index_name(index), texts, n))
			found = lappend_oid(found, index);
	}
	return found;
}

/* Is the one of them ("names" is text[]) that is called so still there? */
bool
dbm_indexes_is_left(Datum names, const char *relname)
{
	Datum	   *before = NULL;
	int			n = 0;

	if (names)
		deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT, &before, NULL, &n);
	for (int i = 0; i < n; i++)
	{
		RangeVar   *name = makeRangeVarFromNameList(textToQualifiedNameList(DatumGetTextPP(before[i])));
		Oid			schema = name->schemaname ? get_namespace_oid(name->schemaname, true) : InvalidOid;

		if (strcmp(name->relname, relname) == 0 && OidIsValid(schema) &&
			OidIsValid(get_relname_relid(relname, schema)))
			return true;
	}
	return false;
}

static bool
is_among(const char *name, char *const *names, int n)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* Does REINDEX CONCURRENTLY call its copies so: i_ccnew, i_ccold, i_ccnew1? */
bool
dbm_index_is_copy(Oid index)
{
	const char *name = get_rel_name(index);
	size_t		len = name ? strlen(name) : 0;

	while (len > 0 && isdigit((unsigned char) name[len - 1]))
		len--;
	return len > 6 && (strncmp(name + len - 6, "_ccnew", 6) == 0 || strncmp(name + len - 6, "_ccold", 6) == 0);
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

/* Is a partition on its way out? */
bool
dbm_detach_is_pending(Oid partition)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(partition));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = ((Form_pg_inherits) GETSTRUCT(tuple))->inhdetachpending;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static List *
all_indexes(List *tables)
{
	Relation	rel = table_open(IndexRelationId, AccessShareLock);
	List	   *indexes = NIL;

	for (int i = 0; i < list_length(tables); i++)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
					ObjectIdGetDatum(list_nth_oid(tables, i)));
		scan = systable_beginscan(rel, IndexIndrelidIndexId, true, NULL, 1, &key);
		while (HeapTupleIsValid(tuple = systable_getnext(scan)))
			indexes = lappend_oid(indexes, ((Form_pg_index) GETSTRUCT(tuple))->indexrelid);
		systable_endscan(scan);
	}
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
