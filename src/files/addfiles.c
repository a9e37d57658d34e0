/*-------------------------------------------------------------------------
 *
 * addfiles.c
 *	  Register migrations from files: all of a set, or nothing and a list of
 *	  everything that is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "files/internal.h"

#define MAX_TROUBLES_TOLD 100
#define FILE_COLUMNS 6			/* of migrate.registered_file */

static DbmFormat format_argument(FunctionCallInfo fcinfo, int arg);
static List *read_json(Jsonb *json);
static DbmFile *read_pair(const JsonbValue *object);
static DbmFile *make_file(const JsonbValue *name, const JsonbValue *content);
static void check_texts(DbmFileSet *set);
static void check_all(const DbmExtension *ext, DbmFileSet *set, bool down_alone);
static void prefer_our_database(const DbmExtension *ext, DbmFileSet *set);
static DbmStored *look_up(const DbmExtension *ext, DbmFileMigration *migration);
static DbmTrouble *check_one(const DbmExtension *ext, DbmFileMigration *migration,
							 const DbmStored *stored, bool down_alone);
pg_noreturn static void throw_troubles(List *troubles);
static int	compare_troubles(const ListCell *a, const ListCell *b);
static void put_migration(ReturnSetInfo *result, const DbmFileMigration *migration, const char *outcome);
static void put_left_out(ReturnSetInfo *result, const DbmFile *file);
static void put_row(ReturnSetInfo *result, const char *const *columns);
static const char *describe_migration(const DbmFileMigration *migration);
static const DbmFile *main_file(const DbmFileMigration *migration);

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
	dbm_add_files(fcinfo, "migrate.add_file()", list_make1(file), NIL, format_argument(fcinfo, 2),
				  dbm_text_argument(fcinfo, 3), true);
	return (Datum) 0;
}

/*
 * SQL: migrate.add_files(files, format, project)
 *
 * "files" is {"name": "content", ...} or [{"name": ..., "content": ...}, ...];
 * the content of a file that is no migration may be null.
 */
Datum
dbmigrate_add_files(PG_FUNCTION_ARGS)
{
	dbm_check_not_null(fcinfo, 0, "files");
	dbm_add_files(fcinfo, "migrate.add_files()", read_json(PG_GETARG_JSONB_P(0)), NIL,
				  format_argument(fcinfo, 1), dbm_text_argument(fcinfo, 2), false);
	return (Datum) 0;
}

/*
 * Register a list of DbmFile and fill the result of a set-returning function.
 * "troubles" is what the caller has found to be wrong already; "down_alone"
 * allows a down script whose up script is not known yet.
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
	dbm_fileset_read(files, format, &set);
	check_texts(&set);
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", project);
	check_all(&ext, &set, down_alone);
	if (set.troubles)
		throw_troubles(set.troubles);

	foreach(lc, set.migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmTrouble *trouble = NULL;
		const char *outcome = dbm_registration_store(&ext, &migration->registration, &trouble);

		if (outcome == NULL)
		{
			trouble->file = main_file(migration)->path;
			throw_troubles(list_make1(trouble));
		}
		dbm_registration_warn(&migration->registration, strcmp(outcome, "unchanged") != 0);
		if (migration->is_code && strcmp(outcome, "added") == 0)
			ereport(WARNING,
					(errmsg("%s is not SQL", main_file(migration)->path),
					 errdetail("The migration is registered without an up script, and cannot be applied here."),
					 errhint("Let the tool it was written for print its SQL, and register that: SELECT migrate.add(%s, %s, 'the SQL'%s);",
							 dbm_literal(migration->registration.version),
							 dbm_literal(migration->registration.name), dbm_project_argument(&ext))));
		if (migration->has_placeholders)
			ereport(WARNING,
					(errmsg("%s contains ${, but placeholders are not replaced", main_file(migration)->path),
					 errhint("Write what they stand for, unless the text means ${ itself.")));
		put_migration(result, migration, outcome);
	}
	dbm_extension_close();
	foreach(lc, set.left_out)
		put_left_out(result, lfirst(lc));
	if (files && set.migrations == NIL)
		ereport(WARNING,
				(list_length(files) == 1 ? errmsg("the file was left out") :
				 errmsg("none of the %d files is a migration", list_length(files))));
}

static DbmFormat
format_argument(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? DBM_FORMAT_AUTO :
		dbm_format_by_name(text_to_cstring(PG_GETARG_TEXT_PP(arg)));
}

/* The files in a JSON document. */
static List *
read_json(Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue	value;
	JsonbValue	name;
	List	   *files = NIL;
	bool		is_array = JB_ROOT_IS_ARRAY(json) && !JB_ROOT_IS_SCALAR(json);
	JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true);

	if (!is_array && token != WJB_BEGIN_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("files must be a JSON object or an array"),
				 errhint("Write {\"001_name.sql\": \"CREATE TABLE ...\", ...}.")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value;
		else if (token == WJB_VALUE)
			files = lappend(files, make_file(&name, &value));
		else if (token == WJB_ELEM)
			files = lappend(files, read_pair(&value));
	}
	return files;
}

/* {"name": ..., "content": ...} */
static DbmFile *
read_pair(const JsonbValue *object)
{
	JsonbValue	name = {.type = jbvNull};
	JsonbValue	content = {.type = jbvNull};

	if (object->type == jbvBinary && JsonContainerIsObject(object->val.binary.data))
	{
		(void) getKeyJsonValueFromContainer(object->val.binary.data, "name", 4, &name);
		(void) getKeyJsonValueFromContainer(object->val.binary.data, "content", 7, &content);
	}
	if (name.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("each element of files must be an object with a name and a content"),
				 errhint("Write [{\"name\": \"001_name.sql\", \"content\": \"CREATE TABLE ...\"}, ...].")));
	return make_file(&name, &content);
}

static DbmFile *
make_file(const JsonbValue *name, const JsonbValue *content)
{
	DbmFile    *file = palloc0(sizeof(DbmFile));

	file->path = pnstrdup(name->val.string.val, name->val.string.len);
	if (content->type == jbvString)
	{
		file->content = pnstrdup(content->val.string.val, content->val.string.len);
		file->len = content->val.string.len;
	}
	else if (content->type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the content of file \"%s\" is not a string", file->path)));
	return file;
}

/* Scan and parse all scripts; some can never be run. */
static void
check_texts(DbmFileSet *set)
{
	ListCell   *lc;

	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmRegistration *wanted = &migration->registration;

		CHECK_FOR_INTERRUPTS();
		if (migration->is_unreadable)
			continue;			/* that is told already */
		wanted->from_files = true;
		wanted->down_is_file = migration->down_file != migration->up_file;
		dbm_registration_read(wanted);
		wanted->up_online |= migration->up_no_transaction;
		wanted->down_online |= migration->down_no_transaction;
		if (wanted->refused)
		{
			const DbmTrouble *problem = wanted->refused->refused;
			DbmTrouble *trouble = dbm_trouble(problem->sqlerrcode,
											  psprintf("%s (line %d)", problem->message, problem->line),
											  problem->detail, problem->hint);

			trouble->file = main_file(migration)->path;
			set->troubles = lappend(set->troubles, trouble);
		}
	}
}

/*
 * Compare with what is registered.  If something is to be changed, all is
 * looked at under the run lock.
 */
static void
check_all(const DbmExtension *ext, DbmFileSet *set, bool down_alone)
{
	bool		must_lock = false;
	ListCell   *lc;

	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmStored  *stored = migration->is_unreadable ? NULL : look_up(ext, migration);

		CHECK_FOR_INTERRUPTS();
		must_lock |= stored && !dbm_stored_is_same(stored);
	}
	if (must_lock)
		dbm_lock_for_run(ext);
	if (down_alone)
		prefer_our_database(ext, set);
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmTrouble *trouble = migration->is_unreadable ? NULL :
			check_one(ext, migration, look_up(ext, migration), down_alone);

		if (trouble == NULL)
			continue;
		trouble->file = main_file(migration)->path;
		set->troubles = lappend(set->troubles, trouble);
	}
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
	DbmStored  *stored = file && !migration->is_unreadable ? look_up(ext, migration) : NULL;
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

/*
 * What is registered; a down script alone does not rename it, and what the
 * file said about environments before is said no more.
 */
static DbmStored *
look_up(const DbmExtension *ext, DbmFileMigration *migration)
{
	DbmRegistration *wanted = &migration->registration;
	DbmStored  *stored = dbm_migrations_stored(ext, wanted);

	if (stored && wanted->up == 0)
	{
		wanted->name = stored->name;
		if (wanted->version_key)
			wanted->version = stored->version;
		stored = dbm_migrations_stored(ext, wanted);
	}
	if (stored && stored->environments && wanted->environments == 0 && !stored->same_up &&
		dbm_directives_limit(ext, stored->id))
	{
		wanted->environments = PointerGetDatum(construct_empty_array(TEXTOID));
		stored = dbm_migrations_stored(ext, wanted);
	}
	return stored;
}

static DbmTrouble *
check_one(const DbmExtension *ext, DbmFileMigration *migration, const DbmStored *stored,
		  bool down_alone)
{
	const DbmRegistration *wanted = &migration->registration;

	migration->has_sql = stored && stored->has_up;
	if (stored && dbm_stored_is_same(stored))
		return NULL;
	if (stored == NULL && wanted->up == 0 && !migration->is_code && !down_alone)
		return dbm_trouble(ERRCODE_UNDEFINED_OBJECT,
						   psprintf("there is no up script for version %s", wanted->version), NULL,
						   "Add the file that this one undoes, or leave it out.");

	return dbm_rules_check(ext, wanted, stored);
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
put_migration(ReturnSetInfo *result, const DbmFileMigration *migration, const char *outcome)
{
	const DbmRegistration *stored = &migration->registration;
	const char *columns[FILE_COLUMNS] = {
		stored->baseline_key ? stored->id + 3 : stored->version, stored->name, outcome,
		migration->format == DBM_FORMAT_AUTO ? NULL : dbm_format_name(migration->format),
		main_file(migration)->path, describe_migration(migration)
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

/* What is worth knowing about a migration, or NULL. */
static const char *
describe_migration(const DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	StringInfoData buf;

	initStringInfo(&buf);
	if (migration->rank > 0)
		appendStringInfoString(&buf, "; another file has the same number");
	if (wanted->baseline_key)
		appendStringInfo(&buf, "; runs only where nothing is applied, for all versions up to %s", wanted->id + 3);
	if (migration->is_code && migration->has_sql)
		appendStringInfoString(&buf, "; not SQL, but its SQL is registered");
	else if (migration->is_code)
		appendStringInfoString(&buf, "; not SQL, cannot be applied here");
	else if (wanted->up == 0)
		appendStringInfoString(&buf, "; the down script alone");
	else if (wanted->up_script->unreadable)
		appendStringInfoString(&buf, "; this server cannot read it");
	else if (wanted->up_script->ncommands == 0)
		appendStringInfoString(&buf, "; no statement, nothing to run");
	if (main_file(migration)->directives.environments)
		appendStringInfo(&buf, "; runs in %s only", dbm_environments_text(wanted->environments));
	if (wanted->up_online)
		appendStringInfoString(&buf, "; runs outside a transaction block");
	if (wanted->down && wanted->down_statements < 0)
		appendStringInfoString(&buf, "; no statement to undo it, cannot be rolled back");
	else if (wanted->down && wanted->down_script->unreadable)
		appendStringInfoString(&buf, "; its down script cannot be run here");
	else if (wanted->down && wanted->down_online && !wanted->up_online)
		appendStringInfoString(&buf, "; rolls back outside a transaction block");
	return buf.len > 0 ? buf.data + 2 : NULL;
}

static const DbmFile *
main_file(const DbmFileMigration *migration)
{
	return migration->up_file ? migration->up_file : migration->down_file;
}
