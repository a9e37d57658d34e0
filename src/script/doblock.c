/*-------------------------------------------------------------------------
 *
 * doblock.c
 *	  Does the body of a DO statement end transactions?
 *
 * Such a block is refused inside a transaction (2D000) as soon as it gets
 * there, so that a script with one is online as one with VACUUM is.  The body
 * is no SQL but has its tokens: PL/pgSQL reads it with the same scanner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/keywords.h"
#include "nodes/parsenodes.h"
#include "parser/scanner.h"
#include "utils/memutils.h"

#include "compat.h"
#include "script/internal.h"

static const char *plpgsql_body(const DoStmt *stmt);
static bool scan(const char *body);
static bool body_commits(const char *body);

/*
 * Is this DO block PL/pgSQL with a COMMIT or ROLLBACK of its own, wherever in
 * it?  Not seen are procedures that it calls, and blocks in other languages.
 */
bool
dbm_do_block_commits(const DoStmt *stmt)
{
	const char *body = plpgsql_body(stmt);

	return body && scan(body);
}

/* What the scanner does not understand is PL/pgSQL's to refuse. */
static bool
scan(const char *body)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool commits = false;

	PG_TRY();
	{
		commits = body_commits(body);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!dbm_error_is_about_text(error))
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
	}
	PG_END_TRY();
	return commits;
}

/* The block's text, or NULL: it is in another language. */
static const char *
plpgsql_body(const DoStmt *stmt)
{
	const char *body = NULL;
	ListCell   *lc;

	foreach(lc, stmt->args)
	{
		const DefElem *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "as") == 0)
			body = strVal(option->arg);
		else if (strcmp(option->defname, "language") == 0 &&
				 strcmp(strVal(option->arg), "plpgsql") != 0)
			return NULL;
	}
	return body;
}

/*
 * COMMIT and ROLLBACK where a statement of PL/pgSQL can begin, and as one: a
 * variable may have that name.
 */
static bool
body_commits(const char *body)
{
	core_yy_extra_type extra;
	core_yyscan_t scanner = scanner_init(body, &extra, &ScanKeywords, dbm_tokens_keywords());
	bool		may_begin = false;
	bool		may_commit = false;
	int			token;

	dbm_scan_standard_strings(&extra);
	do
	{
		core_YYSTYPE value;
		YYLTYPE		location;

		token = core_yylex(&value, &location, scanner);
		if (may_commit && dbm_tokens_goes_on_as_commit(token))
			break;
		may_commit = may_begin && dbm_tokens_is_commit(token);
		may_begin = dbm_tokens_precedes_statement(token, dbm_tokens_has_text(token) ? value.str : NULL);
	} while (token != 0);
	scanner_finish(scanner);
	return token != 0;
}
