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

/* A stretch of code that is not ours, and what is told about it while it runs. */
typedef struct Section
{
	DbmPlace	place;
	const DbmExecuteOptions *options;
	bool		is_alone;		/* no other migration in this call */
	DbmLeftover *leftover;
	DbmExecution *execution;
} Section;

static void run_section(Section *section, void (*body) (Section *));
static void run_script(Section *section);
static void run_deferred_check(Section *section);
static void run_statements(Section *section);
static int64 run_statement(DbmScript *script, const DbmStatement *statement, const char *sql);
static int64 rows_written(const DbmStatement *statement, int result);
static void check_result(int result);
static bool is_about_role(const ErrorData *edata);
static Datum names_of_schemas(List *oids);
static void check_user(Oid user, Oid session_user);

/*
 * Run a script, or the part of it that "options" names.
 *
 * Needs SPI to be connected.  Errors are the server's own, with one line of
 * context; *execution then says where.  On return the settings (unless they are
 * to be kept), the user and the security context are as before, and *execution
 * says what was done.
 */
void
dbm_execute_script(DbmScript *script, const DbmLabel *label, const DbmExecuteOptions *options,
				   DbmExecution *execution)
{
	Section		section = {
		.place = {.label = dbm_label_text(label), .activity = dbm_activity_label(label), .script = script},
		.options = options,
		.is_alone = label->is_alone,
		.execution = execution
	};
	TimestampTz start = GetCurrentTimestamp();
	uint64		wal_start = pgWalUsage.wal_bytes;

	memset(execution, 0, sizeof(DbmExecution));
	run_section(&section, run_script);

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
	DbmExecuteOptions options = {.restricted = dbm_session_is_lowered(), .cursors = cursors};
	Section		section = {
		.place = {.label = psprintf("deferred constraints after %s", dbm_label_text(label))},
		.options = &options
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
	const DbmExecuteOptions *options = section->options;
	bool		keeps_role = options->keeps_settings && !options->restricted;
	DbmUser		caller;
	int			guc_level;

	GetUserIdAndSecContext(&caller.id, &caller.sec_context);
	dbm_place_enter(&section->place);
	guc_level = NewGUCNestLevel();

	dbm_script_running = true;
	PG_TRY();
	{
		if (options->search_path)
			dbm_pin("search_path", options->search_path);
		if (options->lock_timeout > 0)
			dbm_pin("lock_timeout", psprintf("%d", options->lock_timeout));
		if (!dbm_strings_are_standard())
			dbm_pin("standard_conforming_strings", "on");
		if (options->restricted)
			SetUserIdAndSecContext(caller.id, caller.sec_context | SECURITY_LOCAL_USERID_CHANGE);
		section->leftover = dbm_leftover_begin(options->cursors, options->restricted);
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
		if (options->restricted && is_about_role(edata))
			edata->hint = dbm_role_hint(caller.id);
		if (section->execution)
			dbm_place_tell(&section->place, &section->execution->failed_statement,
						   &section->execution->failed_line);
		dbm_rethrow_shortened(edata, section->place.sql ? section->place.sql : "", section->is_alone);
	}
	PG_END_TRY();
	dbm_script_running = false;

	AtEOXact_GUC(options->keeps_settings, guc_level);
	if (!keeps_role)
	{
		SetUserIdAndSecContext(caller.id, caller.sec_context);
		check_user(caller.id, session_user);
	}
	pgstat_report_activity(STATE_RUNNING, debug_query_string);
	dbm_place_leave(&section->place);
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
	DbmPlace   *place = &section->place;
	DbmScript  *script = place->script;
	DbmExecution *execution = section->execution;
	int			end = section->options->end > 0 ? section->options->end : script->nstatements;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate statement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	for (int i = section->options->first; i < end; i++)
	{
		const DbmStatement *statement = &script->statements[i];

		if (statement->kind == DBM_STATEMENT_BEGIN || statement->kind == DBM_STATEMENT_COMMIT)
			continue;

		CHECK_FOR_INTERRUPTS();
		dbm_place_statement(place, i);
		dbm_leftover_expect(section->leftover, place->sql);
		execution->rows += run_statement(script, statement, place->sql);
		execution->statements++;
		MemoryContextSwitchTo(context); /* SPI leaves its own */
		dbm_leftover_take(section->leftover);
		dbm_place_statement_done(place);
		execution->may_have_events |= statement->may_queue_events;
		MemoryContextReset(context);
	}

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
