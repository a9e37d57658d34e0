/*-------------------------------------------------------------------------
 *
 * problem.c
 *	  What is wrong with a script, found without running it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "script/internal.h"

#define MAX_MESSAGE 200			/* bytes of a scanner's message that are kept */

static char *clip_message(const char *message);

/* A problem with the text from "start" on, "len" bytes of which are quoted. */
DbmProblem *
dbm_problem(DbmScript *script, int sqlerrcode, const char *message, int start, int len)
{
	DbmProblem *problem = MemoryContextAllocZero(script->context, sizeof(DbmProblem));

	problem->sqlerrcode = sqlerrcode;
	problem->message = message;
	problem->start = start;
	problem->len = len;
	problem->position = start;
	problem->line = 1 + dbm_count_lines(script->text, 0, start);
	return problem;
}

/* A psql command, or what looks like one, at byte "at". */
DbmProblem *
dbm_problem_psql_command(DbmScript *script, int at)
{
	DbmProblem *problem;
	const char *command = script->text + at;
	int			start = at;
	int			len = strcspn(command + 1, " \t\r\n;\\") + 1;
	MemoryContext caller = MemoryContextSwitchTo(script->context);

	while (start > 0 && strchr("\r\n", script->text[start - 1]) == NULL)
		start--;
	len = pg_mbcliplen(command, len, 64);
	problem = dbm_problem(script, ERRCODE_SYNTAX_ERROR,
						  psprintf("psql command \"%.*s\" in a migration", len, command),
						  start, at + strcspn(command, "\r\n") - start);
	problem->position = at;
	problem->hint = "A migration runs inside the server, which has no psql commands; "
		"only \\restrict and \\unrestrict lines and the \\. after COPY data are understood.  "
		"Write the SQL itself.";
	if (command[1] == '.' &&
		memchr(script->text, '\r', script->len) && !memchr(script->text, '\n', script->len))
		problem->hint = "The lines of this text end with carriage returns alone, "
			"so that the \\. behind COPY data is not found.  "
			"Convert the file: tr '\\r' '\\n' < old.sql > new.sql";
	MemoryContextSwitchTo(caller);
	return problem;
}

/* A transaction statement that is not half of a plain pair. */
DbmProblem *
dbm_problem_transaction(DbmScript *script, const DbmStatement *statement)
{
	DbmProblem *problem;

	problem = dbm_problem(script, ERRCODE_INVALID_TRANSACTION_TERMINATION,
						  "transaction control statements are not allowed in a migration",
						  statement->start, statement->len);
	problem->statement = statement - script->statements + 1;
	problem->detail = "Only BEGIN and COMMIT in balanced pairs, without options and not nested, are skipped over.";
	problem->hint = "Remove the statement: a migration runs in the transaction of whoever applies it.";
	return problem;
}

/*
 * Describe an error that the scanner or the parser raised.  Its position
 * counts characters from "base", where the text it was given begins: the
 * present window or one statement.
 */
DbmProblem *
dbm_problem_from_error(DbmScript *script, const ErrorData *edata, int base,
					   int statement, int start, int len)
{
	MemoryContext caller = MemoryContextSwitchTo(script->context);
	DbmProblem *problem;

	/* "unterminated ... at or near" quotes all the rest of the text */
	problem = dbm_problem(script, edata->sqlerrcode, clip_message(edata->message), start, len);
	if (edata->detail)
		problem->detail = pstrdup(edata->detail);
	if (edata->hint)
		problem->hint = pstrdup(edata->hint);
	problem->statement = statement;
	if (edata->cursorpos > 0)
	{
		const char *p = script->text + base;

		for (int i = 1; i < edata->cursorpos && *p; i++)
			p += pg_mblen(p);
		problem->position = p - script->text;
		problem->line = 1 + dbm_count_lines(script->text, 0, problem->position);
		if (*p == ':' && problem->hint == NULL)
			problem->hint = "psql variables are not substituted in a migration.";
	}
	MemoryContextSwitchTo(caller);
	return problem;
}

/*
 * Is this an error about the text?  Others (no memory, cancelled) are passed
 * on.  The scanner and the parser raise errors of these classes only.
 */
bool
dbm_problem_is_about_text(const ErrorData *edata)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

/* The number of line ends in text[from .. to): LF, CR LF, or CR alone. */
int
dbm_count_lines(const char *text, int from, int to)
{
	const char *end = text + to;
	int			lines = 0;

	for (const char *p = text + from; (p = memchr(p, '\n', end - p)) != NULL; p++)
		lines++;
	for (const char *p = text + from; (p = memchr(p, '\r', end - p)) != NULL; p++)
		if (p[1] != '\n')
			lines++;
	return lines;
}

static char *
clip_message(const char *message)
{
	int			len = strlen(message);

	if (len <= MAX_MESSAGE)
		return pstrdup(message);
	return psprintf("%.*s...\"", pg_mbcliplen(message, len, MAX_MESSAGE), message);
}
