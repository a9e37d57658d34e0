/*-------------------------------------------------------------------------
 *
 * script.c
 *	  From the text of a script to its statements and its checksum.
 *
 * Boundaries come from the server's own scanner.  It sees the text in
 * windows, because it copies all it is given: with the whole rest handed over
 * for each of a thousand COPY blocks the time would be quadratic.  A window
 * ends before a line that begins with a backslash, which is where inline COPY
 * data ends and where pg_dump's \restrict lines are, or behind a ';'.  When
 * such a place turns out to be inside a literal or a comment, the window is
 * made longer and the scan goes on from the last good token.
 *
 * Nothing here depends on the session: the string settings are pinned, so
 * that a text has the same statements and the same checksum everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "script/internal.h"

/* How the scan of a window ended. */
typedef enum WindowEnd
{
	WINDOW_DONE,				/* all tokens read, perhaps amid a statement */
	WINDOW_LINE,				/* before a line that begins with a backslash */
	WINDOW_COPY,				/* behind the ';' of a COPY ... FROM stdin */
	WINDOW_ERROR,				/* the scanner raised an error, see
								 * Splitter.error */
	WINDOW_REFUSED				/* DbmScript.refused is set */
} WindowEnd;

typedef struct Splitter
{
	DbmScript  *script;
	int			capacity;		/* of script->statements */
	MemoryContext window_context;
	ErrorData  *error;			/* of the last window */
	int			window_start;
	int			resume;			/* end of the last good token */
	int			backslash_line; /* the next one, as far as it was looked for */

	DbmChecksum *checksum;		/* or NULL */
	bool		count_pairs;	/* BEGIN and COMMIT are part of it */
	DbmCommentHook hook;		/* or NULL */
	void	   *hook_arg;

	/* the statement being read; start is -1 between statements */
	int			start;
	int			end;
	DbmTokens	tokens;

	int			line_offset;	/* up to where lines were counted */
	int			line;
	int			open_begin;		/* statement number of a BEGIN, or 0 */
} Splitter;

static DbmScript *scan_script(char *text, int len, bool want_checksum, bool count_pairs,
							  DbmCommentHook hook, void *arg);
static void split_text(Splitter *scan);
static bool scan_copy_line(Splitter *scan, int *pos);
static WindowEnd scan_window(Splitter *scan, int from, int to);
static WindowEnd read_tokens(Splitter *scan, core_yyscan_t scanner, core_yy_extra_type *extra);
static void read_gap(Splitter *scan, int to);
static void begin_statement(Splitter *scan, int start);
static WindowEnd finish_statement(Splitter *scan);
static void finish_checksum(Splitter *scan, DbmStatementKind kind);
static int	take_copy_data(Splitter *scan, int from);
static int	next_window_end(Splitter *scan, int from);

/*
 * Split a script into statements, and compute its checksum if wanted.
 *
 * "text" must be writable, NUL-terminated and palloc'd; it belongs to the
 * result from now on.  The result lives in a memory context of its own below
 * the current one; dbm_script_free() frees it.
 *
 * Raises no error for what is in the text.  What no server can run as a
 * migration (psql commands, transaction statements other than a plain BEGIN
 * ... COMMIT pair) is described in "refused", what this server's scanner does
 * not understand in "unreadable".
 *
 * Each statement counts for the checksum as its tokens (see checksum.c) and
 * one ';', written or not; an empty statement does not count, nor does a BEGIN
 * or COMMIT, which is skipped, nor do comments, white space, a byte order mark
 * and \restrict lines between tokens.  Inline COPY data counts as one token
 * behind the ';'.  The checksum of a text that cannot be scanned is the
 * SHA-256 of its bytes, and so differs between the server that can and the
 * one that cannot.
 */
DbmScript *
dbm_script_scan(char *text, int len, bool want_checksum)
{
	return scan_script(text, len, want_checksum, false, NULL, NULL);
}

/*
 * The checksum of a script, which was scanned for it, as bytea.  Outside of a
 * transaction block BEGIN and COMMIT mean something: there they count.  Such
 * scripts are few and short, so that they are scanned again for it.
 */
Datum
dbm_script_checksum(const DbmScript *script, bool online)
{
	DbmScript  *again;
	Datum		result;

	if (!online || script->nstatements == script->ncommands)
		return dbm_checksum_bytea(script->checksum);
	again = scan_script(pnstrdup(script->text, script->len), script->len, true, true, NULL, NULL);
	result = dbm_checksum_bytea(again->checksum);
	dbm_script_free(again);
	return result;
}

/*
 * The same for the comments in it: "hook" is called for each line comment
 * that begins a line and is at top level, that is neither in parentheses nor
 * in the body of a routine in standard SQL (nor in a literal or in another
 * comment, of course).  If it says so, the statement ends there.
 */
DbmScript *
dbm_script_scan_comments(char *text, int len, DbmCommentHook hook, void *arg)
{
	return scan_script(text, len, false, false, hook, arg);
}

static DbmScript *
scan_script(char *text, int len, bool want_checksum, bool count_pairs,
			DbmCommentHook hook, void *arg)
{
	MemoryContext context;
	MemoryContext caller;
	DbmScript  *script;
	Splitter   *scan;

	context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate script",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);

	script = palloc0(sizeof(DbmScript));
	script->context = context;
	script->text = text;
	script->len = len;

	scan = palloc0(sizeof(Splitter));
	scan->script = script;
	scan->capacity = 16;
	script->statements = palloc(scan->capacity * sizeof(DbmStatement));
	scan->start = -1;
	scan->line = 1;
	scan->count_pairs = count_pairs;
	scan->hook = hook;
	scan->hook_arg = arg;
	scan->window_context = AllocSetContextCreate(context, "dbmigrate window",
												 ALLOCSET_DEFAULT_SIZES);
	if (want_checksum)
		scan->checksum = dbm_checksum_begin();

	split_text(scan);

	if (scan->checksum)
	{
		if (script->unreadable)
			dbm_checksum_replace(scan->checksum, text, len);
		dbm_checksum_end(scan->checksum, script->checksum);
	}
	MemoryContextDelete(scan->window_context);
	MemoryContextSwitchTo(caller);
	return script;
}

/* Free a script and its text. */
void
dbm_script_free(DbmScript *script)
{
	pfree(script->text);
	MemoryContextDelete(script->context);
}

/* The whole text, window by window. */
static void
split_text(Splitter *scan)
{
	DbmScript  *script = scan->script;
	int			guc_level = dbm_lines_have_long_word(script) ? dbm_script_pin_settings() : 0;
	int			pos = 0;
	int			lines_ahead = 1;	/* windows to take at once */

	/* psql skips a byte order mark at the start of a file, and so do we. */
	if (GetDatabaseEncoding() == PG_UTF8 && script->len >= 3 &&
		memcmp(script->text, "\xEF\xBB\xBF", 3) == 0)
		pos = 3;
	scan->resume = pos;

	while (pos < script->len)
	{
		int			to = pos;
		WindowEnd	end;

		if (dbm_lines_starts_backslash(script, pos))
		{
			if (scan->start >= 0 || !dbm_lines_is_restrict(script, pos))
			{
				script->refused = dbm_script_trouble_psql_command(script, pos);
				break;
			}
			pos = scan->resume = dbm_lines_next(script, pos);
			continue;
		}

		for (int i = 0; i < lines_ahead && to < script->len; i++)
			to = next_window_end(scan, to);
		end = scan_window(scan, pos, to);

		if (end == WINDOW_REFUSED)
			break;
		if (end == WINDOW_ERROR)
		{
			if (to == script->len)
			{
				int			start = scan->start >= 0 ? scan->start : scan->resume;

				script->unreadable =
					dbm_script_trouble_from_error(script, scan->error, scan->window_start,
												  script->nstatements + 1, start, script->len - start);
				break;
			}
			pos = scan->resume;
			lines_ahead = Min(lines_ahead * 2, script->len);
			continue;
		}
		lines_ahead = 1;
		if (end == WINDOW_COPY)
		{
			if (!scan_copy_line(scan, &pos))
				break;
		}
		else
			pos = end == WINDOW_LINE ? scan->resume : to;
	}

	if (script->refused == NULL && script->unreadable == NULL)
	{
		if (scan->start >= 0 && finish_statement(scan) == WINDOW_COPY)
			take_copy_data(scan, script->len);
		if (script->refused == NULL && scan->open_begin > 0)
		{
			script->refused =
				dbm_script_trouble_transaction(script, &script->statements[scan->open_begin - 1]);
			script->refused->detail = "This BEGIN has no COMMIT.";
			script->refused->hint = "Remove it, or write the COMMIT.";
		}
	}
	if (guc_level > 0)
		AtEOXact_GUC(false, guc_level);
}

/*
 * Behind a COPY ... FROM stdin: take its data, then what follows its ';' on
 * the same line, which psql runs after the data.  That rest may hold another
 * COPY, whose data follow those of the first.  *pos becomes the place behind
 * all the data.  False if something was refused.
 */
static bool
scan_copy_line(Splitter *scan, int *pos)
{
	DbmScript  *script = scan->script;
	int			rest = scan->resume;
	int			rest_end = dbm_lines_next(script, rest);

	*pos = take_copy_data(scan, rest_end);
	for (;;)
	{
		WindowEnd	end = scan_window(scan, rest, rest_end);

		if (end == WINDOW_REFUSED)
			return false;
		if (end == WINDOW_COPY)
		{
			*pos = take_copy_data(scan, *pos);
			rest = scan->resume;
			continue;
		}
		if (end == WINDOW_DONE && scan->start < 0)
			return true;

		rest = scan->start >= 0 ? scan->start : scan->resume;
		script->refused = dbm_script_trouble(script, ERRCODE_SYNTAX_ERROR,
											 "a statement that begins on the line of COPY ... FROM stdin must end there",
											 rest, strcspn(script->text + rest, "\r\n"));
		script->refused->hint = "Begin the statement on the line after the data.";
		return false;
	}
}

/*
 * Splitter the text from "from" up to "to" in the present state.  Errors of the
 * scanner are caught; it holds nothing but memory, so that no subtransaction
 * is needed.
 */
static WindowEnd
scan_window(Splitter *scan, int from, int to)
{
	DbmScript  *script = scan->script;
	char		saved = script->text[to];
	MemoryContext caller = MemoryContextSwitchTo(scan->window_context);
	core_yy_extra_type extra;
	core_yyscan_t scanner;
	volatile WindowEnd end;

	CHECK_FOR_INTERRUPTS();
	script->text[to] = '\0';
	scanner = scanner_init(script->text + from, &extra, &ScanKeywords, dbm_tokens_keywords());
	script->text[to] = saved;
	dbm_scan_standard_strings(&extra);
	scan->window_start = from;
	scan->resume = from;

	PG_TRY();
	{
		/* a callback of the caller's would move the position of an error */
		error_context_stack = NULL;
		end = read_tokens(scan, scanner, &extra);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(script->context);
		scan->error = CopyErrorData();
		if (!dbm_error_is_about_text(scan->error))
			PG_RE_THROW();
		FlushErrorState();
		end = WINDOW_ERROR;
	}
	PG_END_TRY();

	MemoryContextSwitchTo(caller);
	MemoryContextReset(scan->window_context);
	return end;
}

static WindowEnd
read_tokens(Splitter *scan, core_yyscan_t scanner, core_yy_extra_type *extra)
{
	for (;;)
	{
		core_YYSTYPE value;
		YYLTYPE		location;
		int			token = core_yylex(&value, &location, scanner);
		int			start = scan->window_start + location;
		int			end;

		if (scan->hook)
			read_gap(scan, start);
		if (token == 0)
			return WINDOW_DONE;
		if (token == '\\')
		{
			/*
			 * a window made longer for a literal may hold such lines behind
			 * it
			 */
			if (dbm_lines_starts_backslash(scan->script, start))
			{
				scan->resume = start;
				return WINDOW_LINE;
			}
			scan->script->refused = dbm_script_trouble_psql_command(scan->script, start);
			return WINDOW_REFUSED;
		}

		/* flex leaves a NUL behind the token it has just read */
		end = start + strlen(extra->scanbuf + location);
		if (dbm_tokens_has_text(token))
			pfree(value.str);	/* a window may hold millions of literals */
		scan->resume = end;

		if (!dbm_tokens_end(&scan->tokens, token))
		{
			if (scan->start < 0)
				begin_statement(scan, start);
			scan->end = end;
			if (scan->checksum)
				dbm_checksum_add(scan->checksum, scan->script->text + start, end - start);
			dbm_tokens_add(&scan->tokens, token);
		}
		else if (scan->start >= 0)
		{
			WindowEnd	finished = finish_statement(scan);

			if (finished != WINDOW_DONE)
				return finished;
		}
	}
}

/*
 * Show the comments between the last token and "to" to the hook.  A section
 * that begins there begins anew, also where the last statement has no ';' or
 * a BEGIN no COMMIT: that is for the sections' own scans to say.
 */
static void
read_gap(Splitter *scan, int to)
{
	int			at = scan->resume;

	if (scan->tokens.paren_depth > 0 || scan->tokens.in_atomic_body)
		return;
	while ((at = dbm_comment_find(scan->script->text, at, to)) < to)
	{
		int			len = strcspn(scan->script->text + at, "\r\n");

		if (scan->hook(scan->hook_arg, at, len, scan->start >= 0 ? scan->end : -1))
		{
			scan->start = -1;
			scan->open_begin = 0;
			dbm_tokens_reset(&scan->tokens);
		}
		at += len;
	}
}

static void
begin_statement(Splitter *scan, int start)
{
	scan->start = start;
	if (scan->checksum)
		dbm_checksum_mark(scan->checksum);
}

/* Store the statement that was read. */
static WindowEnd
finish_statement(Splitter *scan)
{
	DbmScript  *script = scan->script;
	DbmStatement *statement;
	bool		refused;

	if (script->nstatements == scan->capacity)
	{
		scan->capacity *= 2;
		script->statements = repalloc_huge(script->statements,
										   scan->capacity * sizeof(DbmStatement));
	}
	scan->line += dbm_lines_count(script->text, scan->line_offset, scan->start);
	scan->line_offset = scan->start;

	statement = &script->statements[script->nstatements++];
	*statement = (DbmStatement)
	{
		.start = scan->start,
			.len = scan->end - scan->start,
			.line = scan->line,
			.kind = dbm_tokens_kind(&scan->tokens, &refused),
			.may_queue_events = !dbm_tokens_is_definition(&scan->tokens)
	};
	scan->start = -1;
	dbm_tokens_reset(&scan->tokens);
	if (scan->checksum)
		finish_checksum(scan, statement->kind);

	if (statement->kind == DBM_STATEMENT_BEGIN)
	{
		refused |= scan->open_begin > 0;
		scan->open_begin = script->nstatements;
	}
	else if (statement->kind == DBM_STATEMENT_COMMIT)
	{
		refused |= scan->open_begin == 0;
		scan->open_begin = 0;
	}
	else
		script->ncommands++;

	if (refused)
	{
		script->refused = dbm_script_trouble_transaction(script, statement);
		return WINDOW_REFUSED;
	}
	return statement->kind == DBM_STATEMENT_COPY_DATA ? WINDOW_COPY : WINDOW_DONE;
}

static void
finish_checksum(Splitter *scan, DbmStatementKind kind)
{
	if ((kind == DBM_STATEMENT_BEGIN || kind == DBM_STATEMENT_COMMIT) && !scan->count_pairs)
		dbm_checksum_forget(scan->checksum);
	else
		dbm_checksum_add(scan->checksum, ";", 1);
}

/* The last statement is COPY, and what begins at "from" its data; returns the place behind them. */
static int
take_copy_data(Splitter *scan, int from)
{
	DbmStatement *statement = &scan->script->statements[scan->script->nstatements - 1];
	int			behind;
	int			end = dbm_copy_data_end(scan->script, from, &behind);

	statement->data_start = from;
	statement->data_len = end - from;
	if (scan->checksum)
		dbm_checksum_add_data(scan->checksum, scan->script->text + from, end - from);
	return behind;
}

static int
next_window_end(Splitter *scan, int from)
{
	const DbmScript *script = scan->script;

	if (scan->backslash_line <= from && scan->backslash_line < script->len)
		scan->backslash_line = dbm_lines_next_backslash(script, from);
	return dbm_lines_window_end(script, from, scan->backslash_line);
}

/*
 * Read strings as the standard says, and keep quiet about identifiers that
 * are too long: whoever runs the script will hear of them.  The level is for
 * AtEOXact_GUC().
 */
int
dbm_script_pin_settings(void)
{
	int			level = NewGUCNestLevel();

	dbm_pin("standard_conforming_strings", "on");
	dbm_pin("backslash_quote", "on");
	dbm_pin("client_min_messages", "error");
	return level;
}
