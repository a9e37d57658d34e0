/*-------------------------------------------------------------------------
 *
 * signals.c
 *	  INT, TERM and HUP.
 *
 * As long as nothing has been sent to the server, a signal ends the program at
 * once.  From then on it is only noted, and whoever waits for the server
 * (query.c) sees it, cancels what the server does, and tells what became of it.
 * A second signal means it: nothing is waited for any more.
 *
 *-------------------------------------------------------------------------
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "options.h"
#include "say.h"
#include "signals.h"

#define NO_RESULT "{\"success\": false, \"message\": \"interrupted\"}\n"

static volatile sig_atomic_t exit_code;
static volatile sig_atomic_t count;
static volatile sig_atomic_t ends_program;
static char last_words_text[200];

/* Of the terminal, while a password is typed. */
static volatile sig_atomic_t has_terminal_settings;
static struct termios terminal_settings;

static void on_signal(int number);
static void write_all(int file, const char *text);

void
signals_start(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGINT);
	sigaddset(&action.sa_mask, SIGTERM);
	sigaddset(&action.sa_mask, SIGHUP);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	/* a reader of ours that went away (| head) must not stop a run */
	action.sa_handler = SIG_IGN;
	sigaction(SIGPIPE, &action, NULL);
	/* the processes that cancel are waited for by nobody */
	sigaction(SIGCHLD, &action, NULL);
}

/* A signal from here on ends the program with these words. */
void
signals_end_program(const char *last_words)
{
	ends_program = false;
	/* what was asked is on a line that has no end yet */
	snprintf(last_words_text, sizeof(last_words_text), "%s%s%s%s\n%s", *last_words == '\n' ? "\n" : "",
			 display.error_red, display.error_cross, last_words + (*last_words == '\n'), display.error_off);
	ends_program = true;
}

void
signals_only_note(void)
{
	ends_program = false;
}

/* What a signal has to put back; NULL if nothing. */
void
signals_restore_terminal(const struct termios *settings)
{
	has_terminal_settings = false;
	if (settings == NULL)
		return;
	terminal_settings = *settings;
	has_terminal_settings = true;
}

/* 0 if there was none. */
int
signals_exit_code(void)
{
	return exit_code;
}

bool
signals_wait_no_more(void)
{
	return count > 1;
}

static void
on_signal(int number)
{
	exit_code = 128 + number;
	count++;
	if (!ends_program)
		return;
	if (has_terminal_settings)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal_settings);
	write_all(STDERR_FILENO, last_words_text);
	if (options.json)
		write_all(STDOUT_FILENO, NO_RESULT);
	_exit(exit_code);
}

static void
write_all(int file, const char *text)
{
	size_t		len = strlen(text);

	if (write(file, text, len) < 0)
		return;
}
