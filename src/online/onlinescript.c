/*-------------------------------------------------------------------------
 *
 * onlinescript.c
 *	  A migration whose statements commit, one after the other.
 *
 * What commits amid its work is announced, run as the client's own statement,
 * looked at, and noted as done.  What does not is one transaction with the note
 * that it is done; BEGIN ... COMMIT of a script is one of those.  So each
 * statement is done once, whatever ends the run, and where nobody can know the
 * catalogs decide, see resume.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/index.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/guc.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "online/online.h"

/* One such migration. */
typedef struct Online
{
	DbmRun	   *run;
	const DbmMigration *migration;
	DbmLabel	label;
	DbmScript  *script;
	DbmExecuteOptions options;	/* of its ordinary statements */
	DbmExecution *execution;	/* of all of it */
	DbmHalfway *halfway;		/* where another run has stopped, or NULL */
	int			finished;		/* statements, as far as it is noted */
	bool		is_undone;		/* the one that failed has left nothing */
} Online;

static void go(Online *online);
static void add_hint(const Online *online, ErrorData *error);
static void begin(Online *online);
static void check_finished_part(const Online *online);
static void set_session(Online *online);
static void replay_settings(Online *online, int end);
static bool is_plain_set(const Online *online, int number);
static bool may_commit_inside(const Online *online, const DbmStatement *statement);
static int	settle(Online *online);
static void raise_undecided(const Online *online, int number);
static void drop_leftovers(Online *online, List *indexes);
static void run_text(Online *online, const char *sql);
static int	end_of_group(const Online *online, int first);
static void run_group(Online *online, int first, int end);
static void run_alone(Online *online, int number);
static void note_finished(Online *online, int end);
static void finish(Online *online);
static Node *parse_statement(const Online *online, int number);

/*
 * Run and record it; in a transaction without anything in it, and there is one
 * afterwards.  NULL, or the error, which is recorded.
 */
ErrorData *
dbm_online_run(DbmRun *run, const DbmMigration *migration, bool is_up, DbmExecution *execution)
{
	Online		online = {
		.run = run,
		.migration = migration,
		.label = {DBM_MIGRATION_REF(migration), migration->name, is_up, run->is_alone},
		.execution = execution
	};
	MemoryContext caller = CurrentMemoryContext;
	List	   *settings = dbm_settings_save();
	ErrorData  *volatile error = NULL;

	memset(execution, 0, sizeof(DbmExecution));
	PG_TRY();
	{
		go(&online);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		AbortCurrentTransaction();
		dbm_transaction_start();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	dbm_settings_restore(settings);
	dbm_transaction_next();
	if (error)
	{
		if (dbm_online_lock_again(run, true))
		{
			dbm_online_open(run);
			if (dbm_halfway_find(&run->ext, migration->id))
				dbm_halfway_failed(&run->ext, migration->id, error, online.is_undone);
			dbm_online_close();
		}
		dbm_online_record_failure(run, migration, "failed", NULL, error, execution);
		add_hint(&online, error);
	}
	else
		finish(&online);
	dbm_lock_release(&run->ext, DBM_LOCK_ONLINE);
	return error;
}

/* Part of it may be done, and stays. */
static void
add_hint(const Online *online, ErrorData *error)
{
	if (error->hint || online->script == NULL || (online->finished == 0 && online->is_undone))
		return;
	error->hint = psprintf(ngettext("%d of its %d statement is done and stays; mend the cause, and call it again: it goes on there.",
									"%d of its %d statements are done and stay; mend the cause, and call it again: it goes on there.",
									(unsigned long) online->script->nstatements),
						   online->finished, online->script->nstatements);
}

/* All statements that are not done yet. */
static void
go(Online *online)
{
	TimestampTz start = GetCurrentTimestamp();
	int			next;

	begin(online);
	set_session(online);
	next = online->halfway ? online->halfway->finished : 0;
	online->finished = next;
	replay_settings(online, next);
	if (online->halfway && online->halfway->started > 0)
		next = settle(online);
	while (next < online->script->nstatements)
	{
		const DbmStatement *statement = &online->script->statements[next];
		int			end = end_of_group(online, next);

		CHECK_FOR_INTERRUPTS();
		if (may_commit_inside(online, statement))
			run_alone(online, next);
		else
			run_group(online, next, end);
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
may_commit_inside(const Online *online, const DbmStatement *statement)
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
begin(Online *online)
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
check_finished_part(const Online *online)
{
	const DbmHalfway *halfway = online->halfway;
	const char *ref = dbm_migration_literal(online->migration);

	if (halfway->is_up != online->label.is_up)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is half %s", online->label.version,
						halfway->is_up ? "applied" : "rolled back"),
				 errhint("Go on with that: CALL migrate.%s(); or forget how far it has come: SELECT migrate.abandon(%s, 'the reason'%s);",
						 halfway->is_up ? "run" : "run_rollback", ref,
						 dbm_target_argument(&online->run->ext, false))));
	if (halfway->finished > online->script->nstatements ||
		(halfway->finished > 0 &&
		 !datumIsEqual(halfway->finished_sha256, dbm_online_text_sha256(online->script, halfway->finished), false, -1)))
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
set_session(Online *online)
{
	if (online->run->search_path)
		(void) set_config_option("search_path", online->run->search_path, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
	if (!dbm_strings_are_standard())
		(void) set_config_option("standard_conforming_strings", "on", PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SET, true, 0, false);
	dbm_transaction_next();
}

/* The SETs of the part that is done hold for the rest. */
static void
replay_settings(Online *online, int end)
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
is_plain_set(const Online *online, int number)
{
	const DbmStatement *statement = &online->script->statements[number];
	Node	   *tree;

	if (statement->kind != DBM_STATEMENT_SQL ||
		(statement->tag != CMDTAG_SET && statement->tag != CMDTAG_RESET))
		return false;
	tree = parse_statement(online, number);
	return IsA(tree, VariableSetStmt) && !((VariableSetStmt *) tree)->is_local &&
		((VariableSetStmt *) tree)->kind != VAR_SET_MULTI;
}

/* Decide about the statement that was begun; returns where to go on. */
static int
settle(Online *online)
{
	int			number = online->halfway->started - 1;
	Node	   *tree;
	List	   *leftovers;
	DbmDecision decision;

	if (number >= online->script->nstatements)
		raise_undecided(online, online->script->nstatements - 1);
	tree = parse_statement(online, number);
	dbm_online_open(online->run);
	decision = dbm_resume_decide(tree, online->halfway->indexes, &leftovers);
	dbm_online_close();
	switch (decision)
	{
		case DBM_DECIDED_FINALIZE:
			run_text(online, psprintf("%s FINALIZE", dbm_resume_detach(tree)));
			note_finished(online, number + 1);
			return number + 1;
		case DBM_DECIDED_DONE:
			note_finished(online, number + 1);
			return number + 1;
		case DBM_DECIDED_AGAIN:
			drop_leftovers(online, leftovers);
			return number;
		case DBM_UNDECIDED:
			break;
	}
	raise_undecided(online, number);
	return number;
}

static void
raise_undecided(const Online *online, int number)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("statement %d of %s was interrupted, and the catalogs do not tell whether it was done",
					number + 1, dbm_label_text(&online->label)),
			 errdetail("It is at line %d of the script.", online->script->statements[number].line),
			 errhint("Look, and say it: SELECT migrate.resume(%s, statement_was_done => true, reason => 'what was seen'%s); or false",
					 dbm_migration_literal(online->migration),
					 dbm_target_argument(&online->run->ext, false))));
}

/*
 * Indexes that were not finished.  Somebody's build that is still at work holds
 * a lock on the table; it is none of ours, and is not touched.
 */
static void
drop_leftovers(Online *online, List *indexes)
{
	for (int i = 0; i < list_length(indexes); i++)
	{
		Oid			index = list_nth_oid(indexes, i);
		Oid			table = IndexGetRelation(index, true);
		char	   *ref = dbm_relation_ref(index);

		if (!OidIsValid(table))
			continue;
		if (!ConditionalLockRelationOid(table, ShareUpdateExclusiveLock))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("index %s is not valid, and another session is at work on its table", ref),
					 errhint("Try again when it has ended: CALL migrate.run();")));
		dbm_transaction_next();
		if (dbm_index_is_valid(index))
			continue;
		if (dbm_progress)
			ereport(NOTICE,
					(errmsg("dropping index %s, which was not finished", ref),
					 errhidecontext(true)));
		run_text(online, psprintf("DROP INDEX CONCURRENTLY %s", ref));
	}
}

/* A statement of ours, as the caller. */
static void
run_text(Online *online, const char *sql)
{
	DbmScript  *script = dbm_script_scan(pstrdup(sql), strlen(sql), false);
	bool		has_committed;
	ErrorData  *error = dbm_execute_top_level(script, &online->label, 0, online->options.restricted,
											  &has_committed);

	if (error)
		ReThrowError(error);
}

/* The statement behind this one, or behind the COMMIT of a group. */
static int
end_of_group(const Online *online, int first)
{
	int			end = first;

	if (online->script->statements[first].kind == DBM_STATEMENT_BEGIN)
		while (online->script->statements[end].kind != DBM_STATEMENT_COMMIT)
			end++;
	return end + 1;
}

/*
 * Statements that are one transaction, with the note that they are done.  The
 * subtransaction keeps the locks of the run if they fail.
 */
static void
run_group(Online *online, int first, int end)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner;
	DbmExecution part;
	ErrorData  *volatile error = NULL;

	dbm_online_open(online->run);
	owner = CurrentResourceOwner;
	online->options.first = first;
	online->options.end = end;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		dbm_execute_script(online->script, &online->label, &online->options, &part);
		if (part.may_have_events)
			dbm_execute_deferred_check(&online->label, online->run->cursors);
		note_finished(online, end);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		online->execution->failed_statement = part.failed_statement;
		online->execution->failed_line = part.failed_line;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	dbm_online_close();
	if (error)
		ReThrowError(error);
	online->execution->statements += part.statements;
	online->execution->rows += part.rows;
	online->execution->wal_bytes += part.wal_bytes;
}

/* One that commits amid its work. */
static void
run_alone(Online *online, int number)
{
	DbmRun	   *run = online->run;
	Node	   *tree = parse_statement(online, number);
	DbmTrouble *trouble;
	ErrorData  *error;
	bool		has_committed;
	Datum		indexes;

	dbm_online_open(run);
	indexes = dbm_indexes_names(dbm_indexes_table(tree));
	dbm_halfway_started(&run->ext, online->migration->id, number + 1, indexes);
	dbm_online_close();

	error = dbm_execute_top_level(online->script, &online->label, number, online->options.restricted,
								  &has_committed);
	if (error)
	{
		online->is_undone = !has_committed;
		online->execution->failed_statement = number + 1;
		online->execution->failed_line = online->script->statements[number].line;
		ReThrowError(error);
	}

	dbm_online_open(run);
	trouble = dbm_resume_check(tree, indexes);
	if (trouble)
	{
		online->execution->failed_statement = number + 1;
		online->execution->failed_line = online->script->statements[number].line;
		dbm_trouble_throw(trouble);
	}
	note_finished(online, number + 1);
	dbm_online_close();
	online->execution->statements++;
}

/* In a transaction, which may have SPI connected or not. */
static void
note_finished(Online *online, int end)
{
	dbm_halfway_finished(&online->run->ext, online->migration->id, end,
						 dbm_online_text_sha256(online->script, end));
	online->finished = end;
}

/* Of the text up to the end of a statement (counted from 1), in UTF-8. */
Datum
dbm_online_text_sha256(const DbmScript *script, int end)
{
	const DbmStatement *last = &script->statements[end - 1];
	int			len = last->kind == DBM_STATEMENT_COPY_DATA ? last->data_start + last->data_len :
		last->start + last->len;

	return dbm_checksum_text(PointerGetDatum(cstring_to_text_with_len(script->text, len)));
}

/* It is in force, or undone. */
static void
finish(Online *online)
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

static Node *
parse_statement(const Online *online, int number)
{
	const DbmStatement *statement = &online->script->statements[number];
	char	   *sql = pnstrdup(online->script->text + statement->start, statement->len);

	return linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT))->stmt;
}
