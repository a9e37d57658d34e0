/*-------------------------------------------------------------------------
 *
 * manymigrations.c
 *	  The rows of many migrations in one statement: what is stored of a set of
 *	  files, and what is new of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "tables/tables.h"

/* The arrays of one statement hold so many rows, and bytes of scripts, at most. */
#define MAX_ROWS 1000
#define MAX_BYTES (16 * 1024 * 1024)

static int	rows_at_once(DbmRegistration *const *wanted, int nwanted);
static Size script_bytes(const DbmRegistration *wanted);
static void insert_some(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted, const char **ids);
static Datum take_ids(DbmRegistration *const *wanted, int nwanted, const char **ids);
static Datum keys(DbmRegistration *const *wanted, int nwanted, bool by_version);
static void set_text(Datum *value, bool *isnull, const char *text);
static void set_datum(Datum *cell, bool *isnull, Datum value);
static void set_row(Datum *values[], bool *nulls[], int row, const DbmRegistration *wanted);
static Datum make_array(Oid type, Datum *values, bool *nulls, int nvalues);

/*
 * dbm_migrations_stored() for each of "wanted"; stored[] is NULL where nothing
 * is registered.  Whether such a version is applied nowhere goes to
 * wanted->is_unheard_of.
 */
void
dbm_migrations_stored_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
						   DbmStored **stored)
{
	enum
	{
		COL_N = 17, COL_HEARD_OF
	};

	for (int by_version = 0; by_version <= 1; by_version++)
	{
		DbmParams	params = {0};

		dbm_param_text(&params, ext->project);
		dbm_param_datum(&params, TEXTARRAYOID, keys(wanted, nwanted, by_version));
		dbm_query(ext, by_version ?
				  "SELECT " DBM_STORED_COLUMNS ", u.n,"
				  " EXISTS (SELECT FROM migrate.applied a WHERE a.project OPERATOR(pg_catalog.=) $1"
				  "  AND a.version_key OPERATOR(pg_catalog.=) u.key)"
				  " FROM (SELECT migrate.version_key(v.version) AS key, v.n"
				  "  FROM pg_catalog.unnest($2) WITH ORDINALITY v(version, n) WHERE v.version IS NOT NULL OFFSET 0) u"
				  " LEFT JOIN migrate.migration m ON m.project OPERATOR(pg_catalog.=) $1"
				  "  AND m.version_key OPERATOR(pg_catalog.=) u.key" :
				  "SELECT " DBM_STORED_COLUMNS ", u.n, true"
				  " FROM pg_catalog.unnest($2) WITH ORDINALITY u(id, n)"
				  " JOIN migrate.migration m ON m.project OPERATOR(pg_catalog.=) $1"
				  "  AND m.id OPERATOR(pg_catalog.=) u.id AND m.version_key IS NULL",
				  &params, SPI_OK_SELECT);
		for (uint64 row = 0; row < SPI_processed; row++)
		{
			int			n = (int) dbm_column_int(row, COL_N, 0) - 1;

			CHECK_FOR_INTERRUPTS();
			if (!dbm_column_is_null(row, 1))
				stored[n] = dbm_migrations_fetch(row, wanted[n]);
			wanted[n]->is_unheard_of = !dbm_column_bool(row, COL_HEARD_OF);
		}
		SPI_freetuptable(SPI_tuptable);
	}
}

/*
 * Store new migrations.  ids[] gets the id of each, or NULL where another
 * session has stored that version in the meantime.
 */
void
dbm_migrations_insert_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
						   const char **ids)
{
	while (nwanted > 0)
	{
		int			n = rows_at_once(wanted, nwanted);

		CHECK_FOR_INTERRUPTS();
		insert_some(ext, wanted, n, ids);
		wanted += n;
		ids += n;
		nwanted -= n;
	}
}

static int
rows_at_once(DbmRegistration *const *wanted, int nwanted)
{
	Size		bytes = 0;
	int			n = 0;

	while (n < Min(nwanted, MAX_ROWS))
	{
		bytes += script_bytes(wanted[n]);
		if (n > 0 && bytes > MAX_BYTES)
			break;
		n++;
	}
	return n;
}

static Size
script_bytes(const DbmRegistration *wanted)
{
	return (wanted->up ? VARSIZE_ANY_EXHDR(DatumGetPointer(wanted->up)) : 0) +
		(wanted->down ? VARSIZE_ANY_EXHDR(DatumGetPointer(wanted->down)) : 0);
}

/* The columns that differ from row to row, in the order of the parameters. */
enum
{
	NEW_ID, NEW_VERSION, NEW_BASELINE, NEW_NAME, NEW_ENVIRONMENTS, NEW_UP_ONLINE, NEW_DOWN_ONLINE,
	NEW_UP_SETS_ROLE, NEW_DOWN_SETS_ROLE, NEW_UP_STATEMENTS, NEW_DOWN_STATEMENTS, NEW_CHECKSUM,
	NEW_UNREADABLE, NEW_DOWN_UNREADABLE, NEW_FILE_NAME, NEW_UP_SHA256, NEW_DOWN_SHA256, NEW_UP, NEW_DOWN,
	NEW_COLUMNS
};

static const Oid column_types[NEW_COLUMNS] = {
	TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, BOOLOID, BOOLOID, BOOLOID, INT4OID, INT4OID,
	BYTEAOID, TEXTOID, TEXTOID, TEXTOID, BYTEAOID, BYTEAOID, TEXTOID, TEXTOID
};

static void
set_text(Datum *value, bool *isnull, const char *text)
{
	*isnull = text == NULL;
	*value = text ? CStringGetTextDatum(text) : (Datum) 0;
}

static void
set_datum(Datum *cell, bool *isnull, Datum value)
{
	*isnull = value == 0;
	*cell = value;
}

/* All that is stored of one. */
static void
set_row(Datum *values[], bool *nulls[], int row, const DbmRegistration *wanted)
{
	const DbmScript *up = wanted->up_script;
	const DbmScript *down = wanted->down_script;
#define CELL(column) &values[column][row], &nulls[column][row]

	set_text(CELL(NEW_ID), wanted->id);
	set_text(CELL(NEW_VERSION), wanted->version);
	set_text(CELL(NEW_BASELINE), wanted->baseline_key ? wanted->id + 3 : NULL);
	set_text(CELL(NEW_NAME), wanted->name);
	set_text(CELL(NEW_ENVIRONMENTS), wanted->environments ? OidOutputFunctionCall(F_ARRAY_OUT, wanted->environments) : NULL);
	values[NEW_UP_ONLINE][row] = BoolGetDatum(wanted->up_online);
	values[NEW_DOWN_ONLINE][row] = BoolGetDatum(wanted->down_online);
	values[NEW_UP_SETS_ROLE][row] = BoolGetDatum(up->sets_role);
	values[NEW_DOWN_SETS_ROLE][row] = BoolGetDatum(down && down->sets_role);
	values[NEW_UP_STATEMENTS][row] = Int32GetDatum(wanted->up ? up->ncommands : -1);
	values[NEW_DOWN_STATEMENTS][row] = Int32GetDatum(wanted->down_statements);
	nulls[NEW_DOWN_STATEMENTS][row] = wanted->down_statements < 0;
	set_datum(CELL(NEW_CHECKSUM), dbm_script_checksum(up, wanted->up_online));
	set_text(CELL(NEW_UNREADABLE), up->unreadable ? up->unreadable->message : NULL);
	set_text(CELL(NEW_DOWN_UNREADABLE), down && down->unreadable ? down->unreadable->message : NULL);
	set_text(CELL(NEW_FILE_NAME), wanted->file_name);
	set_datum(CELL(NEW_UP_SHA256), wanted->up_sha256);
	set_datum(CELL(NEW_DOWN_SHA256), wanted->down_sha256);
	set_datum(CELL(NEW_UP), wanted->up ? wanted->up : CStringGetTextDatum(""));
	set_datum(CELL(NEW_DOWN), wanted->down);
#undef CELL
}

static void
insert_some(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted, const char **ids)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate insert", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	DbmParams	params = {0};
	Datum	   *values[NEW_COLUMNS];
	bool	   *nulls[NEW_COLUMNS];

	for (int column = 0; column < NEW_COLUMNS; column++)
	{
		values[column] = palloc0(nwanted * sizeof(Datum));
		nulls[column] = palloc0(nwanted * sizeof(bool));
	}
	for (int i = 0; i < nwanted; i++)
		set_row(values, nulls, i, wanted[i]);
	for (int column = 0; column < NEW_COLUMNS; column++)
		dbm_param_datum(&params, get_array_type(column_types[column]),
						make_array(column_types[column], values[column], nulls[column], nwanted));
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, GetUserNameFromId(GetUserId(), false));
	dbm_param_int64(&params, DBM_CHECKSUM_KIND);
	dbm_param_int64(&params, DBM_SERVER_MAJOR);
	MemoryContextSwitchTo(caller);
	dbm_query(ext,
			  "INSERT INTO migrate.migration (project, id, version, version_key, baseline_key, name, environments,"
			  " up_online, down_online, up_sets_role, down_sets_role, up_statements, down_statements, checksum,"
			  " checksum_kind, unreadable, down_unreadable, analyzed_on, file_name,"
			  " up_author, up_sha256, up, down_author, down_registered_at, down_sha256, down)"
			  " SELECT $20, coalesce(u.id, (SELECT a.id FROM migrate.applied a"
			  "  WHERE a.project OPERATOR(pg_catalog.=) $20 AND a.version_key OPERATOR(pg_catalog.=) u.version_key LIMIT 1), u.version),"
			  " u.version, u.version_key, migrate.version_key(u.baseline), u.name,"
			  " CASE WHEN u.environments OPERATOR(pg_catalog.<>) '{}' THEN u.environments::pg_catalog._text END,"
			  " u.up_online, u.down_online, u.up_sets_role, u.down_sets_role, u.up_statements, u.down_statements, u.checksum,"
			  " $22::pg_catalog.int2, u.unreadable, u.down_unreadable, $23::pg_catalog.int4, u.file_name,"
			  " $21, u.up_sha256, u.up,"
			  " CASE WHEN u.down IS NOT NULL THEN $21 END,"
			  " CASE WHEN u.down IS NOT NULL THEN pg_catalog.clock_timestamp() END,"
			  " u.down_sha256, u.down"
			  " FROM (SELECT v.*, migrate.version_key(v.version) AS version_key"
			  "  FROM ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2), pg_catalog.unnest($3), pg_catalog.unnest($4),"
			  "   pg_catalog.unnest($5), pg_catalog.unnest($6), pg_catalog.unnest($7), pg_catalog.unnest($8),"
			  "   pg_catalog.unnest($9), pg_catalog.unnest($10), pg_catalog.unnest($11), pg_catalog.unnest($12),"
			  "   pg_catalog.unnest($13), pg_catalog.unnest($14), pg_catalog.unnest($15), pg_catalog.unnest($16),"
			  "   pg_catalog.unnest($17), pg_catalog.unnest($18), pg_catalog.unnest($19)) WITH ORDINALITY"
			  "   v(id, version, baseline, name, environments, up_online, down_online, up_sets_role, down_sets_role,"
			  "    up_statements, down_statements, checksum, unreadable, down_unreadable, file_name,"
			  "    up_sha256, down_sha256, up, down, n) OFFSET 0) u"
			  " ORDER BY u.n"
			  " ON CONFLICT DO NOTHING RETURNING id, version",
			  &params, SPI_OK_INSERT_RETURNING);
	if (SPI_processed > 0)
		dbm_applied_learn_texts(ext, take_ids(wanted, nwanted, ids));
	MemoryContextDelete(context);
}

/*
 * The rows come back in the order in which they were given; some may be
 * missing.  Returns all ids as text[].
 */
static Datum
take_ids(DbmRegistration *const *wanted, int nwanted, const char **ids)
{
	int			n = 0;
	int			n_new = (int) SPI_processed;
	Datum	   *new = palloc(n_new * sizeof(Datum));

	for (uint64 row = 0; row < n_new; row++, n++)
	{
		const char *id = dbm_column_text(row, 1);
		const char *version = dbm_column_text(row, 2);

		while (n < nwanted && strcmp(version ? version : id, wanted[n]->version ? wanted[n]->version : wanted[n]->id) != 0)
			n++;
		if (n == nwanted)
			elog(ERROR, "migration %s was stored instead of another one", id);
		ids[n] = id;
		new[row] = CStringGetTextDatum(id);
	}
	SPI_freetuptable(SPI_tuptable);
	return make_array(TEXTOID, new, NULL, n_new);
}

/* Their versions, or the ids of those without one: text[] with nulls for the others. */
static Datum
keys(DbmRegistration *const *wanted, int nwanted, bool by_version)
{
	Datum	   *values = palloc0(Max(nwanted, 1) * sizeof(Datum));
	bool	   *nulls = palloc0(Max(nwanted, 1) * sizeof(bool));

	for (int i = 0; i < nwanted; i++)
		if (by_version)
			set_text(&values[i], &nulls[i], wanted[i]->version_key ? wanted[i]->version : NULL);
		else
			set_text(&values[i], &nulls[i], wanted[i]->version_key ? NULL : wanted[i]->id);
	return make_array(TEXTOID, values, nulls, nwanted);
}

static Datum
make_array(Oid type, Datum *values, bool *nulls, int nvalues)
{
	int16		len;
	bool		byval;
	char		align;
	int			lower = 1;

	get_typlenbyvalalign(type, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(values, nulls, 1, &nvalues, &lower, type, len, byval, align));
}
