/*-------------------------------------------------------------------------
 *
 * resume.c
 *	  What somebody says about an online migration that was interrupted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"

#include "online/online.h"

static DbmHalfway *begin(DbmRun *run, FunctionCallInfo fcinfo, const char *what, int schema_arg,
						 DbmHistoryEntry *entry);
static Datum sha256_up_to(DbmRun *run, const DbmMigration *migration, bool is_up, int statement);

PG_FUNCTION_INFO_V1(dbmigrate_resume);
PG_FUNCTION_INFO_V1(dbmigrate_abandon);

/* SQL: migrate.resume(version, statement_was_done, reason, schema, project) */
Datum
dbmigrate_resume(PG_FUNCTION_ARGS)
{
	DbmRun		run = {0};
	DbmHistoryEntry entry = {.action = "resume"};
	DbmHalfway *halfway;

	dbm_check_not_null(fcinfo, 1, "statement_was_done");
	entry.reason = dbm_reason_argument(fcinfo, 2);
	halfway = begin(&run, fcinfo, "migrate.resume()", 3, &entry);
	if (halfway->started == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no statement of migration %s is in doubt", DBM_MIGRATION_REF(entry.migration)),
				 errhint("Go on with it: CALL migrate.%s(%s);", halfway->is_up ? "run" : "run_rollback",
						 dbm_target_argument(&run.ext, true))));
	dbm_halfway_undecided(&run.ext, entry.migration->id, PG_GETARG_BOOL(1),
						  sha256_up_to(&run, entry.migration, halfway->is_up, halfway->started));
	dbm_history_add(&run.ext, &entry);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/*
 * SQL: migrate.abandon(version, reason, schema, project)
 *
 * The migration is pending again, or applied if it was being rolled back.
 */
Datum
dbmigrate_abandon(PG_FUNCTION_ARGS)
{
	DbmRun		run = {0};
	DbmHistoryEntry entry = {.action = "abandon"};

	entry.reason = dbm_reason_argument(fcinfo, 1);
	(void) begin(&run, fcinfo, "migrate.abandon()", 2, &entry);
	dbm_halfway_end(&run.ext, entry.migration->id);
	dbm_history_add(&run.ext, &entry);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/* Check the caller, take the lock, find what is said to be half done. */
static DbmHalfway *
begin(DbmRun *run, FunctionCallInfo fcinfo, const char *what, int schema_arg, DbmHistoryEntry *entry)
{
	const char *version = dbm_required_argument(fcinfo, 0, "version");
	DbmHalfway *halfway;

	dbm_check_caller(what);
	dbm_extension_open(&run->ext);
	dbm_extension_use(&run->ext, dbm_text_argument(fcinfo, schema_arg),
					  dbm_text_argument(fcinfo, schema_arg + 1));
	dbm_extension_check_project(&run->ext);
	dbm_lock_for_run(&run->ext);
	entry->migration = dbm_state_find(&run->ext, version);
	if (entry->migration == NULL)
		dbm_migration_missing(&run->ext, version);
	halfway = dbm_halfway_find(&run->ext, entry->migration->id);
	if (halfway == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is not half done", version),
				 errhint("See what is known about it: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(&run->ext, true))));
	entry->run = dbm_history_next_run(&run->ext);
	return halfway;
}

static Datum
sha256_up_to(DbmRun *run, const DbmMigration *migration, bool is_up, int statement)
{
	int			len;
	char	   *text = dbm_state_read_script(&run->ext, migration, is_up, &len);
	DbmScript  *script = dbm_script_scan(text, len, false);

	return dbm_finished_sha256(script, Min(statement, script->nstatements));
}
