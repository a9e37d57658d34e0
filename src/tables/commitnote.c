/*-------------------------------------------------------------------------
 *
 * commitnote.c
 *	  Has code that may commit committed anything?
 *
 * A procedure or a DO of an online script commits where its body says so, and
 * what ended it amid its work tells nobody how far it was.  So each of its
 * transactions that has written something notes that in migrate.progress, and
 * the note is committed with it.  At that time no code of others can run any
 * more, nor a query: hence an update without one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "tables/tables.h"

/* Which row; NULL if nobody wants to know. */
static const DbmExtension *noted_ext = NULL;
static const char *noted_id;
static bool is_registered = false;

static void at_commit(XactEvent event, void *arg);
static void note(Relation progress);

/* From now on commits are noted in the row of a migration; "id" must live as long. */
void
dbm_commit_note_begin(const DbmExtension *ext, const char *id)
{
	if (!is_registered)
		RegisterXactCallback(at_commit, NULL);
	is_registered = true;
	noted_ext = ext;
	noted_id = id;
}

/* Not any more. */
void
dbm_commit_note_end(void)
{
	noted_ext = NULL;
}

/* What has no transaction id has changed nothing. */
static void
at_commit(XactEvent event, void *arg)
{
	Oid			table;
	Relation	progress;

	if (event != XACT_EVENT_PRE_COMMIT || noted_ext == NULL ||
		!TransactionIdIsValid(GetTopTransactionIdIfAny()))
		return;
	table = get_relname_relid("progress", noted_ext->schema);
	if (!OidIsValid(table))
		return;
	progress = table_open(table, RowExclusiveLock);
	note(progress);
	table_close(progress, NoLock);
}

static void
note(Relation progress)
{
	int			column = get_attnum(RelationGetRelid(progress), "committed");
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	/* few rows, so that no index is needed */
	ScanKeyInit(&keys[0], get_attnum(RelationGetRelid(progress), "target_schema"), BTEqualStrategyNumber,
				F_TEXTEQ, CStringGetTextDatum(noted_ext->target));
	ScanKeyInit(&keys[1], get_attnum(RelationGetRelid(progress), "project"), BTEqualStrategyNumber,
				F_TEXTEQ, CStringGetTextDatum(noted_ext->project));
	ScanKeyInit(&keys[2], get_attnum(RelationGetRelid(progress), "id"), BTEqualStrategyNumber,
				F_TEXTEQ, CStringGetTextDatum(noted_id));
	scan = systable_beginscan(progress, InvalidOid, false, NULL, lengthof(keys), keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) &&
		!DatumGetBool(heap_getattr(tuple, column, RelationGetDescr(progress), &isnull)))
	{
		Datum		value = BoolGetDatum(true);

		isnull = false;
		tuple = heap_modify_tuple_by_cols(tuple, RelationGetDescr(progress), 1, &column, &value, &isnull);
		CatalogTupleUpdate(progress, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
}
