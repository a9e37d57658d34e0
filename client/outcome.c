/*-------------------------------------------------------------------------
 *
 * outcome.c
 *	  What has become of it, where it did not go well.
 *
 * "Nothing was changed" is said only where nothing was.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "live.h"
#include "messages.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "send.h"
#include "signals.h"
#include "utf8.h"

#define STATUS "dbmigrate status"

Outcome		outcome;

static void stop(const char *word, const PGresult *error, int exit_code) __attribute__((noreturn));
static const char *hint_for_command(const PGresult *error);
static void tell_unknown(const char *word);
static void tell_of_call(const char *word, const PGresult *error);
static void tell_nothing(const char *word);
static char *what_stays(void);
static void add_count(Text *text, long number, const char *participle);
static char *half_done(bool *is_known);
static void tell_last_line(const char *word, const char *what);

/* A statement has failed, or the connection: says so, and ends the program. */
void
outcome_failed(const PGresult *error)
{
	live_end();
	message_show_error(error, hint_for_command(error));
	stop("failed", error, 1);
}

/* After a signal; "error" is how the statement ended, or NULL if that is not known. */
void
outcome_interrupted(const PGresult *error)
{
	live_end();
	if (error)
		message_show_error(error, NULL);
	stop("interrupted", error, signals_exit_code());
}

/* Where the server's hint is for people who type SQL. */
static const char *
hint_for_command(const PGresult *error)
{
	const char *sqlstate = PQresultErrorField(error, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(error, PG_DIAG_MESSAGE_PRIMARY);
	const char *context = PQresultErrorField(error, PG_DIAG_CONTEXT);

	if (sqlstate == NULL || message == NULL || strcmp(sqlstate, "25001") != 0 || (context && *context) ||
		strstr(message, " must run outside a transaction block") == NULL)
		return NULL;
	if (options.command == COMMAND_REDO && options.to)
		return format_string("one after the other: dbmigrate down --to %s, dbmigrate up", options.to);
	if (options.command == COMMAND_REDO)
		return format_string("one after the other: dbmigrate down%s%s, dbmigrate up", options.argument ? " " : "",
							 options.argument ? options.argument : "");
	return format_string("without --single-transaction, dbmigrate %s commits after each migration", options.command_name);
}

static void
stop(const char *word, const PGresult *error, int exit_code)
{
	if (outcome.fate == FATE_COMMITTING)
		tell_unknown(word);
	else if (outcome.calls || outcome.has_registered || outcome.applied + outcome.rolled_back > 0)
		tell_of_call(word, error);
	else
		tell_nothing(word);
	report_end(false);
	flush_results();
	exit(exit_code);
}

/* Nobody can know. */
static void
tell_unknown(const char *word)
{
	alarm_say("%s while COMMIT was under way: it is not known whether that was done", word);
	say("hint: " STATUS);
	report_outcome("it is not known whether it was committed");
	tell_last_line(word, "it is not known whether the above stays");
}

/* Something was committed already, or may have been. */
static void
tell_of_call(const char *word, const PGresult *error)
{
	bool		is_lost = outcome.calls && (error == NULL || query_lost(error));
	bool		is_known = true;
	char	   *half = NULL;
	char	   *stays;

	if (!is_lost)
		query_after_cancel();
	if (outcome.calls && !is_lost)
		half = half_done(&is_known);

	if (outcome.has_registered && !signals_wait_no_more() && forget_added())
	{
		outcome.has_registered = false;
		report_forget("files");
	}
	stays = what_stays();
	if (is_lost)
		stays = format_string("%s, of what comes next it is not known", stays);
	else if (half)
		stays = format_string("%s, %s is half done: dbmigrate %s goes on there", stays, half, options.command_name);
	else if (!is_known)
		stays = format_string("%s, whether one is half done is not known", stays);
	else if (!outcome.has_registered && outcome.applied + outcome.rolled_back == 0)
	{
		tell_nothing(word);
		return;
	}
	alarm_say("%s: %s", word, stays);
	if (is_lost || !is_known)
		say("hint: " STATUS);
	report_outcome(stays);
	tell_last_line(word, "the above stays");
}

static void
tell_nothing(const char *word)
{
	bool		is_interrupted = strcmp(word, "interrupted") == 0;
	const char *what = NULL;

	if (outcome.only_looks)
		what = NULL;
	else if (!is_interrupted)
		what = "nothing was changed";
	else if (outcome.has_begun)
		what = "everything is rolled back";
	else
		what = "nothing was done";
	alarm_say("%s%s%s", word, what ? ", " : "", what ? what : "");
	if (!is_interrupted && outcome.hint)
		say("hint: %s", outcome.hint);
	report_outcome(what);
	tell_last_line(word, "none of the above stays");
}

/* the files are registered, 1 migration is applied */
static char *
what_stays(void)
{
	Text		text = {0};
	bool		is_up = options.command == COMMAND_UP;

	if (outcome.has_registered && outcome.applied == 0)
		text_append(&text, "the files are registered");
	if (outcome.rolled_back > 0 || options.command == COMMAND_DOWN)
		add_count(&text, outcome.rolled_back, "rolled back");
	if (outcome.applied > 0 || is_up || (options.command == COMMAND_SWITCH && text.len == 0))
		add_count(&text, outcome.applied, "applied");
	return text.data;
}

static void
add_count(Text *text, long number, const char *participle)
{
	if (text->len > 0)
		text_append(text, ", ");
	if (number == 0)
		text_format(text, "nothing is %s", participle);
	else
		text_format(text, "%ld %s %s", number, plural(number, "migration is", "migrations are"), participle);
}

/* Names of the migrations that are; what is half rolled back is not pending. */
static char *
half_done(bool *is_known)
{
	const char *values[] = {options.schema, options.project};
	const char *function = may_call("status") ? "status" : options.command == COMMAND_UP && may_call("pending") ? "pending" : NULL;
	PGresult   *result = NULL;
	char	   *names = NULL;

	*is_known = false;
	/* whatever a signal has stopped, this is still asked */
	if (function && PQstatus(connection) == CONNECTION_OK && !signals_wait_no_more())
		result = PQexecParams(connection,
							  format_string("SELECT pg_catalog.string_agg(pg_catalog.rtrim(pg_catalog.concat(s.version, ' ', s.name)), ', ')"
											"  FROM migrate.%s($1, $2) s"
											" WHERE s.state OPERATOR(pg_catalog.=) 'failed'"
											"    OR s.state OPERATOR(pg_catalog.=) 'interrupted'", function),
							  2, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		*is_known = true;
		if (!PQgetisnull(result, 0, 0))
			names = harmless_line(PQgetvalue(result, 0, 0));
	}
	PQclear(result);
	return names;
}

/* Who sees stdout alone must not take it for a success. */
static void
tell_last_line(const char *word, const char *what)
{
	if (outcome.has_told)
		tell("%s: %s", word, what);
}

/* The end of a command that has done its work; the exit code. */
int
outcome_end(void)
{
	bool		is_interrupted = signals_exit_code() != 0;

	live_end();
	report_end(true);
	if (outcome.only_looks)
	{
		if (!flush_results())
		{
			alarm_say("the result cannot be written");
			return 1;
		}
		return signals_exit_code();
	}
	/* what is committed was done, whether or not it could be printed */
	if (is_interrupted)
		say("note: interrupted; the run was committed before that");
	flush_results();
	return 0;
}

void
outcome_call_begins(void)
{
	outcome.calls = true;
	outcome.has_begun = true;
}

void
outcome_call_ends(void)
{
	outcome.calls = false;
}
