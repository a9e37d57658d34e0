/*-------------------------------------------------------------------------
 *
 * dbmigrate.c
 *	  Module load and settings.
 *
 * Nothing here needs shared_preload_libraries: the library is loaded by the
 * first call of one of its functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "fmgr.h"
#include "utils/guc.h"

#include "compat.h"
#include "dbmigrate.h"

DBM_MODULE_MAGIC;

/*
 * What this database is: migrations may be limited to environments, and
 * "production" wants a confirmation before anything is rolled back.  Meant to
 * be set with ALTER DATABASE ... SET.
 */
char	   *dbm_environment = NULL;

/* What to do about pending migrations older than the newest applied one. */
int			dbm_out_of_order = DBM_OUT_OF_ORDER_ERROR;

/* How long to wait for another run, in milliseconds. */
int			dbm_lock_wait = 60000;

/* A NOTICE for each migration. */
bool		dbm_progress = true;

static const struct config_enum_entry out_of_order_options[] = {
	{"error", DBM_OUT_OF_ORDER_ERROR, false},
	{"allow", DBM_OUT_OF_ORDER_ALLOW, false},
	{NULL, 0, false}
};

void
_PG_init(void)
{
	DefineCustomStringVariable("dbmigrate.environment",
							   "Sets the environment this database belongs to.",
							   "Migrations limited to other environments are skipped; in \"production\" rolling back wants a confirmation.",
							   &dbm_environment,
							   "",
							   PGC_USERSET,
							   0,
							   NULL, NULL, NULL);
	DefineCustomEnumVariable("dbmigrate.out_of_order",
							 "Sets what happens to pending migrations older than the newest applied one.",
							 NULL,
							 &dbm_out_of_order,
							 DBM_OUT_OF_ORDER_ERROR,
							 out_of_order_options,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	DefineCustomIntVariable("dbmigrate.lock_wait",
							"Sets how long to wait for another migration run to end.",
							"Zero does not wait.",
							&dbm_lock_wait,
							60000,
							0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomBoolVariable("dbmigrate.progress",
							 "Sends a notice for each migration that was run.",
							 NULL,
							 &dbm_progress,
							 true,
							 PGC_USERSET,
							 0,
							 NULL, NULL, NULL);
	MarkGUCPrefixReserved("dbmigrate");
}
