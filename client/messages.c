/*-------------------------------------------------------------------------
 *
 * messages.c
 *	  What the server says while it works, and how an error looks.
 *
 * That a migration is done, the server says in one line and without CONTEXT,
 * which a script cannot take from its own messages.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "messages.h"
#include "outcome.h"
#include "place.h"
#include "query.h"
#include "report.h"
#include "run.h"
#include "say.h"
#include "utf8.h"

static const char *field(const PGresult *message, int code);
static const char *step_of(const char *text, bool *is_up);
static void show_part(const char *label, const char *text);
static char *indented(const char *text);
static const char *last_line(const char *text);

/* PQnoticeReceiver */
void
message_receive(void *arg, const PGresult *message)
{
	const char *text = field(message, PG_DIAG_MESSAGE_PRIMARY);
	const char *severity = field(message, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *context = field(message, PG_DIAG_CONTEXT);
	bool		is_up;
	const char *step;

	(void) arg;
	if (text == NULL || severity == NULL)
		return;
	step = step_of(text, &is_up);
	if (step && context == NULL)
	{
		run_step_done(step, is_up);
		return;
	}
	say("%s:  %s", severity, indented(text));
	show_part("DETAIL", field(message, PG_DIAG_MESSAGE_DETAIL));
	show_part("HINT", field(message, PG_DIAG_MESSAGE_HINT));
	/* whose message it is, the last line says */
	if (step)
		show_part("CONTEXT", last_line(context));
}

/* NULL if there is none, or nothing in it. */
static const char *
field(const PGresult *message, int code)
{
	const char *value = PQresultErrorField(message, code);

	return value && *value ? value : NULL;
}

/* What follows "applied migration "; NULL if it is another message. */
static const char *
step_of(const char *text, bool *is_up)
{
	*is_up = begins_with(text, "applied migration ");
	if (*is_up || begins_with(text, "rolled back migration "))
		return strstr(text, " migration ") + strlen(" migration ");
	return NULL;
}

static void
show_part(const char *label, const char *text)
{
	if (text)
		say("%s:  %s", label, indented(text));
}

/* Lines of a text that could be taken for some of ours. */
static char *
indented(const char *text)
{
	Text		result = {0};

	for (; *text; text++)
	{
		text_append_char(&result, *text);
		if (*text == '\n')
			text_append(&result, "  ");
	}
	text_append(&result, "");
	return result.data;
}

static const char *
last_line(const char *text)
{
	const char *newline = strrchr(text, '\n');

	return newline ? newline + 1 : text;
}

/* An error, with the place in the file where it is known; a hint of our own may stand for the server's. */
void
message_show_error(const PGresult *result, const char *instead_of_hint)
{
	const char *severity = field(result, PG_DIAG_SEVERITY_NONLOCALIZED);
	const char *text = field(result, PG_DIAG_MESSAGE_PRIMARY);

	if (severity == NULL || text == NULL)
	{
		const char *message = PQresultErrorMessage(result);
		char	   *shown = harmless(message && *message ? message : PQerrorMessage(connection));
		size_t		len = strlen(shown);

		while (len > 0 && shown[len - 1] == '\n')
			shown[--len] = '\0';
		alarm_say("%s", indented(shown));
		report_error_text(shown);
		return;
	}
	alarm_say("%s:  %s", severity, indented(text));
	place_show(result);
	show_part("DETAIL", field(result, PG_DIAG_MESSAGE_DETAIL));
	show_part("HINT", instead_of_hint ? instead_of_hint : field(result, PG_DIAG_MESSAGE_HINT));
	show_part("CONTEXT", field(result, PG_DIAG_CONTEXT));
	report_error(result);
}
