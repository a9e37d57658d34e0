/*-------------------------------------------------------------------------
 *
 * addfiles.c
 *	  Register migrations from files: all of a set, or nothing and a list of
 *	  everything that is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "files/internal.h"

#define MAX_TROUBLES_TOLD 100
#define FILE_COLUMNS 6			/* of migrate.registered_file */

static void check_all(const DbmExtension *ext, DbmFileSet *set, bool down_alone);
static bool must_lock(DbmFileSet *set, DbmStored *const *stored);
static void prefer_our_database(const DbmExtension *ext, DbmFileSet *set);
static void store_all(const DbmExtension *ext, DbmFileSet *set);
static void store_new(const DbmExtension *ext, DbmFileSet *set);
static void store_one(const DbmExtension *ext, DbmFileMigration *migration);
static void warn(const DbmExtension *ext, const DbmFileMigration *migration);
pg_noreturn static void throw_troubles(List *troubles);
static int	compare_troubles(const ListCell *a, const ListCell *b);
static void put_migration(ReturnSetInfo *result, const DbmFileMigration *migration);
static void put_left_out(ReturnSetInfo *result, const DbmFile *file);
static void put_row(ReturnSetInfo *result, const char *const *columns);

PG_FUNCTION_INFO_V1(dbmigrate_add_file);
PG_FUNCTION_INFO_V1(dbmigrate_add_files);

/*
 * SQL: migrate.add_file(filename, content, format, project)
 *
 * Of a pair of files either may come first.
 */
Datum
dbmigrate_add_file(PG_FUNCTION_ARGS)
{
	DbmFile    *file = palloc0(sizeof(DbmFile));

	file->path = dbm_required_argument(fcinfo, 0, "filename");
	file->content = dbm_required_argument(fcinfo, 1, "content");
	if (file->path[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("filename must not be empty")));
	file->len = strlen(file->content);
	dbm_add_files(fcinfo, "migrate.add_file()", list_make1(file), NIL, dbm_format_argument(fcinfo, 2),
				  dbm_text_argument(fcinfo, 3), true);
	return (Datum) 0;
}

/*
 * SQL: migrate.add_files(files, format, project)
 *
 * For what "files" may be see filesjson.c.
 */
Datum
dbmigrate_add_files(PG_FUNCTION_ARGS)
{
	dbm_check_not_null(fcinfo, 0, "files");
	dbm_add_files(fcinfo, "migrate.add_files()", dbm_files_from_json(PG_GETARG_JSONB_P(0)), NIL,
				  dbm_format_argument(fcinfo, 1), dbm_text_argument(fcinfo, 2), false);
	return (Datum) 0;
}

/*
 * Register a list of DbmFile and fill the result of a set-returning function.
 * "troubles" is what the caller has found to be wrong already; "down_alone"
 * allows a down script whose up script is not known yet, and says that the
 * files are no set.
 */
void
dbm_add_files(FunctionCallInfo fcinfo, const char *what, List *files, List *troubles,
			  DbmFormat format, const char *project, bool down_alone)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbmFileSet	set = {.troubles = troubles};
	DbmExtension ext;
	ListCell   *lc;

	dbm_check_may_register(what);
	InitMaterializedSRF(fcinfo, 0);
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", project);
	if (!down_alone)
	{
		dbm_known_files_hash(files);
		dbm_known_files_load(&ext, format, &set);
	}
	dbm_fileset_read(files, format, &set);
	dbm_known_files_throw_wanted(&set);
	dbm_check_texts(&set);
	check_all(&ext, &set, down_alone);
	if (set.troubles)
		throw_troubles(set.troubles);
	store_all(&ext, &set);
	if (!down_alone)
		dbm_known_files_remember(&ext, &set);
	foreach(lc, set.migrations)
	{
		warn(&ext, lfirst(lc));
		put_migration(result, lfirst(lc));
	}
	dbm_extension_close();
	foreach(lc, set.left_out)
		put_left_out(result, lfirst(lc));
	if (files && set.migrations == NIL)
		ereport(WARNING,
				(list_length(files) == 1 ? errmsg("the file was left out") :
				 errmsg("none of the %d files is a migration", list_length(files))));
}

/* The format of files, DBM_FORMAT_AUTO for NULL. */
DbmFormat
dbm_format_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? DBM_FORMAT_AUTO :
		dbm_format_by_name(text_to_cstring(PG_GETARG_TEXT_PP(arg)));
}

/*
 * Compare with what is registered.  If something is to be changed, all is
 * looked at under the run lock.
 */
static void
check_all(const DbmExtension *ext, DbmFileSet *set, bool down_alone)
{
	DbmStored **stored = dbm_check_look_up(ext, set);
	ListCell   *lc;

	if (must_lock(set, stored))
	{
		dbm_lock_for_run(ext);
		stored = dbm_check_look_up(ext, set);
	}
	if (down_alone)
		prefer_our_database(ext, set);
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmTrouble *trouble;

		CHECK_FOR_INTERRUPTS();
		migration->stored = stored[foreach_current_index(lc)];
		trouble = migration->is_unreadable || migration->known ? NULL :
			dbm_check_one(ext, migration, down_alone);
		if (trouble == NULL)
			continue;
		trouble->file = dbm_fileset_main_file(migration)->path;
		set->troubles = lappend(set->troubles, trouble);
	}
}

/* Is something to be changed that is registered? */
static bool
must_lock(DbmFileSet *set, DbmStored *const *stored)
{
	for (int i = 0; i < list_length(set->migrations); i++)
		if (stored[i] && !dbm_stored_is_same(stored[i]))
			return true;
	return false;
}

/*
 * Files come one by one, and this one is for all databases: does one for ours
 * alone have its place already?
 */
static void
prefer_our_database(const DbmExtension *ext, DbmFileSet *set)
{
	DbmFileMigration *migration = set->migrations ? linitial(set->migrations) : NULL;
	DbmFile    *file = migration ? unconstify(DbmFile *, migration->up_file) : NULL;
	DbmStored  *stored = file && !migration->is_unreadable ? dbm_migrations_stored(ext, &migration->registration) : NULL;
	DbmFileName other;

	if (stored == NULL || stored->file_name == NULL || file->name.dialect || file->name.role != DBM_FILE_UP)
		return;
	dbm_filename_read(stored->file_name, DBM_FORMAT_AUTO, &other);
	if (other.role == DBM_FILE_UP && other.dialect)
	{
		file->name.reason = psprintf("%s takes its place", stored->file_name);
		set->left_out = lappend(set->left_out, file);
		set->migrations = NIL;
	}
}

/* What is new goes in together, what is changed one by one. */
static void
store_all(const DbmExtension *ext, DbmFileSet *set)
{
	ListCell   *lc;

	store_new(ext, set);
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);

		if (migration->outcome == NULL)
			store_one(ext, migration);
		if (migration->known == NULL)
			migration->detail = dbm_check_describe(migration);
	}
}

static void
store_new(const DbmExtension *ext, DbmFileSet *set)
{
	DbmFileMigration **migrations = palloc(Max(list_length(set->migrations), 1) * sizeof(DbmFileMigration *));
	DbmRegistration **wanted = palloc(Max(list_length(set->migrations), 1) * sizeof(DbmRegistration *));
	const char **ids;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);

		if (migration->known || migration->stored)
			continue;
		migrations[n] = migration;
		wanted[n++] = &migration->registration;
	}
	if (n < 2)
		return;					/* no need for arrays */
	ids = palloc0(n * sizeof(char *));
	dbm_registration_insert_many(ext, wanted, n, ids);
	for (int i = 0; i < n; i++)
		if (ids[i])
		{
			migrations[i]->outcome = "added";
			migrations[i]->id = ids[i];
		}
}

static void
store_one(const DbmExtension *ext, DbmFileMigration *migration)
{
	DbmRegistration *wanted = &migration->registration;
	DbmTrouble *trouble = NULL;

	CHECK_FOR_INTERRUPTS();
	if (migration->stored && dbm_stored_is_same(migration->stored))
		migration->outcome = "unchanged";
	else
	{
		migration->outcome = dbm_registration_store(ext, wanted, &trouble);
		if (migration->outcome == NULL)
		{
			trouble->file = dbm_fileset_main_file(migration)->path;
			throw_troubles(list_make1(trouble));
		}
		migration->stored = dbm_migrations_stored(ext, wanted);
	}
	migration->id = migration->stored ? migration->stored->id : NULL;
}

/* What somebody should know of a migration that was read. */
static void
warn(const DbmExtension *ext, const DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	const char *path = dbm_fileset_main_file(migration)->path;

	if (migration->known)
		return;
	dbm_registration_warn(wanted, strcmp(migration->outcome, "unchanged") != 0);
	if (migration->is_code && strcmp(migration->outcome, "added") == 0)
		ereport(WARNING,
				(errmsg("%s is not SQL", path),
				 errdetail("The migration is registered without an up script, and cannot be applied here."),
				 errhint("Let the tool it was written for print its SQL, and register that: SELECT migrate.add(%s, %s, 'the SQL'%s);",
						 dbm_literal(wanted->version), dbm_literal(wanted->name), dbm_project_argument(ext))));
	if (migration->has_placeholders)
		ereport(WARNING,
				(errmsg("%s contains ${, but placeholders are not replaced", path),
				 errhint("Write what they stand for, unless the text means ${ itself.")));
}

/* All that is wrong, as one error. */
static void
throw_troubles(List *troubles)
{
	DbmTrouble *first = linitial(troubles);
	int			sqlerrcode = first->sqlerrcode;
	int			count = list_length(troubles);
	const char *hint = NULL;
	StringInfoData list;
	ListCell   *lc;

	if (count == 1)
		ereport(ERROR,
				(errcode(sqlerrcode),
				 errmsg_internal("%s: %s", first->file, first->message),
				 first->detail ? errdetail_internal("%s", first->detail) : 0,
				 first->hint ? errhint("%s", first->hint) : 0));

	list_sort(troubles, compare_troubles);
	initStringInfo(&list);
	foreach(lc, troubles)
	{
		DbmTrouble *trouble = lfirst(lc);

		if (trouble->sqlerrcode != sqlerrcode)
			sqlerrcode = ERRCODE_INVALID_PARAMETER_VALUE;
		if (hint == NULL && trouble->hint)
			hint = psprintf("For %s: %s", trouble->file, trouble->hint);
		if (foreach_current_index(lc) < MAX_TROUBLES_TOLD)
			appendStringInfo(&list, "%s%s: %s", list.len > 0 ? "\n" : "", trouble->file, trouble->message);
	}
	if (count > MAX_TROUBLES_TOLD)
		appendStringInfo(&list, "\nand %d more", count - MAX_TROUBLES_TOLD);
	ereport(ERROR,
			(errcode(sqlerrcode),
			 errmsg("%d problems with these files, nothing was registered", count),
			 errdetail_internal("%s", list.data),
			 hint ? errhint("%s", hint) : 0));
}

static int
compare_troubles(const ListCell *a, const ListCell *b)
{
	return strcmp(((DbmTrouble *) lfirst(a))->file, ((DbmTrouble *) lfirst(b))->file);
}

static void
put_migration(ReturnSetInfo *result, const DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	const char *columns[FILE_COLUMNS] = {
		wanted->baseline_key ? wanted->id + 3 : wanted->version, wanted->name,
		migration->outcome,
		migration->format == DBM_FORMAT_AUTO ? NULL : dbm_format_name(migration->format),
		dbm_fileset_main_file(migration)->path, migration->detail
	};

	put_row(result, columns);
}

static void
put_left_out(ReturnSetInfo *result, const DbmFile *file)
{
	const char *columns[FILE_COLUMNS] = {NULL, NULL, "left out", NULL, file->path, file->name.reason};

	put_row(result, columns);
}

static void
put_row(ReturnSetInfo *result, const char *const *columns)
{
	DbmRow		row = {0};

	for (int i = 0; i < FILE_COLUMNS; i++)
		dbm_row_add_text(&row, columns[i]);
	dbm_row_put(&row, result);
}
