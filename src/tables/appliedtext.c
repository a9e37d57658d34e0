/*-------------------------------------------------------------------------
 *
 * appliedtext.c
 *	  What migrate.applied says of a migration follows what is registered for
 *	  it: its name, and the checksum of its text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/datum.h"

#include "tables/tables.h"

static SPIPlanPtr plan_learn = NULL;

static void learn_by_version(const DbmExtension *ext, Datum version_key);
static void learn_by_id(const DbmExtension *ext, const char *id);
static void take_over(const DbmExtension *ext, const char *id, const char *set);

/*
 * A migration that was recorded as applied before its text was known counts as
 * applied with this text from now on, so that later changes of it are seen.
 */
void
dbm_applied_learn_text(const DbmExtension *ext, const DbmRegistration *wanted)
{
	if (wanted->id)
		learn_by_id(ext, wanted->id);
	else if (wanted->up)
		learn_by_version(ext, wanted->version_key);
}

/* The same for the migrations of these ids (text[]), which were just registered. */
void
dbm_applied_learn_texts(const DbmExtension *ext, Datum ids)
{
	static const char *const conditions[] = {
		"m.up_statements OPERATOR(pg_catalog.>=) 0 AND a.version_key OPERATOR(pg_catalog.=) m.version_key",
		"m.version_key IS NULL AND a.id OPERATOR(pg_catalog.=) m.id"
	};

	for (int i = 0; i < lengthof(conditions); i++)
	{
		DbmParams	params = {0};

		dbm_param_text(&params, ext->project);
		dbm_param_datum(&params, TEXTARRAYOID, ids);
		dbm_query(ext,
				  psprintf("UPDATE migrate.applied a SET checksum = m.checksum, checksum_kind = m.checksum_kind"
						   " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1"
						   " AND m.id OPERATOR(pg_catalog.=) ANY ($2) AND a.project OPERATOR(pg_catalog.=) $1"
						   " AND a.checksum IS NULL AND %s", conditions[i]),
				  &params, SPI_OK_UPDATE);
	}
}

static void
learn_by_version(const DbmExtension *ext, Datum version_key)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_datum(&params, NUMERICARRAYOID, version_key);
	dbm_query_saved(ext, &plan_learn,
					"UPDATE migrate.applied a SET checksum = m.checksum, checksum_kind = m.checksum_kind"
					" FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1"
					" AND m.version_key OPERATOR(pg_catalog.=) $2 AND a.project OPERATOR(pg_catalog.=) $1"
					" AND a.version_key OPERATOR(pg_catalog.=) $2 AND a.checksum IS NULL",
					&params, SPI_OK_UPDATE);
}

/*
 * The same for one that has no version.  Where a text was known its checksum
 * is missing for another reason: it is to be run again.
 */
static void
learn_by_id(const DbmExtension *ext, const char *id)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext,
			  "UPDATE migrate.applied a SET checksum = m.checksum, checksum_kind = m.checksum_kind"
			  " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1 AND m.id OPERATOR(pg_catalog.=) $2"
			  " AND a.project OPERATOR(pg_catalog.=) $1 AND a.id OPERATOR(pg_catalog.=) $2 AND a.checksum IS NULL",
			  &params, SPI_OK_UPDATE);
}

/*
 * The same text has another checksum if it is to be run in another way, so
 * that BEGIN and COMMIT count or do not, or if only the present server can
 * scan it.  What was applied is not changed by that.
 */
void
dbm_applied_follow_checksum(const DbmExtension *ext, const DbmRegistration *wanted, const DbmStored *stored)
{
	DbmParams	params = {0};
	Datum		checksum;

	if (!stored->is_applied || !stored->same_tokens || wanted->up == 0)
		return;
	checksum = dbm_script_checksum(wanted->up_script, wanted->up_online);
	if (datumIsEqual(checksum, stored->checksum, false, -1))
		return;
	dbm_param_text(&params, stored->id);
	dbm_param_datum(&params, BYTEAOID, checksum);
	dbm_param_datum(&params, BYTEAOID, stored->checksum);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "UPDATE migrate.applied a SET checksum = $2 WHERE a.project OPERATOR(pg_catalog.=) $4"
			  " AND a.id OPERATOR(pg_catalog.=) $1 AND a.checksum OPERATOR(pg_catalog.=) $3",
			  &params, SPI_OK_UPDATE);
}

/* A migration is called in migrate.applied as it is called when registered. */
void
dbm_applied_rename(const DbmExtension *ext, const char *id)
{
	take_over(ext, id, "version = coalesce(m.version, a.version), name = m.name");
}

/* What is registered counts as what was applied, in every target schema. */
void
dbm_applied_accept_text(const DbmExtension *ext, const char *id)
{
	take_over(ext, id, "checksum = m.checksum, checksum_kind = m.checksum_kind");
}

/* Set columns of migrate.applied a from those of migrate.migration m. */
static void
take_over(const DbmExtension *ext, const char *id, const char *set)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, id);
	dbm_query(ext,
			  psprintf("UPDATE migrate.applied a SET %s"
					   " FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1 AND m.id OPERATOR(pg_catalog.=) $2"
					   " AND a.project OPERATOR(pg_catalog.=) $1 AND a.id OPERATOR(pg_catalog.=) $2", set),
			  &params, SPI_OK_UPDATE);
}
