/*-------------------------------------------------------------------------
 *
 * runs.c
 *	  The rows of migrate.run: calls of the procedures.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"

#include "tables/tables.h"

void
dbm_runs_begin(const DbmExtension *ext, int64 number, const char *procedure)
{
	DbmParams	params = {0};

	dbm_param_int64(&params, number);
	dbm_param_text(&params, procedure);
	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, GetUserNameFromId(GetSessionUserId(), false));
	dbm_param_text(&params, GetUserNameFromId(GetUserId(), false));
	dbm_query(ext,
			  "INSERT INTO migrate.run (number, procedure, target_schema, project, session_username, username,"
			  " application_name, client_addr) VALUES ($1, $2, $3, $4, $5, $6,"
			  " pg_catalog.current_setting('application_name'), pg_catalog.inet_client_addr())",
			  &params, SPI_OK_INSERT);
	dbm_query_expect_one_row("migrate.run");
}

/* "error" is NULL if all went well. */
void
dbm_runs_end(const DbmExtension *ext, int64 number, int64 migrations, const ErrorData *error)
{
	DbmParams	params = {0};

	dbm_param_int64(&params, number);
	dbm_param_int64(&params, migrations);
	dbm_param_text(&params, error ? unpack_sql_state(error->sqlerrcode) : NULL);
	dbm_param_text(&params, error ? error->message : NULL);
	dbm_query(ext,
			  "UPDATE migrate.run SET ended_at = pg_catalog.clock_timestamp(), migrations = $2, sqlstate = $3,"
			  " message = $4 WHERE number OPERATOR(pg_catalog.=) $1",
			  &params, SPI_OK_UPDATE);
}
