/*-------------------------------------------------------------------------
 *
 * options.c
 *	  What was asked for: arguments, environment variables and .env.
 *
 *-------------------------------------------------------------------------
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "envfile.h"
#include "options.h"
#include "say.h"

Options		options = {.format = "auto", .schema = ""};

/* How many arguments a command takes, and what is said where one is missing. */
typedef enum ArgumentKind
{
	ARGUMENT_NONE,
	ARGUMENT_OPTIONAL,
	ARGUMENT_COUNT,				/* an optional number of migrations */
	ARGUMENT_WANTED
} ArgumentKind;

static const struct
{
	const char *name;
	ArgumentKind kind;
	const char *wants;			/* what an ARGUMENT_WANTED is */
	const char *example;
}			commands[] =
{
	{"", ARGUMENT_NONE, NULL, NULL},
	{"init", ARGUMENT_NONE, NULL, NULL},
	{"create", ARGUMENT_WANTED, "a name", "dbmigrate create add_users"},
	{"up", ARGUMENT_COUNT, NULL, NULL},
	{"down", ARGUMENT_COUNT, NULL, NULL},
	{"redo", ARGUMENT_COUNT, NULL, NULL},
	{"switch", ARGUMENT_NONE, NULL, NULL},
	{"status", ARGUMENT_NONE, NULL, NULL},
	{"pending", ARGUMENT_NONE, NULL, NULL},
	{"check", ARGUMENT_NONE, NULL, NULL},
	{"version", ARGUMENT_NONE, NULL, NULL},
	{"history", ARGUMENT_COUNT, NULL, NULL},
	{"push", ARGUMENT_NONE, NULL, NULL},
	{"pull", ARGUMENT_OPTIONAL, NULL, NULL},
	{"baseline", ARGUMENT_WANTED, "a version", "dbmigrate baseline 042"},
	{"manage", ARGUMENT_WANTED, "a reason", "dbmigrate manage \"the tables come from the installer\""},
	{"adopt", ARGUMENT_OPTIONAL, NULL, NULL},
	{"help", ARGUMENT_OPTIONAL, NULL, NULL}
};

/* Other tools' words that mean exactly the same. */
static const char *const aliases[][2] = {
	{"migrate", "up"}, {"rollback", "down"}, {"new", "create"}, {"info", "status"}
};

/* What somebody may have meant; a * stands for whatever follows. */
static const char *const suggestions[][2] = {
	{"apply", "up"}, {"deploy", "up"}, {"upgrade", "up"}, {"run", "up"}, {"latest", "up"},
	{"undo", "down"}, {"revert", "down"}, {"downgrade", "down"},
	{"generate", "create"}, {"make", "create"}, {"add", "create"},
	{"list", "status"}, {"ls", "status"}, {"stat*", "status"},
	{"log", "history"}, {"hist*", "history"},
	{"register", "push"}, {"load", "push"}, {"dump", "pull"}, {"export", "pull"},
	{"install", "init"}, {"setup", "init"}, {"ini*", "init"},
	{"stamp", "baseline"}, {"mark*", "baseline"}, {"import", "adopt"},
	{"verify", "check"}, {"validate", "check"}, {"lint", "check"},
	{"up*", "up"}, {"u", "up"}, {"down*", "down"}, {"do*", "down"}, {"re*", "redo"}, {"cr*", "create"},
	{"st*", "status"}, {"pend*", "pending"}, {"vers*", "version"}, {"base*", "baseline"},
	{"ado*", "adopt"}, {"pus*", "push"}, {"pul*", "pull"}, {"sw*", "switch"}, {"ch*", "check"}
};

enum
{
	OPTION_FORMAT = 256,
	OPTION_SCHEMA,
	OPTION_PROJECT,
	OPTION_URL,
	OPTION_TO,
	OPTION_ENVIRONMENT,
	OPTION_NO_COLOR,
	OPTION_NO_ENV,
	OPTION_SPLIT,
	OPTION_CHECK,
	OPTION_JSON,
	OPTION_DRY_RUN,
	OPTION_REGISTERED,
	OPTION_SINGLE_TRANSACTION,
	OPTION_ATOMIC,
	OPTION_VERSION
};

static const struct option long_options[] = {
	{"dir", required_argument, NULL, 'd'},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"schema", required_argument, NULL, OPTION_SCHEMA},
	{"project", required_argument, NULL, OPTION_PROJECT},
	{"url", required_argument, NULL, OPTION_URL},
	{"to", required_argument, NULL, OPTION_TO},
	{"environment", required_argument, NULL, OPTION_ENVIRONMENT},
	{"yes", no_argument, NULL, 'y'},
	{"quiet", no_argument, NULL, 'q'},
	{"no-color", no_argument, NULL, OPTION_NO_COLOR},
	{"no-colour", no_argument, NULL, OPTION_NO_COLOR},
	{"no-env", no_argument, NULL, OPTION_NO_ENV},
	{"split", no_argument, NULL, OPTION_SPLIT},
	{"check", no_argument, NULL, OPTION_CHECK},
	{"json", no_argument, NULL, OPTION_JSON},
	{"dry-run", no_argument, NULL, OPTION_DRY_RUN},
	{"registered", no_argument, NULL, OPTION_REGISTERED},
	{"single-transaction", no_argument, NULL, OPTION_SINGLE_TRANSACTION},
	{"atomic", no_argument, NULL, OPTION_ATOMIC},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0}
};

static void usage(FILE *stream);
static void read_option(int option, const char *as_typed);
static void unknown_option(int argc, char **argv, int before);
static const char *option_name(int option, const char *as_typed);
static void read_command(const char *word);
static const char *suggestion(const char *word);
static void read_arguments(char **argv, int begin, int end);
static void check_arguments(void);
static void check_count(void);
static void check_options(void);
static void only(bool given, const char *option, bool fits, const char *whose);
static void read_environment(void);

/* The words of --atomic and --single-transaction, for messages. */
static const char *single_transaction_name = "--single-transaction";

static void
usage(FILE *stream)
{
	fputs("usage: dbmigrate [OPTION ...] COMMAND\n"
		  "\n"
		  "  init                  create the extension in the database, and the directory\n"
		  "  create NAME           write a new migration file (--split: up and down apart)\n"
		  "  up [N]                register the directory and apply what is pending (or N)\n"
		  "  up --to VERSION       ... up to and including VERSION\n"
		  "  down [N]              roll back the last migration (or N)\n"
		  "  down --to VERSION     ... everything after VERSION; 0 is everything\n"
		  "  redo [N]              roll back and apply again, in one transaction\n"
		  "  redo --to VERSION     ... everything after VERSION\n"
		  "  switch                roll back what the directory does not have, then up\n"
		  "  status                what is applied and what is pending\n"
		  "                        (--check: exit 3 if something is pending)\n"
		  "  pending               what is pending, a line each\n"
		  "  check                 exit 1 if an applied file was changed or removed, a\n"
		  "                        number is taken twice, or a pending file comes too late\n"
		  "  version               the newest applied version\n"
		  "  history [N]           what happened in this database (the last N)\n"
		  "  push                  register the directory, run nothing\n"
		  "  pull [DIR]            write what is registered to files\n"
		  "  baseline VERSION      count everything up to VERSION as applied\n"
		  "  manage REASON         none of it was run here, although there are tables\n"
		  "  adopt [TABLE]         take over from another tool's history\n"
		  "  help\n"
		  "\n"
		  "migrate, rollback, new and info are up, down, create and status.\n"
		  "\n"
		  "  -d, --dir DIR         where the files are (DBMIGRATE_DIR, or migrations)\n"
		  "      --format FORMAT   of the files, if it cannot be told from them\n"
		  "      --schema SCHEMA   target schema\n"
		  "      --project PROJECT one of several sequences of versions (DBMIGRATE_PROJECT)\n"
		  "      --url URL         the database (DATABASE_URL, or libpq's PGHOST, ...)\n"
		  "      --environment NAME\n"
		  "                        refuse unless the database says that it is NAME\n"
		  "      --registered      do without the directory: what the database knows\n"
		  "      --single-transaction\n"
		  "                        up, down: all or nothing; refuse what would have to be\n"
		  "                        committed migration by migration (also: --atomic)\n"
		  "      --dry-run         up, down, redo, adopt: only show what would be done\n"
		  "      --json            the result as one JSON document\n"
		  "  -y, --yes             do not ask for confirmation in production\n"
		  "  -q, --quiet           only results and errors\n"
		  "      --no-color        no colours (also: NO_COLOR)\n"
		  "      --no-env          do not read the file .env\n"
		  "  -h, --help            this text\n"
		  "      --version         the version of this command\n"
		  "\n"
		  "Exit code: 0 success, 1 failure, 2 wrong usage, 3 pending (status --check).\n", stream);
}

/*
 * Reads the arguments, then what is not among them from the environment and
 * .env.  Does not return where they are wrong, or ask for a text of ours only.
 */
void
options_read(int argc, char **argv)
{
	int			first;

	/* wrong usage is told in JSON, too */
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		options.json |= strcmp(argv[i], "--json") == 0;
	opterr = 0;
	for (;;)
	{
		int			before = optind > 0 ? optind : 1;
		int			index = -1;
		int			option = getopt_long(argc, argv, ":d:yqh", long_options, &index);

		if (option == -1)
			break;
		if (option == '?')
			unknown_option(argc, argv, before);
		if (option == ':')
			usage_error(NULL, "%s wants a value", option_name(optopt, argv[optind - 1]));
		read_option(option, index >= 0 ? long_options[index].name : NULL);
	}
	first = optind;
	read_arguments(argv, first, argc);
	check_arguments();
	read_environment();
}

static void
read_option(int option, const char *as_typed)
{
	bool		may_be_empty = option == OPTION_SCHEMA || option == OPTION_PROJECT;

	if (optarg && *optarg == '\0' && !may_be_empty)
		usage_error(NULL, "%s wants a value, not an empty one", option_name(option, as_typed));
	switch (option)
	{
		case 'd':
			options.directory = optarg;
			break;
		case OPTION_FORMAT:
			options.format = optarg;
			break;
		case OPTION_SCHEMA:
			options.schema = optarg;
			break;
		case OPTION_PROJECT:
			options.project = optarg;
			break;
		case OPTION_URL:
			options.url = optarg;
			break;
		case OPTION_TO:
			options.to = optarg;
			break;
		case OPTION_ENVIRONMENT:
			options.environment = optarg;
			break;
		case 'y':
			options.yes = true;
			break;
		case 'q':
			options.quiet = true;
			break;
		case OPTION_NO_COLOR:
			options.no_color = true;
			break;
		case OPTION_NO_ENV:
			options.no_env = true;
			break;
		case OPTION_SPLIT:
			options.split = true;
			break;
		case OPTION_CHECK:
			options.check = true;
			break;
		case OPTION_JSON:
			options.json = true;
			break;
		case OPTION_DRY_RUN:
			options.dry_run = true;
			break;
		case OPTION_REGISTERED:
			options.registered = true;
			break;
		case OPTION_ATOMIC:
			single_transaction_name = "--atomic";
			options.single_transaction = true;
			break;
		case OPTION_SINGLE_TRANSACTION:
			options.single_transaction = true;
			break;
		case 'h':
			usage(stdout);
			exit(0);
		case OPTION_VERSION:
			printf("dbmigrate %s\n", DBMIGRATE_VERSION);
			exit(0);
	}
}

/* getopt_long() has not told which of the words it was; "before" is where it began. */
static void
unknown_option(int argc, char **argv, int before)
{
	const char *word = NULL;

	if (optopt > 0 && optopt < OPTION_FORMAT)
		usage_error(NULL, "unknown option: -%c", optopt);
	if (optind > before && optind <= argc)
		word = argv[optind - 1];
	if (optopt >= OPTION_FORMAT && word)
		usage_error(NULL, "%s takes no value", option_name(optopt, word));
	usage_error(NULL, "unknown option: %s", word ? word : "?");
}

/* Of an option that getopt_long() has found, as it was typed if that is known. */
static const char *
option_name(int option, const char *as_typed)
{
	if (as_typed && strncmp(as_typed, "--", 2) == 0)
		return copy_bytes(as_typed, strcspn(as_typed, "="));
	for (size_t i = 0; long_options[i].name; i++)
		if (long_options[i].val == option)
			return format_string("--%s", long_options[i].name);
	return format_string("-%c", option);
}

static void
read_arguments(char **argv, int begin, int end)
{
	for (int i = begin; i < end; i++)
	{
		if (options.command == COMMAND_NONE)
			read_command(argv[i]);
		else if (options.argument == NULL)
			options.argument = argv[i];
		else
			usage_error("a name with spaces wants quotes; dbmigrate help", "too many arguments: %s", argv[i]);
	}
}

static void
read_command(const char *word)
{
	const char *name = word;

	for (size_t i = 0; i < lengthof(aliases); i++)
		if (strcmp(word, aliases[i][0]) == 0)
			name = aliases[i][1];
	for (size_t i = 1; i < lengthof(commands); i++)
	{
		if (strcmp(name, commands[i].name) == 0)
		{
			options.command = (Command) i;
			options.command_name = commands[i].name;
			return;
		}
	}
	usage_error(format_string("dbmigrate %s", suggestion(word)), "unknown command: %s", word);
}

static const char *
suggestion(const char *word)
{
	for (size_t i = 0; i < lengthof(suggestions); i++)
	{
		const char *pattern = suggestions[i][0];
		size_t		len = strcspn(pattern, "*");

		if (strncmp(word, pattern, len) == 0 && (pattern[len] == '*' || word[len] == '\0'))
			return suggestions[i][1];
	}
	return "help";
}

static void
check_arguments(void)
{
	if (options.command == COMMAND_NONE)
	{
		usage(stderr);
		exit(2);
	}
	if (options.command == COMMAND_HELP)
	{
		usage(stdout);
		exit(0);
	}
	switch (commands[options.command].kind)
	{
		case ARGUMENT_NONE:
			if (options.argument)
				usage_error(NULL, "%s takes no argument: %s", options.command_name, options.argument);
			break;
		case ARGUMENT_OPTIONAL:
			break;
		case ARGUMENT_COUNT:
			check_count();
			break;
		case ARGUMENT_WANTED:
			if (options.argument == NULL || *options.argument == '\0')
				usage_error(commands[options.command].example, "%s wants %s", options.command_name,
							commands[options.command].wants);
			break;
	}
	check_options();
}

/* With a leading zero, or too many digits, it is a version. */
static void
check_count(void)
{
	const char *count = options.argument;

	if (count == NULL)
		return;
	if (options.to)
		usage_error(NULL, "either a number or --to VERSION");
	if (*count != '\0' && *count != '0' && strlen(count) < 10 && strspn(count, "0123456789") == strlen(count))
		return;
	usage_error(options.command == COMMAND_HISTORY ? NULL :
				*count != '\0' && strspn(count, "0123456789.") == strlen(count) ?
				format_string("dbmigrate %s --to %s", options.command_name, count) :
				format_string("dbmigrate %s --to VERSION, for a version", options.command_name),
				"%s wants a number of migrations, not \"%s\"", options.command_name, count);
}

static void
check_options(void)
{
	Command		command = options.command;
	bool		is_run = command == COMMAND_UP || command == COMMAND_DOWN;

	only(options.split, "--split", command == COMMAND_CREATE, "create");
	only(options.check, "--check", command == COMMAND_STATUS, "status");
	only(options.dry_run, "--dry-run", is_run || command == COMMAND_REDO || command == COMMAND_ADOPT,
		 "up, down, redo or adopt");
	only(options.to != NULL, "--to", is_run || command == COMMAND_REDO, "up, down or redo");
	only(options.single_transaction, single_transaction_name, is_run, "up or down");
	only(options.registered, "--registered", command != COMMAND_SWITCH && command != COMMAND_CHECK,
		 "commands that can do without a directory");
}

/* The option belongs to that command. */
static void
only(bool given, const char *option, bool fits, const char *whose)
{
	if (given && !fits)
		usage_error(NULL, "%s is for %s, not for %s", option, whose, options.command_name);
}

static void
read_environment(void)
{
	if (!options.no_env)
		envfile_read();
	options.directory_chosen = true;
	if (options.directory == NULL)
		options.directory = envfile_variable("DBMIGRATE_DIR");
	if (options.directory == NULL)
	{
		options.directory = "migrations";
		options.directory_chosen = false;
	}
	if (options.project == NULL)
		options.project = envfile_variable("DBMIGRATE_PROJECT");
	if (options.project == NULL)
		options.project = "";
	if (options.url == NULL)
		options.url = envfile_variable("DATABASE_URL");
}
