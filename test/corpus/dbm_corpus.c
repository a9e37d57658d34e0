/*-------------------------------------------------------------------------
 *
 * dbm_corpus.c
 *	  Does dbm_script_scan() see the statements that the grammar sees?
 *
 * corpus_compare() hands a text to both.  What the grammar cannot have, psql
 * commands and COPY data, is blanked out first, by the scanner's own account
 * of where it is; a wrong account leaves a text that does not parse, or one
 * whose statements differ.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "script/internal.h"

PG_MODULE_MAGIC;

#define MAX_REFUSALS 5000

/* One comparison. */
typedef struct Comparison
{
	char	   *scanned;		/* for the scanner: nothing in it is refused */
	char	   *whole;			/* for the grammar */
	int			len;
	DbmScript  *script;
	DbmTrouble *unreadable;		/* for the scanner, not for the grammar */
	int			nbroken;		/* statements with syntax errors, blanked out */
	bool		stripped;		/* the two are not the text as given */
	int			nskipped;		/* transaction statements that were refused */
	int			skipped[MAX_REFUSALS];
	int			nstatements;
	StringInfoData differences;
} Comparison;

static const char *compare(Comparison *cmp);
static bool scan_all(Comparison *cmp, bool parses_as_it_is);
static void strip_for_grammar(Comparison *cmp);
static void compare_statements(Comparison *cmp, List *trees);
static void compare_statement(Comparison *cmp, int number, const RawStmt *raw);
static void compare_kind(Comparison *cmp, int number, DbmStatementKind kind, Node *tree);
static void compare_variants(Comparison *cmp);
static void expect_same(Comparison *cmp, const char *what, StringInfo variant);
static bool is_skipped(const Comparison *cmp, int start);
static int	first_token(const char *text, int from, int to);
static bool blank_broken_statement(Comparison *cmp, int cursorpos);
static List *parse(const char *text, char **error, int *cursorpos);
static void blank(char *text, int from, int to);
static int	end_of_line(const Comparison *cmp, int from);
static void differ(Comparison *cmp, const char *fmt,...) pg_attribute_printf(2, 3);
static int	next(uint64 *state, int n);

PG_FUNCTION_INFO_V1(corpus_compare);
PG_FUNCTION_INFO_V1(corpus_mutate);

/*
 * SQL: corpus_compare(script text, OUT verdict text, OUT statements int,
 * OUT stripped boolean, OUT broken int, OUT detail text)
 */
Datum
corpus_compare(PG_FUNCTION_ARGS)
{
	Comparison *cmp = palloc0(sizeof(Comparison));
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5] = {0};
	const char *verdict;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");

	cmp->scanned = text_to_cstring(PG_GETARG_TEXT_PP(0));
	cmp->whole = pstrdup(cmp->scanned);
	cmp->len = strlen(cmp->scanned);
	initStringInfo(&cmp->differences);
	verdict = compare(cmp);

	values[0] = CStringGetTextDatum(verdict);
	values[1] = Int32GetDatum(cmp->nstatements);
	values[2] = BoolGetDatum(cmp->stripped);
	values[3] = Int32GetDatum(cmp->nbroken);
	values[4] = CStringGetTextDatum(cmp->differences.data);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

static const char *
compare(Comparison *cmp)
{
	char	   *error;
	int			cursorpos;
	List	   *trees = parse(cmp->whole, &error, &cursorpos);
	bool		parses_as_it_is = error == NULL;

	for (;;)
	{
		if (!scan_all(cmp, parses_as_it_is))
			return cmp->differences.len > 0 ? "differ" : "refused";
		strip_for_grammar(cmp);
		if (cmp->stripped)
			trees = parse(cmp->whole, &error, &cursorpos);
		if (error == NULL || cmp->unreadable || !blank_broken_statement(cmp, cursorpos))
			break;
	}

	if (error)
	{
		if (cmp->differences.len > 0)
			return "differ";
		appendStringInfoString(&cmp->differences, error);
		return cmp->unreadable ? "unreadable" : "unparsed";
	}
	if (cmp->unreadable)
		differ(cmp, "parses, but the scanner says: %s", cmp->unreadable->message);
	else
	{
		compare_statements(cmp, trees);
		compare_variants(cmp);
	}
	return cmp->differences.len > 0 ? "differ" : "agree";
}

/*
 * Scan, and blank out what is refused, until nothing is.  A psql command
 * becomes an empty statement, for \g and its relatives end one.  False if
 * there is something that cannot be blanked out.
 */
static bool
scan_all(Comparison *cmp, bool parses_as_it_is)
{
	for (;;)
	{
		char	   *copy = pstrdup(cmp->scanned);
		DbmScript  *script = dbm_script_scan(copy, cmp->len, true);
		DbmTrouble *problem = script->refused;

		cmp->script = script;
		cmp->unreadable = script->unreadable;
		if (strcmp(copy, cmp->scanned) != 0)
			differ(cmp, "the scanner has changed the text");
		dbm_script_analyze(script);
		if (strcmp(copy, cmp->scanned) != 0)
			differ(cmp, "the analysis has changed the text");
		script->refused = problem;	/* the analysis has more to refuse */
		if (problem == NULL)
			return true;

		if (strncmp(problem->message, "psql command", 12) == 0)
		{
			if (parses_as_it_is)
				differ(cmp, "parses, but the scanner says: %s", problem->message);
			blank(cmp->scanned, problem->position, end_of_line(cmp, problem->position));
			blank(cmp->whole, problem->position, end_of_line(cmp, problem->position));
			cmp->scanned[problem->position] = cmp->whole[problem->position] = ';';
			cmp->stripped = true;
		}
		else if (strncmp(problem->message, "transaction control", 19) == 0 &&
				 cmp->nskipped < MAX_REFUSALS)
		{
			cmp->skipped[cmp->nskipped++] = problem->start;
			blank(cmp->scanned, problem->start, problem->start + problem->len);
		}
		else
		{
			if (parses_as_it_is && strstr(problem->message, "line of COPY") == NULL)
				differ(cmp, "parses, but the scanner says: %s", problem->message);
			return false;
		}
		dbm_script_free(script);
	}
}

/* A byte order mark, COPY data and restrict lines are not for the grammar. */
static void
strip_for_grammar(Comparison *cmp)
{
	const DbmScript *script = cmp->script;
	int			behind = 0;		/* the last statement */

	if (strncmp(cmp->whole, "\xEF\xBB\xBF", 3) == 0)
	{
		blank(cmp->whole, 0, 3);
		cmp->stripped = true;
	}
	for (int i = 0; i <= script->nstatements; i++)
	{
		const DbmStatement *statement = &script->statements[i];
		int			next = i < script->nstatements ? statement->start : cmp->len;

		for (int at = behind; at < next; at = end_of_line(cmp, at) + 1)
		{
			if (cmp->whole[at] == '\\' && strstr(cmp->whole + at, "restrict ") != NULL &&
				strstr(cmp->whole + at, "restrict ") <= cmp->whole + at + 3)
			{
				blank(cmp->whole, at, end_of_line(cmp, at));
				cmp->stripped = true;
			}
		}
		if (i == script->nstatements)
			break;
		behind = statement->start + statement->len;
		if (statement->kind == DBM_STATEMENT_COPY_DATA)
		{
			int			data_end = statement->data_start + statement->data_len;

			if (data_end < cmp->len)
				data_end = end_of_line(cmp, data_end);
			blank(cmp->whole, statement->data_start, data_end);
			cmp->stripped = true;
		}
	}
}

/*
 * What the grammar does not like is in some statement: do without that one,
 * in order to compare the others.
 */
static bool
blank_broken_statement(Comparison *cmp, int cursorpos)
{
	const DbmScript *script = cmp->script;
	int			at = 0;

	for (int i = 1; i < cursorpos && cmp->whole[at]; i++)
		at += pg_mblen(cmp->whole + at);
	for (int i = 0; i < script->nstatements; i++)
	{
		const DbmStatement *statement = &script->statements[i];
		int			end = statement->start + statement->len;

		/* an error at the end is behind the last token */
		if (at < statement->start || first_token(cmp->whole, end, Max(at, end)) >= 0 ||
			statement->kind == DBM_STATEMENT_COPY_DATA || cmp->nbroken >= MAX_REFUSALS)
			continue;
		blank(cmp->scanned, statement->start, end);
		blank(cmp->whole, statement->start, end);
		cmp->nbroken++;
		cmp->stripped = true;
		return true;
	}
	return false;
}

static void
compare_statements(Comparison *cmp, List *trees)
{
	int			number = 0;
	ListCell   *lc;

	foreach(lc, trees)
	{
		const RawStmt *raw = lfirst_node(RawStmt, lc);
		int			end = raw->stmt_len > 0 ? raw->stmt_location + raw->stmt_len : cmp->len;
		int			start = first_token(cmp->whole, raw->stmt_location, end);

		if (is_skipped(cmp, start))
		{
			if (!IsA(raw->stmt, TransactionStmt))
				differ(cmp, "refused as transaction control at byte %d: node %d",
					   start, (int) nodeTag(raw->stmt));
			continue;
		}
		if (number < cmp->script->nstatements)
			compare_statement(cmp, number, raw);
		number++;
	}
	if (number != cmp->script->nstatements)
		differ(cmp, "%d statements, the scanner has %d", number, cmp->script->nstatements);
	cmp->nstatements = number;
}

static void
compare_statement(Comparison *cmp, int number, const RawStmt *raw)
{
	const DbmStatement *statement = &cmp->script->statements[number];
	int			end = raw->stmt_len > 0 ? raw->stmt_location + raw->stmt_len : cmp->len;
	int			start = first_token(cmp->whole, raw->stmt_location, end);
	int			our_end = statement->start + statement->len;
	int			line = 1;
	char	   *error;
	int			cursorpos;
	List	   *trees;

	if (statement->start != start)
		differ(cmp, "statement %d begins at byte %d, the scanner says %d",
			   number + 1, start, statement->start);
	if (our_end > end || our_end <= start ||
		(end > our_end && first_token(cmp->whole, our_end, end) >= 0) ||
		strchr(" \t\n\r\f", cmp->whole[our_end - 1]) != NULL)
		differ(cmp, "statement %d ends at byte %d, the scanner says %d", number + 1, end, our_end);
	for (int i = 0; i < start; i++)
		line += cmp->whole[i] == '\n';
	if (statement->line != line)
		differ(cmp, "statement %d is at line %d, the scanner says %d",
			   number + 1, line, statement->line);
	compare_kind(cmp, number, statement->kind, raw->stmt);

	trees = parse(pnstrdup(cmp->script->text + statement->start, statement->len), &error, &cursorpos);
	if (error)
		differ(cmp, "statement %d alone: %s", number + 1, error);
	else if (list_length(trees) != 1)
		differ(cmp, "statement %d alone is %d statements", number + 1, list_length(trees));
	else if (!equal(linitial_node(RawStmt, trees)->stmt, raw->stmt))
		differ(cmp, "statement %d alone is another tree: node %d, not %d", number + 1,
			   (int) nodeTag(linitial_node(RawStmt, trees)->stmt), (int) nodeTag(raw->stmt));
}

static void
compare_kind(Comparison *cmp, int number, DbmStatementKind kind, Node *tree)
{
	DbmStatementKind expected = DBM_STATEMENT_SQL;

	if (IsA(tree, TransactionStmt))
	{
		switch (((TransactionStmt *) tree)->kind)
		{
			case TRANS_STMT_BEGIN:
			case TRANS_STMT_START:
				expected = DBM_STATEMENT_BEGIN;
				break;
			case TRANS_STMT_COMMIT:
				expected = DBM_STATEMENT_COMMIT;
				break;
			case TRANS_STMT_COMMIT_PREPARED:
			case TRANS_STMT_ROLLBACK_PREPARED:
				break;
			default:
				differ(cmp, "statement %d should have been refused", number + 1);
		}
	}
	else if (IsA(tree, CopyStmt))
	{
		CopyStmt   *copy = (CopyStmt *) tree;

		if (copy->is_from && copy->filename == NULL && !copy->is_program)
			expected = DBM_STATEMENT_COPY_DATA;
	}
	if (kind != expected)
		differ(cmp, "statement %d is of kind %d, the scanner says %d",
			   number + 1, (int) expected, (int) kind);
}

/*
 * Comments and empty lines before statements change nothing, nor does CR LF
 * instead of LF.
 */
static void
compare_variants(Comparison *cmp)
{
	const DbmScript *script = cmp->script;
	StringInfoData variant;
	int			done = 0;

	initStringInfo(&variant);
	for (int i = 0; i < script->nstatements; i++)
	{
		if (script->statements[i].kind == DBM_STATEMENT_COPY_DATA)
			break;				/* another may begin on the same line */
		appendBinaryStringInfo(&variant, cmp->scanned + done, script->statements[i].start - done);
		done = script->statements[i].start;
		appendStringInfoString(&variant, "/* it's /* nested; */ $$ */\n\n -- \"here\n");
	}
	appendStringInfoString(&variant, cmp->scanned + done);
	expect_same(cmp, "with comments", &variant);

	if (strchr(cmp->scanned, '\r') != NULL)
		return;
	resetStringInfo(&variant);
	for (int i = 0; i < cmp->len; i++)
	{
		if (cmp->scanned[i] == '\n')
			appendStringInfoChar(&variant, '\r');
		appendStringInfoChar(&variant, cmp->scanned[i]);
	}
	expect_same(cmp, "with CR LF", &variant);
}

static void
expect_same(Comparison *cmp, const char *what, StringInfo variant)
{
	DbmScript  *other = dbm_script_scan(pstrdup(variant->data), variant->len, true);

	if (other->nstatements != cmp->script->nstatements)
		differ(cmp, "%s: %d statements, not %d", what, other->nstatements,
			   cmp->script->nstatements);
	else if (memcmp(other->checksum, cmp->script->checksum, sizeof(other->checksum)) != 0)
		differ(cmp, "%s: another checksum", what);
	dbm_script_free(other);
}

static bool
is_skipped(const Comparison *cmp, int start)
{
	for (int i = 0; i < cmp->nskipped; i++)
	{
		if (cmp->skipped[i] == start)
			return true;
	}
	return false;
}

/* Where the first token begins, -1 if there is none. */
static int
first_token(const char *text, int from, int to)
{
	static uint16 *tokens = NULL;
	core_yy_extra_type extra;
	core_yyscan_t scanner;
	core_YYSTYPE value;
	YYLTYPE		location;
	int			token;

	if (tokens == NULL)
	{
		tokens = MemoryContextAlloc(TopMemoryContext, ScanKeywords.num_keywords * sizeof(uint16));
		for (int i = 0; i < ScanKeywords.num_keywords; i++)
			tokens[i] = 1000;
	}
	scanner = scanner_init(pnstrdup(text + from, to - from), &extra, &ScanKeywords, tokens);
	token = core_yylex(&value, &location, scanner);
	scanner_finish(scanner);
	return token == 0 ? -1 : from + location;
}

/* NIL, *error and *cursorpos if the text does not parse. */
static List *
parse(const char *text, char **error, int *cursorpos)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback *callbacks = error_context_stack;
	List	   *volatile trees = NIL;

	*error = NULL;
	error_context_stack = NULL; /* a caller's SPI would take the position away */
	PG_TRY();
	{
		trees = raw_parser(text, RAW_PARSE_DEFAULT);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		if (edata->sqlerrcode == ERRCODE_QUERY_CANCELED)
			PG_RE_THROW();
		FlushErrorState();
		*cursorpos = edata->cursorpos;
		*error = psprintf("%s at character %d", edata->message, edata->cursorpos);
	}
	PG_END_TRY();
	error_context_stack = callbacks;
	return trees;
}

/* Line feeds stay, for the sake of line numbers and of the -- comments. */
static void
blank(char *text, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		if (text[i] != '\n')
			text[i] = ' ';
	}
}

static int
end_of_line(const Comparison *cmp, int from)
{
	const char *found = strchr(cmp->whole + from, '\n');

	return found ? found - cmp->whole : cmp->len;
}

static void
differ(Comparison *cmp, const char *fmt,...)
{
	va_list		args;
	char		line[512];

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	if (cmp->differences.len < 2000)
		appendStringInfo(&cmp->differences, "%s%s", cmp->differences.len > 0 ? "; " : "", line);
}

/*
 * SQL: corpus_mutate(script text, seed bigint) RETURNS text
 *
 * The same text for the same seed: cut off, with a piece taken out, doubled
 * or moved, and with things inserted that a scanner may stumble over.
 */
Datum
corpus_mutate(PG_FUNCTION_ARGS)
{
	static const char *const snippets[] = {
		"'", "\"", "$$", "$x$", "\\", "\n\\.\n", "\n\\restrict a\n", "\n\\unrestrict a\n",
		"/*", "*/", "--", "\r", "\r\n", "\n", ";", "(", ")", "[", "]", "E'\\'", "U&'\\0041'",
		"U&\"d\\0061t\" UESCAPE '!'", "x'1F'", "b'01'", "N'n'", "'a'\n'b'", "'a' -- c\n 'b'",
		"\nCOPY t FROM stdin;\n", "\nCOPY t (a) FROM STDIN WITH (FORMAT csv);\n1\n\\.\n",
		"; COPY t FROM stdout; SELECT 1;\n1\n\\.\n", "\nBEGIN;\n", "\nCOMMIT;\n", "\nEND;\n",
		"\nROLLBACK;\n", "\nSTART TRANSACTION;\n", " BEGIN ATOMIC ", " CASE WHEN ", " END ",
		";CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;",
		";CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2);",
		";PREPARE transaction AS SELECT 1;", ";PREPARE TRANSACTION 'a';", ";COMMIT PREPARED 'a';",
		"\xEF\xBB\xBF", "\xC3\xA9", "\xC2\xA0", "@-", "/", "-", "$1", "1e", "0x", ":=", "::", "\f", "\v",
		";SET standard_conforming_strings = off;", "/* /* */ */", "/*\n\\.\n*/", "'\n\\.\n'",
		"$$\n\\.\n$$", "'\n\\d\n'", "\n\\d t\n"
	};
	StringInfoData buf;
	uint64		state = PG_GETARG_INT64(1) * UINT64CONST(0x9E3779B97F4A7C15) + 1;
	int			rounds;

	initStringInfo(&buf);
	appendStringInfoString(&buf, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	rounds = 1 + next(&state, 4);
	for (int i = 0; i < rounds; i++)
	{
		char	   *text = pstrdup(buf.data);
		int			len = buf.len;
		int			from = next(&state, len + 1);
		int			to = from + next(&state, next(&state, 8) == 0 ? 2000 : 60);

		to = Min(to, len);
		while (from > 0 && ((unsigned char) text[from] & 0xC0) == 0x80)
			from--;
		while (to < len && ((unsigned char) text[to] & 0xC0) == 0x80)
			to++;

		resetStringInfo(&buf);
		appendBinaryStringInfo(&buf, text, from);
		switch (next(&state, 8))
		{
			case 0:				/* cut off the rest */
				break;
			case 1:				/* take out */
				appendStringInfoString(&buf, text + to);
				break;
			case 2:				/* double */
				appendBinaryStringInfo(&buf, text + from, to - from);
				appendStringInfoString(&buf, text + from);
				break;
			case 3:				/* move to the end */
				appendStringInfoString(&buf, text + to);
				appendBinaryStringInfo(&buf, text + from, to - from);
				break;
			default:			/* insert */
				appendStringInfoString(&buf, snippets[next(&state, lengthof(snippets))]);
				appendStringInfoString(&buf, text + from);
				break;
		}
		pfree(text);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(buf.data, buf.len));
}

/* A number below n. */
static int
next(uint64 *state, int n)
{
	*state = *state * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	return (*state >> 33) % (uint64) n;
}
