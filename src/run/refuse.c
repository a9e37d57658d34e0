/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  What is refused before the first statement runs.
 *
 * Each refusal names all offenders, and its hint is what to type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "run/run.h"

/* How many tables of an unmanaged database a message names. */
#define TABLES_NAMED 3

/* Is the migration, or the script of it that is to run, an offender? */
typedef bool (*Offends) (const DbmMigration *migration, bool is_up);

static void refuse_unreadable(const DbmExtension *ext, List *chosen, bool is_up);
static void decide_trust(const DbmExtension *ext, List *chosen, bool is_up);
static void refuse_untrusted(const DbmExtension *ext, List *chosen, bool is_up);
static void refuse_roles(const DbmExtension *ext, List *chosen, bool is_up);
static char *list_offenders(List *migrations, bool is_up, Offends offends, int *count,
							DbmMigration **first);
static bool is_changed(const DbmMigration *migration, bool is_up);
static bool is_half_undone(const DbmMigration *migration, bool is_up);
static bool is_half_applied(const DbmMigration *migration, bool is_up);
static bool is_out_of_order(const DbmMigration *migration, bool is_up);
static bool is_elsewhere(const DbmMigration *migration, bool is_up);
static bool is_without_up(const DbmMigration *migration, bool is_up);
static bool is_online(const DbmMigration *migration, bool is_up);
static bool is_untrusted(const DbmMigration *migration, bool is_up);
static bool is_raising(const DbmMigration *migration, bool is_up);
static bool is_without_down(const DbmMigration *migration, bool is_up);
static DbmScriptInfo *script_info(const DbmMigration *migration, bool is_up);
static DbmScript *scan_registered(const DbmExtension *ext, const DbmMigration *migration, bool is_up);

/*
 * In production nothing is rolled back without the database's name; a wrong
 * name is an error anywhere.
 */
void
dbm_refuse_unconfirmed(const char *confirm)
{
	char	   *database = get_database_name(MyDatabaseId);

	if (confirm == NULL)
	{
		if (pg_strcasecmp(dbm_environment(), "production") == 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("rolling back in production needs a confirmation"),
					 errdetail("The environment of database \"%s\" is \"%s\".", database, dbm_environment()),
					 errhint("Add the argument: confirm => %s", dbm_literal(database))));
	}
	else if (strcmp(confirm, database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("confirmation \"%s\" is not the name of this database", confirm),
				 errdetail("This is database \"%s\".", database)));
}

/* Texts that are not what was registered, or applied, under their name. */
void
dbm_refuse_changed(const DbmExtension *ext, List *migrations)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(migrations, true, is_changed, &count, &first);

	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d migration has a text that is not what was registered or applied",
						   "%d migrations have texts that are not what was registered or applied",
						   count, count),
			 errdetail("Changed: %s.", offenders),
			 first->is_applied ?
			 errhint("Register the applied text again with migrate.add(); or, to let the present text stand for it: SELECT migrate.amend(%s, NULL, NULL, 'the reason'%s);",
					 dbm_migration_literal(first), dbm_project_argument(ext)) :
			 errhint("Register the migration again with migrate.add().")));
}

/* What a run has begun to roll back, and has not finished. */
void
dbm_refuse_half_undone(const DbmExtension *ext, List *migrations)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(migrations, true, is_half_undone, &count, &first);

	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d migration is half rolled back", "%d migrations are half rolled back",
						   count, count),
			 errdetail("Half rolled back: %s.", offenders),
			 errhint("Go on with that: CALL migrate.run_rollback(%s); or, if it is in force as a whole: SELECT migrate.abandon(%s, 'the reason'%s);",
					 dbm_target_argument(ext, true), dbm_migration_literal(first),
					 dbm_target_argument(ext, false))));
}

/* What is before it is not rolled back while it stands upon that. */
void
dbm_refuse_half_applied(const DbmExtension *ext, List *migrations)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(migrations, true, is_half_applied, &count, &first);

	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d migration is half applied", "%d migrations are half applied", count, count),
			 errdetail("Half applied: %s.", offenders),
			 errhint("Go on with that: CALL migrate.run(%s); or, when what it did is undone: SELECT migrate.abandon(%s, 'the reason'%s);",
					 dbm_target_argument(ext, true), dbm_migration_literal(first),
					 dbm_target_argument(ext, false))));
}

/* Pending migrations older than the newest applied one, unless allowed. */
void
dbm_refuse_out_of_order(const DbmExtension *ext, List *chosen)
{
	int			count;
	DbmMigration *first;
	char	   *offenders;

	if (dbm_out_of_order == DBM_OUT_OF_ORDER_ALLOW)
		return;
	offenders = list_offenders(chosen, true, is_out_of_order, &count, &first);
	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d pending migration is older than the newest applied one",
						   "%d pending migrations are older than the newest applied one",
						   count, count),
			 errdetail("Newest applied: %s.  Out of order: %s.",
					   dbm_state_newest(ext), offenders),
			 errhint("To run them now, before newer ones: SET dbmigrate.out_of_order = 'allow';")));
}

/*
 * All that can be wrong with the scripts that are to be run.  That they have to
 * commit is wrong where the caller cannot, and "instead" is what to type then;
 * else it is NULL.  Whose they are counts once they have been read: what could
 * not be read before may hold anything.
 */
void
dbm_refuse_scripts(const DbmExtension *ext, List *chosen, bool is_up, const char *instead)
{
	int			count;
	DbmMigration *first;
	char	   *offenders;

	refuse_unreadable(ext, chosen, is_up);
	decide_trust(ext, chosen, is_up);
	refuse_untrusted(ext, chosen, is_up);
	refuse_roles(ext, chosen, is_up);

	offenders = list_offenders(chosen, is_up, is_online, &count, &first);
	if (count > 0 && instead)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg_plural("%d migration must run outside a transaction block",
							   "%d migrations must run outside a transaction block",
							   count, count),
				 errdetail("Online: %s.", offenders),
				 errhint("Commit after each migration: %s", instead)));

	offenders = list_offenders(chosen, is_up, is_without_up, &count, &first);
	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg_plural("%d migration has no up script in SQL",
							   "%d migrations have no up script in SQL",
							   count, count),
				 errdetail("Without an up script: %s.", offenders),
				 errhint("Register it with migrate.add_file() or migrate.add(); or, if it was run by other means: SELECT migrate.mark_applied(%s, 'the reason'%s);",
						 dbm_migration_literal(first), dbm_target_argument(ext, false))));
}

static void
decide_trust(const DbmExtension *ext, List *chosen, bool is_up)
{
	ListCell   *lc;

	foreach(lc, chosen)
		script_info(lfirst(lc), is_up)->trust = dbm_approvals_trust(ext, lfirst(lc), is_up);
}

static void
refuse_untrusted(const DbmExtension *ext, List *chosen, bool is_up)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(chosen, is_up, is_untrusted, &count, &first);

	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg_plural("%d script was registered by a role that could not become \"%s\"",
							   "%d scripts were registered by roles that could not become \"%s\"",
							   count, count, GetUserNameFromId(GetUserId(), false)),
				 errdetail("Not approved: %s.", offenders),
				 errhint("Read it, then: SELECT migrate.approve(%s%s);", dbm_migration_literal(first),
						 dbm_project_argument(ext))));
}

/* Scripts that would be stopped at their SET ROLE, perhaps after an hour. */
static void
refuse_roles(const DbmExtension *ext, List *chosen, bool is_up)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(chosen, is_up, is_raising, &count, &first);

	if (count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg_plural("%d script sets the role in a session that began as \"%s\"",
							   "%d scripts set the role in a session that began as \"%s\"",
							   count, count, GetUserNameFromId(dbm_stronger_user(), true)),
				 errdetail("They are: %s.", offenders),
				 errhint("Log in as \"%s\" instead of SET ROLE; or, where these scripts may do that: SELECT migrate.approve(%s, may_set_role => true%s); as a role that could become \"%s\".",
						 GetUserNameFromId(GetUserId(), false), dbm_migration_literal(first),
						 dbm_project_argument(ext),
						 GetUserNameFromId(dbm_stronger_user(), true))));
}

/*
 * Scripts that could not be parsed when they were registered, or that were
 * parsed by another major version, are looked at again.  The error is the
 * parser's own for the first that cannot be read, and names the others.
 */
static void
refuse_unreadable(const DbmExtension *ext, List *chosen, bool is_up)
{
	DbmScript  *first_script = NULL;
	DbmMigration *first = NULL;
	StringInfoData others;
	ListCell   *lc;

	initStringInfo(&others);
	foreach(lc, chosen)
	{
		DbmMigration *migration = lfirst(lc);
		DbmScriptInfo *info = is_up ? &migration->up : &migration->down;
		DbmScript  *script;

		if (info->statements < 0 ||
			(info->unreadable == NULL && migration->analyzed_on == DBM_SERVER_MAJOR))
			continue;

		script = scan_registered(ext, migration, is_up);
		dbm_script_analyze(script);
		if (script->unreadable == NULL && script->refused == NULL)
		{
			dbm_migrations_update_analysis(ext, migration, is_up, script);
			info->statements = script->ncommands;
			info->sets_role = script->sets_role;
			info->online |= script->online;
			dbm_script_free(script);
		}
		else if (first == NULL)
		{
			first = migration;
			first_script = script;
		}
		else
		{
			appendStringInfo(&others, "%s%s", others.len > 0 ? ", " : "",
							 DBM_MIGRATION_REF(migration));
			dbm_script_free(script);
		}
	}
	if (first)
	{
		DbmLabel	label = {DBM_MIGRATION_REF(first), first->name, is_up};

		dbm_script_throw(first_script,
						 first_script->refused ? first_script->refused : first_script->unreadable,
						 &label,
						 others.len > 0 ? psprintf("Cannot be read either: %s.", others.data) : NULL);
	}
}

/*
 * What was applied while the database was another environment can be rolled
 * back here, "steps" of it, but is not run again.
 */
void
dbm_refuse_elsewhere(const DbmExtension *ext, List *chosen, int steps)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(chosen, true, is_elsewhere, &count, &first);

	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d migration is limited to other environments and cannot be run again",
						   "%d migrations are limited to other environments and cannot be run again",
						   count, count),
			 errdetail("The environment is \"%s\".  Limited to others: %s.", dbm_environment(), offenders),
			 errhint("To roll back only: SELECT * FROM migrate.rollback(%d%s);", steps,
					 dbm_target_argument(ext, false))));
}

/* What is to be rolled back and cannot be. */
void
dbm_refuse_without_down(const DbmExtension *ext, List *chosen)
{
	int			count;
	DbmMigration *first;
	char	   *offenders = list_offenders(chosen, false, is_without_down, &count, &first);

	if (count == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg_plural("%d migration cannot be rolled back",
						   "%d migrations cannot be rolled back",
						   count, count),
			 errdetail("Without a down script: %s.", offenders),
			 first->is_registered ?
			 errhint("Give it one: a down section in its file, registered again; or SELECT migrate.amend(%s, NULL, 'the SQL that undoes it', 'the reason'%s); an empty text says that there is nothing to undo.",
					 dbm_migration_literal(first), dbm_project_argument(ext)) :
			 errhint("Its scripts are not known here.  Register them with migrate.add(), or forget that it was applied: SELECT migrate.mark_pending(%s, 'the reason'%s);",
					 dbm_migration_literal(first), dbm_target_argument(ext, false))));
}

/*
 * More was asked for than there is: perhaps a version was meant where a count
 * is wanted.  "what" there are is "pending" or "applied", "to" the call that
 * takes a version.  One, where there is nothing, is no mistake: that is how a
 * loop ends.
 */
void
dbm_refuse_count(const DbmExtension *ext, int64 asked, int64 found, const char *what, const char *to)
{
	DbmMigration *meant;

	if (asked <= found || (asked == 1 && found == 0))
		return;
	meant = dbm_state_find(ext, psprintf(INT64_FORMAT, asked));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 found == 0 ? errmsg("there is no %s migration, but steps is %d", what, (int) asked) :
			 errmsg_plural("there is only %d %s migration, but steps is %d",
						   "there are only %d %s migrations, but steps is %d",
						   found, (int) found, what, (int) asked),
			 meant && meant->version ?
			 errhint("If version %s is meant: SELECT * FROM migrate.%s(%s%s);", meant->version, to,
					 dbm_literal(meant->version), dbm_target_argument(ext, false)) :
			 errhint("See what there is: SELECT * FROM migrate.status(%s);", dbm_target_argument(ext, true))));
}

/*
 * The database was built by other means, and somebody has to say which of the
 * migrations are in it.  Asked only where nothing was ever applied or recorded,
 * about the tables where unqualified names go.
 */
void
dbm_refuse_unmanaged(const DbmExtension *ext)
{
	List	   *schemas = NIL;
	List	   *tables;
	StringInfoData names;
	ListCell   *lc;

	if (ext->target[0])
		schemas = list_make1_oid(get_namespace_oid(ext->target, false));
	else
		foreach(lc, fetch_search_path(false))
			if (lfirst_oid(lc) != PG_CATALOG_NAMESPACE && !isAnyTempNamespace(lfirst_oid(lc)))
				schemas = lappend_oid(schemas, lfirst_oid(lc));
	tables = dbm_state_unmanaged_tables(ext, schemas, TABLES_NAMED + 1);
	if (tables == NIL)
		return;

	initStringInfo(&names);
	foreach(lc, tables)
	{
		if (foreach_current_index(lc) < TABLES_NAMED)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", dbm_without_control(lfirst(lc)));
		else
			appendStringInfoString(&names, " and more");
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("nothing is recorded as applied in this database, but there are tables already"),
			 errdetail("They are: %s.", names.data),
			 errhint("To go on from the history of another tool: SELECT * FROM migrate.adopt(%s);\n"
					 "If some of the migrations were run by other means: SELECT migrate.baseline('<last version it has>'%s);\n"
					 "If none of them was: SELECT migrate.manage('the reason'%s);",
					 dbm_target_argument(ext, true), dbm_target_argument(ext, false),
					 dbm_target_argument(ext, false))));
}

/* 003 "add_orders", 004 "x" by alice */
static char *
list_offenders(List *migrations, bool is_up, Offends offends, int *count, DbmMigration **first)
{
	StringInfoData buf;
	ListCell   *lc;

	*count = 0;
	initStringInfo(&buf);
	foreach(lc, migrations)
	{
		DbmMigration *migration = lfirst(lc);

		if (!offends(migration, is_up))
			continue;
		if ((*count)++ == 0)
			*first = migration;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", DBM_MIGRATION_REF(migration));
		if (migration->name[0])
			appendStringInfo(&buf, " \"%s\"", migration->name);
		if (offends == is_untrusted)
			appendStringInfo(&buf, " (%s) by \"%s\"", is_up ? "up" : "down",
							 script_info(migration, is_up)->author);
	}
	return buf.data;
}

static bool
is_changed(const DbmMigration *migration, bool is_up)
{
	return migration->state == DBM_STATE_CHANGED;
}

static bool
is_half_undone(const DbmMigration *migration, bool is_up)
{
	/* a repeatable one is never rolled back, but run again */
	return migration->is_applied && migration->version_key != 0 && dbm_migration_is_half_done(migration);
}

static bool
is_half_applied(const DbmMigration *migration, bool is_up)
{
	return dbm_migration_is_half_done(migration) && !is_half_undone(migration, is_up);
}

static bool
is_out_of_order(const DbmMigration *migration, bool is_up)
{
	return migration->state == DBM_STATE_OUT_OF_ORDER;
}

static bool
is_elsewhere(const DbmMigration *migration, bool is_up)
{
	return !migration->runs_here;
}

static bool
is_without_up(const DbmMigration *migration, bool is_up)
{
	return is_up && migration->up.statements < 0;
}

static bool
is_online(const DbmMigration *migration, bool is_up)
{
	return script_info(migration, is_up)->online || dbm_migration_is_half_done(migration);
}

static bool
is_untrusted(const DbmMigration *migration, bool is_up)
{
	const DbmScriptInfo *info = script_info(migration, is_up);

	return info->statements > 0 && info->trust == DBM_TRUST_NONE;
}

static bool
is_raising(const DbmMigration *migration, bool is_up)
{
	const DbmScriptInfo *info = script_info(migration, is_up);

	return info->sets_role && info->trust == DBM_TRUST_RESTRICTED;
}

static bool
is_without_down(const DbmMigration *migration, bool is_up)
{
	return migration->down.statements < 0;
}

static DbmScriptInfo *
script_info(const DbmMigration *migration, bool is_up)
{
	return unconstify(DbmScriptInfo *, is_up ? &migration->up : &migration->down);
}

static DbmScript *
scan_registered(const DbmExtension *ext, const DbmMigration *migration, bool is_up)
{
	int			len;
	char	   *text = dbm_state_read_script(ext, migration, is_up, &len);

	return dbm_script_scan(text, len, true);
}
