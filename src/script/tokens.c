/*-------------------------------------------------------------------------
 *
 * tokens.c
 *	  From the tokens of a statement to where it ends and what kind it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/keywords.h"
#include "utils/memutils.h"

#include "script/internal.h"

/*
 * Tokens.  Those below 1000 are the scanner's own; since 16 no installed
 * header has the grammar's numbers for keywords, so we hand the scanner ours.
 */
enum
{
	/* fixed by the comment in scanner.h */
	TOKEN_IDENT = 258,
	TOKEN_SCONST = 261,
	TOKEN_USCONST = 262,
	TOKEN_OP = 265,
	KEYWORD_OTHER = 1000,
	KEYWORD_ABORT,
	KEYWORD_ALTER,
	KEYWORD_AND,
	KEYWORD_ATOMIC,
	KEYWORD_BEGIN,
	KEYWORD_COMMENT,
	KEYWORD_COMMIT,
	KEYWORD_COPY,
	KEYWORD_CREATE,
	KEYWORD_DROP,
	KEYWORD_ELSE,
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
	KEYWORD_THEN,
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
	{"and", KEYWORD_AND},
	{"atomic", KEYWORD_ATOMIC},
	{"begin", KEYWORD_BEGIN},
	{"comment", KEYWORD_COMMENT},
	{"commit", KEYWORD_COMMIT},
	{"copy", KEYWORD_COPY},
	{"create", KEYWORD_CREATE},
	{"drop", KEYWORD_DROP},
	{"else", KEYWORD_ELSE},
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
	{"then", KEYWORD_THEN},
	{"transaction", KEYWORD_TRANSACTION},
	{"work", KEYWORD_WORK}
};

static bool creates_routine(const DbmTokens *tokens);

/*
 * The keyword numbers for scanner_init(), in the order of the server's list.
 */
const uint16 *
dbm_tokens_keywords(void)
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

/* Has the scanner allocated a text for this token, core_YYSTYPE.str? */
bool
dbm_tokens_has_text(int token)
{
	return token >= TOKEN_IDENT && token <= TOKEN_OP;
}

/* Forget the statement; the next token begins another. */
void
dbm_tokens_reset(DbmTokens *tokens)
{
	memset(tokens, 0, sizeof(DbmTokens));
}

/*
 * A ';' ends the statement unless it is in parentheses (the actions of CREATE
 * RULE) or in the body of a routine in standard SQL.
 */
bool
dbm_tokens_end(const DbmTokens *tokens, int token)
{
	return token == ';' && tokens->paren_depth <= 0 && !tokens->in_atomic_body;
}

/* CREATE [OR REPLACE] FUNCTION or PROCEDURE */
static bool
creates_routine(const DbmTokens *tokens)
{
	const int  *lead = tokens->lead;
	int			object;

	if (lead[0] != KEYWORD_CREATE)
		return false;
	object = lead[1] == KEYWORD_OR && lead[2] == KEYWORD_REPLACE ? lead[3] : lead[1];
	return object == KEYWORD_FUNCTION || object == KEYWORD_PROCEDURE;
}

/* Take one more token of the statement. */
void
dbm_tokens_add(DbmTokens *tokens, int token)
{
	if (tokens->count < DBM_LEAD_TOKENS)
		tokens->lead[tokens->count] = token;
	tokens->count++;

	if (token == '(' || token == '[')
		tokens->paren_depth++;
	else if (token == ')' || token == ']')
		tokens->paren_depth--;
	else if (tokens->paren_depth == 0)
	{
		/*
		 * In the grammar each statement of an SQL body ends with ';' and the
		 * body's END follows one, or BEGIN ATOMIC itself; any other END
		 * belongs to a CASE or is a name.
		 */
		if (token == KEYWORD_ATOMIC && tokens->previous == KEYWORD_BEGIN &&
			creates_routine(tokens))
			tokens->in_atomic_body = true;
		else if (token == KEYWORD_END && tokens->in_atomic_body &&
				 (tokens->previous == ';' || tokens->previous == KEYWORD_ATOMIC))
			tokens->in_atomic_body = false;
		else if (tokens->previous == KEYWORD_FROM && !tokens->from_seen)
		{
			tokens->from_seen = true;
			tokens->from_stdin = token == KEYWORD_STDIN || token == KEYWORD_STDOUT;
		}
	}
	tokens->previous = token;
}

/*
 * What kind of statement is it, by its leading tokens?  "refused" is set for
 * a transaction statement that is not half of a plain pair.  COMMIT PREPARED
 * and ROLLBACK PREPARED are left to the classification as online statements.
 */
DbmStatementKind
dbm_tokens_kind(const DbmTokens *tokens, bool *refused)
{
	const int  *lead = tokens->lead;
	bool		plain = tokens->count == 1 ||
		(tokens->count == 2 && (lead[1] == KEYWORD_WORK || lead[1] == KEYWORD_TRANSACTION));

	*refused = false;
	switch (lead[0])
	{
		case KEYWORD_BEGIN:
			*refused = !plain;
			return DBM_STATEMENT_BEGIN;
		case KEYWORD_START:
			*refused = tokens->count != 2 || lead[1] != KEYWORD_TRANSACTION;
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
			*refused = lead[1] == KEYWORD_TRANSACTION &&
				(lead[2] == TOKEN_SCONST || lead[2] == TOKEN_USCONST);
			return DBM_STATEMENT_SQL;
		case KEYWORD_COPY:
			return tokens->from_stdin ? DBM_STATEMENT_COPY_DATA : DBM_STATEMENT_SQL;
		default:
			return DBM_STATEMENT_SQL;
	}
}

/* Does a statement that begins so leave no trigger events behind? */
bool
dbm_tokens_is_definition(const DbmTokens *tokens)
{
	switch (tokens->lead[0])
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

/* Is it COMMIT or ROLLBACK, which in PL/pgSQL are statements or names? */
bool
dbm_tokens_is_commit(int token)
{
	return token == KEYWORD_COMMIT || token == KEYWORD_ROLLBACK;
}

/* And can this follow if it is the statement?  (AND CHAIN) */
bool
dbm_tokens_goes_on_as_commit(int token)
{
	return token == ';' || token == KEYWORD_AND;
}

/*
 * Can a statement of PL/pgSQL follow this token?  "text" is that of a name or
 * an operator: LOOP is a word for PL/pgSQL alone, and >> ends a label.
 */
bool
dbm_tokens_precedes_statement(int token, const char *text)
{
	switch (token)
	{
		case ';':
		case KEYWORD_BEGIN:
		case KEYWORD_ELSE:
		case KEYWORD_THEN:
			return true;
		case TOKEN_IDENT:
			return strcmp(text, "loop") == 0;
		case TOKEN_OP:
			return strcmp(text, ">>") == 0;
		default:
			return false;
	}
}
