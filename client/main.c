/*-------------------------------------------------------------------------
 *
 * main.c
 *	  dbmigrate: registers the files of a directory with the dbmigrate extension
 *	  of a PostgreSQL database and runs them there.
 *
 * What a file is, what is pending and what may run, the server decides.
 *
 *-------------------------------------------------------------------------
 */
#include "check.h"
#include "create.h"
#include "history.h"
#include "options.h"
#include "pull.h"
#include "record.h"
#include "run.h"
#include "say.h"
#include "signals.h"
#include "status.h"
#include "switch.h"

static int	run_command(void);
static const char *last_words(void);

int
main(int argc, char **argv)
{
	options_read(argc, argv);
	display_set_up(options.no_color);
	signals_start();
	signals_end_program(last_words());
	return run_command();
}

static int
run_command(void)
{
	switch (options.command)
	{
		case COMMAND_INIT:
			return command_init();
		case COMMAND_CREATE:
			return command_create();
		case COMMAND_UP:
			return command_up();
		case COMMAND_DOWN:
		case COMMAND_REDO:
			return command_down_or_redo();
		case COMMAND_SWITCH:
			return command_switch();
		case COMMAND_STATUS:
			return command_status();
		case COMMAND_PENDING:
			return command_pending();
		case COMMAND_CHECK:
			return command_check();
		case COMMAND_VERSION:
			return command_version();
		case COMMAND_HISTORY:
			return command_history();
		case COMMAND_PUSH:
			return command_push();
		case COMMAND_PULL:
			return command_pull();
		case COMMAND_BASELINE:
			return command_baseline();
		case COMMAND_MANAGE:
			return command_manage();
		case COMMAND_ADOPT:
			return command_adopt();
		case COMMAND_NONE:
		case COMMAND_HELP:
			break;				/* options_read() has done that */
	}
	return 0;
}

/* Where a signal comes before the server has got anything to do. */
static const char *
last_words(void)
{
	switch (options.command)
	{
		case COMMAND_INIT:
		case COMMAND_CREATE:
		case COMMAND_STATUS:
		case COMMAND_PENDING:
		case COMMAND_CHECK:
		case COMMAND_VERSION:
		case COMMAND_HISTORY:
			return "interrupted";
		default:
			return "interrupted, nothing was done";
	}
}
