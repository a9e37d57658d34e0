/*-------------------------------------------------------------------------
 *
 * choose.c
 *	  What is to be run, or rolled back.
 *
 * What is wrong with the choice is refused before the first statement runs,
 * see refuse.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "run/run.h"

static int64 position_of(const DbmExtension *ext, const char *version, Datum key);
static void check_not_in_baseline(const DbmExtension *ext, const char *version);

/*
 * The pending migrations asked for, in the order in which they are to run: at
 * most "steps" (or DBM_ALL_STEPS), up to the version "up_to" (numeric[]) if it
 * is not 0.  What is wrong with them is an error if "check"; online scripts are
 * wrong if there is a statement to call "instead".
 */
List *
dbm_choose_pending(const DbmExtension *ext, int64 steps, Datum up_to, bool check, const char *instead)
{
	List	   *known = dbm_state_to_apply(ext, up_to);
	List	   *chosen = NIL;
	ListCell   *lc;

	dbm_refuse_changed(ext, known);
	dbm_refuse_half_undone(ext, known);
	foreach(lc, known)
	{
		DbmMigration *migration = lfirst(lc);

		if (migration->to_run && migration->is_wanted &&
			(steps == DBM_ALL_STEPS || list_length(chosen) < steps))
			chosen = lappend(chosen, migration);
	}
	if (check)
	{
		dbm_refuse_out_of_order(ext, chosen);
		dbm_refuse_scripts(ext, chosen, true, instead);
	}
	return chosen;
}

/*
 * What is to be rolled back, newest first, with the lock taken unless there
 * is nothing.  All is read again under the lock, the place of "version", too:
 * another run may have applied it anew.
 */
List *
dbm_choose_applied(const DbmExtension *ext, int64 steps, const char *version, Datum key,
				   const char *instead)
{
	List	   *chosen;

	if (dbm_state_to_roll_back(ext, steps,
							   position_of(ext, version, key)) == NIL)
	{
		dbm_refuse_count(ext, steps, 0, "applied", "rollback_to");
		return NIL;
	}
	dbm_lock_for_run(ext);
	chosen = dbm_state_to_roll_back(ext, steps,
									position_of(ext, version, key));
	dbm_refuse_count(ext, steps, list_length(chosen), "applied", "rollback_to");
	dbm_refuse_changed(ext, chosen);
	if (chosen != NIL)
		dbm_refuse_half_applied(ext, dbm_state_to_apply(ext, (Datum) 0));
	dbm_refuse_without_down(ext, chosen);
	dbm_refuse_scripts(ext, chosen, false, instead);
	return chosen;
}

/* Where a version stands in the order of application; NULL is before all. */
static int64
position_of(const DbmExtension *ext, const char *version, Datum key)
{
	int64		position = 0;

	if (version)
		position = dbm_state_position(ext, key);
	if (position < 0)
	{
		check_not_in_baseline(ext, version);
		/* it may have been applied since */
		position = dbm_state_position(ext, key);
	}
	if (position < 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration %s is not applied", version),
				 errhint("See what is applied with: SELECT * FROM migrate.status(%s);",
						 dbm_target_argument(ext, true))));
	return position;
}

/* What a baseline covers is in force, but nobody knows in which order. */
static void
check_not_in_baseline(const DbmExtension *ext, const char *version)
{
	DbmMigration *migration = dbm_state_find(ext, version);

	if (migration && !migration->is_applied && migration->state == DBM_STATE_APPLIED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s counts as applied by a baseline", version),
				 errdetail("It has no place in the order of application."),
				 errhint("See what has one: SELECT version, name FROM migrate.schema_migrations ORDER BY position;")));
}
