/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Where in which script we are: for errors, the server's log, and whoever
 *	  looks at pg_stat_activity.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parser/parser.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"

#include "script/internal.h"

static void check_strings(void);
static void log_as_asked(const char *sql);
static void place_in_migration(void *arg);

/* From here on errors say that they are about place->label. */
void
dbm_place_enter(DbmPlace *place)
{
	place->current = -1;
	place->sql = NULL;
	place->callback.callback = place_in_migration;
	place->callback.arg = place;
	place->callback.previous = error_context_stack;
	error_context_stack = &place->callback;
}

void
dbm_place_leave(DbmPlace *place)
{
	error_context_stack = place->callback.previous;
}

/*
 * A statement (from 0) begins: place->sql is its text, NUL-terminated until
 * dbm_place_statement_done().
 */
void
dbm_place_statement(DbmPlace *place, int number)
{
	const DbmStatement *statement = &place->script->statements[number];

	place->current = number;
	place->sql = place->script->text + statement->start;
	place->cut = place->sql[statement->len];
	place->sql[statement->len] = '\0';
	dbm_transaction_limit_statement();
	dbm_activity_show(place->activity, number + 1, place->script->nstatements, place->sql);
	check_strings();
	log_as_asked(place->sql);
}

void
dbm_place_statement_done(DbmPlace *place)
{
	place->sql[place->script->statements[place->current].len] = place->cut;
	place->sql = NULL;
	place->current = -1;
}

/* Statement and line, both from 1; 0 outside of statements. */
void
dbm_place_tell(const DbmPlace *place, int *statement, int *line)
{
	*statement = place->current + 1;
	*line = place->current < 0 ? 0 : place->script->statements[place->current].line;
}

/* The statement boundaries hold for standard strings only. */
static void
check_strings(void)
{
	if (!dbm_strings_are_standard())
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a migration must not switch standard_conforming_strings off")));
}

/* log_statement knows only what the client sent; do the same for scripts. */
static void
log_as_asked(const char *sql)
{
	if (log_statement == LOGSTMT_NONE)
		return;
	if (log_statement != LOGSTMT_ALL)
	{
		List	   *trees = raw_parser(sql, RAW_PARSE_DEFAULT);

		if (trees == NIL || GetCommandLogLevel(linitial(trees)) > log_statement)
			return;
	}
	ereport(LOG,
			(errmsg("statement: %s", sql),
			 errhidestmt(true),
			 errhidecontext(true)));
}

static void
place_in_migration(void *arg)
{
	DbmPlace   *place = arg;
	int			position = geterrposition();

	if (place->current < 0)
	{
		errcontext("%s", place->label);
		return;
	}

	/* what SPI did not see, such as an error in a COPY statement */
	if (position > 0 && place->sql)
	{
		errposition(0);
		internalerrposition(position);
		internalerrquery(place->sql);
	}
	errcontext("%s, statement %d at line %d", place->label, place->current + 1,
			   place->script->statements[place->current].line);
}
