/*-------------------------------------------------------------------------
 *
 * frozen.c
 *	  What holds for a restricted script while a statement of it runs that
 *	  commits amid its work.
 *
 * No transaction may begin with a security context, so SET ROLE cannot be
 * refused by one.  And the statement can run code that its author has written:
 * the server executes index expressions as the owner of the table and
 * restricts them, but not what it needs to understand the statement, such as
 * the check of a domain that a literal is of.  So the parameters themselves
 * are made such that nobody can set them, and that code cannot have any
 * statement executed that could leave something in the session.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "script/internal.h"

static const char *const roles[] = {"session_authorization", "role"};

static bool is_frozen = false;

static void set_context(GucContext context);

void
dbm_frozen_begin(void)
{
	set_context(PGC_INTERNAL);
	is_frozen = true;
}

/* Also after an error. */
void
dbm_frozen_end(void)
{
	is_frozen = false;
	set_context(PGC_USERSET);
}

/* Whoever is allowed to set it, that is checked against their values. */
static void
set_context(GucContext context)
{
	for (int i = 0; i < lengthof(roles); i++)
	{
		struct config_generic *setting = dbm_find_setting(roles[i]);

		if (setting == NULL)
			elog(ERROR, "parameter \"%s\" is not known", roles[i]);
		setting->context = context;
	}
}

/*
 * Called for each utility statement.  Error 42501 for one that code in a frozen
 * statement executes, unless it is of the kind that event triggers need.
 */
void
dbm_frozen_check(ProcessUtilityContext context, Node *statement)
{
	if (!is_frozen || context == PROCESS_UTILITY_TOPLEVEL || context == PROCESS_UTILITY_SUBCOMMAND ||
		IsA(statement, NotifyStmt) || IsA(statement, VariableSetStmt))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("cannot execute %s in a statement that commits amid its work", CreateCommandName(statement)),
			 errdetail("What it leaves could be executed later with the rights of \"%s\".",
					   GetUserNameFromId(dbm_stronger_user(), true)),
			 errhint("%s", dbm_role_hint(GetUserId()))));
}

/* The server says of "role" that it cannot be changed; say why. */
void
dbm_frozen_explain(ErrorData *error)
{
	if (error->sqlerrcode != ERRCODE_CANT_CHANGE_RUNTIME_PARAM)
		return;
	for (int i = 0; i < lengthof(roles); i++)
		if (strstr(error->message, psprintf("\"%s\"", roles[i])))
		{
			error->sqlerrcode = ERRCODE_INSUFFICIENT_PRIVILEGE;
			error->message = psprintf("cannot set parameter \"%s\" in a restricted script", roles[i]);
			error->hint = dbm_role_hint(GetUserId());
		}
}
