/*-------------------------------------------------------------------------
 *
 * files.c
 *	  The rows of migrate.file: from which files the migrations of a project
 *	  were read last.
 *
 * A row counts while the same extension, on a server of the same major
 * version, would read the file, and while what is registered of its migration
 * is what it was: a hash of that is stored with the row, so that nobody who
 * changes a migration has to think of the files.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "tables/tables.h"

/* All that a file could have a say in, and what tells that somebody else had. */
#define REGISTERED_HASH \
	"pg_catalog.hash_record_extended(ROW(m.version, m.name, m.file_name, m.environments," \
	" m.up_online, m.down_online, m.up_statements, m.down_statements," \
	" m.up_sha256, m.down_sha256, m.altered), 0)"

/* Columns of the query of dbm_files_all(). */
enum
{
	COL_NAME = 1, COL_SHA256, COL_MIGRATION, COL_READ_AS, COL_DETAIL, COL_READING, COL_READ_BY, COL_REGISTERED
};

/* A migration: its name, and the hash of the rest. */
typedef struct Registered
{
	const char *name;
	int64		hash;
} Registered;

static SPIPlanPtr plan_all = NULL;
static SPIPlanPtr plan_registered = NULL;

static HTAB *registered_migrations(const DbmExtension *ext);
static const uint8 *hash_column(uint64 row, int number);
static Datum text_array(DbmFileRow *const *rows, int nrows, int number);

/* What reads files here and now, see migrate.file.read_by. */
const char *
dbm_files_reader(void)
{
	return DBMIGRATE_VERSION "/" PG_MAJORVERSION;
}

/*
 * The files of the last set of the project that was registered with that
 * format, in the order of their names' bytes.
 */
DbmFileRow *
dbm_files_all(const DbmExtension *ext, const char *format, int *count)
{
	HTAB	   *migrations = registered_migrations(ext);
	DbmParams	params = {0};
	DbmFileRow *rows;

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, format);
	dbm_query_saved(ext, &plan_all,
					"SELECT f.name, f.sha256, f.migration, f.read_as, f.detail, f.reading_sha256, f.read_by, f.registered"
					" FROM migrate.file f"
					" WHERE f.project OPERATOR(pg_catalog.=) $1 AND f.format OPERATOR(pg_catalog.=) $2"
					" ORDER BY f.name",
					&params, SPI_OK_SELECT);
	*count = (int) SPI_processed;
	rows = palloc_extended(Max(*count, 1) * sizeof(DbmFileRow), MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	for (int i = 0; i < *count; i++)
	{
		const Registered *registered;

		rows[i].name = dbm_column_string(i, COL_NAME);
		rows[i].sha256 = hash_column(i, COL_SHA256);
		rows[i].migration = dbm_column_string(i, COL_MIGRATION);
		rows[i].read_as = dbm_column_string(i, COL_READ_AS);
		rows[i].detail = dbm_column_string(i, COL_DETAIL);
		rows[i].reading = hash_column(i, COL_READING);
		rows[i].read_by = dbm_column_string(i, COL_READ_BY);
		registered = rows[i].migration ? dbm_names_get(migrations, rows[i].migration) : NULL;
		rows[i].is_current = rows[i].migration == NULL ||
			(registered && registered->hash == dbm_column_int(i, COL_REGISTERED, ~registered->hash));
		rows[i].migration_name = registered ? registered->name : NULL;
	}
	SPI_freetuptable(SPI_tuptable);
	return rows;
}

/*
 * What is registered of each migration of the project.  Brought together with
 * the files here: without statistics the planner would go through all of one for
 * each of the other.
 */
static HTAB *
registered_migrations(const DbmExtension *ext)
{
	DbmParams	params = {0};
	HTAB	   *migrations;
	int			count;
	Registered *all;

	dbm_param_text(&params, ext->project);
	dbm_query_saved(ext, &plan_registered,
					"SELECT m.id, m.name, " REGISTERED_HASH " FROM migrate.migration m"
					" WHERE m.project OPERATOR(pg_catalog.=) $1",
					&params, SPI_OK_SELECT);
	count = (int) SPI_processed;
	migrations = dbm_names_create(count);
	all = palloc_extended(Max(count, 1) * sizeof(Registered), MCXT_ALLOC_HUGE);
	for (int i = 0; i < count; i++)
	{
		all[i].name = dbm_column_string(i, 2);
		all[i].hash = dbm_column_int(i, 3, 0);
		dbm_names_put(migrations, dbm_column_string(i, 1), &all[i]);
	}
	SPI_freetuptable(SPI_tuptable);
	return migrations;
}

/* Does the row still say what reading the file would? */
bool
dbm_files_counts(const DbmFileRow *row)
{
	return row->is_current && strcmp(row->read_by, dbm_files_reader()) == 0;
}

/* Store rows, whether or not there are some of these names. */
void
dbm_files_store(const DbmExtension *ext, const char *format, DbmFileRow *const *rows, int nrows)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, format);
	for (int number = COL_NAME; number <= COL_READ_BY; number++)
		dbm_param_datum(&params, number == COL_SHA256 || number == COL_READING ? BYTEAARRAYOID : TEXTARRAYOID,
						text_array(rows, nrows, number));
	dbm_query(ext,
			  "INSERT INTO migrate.file (project, format, name, sha256, migration, read_as, detail, reading_sha256,"
			  " read_by, registered)"
			  " SELECT $1, $2, u.name, u.sha256, u.migration, u.read_as, u.detail, u.reading, u.read_by,"
			  " CASE WHEN m.id IS NOT NULL THEN " REGISTERED_HASH " END"
			  " FROM ROWS FROM (pg_catalog.unnest($3), pg_catalog.unnest($4), pg_catalog.unnest($5),"
			  "  pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8), pg_catalog.unnest($9))"
			  "  u(name, sha256, migration, read_as, detail, reading, read_by)"
			  " LEFT JOIN migrate.migration m ON m.project OPERATOR(pg_catalog.=) $1"
			  "  AND m.id OPERATOR(pg_catalog.=) u.migration"
			  " ORDER BY u.name COLLATE pg_catalog.\"C\""
			  " ON CONFLICT ON CONSTRAINT file_pkey DO UPDATE SET sha256 = excluded.sha256,"
			  " migration = excluded.migration, read_as = excluded.read_as, detail = excluded.detail,"
			  " reading_sha256 = excluded.reading_sha256, read_by = excluded.read_by, registered = excluded.registered",
			  &params, SPI_OK_INSERT);
}

/* Forget the files of these names. */
void
dbm_files_forget(const DbmExtension *ext, const char *format, DbmFileRow *const *rows, int nrows)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, format);
	dbm_param_datum(&params, TEXTARRAYOID, text_array(rows, nrows, COL_NAME));
	dbm_query(ext,
			  "DELETE FROM migrate.file f WHERE f.project OPERATOR(pg_catalog.=) $1"
			  " AND f.format OPERATOR(pg_catalog.=) $2 AND f.name OPERATOR(pg_catalog.=) ANY ($3)",
			  &params, SPI_OK_DELETE);
}

static const uint8 *
hash_column(uint64 row, int number)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, number, &isnull);
	bytea	   *bytes = isnull ? NULL : DatumGetByteaPP(value);
	uint8	   *hash;

	/* somebody may have edited the table */
	if (bytes == NULL || VARSIZE_ANY_EXHDR(bytes) != PG_SHA256_DIGEST_LENGTH)
		return NULL;
	hash = palloc(PG_SHA256_DIGEST_LENGTH);
	memcpy(hash, VARDATA_ANY(bytes), PG_SHA256_DIGEST_LENGTH);
	return hash;
}

/* One column of the rows as text[] or bytea[]. */
static Datum
text_array(DbmFileRow *const *rows, int nrows, int number)
{
	Datum	   *values = palloc0(Max(nrows, 1) * sizeof(Datum));
	bool	   *nulls = palloc0(Max(nrows, 1) * sizeof(bool));
	bool		is_bytea = number == COL_SHA256 || number == COL_READING;
	int			lower = 1;

	for (int i = 0; i < nrows; i++)
	{
		const DbmFileRow *row = rows[i];

		if (is_bytea)
		{
			const uint8 *hash = number == COL_SHA256 ? row->sha256 : row->reading;

			nulls[i] = hash == NULL;
			values[i] = hash ? dbm_checksum_bytea(hash) : (Datum) 0;
		}
		else
		{
			const char *value = number == COL_NAME ? row->name : number == COL_MIGRATION ? row->migration :
				number == COL_READ_AS ? row->read_as : number == COL_DETAIL ? row->detail : row->read_by;

			nulls[i] = value == NULL;
			values[i] = value ? CStringGetTextDatum(value) : (Datum) 0;
		}
	}
	return PointerGetDatum(construct_md_array(values, nulls, 1, &nrows, &lower,
											  is_bytea ? BYTEAOID : TEXTOID, -1, false, TYPALIGN_INT));
}
