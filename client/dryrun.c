/*-------------------------------------------------------------------------
 *
 * dryrun.c
 *	  What up, down and redo would run (--dry-run).
 *
 * The files are registered in a transaction that is rolled back; what would be
 * run is asked there, and its text read from the extension's table.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "dryrun.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "send.h"
#include "utf8.h"

/* Parameters: target schema, project, how many (NULL: all), version (NULL: none), and for up what is left out. */
#define WHAT_IS_APPLIED \
	"  FROM migrate.applied a LEFT JOIN migrate.migration m ON m.project = a.project AND m.id = a.id" \
	" WHERE a.target_schema = $1 AND a.project = $2 AND a.version_key IS NOT NULL" \
	"   AND ($4::text IS NULL OR $4 = '0' OR a.position > (SELECT t.position FROM migrate.applied t" \
	"         WHERE t.target_schema = $1 AND t.project = $2 AND t.version_key = migrate.version_key($4)))" \
	" ORDER BY a.position DESC LIMIT $3::int8"

#define UP_SQL \
	"SELECT p.version, p.name, 'up', m.up, p.state" \
	"  FROM (SELECT s.version, s.name, s.state, row_number() OVER () AS n FROM migrate.pending($1, $2) s) p" \
	"  JOIN migrate.migration m ON m.project = $2 AND m.id = coalesce(" \
	"       (SELECT k.id FROM migrate.migration k WHERE k.project = $2 AND k.version = p.version)," \
	"       (SELECT k.id FROM migrate.migration k WHERE k.project = $2 AND k.id = 'B__' || p.version)," \
	"       'R__' || p.name)" \
	" WHERE ($4::text IS NULL OR (p.version IS NOT NULL AND migrate.version_key(p.version) <= migrate.version_key($4)))" \
	"   AND NOT coalesce(p.version = ANY ($5::text[]), false)" \
	" ORDER BY p.n LIMIT $3::int8"

#define DOWN_SQL "SELECT a.version, a.name, 'down', m.down, a.state" WHAT_IS_APPLIED

/* What is rolled back, then the same in reverse. */
#define REDO_SQL \
	"WITH chosen AS (SELECT a.version, a.name, m.up, m.down, a.position, a.state" WHAT_IS_APPLIED ") " \
	"(SELECT version, name, 'down', down, state FROM chosen ORDER BY position DESC) UNION ALL " \
	"(SELECT version, name, 'up', up, state FROM chosen ORDER BY position)"

static int	show(const char *sql, int nvalues, const char *count, const char *left_out);
static void show_row(const PGresult *rows, int row);

/* up --dry-run; "files" may be NULL.  The database is connected. */
int
dry_run_up(const Files *files)
{
	char	   *left_out = NULL;

	begin();
	if (files)
	{
		send_files(files);
		left_out = orphans_left_out(files);
	}
	outcome.only_looks = true;
	need_select("the scripts", "migrate.migration, migrate.applied");
	return show(UP_SQL, 5, options.argument, left_out);
}

/* down --dry-run, redo --dry-run */
int
dry_run_down(void)
{
	begin();
	outcome.only_looks = true;
	need_select("the scripts", "migrate.migration, migrate.applied");
	return show(options.command == COMMAND_REDO ? REDO_SQL : DOWN_SQL, 4,
				options.to ? NULL : options.argument ? options.argument : "1", NULL);
}

static int
show(const char *sql, int nvalues, const char *count, const char *left_out)
{
	const char *values[] = {options.schema, options.project, count, options.to, left_out};
	PGresult   *rows = query(sql, nvalues, values);
	int			n = PQntuples(rows);

	for (int i = 0; i < n; i++)
		show_row(rows, i);
	PQclear(rows);
	rollback();
	report_text("message", n == 0 ? "nothing would be run" : "a dry run: nothing was changed");
	if (n == 0)
		tell("%s", options.command == COMMAND_UP ? "nothing to apply" : "nothing to roll back");
	note("a dry run: nothing was changed");
	return outcome_end();
}

static void
show_row(const PGresult *rows, int row)
{
	const char *version = PQgetvalue(rows, row, 0);
	const char *name = PQgetvalue(rows, row, 1);
	const char *direction = PQgetvalue(rows, row, 2);
	const char *sql = PQgetisnull(rows, row, 3) ? NULL : PQgetvalue(rows, row, 3);
	const char *state = PQgetvalue(rows, row, 4);
	bool		is_plain = strcmp(state, "pending") == 0 || strcmp(state, "applied") == 0;
	Text		object = {0};

	json_member(&object, "version", *version ? version : NULL);
	json_member(&object, "name", name);
	json_member(&object, "direction", direction);
	json_member(&object, "state", state);
	json_member(&object, "sql", sql);
	report_add("plan", &object);
	text_free(&object);
	tell("-- %s%s%s (%s)%s%s", *version ? harmless_line(version) : "R__", *version && *name ? " " : "", harmless_line(name),
		 direction, is_plain ? "" : ", ", is_plain ? "" : harmless_line(state));
	if (sql == NULL)
		tell("-- it has no such script, and the run would be refused");
	else
		tell("%s%s", sql, *sql && sql[strlen(sql) - 1] == '\n' ? "" : "\n");
}
