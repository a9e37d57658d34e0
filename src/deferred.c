/*-------------------------------------------------------------------------
 *
 * deferred.c
 *	  Deferred constraint events that a script has left.
 *
 * A statement such as ALTER TABLE fails while the table has pending trigger
 * events, so those of one migration are checked before the next begins.  This
 * goes by name and only for constraints on tables that do have events: SET
 * CONSTRAINTS ALL would stay on for the rest of the caller's transaction, and
 * firing the whole queue from C would, with a savepoint rolled back around
 * us, let a violated foreign key commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "compat.h"
#include "dbmigrate.h"

/* Events may make triggers queue more events; this is no endless loop. */
#define MAX_ROUNDS 100

typedef struct Deferrable
{
	Oid			schema;
	NameData	name;
	Oid			table;
	Oid			other_table;	/* the referenced one of a foreign key, or 0 */
	bool		initially_deferred;
} Deferrable;

typedef struct SeenTable
{
	Oid			table;			/* hash key */
	bool		events;
} SeenTable;

/* All deferrable constraints; thrown away when pg_constraint changes. */
static MemoryContext cache_context = NULL;
static List *cache = NIL;
static bool cache_valid = false;

static List *deferrable_constraints(void);
static void forget_cache(Datum arg, int cacheid, uint32 hashvalue);
static List *pending_constraints(void);
static bool has_events(HTAB *seen, Oid table);
static bool shares_its_name(const Deferrable *constraint);
static void set_constraints(List *constraints, bool deferred);

/*
 * Check what the scripts so far, and the caller, have left to be checked on
 * the tables concerned; constraints declared INITIALLY DEFERRED are deferred
 * again afterwards.  Needs SPI to be connected.  A constraint that cannot be
 * set by its name alone, or whose schema the user cannot use, is left to the
 * end of the transaction.
 */
void
dbm_deferred_check(void)
{
	List	   *settable = NIL;
	ListCell   *lc;

	foreach(lc, pending_constraints())
	{
		Deferrable *constraint = lfirst(lc);

		if (!shares_its_name(constraint) &&
			dbm_schema_aclcheck(constraint->schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
			settable = lappend(settable, constraint);
	}
	set_constraints(settable, false);
	set_constraints(settable, true);
}

/*
 * Fire every pending event here and now, so that none is left for a moment
 * when the present security context is gone.  Error 42501 if some remain.
 */
void
dbm_deferred_flush(void)
{
	List	   *fired = NIL;
	List	   *pending;
	ListCell   *lc;

	for (int round = 0; (pending = pending_constraints()) != NIL; round++)
	{
		if (round == MAX_ROUNDS)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("a migration of another author left deferred trigger events that cannot be fired now"),
					 errdetail("They are on table \"%s\".",
							   get_rel_name(((Deferrable *) linitial(pending))->table))));
		set_constraints(pending, false);
		foreach(lc, pending)
		{
			if (!shares_its_name(lfirst(lc)))
				fired = lappend(fired, lfirst(lc));
		}
	}
	set_constraints(fired, true);
}

static List *
deferrable_constraints(void)
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext caller;

	if (cache_valid)
		return cache;

	if (cache_context == NULL)
	{
		cache_context = AllocSetContextCreate(TopMemoryContext, "dbmigrate deferrable constraints",
											  ALLOCSET_SMALL_SIZES);
		CacheRegisterSyscacheCallback(CONSTROID, forget_cache, (Datum) 0);
	}
	MemoryContextReset(cache_context);
	cache = NIL;
	cache_valid = true;			/* an invalidation during the scan resets it */

	rel = table_open(ConstraintRelationId, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		Deferrable *constraint;

		if (!form->condeferrable)
			continue;
		caller = MemoryContextSwitchTo(cache_context);
		constraint = palloc(sizeof(Deferrable));
		constraint->schema = form->connamespace;
		constraint->name = form->conname;
		constraint->table = form->conrelid;
		constraint->other_table = form->confrelid;
		constraint->initially_deferred = form->condeferred;
		cache = lappend(cache, constraint);
		MemoryContextSwitchTo(caller);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return cache;
}

static void
forget_cache(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_valid = false;
}

/* Copies of the constraints with tables that have pending events. */
static List *
pending_constraints(void)
{
	List	   *constraints = deferrable_constraints();
	List	   *pending = NIL;
	HASHCTL		info = {.keysize = sizeof(Oid), .entrysize = sizeof(SeenTable)};
	HTAB	   *seen;
	ListCell   *lc;

	if (constraints == NIL)
		return NIL;

	info.hcxt = CurrentMemoryContext;
	seen = hash_create("tables with events", 64, &info,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(lc, constraints)
	{
		Deferrable *constraint = lfirst(lc);

		if (has_events(seen, constraint->table) ||
			(OidIsValid(constraint->other_table) && has_events(seen, constraint->other_table)))
		{
			Deferrable *copy = palloc(sizeof(Deferrable));

			*copy = *constraint;
			pending = lappend(pending, copy);
		}
	}
	hash_destroy(seen);
	return pending;
}

/* Each look goes through the whole queue, so look once a table. */
static bool
has_events(HTAB *seen, Oid table)
{
	SeenTable  *entry;
	bool		found;

	entry = hash_search(seen, &table, HASH_ENTER, &found);
	if (!found)
		entry->events = AfterTriggerPendingOnRel(table);
	return entry->events;
}

/*
 * Does a constraint that is not deferrable have the same name, in the same
 * schema?  SET CONSTRAINTS ... DEFERRED would fail.
 */
static bool
shares_its_name(const Deferrable *constraint)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		shares = false;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				NameGetDatum(&constraint->name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraint->schema));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (!((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable)
			shares = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return shares;
}

/*
 * SET CONSTRAINTS for all of them, or, to defer them again, for those that
 * are declared so.
 */
static void
set_constraints(List *constraints, bool deferred)
{
	StringInfoData sql;
	int			nnames = 0;
	int			result;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SET CONSTRAINTS ");
	foreach(lc, constraints)
	{
		Deferrable *constraint = lfirst(lc);

		if (deferred && !constraint->initially_deferred)
			continue;
		appendStringInfo(&sql, "%s%s", nnames++ > 0 ? ", " : "",
						 quote_qualified_identifier(get_namespace_name(constraint->schema),
													NameStr(constraint->name)));
	}
	if (nnames == 0)
		return;
	appendStringInfoString(&sql, deferred ? " DEFERRED" : " IMMEDIATE");
	result = SPI_execute(sql.data, false, 0);
	if (result != SPI_OK_UTILITY)
		elog(ERROR, "SET CONSTRAINTS returned %s", SPI_result_code_string(result));
}
