/*-------------------------------------------------------------------------
 *
 * shadow.c
 *	  Temporary relations that hide permanent ones from a script.
 *
 * pg_temp is searched first, unless the search_path says otherwise.  A
 * migration that means "users" must not change a temporary table of that name
 * and count as applied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "dbmigrate.h"

static List *relations_in(Oid schema);
static List *indexes_of(Oid relation);
static void refuse_if_shadow(Oid relation, List *hidden_schemas);
static const char *kind_of(char relkind);

/*
 * Error 55000 if a temporary relation of this session hides a permanent one
 * that is in the search_path "path" (OIDs, in order).  Costs nothing in a
 * session without temporary relations.
 */
void
dbm_refuse_shadows(List *path)
{
	Oid			temp;
	Oid			toast;
	List	   *hidden_schemas = NIL;
	bool		seen = false;
	ListCell   *lc;

	GetTempNamespaceState(&temp, &toast);
	if (!OidIsValid(temp))
		return;
	foreach(lc, path)
	{
		/* what the system's catalogs are called is nobody's table */
		if (seen && lfirst_oid(lc) != PG_CATALOG_NAMESPACE)
			hidden_schemas = lappend_oid(hidden_schemas, lfirst_oid(lc));
		seen |= lfirst_oid(lc) == temp;
	}
	foreach(lc, hidden_schemas ? relations_in(temp) : NIL)
		refuse_if_shadow(lfirst_oid(lc), hidden_schemas);
}

/* All relations of a schema, indexes included. */
static List *
relations_in(Oid schema)
{
	List	   *relations = NIL;
	List	   *indexes = NIL;
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	ListCell   *lc;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == RelationRelationId)
			relations = lappend_oid(relations, form->objid);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	foreach(lc, relations)
		indexes = list_concat(indexes, indexes_of(lfirst_oid(lc)));
	return list_concat(relations, indexes);
}

static List *
indexes_of(Oid relation)
{
	List	   *indexes = NIL;
	Relation	rel;

	switch (get_rel_relkind(relation))
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			rel = table_open(relation, AccessShareLock);
			indexes = list_copy(RelationGetIndexList(rel));
			table_close(rel, AccessShareLock);
	}
	return indexes;
}

static void
refuse_if_shadow(Oid relation, List *hidden_schemas)
{
	char	   *name = get_rel_name(relation);
	ListCell   *lc;

	foreach(lc, name ? hidden_schemas : NIL)
	{
		Oid			schema = lfirst_oid(lc);
		Oid			hidden = get_relname_relid(name, schema);

		if (OidIsValid(hidden))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("temporary %s \"%s\" hides %s \"%s.%s\"",
							kind_of(get_rel_relkind(relation)), name,
							kind_of(get_rel_relkind(hidden)), get_namespace_name(schema), name),
					 errdetail("A migration that names \"%s\" would mean the temporary one.", name),
					 errhint("DROP %s pg_temp.%s; or, if a migration made it, let that one drop it at its end, or create it with ON COMMIT DROP.",
							 asc_toupper(kind_of(get_rel_relkind(relation)), strlen(kind_of(get_rel_relkind(relation)))),
							 quote_identifier(name))));
	}
}

static const char *
kind_of(char relkind)
{
	switch (relkind)
	{
		case RELKIND_VIEW:
			return "view";
		case RELKIND_MATVIEW:
			return "materialized view";
		case RELKIND_SEQUENCE:
			return "sequence";
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			return "index";
		case RELKIND_COMPOSITE_TYPE:
			return "type";
		case RELKIND_FOREIGN_TABLE:
			return "foreign table";
		default:
			return "table";
	}
}
