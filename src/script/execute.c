/*-------------------------------------------------------------------------
 *
 * execute.c
 *	  Run one script in the present transaction, with the caller's rights.
 *
 * Each script gets its own GUC nest level, which undoes SET, set_config(),
 * SET ROLE and SET SESSION AUTHORIZATION when it ends, well or badly.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/instrument.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "script/internal.h"

/* How much of a statement pg_stat_activity shows. */
#define MAX_ACTIVITY 200
#define MAX_LABEL 150

/* A stretch of code that is not ours, and what is told about it while it runs. */
typedef struct Section
{
	char	   *label;
	const char *search_path;	/* to set, or NULL */
	bool		restricted;		/* no SET ROLE */
	List	   *cursors;		/* the caller's, see leftover.c */
	DbmLeftover *leftover;
	bool		is_alone;		/* no other migration in this call */
	DbmScript  *script;			/* or NULL */
	DbmExecution *execution;
	int			current;		/* statement, from 0; -1 outside of statements */
	char	   *sql;			/* the current one, NUL-terminated */
} Section;

static void run_section(Section *section, void (*body) (Section *));
static void run_script(Section *section);
static void run_deferred_check(Section *section);
static void run_statements(Section *section);
static int64 run_statement(DbmScript *script, const DbmStatement *statement, const char *sql);
static int64 rows_written(const DbmStatement *statement, int result);
static void check_result(int result);
static void check_strings(void);
static void log_as_asked(const char *sql);
static void show_activity(const Section *section);
static void place_in_migration(void *arg);
static bool is_about_role(const ErrorData *edata);
static Datum names_of_schemas(List *oids);
static void check_user(Oid user, Oid session_user);

/*
 * Run a script.  Unqualified names go by "search_path" if that is not NULL.
 * If "restricted", SET ROLE and its relatives are refused, and nothing is
 * left behind that would run later without that restriction.  "cursors" are
 * the caller's; those that the script opens end with it.
 *
 * Needs SPI to be connected.  Errors are the server's own, with one line of
 * context.  On return the settings, the user and the security context are as
 * before; *execution says what was done.
 */
void
dbm_execute_script(DbmScript *script, const DbmLabel *label, const char *search_path,
				   bool restricted, List *cursors, DbmExecution *execution)
{
	Section		section = {.script = script, .label = dbm_label_text(label)};
	TimestampTz start = GetCurrentTimestamp();
	uint64		wal_start = pgWalUsage.wal_bytes;

	memset(execution, 0, sizeof(DbmExecution));
	section.execution = execution;
	section.search_path = search_path;
	section.restricted = restricted;
	section.cursors = cursors;
	section.is_alone = label->is_alone;
	run_section(&section, run_script);

	execution->statements = script->ncommands;
	execution->wal_bytes = pgWalUsage.wal_bytes - wal_start;
	execution->duration = GetCurrentTimestamp() - start;
}

/*
 * Check the deferred constraints that a script has left pending, with that
 * script's name in the context of an error.  Their triggers may be anybody's,
 * so that in a lowered session they are restricted in any case.
 */
void
dbm_execute_deferred_check(const DbmLabel *label, List *cursors)
{
	Section		section = {
		.label = psprintf("deferred constraints after %s", dbm_label_text(label)),
		.restricted = dbm_session_is_lowered(),
		.cursors = cursors
	};

	run_section(&section, run_deferred_check);
}

/*
 * Run code that is not ours between two walls: settings, user, security context,
 * activity and error context are afterwards as they were.
 */
static void
run_section(Section *section, void (*body) (Section *))
{
	MemoryContext context = CurrentMemoryContext;
	Oid			session_user = GetSessionUserId();
	ErrorContextCallback callback;
	DbmUser		caller;
	int			guc_level;

	GetUserIdAndSecContext(&caller.id, &caller.sec_context);
	section->current = -1;
	callback.callback = place_in_migration;
	callback.arg = section;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	guc_level = NewGUCNestLevel();

	dbm_script_running = true;
	PG_TRY();
	{
		if (section->search_path)
			dbm_pin("search_path", section->search_path);
		if (!dbm_strings_are_standard())
			dbm_pin("standard_conforming_strings", "on");
		if (section->restricted)
			SetUserIdAndSecContext(caller.id, caller.sec_context | SECURITY_LOCAL_USERID_CHANGE);
		section->leftover = dbm_leftover_begin(section->cursors, section->restricted);
		body(section);
		dbm_leftover_end(section->leftover,
						 section->execution && section->execution->may_have_events);
	}
	PG_CATCH();
	{
		ErrorData  *edata;

		MemoryContextSwitchTo(context);
		edata = CopyErrorData();
		FlushErrorState();
		dbm_script_running = false;
		dbm_leftover_abort();
		/* the message must not go out in a client_encoding the script has set */
		AtEOXact_GUC(false, guc_level);
		pgstat_report_activity(STATE_RUNNING, debug_query_string);
		if (section->restricted && is_about_role(edata))
			edata->hint = psprintf("The session began as \"%s\".  Log in as \"%s\" instead of SET ROLE; or a role that could become \"%s\" vouches for the script with migrate.approve(version, may_set_role => true).",
								   GetUserNameFromId(dbm_stronger_user(), true),
								   GetUserNameFromId(caller.id, true),
								   GetUserNameFromId(dbm_stronger_user(), true));
		dbm_rethrow_shortened(edata, section->sql ? section->sql : "", section->is_alone);
	}
	PG_END_TRY();
	dbm_script_running = false;

	AtEOXact_GUC(false, guc_level);
	SetUserIdAndSecContext(caller.id, caller.sec_context);
	check_user(caller.id, session_user);
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
}

static void
run_script(Section *section)
{
	List	   *path = fetch_search_path(true);

	dbm_temporary_refuse_strangers();
	dbm_refuse_shadows(path);
	section->execution->search_path = names_of_schemas(path);
	run_statements(section);
}

static void
run_deferred_check(Section *section)
{
	dbm_deferred_check();
}

/* One after the other, each in a memory context that is reset behind it. */
static void
run_statements(Section *section)
{
	DbmScript  *script = section->script;
	DbmExecution *execution = section->execution;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = 0; i < script->nstatements; i++)
	{
		const DbmStatement *statement = &script->statements[i];
		char	   *end = script->text + statement->start + statement->len;
		char		saved = *end;

		if (statement->kind == DBM_STATEMENT_BEGIN || statement->kind == DBM_STATEMENT_COMMIT)
			continue;

		CHECK_FOR_INTERRUPTS();
		section->current = i;
		section->sql = script->text + statement->start;
		*end = '\0';
		show_activity(section);
		check_strings();
		log_as_asked(section->sql);
		dbm_leftover_expect(section->leftover, section->sql);
		execution->rows += run_statement(script, statement, section->sql);
		MemoryContextSwitchTo(context); /* SPI leaves its own */
		dbm_leftover_take(section->leftover);
		*end = saved;
		section->sql = NULL;
		execution->may_have_events |= statement->may_queue_events;
		MemoryContextReset(context);
	}
	section->current = -1;

	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* Returns the number of rows written. */
static int64
run_statement(DbmScript *script, const DbmStatement *statement, const char *sql)
{
	SPIExecuteOptions options = {.dest = None_Receiver};
	int			result;

	if (statement->kind == DBM_STATEMENT_COPY_DATA)
		return dbm_run_copy(sql, script->text + statement->data_start, statement->data_len);

	result = SPI_execute_extended(sql, &options);
	check_result(result);
	SPI_freetuptable(SPI_tuptable);
	return rows_written(statement, result);
}

static int64
rows_written(const DbmStatement *statement, int result)
{
	switch (result)
	{
		case SPI_OK_SELECT:
			return 0;
		case SPI_OK_UTILITY:
			/* CREATE TABLE AS, but not a SELECT whose result is discarded */
			return statement->may_queue_events ? 0 : SPI_processed;
		default:
			return SPI_processed;
	}
}

/* A negative result is a failure that SPI has not raised. */
static void
check_result(int result)
{
	if (result == SPI_ERROR_TRANSACTION)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("transaction control statements are not allowed in a migration")));
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("statement cannot be run in a migration"),
				 errdetail_internal("%s", SPI_result_code_string(result))));
}

/* The statement boundaries hold for standard strings only. */
static void
check_strings(void)
{
	if (!dbm_strings_are_standard())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a migration must not switch standard_conforming_strings off")));
}

/* log_statement knows only what the client sent; do the same for scripts. */
static void
log_as_asked(const char *sql)
{
	if (log_statement == LOGSTMT_NONE)
		return;
	if (log_statement != LOGSTMT_ALL)
	{
		List	   *trees = raw_parser(sql, RAW_PARSE_DEFAULT);

		if (trees == NIL || GetCommandLogLevel(linitial(trees)) > log_statement)
			return;
	}
	ereport(LOG,
			(errmsg("statement: %s", sql),
			 errhidestmt(true),
			 errhidecontext(true)));
}

/* migration 003 "add_orders" (up), statement 2 of 5: CREATE TABLE ... */
static void
show_activity(const Section *section)
{
	char		text[MAX_ACTIVITY * 2];
	int			label_len;
	int			sql_len;

	if (!pgstat_track_activities)
		return;

	/*
	 * never amid a character: other sessions could not read their
	 * pg_stat_activity
	 */
	label_len = pg_mbcliplen(section->label, strlen(section->label), MAX_LABEL);
	sql_len = strnlen(section->sql, MAX_ACTIVITY);
	sql_len = pg_mbcliplen(section->sql, sql_len, MAX_ACTIVITY - 1);
	snprintf(text, sizeof(text), "%.*s, statement %d of %d: %.*s", label_len, section->label,
			 section->current + 1, section->script->nstatements, sql_len, section->sql);
	pgstat_report_activity(STATE_RUNNING, text);
}

static void
place_in_migration(void *arg)
{
	Section    *section = arg;
	int			position = geterrposition();

	if (section->current < 0)
	{
		errcontext("%s", section->label);
		return;
	}

	/* what SPI did not see, such as an error in a COPY statement */
	if (position > 0 && section->sql)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(section->sql);
	}
	errcontext("%s, statement %d at line %d", section->label, section->current + 1,
			   section->script->statements[section->current].line);
}

/*
 * Has the server refused SET ROLE or a relative of it?  The message may be in
 * any language, but it names the parameter.
 */
static bool
is_about_role(const ErrorData *edata)
{
	return edata->sqlerrcode == ERRCODE_INSUFFICIENT_PRIVILEGE && edata->message &&
		edata->filename && strcmp(edata->filename, "guc.c") == 0 &&
		(strstr(edata->message, "\"role\"") || strstr(edata->message, "\"session_authorization\""));
}

/* As text[], in the current memory context. */
static Datum
names_of_schemas(List *oids)
{
	Datum	   *names = palloc(Max(list_length(oids), 1) * sizeof(Datum));
	int			nnames = 0;
	ListCell   *lc;

	foreach(lc, oids)
	{
		char	   *name = get_namespace_name(lfirst_oid(lc));

		if (name)
			names[nnames++] = CStringGetTextDatum(name);
	}
	return PointerGetDatum(construct_array(names, nnames, TEXTOID, -1, false, TYPALIGN_INT));
}

/* The role must still be there to be recorded; a script can drop it. */
static void
check_user(Oid user, Oid session_user)
{
	if (GetSessionUserId() != session_user ||
		!SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(user)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the migration dropped or replaced the role that runs it")));
}
