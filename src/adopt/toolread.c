/*-------------------------------------------------------------------------
 *
 * toolread.c
 *	  Read another tool's history table.
 *
 * The query names the columns and nothing else.  Conditions, casts and ORDER
 * BY would go through operators and casts that may be somebody's own; so all
 * that is done here.  The columns' types may be somebody's own as well: values
 * become text while we still are the table's owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "adopt/adopt.h"

/* Where the columns are in the result of the query; 0 is nowhere. */
typedef struct Reader
{
	const DbmToolTable *table;
	int			columns[DBM_COLUMNS];
	Oid			types[DBM_COLUMNS];
	uint64		row;
} Reader;

static void start(Reader *reader, const DbmToolTable *table);
static DbmToolRow *read_row(const Reader *reader);
static void take_names(const Reader *reader, DbmToolRow *row);
static Datum value(const Reader *reader, DbmToolColumn column, bool *isnull);
static char *text_value(const Reader *reader, DbmToolColumn column);
static int64 int_value(const Reader *reader, DbmToolColumn column);
static bool bool_value(const Reader *reader, DbmToolColumn column);
static const TimestampTz *time_value(const Reader *reader, DbmToolColumn column);
static void wrong_type(const Reader *reader, DbmToolColumn column);

/* What is in force, oldest first; error 55000 if something there has failed. */
List *
dbm_tool_read(const DbmToolTable *table)
{
	DbmToolSection section;
	Reader		reader;
	List	   *rows = NIL;

	dbm_tool_enter(table, &section);
	start(&reader, table);
	for (reader.row = 0; reader.row < SPI_processed; reader.row++)
	{
		CHECK_FOR_INTERRUPTS();
		rows = lappend(rows, read_row(&reader));
	}
	SPI_freetuptable(SPI_tuptable);
	dbm_tool_leave(&section);
	return dbm_tool_in_force(table, rows);
}

/* Run the query. */
static void
start(Reader *reader, const DbmToolTable *table)
{
	StringInfoData sql;
	int			n = 0;

	memset(reader, 0, sizeof(Reader));
	reader->table = table;
	initStringInfo(&sql);
	for (int i = 0; i < DBM_COLUMNS; i++)
		if (table->columns[i])
		{
			reader->columns[i] = ++n;
			appendStringInfo(&sql, "%s t.%s", n == 1 ? "SELECT" : ",",
							 quote_identifier(table->columns[i]));
		}
	appendStringInfo(&sql, " FROM %s t", table->ref);
	dbm_tool_query(table, sql.data);
	for (int i = 0; i < DBM_COLUMNS; i++)
		if (reader->columns[i])
			reader->types[i] = getBaseType(SPI_gettypeid(SPI_tuptable->tupdesc, reader->columns[i]));
}

static DbmToolRow *
read_row(const Reader *reader)
{
	DbmToolRow *row = palloc0(sizeof(DbmToolRow));
	bool		isnull;

	row->type = text_value(reader, DBM_COLUMN_TYPE);
	if (row->type == NULL)
		row->type = "";
	row->flag = bool_value(reader, DBM_COLUMN_FLAG);
	row->order = int_value(reader, DBM_COLUMN_ORDER);
	row->applied_at = time_value(reader, DBM_COLUMN_TIME);
	row->applied_by = text_value(reader, DBM_COLUMN_AUTHOR);
	row->checksum = text_value(reader, DBM_COLUMN_CHECKSUM);
	(void) value(reader, DBM_COLUMN_UNDONE, &isnull);
	row->is_undone = !isnull;
	take_names(reader, row);
	row->is_up_to = reader->table->tool == DBM_TOOL_GOLANG_MIGRATE ||
		reader->table->tool == DBM_TOOL_TERN ||
		(reader->table->tool == DBM_TOOL_FLYWAY && row->version &&
		 (strcmp(row->type, "BASELINE") == 0 || strcmp(row->type, "SQL_BASELINE") == 0));
	return row;
}

/* The version, the name and the file of a row, as far as they are there. */
static void
take_names(const Reader *reader, DbmToolRow *row)
{
	const char *version = text_value(reader, DBM_COLUMN_VERSION);
	char	   *name = text_value(reader, DBM_COLUMN_NAME);
	char	   *file = text_value(reader, DBM_COLUMN_FILE);
	const char *rest = "";

	if (version)
	{
		const char *base = dbm_version_canonical(version) ? version : dbm_name_base(version);

		row->text = version;
		dbm_name_split(base, &version, &rest);
		row->version = version;
		row->canonical = version ? dbm_version_canonical(version) : NULL;
		if (rest[0] != '\0')
			row->file = base;
	}
	else
	{
		row->is_repeatable = reader->table->tool == DBM_TOOL_FLYWAY;
		row->text = name ? name : "";
	}
	row->name = name && name[0] != '\0' ? name : rest;
	if (file && file[0] != '\0')
		row->file = dbm_name_base(file);
}

static Datum
value(const Reader *reader, DbmToolColumn column, bool *isnull)
{
	*isnull = true;
	if (reader->columns[column] == 0)
		return (Datum) 0;
	return SPI_getbinval(SPI_tuptable->vals[reader->row], SPI_tuptable->tupdesc,
						 reader->columns[column], isnull);
}

/*
 * NULL for NULL, and hexadecimal digits for a bytea.  What it says is going to
 * be shown to others: so without control characters.
 */
static char *
text_value(const Reader *reader, DbmToolColumn column)
{
	bool		isnull;
	Datum		datum = value(reader, column, &isnull);
	char	   *result;

	if (isnull)
		return NULL;
	if (reader->types[column] == BYTEAOID)
		return TextDatumGetCString(DirectFunctionCall2(binary_encode, datum,
													   CStringGetTextDatum("hex")));
	result = SPI_getvalue(SPI_tuptable->vals[reader->row], SPI_tuptable->tupdesc,
						  reader->columns[column]);
	return dbm_without_control(result);
}

static int64
int_value(const Reader *reader, DbmToolColumn column)
{
	bool		isnull;
	Datum		datum = value(reader, column, &isnull);

	if (isnull)
		return 0;
	switch (reader->types[column])
	{
		case INT2OID:
			return DatumGetInt16(datum);
		case INT4OID:
			return DatumGetInt32(datum);
		case INT8OID:
			return DatumGetInt64(datum);
		default:
			wrong_type(reader, column);
			return 0;
	}
}

/* A flag that is not there is true, and one that is NULL is not. */
static bool
bool_value(const Reader *reader, DbmToolColumn column)
{
	bool		isnull;
	Datum		datum = value(reader, column, &isnull);

	if (reader->columns[column] == 0)
		return true;
	if (reader->types[column] != BOOLOID)
		wrong_type(reader, column);
	return !isnull && DatumGetBool(datum);
}

/* A time without a zone is in the session's; numbers say no time. */
static const TimestampTz *
time_value(const Reader *reader, DbmToolColumn column)
{
	bool		isnull;
	Datum		datum = value(reader, column, &isnull);
	TimestampTz *result;

	if (isnull)
		return NULL;
	switch (reader->types[column])
	{
		case TIMESTAMPTZOID:
			break;
		case TIMESTAMPOID:
			datum = DirectFunctionCall1(timestamp_timestamptz, datum);
			break;
		case DATEOID:
			datum = DirectFunctionCall1(date_timestamptz, datum);
			break;
		case TEXTOID:
		case VARCHAROID:
			datum = DirectFunctionCall3(timestamptz_in, CStringGetDatum(text_value(reader, column)),
										ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
			break;
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
			return NULL;
		default:
			wrong_type(reader, column);
	}
	result = palloc(sizeof(TimestampTz));
	*result = DatumGetTimestampTz(datum);
	return result;
}

static void
wrong_type(const Reader *reader, DbmToolColumn column)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table %s has type %s, which is not expected there",
					reader->table->columns[column], reader->table->ref,
					format_type_be(reader->types[column])),
			 errhint("If the table is not what it looks like, name its columns: SELECT * FROM migrate.adopt(%s, version_column => 'version', time_column => 'applied_at', name_column => 'name');",
					 dbm_literal(reader->table->ref))));
}
