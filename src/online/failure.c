/*-------------------------------------------------------------------------
 *
 * failure.c
 *	  What has failed is recorded, and that stays although it failed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "online/online.h"

/* Find the extension and connect to SPI, in every transaction of a run anew. */
void
dbm_online_open(DbmRun *run)
{
	const char *target = run->ext.target;
	const char *project = run->ext.project;

	dbm_extension_open(&run->ext);
	run->ext.target = target;
	run->ext.project = project;
}

/* What dbm_online_open() began is committed, and another transaction begins. */
void
dbm_online_close(void)
{
	dbm_extension_close();
	dbm_transaction_next();
}

/*
 * The locks of the run after the abort of a transaction, which drops them.
 * False if another run was faster.
 */
bool
dbm_online_lock_again(DbmRun *run, bool online)
{
	return dbm_lock_take(&run->ext, DBM_LOCK_RUN) &&
		(!online || dbm_lock_take(&run->ext, DBM_LOCK_ONLINE));
}

/* A row of migrate.history, "action" is failed or retry. */
void
dbm_online_record_failure(DbmRun *run, const DbmMigration *migration, const char *action,
						  const char *reason, const ErrorData *error, const DbmExecution *execution)
{
	DbmHistoryEntry entry = {
		.action = action,
		.migration = migration,
		.run = run->number,
		.reason = reason
	};

	dbm_online_open(run);
	dbm_history_add_failure(&run->ext, &entry, error, execution);
	dbm_online_close();
}
