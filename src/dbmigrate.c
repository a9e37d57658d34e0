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
#include "utils/builtins.h"
#include "utils/guc.h"

#include "script/script.h"

DBM_MODULE_MAGIC;

#define ENVIRONMENT "dbmigrate.environment"

/*
 * What this database is: migrations may be limited to environments, and
 * "production" wants a confirmation before anything is rolled back.  Set with
 * ALTER DATABASE ... SET, by superusers: whoever is held by it must not talk
 * himself out of it.
 */
static char *environment = NULL;

/* Has the client set it, without the right to, when it connected? */
static bool environment_is_lost = false;

/* What to do about pending migrations older than the newest applied one. */
int			dbm_out_of_order = DBM_OUT_OF_ORDER_ERROR;

/* How long to wait for another run, in milliseconds. */
int			dbm_lock_wait = 60000;

/* How long a migration that may be tried again waits for a lock, in milliseconds. */
int			dbm_lock_timeout = 5000;

/* How often it is tried again. */
int			dbm_retries = 5;

/* A NOTICE for each migration. */
bool		dbm_progress = true;

static const struct config_enum_entry out_of_order_options[] = {
	{"error", DBM_OUT_OF_ORDER_ERROR, false},
	{"allow", DBM_OUT_OF_ORDER_ALLOW, false},
	{NULL, 0, false}
};

static bool is_set_by_client(const char *name);

PG_FUNCTION_INFO_V1(dbmigrate_environment);

/*
 * SQL: migrate.environment() returns text
 *
 * The only way to read the setting: before the library is loaded any session
 * may set a placeholder of that name, which the call of this function drops.
 */
Datum
dbmigrate_environment(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(dbm_environment()));
}

/*
 * What this database is, empty if nobody has said so.  Error 42501 if the
 * client has set it when it connected: that replaces what the database's
 * settings say before anybody can ask whether he may, and to have no
 * environment is a way out of one, too.
 */
const char *
dbm_environment(void)
{
	if (environment_is_lost)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set parameter \"dbmigrate.environment\""),
				 errdetail("The client has set it for this connection, and what the database says cannot be told any more."),
				 errhint("Connect again without it in PGOPTIONS, or in the options of the connection string.")));
	return environment ? environment : "";
}

void
_PG_init(void)
{
	bool		by_client = is_set_by_client(ENVIRONMENT);

	DefineCustomStringVariable(ENVIRONMENT,
							   "Sets the environment this database belongs to.",
							   "Migrations limited to other environments are skipped; in \"production\" rolling back wants a confirmation.",
							   &environment,
							   "",
							   PGC_SUSET,
							   0,
							   NULL, NULL, NULL);
	environment_is_lost = by_client && !is_set_by_client(ENVIRONMENT);
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
	DefineCustomIntVariable("dbmigrate.lock_timeout",
							"Sets how long a migration that may be tried again waits for a lock of the server.",
							"Online statements wait as lock_timeout says.  Zero does not limit it.",
							&dbm_lock_timeout,
							5000,
							0, INT_MAX,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("dbmigrate.retries",
							"Sets how often a migration is tried again that did not get a lock.",
							"Procedures do so with each, apply() with the first.",
							&dbm_retries,
							5,
							0, 1000,
							PGC_USERSET,
							0,
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
	dbm_leftover_init();
}

/*
 * Does the client's word for this connection hold?  Before the setting is
 * ours it does whoever he is, and has replaced what the database says; if he
 * was not allowed to, it is gone with the placeholder.
 */
static bool
is_set_by_client(const char *name)
{
	struct config_generic *setting = dbm_find_setting(name);

	return setting && setting->reset_source == PGC_S_CLIENT;
}
