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

#include "register/internal.h"

static void name_argument(FunctionCallInfo fcinfo, DbmRegistration *wanted);
static void check_names(const DbmRegistration *wanted);
static void check_not_half_done(const DbmExtension *ext, const DbmStored *stored);
static const char *still_applied(const DbmExtension *ext, const DbmStored *stored);
static DbmStored *stored_argument(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg);
static char *fresh_version(pg_time_t when);

PG_FUNCTION_INFO_V1(dbmigrate_add);
PG_FUNCTION_INFO_V1(dbmigrate_create);
PG_FUNCTION_INFO_V1(dbmigrate_remove);
PG_FUNCTION_INFO_V1(dbmigrate_amend);
PG_FUNCTION_INFO_V1(dbmigrate_approve);

/*
 * SQL: migrate.add(version, name, up, down, environments, online,
 * down_online, file_name, project) returns 'added', 'updated' or 'unchanged'
 *
 * Without a version the migration is a repeatable one.
 */
Datum
dbmigrate_add(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted = {0};
	DbmTrouble *trouble = NULL;
	const char *result;

	dbm_check_may_register("migrate.add()");
	name_argument(fcinfo, &wanted);
	dbm_check_not_null(fcinfo, 2, "up");
	wanted.up = PointerGetDatum(PG_GETARG_TEXT_PP(2));
	wanted.down = PG_ARGISNULL(3) ? (Datum) 0 : PointerGetDatum(PG_GETARG_TEXT_PP(3));
	wanted.environments = PG_ARGISNULL(4) ? (Datum) 0 : PointerGetDatum(PG_GETARG_ARRAYTYPE_P(4));
	wanted.file_name = dbm_optional_argument(fcinfo, 7);
	if (wanted.environments && array_contains_nulls(DatumGetArrayTypeP(wanted.environments)))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("environments must not contain nulls")));
	check_names(&wanted);

	dbm_registration_read(&wanted);
	dbm_registration_throw_refused(&wanted);
	if (!PG_ARGISNULL(5))
		wanted.up_online = PG_GETARG_BOOL(5);
	if (!PG_ARGISNULL(6))
		wanted.down_online = PG_GETARG_BOOL(6);

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 8));
	result = dbm_registration_store(&ext, &wanted, &trouble);
	if (result == NULL)
		dbm_trouble_throw(trouble);
	dbm_extension_close();
	dbm_registration_warn(&wanted, strcmp(result, "unchanged") != 0);
	PG_RETURN_TEXT_P(cstring_to_text(result));
}

/* SQL: migrate.create(name, up, down, project) returns the version */
Datum
dbmigrate_create(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted = {0};
	pg_time_t	when = timestamptz_to_time_t(GetCurrentTimestamp());

	dbm_check_may_register("migrate.create()");
	wanted.name = dbm_required_argument(fcinfo, 0, "name");
	dbm_check_not_null(fcinfo, 1, "up");
	wanted.up = PointerGetDatum(PG_GETARG_TEXT_PP(1));
	wanted.down = PG_ARGISNULL(2) ? (Datum) 0 : PointerGetDatum(PG_GETARG_TEXT_PP(2));
	wanted.version = fresh_version(when);
	check_names(&wanted);
	dbm_registration_read(&wanted);
	dbm_registration_throw_refused(&wanted);

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 3));
	for (;; when++)
	{
		CHECK_FOR_INTERRUPTS();
		wanted.version = fresh_version(when);
		wanted.version_key = PointerGetDatum(dbm_version_parse(wanted.version));
		if (dbm_registration_insert(&ext, &wanted))
			break;
	}
	dbm_extension_close();
	dbm_registration_warn(&wanted, true);
	PG_RETURN_TEXT_P(cstring_to_text(wanted.version));
}

/* SQL: migrate.remove(version, project) */
Datum
dbmigrate_remove(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmStored  *stored;
	DbmTrouble *trouble;

	dbm_check_may_register("migrate.remove()");
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 1));
	dbm_extension_check_project(&ext);
	dbm_lock_for_run(&ext);
	stored = stored_argument(&ext, fcinfo, 0);
	check_not_half_done(&ext, stored);
	if (stored->is_applied)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is applied and cannot be forgotten", stored->version),
				 errhint("%s", still_applied(&ext, stored))));
	trouble = dbm_rules_check(&ext, NULL, stored);
	if (trouble)
		dbm_trouble_throw(trouble);
	dbm_approvals_forget(&ext, stored->id);
	dbm_migrations_delete(&ext, stored->id);
	dbm_extension_close();
	PG_RETURN_VOID();
}

/*
 * SQL: migrate.amend(version, up, down, reason, project); NULL keeps a text as it is,
 * also one that was changed behind our back, which then counts as right.
 */
Datum
dbmigrate_amend(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	DbmRegistration wanted;
	DbmStored  *stored;
	DbmMigration migration = {0};
	DbmHistoryEntry record = {.action = "amend", .migration = &migration};

	dbm_check_may_register("migrate.amend()");
	record.reason = dbm_reason_argument(fcinfo, 3);
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 4));
	dbm_extension_check_project(&ext);
	dbm_lock_for_run(&ext);
	stored = stored_argument(&ext, fcinfo, 0);
	if (!stored->is_applied)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is not applied", stored->version),
				 errhint("Change a pending migration with migrate.add() or migrate.add_file().")));

	dbm_migrations_load(&ext, stored->id, &wanted);
	if (!PG_ARGISNULL(1))
		wanted.up = PointerGetDatum(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		wanted.down = PointerGetDatum(PG_GETARG_TEXT_PP(2));
	dbm_registration_read(&wanted);
	dbm_registration_throw_refused(&wanted);
	stored = dbm_migrations_stored(&ext, &wanted);
	dbm_migrations_update(&ext, &wanted, stored);
	if (wanted.up)
		dbm_applied_accept_text(&ext, stored->id);

	migration.id = stored->id;
	migration.version = wanted.version;
	migration.name = wanted.name;
	migration.checksum = wanted.up ? dbm_script_checksum(wanted.up_script, wanted.up_online) : (Datum) 0;
	record.run = dbm_history_next_run(&ext);
	dbm_history_add(&ext, &record);
	dbm_extension_close();
	dbm_registration_warn(&wanted, true);
	PG_RETURN_VOID();
}

/*
 * SQL: migrate.approve(version, sha256, may_set_role, project) returns what was
 * approved, for people
 *
 * With the hash of the text that was read nobody can slip in another one.
 */
Datum
dbmigrate_approve(PG_FUNCTION_ARGS)
{
	DbmExtension ext;
	char	   *what;

	dbm_check_may_register("migrate.approve()");
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 3));
	dbm_extension_check_project(&ext);
	what = dbm_approvals_add(&ext, stored_argument(&ext, fcinfo, 0),
							 PG_ARGISNULL(1) ? (Datum) 0 : PointerGetDatum(PG_GETARG_BYTEA_P(1)),
							 !PG_ARGISNULL(2) && PG_GETARG_BOOL(2));
	dbm_extension_close();
	PG_RETURN_TEXT_P(cstring_to_text(what));
}

/* The checks on the caller that all functions here begin with. */
void
dbm_check_may_register(const char *what)
{
	dbm_check_not_in_script(what);
	PreventCommandDuringRecovery(what);
	PreventCommandIfReadOnly(what);
}

/* Version and name; without a version the name makes a repeatable migration. */
static void
name_argument(FunctionCallInfo fcinfo, DbmRegistration *wanted)
{
	wanted->name = dbm_required_argument(fcinfo, 1, "name");
	if (!PG_ARGISNULL(0))
	{
		wanted->version = text_to_cstring(PG_GETARG_TEXT_PP(0));
		wanted->version_key = PointerGetDatum(dbm_version_parse(wanted->version));
	}
	else if (strlen(wanted->name) > DBM_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a repeatable migration must not be longer than %d bytes", DBM_MAX_NAME)));
	else if (wanted->name[0])
		wanted->id = psprintf("R__%s", wanted->name);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a migration without a version needs a name"),
				 errdetail("Without a version it is run again whenever its text changes.")));
}

/* What is shown to others. */
static void
check_names(const DbmRegistration *wanted)
{
	if (wanted->name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("name must not be empty"),
				 errhint("Say in a word or two what the migration does.")));
	dbm_check_no_control("name", wanted->name);
	if (wanted->file_name)
		dbm_check_no_control("file_name", wanted->file_name);
	if (wanted->environments)
		dbm_check_no_control("environments", dbm_environments_text(wanted->environments));
}

/* How far it has come would be known of nothing. */
static void
check_not_half_done(const DbmExtension *ext, const DbmStored *stored)
{
	DbmExtension there = *ext;
	bool		is_up;

	there.target = dbm_halfway_anywhere(ext, stored->id, &is_up);
	if (there.target)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("migration %s is half %s and cannot be forgotten", stored->version,
						is_up ? "applied" : "rolled back"),
				 errhint("Go on with that: CALL migrate.%s(%s); or first forget how far it has come: SELECT migrate.abandon(%s, 'the reason'%s);",
						 is_up ? "run" : "run_rollback", dbm_target_argument(&there, true),
						 dbm_literal(stored->version), dbm_target_argument(&there, false))));
}

/* What to do first about a migration that is to be removed. */
static const char *
still_applied(const DbmExtension *ext, const DbmStored *stored)
{
	const char *schema = dbm_state_applied_in(ext, stored->id);
	const char *mark_pending;
	DbmExtension there = *ext;

	there.target = schema;
	if (schema[0] != '\0' && !OidIsValid(dbm_target_find(schema)))
		return psprintf("Forget first what was applied in a schema that is gone: SELECT migrate.forget_schema(%s, 'the reason');",
						dbm_literal(schema));
	mark_pending = psprintf("SELECT migrate.mark_pending(%s, 'the reason'%s);", dbm_literal(stored->version),
							dbm_target_argument(&there, false));
	if (stored->is_repeatable)
		return psprintf("Forget first that it was run: %s", mark_pending);
	return psprintf("Roll it back first: SELECT * FROM migrate.rollback(%s); or, if it is not in force any more: %s",
					dbm_target_argument(&there, true), mark_pending);
}

/* The migration a version argument means; 42704 if it is not registered. */
static DbmStored *
stored_argument(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg)
{
	DbmRegistration wanted = {0};
	DbmStored  *stored;

	wanted.version = dbm_required_argument(fcinfo, arg, "version");
	if (dbm_version_is_id(wanted.version))
		wanted.id = wanted.version;
	else
		wanted.version_key = PointerGetDatum(dbm_version_parse(wanted.version));
	stored = dbm_migrations_stored(ext, &wanted);
	if (stored == NULL)
		dbm_migration_missing(ext, wanted.version);
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
