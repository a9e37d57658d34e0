/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  The migrations of the directory and of the database, side by side.
 *
 * The server compares, and writes nothing.  Who may not ask it for that, or has no
 * directory, gets what the database knows.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "connect.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "say.h"
#include "send.h"
#include "utf8.h"

#define TIMES "to_char(c.applied_at, 'YYYY-MM-DD HH24:MI:SS'), to_char(c.applied_at AT TIME ZONE 'UTC', 'YYYYMMDDHH24MISSUS')"
#define COMPARE_SQL \
	"SELECT c.version, c.name, c.state, " TIMES ", c.applied_by, c.file, c.detail FROM migrate.compare($1::jsonb, $2, $3, $4) c"
#define STATUS_SQL \
	"SELECT c.version, c.name, c.state, " TIMES ", c.applied_by, NULL, NULL FROM migrate.status($1, $2) c"

static const char *reason_without_files(void);
static void read_rows(Comparison *comparison);
static void mark_rolled_back(Comparison *comparison);
static bool is_one_of(const char *state, const char *const *states);
static const char *state_of(const Compared *row);

/*
 * Reads the directory, connects, and opens a transaction in which "rows" are
 * read; whatever else is asked of it there is consistent with them.
 */
void
compare_begin(Comparison *comparison)
{
	bool		has_directory;

	memset(comparison, 0, sizeof(Comparison));
	has_directory = files_find_directory(&comparison->files, false);
	if (has_directory)
	{
		files_read(&comparison->files, false);
		if (comparison->files.n == 0)
			note("note: there are no files in %s", harmless_line(comparison->files.directory));
	}
	connect_database();
	need_extension();
	begin();
	if (has_directory)
		comparison->why_without = reason_without_files();
	comparison->has_files = has_directory && comparison->files.n > 0 && comparison->why_without == NULL;
	if (comparison->why_without)
		say("note: the files of %s are not considered: %s; this is what the database knows",
			harmless_line(comparison->files.directory), comparison->why_without);
	read_rows(comparison);
	if (comparison->has_files)
		mark_rolled_back(comparison);
}

static const char *
reason_without_files(void)
{
	if (!has_function("compare"))
		return "the extension is too old to compare them";
	if (!may_call("compare"))
		return format_string("%s may not call migrate.compare()", facts.user);
	return NULL;
}

static void
read_rows(Comparison *comparison)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *rows;

	if (comparison->has_files)
		rows = send_for_comparison(&comparison->files, COMPARE_SQL);
	else
		rows = query(STATUS_SQL, 2, values);
	comparison->n = PQntuples(rows);
	comparison->row = allocate((size_t) comparison->n * sizeof(Compared));
	for (int i = 0; i < comparison->n; i++)
	{
		Compared   *row = &comparison->row[i];

		row->version = PQgetvalue(rows, i, 0);
		row->name = PQgetvalue(rows, i, 1);
		row->state = PQgetvalue(rows, i, 2);
		row->detail = PQgetvalue(rows, i, 7);
		/* what is not registered yet can be that as well */
		if (strcmp(row->state, "new") == 0 && begins_with(row->detail, "older than the newest applied"))
			row->state = "out_of_order";
		row->applied_at = PQgetvalue(rows, i, 3);
		row->applied_at_key = PQgetvalue(rows, i, 4);
		row->applied_by = PQgetvalue(rows, i, 5);
		row->file = PQgetvalue(rows, i, 6);
		row->is_rolled_back = false;
	}
	/* the rows point into it */
}

/* Who may not ask what is pending sees it as such. */
static void
mark_rolled_back(Comparison *comparison)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *rows;

	if (!may_call("pending"))
		return;
	rows = query("SELECT p.version FROM migrate.pending($1, $2) p WHERE p.rolled_back", 2, values);
	for (int i = 0; i < PQntuples(rows); i++)
		for (int j = 0; j < comparison->n; j++)
			if (strcmp(comparison->row[j].state, "file_missing") == 0 &&
				strcmp(comparison->row[j].version, PQgetvalue(rows, i, 0)) == 0)
				comparison->row[j].is_rolled_back = true;
	PQclear(rows);
}

/* Of a migration without a file, what the database knows is the first word of the detail. */
static const char *
state_of(const Compared *row)
{
	if (strcmp(row->state, "file_missing") != 0)
		return row->state;
	return copy_bytes(row->detail, strcspn(row->detail, ";"));
}

static bool
is_one_of(const char *state, const char *const *states)
{
	for (; *states; states++)
		if (strcmp(state, *states) == 0)
			return true;
	return false;
}

bool
compared_is_applied(const Compared *row)
{
	static const char *const states[] = {"applied", "missing", NULL};

	return is_one_of(state_of(row), states);
}

bool
compared_is_skipped(const Compared *row)
{
	static const char *const states[] = {"skipped", "superseded", NULL};

	return is_one_of(state_of(row), states);
}

/* What is applied in part is, unless it was applied before. */
bool
compared_is_pending(const Compared *row)
{
	static const char *const plain[] = {"pending", "new", "out_of_order", "unreadable", NULL};
	static const char *const half[] = {"failed", "interrupted", "running", NULL};
	const char *state = state_of(row);

	return !row->is_rolled_back && (is_one_of(state, plain) || (*row->applied_at == '\0' && is_one_of(state, half)));
}

/* What wants attention; pending ones may do so, too. */
bool
compared_is_odd(const Compared *row)
{
	static const char *const states[] = {"changed", "failed", "interrupted", "running", "error", NULL};

	return !row->is_rolled_back && is_one_of(state_of(row), states);
}

/* Has it no file in the directory, and is otherwise in that state? */
bool
compared_lacks_file(const Compared *row, const char *state)
{
	return strcmp(row->state, "file_missing") == 0 && strcmp(state_of(row), state) == 0;
}

/* 001 create_users, or R__view, or its file. */
char *
compared_label(const Compared *row)
{
	if (*row->version)
		return harmless_line(format_string("%s%s%s", row->version, *row->name ? " " : "", row->name));
	if (*row->name && strcmp(row->state, "error") != 0)
		return harmless_line(format_string("R__%s", row->name));
	return harmless_line(row->file);
}
