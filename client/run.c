/*-------------------------------------------------------------------------
 *
 * run.c
 *	  up, down, redo: running migrations.
 *
 * By a procedure of the extension, which commits after each of them, or in one
 * transaction by a function.  The lines on stdout are results: each is there when
 * what it says is committed.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "dryrun.h"
#include "files.h"
#include "live.h"
#include "options.h"
#include "outcome.h"
#include "place.h"
#include "production.h"
#include "query.h"
#include "report.h"
#include "run.h"
#include "say.h"
#include "send.h"
#include "utf8.h"

/* What is called: a function, or the procedure of the same meaning. */
typedef struct Call
{
	const char *function;
	const char *procedure;		/* NULL if there is none */
	bool		to_version;
	bool		is_up;
} Call;

static bool confirmed;
static char *left_out;			/* array of versions that are not applied, or
								 * NULL */
static double began;

static Call choose_call(void);
static void need_right(const Call *call);
static void call_procedure(const Call *call, const char *argument);
static void call_function(const Call *call);
static void read_newest(void);
static void set_newest(const char *newest);
static PGresult *send_call(const char *verb, const char *routine, const Call *call, const char *argument);
static const char *argument_of(const Call *call);
static void show_step(const char *version, const char *name, bool is_up);
static void report_step(const char *id, const char *name, bool is_up);
static void show_steps(const PGresult *rows);
static void count_row(const PGresult *row, bool is_up, long before);
static void show_summary(void);

/* NULL is not known, "" is none. */
static char *newest;

/* up */
int
command_up(void)
{
	Files		files;
	Call		call = choose_call();
	bool		has_files = files_find_directory(&files, true);

	if (has_files)
	{
		files_read(&files, true);
		files_refuse_templates(&files);
	}
	connect_database();
	need_extension();
	if (options.dry_run)
		return dry_run_up(has_files ? &files : NULL);
	confirmed = confirm_production();
	need_right(&call);
	if (has_files || options.single_transaction)
	{
		outcome.has_begun = true;
		begin();
	}
	if (has_files)
	{
		send_files(&files);
		place_set_files(&files);
		left_out = orphans_left_out(&files);
	}
	if (options.single_transaction)
		call_function(&call);
	else
	{
		if (has_files)
		{
			commit();
			outcome.has_registered = has_registered_something();
		}
		show_left_out(false);
		call_procedure(&call, argument_of(&call));
	}
	if (options.single_transaction)
		show_left_out(false);
	show_summary();
	return outcome_end();
}

/* down, redo */
int
command_down_or_redo(void)
{
	Call		call = choose_call();

	connect_database();
	need_extension();
	if (options.dry_run)
		return dry_run_down();
	confirmed = confirm_production();
	need_right(&call);
	if (call.procedure)
		call_procedure(&call, argument_of(&call));
	else
	{
		outcome.has_begun = true;
		begin();
		call_function(&call);
	}
	show_summary();
	return outcome_end();
}

/* Applies all that is pending, for a command that has more to do. */
void
run_up(void)
{
	Call		call = {"apply", "run", false, true};

	need_right(&call);
	call_procedure(&call, NULL);
}

/* Rolls back the last ones. */
void
run_down(long number)
{
	Call		call = {"rollback", "run_rollback", false, false};

	need_right(&call);
	call_procedure(&call, format_string("%ld", number));
}

static Call
choose_call(void)
{
	Call		call = {.to_version = options.to != NULL, .is_up = options.command == COMMAND_UP};

	switch (options.command)
	{
		case COMMAND_UP:
			call.function = options.to ? "apply_to" : "apply";
			call.procedure = options.to ? "run_to" : "run";
			break;
		case COMMAND_DOWN:
			call.function = options.to ? "rollback_to" : "rollback";
			call.procedure = options.to ? "run_rollback_to" : "run_rollback";
			break;
		default:
			call.function = options.to ? "redo_to" : "redo";
			break;
	}
	if (options.single_transaction)
		call.procedure = NULL;
	return call;
}

/* Before anything is done. */
static void
need_right(const Call *call)
{
	if (call->procedure == NULL || may_call(call->procedure) || !has_function(call->procedure))
		return;
	fail(format_string("%s may not call the procedure migrate.%s(), which commits after each migration", facts.user, call->procedure),
		 format_string("GRANT EXECUTE ON PROCEDURE migrate.%s TO %s;\ndbmigrate %s --single-transaction calls migrate.%s() instead",
					   call->procedure, facts.grantee, options.command_name, call->function));
}

static const char *
argument_of(const Call *call)
{
	if (call->to_version)
		return options.to;
	if (options.argument)
		return options.argument;
	return call->is_up ? NULL : "1";
}

/* Outside of a transaction; what is looked up is qualified, as the search_path is the caller's. */
static void
call_procedure(const Call *call, const char *argument)
{
	long		before = call->is_up ? outcome.applied : outcome.rolled_back;
	PGresult   *row;

	execute("SET dbmigrate.progress = on; "
			"SELECT pg_catalog.set_config('client_min_messages', 'notice', false)"
			" WHERE pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning'"
			"    OR pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'error'");
	began = now();
	outcome_call_begins();
	live_begin();
	row = send_call("CALL", call->procedure, call, argument);
	live_end();
	outcome_call_ends();
	count_row(row, call->is_up, before);
	set_newest(PQgetisnull(row, 0, 1) ? "" : PQgetvalue(row, 0, 1));
	PQclear(row);
}

/* Its messages need not have come, for example where a pooler has sent the setting elsewhere. */
static void
count_row(const PGresult *row, bool is_up, long before)
{
	long	   *count = is_up ? &outcome.applied : &outcome.rolled_back;
	long		number = atol(PQgetvalue(row, 0, 0));

	if (*count - before < number)
		*count = before + number;
}

/* In the open transaction, which it commits; nothing is asked after that: it might fail, and look as if the run had. */
static void
call_function(const Call *call)
{
	PGresult   *rows;

	execute("SET LOCAL dbmigrate.progress = on; "
			"SELECT set_config('client_min_messages', 'notice', true)"
			" WHERE current_setting('client_min_messages') IN ('warning', 'error'); "
			"SET LOCAL search_path TO DEFAULT");
	began = now();
	live_begin();
	rows = send_call("SELECT r.version, r.name, r.action FROM", call->function, call, argument_of(call));
	live_end();
	execute("SET LOCAL search_path = pg_catalog, pg_temp");
	read_newest();
	commit();
	show_steps(rows);
	PQclear(rows);
}

/* "verb" and "routine" are words of ours. */
static PGresult *
send_call(const char *verb, const char *routine, const Call *call, const char *argument)
{
	const char *values[] = {argument, options.schema, options.project, confirmed ? facts.database : NULL};
	char	   *sql = format_string("%s migrate.%s($1::pg_catalog.%s, $2::pg_catalog.text, project => $3::pg_catalog.text, %s)%s",
									verb, routine, call->to_version ? "text" : "int4",
									call->is_up ? "without => $4::pg_catalog.text[]" : "confirm => $4::pg_catalog.text",
									*verb == 'S' ? " r" : "");
	PGresult   *result;

	if (call->is_up)
		values[3] = left_out;
	result = query(sql, 4, values);
	free(sql);
	return result;
}

/* Who may not ask for the version is not told it. */
static void
read_newest(void)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *row;

	if (!may_call("version"))
		return;
	row = query("SELECT migrate.version($1, $2)", 2, values);
	set_newest(PQgetvalue(row, 0, 0));
	PQclear(row);
}

static void
set_newest(const char *version)
{
	free(newest);
	newest = harmless_line(version);
}

/*
 * A message of the server that a migration is done: 001 "create_users".  What a
 * procedure says so is committed; a function returns it as well.
 */
void
run_step_done(const char *text, bool is_up)
{
	const char *quote = strstr(text, " \"");
	char	   *version = copy_bytes(text, quote ? (size_t) (quote - text) : strlen(text));
	char	   *name = copy_string(quote ? quote + 2 : "");

	if (*name)
		name[strlen(name) - 1] = '\0';	/* the quote behind it */
	if (outcome.calls)
		show_step(version, name, is_up);
	free(version);
	free(name);
}

/* It is committed.  Without a version the name is that of a repeatable migration, or empty. */
static void
show_step(const char *version, const char *name, bool is_up)
{
	char	   *id = *version ? copy_string(version) : format_string("R__%s", name);
	const char *rest = *version ? name : "";
	char	   *label = format_string("%s%s%s", id, *rest ? " " : "", rest);
	char	   *shown = harmless_line(label);

	if (is_up)
		outcome.applied++;
	else
		outcome.rolled_back++;
	report_step(id, rest, is_up);
	if (!options.quiet && !options.json)
	{
		char	   *line = format_string("%s%s%s%s%s\n", display.green, display.tick,
										 !is_up ? "rolled back " : *display.tick ? "" : "applied ", display.off, shown);

		outcome.has_told = true;
		tell_raw(line);
		free(line);
	}
	free(id);
	free(label);
	free(shown);
}

static void
report_step(const char *id, const char *name, bool is_up)
{
	Text		row = {0};
	char	   *both = format_string("%s%s%s", id, *name ? "_" : "", name);

	json_member(&row, "name", both);
	json_member(&row, "direction", is_up ? "up" : "down");
	text_append(&row, ", \"success\": true");
	report_add("results", &row);
	text_free(&row);
	free(both);
}

/* The rows of a function, when they are committed. */
static void
show_steps(const PGresult *rows)
{
	for (int i = 0; i < PQntuples(rows); i++)
		show_step(PQgetvalue(rows, i, 0), PQgetvalue(rows, i, 1), strcmp(PQgetvalue(rows, i, 2), "apply") == 0);
}

/* 2 migrations applied in 0.03 s, now at 003 */
static void
show_summary(void)
{
	double		seconds = now() - began;
	long		number = options.command == COMMAND_DOWN ? outcome.rolled_back : outcome.applied;
	const char *participle = options.command == COMMAND_UP ? "applied" :
		options.command == COMMAND_DOWN ? "rolled back" : "done again";
	const char *at = "";
	char	   *message;

	if (newest)
		at = *newest ? format_string(", %s %s", outcome.applied + outcome.rolled_back > 0 ? "now at" : "at", newest) :
			", nothing is applied now";
	if (outcome.applied + outcome.rolled_back == 0)
		message = format_string("%s%s", options.command == COMMAND_UP ? "nothing to apply" : "nothing to roll back", at);
	else
		message = format_string("%ld %s %s in %.2f s%s", number, plural(number, "migration", "migrations"), participle, seconds, at);
	report_text("message", message);
	report_text("lastMigration", newest && *newest ? newest : NULL);
	report_number("seconds", seconds, 3);
	if (!options.quiet)
		tell("%s", message);
	free(message);
}

/* The same for switch, which has done both. */
void
run_show_switch(void)
{
	char	   *message = format_string("%ld rolled back, %ld applied%s%s", outcome.rolled_back, outcome.applied,
										newest && *newest ? ", now at " : ", nothing is applied now", newest ? newest : "");

	report_text("message", message);
	report_text("lastMigration", newest && *newest ? newest : NULL);
	if (!options.quiet)
		tell("%s", message);
	free(message);
}
