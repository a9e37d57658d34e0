/*-------------------------------------------------------------------------
 *
 * stepnotice.c
 *	  Tell the client about each migration.
 *
 * ereport() flushes each NOTICE to the client at once, which costs more than
 * the rest of the bookkeeping.  So it is used at intervals; in between the
 * same message is put into the client's buffer, and goes with the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "libpq/pqformat.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

#include "run/run.h"

#define FLUSH_INTERVAL 20		/* milliseconds */

static char *message_text(const DbmMigration *migration, bool is_up);
static bool for_client_only(void);
static void send_notice(const char *text);
static void send_field(StringInfo message, char field, const char *value);

/* A NOTICE for a migration. */
void
dbm_progress_notice(const DbmMigration *migration, bool is_up)
{
	static TimestampTz flushed = 0;
	char	   *text = message_text(migration, is_up);
	TimestampTz now = GetCurrentTimestamp();

	if (for_client_only() && !TimestampDifferenceExceeds(flushed, now, FLUSH_INTERVAL))
		send_notice(text);
	else
	{
		ereport(NOTICE,
				(errmsg_internal("%s", text),
				 errhidecontext(true)));
		flushed = now;
	}
}

static char *
message_text(const DbmMigration *migration, bool is_up)
{
	bool		has_name = migration->version && migration->name[0];	/* an id holds it */

	return psprintf(is_up ? _("applied migration %s%s%s%s") : _("rolled back migration %s%s%s%s"),
					DBM_MIGRATION_REF(migration),
					has_name ? " \"" : "", has_name ? migration->name : "",
					has_name ? "\"" : "");
}

/* Would ereport(NOTICE) send it to the client, and do nothing else? */
static bool
for_client_only(void)
{
	int			log_level = dbm_log_min_messages();

	if (whereToSendOutput != DestRemote || NOTICE < client_min_messages)
		return false;
	/* as a threshold for the server's log, LOG is above ERROR */
	return log_level > NOTICE || log_level == LOG;
}

/* What ereport() sends for it, in the same order. */
static void
send_notice(const char *text)
{
	StringInfoData message;

	pq_beginmessage(&message, 'N');
	send_field(&message, PG_DIAG_SEVERITY, _("NOTICE"));
	send_field(&message, PG_DIAG_SEVERITY_NONLOCALIZED, "NOTICE");
	send_field(&message, PG_DIAG_SQLSTATE, unpack_sql_state(ERRCODE_SUCCESSFUL_COMPLETION));
	send_field(&message, PG_DIAG_MESSAGE_PRIMARY, text);
	send_field(&message, PG_DIAG_CONTEXT, error_context_stack ? GetErrorContextStack() : NULL);
	send_field(&message, PG_DIAG_SOURCE_FILE, "stepnotice.c");
	send_field(&message, PG_DIAG_SOURCE_LINE, CppAsString2(__LINE__));
	send_field(&message, PG_DIAG_SOURCE_FUNCTION, "dbm_progress_notice");
	pq_sendbyte(&message, '\0');
	pq_endmessage(&message);
}

/* Nothing for NULL: a context may be empty although there are callbacks for it. */
static void
send_field(StringInfo message, char field, const char *value)
{
	if (value == NULL)
		return;
	pq_sendbyte(message, field);
	pq_sendstring(message, value);
}
