/*-------------------------------------------------------------------------
 *
 * script.c
 *	  From the text of a script to its statements and its checksum.
 *
 * Boundaries come from the server's own scanner.  It sees the text in
 * windows: a window ends before the next line that begins with a backslash,
 * because that is where inline COPY data ends and where pg_dump's \restrict
 * lines are, and because the scanner copies all it is given: with the whole
 * rest handed over for each of a thousand COPY blocks the time would be
 * quadratic.  When such a line turns out to be inside a literal or a comment,
 * the window is made longer and the scan goes on from the last good token.
 *
 * Nothing here depends on the session: the string settings are pinned, so
 * that a text has the same statements and the same checksum everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "dbmigrate.h"

/*
 * Tokens.  Those below 1000 are the scanner's own; since 16 no installed
 * header has the grammar's numbers for keywords, so we hand the scanner ours.
 */
enum
{
	TOKEN_SCONST = 261,			/* fixed by the comment in scanner.h */
	KEYWORD_OTHER = 1000,
	KEYWORD_ABORT,
	KEYWORD_ALTER,
	KEYWORD_ATOMIC,
	KEYWORD_BEGIN,
	KEYWORD_COMMENT,
	KEYWORD_COMMIT,
	KEYWORD_COPY,
	KEYWORD_CREATE,
	KEYWORD_DROP,
	KEYWORD_END,
	KEYWORD_FROM,
	KEYWORD_FUNCTION,
	KEYWORD_GRANT,
	KEYWORD_OR,
	KEYWORD_PREPARE,
	KEYWORD_PREPARED,
	KEYWORD_PROCEDURE,
	KEYWORD_RELEASE,
	KEYWORD_REPLACE,
	KEYWORD_RESET,
	KEYWORD_REVOKE,
	KEYWORD_ROLLBACK,
	KEYWORD_SAVEPOINT,
	KEYWORD_SET,
	KEYWORD_START,
	KEYWORD_STDIN,
	KEYWORD_STDOUT,
	KEYWORD_TRANSACTION,
	KEYWORD_WORK
};

static const struct
{
	const char *word;
	uint16		token;
}			keywords_used[] =
{
	{"abort", KEYWORD_ABORT},
	{"alter", KEYWORD_ALTER},
	{"atomic", KEYWORD_ATOMIC},
	{"begin", KEYWORD_BEGIN},
	{"comment", KEYWORD_COMMENT},
	{"commit", KEYWORD_COMMIT},
	{"copy", KEYWORD_COPY},
	{"create", KEYWORD_CREATE},
	{"drop", KEYWORD_DROP},
	{"end", KEYWORD_END},
	{"from", KEYWORD_FROM},
	{"function", KEYWORD_FUNCTION},
	{"grant", KEYWORD_GRANT},
	{"or", KEYWORD_OR},
	{"prepare", KEYWORD_PREPARE},
	{"prepared", KEYWORD_PREPARED},
	{"procedure", KEYWORD_PROCEDURE},
	{"release", KEYWORD_RELEASE},
	{"replace", KEYWORD_REPLACE},
	{"reset", KEYWORD_RESET},
	{"revoke", KEYWORD_REVOKE},
	{"rollback", KEYWORD_ROLLBACK},
	{"savepoint", KEYWORD_SAVEPOINT},
	{"set", KEYWORD_SET},
	{"start", KEYWORD_START},
	{"stdin", KEYWORD_STDIN},
	{"stdout", KEYWORD_STDOUT},
	{"transaction", KEYWORD_TRANSACTION},
	{"work", KEYWORD_WORK}
};

#define LEAD_TOKENS 4			/* CREATE OR REPLACE FUNCTION */
#define HASH_BUFFER 8192
#define MAX_MESSAGE 200			/* bytes of a scanner's message that are kept */

/* How the scan of a window ended. */
typedef enum WindowEnd
{
	WINDOW_DONE,				/* all tokens read, perhaps amid a statement */
	WINDOW_LINE,				/* before a line that begins with a backslash */
	WINDOW_COPY,				/* behind the ';' of a COPY ... FROM stdin */
	WINDOW_ERROR,				/* the scanner raised an error, see Splitter.error */
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

	/* checksum, NULL if not wanted */
	pg_cryptohash_ctx *hash;
	int			buffered;
	uint8		buffer[HASH_BUFFER];

	/* the statement being read; start is -1 between statements */
	int			start;
	int			end;
	int			ntokens;
	int			lead[LEAD_TOKENS];
	int			previous;		/* token before the present one */
	int			paren_depth;
	bool		in_atomic_body;
	bool		from_seen;		/* COPY: its first FROM outside parentheses */
	bool		from_stdin;

	int			line_offset;	/* up to where lines were counted */
	int			line;
	int			open_begin;		/* statement number of a BEGIN, or 0 */
} Splitter;

static void split_text(Splitter *scan);
static bool scan_copy_line(Splitter *scan, int *pos);
static WindowEnd scan_window(Splitter *scan, int from, int to);
static WindowEnd read_tokens(Splitter *scan, core_yyscan_t scanner, core_yy_extra_type *extra);
static bool token_ends_statement(Splitter *scan, int token);
static void add_token(Splitter *scan, int token, int start, int end);
static WindowEnd finish_statement(Splitter *scan);
static DbmStatementKind statement_kind(const Splitter *scan, bool *refused);
static bool is_definition(int token);
static int	take_copy_data(Splitter *scan, int from);
static int	next_backslash_line(const DbmScript *script, int from);
static bool starts_backslash_line(const DbmScript *script, int at);
static bool is_restrict_line(const DbmScript *script, int from);
static int	next_line(const DbmScript *script, int from);
static int	count_lines(const char *text, int from, int to);
static void hash_token(Splitter *scan, const char *bytes, int len);
static void hash_bytes(Splitter *scan, const char *bytes, int len);
static void hash_flush(Splitter *scan);
static void hash_finish(Splitter *scan);
static DbmProblem *make_problem(DbmScript *script, int sqlerrcode,
								const char *message, int start, int len);
static void refuse_psql_command(Splitter *scan, int at);
static void refuse_transaction_statement(Splitter *scan, const DbmStatement *statement);
static DbmProblem *problem_from_error(DbmScript *script, const ErrorData *edata, int base,
									  int statement, int start, int len);
static char *clip_message(const char *message);
static const uint16 *keyword_tokens(void);
static int	pin_string_settings(void);
static bool is_unreadable_error(const ErrorData *edata);

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
 * The checksum is SHA-256 over the source text of each token and a zero byte,
 * with CR LF counted as LF; comments, white space, a byte order mark and
 * \restrict lines between tokens do not count.  Inline COPY data counts as
 * one token.  Texts in another encoding are hashed as UTF-8.  The checksum of
 * a text that cannot be scanned is the SHA-256 of its bytes.
 */
DbmScript *
dbm_script_scan(char *text, int len, bool want_checksum)
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
	scan->window_context = AllocSetContextCreate(context, "dbmigrate window",
												 ALLOCSET_DEFAULT_SIZES);
	if (want_checksum)
	{
		scan->hash = pg_cryptohash_create(PG_SHA256);
		if (scan->hash == NULL || pg_cryptohash_init(scan->hash) < 0)
			elog(ERROR, "could not initialize SHA-256");
	}

	split_text(scan);

	if (scan->hash)
		hash_finish(scan);
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

/*
 * Parse each statement, to learn what scanning alone cannot tell: whether
 * this server can parse it at all, whether it needs a transaction of its own,
 * and two things that no migration may do.
 */
void
dbm_script_analyze(DbmScript *script)
{
	MemoryContext context;
	MemoryContext caller;
	int			guc_level = pin_string_settings();
	volatile int i = 0;

	if (script->unreadable)
		script->online = dbm_classify_online_words(script->text + script->unreadable->start);

	context = AllocSetContextCreate(script->context, "dbmigrate parse",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);

	while (i < script->nstatements && script->refused == NULL)
	{
		DbmStatement *statement = &script->statements[i];
		char	   *sql = script->text + statement->start;
		char		saved = sql[statement->len];

		CHECK_FOR_INTERRUPTS();
		if (statement->kind == DBM_STATEMENT_BEGIN ||
			statement->kind == DBM_STATEMENT_COMMIT)
		{
			i++;
			continue;
		}

		sql[statement->len] = '\0';
		PG_TRY();
		{
			List	   *trees = raw_parser(sql, RAW_PARSE_DEFAULT);
			Node	   *tree;

			if (list_length(trees) != 1)
				ereport(ERROR,
						(errcode(ERRCODE_SYNTAX_ERROR),
						 errmsg("could not find the end of the statement")));
			tree = linitial_node(RawStmt, trees)->stmt;
			if (dbm_classify_online(tree))
				script->online = true;
			if (script->refused == NULL)
			{
				int			sqlerrcode;
				const char *why = dbm_classify_refused(tree, &sqlerrcode);

				if (why)
				{
					script->refused = make_problem(script, sqlerrcode, why,
												   statement->start, statement->len);
					script->refused->statement = i + 1;
				}
			}
		}
		PG_CATCH();
		{
			ErrorData  *edata;

			sql[statement->len] = saved;
			MemoryContextSwitchTo(context);
			edata = CopyErrorData();
			if (!is_unreadable_error(edata))
				PG_RE_THROW();
			FlushErrorState();
			if (script->unreadable == NULL)
				script->unreadable = problem_from_error(script, edata, statement->start, i + 1,
														statement->start, statement->len);
			if (dbm_classify_online_words(pnstrdup(sql, statement->len)))
				script->online = true;
		}
		PG_END_TRY();
		sql[statement->len] = saved;
		MemoryContextReset(context);
		i++;
	}

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	AtEOXact_GUC(false, guc_level);
}

/* The whole text, window by window. */
static void
split_text(Splitter *scan)
{
	DbmScript  *script = scan->script;
	int			guc_level = pin_string_settings();
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

		if (starts_backslash_line(script, pos))
		{
			if (scan->start >= 0 || !is_restrict_line(script, pos))
			{
				refuse_psql_command(scan, pos);
				break;
			}
			pos = scan->resume = next_line(script, pos);
			continue;
		}

		for (int i = 0; i < lines_ahead && to < script->len; i++)
			to = next_backslash_line(script, to);
		end = scan_window(scan, pos, to);

		if (end == WINDOW_REFUSED)
			break;
		if (end == WINDOW_ERROR)
		{
			if (to == script->len)
			{
				int			start = scan->start >= 0 ? scan->start : scan->resume;

				script->unreadable =
					problem_from_error(script, scan->error, scan->window_start,
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
			refuse_transaction_statement(scan, &script->statements[scan->open_begin - 1]);
	}
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
	int			rest_end = next_line(script, rest);

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
		script->refused = make_problem(script, ERRCODE_SYNTAX_ERROR,
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
	scanner = scanner_init(script->text + from, &extra, &ScanKeywords, keyword_tokens());
	script->text[to] = saved;
	extra.backslash_quote = BACKSLASH_QUOTE_ON;
	extra.escape_string_warning = false;
	extra.standard_conforming_strings = true;
	scan->window_start = from;
	scan->resume = from;

	PG_TRY();
	{
		end = read_tokens(scan, scanner, &extra);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(script->context);
		scan->error = CopyErrorData();
		if (!is_unreadable_error(scan->error))
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

		if (token == 0)
			return WINDOW_DONE;
		if (token == '\\')
		{
			/* a window made longer for a literal may hold such lines behind it */
			if (starts_backslash_line(scan->script, start))
			{
				scan->resume = start;
				return WINDOW_LINE;
			}
			refuse_psql_command(scan, start);
			return WINDOW_REFUSED;
		}

		/* flex leaves a NUL behind the token it has just read */
		end = start + strlen(extra->scanbuf + location);
		scan->resume = end;
		if (scan->hash)
			hash_token(scan, scan->script->text + start, end - start);

		if (token_ends_statement(scan, token))
		{
			if (scan->start >= 0)
			{
				WindowEnd	finished = finish_statement(scan);

				if (finished != WINDOW_DONE)
					return finished;
			}
		}
		else
			add_token(scan, token, start, end);
	}
}

/*
 * A ';' ends the statement unless it is in parentheses (the actions of CREATE
 * RULE) or in the body of a routine in standard SQL.
 */
static bool
token_ends_statement(Splitter *scan, int token)
{
	return token == ';' && scan->paren_depth <= 0 && !scan->in_atomic_body;
}

static void
add_token(Splitter *scan, int token, int start, int end)
{
	if (scan->start < 0)
	{
		scan->start = start;
		scan->ntokens = 0;
		scan->paren_depth = 0;
		scan->in_atomic_body = false;
		scan->from_seen = false;
		scan->from_stdin = false;
		scan->previous = 0;
		memset(scan->lead, 0, sizeof(scan->lead));
	}
	if (scan->ntokens < LEAD_TOKENS)
		scan->lead[scan->ntokens] = token;
	scan->ntokens++;
	scan->end = end;

	if (token == '(' || token == '[')
		scan->paren_depth++;
	else if (token == ')' || token == ']')
		scan->paren_depth--;
	else if (scan->paren_depth == 0)
	{
		/*
		 * In the grammar each statement of an SQL body ends with ';' and the
		 * body's END follows one, or BEGIN ATOMIC itself; any other END
		 * belongs to a CASE or is a name.
		 */
		if (token == KEYWORD_ATOMIC && scan->previous == KEYWORD_BEGIN &&
			scan->lead[0] == KEYWORD_CREATE)
			scan->in_atomic_body = true;
		else if (token == KEYWORD_END && scan->in_atomic_body &&
				 (scan->previous == ';' || scan->previous == KEYWORD_ATOMIC))
			scan->in_atomic_body = false;
		else if (scan->lead[0] == KEYWORD_COPY)
		{
			if (scan->previous == KEYWORD_FROM && !scan->from_seen)
			{
				scan->from_seen = true;
				scan->from_stdin = (token == KEYWORD_STDIN || token == KEYWORD_STDOUT);
			}
		}
	}
	scan->previous = token;
}

/* Store the statement that was read. */
static WindowEnd
finish_statement(Splitter *scan)
{
	DbmScript  *script = scan->script;
	DbmStatement *statement;
	bool		refused = false;

	if (script->nstatements == scan->capacity)
	{
		scan->capacity *= 2;
		script->statements = repalloc_huge(script->statements,
										   scan->capacity * sizeof(DbmStatement));
	}
	scan->line += count_lines(script->text, scan->line_offset, scan->start);
	scan->line_offset = scan->start;

	statement = &script->statements[script->nstatements++];
	statement->start = scan->start;
	statement->len = scan->end - scan->start;
	statement->line = scan->line;
	statement->data_start = 0;
	statement->data_len = 0;
	statement->may_queue_events = !is_definition(scan->lead[0]);
	statement->kind = statement_kind(scan, &refused);
	scan->start = -1;

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
		refuse_transaction_statement(scan, statement);
		return WINDOW_REFUSED;
	}
	return statement->kind == DBM_STATEMENT_COPY_DATA ? WINDOW_COPY : WINDOW_DONE;
}

/*
 * What kind of statement is it, by its leading tokens?  "refused" is set for
 * a transaction statement that is not half of a plain pair.  COMMIT PREPARED
 * and ROLLBACK PREPARED are left to the classification as online statements.
 */
static DbmStatementKind
statement_kind(const Splitter *scan, bool *refused)
{
	const int  *lead = scan->lead;
	bool		plain = scan->ntokens == 1 ||
		(scan->ntokens == 2 && (lead[1] == KEYWORD_WORK || lead[1] == KEYWORD_TRANSACTION));

	switch (lead[0])
	{
		case KEYWORD_BEGIN:
			*refused = !plain;
			return DBM_STATEMENT_BEGIN;
		case KEYWORD_START:
			*refused = scan->ntokens != 2;
			return DBM_STATEMENT_BEGIN;
		case KEYWORD_COMMIT:
			if (lead[1] == KEYWORD_PREPARED)
				return DBM_STATEMENT_SQL;
			*refused = !plain;
			return DBM_STATEMENT_COMMIT;
		case KEYWORD_END:
			*refused = !plain;
			return DBM_STATEMENT_COMMIT;
		case KEYWORD_ROLLBACK:
			*refused = lead[1] != KEYWORD_PREPARED;
			return DBM_STATEMENT_SQL;
		case KEYWORD_ABORT:
		case KEYWORD_SAVEPOINT:
		case KEYWORD_RELEASE:
			*refused = true;
			return DBM_STATEMENT_SQL;
		case KEYWORD_PREPARE:
			/* "transaction" may also be the name of a prepared statement */
			*refused = lead[1] == KEYWORD_TRANSACTION && lead[2] == TOKEN_SCONST;
			return DBM_STATEMENT_SQL;
		case KEYWORD_COPY:
			return scan->from_stdin ? DBM_STATEMENT_COPY_DATA : DBM_STATEMENT_SQL;
		default:
			return DBM_STATEMENT_SQL;
	}
}

/* Does a statement that begins so leave no trigger events behind? */
static bool
is_definition(int token)
{
	switch (token)
	{
		case KEYWORD_ALTER:
		case KEYWORD_BEGIN:
		case KEYWORD_COMMENT:
		case KEYWORD_COMMIT:
		case KEYWORD_CREATE:
		case KEYWORD_DROP:
		case KEYWORD_END:
		case KEYWORD_GRANT:
		case KEYWORD_RESET:
		case KEYWORD_REVOKE:
		case KEYWORD_SET:
		case KEYWORD_START:
			return true;
		default:
			return false;
	}
}

/*
 * Give the last statement the data that begin at "from": all up to a line
 * with \. alone, or up to the end of the text, as psql -f does.  Returns the
 * place behind them.
 */
static int
take_copy_data(Splitter *scan, int from)
{
	DbmScript  *script = scan->script;
	DbmStatement *statement = &script->statements[script->nstatements - 1];
	const char *text = script->text;
	int			end = from;
	int			behind = script->len;

	while (end < script->len)
	{
		if (text[end] == '\\' && text[end + 1] == '.')
		{
			int			after = end + 2;

			if (text[after] == '\r')
				after++;
			if (after >= script->len || text[after] == '\n')
			{
				behind = Min(after + 1, script->len);
				break;
			}
		}
		end = next_line(script, end);
	}
	statement->data_start = from;
	statement->data_len = end - from;

	if (scan->hash)
	{
		hash_bytes(scan, text + from, end - from);
		/* psql's backquotes lose the last line feed of a file */
		if (end > from && text[end - 1] != '\n')
			hash_bytes(scan, "\n", 1);
		hash_bytes(scan, "", 1);
	}
	return behind;
}

/* The start of the next line that begins with a backslash, or the end. */
static int
next_backslash_line(const DbmScript *script, int from)
{
	const char *found = strstr(script->text + from, "\n\\");

	return found ? found + 1 - script->text : script->len;
}

static bool
starts_backslash_line(const DbmScript *script, int at)
{
	return script->text[at] == '\\' && (at == 0 || script->text[at - 1] == '\n');
}

/* pg_dump writes "\restrict key" and "\unrestrict key" around its output. */
static bool
is_restrict_line(const DbmScript *script, int from)
{
	const char *p = script->text + from + 1;

	if (strncmp(p, "un", 2) == 0)
		p += 2;
	return strncmp(p, "restrict", 8) == 0 && (p[8] == ' ' || p[8] == '\t');
}

static int
next_line(const DbmScript *script, int from)
{
	const char *found = memchr(script->text + from, '\n', script->len - from);

	return found ? found + 1 - script->text : script->len;
}

static int
count_lines(const char *text, int from, int to)
{
	const char *p = text + from;
	const char *end = text + to;
	int			lines = 0;

	while ((p = memchr(p, '\n', end - p)) != NULL)
	{
		lines++;
		p++;
	}
	return lines;
}

static void
hash_token(Splitter *scan, const char *bytes, int len)
{
	hash_bytes(scan, bytes, len);
	hash_bytes(scan, "", 1);
}

/* Add bytes to the checksum, CR LF as LF. */
static void
hash_bytes(Splitter *scan, const char *bytes, int len)
{
	char	   *converted = NULL;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		converted = pg_server_to_any(bytes, len, PG_UTF8);
		if (converted != bytes)
		{
			bytes = converted;
			len = strlen(converted);
		}
		else
			converted = NULL;
	}

	for (int i = 0; i < len; i++)
	{
		if (bytes[i] == '\r' && i + 1 < len && bytes[i + 1] == '\n')
			continue;
		if (scan->buffered == HASH_BUFFER)
			hash_flush(scan);
		scan->buffer[scan->buffered++] = bytes[i];
	}
	if (converted)
		pfree(converted);
}

static void
hash_flush(Splitter *scan)
{
	if (pg_cryptohash_update(scan->hash, scan->buffer, scan->buffered) < 0)
		elog(ERROR, "could not compute SHA-256");
	scan->buffered = 0;
}

static void
hash_finish(Splitter *scan)
{
	DbmScript  *script = scan->script;

	hash_flush(scan);
	if (script->unreadable)
	{
		if (pg_cryptohash_init(scan->hash) < 0 ||
			pg_cryptohash_update(scan->hash, (uint8 *) script->text, script->len) < 0)
			elog(ERROR, "could not compute SHA-256");
	}
	if (pg_cryptohash_final(scan->hash, script->checksum, sizeof(script->checksum)) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(scan->hash);
}

static DbmProblem *
make_problem(DbmScript *script, int sqlerrcode, const char *message, int start, int len)
{
	DbmProblem *problem = MemoryContextAllocZero(script->context, sizeof(DbmProblem));

	problem->sqlerrcode = sqlerrcode;
	problem->message = message;
	problem->start = start;
	problem->len = len;
	problem->position = start;
	problem->line = 1 + count_lines(script->text, 0, start);
	return problem;
}

static void
refuse_psql_command(Splitter *scan, int at)
{
	DbmScript  *script = scan->script;
	const char *command = script->text + at;
	int			start = at;
	int			len = strcspn(command + 1, " \t\r\n;\\") + 1;
	MemoryContext caller = MemoryContextSwitchTo(script->context);

	while (start > 0 && script->text[start - 1] != '\n')
		start--;
	len = pg_mbcliplen(command, len, 64);
	script->refused = make_problem(script, ERRCODE_SYNTAX_ERROR,
								   psprintf("psql command \"%.*s\" in a migration", len, command),
								   start, at + strcspn(command, "\r\n") - start);
	script->refused->position = at;
	script->refused->hint = "A migration runs inside the server, which has no psql commands; "
		"only \\restrict and \\unrestrict lines and the \\. after COPY data are understood.  "
		"Write the SQL itself.";
	MemoryContextSwitchTo(caller);
}

static void
refuse_transaction_statement(Splitter *scan, const DbmStatement *statement)
{
	DbmScript  *script = scan->script;
	DbmProblem *problem;

	problem = make_problem(script, ERRCODE_INVALID_TRANSACTION_TERMINATION,
						   "transaction control statements are not allowed in a migration",
						   statement->start, statement->len);
	problem->statement = statement - script->statements + 1;
	problem->detail = "Only BEGIN and COMMIT in balanced pairs, without options and not nested, are skipped over.";
	problem->hint = "Remove the statement: a migration runs in the transaction of whoever applies it.";
	script->refused = problem;
}

/*
 * Describe an error that the scanner or the parser raised.  Its position
 * counts characters from "base", where the text it was given begins: the
 * present window or one statement.
 */
static DbmProblem *
problem_from_error(DbmScript *script, const ErrorData *edata, int base,
				   int statement, int start, int len)
{
	MemoryContext caller = MemoryContextSwitchTo(script->context);
	DbmProblem *problem;

	/* "unterminated ... at or near" quotes all the rest of the text */
	problem = make_problem(script, edata->sqlerrcode, clip_message(edata->message), start, len);
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
		problem->line = 1 + count_lines(script->text, 0, problem->position);
	}
	MemoryContextSwitchTo(caller);
	return problem;
}

static char *
clip_message(const char *message)
{
	int			len = strlen(message);

	if (len <= MAX_MESSAGE)
		return pstrdup(message);
	return psprintf("%.*s...\"", pg_mbcliplen(message, len, MAX_MESSAGE), message);
}

/* Our keyword numbers, in the order of the server's keyword list. */
static const uint16 *
keyword_tokens(void)
{
	static uint16 *tokens = NULL;

	if (tokens == NULL)
	{
		uint16	   *made = MemoryContextAlloc(TopMemoryContext,
											  ScanKeywords.num_keywords * sizeof(uint16));

		for (int i = 0; i < ScanKeywords.num_keywords; i++)
			made[i] = KEYWORD_OTHER;
		for (int i = 0; i < lengthof(keywords_used); i++)
		{
			int			number = ScanKeywordLookup(keywords_used[i].word, &ScanKeywords);

			if (number < 0)
				elog(ERROR, "keyword \"%s\" is not known to this server",
					 keywords_used[i].word);
			made[number] = keywords_used[i].token;
		}
		tokens = made;
	}
	return tokens;
}

/*
 * Read strings as the standard says, and keep quiet about identifiers that
 * are too long: whoever runs the script will hear of them.  The level is for
 * AtEOXact_GUC().
 */
static int
pin_string_settings(void)
{
	int			level = NewGUCNestLevel();

	(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("backslash_quote", "on", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	(void) set_config_option("client_min_messages", "error", PGC_USERSET,
							 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	return level;
}

/*
 * Is this an error about the text?  Others (no memory, cancelled) are passed
 * on.  The scanner and the parser raise errors of these classes only.
 */
static bool
is_unreadable_error(const ErrorData *edata)
{
	int			category = ERRCODE_TO_CATEGORY(edata->sqlerrcode);

	return category == ERRCODE_TO_CATEGORY(ERRCODE_SYNTAX_ERROR) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_DATA_EXCEPTION) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_FEATURE_NOT_SUPPORTED) ||
		category == ERRCODE_TO_CATEGORY(ERRCODE_PROGRAM_LIMIT_EXCEEDED);
}
