/*-------------------------------------------------------------------------
 *
 * registration.c
 *	  From a migration as somebody gives it to a row of migrate.migration.
 *
 * What is wrong with it comes back as a DbmTrouble and not as an error, so
 * that all that is wrong with a set of files can be told at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "register/internal.h"

/* Somebody else may be faster, and remove it again; but not for ever. */
#define MAX_TRIES 10

static void forgive(DbmScript *script);
static DbmScript *read_script(const DbmRegistration *wanted, bool is_up);
static void describe_insert(void *arg);
static void describe_insert_many(void *arg);

/*
 * Scan and parse both scripts, and derive what is stored about them.  Sets
 * wanted->refused if one of them can never be run.
 */
void
dbm_registration_read(DbmRegistration *wanted)
{
	DbmScript  *down;

	wanted->up_sha256 = dbm_checksum_text(wanted->up ? wanted->up : CStringGetTextDatum(""));
	wanted->down_sha256 = wanted->down ? dbm_checksum_text(wanted->down) : (Datum) 0;
	wanted->up_script = read_script(wanted, true);
	wanted->up_online = wanted->up_script->online;
	wanted->down_script = NULL;
	wanted->down_online = false;
	wanted->down_statements = -1;
	wanted->refused = wanted->up_script->refused ? wanted->up_script : NULL;
	if (wanted->down == 0)
		return;

	down = read_script(wanted, false);
	/* one bad way back does not keep a directory from being loaded */
	if (down->refused && wanted->from_files)
		forgive(down);
	wanted->down_script = down;
	wanted->down_online = down->online;
	if (wanted->refused == NULL && down->refused)
		wanted->refused = down;
	if (down->len == 0)
		wanted->down_statements = 0;	/* nothing to undo */
	else if (down->unreadable)
		wanted->down_statements = Max(down->ncommands, 1);
	else if (down->ncommands > 0)
		wanted->down_statements = down->ncommands;
	else if (wanted->down_is_file)
		wanted->down_statements = 0;	/* somebody made a file to say so */
}

/* What cannot be run is refused when it is asked for. */
static void
forgive(DbmScript *script)
{
	script->is_forgiven = true;
	script->unreadable = script->refused;
	script->refused = NULL;
}

static DbmScript *
read_script(const DbmRegistration *wanted, bool is_up)
{
	Datum		given = is_up ? wanted->up : wanted->down;
	text	   *source = given ? DatumGetTextPP(given) : NULL;
	DbmScript  *script = source ?
		dbm_script_scan(text_to_cstring(source), VARSIZE_ANY_EXHDR(source), true) :
		dbm_script_scan(pstrdup(""), 0, true);

	if (script->refused == NULL)
		dbm_script_analyze(script);
	return script;
}

/* Raise what dbm_registration_read() found, if anything. */
void
dbm_registration_throw_refused(const DbmRegistration *wanted)
{
	DbmLabel	label = {wanted->version ? wanted->version : wanted->id, wanted->name, wanted->refused == wanted->up_script};

	if (wanted->refused)
		dbm_script_throw(wanted->refused, wanted->refused->refused, &label, NULL);
}

/*
 * Say what is registered but cannot be run, at least not here; and, if it is
 * new ("is_news"), what will not do anything.
 */
void
dbm_registration_warn(const DbmRegistration *wanted, bool is_news)
{
	for (int is_up = 1; is_up >= 0; is_up--)
	{
		const DbmScript *script = is_up ? wanted->up_script : wanted->down_script;
		DbmLabel	label = {wanted->version ? wanted->version : wanted->id, wanted->name, is_up};

		if (script == NULL || (is_up && wanted->up == 0))
			continue;
		if (script->unreadable)
			ereport(WARNING,
					(errcode(script->unreadable->sqlerrcode),
					 script->is_forgiven ?
					 errmsg("%s cannot be run: %s", dbm_label_text(&label), script->unreadable->message) :
					 errmsg("%s cannot be read by this server: %s", dbm_label_text(&label),
							script->unreadable->message),
					 script->unreadable->statement > 0 ?
					 errdetail("The trouble is in statement %d, at line %d.",
							   script->unreadable->statement, script->unreadable->line) :
					 errdetail("The trouble is at line %d.", script->unreadable->line),
					 script->is_forgiven ?
					 errhint("The migration is registered, but cannot be rolled back before this is mended.") :
					 errhint("It is registered, but will not be run unless this server can read it.")));
		else if (is_news && script->ncommands == 0 &&
				 (is_up || (script->len > 0 && wanted->file_name == NULL)))
			ereport(WARNING,
					(errmsg("%s contains no statement", dbm_label_text(&label)),
					 is_up ?
					 errdetail("It is registered, and will count as applied without anything being run.") :
					 errdetail("The migration is registered, but cannot be rolled back."),
					 is_up ? 0 :
					 errhint("Give an empty text to say that there is nothing to undo.")));
	}
}

/* Is there nothing to change? */
bool
dbm_stored_is_same(const DbmStored *stored)
{
	return stored->same_up && stored->same_down && stored->same_rest;
}

/*
 * Register a migration: 'added', 'updated' or 'unchanged'.  If something is
 * wrong, *trouble says what, and nothing is written.
 */
const char *
dbm_registration_store(const DbmExtension *ext, const DbmRegistration *wanted, DbmTrouble **trouble)
{
	bool		locked = false;

	for (int tries = 0; tries < MAX_TRIES; tries++)
	{
		DbmStored  *stored = dbm_migrations_stored(ext, wanted);

		CHECK_FOR_INTERRUPTS();
		if (stored && dbm_stored_is_same(stored))
			return "unchanged";
		if (stored && !locked)
		{
			dbm_lock_for_run(ext);
			locked = true;
			continue;			/* look again: it may have been applied */
		}
		*trouble = dbm_rules_check(ext, wanted, stored);
		if (*trouble)
			return NULL;
		if (stored)
		{
			dbm_migrations_update(ext, wanted, stored);
			if (stored->is_applied)
				dbm_applied_rename(ext, stored->id);
			return "updated";
		}
		if (dbm_registration_insert(ext, wanted))
			return "added";
		/* somebody else was faster */
	}
	elog(ERROR, "migration %s is not stored: a trigger or a rule on migrate.migration keeps it away",
		 wanted->version ? wanted->version : wanted->id);
}

/*
 * Insert a new migration.  The unique key makes us wait for another
 * transaction that registers the same one: as long as for a run.  False if
 * that one was faster.
 */
bool
dbm_registration_insert(const DbmExtension *ext, const DbmRegistration *wanted)
{
	ErrorContextCallback context = {
		.callback = describe_insert,
		.arg = unconstify(DbmRegistration *, wanted),
		.previous = error_context_stack
	};
	bool		inserted;

	error_context_stack = &context;
	inserted = dbm_migrations_insert(ext, wanted);
	error_context_stack = context.previous;
	return inserted;
}

/*
 * The same for many, in as few statements as can be.  ids[] gets the id of
 * each, or NULL where another transaction was faster.
 */
void
dbm_registration_insert_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
							 const char **ids)
{
	ErrorContextCallback context = {
		.callback = describe_insert_many,
		.previous = error_context_stack
	};

	error_context_stack = &context;
	dbm_migrations_insert_many(ext, wanted, nwanted, ids);
	error_context_stack = context.previous;
}

static void
describe_insert_many(void *arg)
{
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("Another transaction registers some of these migrations as well.  Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';");
}

static void
describe_insert(void *arg)
{
	const DbmRegistration *wanted = arg;

	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("Another transaction registers migration %s as well.  Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';",
				wanted->version ? wanted->version : wanted->id);
}
