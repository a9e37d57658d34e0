/*-------------------------------------------------------------------------
 *
 * progress.c
 *	  Tell the client about each migration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

/*
 * libpq.h wants GSSAPI's headers for a struct that is not used here; who
 * builds the extension need not have them.
 */
#undef ENABLE_GSS

#include "libpq/libpq.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "dbmigrate.h"

#define FLUSH_INTERVAL 20		/* milliseconds */

static int	no_flush(void);

/*
 * A NOTICE for a migration.  ereport() would flush each to the client at
 * once, which costs more than the rest of the bookkeeping; so that happens at
 * intervals, and what is held back goes with the next message.
 */
void
dbm_progress_notice(const DbmMigration *migration, bool is_up)
{
	static TimestampTz flushed = 0;
	bool		has_name = migration->version && migration->name[0];	/* an id holds it */
	const PQcommMethods *methods = PqCommMethods;
	PQcommMethods patient = *methods;

	if (TimestampDifferenceExceeds(flushed, GetCurrentTimestamp(), FLUSH_INTERVAL))
		flushed = GetCurrentTimestamp();
	else
		patient.flush = no_flush;

	PqCommMethods = &patient;
	PG_TRY();
	{
		ereport(NOTICE,
				(errmsg(is_up ? "applied migration %s%s%s%s" : "rolled back migration %s%s%s%s",
						DBM_MIGRATION_REF(migration),
						has_name ? " \"" : "", has_name ? migration->name : "",
						has_name ? "\"" : ""),
				 errhidecontext(true)));
	}
	PG_FINALLY();
	{
		PqCommMethods = methods;
	}
	PG_END_TRY();
}

static int
no_flush(void)
{
	return 0;
}
