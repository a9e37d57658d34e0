/*-------------------------------------------------------------------------
 *
 * knownfiles.c
 *	  Which files of a set need not be read, since they were registered as they
 *	  are.
 *
 * A migration is known if the hash of all that it was read from is the one that
 * was stored with it: the names of its files and of those about them, and
 * SHA-256 of their bytes, which the server has counted itself when it read them.
 * A hash that comes without its content is compared with that, and with nothing
 * else: it is believed of no file that has not been here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "files/internal.h"

#define MAX_FILES_TOLD 100

/* A file whose name is in UTF-8. */
typedef struct Counted
{
	const char *name;
	int			len;
	const uint8 *sha256;
} Counted;

static bool is_hashed(const char *name);
static void hash_file(pg_cryptohash_ctx *context, DbmFile *file);
static void hash_reading(pg_cryptohash_ctx *context, DbmFileMigration *migration);
static void hash_part(pg_cryptohash_ctx *context, const char *what, const DbmFile *file);
static pg_cryptohash_ctx *begin_hash(void);
static void add_bytes(pg_cryptohash_ctx *context, const void *bytes, int len);
static void add_string(pg_cryptohash_ctx *context, const char *string);
static void finish_hash(pg_cryptohash_ctx *context, uint8 *sha256);
static void take_known(DbmFileMigration *migration, const DbmFileRow *row);
static List *make_rows(DbmFileSet *set);
static void describe_migration(const DbmFileMigration *migration);
static bool is_settled(const DbmFileMigration *migration);
static bool is_same_row(const DbmFileRow *a, const DbmFileRow *b);
static bool is_same_text(const char *a, const char *b);
static bool is_same_hash(const uint8 *a, const uint8 *b);
static DbmFileRow **list_rows(List *list);
static void check_may_ask(const DbmExtension *ext, const char *what);
static int	compare_counted(const void *a, const void *b);
static Datum digest(const DbmFileRow *rows, int nrows);
static List *files_from_arrays(ArrayType *names, ArrayType *hashes);
static void deconstruct(ArrayType *array, const char *name, Oid type, Datum **values, bool **nulls, int *nvalues);

PG_FUNCTION_INFO_V1(dbmigrate_files_digest);
PG_FUNCTION_INFO_V1(dbmigrate_wanted_files);

/*
 * SQL: migrate.files_digest(format, project) returns bytea
 *
 * For each file of the last set, in the order of the bytes of its name in
 * UTF-8: the name, a zero byte and the SHA-256 of the file; zeros where the
 * content does not matter.  NULL if there is none, or if something has to be
 * read again.
 */
Datum
dbmigrate_files_digest(PG_FUNCTION_ARGS)
{
	DbmFormat	format = dbm_format_argument(fcinfo, 0);
	DbmExtension ext;
	DbmFileRow *rows;
	int			nrows;

	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 1));
	check_may_ask(&ext, "migrate.files_digest()");
	rows = dbm_files_all(&ext, dbm_format_name(format), &nrows);
	dbm_extension_close();
	for (int i = 0; i < nrows; i++)
		if (!dbm_files_counts(&rows[i]))
			PG_RETURN_NULL();
	if (nrows == 0)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(digest(rows, nrows));
}

/* SQL: migrate.wanted_files(names, sha256, format, project) returns setof text */
Datum
dbmigrate_wanted_files(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbmFormat	format = dbm_format_argument(fcinfo, 2);
	DbmFileSet	set = {0};
	DbmExtension ext;
	List	   *files;
	ListCell   *lc;

	dbm_check_not_null(fcinfo, 0, "names");
	dbm_check_not_null(fcinfo, 1, "sha256");
	files = files_from_arrays(PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1));
	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	dbm_extension_open(&ext);
	dbm_extension_use(&ext, "", dbm_text_argument(fcinfo, 3));
	check_may_ask(&ext, "migrate.wanted_files()");
	dbm_known_files_hash(files);
	dbm_known_files_load(&ext, format, &set);
	dbm_fileset_read(files, format, &set);
	foreach(lc, set.wanted)
	{
		DbmRow		row = {0};

		dbm_row_add_text(&row, ((const DbmFile *) lfirst(lc))->given);
		dbm_row_put(&row, result);
	}
	dbm_extension_close();
	return (Datum) 0;
}

/*
 * Hash what came with its content, and forget the hashes of what does not
 * matter.  Error 22023 where a content is not that of the hash beside it.
 */
void
dbm_known_files_hash(List *files)
{
	pg_cryptohash_ctx *context = begin_hash();
	ListCell   *lc;

	foreach(lc, files)
	{
		DbmFile    *file = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (!is_hashed(file->path))
			file->has_sha256 = false;
		else if (file->content)
			hash_file(context, file);
	}
	pg_cryptohash_free(context);
}

/* What is known of the set that was registered last. */
void
dbm_known_files_load(const DbmExtension *ext, DbmFormat format, DbmFileSet *set)
{
	set->rows = dbm_files_all(ext, dbm_format_name(format), &set->nrows);
	set->known = dbm_names_create(set->nrows);
	for (int i = 0; i < set->nrows; i++)
		dbm_names_put(set->known, set->rows[i].name, &set->rows[i]);
}

/* Find the migrations that were read from the same before. */
void
dbm_known_files_find(DbmFileSet *set)
{
	pg_cryptohash_ctx *context;
	ListCell   *lc;

	if (set->known == NULL)
		return;
	context = begin_hash();
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		const DbmFileRow *row = dbm_names_get(set->known, dbm_fileset_main_file(migration)->path);

		CHECK_FOR_INTERRUPTS();
		hash_reading(context, migration);
		if (row && row->migration && dbm_files_counts(row) && is_same_hash(row->reading, migration->reading))
			take_known(migration, row);
	}
	pg_cryptohash_free(context);
}

/*
 * The set is registered: it is the last one now.  Unless another transaction is
 * about to note its own: nobody has to wait for what only spares a look.
 */
void
dbm_known_files_remember(const DbmExtension *ext, DbmFileSet *set)
{
	List	   *rows = make_rows(set);
	HTAB	   *names = dbm_names_create(list_length(rows));
	List	   *changed = NIL;
	List	   *gone = NIL;
	ListCell   *lc;

	foreach(lc, rows)
	{
		DbmFileRow *row = lfirst(lc);
		const DbmFileRow *old = dbm_names_get(set->known, row->name);

		if (strlen(row->name) > DBM_MAX_NAME || dbm_names_get(names, row->name))
			continue;			/* no key of an index, or given twice */
		dbm_names_put(names, row->name, row);
		if (old == NULL || !is_same_row(row, old))
			changed = lappend(changed, row);
	}
	for (int i = 0; i < set->nrows; i++)
		if (dbm_names_get(names, set->rows[i].name) == NULL)
			gone = lappend(gone, &set->rows[i]);
	if ((gone == NIL && changed == NIL) || !dbm_lock_try(ext, DBM_LOCK_FILES))
		return;
	if (gone)
		dbm_files_forget(ext, dbm_format_name(set->format), list_rows(gone), list_length(gone));
	if (changed)
		dbm_files_store(ext, dbm_format_name(set->format), list_rows(changed), list_length(changed));
}

/* Error 58P01 that names the files whose content is wanted. */
void
dbm_known_files_throw_wanted(const DbmFileSet *set)
{
	int			count = list_length(set->wanted);
	StringInfoData list;
	ListCell   *lc;

	if (count == 0)
		return;
	initStringInfo(&list);
	foreach(lc, set->wanted)
	{
		if (foreach_current_index(lc) == MAX_FILES_TOLD)
			break;
		appendStringInfo(&list, "%s%s", list.len > 0 ? "\n" : "", ((const DbmFile *) lfirst(lc))->path);
	}
	if (count > MAX_FILES_TOLD)
		appendStringInfo(&list, "\nand %d more", count - MAX_FILES_TOLD);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_FILE),
			 errmsg_plural("the content of %d file is not known here", "the content of %d files is not known here",
						   count, count),
			 errdetail_internal("%s", list.data),
			 errhint("Give the content of these; migrate.wanted_files() tells which it will be.")));
}

/* Is its content what counts?  Others are never sent. */
static bool
is_hashed(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && (pg_strcasecmp(dot, ".sql") == 0 || pg_strcasecmp(dot, ".toml") == 0 ||
				   pg_strcasecmp(dot, ".conf") == 0);
}

static void
hash_file(pg_cryptohash_ctx *context, DbmFile *file)
{
	int			len = file->len;
	char	   *bytes = dbm_checksum_utf8(file->content, &len);
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];

	add_bytes(context, bytes, len);
	finish_hash(context, sha256);
	if (file->has_sha256 && !is_same_hash(file->sha256, sha256))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the content of file \"%s\" has another SHA-256 than the one beside it",
						dbm_without_control(file->path)),
				 errhint("It was changed while it was read, or its hash is not of its bytes in UTF-8: try again.")));
	memcpy(file->sha256, sha256, PG_SHA256_DIGEST_LENGTH);
	file->has_sha256 = true;
}

/* Everything that has a say in what the migration becomes. */
static void
hash_reading(pg_cryptohash_ctx *context, DbmFileMigration *migration)
{
	const DbmRegistration *wanted = &migration->registration;
	ListCell   *lc;

	add_string(context, wanted->version ? wanted->version : wanted->id);
	add_string(context, wanted->name);
	add_bytes(context, &migration->rank, sizeof(migration->rank));
	hash_part(context, "up", migration->up_file);
	hash_part(context, "down", migration->down_file);
	foreach(lc, migration->settings)
		hash_part(context, "settings", lfirst(lc));
	finish_hash(context, migration->reading);
}

static void
hash_part(pg_cryptohash_ctx *context, const char *what, const DbmFile *file)
{
	static const uint8 zeros[PG_SHA256_DIGEST_LENGTH];

	if (file == NULL)
		return;
	add_string(context, what);
	add_string(context, file->path);
	add_bytes(context, file->has_sha256 ? file->sha256 : zeros, PG_SHA256_DIGEST_LENGTH);
}

static pg_cryptohash_ctx *
begin_hash(void)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0)
		elog(ERROR, "could not initialize SHA-256");
	return context;
}

static void
add_bytes(pg_cryptohash_ctx *context, const void *bytes, int len)
{
	if (pg_cryptohash_update(context, bytes, len) < 0)
		elog(ERROR, "could not compute SHA-256");
}

static void
add_string(pg_cryptohash_ctx *context, const char *string)
{
	add_bytes(context, string, strlen(string) + 1);
}

/* The context is ready for the next hash. */
static void
finish_hash(pg_cryptohash_ctx *context, uint8 *sha256)
{
	if (pg_cryptohash_final(context, sha256, PG_SHA256_DIGEST_LENGTH) < 0 || pg_cryptohash_init(context) < 0)
		elog(ERROR, "could not compute SHA-256");
}

static void
take_known(DbmFileMigration *migration, const DbmFileRow *row)
{
	migration->known = row;
	migration->id = row->migration;
	migration->outcome = "unchanged";
	migration->detail = row->detail;
	migration->registration.name = row->migration_name; /* a directive may have
														 * it */
	if (row->read_as)
		migration->format = dbm_format_by_name(row->read_as);
}

/* A row for each file of the set. */
static List *
make_rows(DbmFileSet *set)
{
	List	   *rows = NIL;
	ListCell   *lc;

	foreach(lc, set->files)
	{
		DbmFile    *file = lfirst(lc);
		DbmFileRow *row = palloc0(sizeof(DbmFileRow));

		row->name = file->path;
		row->sha256 = file->has_sha256 ? file->sha256 : NULL;
		row->read_by = dbm_files_reader();
		row->is_current = true;
		file->row = row;
		rows = lappend(rows, row);
	}
	foreach(lc, set->migrations)
		describe_migration(lfirst(lc));
	return rows;
}

static void
describe_migration(const DbmFileMigration *migration)
{
	DbmFileRow *row = dbm_fileset_main_file(migration)->row;
	DbmFileRow *down = migration->down_file ? migration->down_file->row : row;

	row->migration = down->migration = migration->id;
	row->is_current = down->is_current = strcmp(migration->outcome, "unchanged") == 0;
	row->read_as = migration->format == DBM_FORMAT_AUTO ? NULL : dbm_format_name(migration->format);
	row->detail = migration->detail;
	row->reading = migration->reading;
	if (!is_settled(migration))
		row->read_by = "";
}

/* Or is something to be told of it each time? */
static bool
is_settled(const DbmFileMigration *migration)
{
	const DbmScript *up = migration->registration.up_script;
	const DbmScript *down = migration->registration.down_script;

	return migration->known ||
		(migration->up_file && !migration->has_placeholders && !(up && up->unreadable) && !(down && down->unreadable));
}

/* Would a new row say the same, also of what is registered? */
static bool
is_same_row(const DbmFileRow *a, const DbmFileRow *b)
{
	return a->is_current && b->is_current && is_same_hash(a->sha256, b->sha256) && is_same_text(a->migration, b->migration) &&
		is_same_text(a->read_as, b->read_as) && is_same_text(a->detail, b->detail) &&
		is_same_hash(a->reading, b->reading) && strcmp(a->read_by, b->read_by) == 0;
}

static bool
is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool
is_same_hash(const uint8 *a, const uint8 *b)
{
	return a && b ? memcmp(a, b, PG_SHA256_DIGEST_LENGTH) == 0 : a == b;
}

static DbmFileRow **
list_rows(List *list)
{
	DbmFileRow **rows = palloc(list_length(list) * sizeof(DbmFileRow *));
	ListCell   *lc;

	foreach(lc, list)
		rows[foreach_current_index(lc)] = lfirst(lc);
	return rows;
}

/*
 * Whoever may not register files is not told whether one with a certain text is
 * registered.
 */
static void
check_may_ask(const DbmExtension *ext, const char *what)
{
	DbmParams	params = {0};

	dbm_param(&params, OIDOID, ObjectIdGetDatum(GetUserId()), false);
	dbm_query(ext,
			  "SELECT pg_catalog.has_function_privilege($1, 'migrate.add_files(pg_catalog.jsonb, pg_catalog.text, pg_catalog.text)', 'EXECUTE')",
			  &params, SPI_OK_SELECT);
	if (!dbm_column_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to execute %s", what),
				 errdetail("It answers only those who may register files."),
				 errhint("GRANT EXECUTE ON FUNCTION migrate.add_files TO %s;",
						 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

static Datum
digest(const DbmFileRow *rows, int nrows)
{
	static const uint8 zeros[PG_SHA256_DIGEST_LENGTH];
	Counted    *counted = palloc_extended(nrows * sizeof(Counted), MCXT_ALLOC_HUGE);
	pg_cryptohash_ctx *context = begin_hash();
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];

	for (int i = 0; i < nrows; i++)
	{
		counted[i].len = strlen(rows[i].name);
		counted[i].name = dbm_checksum_utf8(rows[i].name, &counted[i].len);
		counted[i].sha256 = rows[i].sha256 ? rows[i].sha256 : zeros;
	}
	/* in another encoding the order may be another */
	qsort(counted, nrows, sizeof(Counted), compare_counted);
	for (int i = 0; i < nrows; i++)
	{
		add_bytes(context, counted[i].name, counted[i].len);
		add_bytes(context, "", 1);
		add_bytes(context, counted[i].sha256, PG_SHA256_DIGEST_LENGTH);
	}
	finish_hash(context, sha256);
	pg_cryptohash_free(context);
	return dbm_checksum_bytea(sha256);
}

static int
compare_counted(const void *a, const void *b)
{
	return strcmp(((const Counted *) a)->name, ((const Counted *) b)->name);
}

/* The arguments of migrate.wanted_files(); 22023 or 22004 if they are none. */
static List *
files_from_arrays(ArrayType *names, ArrayType *hashes)
{
	Datum	   *name;
	Datum	   *hash;
	bool	   *no_name;
	bool	   *no_hash;
	int			nnames;
	int			nhashes;
	List	   *files = NIL;

	deconstruct(names, "names", TEXTOID, &name, &no_name, &nnames);
	deconstruct(hashes, "sha256", BYTEAOID, &hash, &no_hash, &nhashes);
	if (nnames != nhashes)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("names has %d elements and sha256 has %d", nnames, nhashes),
				 errhint("Give one SHA-256 for each name, and NULL for a file that has none.")));
	for (int i = 0; i < nnames; i++)
	{
		DbmFile    *file = palloc0(sizeof(DbmFile));

		CHECK_FOR_INTERRUPTS();
		if (no_name[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("names must not contain nulls")));
		file->path = TextDatumGetCString(name[i]);
		if (!no_hash[i])
		{
			bytea	   *bytes = DatumGetByteaPP(hash[i]);

			if (VARSIZE_ANY_EXHDR(bytes) != PG_SHA256_DIGEST_LENGTH)
				ereport(ERROR,
						(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						 errmsg("the sha256 of file \"%s\" must have %d bytes, not %d", dbm_without_control(file->path),
								PG_SHA256_DIGEST_LENGTH, (int) VARSIZE_ANY_EXHDR(bytes))));
			memcpy(file->sha256, VARDATA_ANY(bytes), PG_SHA256_DIGEST_LENGTH);
		}
		file->has_sha256 = true;	/* zeros are that of nothing */
		files = lappend(files, file);
	}
	return files;
}

static void
deconstruct(ArrayType *array, const char *name, Oid type, Datum **values, bool **nulls, int *nvalues)
{
	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("%s must be an array of one dimension", name)));
	deconstruct_array(array, type, -1, false, TYPALIGN_INT, values, nulls, nvalues);
}
