/*-------------------------------------------------------------------------
 *
 * onlinescript.c
 *	  A migration whose statements commit, one after the other.
 *
 * What commits amid its work is announced, run as the client's own statement,
 * looked at, and noted as done.  What does not is one transaction with the note
 * that it is done; BEGIN ... COMMIT of a script is one of those.  So each
 * statement is done once, whatever ends the run, and where nobody can know the
 * catalogs decide, see outcome.c.  Code, that is CALL and DO, is in between: its
 * last transaction is one with the note.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "online/online.h"

/* Statements that are one transaction. */
typedef struct StatementGroup
{
	DbmOnline  *online;
	int			end;
	DbmExecution part;
} StatementGroup;

static void go(DbmOnline *online);
static void add_hint(const DbmOnline *online, ErrorData *error);
static void begin(DbmOnline *online);
static void check_finished_part(const DbmOnline *online);
static void set_session(DbmOnline *online);
static void replay_settings(DbmOnline *online, int end);
static bool is_plain_set(const DbmOnline *online, int number);
static bool may_commit_inside(const DbmOnline *online, const DbmStatement *statement);
static int	end_of_group(const DbmOnline *online, int first);
static bool run_group(DbmOnline *online, int first, int end);
static void execute_group(void *arg);
static bool wants_no_transaction(const ErrorData *error);
static void run_alone(DbmOnline *online, int number);
static void note_done(DbmOnline *online, int number, Node *tree, Datum indexes);
static void note_code_done(void *arg);
static void finish(DbmOnline *online);

/*
 * Run and record it; in a transaction without anything in it, and there is one
 * afterwards.  NULL, or the error, which is recorded.
 */
ErrorData *
dbm_online_run(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution)
{
	DbmOnline	online = {
		.run = run,
		.migration = migration,
		.label = {DBM_MIGRATION_REF(migration), migration->name, is_up, run->is_alone},
		.execution = execution
	};
	MemoryContext caller = online.context = CurrentMemoryContext;
	List	   *settings = dbm_settings_save();
	ErrorData  *volatile error = NULL;

	memset(execution, 0, sizeof(DbmExecution));
	dbm_blockers_watch();
	dbm_blockers_tell(dbm_progress);
	PG_TRY();
	{
		go(&online);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		dbm_transaction_abort();
		dbm_transaction_start();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	dbm_commit_note_end();
	dbm_blockers_tell(false);
	dbm_blockers_stop();
	dbm_settings_restore(settings);
	dbm_transaction_next();
	if (error)
	{
		DbmBlockers blockers;

		dbm_online_open(run);
		dbm_blockers_find(&blockers);
		dbm_online_close();
		if (dbm_online_lock_again(run, true))
		{
			dbm_online_open(run);
			/* what is only refused stays as it is known */
			if (online.is_at_work && (online.halfway = dbm_halfway_find(&run->ext, migration->id)) != NULL)
				dbm_halfway_failed(&run->ext, migration->id, error, online.nothing_done);
			dbm_online_close();
		}
		dbm_online_record_failure(run, migration, "failed", dbm_blockers_explain(&blockers, error), error, execution);
		add_hint(&online, error);
	}
	else
		finish(&online);
	dbm_lock_release(&run->ext, DBM_LOCK_ONLINE);
	return error;
}

/* Part of it may be done, and stays. */
static void
add_hint(const DbmOnline *online, ErrorData *error)
{
	if (error->hint || online->script == NULL || (online->finished == 0 && online->nothing_done))
		return;
	if (online->halfway && online->halfway->has_committed)
		error->hint = psprintf("Statement %d has committed a part of its work.  Look, mend the cause, and say whether it counts as done: %s or false",
							   online->halfway->started, dbm_online_resume(online));
	else
		error->hint = psprintf("Done and kept: %d of its %d statements; mend the cause, and call it again: it goes on there.",
							   online->finished, online->script->nstatements);
}

/* All statements that are not done yet. */
static void
go(DbmOnline *online)
{
	TimestampTz start = GetCurrentTimestamp();
	int			next;

	begin(online);
	set_session(online);
	next = online->halfway ? online->halfway->finished : 0;
	online->finished = next;
	replay_settings(online, next);
	if (online->halfway && online->halfway->started > 0)
		next = dbm_online_settle(online);
	online->is_at_work = true;
	while (next < online->script->nstatements)
	{
		const DbmStatement *statement = &online->script->statements[next];
		int			end = end_of_group(online, next);

		CHECK_FOR_INTERRUPTS();
		if (may_commit_inside(online, statement) || !run_group(online, next, end))
			run_alone(online, next);
		next = end;
	}
	online->execution->duration = GetCurrentTimestamp() - start;
}

/*
 * Can a statement not be part of a transaction?  Code and what depends on the
 * catalogs may commit, or may not: that is known when it has.  In a restricted
 * script code is kept in a transaction, where it cannot SET ROLE.
 */
static bool
may_commit_inside(const DbmOnline *online, const DbmStatement *statement)
{
	if (statement->kind != DBM_STATEMENT_SQL)
		return false;
	switch (statement->tag)
	{
		case CMDTAG_CALL:
		case CMDTAG_DO:
			return !online->options.restricted;
		case CMDTAG_REINDEX:
		case CMDTAG_CLUSTER:
		case CMDTAG_DROP_SUBSCRIPTION:
			return true;
		default:
			return statement->online;
	}
}

/* Read the script, and say that it is begun. */
static void
begin(DbmOnline *online)
{
	DbmRun	   *run = online->run;
	DbmTrust	trust;

	dbm_online_open(run);
	online->script = dbm_run_read_script(run, online->migration, &online->label, &trust);
	dbm_script_analyze(online->script);
	if (online->script->refused || online->script->unreadable)
		dbm_script_throw(online->script,
						 online->script->refused ? online->script->refused : online->script->unreadable,
						 &online->label, NULL);
	online->options.restricted = trust != DBM_TRUST_FULL;
	online->options.keeps_settings = true;
	online->options.cursors = run->cursors;
	online->halfway = dbm_halfway_find(&run->ext, online->migration->id);
	if (online->halfway)
		check_finished_part(online);
	if (!dbm_lock_take(&run->ext, DBM_LOCK_ONLINE))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("another session runs online migrations"),
				 errhint("Try again when it has ended.")));
	dbm_halfway_begin(&run->ext, online->migration->id, online->label.is_up,
					  online->script->nstatements, run->number);
	dbm_online_close();
}

/* Is what was done still the beginning of the script? */
static void
check_finished_part(const DbmOnline *online)
{
	const DbmHalfway *halfway = online->halfway;
	const char *ref = dbm_migration_literal(online->migration);

	if (halfway->is_up != online->label.is_up)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is half %s", online->label.version,
						halfway->is_up ? "applied" : "rolled back"),
				 errhint("Go on with that: CALL migrate.%s(%s); or forget how far it has come: SELECT migrate.abandon(%s, 'the reason'%s);",
						 halfway->is_up ? "run" : "run_rollback",
						 dbm_target_argument(&online->run->ext, true), ref,
						 dbm_target_argument(&online->run->ext, false))));
	if (halfway->finished > online->script->nstatements ||
		(halfway->finished > 0 &&
		 (!halfway->finished_sha256 ||
		  !datumIsEqual(halfway->finished_sha256, dbm_finished_sha256(online->script, halfway->finished), false, -1))))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the part of %s that is done already has changed", dbm_label_text(&online->label)),
				 errdetail_plural("%d statement is done.", "%d statements are done.",
								  halfway->finished, halfway->finished),
				 errhint("Register the text again as it was, up to there; or have all of it run again: SELECT migrate.abandon(%s, 'the reason'%s);",
						 ref, dbm_target_argument(&online->run->ext, false))));
}

/* A GUC nest level would end with the first commit: so these are the session's. */
static void
set_session(DbmOnline *online)
{
	if (online->run->search_path)
		(void) set_config_option("search_path", online->run->search_path, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
	if (!dbm_strings_are_standard())
		(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
	/* so that whom a statement waits for is told, see dbm_blockers_tell() */
	if (!log_lock_waits && dbm_progress)
		(void) set_config_option("log_lock_waits", "on", PGC_SUSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
	dbm_transaction_next();
}

/* The SETs of the part that is done hold for the rest. */
static void
replay_settings(DbmOnline *online, int end)
{
	for (int i = 0; i < end; i++)
		if (is_plain_set(online, i))
		{
			DbmExecution part;

			online->options.first = i;
			online->options.end = i + 1;
			dbm_online_open(online->run);
			dbm_execute_script(online->script, &online->label, &online->options, &part);
			dbm_online_close();
		}
}

static bool
is_plain_set(const DbmOnline *online, int number)
{
	const DbmStatement *statement = &online->script->statements[number];
	Node	   *tree;

	if (statement->kind != DBM_STATEMENT_SQL ||
		(statement->tag != CMDTAG_SET && statement->tag != CMDTAG_RESET))
		return false;
	tree = dbm_online_parse(dbm_online_statement(online, number));
	return IsA(tree, VariableSetStmt) && !((VariableSetStmt *) tree)->is_local &&
		((VariableSetStmt *) tree)->kind != VAR_SET_MULTI;
}

/* The statement behind this one, or behind the COMMIT of a group. */
static int
end_of_group(const DbmOnline *online, int first)
{
	int			end = first;

	if (online->script->statements[first].kind == DBM_STATEMENT_BEGIN)
		while (online->script->statements[end].kind != DBM_STATEMENT_COMMIT)
			end++;
	return end + 1;
}

/*
 * Statements that are one transaction, with the note that they are done.  The
 * subtransaction keeps the locks of the run if they fail.  False if it is a
 * single one that has to be run alone.
 */
static bool
run_group(DbmOnline *online, int first, int end)
{
	StatementGroup group = {.online = online, .end = end};
	ErrorData  *error;

	dbm_online_open(online->run);
	online->options.first = first;
	online->options.end = end;
	error = dbm_subtransaction(execute_group, &group);
	dbm_online_close();
	if (error && wants_no_transaction(error) &&
		online->script->statements[first].kind == DBM_STATEMENT_SQL)
	{
		if (!online->options.restricted)
			return false;
		error->hint = dbm_role_hint(GetUserId());
	}
	if (error)
	{
		online->execution->failed_statement = group.part.failed_statement;
		online->execution->failed_line = group.part.failed_line;
		ReThrowError(error);
	}
	online->execution->statements += group.part.statements;
	online->execution->rows += group.part.rows;
	online->execution->wal_bytes += group.part.wal_bytes;
	return true;
}

static void
execute_group(void *arg)
{
	StatementGroup *group = arg;
	DbmOnline  *online = group->online;

	dbm_execute_script(online->script, &online->label, &online->options, &group->part);
	if (group->part.may_have_events)
		dbm_execute_deferred_check(&online->label, online->run->cursors);
	dbm_online_finished(online, group->end);
}

/*
 * Some extensions (TimescaleDB) have statements and functions of their own that
 * are not for a transaction, which only they can tell.
 */
static bool
wants_no_transaction(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_ACTIVE_SQL_TRANSACTION ||
		error->sqlerrcode == ERRCODE_INVALID_TRANSACTION_TERMINATION;
}

/* One that commits amid its work. */
static void
run_alone(DbmOnline *online, int number)
{
	DbmRun	   *run = online->run;
	const char *text = dbm_online_statement(online, number);
	Node	   *tree = dbm_online_parse(text);
	bool		is_code = IsA(tree, CallStmt) || IsA(tree, DoStmt);
	int			finished = online->finished;
	Datum		sha256 = online->sha256;
	bool		has_committed;
	ErrorData  *error;
	Datum		indexes;

	dbm_online_open(run);
	indexes = dbm_indexes_names(dbm_indexes_tables(tree));
	dbm_halfway_started(&run->ext, online->migration->id, number + 1, text, indexes);
	dbm_online_close();

	if (is_code)
		dbm_commit_note_begin(&run->ext, online->migration->id);
	error = dbm_execute_top_level(online->script, &online->label, number, online->options.restricted,
								  is_code ? note_code_done : NULL, online, &has_committed);
	if (error)
	{
		/* at its commit, perhaps */
		online->finished = finished;
		online->sha256 = sha256;
		online->nothing_done = !has_committed;
		online->execution->failed_statement = number + 1;
		online->execution->failed_line = online->script->statements[number].line;
		ReThrowError(error);
	}
	if (!is_code)
		note_done(online, number, tree, indexes);
	online->execution->statements++;
}

/* If what it has left is in order.  "indexes" are those before. */
static void
note_done(DbmOnline *online, int number, Node *tree, Datum indexes)
{
	DbmTrouble *trouble;

	dbm_online_open(online->run);
	trouble = dbm_outcome_check(tree, indexes, dbm_online_go_on(online));
	if (trouble)
	{
		online->execution->failed_statement = number + 1;
		online->execution->failed_line = online->script->statements[number].line;
		dbm_trouble_throw(trouble);
	}
	dbm_online_finished(online, number + 1);
	dbm_online_close();
}

/* What code has left uncommitted is one transaction with the note that it is done. */
static void
note_code_done(void *arg)
{
	DbmOnline  *online = arg;
	MemoryContext caller = MemoryContextSwitchTo(online->context);

	dbm_commit_note_end();
	dbm_online_open(online->run);
	dbm_online_finished(online, online->finished + 1);
	dbm_extension_close();
	MemoryContextSwitchTo(caller);
}

/* It is in force, or undone. */
static void
finish(DbmOnline *online)
{
	DbmRun	   *run = online->run;
	DbmHistoryEntry entry = {
		.action = online->label.is_up ? "apply" : "rollback",
		.migration = online->migration,
		.run = run->number,
		.execution = online->execution,
		.baseline = online->migration->is_baseline
	};

	dbm_online_open(run);
	dbm_extension_check_alive(&run->ext, &online->label);
	if (online->label.is_up)
		dbm_applied_add(&run->ext, &entry);
	else
	{
		dbm_applied_remove(&run->ext, &entry);
		dbm_applied_to_repeat(&run->ext);
	}
	dbm_halfway_end(&run->ext, online->migration->id);
	dbm_lost_schema_record(&run->ext, run->number);
	dbm_online_close();
}

const char *
dbm_online_statement(const DbmOnline *online, int number)
{
	const DbmStatement *statement = &online->script->statements[number];

	return pnstrdup(online->script->text + statement->start, statement->len);
}

Node *
dbm_online_parse(const char *text)
{
	return linitial_node(RawStmt, raw_parser(text, RAW_PARSE_DEFAULT))->stmt;
}
