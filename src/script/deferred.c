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

#include "script/internal.h"

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

/* All deferrable constraints; read again when pg_constraint has changed. */
static MemoryContext cache_context = NULL;
static List *cache = NIL;
static bool cache_valid = false;
static uint64 generation = 0;	/* of pg_constraint, as far as we have heard */

static List *deferrable_constraints(void);
static List *read_constraints(MemoryContext context, uint64 *read_generation);
static void forget_cache(Datum arg, int cacheid, uint32 hashvalue);
static List *pending_constraints(void);
static bool has_events(HTAB *seen, Oid table);
static bool has_other_namesake(const Deferrable *constraint);
static void set_constraints(List *constraints, bool deferred);

/*
 * Check what the scripts so far, and the caller, have left to be checked on
 * the tables concerned; constraints declared INITIALLY DEFERRED are deferred
 * again afterwards.  Needs SPI to be connected.  A constraint that cannot be
 * set without another one of its name, or whose schema the user cannot use,
 * is left to the end of the transaction.
 */
void
dbm_deferred_check(void)
{
	List	   *settable = NIL;
	ListCell   *lc;

	foreach(lc, pending_constraints())
	{
		Deferrable *constraint = lfirst(lc);

		if (!has_other_namesake(constraint) &&
			dbm_schema_aclcheck(constraint->schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK)
			settable = lappend(settable, constraint);
	}
	set_constraints(settable, false);
	set_constraints(settable, true);
}

/*
 * Fire every pending event here and now, so that none is left for a moment
 * when the present security context is gone.  Error 42501 if some remain.
 * A constraint that cannot be deferred again without another one of its name
 * is not: then it is immediate for the rest of the transaction.
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
			if (!has_other_namesake(lfirst(lc)))
				fired = lappend(fired, lfirst(lc));
		}
	}
	set_constraints(fired, true);
}

/*
 * The list is made apart and takes its place when it is complete, so that an
 * error on the way, such as a cancel, leaves nothing half done behind.
 */
static List *
deferrable_constraints(void)
{
	static bool registered = false;
	MemoryContext context;
	List	   *constraints;
	uint64		read_generation;

	if (cache_valid)
		return cache;

	if (!registered)
		CacheRegisterSyscacheCallback(CONSTROID, forget_cache, (Datum) 0);
	registered = true;

	context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate deferrable constraints",
									ALLOCSET_SMALL_SIZES);
	constraints = read_constraints(context, &read_generation);

	MemoryContextSetParent(context, TopMemoryContext);
	if (cache_context)
		MemoryContextDelete(cache_context);
	cache_context = context;
	cache = constraints;
	/* what has changed since the scan began is for the next to read */
	cache_valid = read_generation == generation;
	return cache;
}

static List *
read_constraints(MemoryContext context, uint64 *read_generation)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	List	   *constraints = NIL;
	SysScanDesc scan;
	HeapTuple	tuple;
	MemoryContext caller;

	*read_generation = generation;
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		Deferrable *constraint;

		if (!form->condeferrable)
			continue;
		caller = MemoryContextSwitchTo(context);
		constraint = palloc(sizeof(Deferrable));
		constraint->schema = form->connamespace;
		constraint->name = form->conname;
		constraint->table = form->conrelid;
		constraint->other_table = form->confrelid;
		constraint->initially_deferred = form->condeferred;
		constraints = lappend(constraints, constraint);
		MemoryContextSwitchTo(caller);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return constraints;
}

static void
forget_cache(Datum arg, int cacheid, uint32 hashvalue)
{
	cache_valid = false;
	generation++;
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
 * Does a constraint of the same name, in the same schema, have another mode?
 * SET CONSTRAINTS ... DEFERRED would fail if it is not deferrable, and defer
 * what is to be checked at once if it is INITIALLY IMMEDIATE.
 */
static bool
has_other_namesake(const Deferrable *constraint)
{
	Relation	rel = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				NameGetDatum(&constraint->name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(constraint->schema));
	scan = systable_beginscan(rel, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (!form->condeferrable || form->condeferred != constraint->initially_deferred)
			found = true;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
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
