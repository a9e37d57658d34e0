/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What other sessions see of a run in pg_stat_activity: written here, and
 *	  read back here.
 *
 *	  migration 3 of 7, statement 2 of 5, attempt 2 in run 12: 003 "add_orders" (up) of "shop": CREATE TABLE ...
 *
 * The numbers come first, since the text is cut at track_activity_query_size.
 * Names are quoted, and a '"' in them is doubled, so that they are read as they
 * were written; an id that stands for a version is quoted, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

#include "script/internal.h"

/* How much of a statement, and of a name, is shown. */
#define MAX_STATEMENT 200
#define MAX_NAME 100
#define MAX_NUMBERS 150
#define COLUMNS 11				/* of migrate.statement_activity */

/* The run in this session, as far as it is known. */
static int64 run = 0;
static int	migration = 0;
static int	migrations = 0;
static int	attempt = 1;
static const char *of_project = "";

static void append_quoted(StringInfo buf, const char *name);
static bool read_numbers(const char **text, DbmRow *row);
static bool read_number(const char **text, const char *before, int64 *number);
static bool read_word(const char **text, const char *word);
static void read_reference(const char **text, char **version, char **name);
static char *read_quoted(const char **text);
static void read_label(const char **text, DbmRow *row);

PG_FUNCTION_INFO_V1(dbmigrate_read_activity);

/*
 * The next migration of a run: the how-manieth of how many.  "project" has to
 * live until the next call.
 */
void
dbm_activity_migration(int64 run_number, const char *project, int number, int count)
{
	run = run_number;
	of_project = project;
	migration = number;
	migrations = count;
	attempt = 1;
}

/* It is tried again. */
void
dbm_activity_attempt(int number)
{
	attempt = number;
}

/* What is shown of a script for each of its statements: 003 "add_orders" (up) */
char *
dbm_activity_label(const DbmLabel *label)
{
	StringInfoData buf;
	const char *reference = label->version ? label->version : "";

	initStringInfo(&buf);
	if (dbm_version_is_id(reference))
		append_quoted(&buf, reference);
	else
		appendStringInfoString(&buf, reference);
	/* an id holds the name, but for that of a baseline script */
	if (strncmp(reference, "R__", 3) != 0)
	{
		appendStringInfoChar(&buf, ' ');
		append_quoted(&buf, label->name);
	}
	appendStringInfoString(&buf, label->is_up ? " (up)" : " (down)");
	if (of_project[0])
	{
		appendStringInfoString(&buf, " of ");
		append_quoted(&buf, of_project);
	}
	return buf.data;
}

/*
 * Show that a statement is run.  Never cut amid a character: other sessions
 * could not read their pg_stat_activity.
 */
void
dbm_activity_show(const char *label, int statement, int statements, const char *sql)
{
	char		text[MAX_NUMBERS + 8 * MAX_NAME + MAX_STATEMENT];
	char		again[32] = "";
	int			sql_len;

	if (!pgstat_track_activities)
		return;
	if (attempt > 1)
		snprintf(again, sizeof(again), ", attempt %d", attempt);
	sql_len = strnlen(sql, MAX_STATEMENT);
	sql_len = pg_mbcliplen(sql, sql_len, MAX_STATEMENT - 1);
	snprintf(text, sizeof(text), "migration %d of %d, statement %d of %d%s in run " INT64_FORMAT ": %s: %.*s",
			 migration, migrations, statement, statements, again, run, label, sql_len, sql);
	pgstat_report_activity(STATE_RUNNING, text);
}

/* In double quotes; a long name loses its end. */
static void
append_quoted(StringInfo buf, const char *name)
{
	int			len = strlen(name);
	int			shown = len > MAX_NAME ? pg_mbcliplen(name, len, MAX_NAME) : len;

	appendStringInfoChar(buf, '"');
	for (int i = 0; i < shown; i++)
	{
		if (name[i] == '"')
			appendStringInfoChar(buf, '"');
		appendStringInfoChar(buf, name[i]);
	}
	appendStringInfoString(buf, shown < len ? "...\"" : "\"");
}

/*
 * SQL: migrate.read_activity(query) returns migrate.statement_activity
 *
 * Everything is NULL in what is no such text, and what was cut off is.
 */
Datum
dbmigrate_read_activity(PG_FUNCTION_ARGS)
{
	const char *query = text_to_cstring(PG_GETARG_TEXT_PP(0));
	TupleDesc	desc;
	DbmRow		row = {0};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE || desc->natts != COLUMNS)
		elog(ERROR, "return type must be a row type of %d columns", COLUMNS);
	if (read_numbers(&query, &row))
		read_label(&query, &row);
	while (row.n < COLUMNS)
		dbm_row_add(&row, (Datum) 0, true);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), row.values, row.nulls));
}

/* migration 3 of 7, statement 2 of 5, attempt 2 in run 12:  */
static bool
read_numbers(const char **text, DbmRow *row)
{
	int64		numbers[6];

	if (!read_number(text, "migration ", &numbers[0]) || !read_number(text, " of ", &numbers[1]) ||
		!read_number(text, ", statement ", &numbers[2]) || !read_number(text, " of ", &numbers[3]))
		return false;
	numbers[4] = 1;
	(void) read_number(text, ", attempt ", &numbers[4]);
	if (!read_number(text, " in run ", &numbers[5]) || !read_word(text, ": "))
		return false;
	for (int i = 0; i < 5; i++)
		dbm_row_add(row, Int32GetDatum((int32) numbers[i]), false);
	dbm_row_add(row, Int64GetDatum(numbers[5]), false);
	return true;
}

/* A number behind a word; *text stays where it is if there is none. */
static bool
read_number(const char **text, const char *before, int64 *number)
{
	const char *at = *text;
	int			len;

	if (!read_word(&at, before))
		return false;
	len = strspn(at, "0123456789");
	if (len < 1 || len > 18)
		return false;
	*number = strtoll(at, NULL, 10);
	*text = at + len;
	return true;
}

static bool
read_word(const char **text, const char *word)
{
	size_t		len = strlen(word);

	if (strncmp(*text, word, len) != 0)
		return false;
	*text += len;
	return true;
}

/* 003 "add_orders" (up) of "shop": CREATE TABLE ... */
static void
read_label(const char **text, DbmRow *row)
{
	char	   *version;
	char	   *name;
	const char *direction;
	char	   *project;
	bool		has_statement;

	read_reference(text, &version, &name);
	if (name == NULL && read_word(text, " "))
		name = read_quoted(text);
	direction = read_word(text, " (up)") ? "up" : read_word(text, " (down)") ? "down" : NULL;
	project = read_word(text, " of ") ? read_quoted(text) : NULL;
	has_statement = read_word(text, ": ");
	dbm_row_add_text(row, version);
	dbm_row_add_text(row, name);
	dbm_row_add_text(row, direction);
	dbm_row_add_text(row, project || direction == NULL || !has_statement ? project : "");
	dbm_row_add_text(row, has_statement ? *text : NULL);
}

/*
 * 003, "B__5" or "R__views": a version, or the name of a repeatable migration;
 * NULL for what is not there to its end.
 */
static void
read_reference(const char **text, char **version, char **name)
{
	int			len = strcspn(*text, " ");
	char	   *id;

	*version = *name = NULL;
	if (**text != '"')
	{
		if ((*text)[len])
			*version = pnstrdup(*text, len);
		*text += len;
		return;
	}
	id = read_quoted(text);
	if (id == NULL || strlen(id) < 3)
		return;
	if (id[0] == 'R')
		*name = id + 3;
	else
		*version = id + 3;
}

/* A name in double quotes; NULL if it has no end. */
static char *
read_quoted(const char **text)
{
	StringInfoData buf;
	const char *at = *text;

	if (*at++ != '"')
		return NULL;
	initStringInfo(&buf);
	for (; *at; at++)
	{
		if (*at == '"' && at[1] != '"')
		{
			*text = at + 1;
			return buf.data;
		}
		at += *at == '"';
		appendStringInfoChar(&buf, *at);
	}
	*text = at;
	return NULL;
}
