/*-------------------------------------------------------------------------
 *
 * connect.c
 *	  The connection, and what it leads to.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "connect.h"
#include "messages.h"
#include "options.h"
#include "query.h"
#include "say.h"
#include "signals.h"
#include "sqltext.h"
#include "url.h"
#include "utf8.h"

PGconn	   *connection;
Facts		facts;

static Url	url;
static char *password;

static void disconnect(void);
static PGconn *try_to_connect(void);
static void wait_until_connected(PGconn *conn);
static void ask_password(void);
static void fail_to_connect(PGconn *conn) __attribute__((noreturn));
static void read_facts(void);
static const char *environment_text(void);
static void read_environment_of_database(void);
static void check_environment(void);
static bool has_word(const char *words, const char *word);

/* Connects, says where, and ends the program if it is not where it should be. */
void
connect_database(void)
{
	if (options.url)
	{
		url = url_read(options.url);
		if (url.problem)
			usage_error("postgres://user:password@host:5432/database", "cannot read the database URL: %s", url.problem);
		if (*url.ignored)
			note("note: left out of the URL, for another tool:%s", url.ignored);
	}
	atexit(disconnect);
	connection = try_to_connect();
	if (PQstatus(connection) != CONNECTION_OK && PQconnectionNeedsPassword(connection) && password == NULL &&
		isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
	{
		ask_password();
		PQfinish(connection);
		connection = try_to_connect();
	}
	if (PQstatus(connection) != CONNECTION_OK)
		fail_to_connect(connection);
	PQsetnonblocking(connection, 1);
	PQsetNoticeReceiver(connection, message_receive, NULL);
	signals_only_note();
	read_facts();
	note("database %s as %s %s (PostgreSQL %s, environment %s)", harmless_line(facts.database), facts.user,
		 facts.where, facts.server_version, environment_text());
	check_environment();
}

static void
disconnect(void)
{
	PQfinish(connection);
	connection = NULL;
}

static PGconn *
try_to_connect(void)
{
	PGconn	   *conn = connect_start();

	wait_until_connected(conn);
	return conn;
}

/* Begins to connect, also for the second time; it is the caller who waits. */
PGconn *
connect_start(void)
{
	const char *keywords[] = {"dbname", "fallback_application_name", "client_encoding", password ? "password" : NULL, NULL};
	const char *values[] = {url.for_libpq, "dbmigrate", "UTF8", password, NULL};
	PGconn	   *conn = PQconnectStartParams(keywords, values, 1);

	if (conn == NULL)
		fail("out of memory", NULL);
	return conn;
}

/* Not in libpq, which would begin anew after a signal. */
static void
wait_until_connected(PGconn *conn)
{
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;

	while (PQstatus(conn) != CONNECTION_BAD && state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED)
	{
		struct pollfd wait = {PQsocket(conn), state == PGRES_POLLING_READING ? POLLIN : POLLOUT, 0};

		if (poll(&wait, 1, -1) >= 0)
			state = PQconnectPoll(conn);
		else if (errno != EINTR)
			break;
	}
}

/* On the terminal, without an echo. */
static void
ask_password(void)
{
	struct termios before;
	struct termios silent;
	Text		typed = {0};
	char		c;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return;
	signals_restore_terminal(&before);
	silent = before;
	silent.c_lflag &= ~(tcflag_t) ECHO;
	/* in this order: what is typed once it is asked for counts */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
	fprintf(stderr, "Password: ");
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		text_append_char(&typed, c);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
	signals_restore_terminal(NULL);
	fprintf(stderr, "\n");
	password = typed.data ? typed.data : copy_string("");
}

static void
fail_to_connect(PGconn *conn)
{
	char	   *message = url_without_secrets(&url, PQerrorMessage(conn));
	size_t		len = strlen(message);

	while (len > 0 && message[len - 1] == '\n')
		message[--len] = '\0';
	say("%s", message);
	fail("cannot connect to the database",
		 options.url ? "correct the URL, which is from --url or DATABASE_URL, or look at the server" :
		 "name it with --url, DATABASE_URL, or PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE");
}

/*
 * The search_path is against what somebody else has planted; without pg_temp in
 * it the session's temporary types and tables would come first.  What is in a
 * schema of that name is ours only where the extension is.
 */
static void
read_facts(void)
{
	PGresult   *row = query("BEGIN ISOLATION LEVEL READ COMMITTED; "
							"SET LOCAL search_path = pg_catalog, pg_temp; "
							"WITH ours AS ("
							"  SELECT p.proname, has_schema_privilege(p.pronamespace, 'USAGE') AND"
							"         has_function_privilege(p.oid, 'EXECUTE') AS callable"
							"    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname = 'migrate'"
							"   WHERE EXISTS (SELECT FROM pg_extension WHERE extname = 'dbmigrate')) "
							"SELECT current_database(), current_user, split_part(current_setting('server_version'), ' ', 1),"
							"       pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,"
							"       EXISTS (SELECT FROM pg_extension WHERE extname = 'dbmigrate'),"
							"       CASE WHEN NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'dbmigrate')"
							"            THEN EXISTS (SELECT FROM pg_available_extensions WHERE name = 'dbmigrate') END,"
							"       (SELECT coalesce(string_agg(proname, ' '), '') FROM ours WHERE callable),"
							"       (SELECT coalesce(string_agg(proname, ' '), '') FROM ours); "
							"COMMIT", 0, NULL);

	facts.database = copy_string(PQgetvalue(row, 0, 0));
	facts.user = harmless_line(PQgetvalue(row, 0, 1));
	facts.grantee = sql_identifier(PQgetvalue(row, 0, 1));
	facts.server_version = harmless_line(PQgetvalue(row, 0, 2));
	facts.is_read_only = *PQgetvalue(row, 0, 3) == 't';
	facts.is_installed = *PQgetvalue(row, 0, 4) == 't';
	facts.is_available = *PQgetvalue(row, 0, 5) == 't';
	facts.callable = format_string(" %s ", PQgetvalue(row, 0, 6));
	facts.present = format_string(" %s ", PQgetvalue(row, 0, 7));
	PQclear(row);
	facts.host = harmless_line(PQhost(connection) ? PQhost(connection) : "");
	if (*facts.host == '/' || *facts.host == '@')
		facts.where = format_string("on the socket %s, port %s", facts.host, PQport(connection));
	else
		facts.where = format_string("on %s:%s", facts.host, PQport(connection));
	read_environment_of_database();
}

static void
read_environment_of_database(void)
{
	PGresult   *row;

	facts.environment = copy_string("");
	facts.may_ask_environment = may_call("environment");
	if (!facts.may_ask_environment)
		return;
	row = query("SELECT migrate.environment()", 0, NULL);
	free(facts.environment);
	facts.environment = harmless_line(PQgetvalue(row, 0, 0));
	PQclear(row);
}

static const char *
environment_text(void)
{
	if (facts.is_installed && !facts.may_ask_environment)
		return "not known";
	return *facts.environment ? facts.environment : "not set";
}

/* A URL in the wrong variable must not lead a deployment astray. */
static void
check_environment(void)
{
	if (options.environment == NULL || equal_nocase(facts.environment, options.environment))
		return;
	fail(format_string("database %s is not %s: its environment is %s", harmless_line(facts.database),
					   harmless_line(options.environment), environment_text()),
		 "ALTER DATABASE ... SET dbmigrate.environment = '...'; says what a database is");
}

void
need_extension(void)
{
	if (facts.is_installed)
		return;
	need_available();
	fail(format_string("the extension dbmigrate is not installed in database %s", harmless_line(facts.database)),
		 "dbmigrate init");
}

/* Could it be created? */
void
need_available(void)
{
	if (facts.is_available)
		return;
	fail("the extension dbmigrate is not available on this server",
		 "an administrator of the server installs it there: make && sudo make install, in the source of dbmigrate");
}

/* Who runs scripts may not be somebody who reads them.  In a transaction; tables like "migrate.a, migrate.b". */
void
need_select(const char *what, const char *tables)
{
	const char *values[] = {tables};
	PGresult   *row = query("SELECT has_schema_privilege('migrate', 'USAGE') AND bool_and(has_table_privilege(t, 'SELECT'))"
							"  FROM unnest(string_to_array($1, ', ')) t", 1, values);

	if (*PQgetvalue(row, 0, 0) != 't')
		fail(format_string("%s may not read %s", facts.user, what),
			 format_string("GRANT USAGE ON SCHEMA migrate TO %s; GRANT SELECT ON %s TO %s;", facts.grantee, tables, facts.grantee));
	PQclear(row);
}

/* A function or procedure of the extension; its names are not overloaded. */
bool
may_call(const char *function)
{
	return has_word(facts.callable, function);
}

bool
has_function(const char *function)
{
	return has_word(facts.present, function);
}

static bool
has_word(const char *words, const char *word)
{
	char	   *wanted = format_string(" %s ", word);
	bool		found = strstr(words, wanted) != NULL;

	free(wanted);
	return found;
}
