/*-------------------------------------------------------------------------
 *
 * mark.c
 *	  Record what was run, or undone, by other means.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "run/run.h"

/* The arguments that all functions but forget_schema() have. */
typedef struct Request
{
	DbmExtension ext;
	const char *version;
	Datum		version_key;
} Request;

static void begin_request(Request *request, FunctionCallInfo fcinfo, const char *what,
						  int schema_arg);
static void begin_call(DbmExtension *ext, FunctionCallInfo fcinfo, int schema_arg);
static void check_not_below_baseline(const Request *request);
static DbmMigration *known_migration(const Request *request);

PG_FUNCTION_INFO_V1(dbmigrate_baseline);
PG_FUNCTION_INFO_V1(dbmigrate_manage);
PG_FUNCTION_INFO_V1(dbmigrate_mark_applied);
PG_FUNCTION_INFO_V1(dbmigrate_mark_pending);
PG_FUNCTION_INFO_V1(dbmigrate_forget_schema);

/*
 * SQL: migrate.baseline(version, schema, project) returns how many were recorded
 *
 * The version need not be registered; what is registered later and is not
 * newer counts as applied as well.
 */
Datum
dbmigrate_baseline(PG_FUNCTION_ARGS)
{
	Request		request;
	DbmHistoryEntry record = {.action = "baseline", .baseline = true};
	DbmMigration marker = {0};
	DbmMigration *known;
	int64		count = 0;
	List	   *migrations;
	ListCell   *lc;

	begin_request(&request, fcinfo, "migrate.baseline()", 1);
	if (request.version_key == 0)
		(void) dbm_version_parse(request.version);	/* an id is no version */
	if (dbm_state_has_applied(&request.ext))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot set a baseline where migrations are applied already"),
				 errhint("Record single migrations instead: SELECT migrate.mark_applied(%s, 'the reason'%s);",
						 dbm_literal(request.version), dbm_target_argument(&request.ext, false))));

	record.run = dbm_history_next_run(&request.ext);
	migrations = dbm_state_up_to(&request.ext, request.version_key);
	known = dbm_state_find(&request.ext, request.version);
	if (known == NULL || known->is_baseline)
	{
		marker.id = marker.version = request.version;
		marker.version_key = request.version_key;
		marker.name = "baseline";
		migrations = lappend(migrations, &marker);
	}
	foreach(lc, migrations)
	{
		record.migration = lfirst(lc);
		dbm_applied_add(&request.ext, &record);
		if (dbm_migration_is_half_done(record.migration))
			dbm_halfway_end(&request.ext, record.migration->id);
		count++;
	}
	dbm_extension_close();
	PG_RETURN_INT64(count);
}

/*
 * SQL: migrate.manage(reason, schema, project)
 *
 * Somebody says that none of the migrations was run here although there are
 * tables: what dbm_refuse_unmanaged() asks for.  Nothing counts as applied.
 */
Datum
dbmigrate_manage(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmMigration none = {0};
	DbmHistoryEntry record = {.action = "manage", .migration = &none};

	record.reason = dbm_reason_argument(fcinfo, 0);
	dbm_check_caller("migrate.manage()");
	begin_call(&ext, fcinfo, 1);
	record.run = dbm_history_next_run(&ext);
	dbm_history_add(&ext, &record);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/* SQL: migrate.mark_applied(version, reason, schema, project) */
Datum
dbmigrate_mark_applied(PG_FUNCTION_ARGS)
{
	Request		request;
	DbmHistoryEntry record = {.action = "mark_applied"};

	record.reason = dbm_reason_argument(fcinfo, 1);
	begin_request(&request, fcinfo, "migrate.mark_applied()", 2);
	record.migration = known_migration(&request);
	dbm_refuse_half_undone(&request.ext, list_make1(unconstify(DbmMigration *, record.migration)));
	if (record.migration->is_applied && !record.migration->to_run)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("migration %s is already applied", request.version)));
	if (record.migration->state == DBM_STATE_SUPERSEDED && record.migration->is_baseline)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("baseline script %s is superseded", request.version),
				 errdetail("It stands for versions where nothing is applied yet."),
				 errhint("Record the versions themselves; see SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(&request.ext, true))));
	record.baseline = record.migration->is_baseline;
	dbm_refuse_changed(&request.ext, list_make1(unconstify(DbmMigration *, record.migration)));
	record.run = dbm_history_next_run(&request.ext);
	dbm_applied_add(&request.ext, &record);
	dbm_halfway_end(&request.ext, record.migration->id);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/* SQL: migrate.mark_pending(version, reason, schema, project) */
Datum
dbmigrate_mark_pending(PG_FUNCTION_ARGS)
{
	Request		request;
	DbmHistoryEntry record = {.action = "mark_pending"};

	record.reason = dbm_reason_argument(fcinfo, 1);
	begin_request(&request, fcinfo, "migrate.mark_pending()", 2);
	record.migration = known_migration(&request);
	if (!record.migration->is_applied)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is not applied", request.version),
				 dbm_migration_is_half_done(record.migration) ?
				 errhint("Forget how far it has come: SELECT migrate.abandon(%s, 'the reason'%s);",
						 dbm_migration_literal(record.migration), dbm_target_argument(&request.ext, false)) :
				 errhint("See what is applied with: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(&request.ext, true))));
	record.run = dbm_history_next_run(&request.ext);
	dbm_applied_remove(&request.ext, &record);
	dbm_halfway_end(&request.ext, record.migration->id);
	check_not_below_baseline(&request);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/*
 * What a baseline covers counts as applied without a row of its own, so that
 * taking the row away changes nothing.
 */
static void
check_not_below_baseline(const Request *request)
{
	DbmMigration *migration = dbm_state_find(&request->ext, request->version);

	if (migration && !migration->is_applied && migration->state == DBM_STATE_APPLIED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s counts as applied by a baseline", request->version),
				 errdetail("All versions up to the baseline do, %s is the newest applied one.",
						   dbm_state_newest(&request->ext)),
				 errhint("Register its script under a newer version; or take the newer ones back first, from the newest on.")));
}

/*
 * SQL: migrate.forget_schema(schema, reason) returns how many migrations do
 * not count as applied there any more
 *
 * The schema itself need not exist, and is not touched if it does.
 */
Datum
dbmigrate_forget_schema(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmHistoryEntry record = {.action = "forget"};
	const char *schema;
	bool		was_half_done;
	int64		count;

	record.reason = dbm_reason_argument(fcinfo, 1);
	dbm_check_caller("migrate.forget_schema()");
	schema = dbm_required_argument(fcinfo, 0, "schema");
	if (schema[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state of the database as it is cannot be forgotten"),
				 errhint("Take back what was undone: SELECT migrate.mark_pending(version, 'the reason');")));

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, schema, "");
	dbm_lock_for_run(&ext);
	record.run = dbm_history_next_run(&ext);
	count = dbm_applied_forget(&ext, &record);
	was_half_done = dbm_halfway_forget(&ext);
	if (!dbm_lost_schema_forget(&ext) && !was_half_done && count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("nothing is recorded for schema \"%s\"", schema),
				 errhint("See where something is: SELECT DISTINCT target_schema FROM migrate.schema_migrations;")));
	dbm_extension_close();
	PG_RETURN_INT64(count);
}

/* Check the caller, read the version and the target schema, take the lock. */
static void
begin_request(Request *request, FunctionCallInfo fcinfo, const char *what, int schema_arg)
{
	memset(request, 0, sizeof(Request));
	dbm_check_caller(what);
	request->version = dbm_required_argument(fcinfo, 0, "version");
	if (!dbm_version_is_id(request->version))
		request->version_key = PointerGetDatum(dbm_version_parse(request->version));
	begin_call(&request->ext, fcinfo, schema_arg);
}

/* Read the target schema and the project, which follows it; take the lock. */
static void
begin_call(DbmExtension *ext, FunctionCallInfo fcinfo, int schema_arg)
{
	const char *schema = dbm_text_argument(fcinfo, schema_arg);

	dbm_target_check(schema);
	dbm_extension_open(ext);
	dbm_extension_use(ext, schema, dbm_text_argument(fcinfo, schema_arg + 1));
	dbm_extension_check_project(ext);
	dbm_lock_for_run(ext);
}

static DbmMigration *
known_migration(const Request *request)
{
	DbmMigration *migration = dbm_state_find(&request->ext, request->version);

	if (migration == NULL)
		dbm_migration_missing(&request->ext, request->version);
	return migration;
}
