/*-------------------------------------------------------------------------
 *
 * skippednotices.c
 *	  What is told of migrations that were not run.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/datum.h"

#include "run/run.h"

static void notice_newer(const DbmExtension *ext, Datum up_to, const char *version);

/* There is nothing to run up to a version; "target" is the migration of it, or NULL. */
void
dbm_notice_nothing(const DbmExtension *ext, const DbmMigration *target, Datum up_to, const char *version)
{
	if (target && target->is_applied)
		notice_newer(ext, up_to, version);
	else if (target)
		dbm_notice_skipped(ext, up_to);
}

/* Asked to apply up to a version that is behind us: that is no way back. */
static void
notice_newer(const DbmExtension *ext, Datum up_to, const char *version)
{
	char	   *newest = dbm_state_newest(ext);

	if (newest && dbm_progress &&
		!datumIsEqual(PointerGetDatum(dbm_version_parse(newest)), up_to, false, -1))
		ereport(NOTICE,
				(errmsg("nothing to apply up to version %s, the newest applied is %s",
						version, newest),
				 errhint("To go back: SELECT * FROM migrate.rollback_to(%s%s);", dbm_literal(version),
						 dbm_target_argument(ext, false))));
}

/* Nothing is left out without a word. */
void
dbm_notice_skipped(const DbmExtension *ext, Datum up_to)
{
	ListCell   *lc;

	if (!dbm_progress)
		return;
	foreach(lc, dbm_state_to_apply(ext, up_to))
	{
		DbmMigration *migration = lfirst(lc);

		if (migration->is_wanted && migration->state == DBM_STATE_SKIPPED)
			ereport(NOTICE,
					(errmsg("skipped migration %s%s%s%s, which is limited to other environments",
							DBM_MIGRATION_REF(migration),
							migration->name[0] ? " \"" : "", migration->name,
							migration->name[0] ? "\"" : ""),
					 errhidecontext(true)));
	}
}
