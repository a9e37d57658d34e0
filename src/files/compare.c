/*-------------------------------------------------------------------------
 *
 * compare.c
 *	  The status that a directory would have, without registering it.
 *
 * Nothing is written and no lock is taken, so that this works on a standby, too.
 * What migrate.add_files() would refuse is told with the migration it is about,
 * and does not hide the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"

#include "files/internal.h"

/* A row of the result. */
typedef struct Row
{
	const DbmStatus *status;	/* what is known here; or NULL */
	const DbmFileMigration *migration;	/* what the files have; or NULL */
	const char *key;			/* canonical version; or NULL */
	const char *version;
	const char *name;
	const char *state;
	const char *file;
	const char *detail;
} Row;

/* One call. */
typedef struct Comparison
{
	DbmExtension ext;
	DbmFileSet	set;
	List	   *rows;			/* of Row */
	HTAB	   *known;			/* rows of what is known here, by version or
								 * id */
	HTAB	   *by_file;		/* rows, by the names of their files */
	HTAB	   *files;			/* all of the set, by their names */
	const char *newest;			/* canonical version that is applied; or NULL */
} Comparison;

static void read_files(Comparison *comparison, Jsonb *files, DbmFormat format);
static void add_known(Comparison *comparison);
static void add_files(Comparison *comparison);
static void add_migration(Comparison *comparison, DbmFileMigration *migration);
static const char *canonical(const char *version);
static void judge(Comparison *comparison, Row *row, DbmFileMigration *migration);
static void judge_unregistered(const Comparison *comparison, Row *row, const DbmFileMigration *migration);
static void judge_registered(Row *row, const DbmFileMigration *migration);
static bool is_not_what_was_applied(const DbmStored *stored);
static const char *differences(const DbmStored *stored);
static void judge_missing(Row *row);
static void add_troubles(Comparison *comparison);
static void add_trouble(Comparison *comparison, const DbmTrouble *trouble);
static int	compare_rows(const ListCell *a, const ListCell *b);
static void put_row(ReturnSetInfo *result, const Row *row);

PG_FUNCTION_INFO_V1(dbmigrate_compare);

/* SQL: migrate.compare(files, format, schema, project) */
Datum
dbmigrate_compare(PG_FUNCTION_ARGS)
{
	Comparison	comparison = {0};
	ListCell   *lc;

	dbm_check_not_null(fcinfo, 0, "files");
	(void) dbm_environment();	/* an error here is not one of a query of ours */
	InitMaterializedSRF(fcinfo, 0);
	dbm_extension_open(&comparison.ext);
	dbm_extension_use(&comparison.ext, dbm_text_argument(fcinfo, 2), dbm_text_argument(fcinfo, 3));
	dbm_lost_schema_look(&comparison.ext);
	read_files(&comparison, PG_GETARG_JSONB_P(0), dbm_format_argument(fcinfo, 1));
	add_known(&comparison);
	add_files(&comparison);
	add_troubles(&comparison);
	dbm_extension_close();

	list_sort(comparison.rows, compare_rows);
	foreach(lc, comparison.rows)
		put_row((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc));
	return (Datum) 0;
}

static void
read_files(Comparison *comparison, Jsonb *json, DbmFormat format)
{
	List	   *files = dbm_files_from_json(json);
	DbmFileSet *set = &comparison->set;
	DbmStored **stored;
	ListCell   *lc;

	dbm_known_files_hash(files);
	dbm_known_files_load(&comparison->ext, format, set);
	dbm_fileset_read(files, format, set);
	dbm_known_files_throw_wanted(set);
	dbm_check_texts(set);
	stored = dbm_check_look_up(&comparison->ext, set);
	foreach(lc, set->migrations)
		((DbmFileMigration *) lfirst(lc))->stored = stored[foreach_current_index(lc)];
}

/* A row for each migration that is known here. */
static void
add_known(Comparison *comparison)
{
	int			count;
	DbmStatus  *all = dbm_status_all(&comparison->ext, &count);

	comparison->known = dbm_names_create(count);
	for (int i = 0; i < count; i++)
	{
		const DbmStatus *status = &all[i];
		Row		   *row = palloc0(sizeof(Row));

		CHECK_FOR_INTERRUPTS();
		row->status = status;
		row->key = canonical(status->version);
		row->version = status->version;
		row->name = status->name;
		row->file = status->file_name;
		judge_missing(row);
		comparison->rows = lappend(comparison->rows, row);
		dbm_names_put(comparison->known, row->key && !status->is_baseline ? row->key : status->id, row);
		if (status->is_applied && row->key && !status->is_baseline)
			comparison->newest = row->key;
	}
}

/* The files of the set: each to what is known of its migration, or a row of its own. */
static void
add_files(Comparison *comparison)
{
	ListCell   *lc;

	comparison->by_file = dbm_names_create(list_length(comparison->set.files));
	foreach(lc, comparison->set.migrations)
	{
		CHECK_FOR_INTERRUPTS();
		add_migration(comparison, lfirst(lc));
	}
}

static void
add_migration(Comparison *comparison, DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	const char *key = canonical(wanted->version);
	Row		   *row = dbm_names_get(comparison->known, key ? key : wanted->id);
	ListCell   *lc;

	/* a second file for the same version has a row of its own */
	if (row == NULL || row->migration)
	{
		row = palloc0(sizeof(Row));
		row->key = key ? key : canonical(wanted->baseline_key ? wanted->id + 3 : NULL);
		comparison->rows = lappend(comparison->rows, row);
	}
	row->migration = migration;
	row->version = wanted->baseline_key ? wanted->id + 3 : wanted->version;
	row->name = wanted->name;
	row->file = dbm_fileset_main_file(migration)->path;
	row->detail = NULL;
	if (migration->up_file)
		dbm_names_put(comparison->by_file, migration->up_file->path, row);
	if (migration->down_file)
		dbm_names_put(comparison->by_file, migration->down_file->path, row);
	foreach(lc, migration->settings)
		dbm_names_put(comparison->by_file, ((const DbmFile *) lfirst(lc))->path, row);
	judge(comparison, row, migration);
}

static const char *
canonical(const char *version)
{
	return version ? dbm_version_canonical(version) : NULL;
}

/* State and detail of a row that has a file. */
static void
judge(Comparison *comparison, Row *row, DbmFileMigration *migration)
{
	DbmTrouble *trouble = migration->known || migration->is_unreadable ? NULL :
		dbm_check_one(&comparison->ext, migration, false);

	if (migration->known)
	{
		row->state = row->status ? row->status->state : "new";
		if (row->status == NULL || !row->status->is_applied)
			row->detail = migration->detail;
	}
	else if (migration->is_unreadable)
		row->state = "error";	/* the troubles of the set say why */
	else if (migration->stored ? is_not_what_was_applied(migration->stored) :
			 dbm_migrations_contradicts(&comparison->ext, &migration->registration))
	{
		row->state = "changed";
		row->detail = row->status && row->status->is_applied ? "it is not what was applied" :
			"it is not what was applied in another schema";
	}
	else if (trouble)
	{
		row->state = "error";
		row->detail = trouble->message;
	}
	else if (migration->stored && row->status)
		judge_registered(row, migration);
	else
		judge_unregistered(comparison, row, migration);
}

static void
judge_unregistered(const Comparison *comparison, Row *row, const DbmFileMigration *migration)
{
	const char *detail = dbm_check_describe(migration);

	if (row->status)
	{
		row->state = "applied";
		row->detail = "not registered";
		return;
	}
	row->state = "new";
	if (row->key && comparison->newest && dbm_version_compare(row->key, comparison->newest) < 0)
		row->detail = psprintf("older than the newest applied migration%s%s", detail ? "; " : "", detail ? detail : "");
	else
		row->detail = detail;
}

static void
judge_registered(Row *row, const DbmFileMigration *migration)
{
	const DbmStored *stored = migration->stored;
	const DbmScript *up = migration->registration.up_script;
	bool		is_other_text = !stored->same_tokens && (!row->status->is_applied || stored->is_repeatable);

	row->state = row->status->state;
	if (is_other_text && (strcmp(row->state, "unreadable") == 0 || strcmp(row->state, "applied") == 0))
		row->state = "pending";
	if (is_other_text && up && up->unreadable && strcmp(row->state, "pending") == 0)
		row->state = "unreadable";
	if (strcmp(row->state, "changed") == 0)
		row->detail = "what is registered was edited, or is not what was applied";
	else if (!dbm_stored_is_same(stored))
		row->detail = differences(stored);
	else if (!row->status->is_applied)
		row->detail = dbm_check_describe(migration);
}

/* What was applied keeps its text, but for a migration that may be run again. */
static bool
is_not_what_was_applied(const DbmStored *stored)
{
	return stored->is_applied && stored->has_up && !stored->same_tokens && !stored->is_repeatable;
}

/* What migrate.add_files() would change. */
static const char *
differences(const DbmStored *stored)
{
	StringInfoData buf;

	initStringInfo(&buf);
	if (!stored->same_tokens)
		appendStringInfoString(&buf, "; registered with another up script");
	else if (!stored->same_up)
		appendStringInfoString(&buf, "; registered with other comments or white space");
	if (!stored->same_down)
		appendStringInfoString(&buf, stored->down_sha256 ? "; registered with another down script" :
							   "; registered without a down script");
	/* how it is run follows from what is in it */
	if (buf.len == 0)
		appendStringInfoString(&buf, "; registered under another name, or to be run in another way");
	return buf.data + 2;
}

/* State and detail of a row that has no file, unless one is found. */
static void
judge_missing(Row *row)
{
	const DbmStatus *status = row->status;
	const char *origin = status->file_name ? "" : "; registered without a file";

	if (!status->is_registered && strcmp(status->state, "applied") == 0)
	{
		row->state = status->state; /* since migrate.baseline(): there was
									 * none */
		row->detail = "not registered";
	}
	else
	{
		row->state = "file_missing";
		row->detail = status->is_registered ? psprintf("%s%s", status->state, origin) : "applied; not registered";
	}
}

/* What is wrong with the files, where they are, or in rows of its own. */
static void
add_troubles(Comparison *comparison)
{
	ListCell   *lc;

	if (comparison->set.troubles == NIL)
		return;
	comparison->files = dbm_names_create(list_length(comparison->set.files));
	foreach(lc, comparison->set.files)
		dbm_names_put(comparison->files, ((DbmFile *) lfirst(lc))->path, lfirst(lc));
	foreach(lc, comparison->set.troubles)
	{
		CHECK_FOR_INTERRUPTS();
		add_trouble(comparison, lfirst(lc));
	}
}

static void
add_trouble(Comparison *comparison, const DbmTrouble *trouble)
{
	Row		   *row = dbm_names_get(comparison->by_file, trouble->file);

	if (row == NULL)
	{
		const DbmFile *file = dbm_names_get(comparison->files, trouble->file);

		row = palloc0(sizeof(Row));
		row->file = trouble->file;
		if (file && file->name.version && *file->name.version)
			row->version = file->name.version;
		row->key = canonical(row->version);
		row->name = file ? file->name.name : NULL;
		comparison->rows = lappend(comparison->rows, row);
		dbm_names_put(comparison->by_file, trouble->file, row);
	}
	row->detail = row->state && strcmp(row->state, "error") == 0 && row->detail ?
		psprintf("%s; %s", row->detail, trouble->message) : trouble->message;
	row->state = "error";
}

/* As migrate.status() has them. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const Row  *one = lfirst(a);
	const Row  *two = lfirst(b);
	int			result = dbm_version_compare(one->key, two->key);

	if (result == 0)
		result = strcmp(one->name ? one->name : "", two->name ? two->name : "");
	if (result == 0)
		result = strcmp(one->file ? one->file : "", two->file ? two->file : "");
	return result;
}

static void
put_row(ReturnSetInfo *result, const Row *row)
{
	const DbmStatus *status = row->status;
	const DbmRegistration *read = row->migration && row->migration->known == NULL ? &row->migration->registration : NULL;
	bool		can_rollback = status && status->can_rollback;
	DbmRow		values = {0};

	if (read && read->down && read->version_key)
		can_rollback = read->down_statements >= 0;
	dbm_row_add_text(&values, row->version);
	dbm_row_add_text(&values, row->name);
	dbm_row_add_text(&values, row->state);
	dbm_row_add(&values, status ? status->applied_at : (Datum) 0, status == NULL || status->no_time);
	dbm_row_add_text(&values, status ? status->applied_by : NULL);
	dbm_row_add(&values, status ? status->duration : (Datum) 0, status == NULL || status->no_duration);
	dbm_row_add(&values, BoolGetDatum(can_rollback), false);
	dbm_row_add_text(&values, row->file);
	dbm_row_add_text(&values, row->detail);
	dbm_row_put(&values, result);
}
