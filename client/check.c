/*-------------------------------------------------------------------------
 *
 * check.c
 *	  Is the directory fit to be deployed?
 *
 * For a pipeline: what was applied must be as it was, each number be taken once,
 * and what is new come behind what is applied.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "compare.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "utf8.h"

static const char *problem_of(const Compared *row, const char **what);
static void show_problem(const Compared *row, const char *what, const char *problem);

/* check */
int
command_check(void)
{
	Comparison	comparison;
	int			problems = 0;

	outcome.only_looks = true;
	compare_begin(&comparison);
	if (!comparison.has_files)
		fail("there are no files that could be checked", comparison.why_without);
	for (int i = 0; i < comparison.n; i++)
	{
		const char *what;
		const char *problem = problem_of(&comparison.row[i], &what);

		if (problem == NULL)
			continue;
		show_problem(&comparison.row[i], what, problem);
		problems++;
	}
	rollback();
	report_text("message", problems == 0 ? "nothing is wrong" :
				format_string("%d %s", problems, plural(problems, "problem", "problems")));
	if (problems == 0)
	{
		note("%ld %s, nothing is wrong", (long) comparison.files.n, plural((long) comparison.files.n, "file", "files"));
		return outcome_end();
	}
	alarm_say("%d %s", problems, plural(problems, "problem", "problems"));
	report_end(false);
	flush_results();
	return 1;
}

/* NULL if there is none; *what is one word for it. */
static const char *
problem_of(const Compared *row, const char **what)
{
	*what = "changed";
	if (strcmp(row->state, "changed") == 0)
		return *row->detail ? row->detail : "it is not what was applied";
	*what = "error";
	if (strcmp(row->state, "error") == 0)
		return row->detail;
	/* what never had a file cannot be removed */
	*what = "removed";
	if (compared_lacks_file(row, "applied") && strchr(row->detail, ';') == NULL)
		return "it is applied, and its file is not there";
	*what = "too late";
	if (strcmp(row->state, "out_of_order") == 0)
		return "it is older than the newest applied migration";
	return NULL;
}

static void
show_problem(const Compared *row, const char *what, const char *problem)
{
	Text		object = {0};

	tell("%s: %s: %s", *row->file ? harmless_line(row->file) : compared_label(row), what, harmless_line(problem));
	json_member(&object, "file", *row->file ? row->file : NULL);
	json_member(&object, "version", *row->version ? row->version : NULL);
	json_member(&object, "name", row->name);
	json_member(&object, "problem", what);
	json_member(&object, "detail", problem);
	report_add("problems", &object);
	text_free(&object);
}
