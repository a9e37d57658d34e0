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
static List *find_left_out(const DbmExtension *ext, const char *without);
static bool is_left_out(const DbmMigration *migration, List *left_out);

/*
 * The pending migrations asked for, in the order in which they are to run: at
 * most "steps" (or DBM_ALL_STEPS), up to the version "up_to" (numeric[]) if it
 * is not 0, and none of those in the text[] "without", if that is not NULL.  What
 * is wrong with them is an error if "check"; online scripts are wrong if there
 * is a statement to call "instead".
 */
List *
dbm_choose_pending(const DbmExtension *ext, int64 steps, Datum up_to, const char *without, bool check,
				   const char *instead)
{
	List	   *left_out = find_left_out(ext, without);
	List	   *known = dbm_state_to_apply(ext, up_to);
	List	   *chosen = NIL;
	ListCell   *lc;

	dbm_refuse_changed(ext, known);
	dbm_refuse_half_undone(ext, known);
	foreach(lc, known)
	{
		DbmMigration *migration = lfirst(lc);

		if (migration->to_run && migration->is_wanted && !is_left_out(migration, left_out) &&
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

/* The migrations that an array names; error 42704 if one of them is not known. */
static List *
find_left_out(const DbmExtension *ext, const char *without)
{
	List	   *left_out = NIL;
	ListCell   *lc;

	foreach(lc, dbm_array_elements(without, "without"))
	{
		DbmMigration *migration = dbm_state_find(ext, lfirst(lc));

		if (migration == NULL)
			dbm_migration_missing(ext, lfirst(lc));
		left_out = lappend(left_out, migration);
	}
	return left_out;
}

static bool
is_left_out(const DbmMigration *migration, List *left_out)
{
	ListCell   *lc;

	foreach(lc, left_out)
		if (strcmp(migration->id, ((DbmMigration *) lfirst(lc))->id) == 0)
			return true;
	return false;
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
