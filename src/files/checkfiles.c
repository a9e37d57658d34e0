/*-------------------------------------------------------------------------
 *
 * checkfiles.c
 *	  The migrations of a set of files against what is registered: what is in
 *	  their scripts, what differs, and what of that may be.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"

#include "files/internal.h"

static bool takes_over(const DbmExtension *ext, DbmRegistration *wanted, const DbmStored *stored);

/* Scan and parse all scripts; some can never be run. */
void
dbm_check_texts(DbmFileSet *set)
{
	ListCell   *lc;

	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmRegistration *wanted = &migration->registration;

		CHECK_FOR_INTERRUPTS();
		if (migration->is_unreadable || migration->known)
			continue;			/* that is told already, or has been */
		wanted->from_files = true;
		wanted->down_is_file = migration->down_file != migration->up_file;
		dbm_registration_read(wanted);
		wanted->up_online |= migration->up_no_transaction;
		wanted->down_online |= migration->down_no_transaction;
		if (wanted->refused)
		{
			const DbmTrouble *problem = wanted->refused->refused;
			DbmTrouble *trouble = dbm_trouble(problem->sqlerrcode,
											  psprintf("%s (line %d)", problem->message, problem->line),
											  problem->detail, problem->hint);

			trouble->file = dbm_fileset_main_file(migration)->path;
			set->troubles = lappend(set->troubles, trouble);
		}
	}
}

/*
 * What is registered for each migration of the set, in their order; NULL for
 * those that are known, and where nothing is.
 */
DbmStored **
dbm_check_look_up(const DbmExtension *ext, DbmFileSet *set)
{
	int			count = list_length(set->migrations);
	DbmRegistration **wanted = palloc(Max(count, 1) * sizeof(DbmRegistration *));
	DbmStored **found = palloc0(Max(count, 1) * sizeof(DbmStored *));
	DbmStored **stored = palloc0(Max(count, 1) * sizeof(DbmStored *));
	int			n = 0;

	for (int i = 0; i < count; i++)
	{
		DbmFileMigration *migration = list_nth(set->migrations, i);

		if (!migration->known && !migration->is_unreadable)
			wanted[n++] = &migration->registration;
	}
	if (n == 0)
		return stored;
	dbm_migrations_stored_many(ext, wanted, n, found);
	n = 0;
	for (int i = 0; i < count; i++)
	{
		DbmFileMigration *migration = list_nth(set->migrations, i);
		DbmRegistration *registration = &migration->registration;

		if (migration->known || migration->is_unreadable)
			continue;
		stored[i] = found[n++];
		if (stored[i] && takes_over(ext, registration, stored[i]))
			stored[i] = dbm_migrations_stored(ext, registration);
	}
	return stored;
}

/*
 * Does something of what is registered change what is wanted?  A down script
 * alone does not rename its migration, and what the file said about environments
 * before is said no more.
 */
static bool
takes_over(const DbmExtension *ext, DbmRegistration *wanted, const DbmStored *stored)
{
	if (wanted->up == 0)
	{
		wanted->name = stored->name;
		if (wanted->version_key)
			wanted->version = stored->version;
	}
	if (stored->environments == 0 || wanted->environments || stored->same_up ||
		!dbm_directives_limit(ext, stored->id))
		return wanted->up == 0;
	wanted->environments = PointerGetDatum(construct_empty_array(TEXTOID));
	return true;
}

/*
 * May the migration be registered as its files have it?  NULL, or why not;
 * migration->stored is what is registered.
 */
DbmTrouble *
dbm_check_one(const DbmExtension *ext, DbmFileMigration *migration, bool down_alone)
{
	const DbmStored *stored = migration->stored;
	const DbmRegistration *wanted = &migration->registration;

	migration->has_sql = stored && stored->has_up;
	if (stored && dbm_stored_is_same(stored))
		return NULL;
	if (stored == NULL && wanted->up == 0 && !migration->is_code && !down_alone)
		return dbm_trouble(ERRCODE_UNDEFINED_OBJECT,
						   psprintf("there is no up script for version %s", wanted->version), NULL,
						   "Add the file that this one undoes, or leave it out.");

	return dbm_rules_check(ext, wanted, stored);
}

/* What is worth knowing about a migration, or NULL. */
const char *
dbm_check_describe(const DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	StringInfoData buf;

	initStringInfo(&buf);
	if (migration->rank > 0)
		appendStringInfoString(&buf, "; another file has the same number");
	if (wanted->baseline_key)
		appendStringInfo(&buf, "; runs only where nothing is applied, for all versions up to %s", wanted->id + 3);
	if (migration->is_code && migration->has_sql)
		appendStringInfoString(&buf, "; not SQL, but its SQL is registered");
	else if (migration->is_code)
		appendStringInfoString(&buf, "; not SQL, cannot be applied here");
	else if (wanted->up == 0)
		appendStringInfoString(&buf, "; the down script alone");
	else if (wanted->up_script->unreadable)
		appendStringInfoString(&buf, "; this server cannot read it");
	else if (wanted->up_script->ncommands == 0)
		appendStringInfoString(&buf, "; no statement, nothing to run");
	if (dbm_fileset_main_file(migration)->directives.environments)
		appendStringInfo(&buf, "; runs in %s only", dbm_environments_text(wanted->environments));
	if (wanted->up_online)
		appendStringInfoString(&buf, "; runs outside a transaction block");
	if (wanted->down && wanted->down_statements < 0)
		appendStringInfoString(&buf, "; no statement to undo it, cannot be rolled back");
	else if (wanted->down && wanted->down_script->unreadable)
		appendStringInfoString(&buf, "; its down script cannot be run here");
	else if (wanted->down && wanted->down_online && !wanted->up_online)
		appendStringInfoString(&buf, "; rolls back outside a transaction block");
	return buf.len > 0 ? buf.data + 2 : NULL;
}
