/*-------------------------------------------------------------------------
 *
 * shadow.c
 *	  Temporary relations and types that hide permanent ones from a script.
 *
 * pg_temp is searched first, unless the search_path says otherwise.  A
 * migration that means "users" must not change a temporary table of that name
 * and count as applied.  Nor must one that means the type "email": a temporary
 * domain runs its check as whoever runs the script, and in a SECURITY DEFINER
 * function that is somebody else than who made the domain.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "script/internal.h"

static void refuse_relation(Oid relation, const char *name, List *hidden_schemas);
static List *indexes_of(Oid relation);
static void refuse_if_hiding_relation(const char *kind, const char *name, List *hidden_schemas);
static void refuse_if_hiding_type(const char *kind, const char *name, List *hidden_schemas);
static void refuse(const char *kind, const char *name, const char *hidden_kind, Oid hidden_schema);
static const char *kind_of(char relkind);
static const char *kind_of_type(Oid type);

/*
 * Error 55000 if a temporary relation or type of this session hides a
 * permanent one that is in the search_path "path" (OIDs, in order).  Costs
 * nothing in a session without temporary objects.
 */
void
dbm_refuse_shadows(List *path)
{
	List	   *hidden_schemas = NIL;
	bool		seen = false;
	ListCell   *lc;

	if (!OidIsValid(dbm_temporary_schema()))
		return;
	foreach(lc, path)
	{
		if (seen)
			hidden_schemas = lappend_oid(hidden_schemas, lfirst_oid(lc));
		seen |= lfirst_oid(lc) == dbm_temporary_schema();
	}
	if (hidden_schemas == NIL)
		return;
	foreach(lc, dbm_temporary_objects())
	{
		const DbmTemporary *own = lfirst(lc);

		if (own->object.classId == RelationRelationId)
			refuse_relation(own->object.objectId, own->name, hidden_schemas);
		else if (own->object.classId == TypeRelationId)
			refuse_if_hiding_type(kind_of_type(own->object.objectId), own->name, hidden_schemas);
	}
}

/* The same for its indexes, and for the type of its rows. */
static void
refuse_relation(Oid relation, const char *name, List *hidden_schemas)
{
	const char *kind = kind_of(get_rel_relkind(relation));
	ListCell   *lc;

	refuse_if_hiding_relation(kind, name, hidden_schemas);
	foreach(lc, indexes_of(relation))
		refuse_if_hiding_relation(kind_of(get_rel_relkind(lfirst_oid(lc))), get_rel_name(lfirst_oid(lc)),
								  hidden_schemas);
	if (OidIsValid(get_rel_type_id(relation)))
		refuse_if_hiding_type(kind, name, hidden_schemas);
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
refuse_if_hiding_relation(const char *kind, const char *name, List *hidden_schemas)
{
	ListCell   *lc;

	foreach(lc, name ? hidden_schemas : NIL)
	{
		Oid			hidden = get_relname_relid(name, lfirst_oid(lc));

		/* what the system's catalogs are called is nobody's table */
		if (OidIsValid(hidden) && lfirst_oid(lc) != PG_CATALOG_NAMESPACE)
			refuse(kind, name, kind_of(get_rel_relkind(hidden)), lfirst_oid(lc));
	}
}

static void
refuse_if_hiding_type(const char *kind, const char *name, List *hidden_schemas)
{
	ListCell   *lc;

	foreach(lc, name ? hidden_schemas : NIL)
	{
		Oid			hidden = GetSysCacheOid2(TYPENAMENSP, Anum_pg_type_oid, CStringGetDatum(name),
											 ObjectIdGetDatum(lfirst_oid(lc)));

		if (OidIsValid(hidden))
			refuse(kind, name, kind_of_type(hidden), lfirst_oid(lc));
	}
}

static void
refuse(const char *kind, const char *name, const char *hidden_kind, Oid hidden_schema)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("temporary %s \"%s\" hides %s \"%s.%s\"", kind, name, hidden_kind,
					get_namespace_name(hidden_schema), name),
			 errdetail("A migration that names \"%s\" would mean the temporary one.", name),
			 errhint("DROP %s pg_temp.%s; or, if a migration made it, let that one drop it at its end%s.",
					 asc_toupper(kind, strlen(kind)), quote_identifier(name),
					 strcmp(kind, "table") == 0 ? ", or create it with ON COMMIT DROP" : "")));
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

static const char *
kind_of_type(Oid type)
{
	return get_typtype(type) == TYPTYPE_DOMAIN ? "domain" : "type";
}
