/*-------------------------------------------------------------------------
 *
 * status.c
 *	  What is applied, what is pending, and what is not as it should be.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "activity.h"
#include "compare.h"
#include "connect.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "send.h"
#include "status.h"
#include "table.h"
#include "utf8.h"

#define PIPE_WIDTH 80

/* What the rows of a status add up to. */
typedef struct Counts
{
	int			applied;
	int			pending;
	int			odd;
	int			skipped;
	int			rolled_back;
} Counts;

/* Columns of the table. */
enum
{
	COLUMN_MARK,
	COLUMN_VERSION,
	COLUMN_NAME,
	COLUMN_STATE,
	COLUMN_APPLIED_AT,
	COLUMN_BY,
	NCOLUMNS
};

static void show_document(const Comparison *comparison);
static int	status_exit_code(const Comparison *comparison, const Counts *counts);
static Counts count_rows(const Comparison *comparison);
static void show_table(const Comparison *comparison);
static void fit_table(Table *table);
static const char *mark_of(const Compared *row);
static const char *colour_of(const Table *table, size_t row);
static char *state_words(const Compared *row);
static void show_details(const Comparison *comparison);
static void show_counts(const Counts *counts);
static void show_pending(const Compared *row);

/* status */
int
command_status(void)
{
	Comparison	comparison;
	Counts		counts;
	int			code;

	outcome.only_looks = true;
	compare_begin(&comparison);
	counts = count_rows(&comparison);
	if (options.json)
		show_document(&comparison);
	else
	{
		show_table(&comparison);
		show_details(&comparison);
		show_activity();
		show_counts(&counts);
	}
	rollback();
	code = status_exit_code(&comparison, &counts);
	return code ? code : outcome_end();
}

static void
show_document(const Comparison *comparison)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *document;

	if (comparison->has_files && may_call("compare_json"))
		document = send_for_comparison(&comparison->files, "SELECT migrate.compare_json($1::jsonb, $2, $3, $4)");
	else
		document = query("SELECT migrate.status_json($1, $2)", 2, values);
	report_document(PQgetvalue(document, 0, 0));
	PQclear(document);
}

static int
status_exit_code(const Comparison *comparison, const Counts *counts)
{
	if (!options.check)
		return 0;
	if (comparison->why_without)
		fail("the files could not be checked", "dbmigrate status --check --registered checks the database alone");
	return counts->pending > 0 ? 3 : counts->odd > 0 ? 1 : 0;
}

static Counts
count_rows(const Comparison *comparison)
{
	Counts		counts = {0};

	for (int i = 0; i < comparison->n; i++)
	{
		const Compared *row = &comparison->row[i];

		counts.applied += compared_is_applied(row);
		counts.pending += compared_is_pending(row);
		counts.odd += compared_is_odd(row);
		counts.skipped += compared_is_skipped(row);
		counts.rolled_back += row->is_rolled_back;
	}
	return counts;
}

static void
show_table(const Comparison *comparison)
{
	static const char *const headers[NCOLUMNS] = {" ", "version", "name", "state", "applied at", "by"};
	Table		table;

	table_begin(&table, NCOLUMNS, headers);
	for (int i = 0; i < comparison->n; i++)
	{
		const Compared *row = &comparison->row[i];

		table_add(&table, mark_of(row));
		table_add(&table, row->version);
		table_add(&table, *row->name ? row->name : row->file);
		table_add(&table, state_words(row));
		table_add(&table, row->applied_at);
		table_add(&table, row->applied_by);
	}
	fit_table(&table);
	table_print(&table, colour_of);
	table_free(&table);
}

/* First go the seconds; on a terminal, where nobody searches the text for it, then the ends of names. */
static void
fit_table(Table *table)
{
	int			limit = display.is_tty ? display_columns() : PIPE_WIDTH;
	int			too_wide;

	if (table_width(table) > limit)
		table_cut_column(table, COLUMN_APPLIED_AT, (int) strlen("YYYY-MM-DD HH:MM"), "");
	too_wide = table_width(table) - limit;
	if (too_wide > 0 && display.is_tty)
	{
		int			widest = 0;

		for (size_t row = 1; row < table_rows(table); row++)
			if (display_width(table_cell(table, row, COLUMN_NAME)) > widest)
				widest = display_width(table_cell(table, row, COLUMN_NAME));
		table_cut_column(table, COLUMN_NAME, widest - too_wide > 8 ? widest - too_wide : 8, ELLIPSIS);
	}
}

static const char *
mark_of(const Compared *row)
{
	if (row->is_rolled_back || compared_is_skipped(row))
		return "-";
	if (compared_is_applied(row) && strcmp(row->state, "missing") != 0)
		return display.utf8 ? "✓" : "+";
	if (strcmp(row->state, "pending") == 0 || strcmp(row->state, "new") == 0)
		return display.utf8 ? "·" : ".";
	return "!";
}

static const char *
colour_of(const Table *table, size_t row)
{
	const char *mark = table_cell(table, row, COLUMN_MARK);

	if (strcmp(mark, "✓") == 0 || strcmp(mark, "+") == 0)
		return display.green;
	if (strcmp(mark, "!") == 0)
		return display.red;
	return strcmp(mark, "-") == 0 ? display.dim : display.yellow;
}

static char *
state_words(const Compared *row)
{
	bool		is_new = strcmp(row->state, "new") == 0;
	char	   *words = harmless_line(row->is_rolled_back ? "rolled_back" : is_new ? "pending" : row->state);

	for (char *c = words; *c; c++)
		if (*c == '_')
			*c = ' ';
	return words;
}

/* What is wrong with those that are not as they should be. */
static void
show_details(const Comparison *comparison)
{
	for (int i = 0; i < comparison->n; i++)
	{
		const Compared *row = &comparison->row[i];

		if (*row->detail && (strcmp(row->state, "changed") == 0 || strcmp(row->state, "error") == 0))
			tell("%s%s%s%s: %s", display.red, compared_label(row), *row->file && *row->version ? ", " : "",
				 *row->version ? harmless_line(row->file) : "", harmless_line(row->detail));
	}
}

static void
show_counts(const Counts *counts)
{
	Text		text = {0};

	text_format(&text, "%d applied, %d pending", counts->applied, counts->pending);
	if (counts->odd > 0)
		text_format(&text, ", %d need attention", counts->odd);
	if (counts->skipped > 0)
		text_format(&text, ", %d skipped", counts->skipped);
	if (counts->rolled_back > 0)
		text_format(&text, ", %d rolled back", counts->rolled_back);
	tell("%s", text.data);
	text_free(&text);
}

/* pending */
int
command_pending(void)
{
	Comparison	comparison;
	int			refused = 0;

	outcome.only_looks = true;
	compare_begin(&comparison);
	for (int i = 0; i < comparison.n; i++)
	{
		const Compared *row = &comparison.row[i];

		if (compared_is_pending(row))
			show_pending(row);
		if (strcmp(row->state, "changed") == 0 || strcmp(row->state, "error") == 0)
		{
			say("%s: %s", *row->file ? harmless_line(row->file) : compared_label(row),
				*row->detail ? harmless_line(row->detail) : "changed");
			refused++;
		}
	}
	rollback();
	if (refused == 0)
		return outcome_end();
	alarm_say("dbmigrate up would be refused");
	report_text("message", "up would be refused");
	report_end(false);
	return 1;
}

static void
show_pending(const Compared *row)
{
	bool		is_plain = strcmp(row->state, "pending") == 0 || strcmp(row->state, "new") == 0;
	Text		object = {0};

	tell("%s%s%s%s", compared_label(row), is_plain ? "" : " (", is_plain ? "" : state_words(row), is_plain ? "" : ")");
	json_member(&object, "version", *row->version ? row->version : NULL);
	json_member(&object, "name", row->name);
	json_member(&object, "state", row->state);
	json_member(&object, "file", *row->file ? row->file : NULL);
	report_add("pending", &object);
	text_free(&object);
}

/* version */
int
command_version(void)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *row;
	const char *version;

	outcome.only_looks = true;
	connect_database();
	need_extension();
	begin();
	row = query("SELECT migrate.version($1, $2)", 2, values);
	version = PQgetvalue(row, 0, 0);
	report_text("version", *version ? version : NULL);
	if (*version)
		tell("%s", harmless_line(version));
	else
		note("none");
	PQclear(row);
	rollback();
	return outcome_end();
}
