/*-------------------------------------------------------------------------
 *
 * scripttrouble.c
 *	  What is wrong with a script, found without running it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "script/internal.h"

#define MAX_MESSAGE 200			/* bytes of a scanner's message that are kept */

static char *clip_message(const char *message);

/* A trouble with the text from "start" on, "len" bytes of which are quoted. */
DbmTrouble *
dbm_script_trouble(DbmScript *script, int sqlerrcode, const char *message, int start, int len)
{
	DbmTrouble *trouble = MemoryContextAllocZero(script->context, sizeof(DbmTrouble));

	trouble->sqlerrcode = sqlerrcode;
	trouble->message = message;
	trouble->start = start;
	trouble->len = len;
	trouble->position = start;
	trouble->line = 1 + dbm_lines_count(script->text, 0, start);
	return trouble;
}

/* A psql command, or what looks like one, at byte "at". */
DbmTrouble *
dbm_script_trouble_psql_command(DbmScript *script, int at)
{
	DbmTrouble *trouble;
	const char *command = script->text + at;
	int			start = at;
	int			len = strcspn(command + 1, " \t\r\n;\\") + 1;
	MemoryContext caller = MemoryContextSwitchTo(script->context);

	while (start > 0 && strchr("\r\n", script->text[start - 1]) == NULL)
		start--;
	len = pg_mbcliplen(command, len, 64);
	trouble = dbm_script_trouble(script, ERRCODE_SYNTAX_ERROR,
								 psprintf("psql command \"%.*s\" in a migration", len, command),
								 start, at + strcspn(command, "\r\n") - start);
	trouble->position = at;
	trouble->hint = "A migration runs inside the server, which has no psql commands; "
		"only \\restrict and \\unrestrict lines and the \\. after COPY data are understood.  "
		"Write the SQL itself.";
	if (command[1] == '.' &&
		memchr(script->text, '\r', script->len) && !memchr(script->text, '\n', script->len))
		trouble->hint = "The lines of this text end with carriage returns alone, "
			"so that the \\. behind COPY data is not found.  "
			"Convert the file: tr '\\r' '\\n' < old.sql > new.sql";
	MemoryContextSwitchTo(caller);
	return trouble;
}

/* A transaction statement that is not half of a plain pair. */
DbmTrouble *
dbm_script_trouble_transaction(DbmScript *script, const DbmStatement *statement)
{
	DbmTrouble *trouble;

	trouble = dbm_script_trouble(script, ERRCODE_INVALID_TRANSACTION_TERMINATION,
								 "transaction control statements are not allowed in a migration",
								 statement->start, statement->len);
	trouble->statement = statement - script->statements + 1;
	trouble->detail = "Only BEGIN and COMMIT in balanced pairs, without options and not nested, are skipped over.";
	trouble->hint = "Remove the statement: a migration runs in the transaction of whoever applies it.";
	return trouble;
}

/*
 * Describe an error that the scanner or the parser raised.  Its position
 * counts characters from "base", where the text it was given begins: the
 * present window or one statement.
 */
DbmTrouble *
dbm_script_trouble_from_error(DbmScript *script, const ErrorData *edata, int base,
							  int statement, int start, int len)
{
	MemoryContext caller = MemoryContextSwitchTo(script->context);
	DbmTrouble *trouble;

	/* "unterminated ... at or near" quotes all the rest of the text */
	trouble = dbm_script_trouble(script, edata->sqlerrcode, clip_message(edata->message), start, len);
	if (edata->detail)
		trouble->detail = pstrdup(edata->detail);
	if (edata->hint)
		trouble->hint = pstrdup(edata->hint);
	trouble->statement = statement;
	if (edata->cursorpos > 0)
	{
		const char *p = script->text + base;

		for (int i = 1; i < edata->cursorpos && *p; i++)
			p += pg_mblen(p);
		trouble->position = p - script->text;
		trouble->line = 1 + dbm_lines_count(script->text, 0, trouble->position);
		if (*p == ':' && trouble->hint == NULL)
			trouble->hint = "psql variables are not substituted in a migration.";
	}
	MemoryContextSwitchTo(caller);
	return trouble;
}

/*
 * Is this an error about the text?  Others (no memory, cancelled) are passed
 * on.  The scanner and the parser raise errors of these classes only.
 */
bool
dbm_error_is_about_text(const ErrorData *edata)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}

static char *
clip_message(const char *message)
{
	int			len = strlen(message);

	if (len <= MAX_MESSAGE)
		return pstrdup(message);
	return psprintf("%.*s...\"", pg_mbcliplen(message, len, MAX_MESSAGE), message);
}
