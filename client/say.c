/*-------------------------------------------------------------------------
 *
 * say.c
 *	  What people read: results on stdout, everything else on stderr.
 *
 * Nothing reaches a terminal but through harmless().
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "options.h"
#include "report.h"
#include "say.h"
#include "utf8.h"

Display		display = {"", "", "", "", "", "", "", "", "", false, false, false};

static bool has_live_line;
static int	write_error;		/* of stdout */

static void put_line(FILE *stream, char *text);
static void flush_stdout(void);
static bool locale_is_utf8(void);
static const char *environment_variable(const char *name);

/* A terminal gets colours, and marks if it can show them. */
void
display_set_up(bool no_color)
{
	const char *term = getenv("TERM");

	no_color |= getenv("NO_COLOR") != NULL && *getenv("NO_COLOR") != '\0';
	no_color |= term == NULL || strcmp(term, "dumb") == 0;
	display.utf8 = locale_is_utf8();
	display.is_tty = isatty(STDOUT_FILENO);
	display.error_is_tty = isatty(STDERR_FILENO);
	if (display.is_tty && !no_color)
	{
		display.green = "\033[32m";
		display.yellow = "\033[33m";
		display.red = "\033[31m";
		display.dim = "\033[2m";
		display.off = "\033[0m";
	}
	if (display.is_tty && display.utf8)
		display.tick = "✓ ";
	if (display.error_is_tty && !no_color)
	{
		display.error_red = "\033[31m";
		display.error_off = "\033[0m";
	}
	if (display.error_is_tty && display.utf8)
		display.error_cross = "✗ ";
}

static bool
locale_is_utf8(void)
{
	const char *locale = environment_variable("LC_ALL");

	if (locale == NULL)
		locale = environment_variable("LC_CTYPE");
	if (locale == NULL)
		locale = environment_variable("LANG");
	return locale && (ends_with_nocase(locale, "utf8") || ends_with_nocase(locale, "utf-8"));
}

/* NULL where it is empty, too. */
static const char *
environment_variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

/* Of the terminal. */
int
display_columns(void)
{
	struct winsize size;
	int			file = display.is_tty ? STDOUT_FILENO : STDERR_FILENO;

	if (ioctl(file, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

/*
 * Shows a line that the next one takes the place of; NULL takes it away.  It is
 * on stderr, and nothing but a terminal gets one.
 */
void
display_live_line(const char *line)
{
	if (line == NULL && !has_live_line)
		return;
	fprintf(stderr, "\r\033[K%s", line ? line : "");
	fflush(stderr);
	has_live_line = line != NULL;
}

/* A result, for people; --json has its own. */
void
tell(const char *format,...)
{
	va_list		arguments;

	if (options.json)
		return;
	va_start(arguments, format);
	put_line(stdout, format_arguments(format, arguments));
	va_end(arguments);
	flush_stdout();
}

/* What is harmless already, ends of lines included. */
void
tell_raw(const char *text)
{
	display_live_line(NULL);
	fputs(text, stdout);
	flush_stdout();
}

static void
flush_stdout(void)
{
	errno = 0;
	if (fflush(stdout) != 0 && write_error == 0)
		write_error = errno;
}

void
say(const char *format,...)
{
	va_list		arguments;

	va_start(arguments, format);
	put_line(stderr, format_arguments(format, arguments));
	va_end(arguments);
}

/* What --quiet leaves out. */
void
note(const char *format,...)
{
	va_list		arguments;

	if (options.quiet)
		return;
	va_start(arguments, format);
	put_line(stderr, format_arguments(format, arguments));
	va_end(arguments);
}

void
alarm_say(const char *format,...)
{
	va_list		arguments;
	char	   *text;
	char	   *shown;

	va_start(arguments, format);
	text = format_arguments(format, arguments);
	va_end(arguments);
	shown = harmless(text);
	display_live_line(NULL);
	fprintf(stderr, "%s%s%s%s\n", display.error_red, display.error_cross, shown, display.error_off);
	free(shown);
	free(text);
}

static void
put_line(FILE *stream, char *text)
{
	char	   *shown = harmless(text);

	display_live_line(NULL);
	fprintf(stream, "%s\n", shown);
	free(shown);
	free(text);
}

/* The end, with hints, a line each, or NULL; for what has changed nothing yet. */
void
fail(const char *message, const char *hints)
{
	char	   *shown = harmless(message);

	display_live_line(NULL);
	fprintf(stderr, "%s%s%sdbmigrate: error: %s\n", display.error_red, display.error_cross, display.error_off, shown);
	report_failure(message, hints);
	while (hints && *hints)
	{
		size_t		len = strcspn(hints, "\n");

		say("hint: %.*s", (int) len, hints);
		hints += len + (hints[len] == '\n' ? 1 : 0);
	}
	exit(1);
}

void
usage_error(const char *hint, const char *format,...)
{
	va_list		arguments;
	char	   *message;

	va_start(arguments, format);
	message = format_arguments(format, arguments);
	va_end(arguments);
	say("dbmigrate: %s", message);
	say("hint: %s", hint ? hint : "dbmigrate help");
	report_failure(message, hint);
	exit(2);
}

/* Could all results be printed?  Who has gone away does not miss them. */
bool
flush_results(void)
{
	flush_stdout();
	return write_error == 0 || write_error == EPIPE;
}
