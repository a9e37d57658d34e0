/*-------------------------------------------------------------------------
 *
 * options.h
 *	  What was asked for: arguments, environment variables and .env.
 *
 *-------------------------------------------------------------------------
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>


/* In the order of commands[] in options.c. */
typedef enum Command
{
	COMMAND_NONE,
	COMMAND_INIT,
	COMMAND_CREATE,
	COMMAND_UP,
	COMMAND_DOWN,
	COMMAND_REDO,
	COMMAND_SWITCH,
	COMMAND_STATUS,
	COMMAND_PENDING,
	COMMAND_CHECK,
	COMMAND_VERSION,
	COMMAND_HISTORY,
	COMMAND_PUSH,
	COMMAND_PULL,
	COMMAND_BASELINE,
	COMMAND_MANAGE,
	COMMAND_ADOPT,
	COMMAND_HELP
} Command;

typedef struct Options
{
	Command		command;
	const char *command_name;	/* the one name of it */
	const char *argument;		/* NULL if there is none */
	const char *directory;
	bool		directory_chosen;	/* and not merely the default */
	const char *format;
	const char *schema;
	const char *project;
	const char *url;			/* NULL: libpq's own variables */
	const char *to;
	const char *environment;	/* what the database has to be */
	bool		yes;
	bool		quiet;
	bool		no_color;
	bool		no_env;
	bool		split;
	bool		check;
	bool		json;
	bool		dry_run;
	bool		registered;
	bool		single_transaction;
} Options;

extern Options options;

extern void options_read(int argc, char **argv);

#endif
