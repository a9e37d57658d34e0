/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  Who runs migrations at this moment, and how far it is.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "activity.h"
#include "options.h"
#include "query.h"
#include "say.h"
#include "utf8.h"

#define MAX_NAME 24				/* columns of the terminal for it */

/* Columns. */
enum
{
	ACTIVITY_PID,
	ACTIVITY_USER,
	ACTIVITY_APPLICATION,
	ACTIVITY_SINCE,
	ACTIVITY_DIRECTION,
	ACTIVITY_VERSION,
	ACTIVITY_NAME,
	ACTIVITY_NUMBER,
	ACTIVITY_MIGRATIONS,
	ACTIVITY_STATEMENT,
	ACTIVITY_STATEMENTS,
	ACTIVITY_SECONDS,
	ACTIVITY_ATTEMPT,
	ACTIVITY_BLOCKER,
	ACTIVITY_BLOCKER_USER,
	ACTIVITY_BLOCKER_APPLICATION,
	ACTIVITY_BLOCKER_QUERY,
	ACTIVITY_PERCENT
};

/* What is looked up is qualified: the look need not be in a transaction. */
const char	activity_sql[] =
	"SELECT a.pid, a.usename, a.application_name, pg_catalog.to_char(a.run_started, 'YYYY-MM-DD HH24:MI:SS'),"
	"       a.direction, a.version, a.name, a.migration_number, a.migrations, a.statement_number, a.statements,"
	"       pg_catalog.floor(EXTRACT(epoch FROM pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-)"
	"                                            COALESCE(a.statement_started, a.run_started))),"
	"       a.attempt, a.blocked_by_pid, a.blocked_by_user, a.blocked_by_application,"
	"       pg_catalog.left(a.blocked_by_query, 200), pg_catalog.round(a.progress_percent)"
	"  FROM migrate.activity a"
	" ORDER BY a.pid OPERATOR(pg_catalog.=) $1::pg_catalog.int4 DESC";

static void add_who(Text *text, const char *user, const char *application, const char *pid);
static void add_value(Text *text, const char *before, const char *value, const char *after);

/* 003 add_orders (2/7), statement 3/5, 12 s, waits for alice (psql, pid 123): LOCK TABLE orders */
char *
activity_text(const PGresult *rows, int row)
{
	const char *value[ACTIVITY_PERCENT + 1];
	Text		text = {0};

	for (int i = 0; i <= ACTIVITY_PERCENT; i++)
		value[i] = PQgetvalue(rows, row, i);
	if (strcmp(value[ACTIVITY_DIRECTION], "down") == 0)
		text_append(&text, "rolling back ");
	if (*value[ACTIVITY_VERSION] || *value[ACTIVITY_NAME])
		text_append(&text, harmless_line(*value[ACTIVITY_VERSION] ? value[ACTIVITY_VERSION] : "R__"));
	/* what is behind a long name is more important than its end */
	add_value(&text, *value[ACTIVITY_VERSION] ? " " : "",
			  cut_to_width(harmless_line(value[ACTIVITY_NAME]), MAX_NAME, ELLIPSIS), "");
	if (*value[ACTIVITY_MIGRATIONS])
		text_format(&text, " (%s/%s)", value[ACTIVITY_NUMBER], value[ACTIVITY_MIGRATIONS]);
	if (*value[ACTIVITY_STATEMENTS])
		text_format(&text, ", statement %s/%s", value[ACTIVITY_STATEMENT], value[ACTIVITY_STATEMENTS]);
	add_value(&text, text.len > 0 ? ", " : "", value[ACTIVITY_SECONDS], " s");
	add_value(&text, ", ", value[ACTIVITY_PERCENT], " %");
	if (atoi(value[ACTIVITY_ATTEMPT]) > 1)
		add_value(&text, ", attempt ", value[ACTIVITY_ATTEMPT], "");
	if (*value[ACTIVITY_BLOCKER])
	{
		text_append(&text, ", waits for ");
		add_who(&text, value[ACTIVITY_BLOCKER_USER], value[ACTIVITY_BLOCKER_APPLICATION], value[ACTIVITY_BLOCKER]);
		add_value(&text, ": ", value[ACTIVITY_BLOCKER_QUERY], "");
	}
	text_append(&text, "");
	return text.data;
}

/* alice (psql, pid 123) */
static void
add_who(Text *text, const char *user, const char *application, const char *pid)
{
	add_value(text, "", user, " ");
	text_append_char(text, '(');
	add_value(text, "", application, ", ");
	text_format(text, "pid %s)", pid);
}

/* Nothing, if there is none. */
static void
add_value(Text *text, const char *before, const char *value, const char *after)
{
	char	   *shown;

	if (*value == '\0')
		return;
	shown = harmless_line(value);
	text_format(text, "%s%s%s", before, shown, after);
	free(shown);
}

/* For "status", in its transaction; for those who may look. */
void
show_activity(void)
{
	const char *values[] = {"0"};
	PGresult   *rows = query("SELECT coalesce(has_table_privilege(to_regclass('migrate.activity'), 'SELECT'), false)", 0, NULL);
	bool		may_look = *PQgetvalue(rows, 0, 0) == 't';

	PQclear(rows);
	if (!may_look)
		return;
	rows = query(activity_sql, 1, values);
	for (int i = 0; i < PQntuples(rows); i++)
	{
		char	   *what = activity_text(rows, i);
		Text		who = {0};

		add_who(&who, PQgetvalue(rows, i, ACTIVITY_USER), PQgetvalue(rows, i, ACTIVITY_APPLICATION), PQgetvalue(rows, i, ACTIVITY_PID));
		tell("%s runs since %s%s%s", who.data, harmless_line(PQgetvalue(rows, i, ACTIVITY_SINCE)), *what ? ": " : "", what);
		text_free(&who);
		free(what);
	}
	PQclear(rows);
}
