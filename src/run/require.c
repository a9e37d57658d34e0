/*-------------------------------------------------------------------------
 *
 * require.c
 *	  One line for an application's start-up: is the schema there?
 *
 * Reads only, so that it works on a standby, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "run/run.h"

static void require_version(const DbmExtension *ext, const char *version);
static void require_all(const DbmExtension *ext);
static bool is_in_force(const DbmMigration *migration);

PG_FUNCTION_INFO_V1(dbmigrate_require);

/*
 * SQL: migrate.require(version, schema, project); error 55000 unless the version, or
 * everything if it is NULL, is applied.  What was rolled back here counts with its
 * version only: the release that did without it has to start again.
 */
Datum
dbmigrate_require(PG_FUNCTION_ARGS)
{
	DbmExtension ext;

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, dbm_text_argument(fcinfo, 1), dbm_text_argument(fcinfo, 2));
	dbm_extension_check_project(&ext);
	dbm_lost_schema_look(&ext);
	if (PG_ARGISNULL(0))
		require_all(&ext);
	else
		require_version(&ext, dbm_text_argument(fcinfo, 0));
	dbm_extension_close();
	PG_RETURN_VOID();
}

static void
require_version(const DbmExtension *ext, const char *version)
{
	DbmMigration *migration = dbm_state_find(ext, version);

	if (migration == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is required but not applied", version),
				 errdetail("It is not registered here either."),
				 errhint("Register it with migrate.add(), then: SELECT * FROM migrate.apply(%s);",
						 dbm_target_argument(ext, true))));
	if (!is_in_force(migration))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is required but not applied", version),
				 errdetail("Its state is \"%s\".", dbm_state_name(migration->state)),
				 migration->state == DBM_STATE_PENDING && migration->version ?
				 errhint("Apply it: SELECT * FROM migrate.apply_to(%s%s);",
						 dbm_literal(migration->version), dbm_target_argument(ext, false)) :
				 errhint("See what is known about it: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(ext, true))));
}

static void
require_all(const DbmExtension *ext)
{
	StringInfoData missing;
	int			count = 0;
	bool		all_pending = true;
	ListCell   *lc;

	initStringInfo(&missing);
	foreach(lc, dbm_state_to_require(ext))
	{
		DbmMigration *migration = lfirst(lc);

		if (is_in_force(migration) || migration->state == DBM_STATE_SKIPPED || !migration->is_wanted)
			continue;
		all_pending &= migration->state == DBM_STATE_PENDING;
		appendStringInfo(&missing, "%s%s", count++ > 0 ? ", " : "", DBM_MIGRATION_REF(migration));
	}
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("%d migration is not applied", "%d migrations are not applied",
							   count, count),
				 errdetail("Not applied: %s.", missing.data),
				 all_pending ?
				 errhint("Apply what is pending: SELECT * FROM migrate.apply(%s);",
						 dbm_target_argument(ext, true)) :
				 errhint("See why with: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(ext, true))));
}

/* A changed text does not make an applied migration less applied. */
static bool
is_in_force(const DbmMigration *migration)
{
	return migration->state == DBM_STATE_APPLIED ||
		migration->state == DBM_STATE_MISSING ||
		(migration->is_applied && migration->state == DBM_STATE_CHANGED);
}
