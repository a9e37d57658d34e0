/*-------------------------------------------------------------------------
 *
 * earlierrun.c
 *	  What an earlier run has left of an online migration, before it goes on.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"

#include "online/online.h"

#define MAX_STATEMENT 500		/* bytes of one that are shown */

static void raise_changed(const DbmOnline *online, int number);
static void raise_undecided(const DbmOnline *online, int number, const Node *tree, List *made);
static const char *clipped(const char *statement);
static void drop_leftovers(DbmOnline *online, const Node *tree, List *indexes);
static void run_text(DbmOnline *online, const char *sql);

/*
 * Decide about the statement that was begun; returns where to go on.  It may
 * have another text now: then it must not have been done.
 */
int
dbm_online_settle(DbmOnline *online)
{
	const DbmHalfway *halfway = online->halfway;
	int			number = halfway->started - 1;
	bool		is_there = number < online->script->nstatements;
	const char *text = halfway->statement;
	bool		has_changed;
	Node	   *tree;
	List	   *made;
	DbmDecision decision;

	if (text == NULL && !is_there)
		raise_undecided(online, number, NULL, NIL);
	if (text == NULL)
		text = dbm_online_statement(online, number);
	has_changed = !is_there || !dbm_statement_is_same(text, dbm_online_statement(online, number));
	tree = dbm_online_parse(text);
	dbm_online_open(online->run);
	decision = dbm_outcome_decide(tree, halfway->indexes, halfway->has_committed, &made);
	if (has_changed && (decision == DBM_DECIDED_FINALIZE || decision == DBM_DECIDED_DONE))
		raise_changed(online, number);
	dbm_online_close();
	switch (decision)
	{
		case DBM_UNDECIDED:
			raise_undecided(online, number, tree, made);
			break;
		case DBM_DECIDED_AGAIN:
			drop_leftovers(online, tree, made);
			return number;
		case DBM_DECIDED_FINALIZE:
			run_text(online, psprintf("%s FINALIZE", dbm_outcome_detach(tree)));
			break;
		case DBM_DECIDED_DROP:
			if (has_changed)
				return number;
			run_text(online, dbm_outcome_drop(tree, linitial_oid(made)));
			break;
		case DBM_DECIDED_DONE:
			break;
	}
	dbm_online_open(online->run);
	dbm_online_finished(online, number + 1);
	dbm_online_close();
	return number + 1;
}

static void
raise_changed(const DbmOnline *online, int number)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("statement %d of %s is done already and has changed", number + 1, dbm_label_text(&online->label)),
			 errdetail("It was: %s", clipped(online->halfway->statement)),
			 errhint("Register the text again as it was, up to there; or have all of it run again: SELECT migrate.abandon(%s, 'the reason'%s);",
					 dbm_migration_literal(online->migration),
					 dbm_target_argument(&online->run->ext, false))));
}

/* "made" are indexes that it may have made. */
static void
raise_undecided(const DbmOnline *online, int number, const Node *tree, List *made)
{
	StringInfoData detail;
	const char *resume = dbm_online_resume(online);
	const char *text = online->halfway->statement;

	if (text == NULL && number < online->script->nstatements)
		text = dbm_online_statement(online, number);
	initStringInfo(&detail);
	if (text)
		appendStringInfo(&detail, "It is: %s", clipped(text));
	for (int i = 0; i < list_length(made); i++)
		appendStringInfo(&detail, "\nThere is index %s now, which is %s.", dbm_relation_ref(list_nth_oid(made, i)),
						 dbm_index_is_valid(list_nth_oid(made, i)) ? "valid" : "not valid");
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("statement %d of %s was interrupted, and the catalogs do not tell whether it was done",
					number + 1, dbm_label_text(&online->label)),
			 detail.len ? errdetail_internal("%s", detail.data) : 0,
			 made ?
			 errhint("If it was done: %s if not: %s; %s", resume,
					 dbm_outcome_drop(tree, linitial_oid(made)), dbm_online_go_on(online)) :
			 errhint("Look, and say it: %s or false", resume)));
}

/* The call that says of the statement that was begun that it was done. */
const char *
dbm_online_resume(const DbmOnline *online)
{
	return psprintf("SELECT migrate.resume(%s, statement_was_done => true, reason => 'what was seen'%s);",
					dbm_migration_literal(online->migration),
					dbm_target_argument(&online->run->ext, false));
}

/* As much of a statement as a message can do with. */
static const char *
clipped(const char *statement)
{
	int			len = strlen(statement);

	if (len <= MAX_STATEMENT)
		return statement;
	return psprintf("%.*s ...", pg_mbcliplen(statement, len, MAX_STATEMENT), statement);
}

/* The call that goes on with it. */
const char *
dbm_online_go_on(const DbmOnline *online)
{
	return psprintf("CALL migrate.%s(%s);", online->label.is_up ? "run" : "run_rollback",
					dbm_target_argument(&online->run->ext, true));
}

/*
 * Indexes that were not finished.  Somebody's build that is still at work holds
 * a lock on the table; it is none of ours, and is not touched.  Autovacuum holds
 * the same lock, and gives way to who waits for it.
 */
static void
drop_leftovers(DbmOnline *online, const Node *tree, List *indexes)
{
	for (int i = 0; i < list_length(indexes); i++)
	{
		Oid			index = list_nth_oid(indexes, i);
		Oid			table = IndexGetRelation(index, true);
		char	   *ref = dbm_relation_ref(index);

		if (!OidIsValid(table))
			continue;
		if (dbm_autovacuum_is_alone(table))
			LockRelationOid(table, ShareUpdateExclusiveLock);
		else if (!ConditionalLockRelationOid(table, ShareUpdateExclusiveLock))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("index %s is not valid, and another session is at work on its table", ref),
					 errhint("Try again when it has ended: %s", dbm_online_go_on(online))));
		dbm_transaction_next();
		if (dbm_index_is_valid(index))
			continue;
		if (dbm_progress)
			ereport(NOTICE,
					(errmsg("dropping index %s, which was not finished", ref),
					 errhidecontext(true)));
		run_text(online, dbm_outcome_drop(tree, index));
	}
}

/* A statement of ours, as the caller. */
static void
run_text(DbmOnline *online, const char *sql)
{
	DbmScript  *script = dbm_script_scan(pstrdup(sql), strlen(sql), false);
	bool		has_committed;
	ErrorData  *error;

	online->is_at_work = true;
	error = dbm_execute_top_level(script, &online->label, 0, online->options.restricted,
								  NULL, NULL, &has_committed);
	if (error)
		ReThrowError(error);
}
