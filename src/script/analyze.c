/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  What the server's parser says about each statement of a script.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "script/internal.h"

static void analyze_statement(DbmScript *script, int number, char *sql);
static void classify(DbmScript *script, int number, Node *tree);
static bool sets_role(Node *node, void *context);
static bool names_role(Node *argument);
static bool is_role(const char *setting);
static void cannot_parse(DbmScript *script, int number, const char *sql, MemoryContext context);

/*
 * Parse each statement, to learn what scanning alone cannot tell: whether
 * this server can parse it at all, whether it needs a transaction of its own,
 * and what no migration may do.  The first trouble of each sort is kept in
 * "unreadable" and "refused".
 */
void
dbm_script_analyze(DbmScript *script)
{
	int			guc_level = dbm_script_pin_settings();
	MemoryContext context = AllocSetContextCreate(script->context, "dbmigrate parse",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	if (script->unreadable)
		script->online = dbm_classify_online_words(script->text + script->unreadable->start);

	for (int i = 0; i < script->nstatements && script->refused == NULL; i++)
	{
		const DbmStatement *statement = &script->statements[i];
		char	   *sql = script->text + statement->start;
		char		saved = sql[statement->len];

		if (statement->kind == DBM_STATEMENT_BEGIN || statement->kind == DBM_STATEMENT_COMMIT)
			continue;
		CHECK_FOR_INTERRUPTS();
		sql[statement->len] = '\0';
		analyze_statement(script, i, sql);
		sql[statement->len] = saved;
		MemoryContextReset(context);
	}

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	AtEOXact_GUC(false, guc_level);
}

/* The parser holds nothing but memory, so no subtransaction is needed. */
static void
analyze_statement(DbmScript *script, int number, char *sql)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		List	   *trees;

		/* a callback of the caller's would move the position of an error */
		error_context_stack = NULL;
		trees = raw_parser(sql, RAW_PARSE_DEFAULT);

		if (list_length(trees) != 1)
			ereport(ERROR,
					(errcode(ERRCODE_SYNTAX_ERROR),
					 errmsg("could not find the end of the statement")));
		classify(script, number, linitial_node(RawStmt, trees)->stmt);
	}
	PG_CATCH();
	{
		cannot_parse(script, number, sql, context);
	}
	PG_END_TRY();
}

static void
classify(DbmScript *script, int number, Node *tree)
{
	DbmStatement *statement = &script->statements[number];
	int			sqlerrcode;
	const char *why = dbm_classify_refused(tree, &sqlerrcode);

	if (why)
	{
		script->refused = dbm_script_trouble(script, sqlerrcode, why, statement->start, statement->len);
		script->refused->statement = number + 1;
	}
	statement->tag = CreateCommandTag(tree);
	statement->online = dbm_classify_online(tree);
	script->online |= statement->online;
	if (sets_role(tree, NULL))
		script->sets_role = true;
}

/*
 * Does a statement say SET ROLE, RESET SESSION AUTHORIZATION or the like, or
 * call set_config() for that?  What functions do is seen when they do it.
 */
static bool
sets_role(Node *node, void *context)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_VariableSetStmt:
			return ((VariableSetStmt *) node)->name && is_role(((VariableSetStmt *) node)->name);
		case T_FuncCall:
			{
				FuncCall   *call = (FuncCall *) node;

				if (strcmp(strVal(llast(call->funcname)), "set_config") == 0 &&
					call->args && names_role(linitial(call->args)))
					return true;
				break;
			}
		case T_SelectStmt:
		case T_InsertStmt:
		case T_UpdateStmt:
		case T_DeleteStmt:
		case T_MergeStmt:
			break;
		default:

			/*
			 * the walker knows what is below these, and not utility
			 * statements
			 */
			if (context == NULL)
				return false;
	}
	return raw_expression_tree_walker(node, sets_role, node);
}

/* 'role', 'role'::text or setting_name => 'role' */
static bool
names_role(Node *argument)
{
	if (IsA(argument, NamedArgExpr))
		argument = (Node *) ((NamedArgExpr *) argument)->arg;
	while (IsA(argument, TypeCast))
		argument = ((TypeCast *) argument)->arg;
	return IsA(argument, A_Const) && IsA(&((A_Const *) argument)->val, String) &&
		is_role(strVal(&((A_Const *) argument)->val));
}

static bool
is_role(const char *setting)
{
	return pg_strcasecmp(setting, "role") == 0 || pg_strcasecmp(setting, "session_authorization") == 0;
}

/* Called with the parser's error pending; rethrows one that is none of it. */
static void
cannot_parse(DbmScript *script, int number, const char *sql, MemoryContext context)
{
	const DbmStatement *statement = &script->statements[number];
	ErrorData  *edata;

	MemoryContextSwitchTo(context);
	edata = CopyErrorData();
	if (!dbm_error_is_about_text(edata))
		PG_RE_THROW();
	FlushErrorState();

	if (script->unreadable == NULL)
		script->unreadable = dbm_script_trouble_from_error(script, edata, statement->start, number + 1,
														   statement->start, statement->len);
	script->statements[number].online = dbm_classify_online_words(sql);
	script->online |= script->statements[number].online;
}
