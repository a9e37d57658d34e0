/*-------------------------------------------------------------------------
 *
 * approvals.c
 *	  The rows of migrate.approval: who vouches for the scripts of others,
 *	  and what that is worth to the current user.
 *
 * An approval is for the exact bytes of a script, and for the environments
 * its migration was limited to: any others make it void, fewer do not.  Each
 * approver has a row of his own, so that nobody's takes the place of another.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"

#include "tables/tables.h"

static SPIPlanPtr plan_approvers = NULL;

static DbmTrust best_approval(const DbmExtension *ext, const DbmMigration *migration, bool is_up);
static bool is_same(Datum sha256, Datum wanted);
static void approve_script(const DbmExtension *ext, const DbmStored *stored, bool is_up,
						   bool may_set_role);

/*
 * May the current user run a script of "migration", as it was last read?
 * Its author is asked first, and who approved it only if that is not enough.
 */
DbmTrust
dbm_approvals_trust(const DbmExtension *ext, const DbmMigration *migration, bool is_up)
{
	const DbmScriptInfo *info = is_up ? &migration->up : &migration->down;
	DbmTrust	trust = info->author ? dbm_trust_author(info->author) : DBM_TRUST_NONE;

	if (trust != DBM_TRUST_FULL)
		trust = Max(trust, best_approval(ext, migration, is_up));
	return trust;
}

static DbmTrust
best_approval(const DbmExtension *ext, const DbmMigration *migration, bool is_up)
{
	DbmParams	params = {0};
	DbmTrust	best = DBM_TRUST_NONE;

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, migration->id);
	dbm_param_text(&params, is_up ? "up" : "down");
	dbm_param_datum(&params, BYTEAOID, is_up ? migration->up.sha256 : migration->down.sha256);
	dbm_query_saved(ext, &plan_approvers,
					"SELECT p.approved_by, p.may_set_role FROM migrate.approval p"
					" JOIN migrate.migration m ON m.project OPERATOR(pg_catalog.=) p.project"
					"  AND m.id OPERATOR(pg_catalog.=) p.migration"
					" WHERE p.project OPERATOR(pg_catalog.=) $1 AND p.migration OPERATOR(pg_catalog.=) $2"
					" AND p.script OPERATOR(pg_catalog.=) $3 AND p.sha256 OPERATOR(pg_catalog.=) $4"
					" AND (p.environments IS NULL OR (m.environments IS NOT NULL"
					"  AND pg_catalog.lower(m.environments::pg_catalog.text)::pg_catalog.text[]"
					"  OPERATOR(pg_catalog.<@) pg_catalog.lower(p.environments::pg_catalog.text)::pg_catalog.text[]))",
					&params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
		best = Max(best, dbm_trust_approver(dbm_column_text(row, 1), dbm_column_bool(row, 2)));
	SPI_freetuptable(SPI_tuptable);
	return best;
}

/*
 * The current user vouches for the scripts that "stored" has: for both, or
 * for the one with the SHA-256 "sha256" (bytea) if that is not 0.  With
 * "may_set_role" also for what they do with SET ROLE.  Returns what was
 * approved, for people.  Error 55000 if that is no longer what is stored.
 */
char *
dbm_approvals_add(const DbmExtension *ext, const DbmStored *stored, Datum sha256, bool may_set_role)
{
	bool		up = stored->has_up && is_same(stored->up_sha256, sha256);
	bool		down = stored->down_sha256 != 0 && is_same(stored->down_sha256, sha256);

	if (!up && !down)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s has no script with this SHA-256", stored->version),
				 errdetail("It was changed since, or it is another text."),
				 errhint("Read it again: SELECT up, up_sha256, down, down_sha256 FROM migrate.migration WHERE project = %s AND id = %s;",
						 dbm_literal(ext->project), dbm_literal(stored->id))));
	if (up)
		approve_script(ext, stored, true, may_set_role);
	if (down)
		approve_script(ext, stored, false, may_set_role);
	return psprintf("%s%s%s, %s", up ? "up" : "", up && down ? " and " : "", down ? "down" : "",
					stored->environments ?
					psprintf("in %s", dbm_environments_text(stored->environments)) : "everywhere");
}

/* Everybody who asks for no hash in particular means the text as it is. */
static bool
is_same(Datum sha256, Datum wanted)
{
	return wanted == 0 || datumIsEqual(sha256, wanted, false, -1);
}

static void
approve_script(const DbmExtension *ext, const DbmStored *stored, bool is_up, bool may_set_role)
{
	DbmParams	params = {0};

	dbm_param_text(&params, stored->id);
	dbm_param_text(&params, is_up ? "up" : "down");
	dbm_param_text(&params, GetUserNameFromId(GetUserId(), false));
	dbm_param_datum(&params, BYTEAOID, is_up ? stored->up_sha256 : stored->down_sha256);
	dbm_param_bool(&params, may_set_role);
	dbm_param_datum(&params, TEXTARRAYOID, stored->environments);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "INSERT INTO migrate.approval (project, migration, script, approved_by, sha256, may_set_role, environments)"
			  " SELECT m.project, m.id, $2, $3, $4, $5, m.environments FROM migrate.migration m"
			  " WHERE m.project OPERATOR(pg_catalog.=) $7 AND m.id OPERATOR(pg_catalog.=) $1 AND NOT m.altered"
			  " AND CASE WHEN $2 OPERATOR(pg_catalog.=) 'up' THEN m.up_sha256 ELSE m.down_sha256 END"
			  "  OPERATOR(pg_catalog.=) $4"
			  " AND ((m.environments IS NULL AND $6 IS NULL) OR m.environments OPERATOR(pg_catalog.=) $6)"
			  " ON CONFLICT ON CONSTRAINT approval_pkey DO UPDATE SET"
			  " approved_at = excluded.approved_at, sha256 = excluded.sha256,"
			  " may_set_role = excluded.may_set_role, environments = excluded.environments",
			  &params, SPI_OK_INSERT);
	if (SPI_processed != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s was changed in the meantime", stored->version),
				 errhint("Read it again before you approve it.")));
}

/* A migration is forgotten, and with it who vouched for it. */
void
dbm_approvals_forget(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext, "DELETE FROM migrate.approval p WHERE p.project OPERATOR(pg_catalog.=) $1"
			  " AND p.migration OPERATOR(pg_catalog.=) $2",
			  &params, SPI_OK_DELETE);
}
