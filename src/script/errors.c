/*-------------------------------------------------------------------------
 *
 * errors.c
 *	  How an error in a script reaches the user.
 *
 * The error stays the server's own; we say where in which migration it
 * happened, keep a statement of many megabytes out of the message, and tell
 * what to type when the trouble is that all runs in one transaction, or whose
 * rights were not enough.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "script/internal.h"

/* A longer statement is cut down to a window of this many bytes. */
#define MAX_QUOTED_STATEMENT 1000

static char *excerpt(const char *text, int len, int at, int *position);
static char *replace_all(const char *in, const char *what, const char *by);
static const char *one_transaction_hint(int sqlerrcode, bool is_alone);
static char *rights_hint(void);

/* migration 003 "add_orders" (up) */
char *
dbm_label_text(const DbmLabel *label)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "migration");
	if (label->version)
		appendStringInfo(&buf, " %s", label->version);
	/* an id holds the name */
	if (label->name[0] && !(label->version && dbm_version_is_id(label->version)))
		appendStringInfo(&buf, " \"%s\"", label->name);
	appendStringInfoString(&buf, label->is_up ? " (up)" : " (down)");
	return buf.data;
}

/*
 * Raise what is wrong with a script as an error, with its place.  "detail",
 * if not NULL, is used where the trouble has none of its own.
 */
void
dbm_script_throw(const DbmScript *script, const DbmTrouble *trouble,
				 const DbmLabel *label, const char *detail)
{
	int			position;
	char	   *query = excerpt(script->text + trouble->start, trouble->len,
								trouble->position - trouble->start, &position);

	char	   *place = trouble->statement > 0 ?
		psprintf("statement %d at line %d", trouble->statement, trouble->line) :
		psprintf("line %d", trouble->line);

	if (trouble->detail)
		detail = trouble->detail;
	ereport(ERROR,
			(errcode(trouble->sqlerrcode),
			 errmsg_internal("%s", trouble->message),
			 detail ? errdetail_internal("%s", detail) : 0,
			 trouble->hint ? errhint("%s", trouble->hint) : 0,
			 internalerrquery(query),
			 internalerrposition(position),
			 errcontext("%s, %s", dbm_label_text(label), place)));
}

/* A restricted script wanted what only one that runs as its own user may have. */
char *
dbm_role_hint(Oid user)
{
	const char *name = GetUserNameFromId(user, true);
	const char *stronger = GetUserNameFromId(dbm_stronger_user(), true);

	return psprintf("The session began as \"%s\".  Log in as \"%s\" instead of SET ROLE; or a role that could become \"%s\" vouches for the script with migrate.approve(version, may_set_role => true).",
					stronger, name, stronger);
}

/*
 * Rethrow an error that "statement" raised.  SPI quotes the statement in the
 * context and as internal query; no context callback of ours could shorten
 * that, since SPI's own runs first.  "is_alone": the call runs one script.
 */
void
dbm_rethrow_shortened(ErrorData *edata, const char *statement, bool is_alone)
{
	const char *hint = one_transaction_hint(edata->sqlerrcode, is_alone);

	if (edata->context && strlen(statement) > MAX_QUOTED_STATEMENT)
	{
		int			unused;

		edata->context = replace_all(edata->context, statement,
									 excerpt(statement, strlen(statement), 0, &unused));
	}
	if (edata->internalquery && strlen(edata->internalquery) > MAX_QUOTED_STATEMENT)
	{
		const char *at = edata->internalquery;

		for (int i = 1; i < edata->internalpos && *at; i++)
			at += pg_mblen(at);
		edata->internalquery = excerpt(edata->internalquery, strlen(edata->internalquery),
									   at - edata->internalquery, &edata->internalpos);
	}
	/* a refusal of ours, or of the script's author, says more */
	if (edata->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && !edata->hint && !edata->detail)
		hint = rights_hint();
	if (hint)
		edata->hint = edata->hint ? psprintf("%s  %s", edata->hint, hint) : pstrdup(hint);
	ReThrowError(edata);
}

/*
 * A readable part of a text around byte "at"; *position is the place of that
 * byte in the result, in characters from 1.  Short texts come back whole.
 */
static char *
excerpt(const char *text, int len, int at, int *position)
{
	StringInfoData buf;
	int			from = 0;
	int			to = len;

	at = Max(0, Min(at, len));
	if (len > MAX_QUOTED_STATEMENT)
	{
		from = pg_mbcliplen(text, len, Max(0, at - MAX_QUOTED_STATEMENT / 2));
		to = from + pg_mbcliplen(text + from, len - from, MAX_QUOTED_STATEMENT);
	}
	initStringInfo(&buf);
	if (from > 0)
		appendStringInfoString(&buf, "... ");
	*position = pg_mbstrlen_with_len(buf.data, buf.len) +
		pg_mbstrlen_with_len(text + from, at - from) + 1;
	appendBinaryStringInfo(&buf, text + from, to - from);
	if (to < len)
		appendStringInfoString(&buf, " ...");
	return buf.data;
}

static char *
replace_all(const char *in, const char *what, const char *by)
{
	StringInfoData buf;
	const char *found;

	initStringInfo(&buf);
	while ((found = strstr(in, what)) != NULL)
	{
		appendBinaryStringInfo(&buf, in, found - in);
		appendStringInfoString(&buf, by);
		in = found + strlen(what);
	}
	appendStringInfoString(&buf, in);
	return buf.data;
}

/*
 * As whom the statement ran, in a SECURITY DEFINER function its owner, and what
 * that role lacks.  The message names the object, in the server's language.
 */
static char *
rights_hint(void)
{
	char	   *user = GetUserNameFromId(GetUserId(), true);

	if (user == NULL)
		return NULL;
	return psprintf("It ran as \"%s\".  If a right is missing, the owner of the object grants it: GRANT ... TO %s; if it must be the owner, apply as the one who is: SET ROLE ...; before the call.",
					user, quote_identifier(user));
}

/* What to type when the statement cannot be had in the caller's transaction. */
static const char *
one_transaction_hint(int sqlerrcode, bool is_alone)
{
	switch (sqlerrcode)
	{
		case ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE:
			if (is_alone)
				return "Make it two migrations: add the value in the first, use it in the second, and commit between them.";
			return "All migrations of one call share a transaction.  "
				"If an earlier migration adds the value: CALL migrate.run(); if this one does, make it two.";
		case ERRCODE_OUT_OF_MEMORY:
			if (is_alone)
				return "A migration is one transaction: make several of it, each with its own.";
			return "All migrations of one call share a transaction.  To give each its own: CALL migrate.run();";
		case ERRCODE_OBJECT_IN_USE:
			return "A query, a cursor or deferred trigger events of the calling transaction use it.  "
				"Call SELECT * FROM migrate.apply() as a statement of its own, outside a transaction block; or: CALL migrate.run();";
		case ERRCODE_ACTIVE_SQL_TRANSACTION:
		case ERRCODE_INVALID_TRANSACTION_TERMINATION:
			return "This cannot run inside a transaction.  "
				"Register the migration as online, with migrate.add(..., online => true), and: CALL migrate.run();";
		default:
			return NULL;
	}
}
