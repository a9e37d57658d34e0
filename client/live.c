/*-------------------------------------------------------------------------
 *
 * live.c
 *	  The line on a terminal that shows what is going on.
 *
 * A second connection looks, on a terminal only, and only where something takes
 * its time.  It is a convenience: if it cannot be had, or fails, or is slow, the
 * run goes on without, and nothing here ever waits.
 *
 *-------------------------------------------------------------------------
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "activity.h"
#include "connect.h"
#include "live.h"
#include "options.h"
#include "query.h"
#include "say.h"
#include "utf8.h"

#define PATIENCE 0.5			/* seconds until it looks for the first time */
#define INTERVAL 0.3			/* and between two looks */

typedef enum LookState
{
	LOOK_NOT_YET,
	LOOK_CONNECTING,
	LOOK_IDLE,
	LOOK_ASKED,
	LOOK_OFF
} LookState;

static LookState state;
static PostgresPollingStatusType connecting;
static PGconn *second;
static double next_look;

static void look(void);
static void go_on_connecting(void);
static void ask(void);
static void take_answer(void);
static void show(const PGresult *rows);
static void give_up(void);
static void disconnect(void);
static void ignore_notice(void *arg, const PGresult *notice);

/* A statement that may take long is about to be sent. */
void
live_begin(void)
{
	const char *term = getenv("TERM");

	if (!display.error_is_tty || options.quiet || term == NULL || strcmp(term, "dumb") == 0 || state == LOOK_OFF)
		return;
	next_look = now() + PATIENCE;
	query_set_wait_hook(look);
}

void
live_end(void)
{
	query_set_wait_hook(NULL);
	display_live_line(NULL);
}

/* WaitHook */
static void
look(void)
{
	switch (state)
	{
		case LOOK_NOT_YET:
			if (now() < next_look)
				return;
			second = connect_start();
			atexit(disconnect);
			PQsetNoticeReceiver(second, ignore_notice, NULL);
			connecting = PGRES_POLLING_WRITING;
			state = LOOK_CONNECTING;
			break;
		case LOOK_CONNECTING:
			go_on_connecting();
			break;
		case LOOK_IDLE:
			if (now() >= next_look)
				ask();
			break;
		case LOOK_ASKED:
			take_answer();
			break;
		case LOOK_OFF:
			break;
	}
}

static void
go_on_connecting(void)
{
	struct pollfd ready = {PQsocket(second), connecting == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};

	if (PQstatus(second) == CONNECTION_BAD)
		give_up();
	else if (poll(&ready, 1, 0) > 0)
	{
		connecting = PQconnectPoll(second);
		if (connecting == PGRES_POLLING_OK)
		{
			PQsetnonblocking(second, 1);
			state = LOOK_IDLE;
		}
		else if (connecting == PGRES_POLLING_FAILED)
			give_up();
	}
}

static void
ask(void)
{
	char		pid[16];
	const char *values[] = {pid};

	snprintf(pid, sizeof(pid), "%d", PQbackendPID(connection));
	if (PQsendQueryParams(second, activity_sql, 1, NULL, values, NULL, NULL, 0))
		state = LOOK_ASKED;
	else
		give_up();
}

static void
take_answer(void)
{
	PGresult   *result;

	PQflush(second);
	if (!PQconsumeInput(second))
	{
		give_up();
		return;
	}
	while (state == LOOK_ASKED && !PQisBusy(second))
	{
		result = PQgetResult(second);
		if (result == NULL)
		{
			state = LOOK_IDLE;
			next_look = now() + INTERVAL;
		}
		else if (PQresultStatus(result) == PGRES_TUPLES_OK)
			show(result);
		else
			give_up();
		PQclear(result);
	}
}

/* One line, and less than that of the terminal. */
static void
show(const PGresult *rows)
{
	char	   *text = PQntuples(rows) > 0 ? activity_text(rows, 0) : NULL;
	char	   *line = text ? cut_to_width(text, display_columns() - 1, ELLIPSIS) : NULL;

	display_live_line(line);
	free(text);
	free(line);
}

static void
give_up(void)
{
	disconnect();
	display_live_line(NULL);
}

static void
disconnect(void)
{
	PQfinish(second);
	second = NULL;
	state = LOOK_OFF;
}

static void
ignore_notice(void *arg, const PGresult *notice)
{
	(void) arg;
	(void) notice;
}
