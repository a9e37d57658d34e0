/*-------------------------------------------------------------------------
 *
 * query.c
 *	  Statements: sent, waited for, and cancelled where somebody wants that.
 *
 * Arguments travel as parameters; no SQL is built out of them.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "connect.h"
#include "messages.h"
#include "outcome.h"
#include "query.h"
#include "say.h"
#include "signals.h"

#define LOOK_INTERVAL 100		/* milliseconds, of the hook and of a signal
								 * that came in between */

static WaitHook wait_hook;
static bool is_cancelled;		/* the statement that is running */

static PGresult *send_and_wait(const char *sql, int n, const char *const *values);
static PGresult *wait_for_result(void);
static void wait_for_server(void);
static void keep_up_with_signals(void);
static void send_cancel(void);
static PGresult *better_result(PGresult *so_far, PGresult *next);

/* Runs a statement; if it fails, says so and ends the program. */
PGresult *
query(const char *sql, int n, const char *const *values)
{
	PGresult   *result = query_any(sql, n, values);

	if (!query_succeeded(result))
		outcome_failed(result);
	return result;
}

void
execute(const char *sql)
{
	PQclear(query(sql, 0, NULL));
}

/*
 * Runs a statement, or without parameters several; the result, which may be an
 * error, is the last one with rows.  Ends the program if a signal stopped it.
 */
PGresult *
query_any(const char *sql, int n, const char *const *values)
{
	PGresult   *result;

	if (signals_exit_code())
		outcome_interrupted(NULL);
	result = send_and_wait(sql, n, values);
	if (signals_exit_code() && !query_succeeded(result))
		outcome_interrupted(result);
	return result;
}

static PGresult *
send_and_wait(const char *sql, int n, const char *const *values)
{
	int			sent;

	is_cancelled = false;
	if (n == 0)
		sent = PQsendQuery(connection, sql);
	else
		sent = PQsendQueryParams(connection, sql, n, NULL, values, NULL, NULL, 0);
	/* else the result below is the error */
	if (!sent && PQstatus(connection) == CONNECTION_OK)
		fail(PQerrorMessage(connection), NULL);
	return wait_for_result();
}

static PGresult *
wait_for_result(void)
{
	PGresult   *result = NULL;
	PGresult   *next = NULL;

	do
	{
		wait_for_server();
		/* asked for more, libpq would complain of a second thing */
		if (PQstatus(connection) != CONNECTION_OK && PQisBusy(connection))
			break;
		next = PQgetResult(connection);
		if (next)
			result = better_result(result, next);
	} while (next && PQstatus(connection) == CONNECTION_OK && PQresultStatus(next) != PGRES_COPY_IN &&
			 PQresultStatus(next) != PGRES_COPY_OUT);
	if (result == NULL)
		result = PQmakeEmptyPGresult(connection, PGRES_FATAL_ERROR);
	return result;
}

/* Until PQgetResult() would not wait. */
static void
wait_for_server(void)
{
	int			unsent = PQflush(connection);

	while (PQstatus(connection) == CONNECTION_OK && (unsent == 1 || PQisBusy(connection)))
	{
		struct pollfd wait = {PQsocket(connection), POLLIN, 0};

		keep_up_with_signals();
		if (unsent == 1)
			wait.events |= POLLOUT;
		if (poll(&wait, 1, LOOK_INTERVAL) < 0 && errno != EINTR)
			break;
		if ((wait.revents & (POLLIN | POLLERR | POLLHUP)) && !PQconsumeInput(connection))
			break;
		if (unsent == 1)
			unsent = PQflush(connection);
		if (wait_hook && unsent != 1)
			wait_hook();
	}
}

static void
keep_up_with_signals(void)
{
	if (signals_exit_code() == 0)
		return;
	if (!is_cancelled)
		send_cancel();
	is_cancelled = true;
	if (signals_wait_no_more())
		outcome_interrupted(NULL);
}

/*
 * In a process of its own: it connects to the server, which may take for ever, and
 * a second signal must not wait for that.
 */
static void
send_cancel(void)
{
	PGcancel   *cancel = PQgetCancel(connection);
	char		error[256];

	if (cancel == NULL)
		return;
	if (fork() == 0)
		_exit(PQcancel(cancel, error, sizeof(error)) ? 0 : 1);
	PQfreeCancel(cancel);
}

/*
 * Before something is asked after a statement that a signal has ended: what
 * cancels may come late, and must not hit that.
 */
void
query_after_cancel(void)
{
	PQsetnonblocking(connection, 0);
	if (!is_cancelled || signals_wait_no_more())
		return;
	while (waitpid(-1, NULL, 0) > 0)
		 /* the next one */ ;
	PQclear(PQexec(connection, "SELECT 1"));
}

/* An error, or rows, or whatever there is. */
static PGresult *
better_result(PGresult *so_far, PGresult *next)
{
	bool		keeps = so_far && (!query_succeeded(so_far) ||
								   (PQresultStatus(so_far) == PGRES_TUPLES_OK && query_succeeded(next) &&
									PQresultStatus(next) != PGRES_TUPLES_OK));

	PQclear(keeps ? next : so_far);
	return keeps ? so_far : next;
}

bool
query_succeeded(const PGresult *result)
{
	return PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK;
}

/* Is it the end of the connection, so that nobody has told how the statement ended? */
bool
query_lost(const PGresult *result)
{
	const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

	return severity == NULL || strcmp(severity, "ERROR") != 0;
}

void
query_set_wait_hook(WaitHook hook)
{
	wait_hook = hook;
}

/* Seconds, of a clock that nobody sets. */
double
now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

/*
 * Begins a transaction.  Nothing is computed but with this search_path: the owner
 * of the database chooses the default one, and whatever he has planted ahead of
 * pg_catalog would run as whoever runs this.
 */
void
begin(void)
{
	execute("BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL search_path = pg_catalog, pg_temp");
}

/* Ends it, and keeps in mind whether that is known to be done. */
void
commit(void)
{
	PGresult   *result;

	if (signals_exit_code())
		outcome_interrupted(NULL);
	outcome.fate = FATE_COMMITTING;
	result = send_and_wait("COMMIT", 0, NULL);
	if (PQresultStatus(result) == PGRES_COMMAND_OK && strcmp(PQcmdStatus(result), "COMMIT") == 0)
		outcome.fate = FATE_COMMITTED;
	else
	{
		if (PQresultStatus(result) == PGRES_COMMAND_OK || !query_lost(result))
			outcome.fate = FATE_REFUSED;
		if (signals_exit_code())
			outcome_interrupted(result);
		outcome_failed(result);
	}
	PQclear(result);
}

void
rollback(void)
{
	execute("ROLLBACK");
}
