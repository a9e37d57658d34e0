/*-------------------------------------------------------------------------
 *
 * production.c
 *	  Somebody must know what he does to a production database, or to one that
 *	  he may not ask what it is.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "connect.h"
#include "options.h"
#include "production.h"
#include "say.h"
#include "signals.h"
#include "sqltext.h"
#include "utf8.h"

static void warn_of_name(void);
static void ask_for_name(void);
static void warning(const char *format,...) __attribute__((format(printf, 1, 2)));

/* Also where that cannot be known. */
bool
is_production(void)
{
	return equal_nocase(facts.environment, "production") || !facts.may_ask_environment;
}

/* Warns, and wants the database's name typed; does not return if it is not.  Was it? */
bool
confirm_production(void)
{
	if (!is_production())
	{
		warn_of_name();
		return false;
	}
	if (facts.may_ask_environment)
		warning("database %s is a production database", harmless_line(facts.database));
	else
		warning("database %s may be a production database: %s may not call migrate.environment()",
				harmless_line(facts.database), facts.user);
	if (!options.yes)
		ask_for_name();
	return true;
}

static void
warning(const char *format,...)
{
	va_list		arguments;
	char	   *text;

	va_start(arguments, format);
	text = format_arguments(format, arguments);
	va_end(arguments);
	fputs(display.error_red, stderr);
	say("warning: %s", text);
	fputs(display.error_off, stderr);
	free(text);
}

/* It is called production, and nobody has told it so. */
static void
warn_of_name(void)
{
	bool		by_host = looks_like_production(facts.host);
	char	   *database = harmless_line(facts.database);

	if (*facts.environment || (!by_host && !looks_like_production(facts.database)))
		return;
	if (by_host)
		warning("the host %s looks like production, and database %s does not say what it is", facts.host, database);
	else
		warning("database %s looks like production, and does not say what it is", database);
	say("hint: ALTER DATABASE %s SET dbmigrate.environment = 'production';", sql_identifier(facts.database));
}

/* prod, prd or live as a word of the name */
bool
looks_like_production(const char *name)
{
	static const char *const words[] = {"prod", "prd", "production", "live"};

	while (*name)
	{
		size_t		len = 0;

		while (isalpha((unsigned char) name[len]))
			len++;
		for (size_t i = 0; i < lengthof(words); i++)
			if (len == strlen(words[i]) && strncasecmp(name, words[i], len) == 0)
				return true;
		name += len;
		while (*name && !isalpha((unsigned char) *name))
			name++;
	}
	return false;
}

static void
ask_for_name(void)
{
	Text		answer = {0};
	char		c;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		fail(format_string("%s in production wants a confirmation, and there is no terminal to ask", options.command_name),
			 format_string("dbmigrate %s --yes, to do it without being asked", options.command_name));
	signals_end_program("\ninterrupted, nothing was done");
	fprintf(stderr, "Type the name of the database to go on with %s: ", options.command_name);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		text_append_char(&answer, c);
	signals_only_note();
	if (strcmp(text_string(&answer), facts.database) != 0)
		fail("not confirmed, nothing was done", NULL);
	text_free(&answer);
}
