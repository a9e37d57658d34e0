/*-------------------------------------------------------------------------
 *
 * switch.c
 *	  From one branch of development to another.
 *
 * What is applied here and is not in the directory, or is another text there, is
 * rolled back by the scripts that are registered, and forgotten; with it goes what
 * was applied after it, which comes back with what the directory has.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "compare.h"
#include "connect.h"
#include "options.h"
#include "outcome.h"
#include "production.h"
#include "query.h"
#include "report.h"
#include "run.h"
#include "say.h"
#include "send.h"
#include "switch.h"
#include "utf8.h"

static void refuse_production(void);
static bool is_lacking(const Compared *row);
static bool is_applied_version(const Compared *row);
static long count_rollbacks(const Comparison *comparison);
static void forget(const Comparison *comparison);

/* switch */
int
command_switch(void)
{
	Comparison	comparison;
	long		rollbacks;

	compare_begin(&comparison);
	if (!comparison.has_files)
		fail("there is no directory to switch to", comparison.why_without);
	files_refuse_templates(&comparison.files);
	refuse_production();
	rollbacks = count_rollbacks(&comparison);
	rollback();
	if (rollbacks > 0)
		run_down(rollbacks);
	outcome.has_begun = true;
	begin();
	forget(&comparison);
	send_files(&comparison.files);
	commit();
	outcome.has_registered = has_registered_something();
	run_up();
	run_show_switch();
	return outcome_end();
}

/* Nobody switches a production database, not even with --yes. */
static void
refuse_production(void)
{
	if (is_production())
		fail(format_string("switch is for development, and database %s %s", harmless_line(facts.database),
						   facts.may_ask_environment ? "is a production database" : "may be a production database"),
			 "dbmigrate down, and then dbmigrate up, if that is what is meant");
}

/* Is it of another branch? */
static bool
is_lacking(const Compared *row)
{
	return strcmp(row->state, "file_missing") == 0 || strcmp(row->state, "changed") == 0;
}

/* Repeatable ones have nothing to be rolled back. */
static bool
is_applied_version(const Compared *row)
{
	return *row->version && *row->applied_at;
}

/* From the first one that is lacking to the end, in the order of application. */
static long
count_rollbacks(const Comparison *comparison)
{
	const char *first = NULL;
	long		count = 0;

	for (int i = 0; i < comparison->n; i++)
	{
		const Compared *row = &comparison->row[i];

		if (!is_applied_version(row) || !is_lacking(row))
			continue;
		note("%s in %s: %s", strcmp(row->state, "changed") == 0 ? "another text" : "not",
			 harmless_line(comparison->files.directory), compared_label(row));
		if (first == NULL || strcmp(row->applied_at_key, first) < 0)
			first = row->applied_at_key;
	}
	for (int i = 0; first && i < comparison->n; i++)
		count += is_applied_version(&comparison->row[i]) && strcmp(comparison->row[i].applied_at_key, first) >= 0;
	return count;
}

/* They are pending now, and would stand in the way of what has the same number. */
static void
forget(const Comparison *comparison)
{
	for (int i = 0; i < comparison->n; i++)
	{
		const Compared *row = &comparison->row[i];
		char	   *id = *row->version ? copy_string(row->version) : format_string("R__%s", row->name);
		const char *values[] = {id, options.project};

		if (is_lacking(row) && !compared_is_skipped(row) && strstr(row->detail, "not registered") == NULL)
			PQclear(query("SELECT migrate.remove($1, $2)", 2, values));
		free(id);
	}
}
