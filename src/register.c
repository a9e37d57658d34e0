/*-------------------------------------------------------------------------
 *
 * register.c
 *	  Put migrations into the database, change them, vouch for them.
 *
 * Nothing is executed here.  A new migration needs no lock: the unique key
 * decides.  Changing one that is there takes the run lock, so that no run in
 * progress can have read the text that is replaced.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "dbmigrate.h"

static void check_may_register(const char *what);
static text *text_argument(FunctionCallInfo fcinfo, int arg, const char *name);
static void read_scripts(DbmRegistration *wanted);
static DbmScript *read_script(const DbmRegistration *wanted, bool is_up);
static void warn(const DbmRegistration *wanted);
static const char *store(const DbmExtension *ext, DbmRegistration *wanted);
static void check_change(const DbmRegistration *wanted, const DbmStored *stored);
pg_noreturn static void refuse_changed_up(const char *version);
static DbmStored *find(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg);
static char *fresh_version(pg_time_t when);

PG_FUNCTION_INFO_V1(dbmigrate_add);
PG_FUNCTION_INFO_V1(dbmigrate_create);
PG_FUNCTION_INFO_V1(dbmigrate_remove);
PG_FUNCTION_INFO_V1(dbmigrate_amend);
PG_FUNCTION_INFO_V1(dbmigrate_approve);

/*
 * SQL: migrate.add(version, name, up, down, environments, online,
 * down_online, file_name) returns 'added', 'updated' or 'unchanged'
 */
Datum
dbmigrate_add(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted = {0};
	const char *result;

	check_may_register("migrate.add()");
	wanted.version = text_to_cstring(text_argument(fcinfo, 0, "version"));
	wanted.version_key = PointerGetDatum(dbm_version_parse(wanted.version));
	wanted.name = text_to_cstring(text_argument(fcinfo, 1, "name"));
	wanted.up = PointerGetDatum(text_argument(fcinfo, 2, "up"));
	wanted.down = PG_ARGISNULL(3) ? (Datum) 0 : PointerGetDatum(PG_GETARG_TEXT_PP(3));
	wanted.environments = PG_ARGISNULL(4) ? (Datum) 0 : PointerGetDatum(PG_GETARG_ARRAYTYPE_P(4));
	wanted.file_name = PG_ARGISNULL(7) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(7));
	if (wanted.environments && array_contains_nulls(DatumGetArrayTypeP(wanted.environments)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("environments must not contain nulls")));

	read_scripts(&wanted);
	if (!PG_ARGISNULL(5))
		wanted.up_online = PG_GETARG_BOOL(5);
	if (!PG_ARGISNULL(6))
		wanted.down_online = PG_GETARG_BOOL(6);

	dbm_catalog_open(&ext);
	result = store(&ext, &wanted);
	dbm_catalog_close();
	warn(&wanted);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* SQL: migrate.create(name, up, down) returns the version */
Datum
dbmigrate_create(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted = {0};
	pg_time_t	when = timestamptz_to_time_t(GetCurrentTimestamp());

	check_may_register("migrate.create()");
	wanted.name = text_to_cstring(text_argument(fcinfo, 0, "name"));
	wanted.up = PointerGetDatum(text_argument(fcinfo, 1, "up"));
	wanted.down = PG_ARGISNULL(2) ? (Datum) 0 : PointerGetDatum(PG_GETARG_TEXT_PP(2));
	wanted.version = fresh_version(when);
	read_scripts(&wanted);

	dbm_catalog_open(&ext);
	for (;; when++)
	{
		CHECK_FOR_INTERRUPTS();
		wanted.version = fresh_version(when);
		wanted.version_key = PointerGetDatum(dbm_version_parse(wanted.version));
		if (dbm_registry_insert(&ext, &wanted))
			break;
	}
	dbm_catalog_close();
	warn(&wanted);
	PG_RETURN_TEXT_P(cstring_to_text(wanted.version));
}

/* SQL: migrate.remove(version) */
Datum
dbmigrate_remove(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmStored  *stored;

	check_may_register("migrate.remove()");
	dbm_catalog_open(&ext);
	dbm_lock_for_run(&ext);
	stored = find(&ext, fcinfo, 0);
	if (stored->is_applied)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is applied and cannot be forgotten", stored->version),
				 errhint("Roll it back first: SELECT * FROM migrate.rollback(); or, if it is not in force any more: SELECT migrate.mark_pending('%s', 'the reason');",
						 stored->version)));
	check_change(NULL, stored);
	dbm_registry_delete(&ext, stored->id);
	dbm_catalog_close();
	PG_RETURN_VOID();
}

/*
 * SQL: migrate.amend(version, up, down, reason); NULL keeps a text as it is,
 * also one that was changed behind our back, which then counts as right.
 */
Datum
dbmigrate_amend(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted;
	DbmStored  *stored;
	DbmMigration migration = {0};
	DbmRecord	record = {.action = "amend", .target_schema = "", .migration = &migration};

	check_may_register("migrate.amend()");
	record.reason = dbm_reason(PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	dbm_catalog_open(&ext);
	dbm_lock_for_run(&ext);
	stored = find(&ext, fcinfo, 0);
	if (!stored->is_applied)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is not applied", stored->version),
				 errhint("Change a pending migration with migrate.add().")));

	dbm_registry_load(&ext, PointerGetDatum(dbm_version_parse(stored->version)), &wanted);
	if (!PG_ARGISNULL(1))
		wanted.up = PointerGetDatum(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		wanted.down = PointerGetDatum(PG_GETARG_TEXT_PP(2));
	read_scripts(&wanted);
	stored = dbm_registry_stored(&ext, &wanted);
	dbm_registry_update(&ext, &wanted, stored);
	dbm_registry_accept_text(&ext, stored->id);

	migration.id = stored->id;
	migration.version = wanted.version;
	migration.name = wanted.name;
	migration.checksum = dbm_checksum_bytea(wanted.up_script->checksum);
	record.run = dbm_catalog_next_run(&ext);
	dbm_catalog_record(&ext, &record);
	dbm_catalog_close();
	warn(&wanted);
	PG_RETURN_VOID();
}

/* SQL: migrate.approve(version) */
Datum
dbmigrate_approve(PG_FUNCTION_ARGS)
{
	DbmExtension ext;

	check_may_register("migrate.approve()");
	dbm_catalog_open(&ext);
	dbm_registry_approve(&ext, find(&ext, fcinfo, 0));
	dbm_catalog_close();
	PG_RETURN_VOID();
}

/* The reason somebody gave; 22004 or 22023 if there is none. */
const char *
dbm_reason(const char *reason)
{
	if (reason == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("reason must not be null"),
				 errhint("Say why; it is kept in migrate.history.")));
	if (reason[strspn(reason, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("reason must not be empty"),
				 errhint("Say why; it is kept in migrate.history.")));
	return reason;
}

static void
check_may_register(const char *what)
{
	dbm_check_not_in_script(what);
	PreventCommandDuringRecovery(what);
	PreventCommandIfReadOnly(what);
}

static text *
text_argument(FunctionCallInfo fcinfo, int arg, const char *name)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be null", name)));
	return PG_GETARG_TEXT_PP(arg);
}

/* Scan and parse both scripts, and derive what is stored about them. */
static void
read_scripts(DbmRegistration *wanted)
{
	const DbmScript *down;

	wanted->up_script = read_script(wanted, true);
	wanted->up_online = wanted->up_script->online;
	wanted->down_script = NULL;
	wanted->down_online = false;
	wanted->down_statements = -1;
	if (wanted->down == 0)
		return;

	down = wanted->down_script = read_script(wanted, false);
	wanted->down_online = down->online;
	if (down->len == 0)
		wanted->down_statements = 0;	/* nothing to undo */
	else if (down->unreadable)
		wanted->down_statements = Max(down->ncommands, 1);
	else if (down->ncommands > 0)
		wanted->down_statements = down->ncommands;
}

static DbmScript *
read_script(const DbmRegistration *wanted, bool is_up)
{
	text	   *source = DatumGetTextPP(is_up ? wanted->up : wanted->down);
	DbmScript  *script = dbm_script_scan(text_to_cstring(source), VARSIZE_ANY_EXHDR(source), true);
	DbmLabel	label = {wanted->version, wanted->name, is_up};

	if (script->refused == NULL)
		dbm_script_analyze(script);
	if (script->refused)
		dbm_throw_problem(script, script->refused, &label, NULL);
	return script;
}

/* Say what is registered but cannot be run, at least not here. */
static void
warn(const DbmRegistration *wanted)
{
	for (int is_up = 1; is_up >= 0; is_up--)
	{
		const DbmScript *script = is_up ? wanted->up_script : wanted->down_script;
		DbmLabel	label = {wanted->version, wanted->name, is_up};

		if (script == NULL)
			continue;
		if (script->unreadable)
			ereport(WARNING,
					(errcode(script->unreadable->sqlerrcode),
					 errmsg("%s cannot be read by this server: %s", dbm_label_text(&label),
							script->unreadable->message),
					 script->unreadable->statement > 0 ?
					 errdetail("The trouble is in statement %d, at line %d.",
							   script->unreadable->statement, script->unreadable->line) :
					 errdetail("The trouble is at line %d.", script->unreadable->line),
					 errhint("It is registered, but will not be run unless this server can read it.")));
		else if (script->ncommands == 0 && (is_up || script->len > 0))
			ereport(WARNING,
					(errmsg("%s contains no statement", dbm_label_text(&label)),
					 is_up ?
					 errdetail("It is registered, but cannot be applied.") :
					 errdetail("The migration is registered, but cannot be rolled back."),
					 is_up ? 0 :
					 errhint("Give an empty text to say that there is nothing to undo.")));
	}
}

static const char *
store(const DbmExtension *ext, DbmRegistration *wanted)
{
	bool		locked = false;

	for (;;)
	{
		DbmStored  *stored = dbm_registry_stored(ext, wanted);

		CHECK_FOR_INTERRUPTS();
		if (stored == NULL)
		{
			if (dbm_registry_contradicts(ext, wanted))
				refuse_changed_up(wanted->version);
			if (dbm_registry_insert(ext, wanted))
				return "added";
			continue;			/* somebody else was faster */
		}
		if (stored->same_up && stored->same_down && stored->same_rest)
			return "unchanged";
		if (!locked)
		{
			dbm_lock_for_run(ext);
			locked = true;
			continue;			/* look again: it may have been applied */
		}
		check_change(wanted, stored);
		dbm_registry_update(ext, wanted, stored);
		if (stored->is_applied)
			dbm_registry_rename_applied(ext, stored->id);
		return "updated";
	}
}

/* May the caller change, or without "wanted" remove, what is stored? */
static void
check_change(const DbmRegistration *wanted, const DbmStored *stored)
{
	const char *author = NULL;

	if (wanted && stored->is_applied && !stored->same_tokens)
		refuse_changed_up(stored->version);

	if ((wanted == NULL || !stored->same_up || !stored->same_rest) &&
		!dbm_may_change(stored->up_author))
		author = stored->up_author;
	else if ((wanted == NULL || !stored->same_down) && stored->down_author &&
			 !dbm_may_change(stored->down_author))
		author = stored->down_author;
	if (author)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change migration %s", stored->version),
				 errdetail("It was registered by \"%s\", whom \"%s\" could not become.",
						   author, GetUserNameFromId(GetUserId(), false)),
				 errhint("Ask \"%s\", or a superuser; or: SET ROLE %s;",
						 author, quote_identifier(author))));
}

static void
refuse_changed_up(const char *version)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("migration %s is already applied, its up script cannot be changed", version),
			 errhint("Write a new migration for the change; or, if the text alone has to be corrected: SELECT migrate.amend('%s', up, down, 'the reason');",
					 version)));
}

/* The migration a version argument means; 42704 if it is not registered. */
static DbmStored *
find(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg)
{
	DbmRegistration wanted = {0};
	DbmStored  *stored;

	wanted.version = text_to_cstring(text_argument(fcinfo, arg, "version"));
	wanted.version_key = PointerGetDatum(dbm_version_parse(wanted.version));
	stored = dbm_registry_stored(ext, &wanted);
	if (stored == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("migration %s does not exist", wanted.version),
				 errhint("See what is registered with: SELECT * FROM migrate.status();")));
	return stored;
}

/* YYYYMMDDHHMMSS, UTC */
static char *
fresh_version(pg_time_t when)
{
	char	   *version = palloc(16);

	pg_strftime(version, 16, "%Y%m%d%H%M%S", pg_gmtime(&when));
	return version;
}
