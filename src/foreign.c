/*-------------------------------------------------------------------------
 *
 * foreign.c
 *	  Find another tool's history table and recognise whose it is.
 *
 * What counts is the set of its columns; several tools call their table
 * schema_migrations.  Where the columns say little, a table that nobody named
 * is looked at only if its own name speaks of migrations.
 *
 * Whatever is read, is read with the caller's rights.  Tables that nobody
 * named may be a trap of their owner's: those for which the planner would
 * evaluate expressions of his are not looked at.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/varlena.h"

#include "compat.h"
#include "dbmigrate.h"

#define MAX_REQUIRED 8

typedef struct Layout
{
	DbmTool		tool;
	const char *tool_name;
	bool		exact;			/* no other columns */
	bool		needs_name;		/* too common to be searched for */
	const char *required[MAX_REQUIRED];
	const char *columns[DBM_FOREIGN_COLUMNS];
} Layout;

/* The first that fits counts. */
static const Layout layouts[] = {
	{DBM_TOOL_FLYWAY, "Flyway", false, false,
		{"installed_rank", "version", "description", "type", "script", "checksum", "installed_by", "success"},
		{"installed_rank", "version", "description", "installed_on", "installed_by", "success", "type",
		"script", "checksum"}},
	{DBM_TOOL_PRISMA, "Prisma", false, false,
		{"migration_name", "checksum", "started_at", "finished_at", "rolled_back_at"},
		{NULL, "migration_name", NULL, "finished_at", NULL, NULL, NULL, NULL, "checksum", "rolled_back_at"}},
	{DBM_TOOL_SQLX, "sqlx", false, false,
		{"version", "description", "installed_on", "success", "checksum", "execution_time"},
		{NULL, "version", "description", "installed_on", NULL, "success", NULL, NULL, "checksum"}},
	{DBM_TOOL_GOOSE, "goose", false, false,
		{"id", "version_id", "is_applied", "tstamp"},
		{"id", "version_id", NULL, "tstamp", NULL, "is_applied"}},
	{DBM_TOOL_NODE_PG_MIGRATE, "node-pg-migrate", true, false,
		{"id", "name", "run_on"},
		{"id", "name", NULL, "run_on"}},
	{DBM_TOOL_GOLANG_MIGRATE, "golang-migrate", true, false,
		{"version", "dirty"},
		{NULL, "version", NULL, NULL, NULL, "dirty"}},
	{DBM_TOOL_SUPABASE, "supabase", false, false,
		{"version", "statements", "name"},
		{NULL, "version", "name"}},
	{DBM_TOOL_SQL_MIGRATE, "sql-migrate", true, true,
		{"id", "applied_at"},
		{NULL, "id", NULL, "applied_at"}},
	{DBM_TOOL_ECTO, "Ecto", true, true,
		{"version", "inserted_at"},
		{NULL, "version", NULL, "inserted_at"}},
	{DBM_TOOL_DIESEL, "diesel", true, true,
		{"version", "run_on"},
		{NULL, "version", NULL, "run_on"}},
	{DBM_TOOL_OTHER, NULL, false, true,
		{"version", "applied_at"},
		{NULL, "version", NULL, "applied_at"}},
	/* and of one column; recognise() tells which of the three it is */
	{DBM_TOOL_DBMATE, "dbmate", true, true,
		{"version"},
		{NULL, "version"}}
};

static DbmForeignTable *search(void);
static void refuse_several(List *tables);
static Oid	named_table(const char *name);
static List *describe(const char *condition, bool searching);
static DbmForeignTable *describe_row(uint64 row, bool searching);
static bool recognise(DbmForeignTable *table, Datum *names, int nnames, bool searching);
static bool fits(const Layout *layout, Datum *names, int nnames);
static bool name_is_telling(const char *name);
static const char *column_of(const char *column, Datum *names, int nnames);
static void take_request(DbmForeignTable *table, const DbmForeignRequest *request);

/* Columns of describe(). */
enum
{
	COL_OID = 1, COL_KIND, COL_SCHEMA, COL_NAME, COL_COLUMNS, COL_VERSION_TYPE, COL_RAILS,
	COL_COLUMN_LIST
};

/* The table asked for, or the only one there is. */
DbmForeignTable *
dbm_foreign_find(const DbmForeignRequest *request)
{
	if (request->version_column == NULL && (request->time_column || request->name_column))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("time_column and name_column need version_column")));
	if (request->table == NULL)
	{
		if (request->version_column)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("version_column needs history_table")));
		return search();
	}
	return dbm_foreign_look_again(request, named_table(request->table));
}

/* What a table is now, which may have changed before it was locked. */
DbmForeignTable *
dbm_foreign_look_again(const DbmForeignRequest *request, Oid oid)
{
	List	   *found = describe(psprintf("c.oid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid", oid), false);
	DbmForeignTable *table = found ? linitial(found) : NULL;

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the history table was dropped in the meantime")));
	if (request->version_column)
		take_request(table, request);
	else if (table->columns[DBM_FOREIGN_VERSION] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s is not the history of a tool that is known here", table->ref),
				 errdetail("Its columns are: %s.", table->all_columns),
				 errhint("Name its columns: SELECT * FROM migrate.adopt(%s, version_column => 'version', time_column => 'applied_at', name_column => 'name');",
						 quote_literal_cstr(table->ref))));
	return table;
}

/*
 * Run a query as the current user, with nothing of the session's in its way:
 * rows that a policy would hide are an error.
 */
void
dbm_foreign_query(const char *sql)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog, pg_temp"},
		{"row_security", "off"},
		{"constraint_exclusion", "off"}
	};
	MemoryContext context = CurrentMemoryContext;
	int			level = NewGUCNestLevel();

	for (int i = 0; i < lengthof(settings); i++)
		(void) set_config_option(settings[i][0], settings[i][1], PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	if (SPI_execute(sql, false, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read: %s", sql);
	AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(context);
}

static DbmForeignTable *
search(void)
{
	List	   *found;

	found = describe("c.relkind OPERATOR(pg_catalog.=) 'r'"
					 " AND c.relpersistence OPERATOR(pg_catalog.<>) 't'"
					 " AND NOT c.relispartition AND NOT c.relhassubclass"
					 " AND n.nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema', 'migrate']::pg_catalog.name[])"
					 " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
					 " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i"
					 "  WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid"
					 "  AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext x"
					 "  WHERE x.stxrelid OPERATOR(pg_catalog.=) c.oid AND x.stxexprs IS NOT NULL)",
					 true);
	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("found no other tool's history table that \"%s\" may read",
						GetUserNameFromId(GetUserId(), false)),
				 errhint("Name the table, and its columns if they are unusual: SELECT * FROM migrate.adopt('schema.table', version_column => 'version', time_column => 'applied_at', name_column => 'name');")));
	if (list_length(found) > 1)
		refuse_several(found);
	return linitial(found);
}

static void
refuse_several(List *tables)
{
	StringInfoData detail;
	StringInfoData hint;
	ListCell   *lc;

	initStringInfo(&detail);
	initStringInfo(&hint);
	foreach(lc, tables)
	{
		DbmForeignTable *table = lfirst(lc);

		appendStringInfo(&detail, "%s%s%s%s", detail.len ? ", " : "", table->ref,
						 table->tool_name ? " of " : "", table->tool_name ? table->tool_name : "");
		appendStringInfo(&hint, "%sSELECT * FROM migrate.adopt(%s);", hint.len ? "\n" : "",
						 quote_literal_cstr(table->ref));
	}
	ereport(ERROR,
			(errcode(ERRCODE_AMBIGUOUS_PARAMETER),
			 errmsg("found the histories of %d tables", list_length(tables)),
			 errdetail("They are: %s.", detail.data),
			 errhint("Say which one to continue from:\n%s", hint.data)));
}

/* As regclass would read the name, and with SELECT on some column of it. */
static Oid
named_table(const char *name)
{
	RangeVar   *rangevar = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name)));
	Oid			oid = RangeVarGetRelid(rangevar, NoLock, true);
	char		relkind;

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"%s\" does not exist", name),
				 errhint("Without an argument migrate.adopt() looks for one: SELECT * FROM migrate.adopt(dry_run => true);")));
	relkind = get_rel_relkind(oid);
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE &&
		relkind != RELKIND_VIEW && relkind != RELKIND_MATVIEW && relkind != RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", name)));
	if (get_rel_namespace(oid) == get_namespace_oid("migrate", false))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" belongs to dbmigrate itself", name)));
	if (pg_class_aclcheck(oid, GetUserId(), ACL_SELECT) != ACLCHECK_OK &&
		pg_attribute_aclcheck_all(oid, GetUserId(), ACL_SELECT, ACLMASK_ANY) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, get_relkind_objtype(relkind), name);
	return oid;
}

/* The tables for which a condition holds; if "searching" only what is recognised. */
static List *
describe(const char *condition, bool searching)
{
	List	   *tables = NIL;

	dbm_foreign_query(psprintf(
		"SELECT c.oid, c.relkind, n.nspname, c.relname,"
		" ARRAY(SELECT a.attname::pg_catalog.text FROM pg_catalog.pg_attribute a"
		"  WHERE a.attrelid OPERATOR(pg_catalog.=) c.oid AND a.attnum OPERATOR(pg_catalog.>) 0"
		"  AND NOT a.attisdropped),"
		" (SELECT v.atttypid FROM pg_catalog.pg_attribute v"
		"  WHERE v.attrelid OPERATOR(pg_catalog.=) c.oid AND v.attname OPERATOR(pg_catalog.=) 'version'),"
		" EXISTS (SELECT FROM pg_catalog.pg_class m"
		"  WHERE m.relnamespace OPERATOR(pg_catalog.=) c.relnamespace"
		"  AND m.relname OPERATOR(pg_catalog.=) 'ar_internal_metadata'),"
		" (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(l.attname), ', ' ORDER BY l.attnum)"
		"  FROM pg_catalog.pg_attribute l WHERE l.attrelid OPERATOR(pg_catalog.=) c.oid"
		"  AND l.attnum OPERATOR(pg_catalog.>) 0 AND NOT l.attisdropped)"
		" FROM pg_catalog.pg_class c"
		" JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
		" WHERE %s%s ORDER BY n.nspname, c.relname", condition,
		searching ?
		" AND EXISTS (SELECT FROM pg_catalog.pg_attribute k"
		"  WHERE k.attrelid OPERATOR(pg_catalog.=) c.oid"
		"  AND k.attname OPERATOR(pg_catalog.=) ANY"
		"  (ARRAY['version', 'run_on', 'version_id', 'migration_name', 'applied_at']::pg_catalog.name[]))" : ""));
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		DbmForeignTable *table = describe_row(row, searching);

		if (table)
			tables = lappend(tables, table);
	}
	SPI_freetuptable(SPI_tuptable);
	return tables;
}

static DbmForeignTable *
describe_row(uint64 row, bool searching)
{
	DbmForeignTable *table = palloc0(sizeof(DbmForeignTable));
	Datum		columns = dbm_column_datum(row, COL_COLUMNS);
	Datum	   *names;
	int			nnames;
	bool		isnull;

	table->oid = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc,
												COL_OID, &isnull));
	table->relkind = *dbm_column_text(row, COL_KIND);
	table->schema = dbm_column_text(row, COL_SCHEMA);
	table->name = dbm_column_text(row, COL_NAME);
	table->ref = quote_qualified_identifier(table->schema, table->name);
	deconstruct_array(DatumGetArrayTypeP(columns), TEXTOID, -1, false, TYPALIGN_INT,
					  &names, NULL, &nnames);
	if (!recognise(table, names, nnames, searching))
	{
		if (searching)
			return NULL;
		table->all_columns = dbm_column_text(row, COL_COLUMN_LIST);
	}
	if (table->tool == DBM_TOOL_DBMATE)
	{
		Oid			type = DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[row],
														  SPI_tuptable->tupdesc,
														  COL_VERSION_TYPE, &isnull));

		if (type == INT4OID)
		{
			table->tool = DBM_TOOL_TERN;
			table->tool_name = "tern";
		}
		else if (dbm_column_bool(row, COL_RAILS))
		{
			table->tool = DBM_TOOL_RAILS;
			table->tool_name = "Rails";
		}
	}
	return table;
}

static bool
recognise(DbmForeignTable *table, Datum *names, int nnames, bool searching)
{
	for (int i = 0; i < lengthof(layouts); i++)
	{
		const Layout *layout = &layouts[i];

		if (!fits(layout, names, nnames) ||
			(searching && layout->needs_name && !name_is_telling(table->name)))
			continue;
		table->tool = layout->tool;
		table->tool_name = layout->tool_name;
		memcpy(table->columns, layout->columns, sizeof(table->columns));
		if (layout->tool == DBM_TOOL_OTHER)
		{
			table->columns[DBM_FOREIGN_NAME] = column_of("name", names, nnames);
			if (table->columns[DBM_FOREIGN_NAME] == NULL)
				table->columns[DBM_FOREIGN_NAME] = column_of("description", names, nnames);
			table->columns[DBM_FOREIGN_FLAG] = column_of("success", names, nnames);
		}
		/* Flyway 3 counted its checksums in another way */
		if (layout->tool == DBM_TOOL_FLYWAY && column_of("version_rank", names, nnames))
			table->columns[DBM_FOREIGN_CHECKSUM] = NULL;
		return true;
	}
	return false;
}

static bool
fits(const Layout *layout, Datum *names, int nnames)
{
	int			nrequired = 0;

	while (nrequired < MAX_REQUIRED && layout->required[nrequired])
		if (column_of(layout->required[nrequired++], names, nnames) == NULL)
			return false;
	return !layout->exact || nrequired == nnames;
}

static bool
name_is_telling(const char *name)
{
	static const char *const words[] = {"migration", "schema_version", "schema_history"};

	for (int i = 0; i < lengthof(words); i++)
		if (strstr(name, words[i]))
			return true;
	return false;
}

static const char *
column_of(const char *column, Datum *names, int nnames)
{
	for (int i = 0; i < nnames; i++)
		if (strcmp(TextDatumGetCString(names[i]), column) == 0)
			return column;
	return NULL;
}

/* The caller knows the columns: what they say holds, whatever the table looks like. */
static void
take_request(DbmForeignTable *table, const DbmForeignRequest *request)
{
	const char *const named[] = {request->version_column, request->time_column, request->name_column};

	for (int i = 0; i < lengthof(named); i++)
		if (named[i] && get_attnum(table->oid, named[i]) <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_COLUMN),
					 errmsg("column \"%s\" of table %s does not exist", named[i], table->ref)));
	table->tool = DBM_TOOL_OTHER;
	table->tool_name = NULL;
	memset(table->columns, 0, sizeof(table->columns));
	table->columns[DBM_FOREIGN_VERSION] = request->version_column;
	table->columns[DBM_FOREIGN_TIME] = request->time_column;
	table->columns[DBM_FOREIGN_NAME] = request->name_column;
}
