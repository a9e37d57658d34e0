/*-------------------------------------------------------------------------
 *
 * temporary.c
 *	  What is in this session's pg_temp, and what has become of it.
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
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "script/internal.h"

static char *describe(const ObjectAddress *object);
static bool is_listed(List *objects, const ObjectAddress *object);
static void refuse_changed(List *before, CommandId began);
static HeapTuple read_object(DbmTemporary *temporary);
static bool is_touched(const ObjectAddress *object, HeapTuple row, CommandId since);
static bool is_new(HeapTuple row, CommandId since);
static bool has_new_dependency(const ObjectAddress *object, bool as_referenced, CommandId since);

/* This session's pg_temp, InvalidOid if it has had none. */
Oid
dbm_temporary_schema(void)
{
	Oid			temp;
	Oid			toast;

	GetTempNamespaceState(&temp, &toast);
	return temp;
}

/* What is in it by itself, of whatever kind, as DbmTemporary. */
List *
dbm_temporary_objects(void)
{
	List	   *objects = NIL;
	Relation	rel;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(dbm_temporary_schema()))
		return NIL;
	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(dbm_temporary_schema()));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		DbmTemporary *found = palloc0(sizeof(DbmTemporary));

		ObjectAddressSet(found->object, form->classid, form->objid);
		(void) read_object(found);
		objects = lappend(objects, found);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return objects;
}

/*
 * In a SECURITY DEFINER function the session belongs to somebody weaker than
 * the one who runs the script.  pg_temp is searched first in whatever
 * search_path the script sets, so that what it names could be a trap: a domain
 * with a check, a table with a trigger.  Error 42501 for a relation or type of
 * one who could not become the current user.
 */
void
dbm_temporary_refuse_strangers(void)
{
	ListCell   *lc;

	foreach(lc, dbm_temporary_objects())
	{
		const DbmTemporary *own = lfirst(lc);

		if ((own->object.classId == RelationRelationId || own->object.classId == TypeRelationId) &&
			!dbm_can_become(own->owner, GetUserId()))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("temporary %s belongs to \"%s\", who could not become \"%s\"",
							describe(&own->object), GetUserNameFromId(own->owner, true),
							GetUserNameFromId(GetUserId(), true)),
					 errdetail("A script that means another one would run what \"%s\" has put there.",
							   GetUserNameFromId(own->owner, true)),
					 errhint("DISCARD TEMP; or connect again.")));
	}
}

/*
 * Drop what is there now and was not in "before", which dates from command
 * "began".  Error 42501 if what was there is not as it was.
 */
void
dbm_temporary_drop_new(List *before, CommandId began)
{
	ObjectAddresses *doomed = new_object_addresses();
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	refuse_changed(before, began);
	foreach(lc, dbm_temporary_objects())
	{
		const ObjectAddress *object = &((DbmTemporary *) lfirst(lc))->object;

		if (is_listed(before, object))
			continue;
		add_exact_object_address(object, doomed);
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", describe(object));
	}
	if (list.len == 0)
		return;
	/* not quietly: a column of a type that goes may be in somebody's table */
	performMultipleDeletions(doomed, DROP_CASCADE, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
	ereport(NOTICE,
			(errmsg("dropped what the script left in the session"),
			 errdetail("%s.", list.data)));
}

/* With pg_temp for the schema's real name, which means nothing to anybody. */
static char *
describe(const ObjectAddress *object)
{
	char	   *schema = psprintf("%s.", get_namespace_name(dbm_temporary_schema()));
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
		const ObjectAddress *other = &((DbmTemporary *) lfirst(lc))->object;

		if (other->classId == object->classId && other->objectId == object->objectId)
			return true;
	}
	return false;
}

/*
 * The caller's own temporary things must be as they were, and be there: behind
 * one that is gone there may be another one of its name.
 */
static void
refuse_changed(List *before, CommandId began)
{
	ListCell   *lc;

	foreach(lc, before)
	{
		const DbmTemporary *own = lfirst(lc);
		DbmTemporary now = {.object = own->object};
		HeapTuple	row = read_object(&now);

		if (row == NULL || (own->name && strcmp(now.name, own->name) != 0))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the script dropped or renamed temporary \"%s\", which it did not make",
							dbm_without_control(own->name ? own->name : "")),
					 errdetail("Whoever names it later would mean something else, with the rights of \"%s\".",
							   GetUserNameFromId(dbm_stronger_user(), true)),
					 errhint("Drop it before the run; or log in as \"%s\" instead of SET ROLE.",
							 GetUserNameFromId(GetUserId(), true))));
		if (is_touched(&own->object, row, began))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the script changed temporary %s, which it did not make",
							describe(&own->object)),
					 errdetail("What it has put there could be executed later with the rights of \"%s\".",
							   GetUserNameFromId(dbm_stronger_user(), true)),
					 errhint("Drop it before the run; or log in as \"%s\" instead of SET ROLE.",
							 GetUserNameFromId(GetUserId(), true))));
	}
}

/* A copy of an object's catalog row, NULL if it is gone; fills in what it says. */
static HeapTuple
read_object(DbmTemporary *temporary)
{
	Oid			class = temporary->object.classId;
	Relation	rel = table_open(class, AccessShareLock);
	HeapTuple	row = get_catalog_object_by_oid(rel, get_object_attnum_oid(class),
												temporary->object.objectId);
	bool		isnull;

	if (row && get_object_attnum_name(class) != InvalidAttrNumber)
		temporary->name = pstrdup(NameStr(*DatumGetName(heap_getattr(row, get_object_attnum_name(class),
																	 RelationGetDescr(rel), &isnull))));
	if (row && get_object_attnum_owner(class) != InvalidAttrNumber)
		temporary->owner = DatumGetObjectId(heap_getattr(row, get_object_attnum_owner(class),
														 RelationGetDescr(rel), &isnull));
	table_close(rel, AccessShareLock);
	return row;
}

/*
 * Whatever can be executed is an object of its own that depends on the one it
 * is for (a trigger, a rule, a default, a constraint, an index), or makes the
 * dependencies of that one anew (the body of a function, a column's type), or
 * is said in its row (the settings of a function).  The row of a relation is
 * written for other reasons, too.
 */
static bool
is_touched(const ObjectAddress *object, HeapTuple row, CommandId since)
{
	return (object->classId != RelationRelationId && is_new(row, since)) ||
		has_new_dependency(object, true, since) || has_new_dependency(object, false, since);
}

static bool
is_new(HeapTuple row, CommandId since)
{
	return TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(row->t_data)) &&
		HeapTupleHeaderGetCmin(row->t_data) >= since;
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
		found = is_new(tuple, since);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}
