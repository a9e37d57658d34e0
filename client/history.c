/*-------------------------------------------------------------------------
 *
 * history.c
 *	  What happened in this database.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "history.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "table.h"
#include "utf8.h"

/* The last rows, the oldest of them first.  Parameters: target schema, project, how many. */
#define LAST_ROWS \
	"(SELECT * FROM migrate.history h WHERE h.target_schema = $1 AND h.project = $2 ORDER BY h.id DESC LIMIT $3::int8) h"

#define FOR_PEOPLE \
	"SELECT h.run, to_char(h.at, 'YYYY-MM-DD HH24:MI:SS'), h.action, h.version, h.name, h.username," \
	"       CASE WHEN h.action IN ('failed', 'retry') THEN concat_ws(': ', h.sqlstate, h.message) ELSE h.reason END" \
	"  FROM " LAST_ROWS " ORDER BY h.id"

#define FOR_PROGRAMS \
	"SELECT coalesce(jsonb_agg(to_jsonb(h) - 'checksum' ORDER BY h.id), '[]') FROM " LAST_ROWS

static void show(const PGresult *rows);

/* history [N] */
int
command_history(void)
{
	const char *values[] = {options.schema, options.project, options.argument};
	PGresult   *rows;

	outcome.only_looks = true;
	connect_database();
	need_extension();
	begin();
	need_select("the history", "migrate.history");
	rows = query(options.json ? FOR_PROGRAMS : FOR_PEOPLE, 3, values);
	if (options.json)
		report_json("history", PQgetvalue(rows, 0, 0));
	else
		show(rows);
	PQclear(rows);
	rollback();
	return outcome_end();
}

static void
show(const PGresult *rows)
{
	static const char *const headers[] = {"run", "at", "action", "version", "name", "by", "why"};
	Table		table;

	table_begin(&table, lengthof(headers), headers);
	for (int i = 0; i < PQntuples(rows); i++)
		for (int j = 0; j < (int) lengthof(headers); j++)
			table_add(&table, PQgetvalue(rows, i, j));
	/* errors are long, and the last column */
	if (display.is_tty)
		table_fit_last_column(&table, display_columns(), ELLIPSIS);
	table_print(&table, NULL);
	table_free(&table);
}
