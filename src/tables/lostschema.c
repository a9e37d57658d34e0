/*-------------------------------------------------------------------------
 *
 * lostschema.c
 *	  What has become of a target schema since the last run there.
 *
 * The state of a target schema is kept by its name, since OIDs change with a
 * dump and its restore.  So a schema that was dropped and made again counts as
 * migrated although it is empty.  To find that out, each run notes whether the
 * schema held any object when it ended; one that did and holds none now has
 * lost them.  One that never held any shows nothing: its migrations write
 * elsewhere, or were recorded without being run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "tables/tables.h"

static void report_lost(int elevel, const char *schema);
static bool has_lost_objects(const DbmExtension *ext);
static bool holds_objects(Oid schema);
static bool has_applied(const DbmExtension *ext);

PG_FUNCTION_INFO_V1(dbmigrate_check_target);

/*
 * SQL: migrate.check_target(schema, project) returns true
 *
 * What the functions in SQL that tell the state begin with.
 */
Datum
dbmigrate_check_target(PG_FUNCTION_ARGS)
{
	const char *schema = dbm_text_argument(fcinfo, 0);
	const char *project = dbm_text_argument(fcinfo, 1);
	DbmExtension ext;

	if (schema[0] != '\0' || project[0] != '\0')
	{
		dbm_extension_open(&ext);
		dbm_extension_use(&ext, schema, project);
		dbm_extension_check_project(&ext);
		dbm_lost_schema_look(&ext);
		dbm_extension_close();
	}
	PG_RETURN_BOOL(true);
}

/*
 * Tell somebody who asks for the state: a WARNING if the schema is not there
 * any more, or has lost its objects.  Errors: 3F000 if there is no such
 * schema and nothing is recorded for it, 22023 if it can be no target.
 */
void
dbm_lost_schema_look(const DbmExtension *ext)
{
	if (ext->target[0] == '\0')
		return;
	if (!OidIsValid(dbm_target_find(ext->target)))
	{
		if (!has_applied(ext))
			dbm_target_missing(ext->target);
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("schema \"%s\" does not exist, but migrations count as applied there", ext->target),
				 errhint("To forget them: SELECT migrate.forget_schema(%s, 'the reason');",
						 dbm_literal(ext->target))));
	}
	else if (has_lost_objects(ext))
		report_lost(WARNING, ext->target);
}

/*
 * Error 55000 if a run would build on what is gone.  Another run may be about
 * to empty the schema, or to fill it; so the lock is taken before this is said.
 */
void
dbm_lost_schema_refuse_lost(const DbmExtension *ext)
{
	if (ext->target[0] == '\0' || !has_lost_objects(ext))
		return;
	dbm_lock_for_run(ext);
	if (has_lost_objects(ext))
		report_lost(ERROR, ext->target);
}

static void
report_lost(int elevel, const char *schema)
{
	ereport(elevel,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("schema \"%s\" holds no objects any more, but migrations count as applied there", schema),
			 errdetail("It held some when the last run there ended."),
			 errhint("To start anew there: SELECT migrate.forget_schema(%s, 'the reason');",
					 dbm_literal(schema))));
}

/* A run ends: note whether its target schema, if it has one, holds objects. */
void
dbm_lost_schema_record(const DbmExtension *ext, int64 run)
{
	Oid			oid;
	DbmParams	params = {0};

	if (ext->target[0] == '\0')
		return;
	oid = get_namespace_oid(ext->target, true); /* the run may have dropped it */
	dbm_param_text(&params, ext->target);
	dbm_param_bool(&params, OidIsValid(oid) && holds_objects(oid));
	dbm_param_int64(&params, run);
	dbm_query(ext,
			  "INSERT INTO migrate.target_schema (schema, held_objects, run) VALUES ($1, $2, $3)"
			  " ON CONFLICT ON CONSTRAINT target_schema_pkey DO UPDATE SET held_objects = EXCLUDED.held_objects,"
			  " run = EXCLUDED.run, at = EXCLUDED.at",
			  &params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.target_schema");
}

/* Forget what was noted; false if nothing was. */
bool
dbm_lost_schema_forget(const DbmExtension *ext)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_query(ext,
			  "DELETE FROM migrate.target_schema t WHERE t.schema OPERATOR(pg_catalog.=) $1",
			  &params, SPI_OK_DELETE);
	return SPI_processed > 0;
}

/*
 * Did it hold objects after the last run, and holds none now?  It does not
 * matter any more once all that was applied by then is marked as pending.
 */
static bool
has_lost_objects(const DbmExtension *ext)
{
	Oid			oid = get_namespace_oid(ext->target, true);
	DbmParams	params = {0};

	if (!OidIsValid(oid) || holds_objects(oid))
		return false;
	dbm_param_text(&params, ext->target);
	dbm_query(ext,
			  "SELECT FROM migrate.target_schema t WHERE t.schema OPERATOR(pg_catalog.=) $1 AND t.held_objects"
			  " AND EXISTS (SELECT FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1"
			  "  AND a.run OPERATOR(pg_catalog.<=) t.run)",
			  &params, SPI_OK_SELECT);
	return SPI_processed > 0;
}

/*
 * Is anything in the schema?  What is depends on it; so do extensions and
 * default privileges that name it, which are not objects in a schema.
 */
static bool
holds_objects(Oid schema)
{
	Relation	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(NamespaceRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(schema));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		found = form->deptype == DEPENDENCY_NORMAL &&
			is_objectclass_supported(form->classid) &&
			get_object_attnum_namespace(form->classid) != InvalidAttrNumber;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
has_applied(const DbmExtension *ext)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_query(ext,
			  "SELECT FROM migrate.applied a WHERE a.target_schema OPERATOR(pg_catalog.=) $1 LIMIT 1",
			  &params, SPI_OK_SELECT);
	return SPI_processed > 0;
}
