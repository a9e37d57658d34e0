/*-------------------------------------------------------------------------
 *
 * toolrows.c
 *	  What the rows of another tool's history table amount to: which of its
 *	  migrations are in force.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "adopt/adopt.h"

/* The newest row kept so far of a version or a description, -1 for none. */
typedef struct Newest
{
	const char *key;
	int			index;
} Newest;

static bool is_failed(const DbmToolTable *table, const DbmToolRow *row);
static void refuse_failed(const DbmToolTable *table, List *failed);
static List *in_force_goose(List *rows);
static List *in_force_flyway(List *rows);
static const char *flyway_key(const DbmToolRow *row);
static Newest *find_newest(HTAB *newest, const char *key);
static int	by_time(const ListCell *a, const ListCell *b);
static int	by_order(const ListCell *a, const ListCell *b);
static int	by_version(const ListCell *a, const ListCell *b);

/*
 * What is in force, in the tool's order; error 55000 if something there has
 * failed.
 */
List *
dbm_tool_in_force(const DbmToolTable *table, List *rows)
{
	List	   *failed = NIL;
	List	   *kept = NIL;
	ListCell   *lc;

	foreach(lc, rows)
		if (is_failed(table, lfirst(lc)))
			failed = lappend(failed, lfirst(lc));
	if (failed)
		refuse_failed(table, failed);
	if (table->tool == DBM_TOOL_GOOSE)
		return in_force_goose(rows);
	if (table->tool == DBM_TOOL_FLYWAY)
		return in_force_flyway(rows);
	foreach(lc, rows)
	{
		DbmToolRow *row = lfirst(lc);

		if (row->is_undone)
			continue;
		/* golang-migrate says -1 and tern says 0 when there is nothing yet */
		if (row->is_up_to && (row->canonical == NULL ||
							  (table->tool == DBM_TOOL_TERN && strcmp(row->canonical, "0") == 0)))
			continue;
		kept = lappend(kept, row);
	}
	list_sort(kept, by_time);
	return kept;
}

/* Did the tool stop half way, so that nobody knows what is in force? */
static bool
is_failed(const DbmToolTable *table, const DbmToolRow *row)
{
	switch (table->tool)
	{
		case DBM_TOOL_GOLANG_MIGRATE:
			return row->flag;
		case DBM_TOOL_FLYWAY:
		case DBM_TOOL_SQLX:
		case DBM_TOOL_OTHER:
			return !row->flag;
		case DBM_TOOL_PRISMA:
			return row->applied_at == NULL && !row->is_undone;
		default:
			return false;
	}
}

static void
refuse_failed(const DbmToolTable *table, List *failed)
{
	DbmToolRow *first = linitial(failed);
	StringInfoData names;
	char	   *hint;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, failed)
		appendStringInfo(&names, "%s%s", names.len ? ", " : "", ((DbmToolRow *) lfirst(lc))->text);
	if (table->tool == DBM_TOOL_GOLANG_MIGRATE)
		hint = psprintf("Put the database right by hand, then: migrate force %s, or the version before it",
						first->version ? first->version : "<version>");
	else if (table->tool == DBM_TOOL_FLYWAY)
		hint = pstrdup("Put the database right by hand, then: flyway repair");
	else if (table->tool == DBM_TOOL_PRISMA)
		hint = psprintf("Put the database right by hand, then: prisma migrate resolve --applied %s, or --rolled-back", dbm_literal(first->text));
	else
		hint = psprintf("Put the database right by hand, then, if it is not in force: DELETE FROM %s WHERE NOT %s; or else: UPDATE %s SET %s = true;",
						table->ref, quote_identifier(table->columns[DBM_COLUMN_FLAG]),
						table->ref, quote_identifier(table->columns[DBM_COLUMN_FLAG]));
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("table %s has a failed migration", "table %s has failed migrations",
						   list_length(failed), table->ref),
			 errdetail("Failed: %s.", names.data),
			 errhint("%s", hint)));
}

/* The newest row of each version counts; version 0 is the table's beginning. */
static List *
in_force_goose(List *rows)
{
	List	   *kept = NIL;
	const DbmToolRow *last = NULL;

	list_sort(rows, by_version);
	for (int i = list_length(rows) - 1; i >= 0; i--)
	{
		DbmToolRow *row = list_nth(rows, i);

		if (last && dbm_version_compare(last->canonical, row->canonical) == 0)
			continue;
		last = row;
		if (row->flag && row->canonical && strcmp(row->canonical, "0") != 0)
			kept = lappend(kept, row);
	}
	list_sort(kept, by_order);
	return kept;
}

/*
 * Rows of undo and delete take back an earlier one, repeatables come again:
 * always the newest row of the same version, or description if repeatable.
 */
static List *
in_force_flyway(List *rows)
{
	HTAB	   *newest = dbm_string_table("dbmigrate rows in force", 1024, sizeof(Newest));
	DbmToolRow **kept = palloc(list_length(rows) * sizeof(DbmToolRow *));
	int		   *older = palloc(list_length(rows) * sizeof(int));
	List	   *result = NIL;
	int			nkept = 0;
	ListCell   *lc;

	list_sort(rows, by_order);
	foreach(lc, rows)
	{
		DbmToolRow *row = lfirst(lc);
		const char *key = flyway_key(row);
		Newest	   *entry = key ? find_newest(newest, key) : NULL;
		bool		takes_back = strncmp(row->type, "UNDO", 4) == 0 || strcmp(row->type, "DELETE") == 0;

		CHECK_FOR_INTERRUPTS();
		if (entry && entry->index >= 0 && (takes_back || row->is_repeatable))
		{
			kept[entry->index] = NULL;
			entry->index = older[entry->index];
		}
		if (takes_back || strcmp(row->type, "SCHEMA") == 0)
			continue;
		kept[nkept] = row;
		if (entry)
		{
			older[nkept] = entry->index;
			entry->index = nkept;
		}
		nkept++;
	}
	for (int i = 0; i < nkept; i++)
		if (kept[i])
			result = lappend(result, kept[i]);
	return result;
}

/* What rows have in common of which one takes the place of another. */
static const char *
flyway_key(const DbmToolRow *row)
{
	if (row->is_repeatable)
		return psprintf("R%s", row->name);
	return row->canonical ? psprintf("V%s", row->canonical) : NULL;
}

static Newest *
find_newest(HTAB *newest, const char *key)
{
	bool		found;
	Newest	   *entry = hash_search(newest, &key, HASH_ENTER, &found);

	if (!found)
		entry->index = -1;
	return entry;
}

static int
by_time(const ListCell *a, const ListCell *b)
{
	const DbmToolRow *x = lfirst(a);
	const DbmToolRow *y = lfirst(b);

	/* without a time after those with one, in version order */
	if ((x->applied_at == NULL) != (y->applied_at == NULL))
		return x->applied_at ? -1 : 1;
	if (x->applied_at && *x->applied_at != *y->applied_at)
		return *x->applied_at < *y->applied_at ? -1 : 1;
	if (x->order != y->order)
		return by_order(a, b);
	return by_version(a, b);
}

static int
by_order(const ListCell *a, const ListCell *b)
{
	int64		x = ((const DbmToolRow *) lfirst(a))->order;
	int64		y = ((const DbmToolRow *) lfirst(b))->order;

	return (x > y) - (x < y);
}

static int
by_version(const ListCell *a, const ListCell *b)
{
	const DbmToolRow *x = lfirst(a);
	const DbmToolRow *y = lfirst(b);
	int			result = dbm_version_compare(x->canonical, y->canonical);

	if (result == 0)
		result = by_order(a, b);
	return result != 0 ? result : strcmp(x->text, y->text);
}
