/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The rows that migrate.adopt() returns, with the commands that settle
 *	  what it cannot settle itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "adopt/adopt.h"

static bool is_pending(const DbmAdoption *adoption, const DbmLookupEntry *known);
static void report_pending(const DbmAdoption *adoption, const DbmLookupEntry *known);

/* One row of the result; an empty detail is none. */
void
dbm_adoption_put(const DbmAdoption *adoption, const char *version, const char *name,
				 const char *result, const TimestampTz *applied_at, const char *applied_by,
				 const char *detail)
{
	DbmRow		row = {0};

	dbm_row_add_text(&row, version);
	dbm_row_add_text(&row, name);
	dbm_row_add_text(&row, result);
	dbm_row_add(&row, TimestampTzGetDatum(applied_at ? *applied_at : 0), applied_at == NULL);
	dbm_row_add_text(&row, applied_by);
	dbm_row_add_text(&row, detail[0] ? detail : NULL);
	dbm_row_put(&row, adoption->result);
}

/* A row of the other tool's table for which nothing can be recorded. */
void
dbm_adoption_report_unusable(const DbmAdoption *adoption, const DbmToolRow *row, bool is_taken)
{
	const char *version = is_taken ? psprintf("%s.1", row->version) : "version";

	version = dbm_literal(version);
	dbm_adoption_put(adoption, row->text, row->name, "not adopted", row->applied_at, row->applied_by,
					 psprintf("%s; register it under a version of its own: SELECT migrate.add(%s, %s, 'its up script'%s); then: SELECT migrate.mark_applied(%s, %s%s);",
							  is_taken ? "another migration has the same version" : "there is no version in it",
							  version, dbm_literal(row->name), dbm_project_argument(&adoption->ext),
							  version, dbm_literal(adoption->reason),
							  dbm_target_argument(&adoption->ext, false)));
}

/* A migration that was rolled back here after it had been applied there. */
void
dbm_adoption_report_undone(const DbmAdoption *adoption, const DbmLookupEntry *known)
{
	const DbmMigration *migration = &known->row.migration;

	dbm_adoption_put(adoption, migration->version, migration->name,
					 migration->is_registered ? "pending" : "not adopted", NULL, NULL,
					 psprintf("it was undone here later; if it is in force again: %sSELECT migrate.mark_applied(%s, 'the reason'%s);",
							  migration->is_registered ? "" :
							  psprintf("SELECT migrate.add(%s, %s, 'its up script'%s); and ",
									   migration->version ? dbm_literal(migration->version) : "NULL",
									   dbm_literal(migration->name), dbm_project_argument(&adoption->ext)),
							  dbm_literal(DBM_MIGRATION_REF(migration)),
							  dbm_target_argument(&adoption->ext, false)));
}

/* What the other tool's table does not have: not yet, or no longer. */
void
dbm_adoption_report_rest(const DbmAdoption *adoption)
{
	ListCell   *lc;

	foreach(lc, adoption->known->all)
	{
		DbmLookupEntry *known = lfirst(lc);
		const DbmMigration *migration = &known->row.migration;

		if (!migration->is_applied)
		{
			if (!known->is_seen && is_pending(adoption, known))
				report_pending(adoption, known);
		}
		else if (!known->is_seen && known->row.adopted_from &&
				 strcmp(known->row.adopted_from, adoption->reason) == 0)
			dbm_adoption_put(adoption, migration->version, migration->name, "missing there",
							 known->row.applied_at, known->row.applied_by,
							 psprintf("it was adopted from %s and is not there any more; if it was undone: SELECT migrate.mark_pending(%s, 'the reason'%s);",
									  adoption->table->ref,
									  dbm_literal(DBM_MIGRATION_REF(migration)),
									  dbm_target_argument(&adoption->ext, false)));
	}
}

/* As its state will be, now that other migrations are applied. */
static bool
is_pending(const DbmAdoption *adoption, const DbmLookupEntry *known)
{
	DbmState	state = known->row.migration.state;

	if (state == DBM_STATE_APPLIED || state == DBM_STATE_SKIPPED)
		return false;
	if (known->canonical && adoption->baseline &&
		dbm_version_compare(known->canonical, adoption->baseline) <= 0)
		return false;
	if (known->row.migration.is_baseline)
		return adoption->newest == NULL && state != DBM_STATE_SUPERSEDED;
	return adoption->newest != NULL || state != DBM_STATE_SUPERSEDED;
}

static void
report_pending(const DbmAdoption *adoption, const DbmLookupEntry *known)
{
	const DbmMigration *migration = &known->row.migration;
	const char *detail = "";

	if (known->canonical && adoption->newest &&
		dbm_version_compare(known->canonical, adoption->newest) < 0)
		detail = psprintf("it is older than what is applied; to run it: SET dbmigrate.out_of_order = 'allow'; or, if it is in force: SELECT migrate.mark_applied(%s, 'the reason'%s);",
						  dbm_literal(migration->version), dbm_target_argument(&adoption->ext, false));
	dbm_adoption_put(adoption, migration->version, migration->name, "pending", NULL, NULL, detail);
}
