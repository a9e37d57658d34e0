/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Apply and roll back for callers who speak JSON: one document says what
 *	  was done, or how it failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/fmgrprotos.h"
#include "utils/json.h"
#include "utils/timestamp.h"

#include "run/run.h"

/* The arguments of a call, and what becomes of it. */
typedef struct Request
{
	const char *what;			/* the function, for messages */
	FunctionCallInfo fcinfo;
	bool		is_up;
	const char *to_version;		/* or NULL */
	const char *schema;
	const char *extra_search_path;
	const char *confirm;		/* or NULL */
	const char *project;
	bool		errors_as_data;
	DbmRunCall	call;
	StringInfoData json;
} Request;

static Datum answer(Request *request);
static void begin_document(StringInfo json);
static void run(void *arg);
static int64 steps_of(const DbmExtension *ext, const Request *request);
static ErrorData *run_guarded(Request *request);
static void record_failure(const Request *request, const DbmMigration *migration, const ErrorData *error);
static void add_success(StringInfo json, const DbmRunCall *call, bool is_up);
static void add_failure(StringInfo json, const DbmRunCall *call, const DbmMigration *migration,
						const ErrorData *error);
static const char *step_name(const DbmMigration *migration);
static void add_text(StringInfo json, const char *key, const char *value);
static void add_number(StringInfo json, const char *key, int value);

PG_FUNCTION_INFO_V1(dbmigrate_apply_json);
PG_FUNCTION_INFO_V1(dbmigrate_rollback_json);

/* SQL: migrate.apply_json(steps, to_version, schema, extra_search_path, project, errors_as_data) */
Datum
dbmigrate_apply_json(PG_FUNCTION_ARGS)
{
	Request		request = {
		.what = "migrate.apply_json()",
		.fcinfo = fcinfo,
		.is_up = true,
		.to_version = dbm_optional_argument(fcinfo, 1),
		.schema = dbm_text_argument(fcinfo, 2),
		.extra_search_path = dbm_text_argument(fcinfo, 3),
		.project = dbm_text_argument(fcinfo, 4),
		.errors_as_data = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5)
	};

	return answer(&request);
}

/*
 * SQL: migrate.rollback_json(steps, to_version, schema, extra_search_path, confirm, project,
 * errors_as_data)
 */
Datum
dbmigrate_rollback_json(PG_FUNCTION_ARGS)
{
	Request		request = {
		.what = "migrate.rollback_json()",
		.fcinfo = fcinfo,
		.is_up = false,
		.to_version = dbm_optional_argument(fcinfo, 1),
		.schema = dbm_text_argument(fcinfo, 2),
		.extra_search_path = dbm_text_argument(fcinfo, 3),
		.confirm = dbm_optional_argument(fcinfo, 4),
		.project = dbm_text_argument(fcinfo, 5),
		.errors_as_data = !PG_ARGISNULL(6) && PG_GETARG_BOOL(6)
	};

	return answer(&request);
}

/* The document. */
static Datum
answer(Request *request)
{
	const DbmRunCall *call = &request->call;
	ErrorData  *error = NULL;

	/* a migration that calls this shall fail, and not go on with the answer */
	dbm_check_not_in_script(request->what);
	initStringInfo(&request->json);
	begin_document(&request->json);
	if (request->errors_as_data)
		error = run_guarded(request);
	else
		run(request);
	if (error)
	{
		/* what the last one has left to be checked may fail after it */
		const DbmMigration *migration = call->run.check_deferred ? call->last : call->migration;

		begin_document(&request->json);
		if (migration)
			record_failure(request, migration, error);
		add_failure(&request->json, call, migration, error);
	}
	else
		add_success(&request->json, call, request->is_up);
	appendStringInfoChar(&request->json, '}');
	return DirectFunctionCall1(jsonb_in, CStringGetDatum(request->json.data));
}

static void
begin_document(StringInfo json)
{
	resetStringInfo(json);
	appendStringInfoString(json, "{\"results\": [");
}

static void
run(void *arg)
{
	Request    *request = arg;
	DbmRunCall *call = &request->call;
	int64		steps;

	dbm_call_begin(call, request->what, request->schema, request->extra_search_path, request->project);
	call->json = &request->json;
	steps = steps_of(&call->run.ext, request);
	if (request->is_up)
		dbm_call_apply(call, steps, request->to_version, NULL);
	else
	{
		dbm_refuse_unconfirmed(request->confirm);
		dbm_call_roll_back(call, steps, request->to_version);
	}
	/* what would fail at COMMIT is no success */
	if (request->errors_as_data)
		dbm_run_check_deferred(&call->run);
	dbm_extension_close();
}

/* How many are asked for, or DBM_ALL_STEPS. */
static int64
steps_of(const DbmExtension *ext, const Request *request)
{
	FunctionCallInfo fcinfo = request->fcinfo;
	int64		steps;

	/* a version says how far; then the default of one step is not meant */
	if (request->to_version && (PG_ARGISNULL(0) || (!request->is_up && PG_GETARG_INT32(0) == 1)))
		return DBM_ALL_STEPS;
	steps = dbm_count_argument(ext, fcinfo, 0, NULL, request->is_up,
							   "SELECT migrate.rollback_json(to_version => ");
	if (request->to_version)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("both steps and to_version are given"),
				 errhint("Leave one of them out.")));
	return steps;
}

/* The error is returned, but for a cancellation, which is meant for the whole statement. */
static ErrorData *
run_guarded(Request *request)
{
	ErrorData  *error = dbm_subtransaction(run, request);

	if (error && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
		ReThrowError(error);
	return error;
}

/* The transaction goes on, so the history may know. */
static void
record_failure(const Request *request, const DbmMigration *migration, const ErrorData *error)
{
	DbmHistoryEntry entry = {.action = "failed", .migration = migration, .run = request->call.run.number};
	DbmExtension ext;

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, request->schema, request->project);
	dbm_history_add_failure(&ext, &entry, error, &request->call.execution);
	dbm_extension_close();
}

static void
add_success(StringInfo json, const DbmRunCall *call, bool is_up)
{
	const char *message;

	if (call->done == 0)
		message = is_up ? "nothing to apply" : "nothing to roll back";
	else
		message = psprintf(INT64_FORMAT " migration%s %s", call->done, call->done == 1 ? "" : "s",
						   is_up ? "applied" : "rolled back");
	appendStringInfoChar(json, ']');
	add_text(json, "message", message);
	appendStringInfoString(json, ", \"success\": true");
}

/* The one that failed, if it was one, is the only result: nothing is left of the others. */
static void
add_failure(StringInfo json, const DbmRunCall *call, const DbmMigration *migration,
			const ErrorData *error)
{
	bool		has_place = migration && migration == call->migration;

	if (migration)
	{
		DbmRunCall	failed = {.json = json, .migration = migration, .is_up = call->is_up};

		dbm_json_add_step(&failed, false);
	}
	appendStringInfoChar(json, ']');
	add_text(json, "message", error->message);
	appendStringInfoString(json, ", \"success\": false");
	add_text(json, "sqlstate", unpack_sql_state(error->sqlerrcode));
	add_text(json, "detail", error->detail);
	add_text(json, "hint", error->hint);
	add_text(json, "migration", migration ? step_name(migration) : NULL);
	add_number(json, "statement", has_place ? call->execution.failed_statement : 0);
	add_number(json, "line", has_place ? call->execution.failed_line : 0);
}

/* One element of "results", behind those that are there. */
void
dbm_json_add_step(DbmRunCall *call, bool success)
{
	StringInfo	json = call->json;
	char		timestamp[MAXDATELEN + 1];

	JsonEncodeDateTime(timestamp, TimestampTzGetDatum(GetCurrentTimestamp()), TIMESTAMPTZOID, NULL);
	if (call->done > 0)
		appendStringInfoString(json, ", ");
	appendStringInfoString(json, "{\"name\": ");
	escape_json(json, step_name(call->migration));
	add_text(json, "direction", call->is_up ? "up" : "down");
	add_text(json, "timestamp", timestamp);
	appendStringInfo(json, ", \"success\": %s}", success ? "true" : "false");
}

/* As in migrate.status_json(): version_name, R__name. */
static const char *
step_name(const DbmMigration *migration)
{
	if (migration->version == NULL)
		return migration->id;
	return migration->name[0] ? psprintf("%s_%s", migration->version, migration->name) : migration->version;
}

static void
add_text(StringInfo json, const char *key, const char *value)
{
	appendStringInfo(json, ", \"%s\": ", key);
	if (value)
		escape_json(json, value);
	else
		appendStringInfoString(json, "null");
}

/* 0 is not known */
static void
add_number(StringInfo json, const char *key, int value)
{
	if (value > 0)
		appendStringInfo(json, ", \"%s\": %d", key, value);
	else
		appendStringInfo(json, ", \"%s\": null", key);
}
