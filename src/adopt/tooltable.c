/*-------------------------------------------------------------------------
 *
 * tooltable.c
 *	  Find another tool's history table and recognise whose it is.
 *
 * What counts is the set of its columns; several tools call their table
 * schema_migrations.  Where the columns say little, a table that nobody named
 * is looked at only if its own name speaks of migrations.
 *
 * Tables that nobody named may be a trap of their owner's: those for which the
 * planner would evaluate expressions of his are not looked at.  That is not
 * what keeps him from gaining rights, see toolaccess.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#include "adopt/adopt.h"

#define MAX_REQUIRED 8

typedef struct Layout
{
	DbmTool		tool;
	const char *tool_name;
	bool		exact;			/* no other columns */
	bool		needs_name;		/* too common to be searched for */
	const char *required[MAX_REQUIRED];
	const char *columns[DBM_COLUMNS];
} Layout;

typedef struct Columns
{
	int			n;
	const char *names[MaxHeapAttributeNumber];
	Oid			types[MaxHeapAttributeNumber];
} Columns;

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
	/* and of one column; tell_single_column() tells which of the three it is */
	{DBM_TOOL_DBMATE, "dbmate", true, true,
		{"version"},
	{NULL, "version"}}
};

static DbmToolTable *look(const DbmToolRequest *request, Oid oid,
						  const DbmToolTable *before);
static DbmToolTable *search(void);
static List *candidates(Oid only);
static void refuse_several(List *tables);
static Oid	named_table(const char *name);
static DbmToolTable *describe_table(Oid oid, bool searching);
static void describe_columns(DbmToolTable *table, Columns *columns, StringInfo shape);
static bool recognise(DbmToolTable *table, const Columns *columns, bool searching);
static void tell_single_column(DbmToolTable *table, const Columns *columns);
static bool fits(const Layout *layout, const Columns *columns);
static bool name_is_telling(const char *name);
static const char *column_of(const char *column, const Columns *columns);
static void take_request(DbmToolTable *table, const DbmToolRequest *request);

/* The table asked for, or the only one there is. */
DbmToolTable *
dbm_tool_find(const DbmToolRequest *request)
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
	return look(request, named_table(request->table), NULL);
}

/*
 * The same table once it is locked, and from then on it stays as it is: error
 * 55000 if it is not what was recognised before.
 */
DbmToolTable *
dbm_tool_look_again(const DbmToolRequest *request, const DbmToolTable *before)
{
	return look(request, before->oid, before);
}

/* What a table is now, and may it be read? */
static DbmToolTable *
look(const DbmToolRequest *request, Oid oid, const DbmToolTable *before)
{
	DbmToolTable *table = describe_table(oid, false);

	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("the history table was dropped in the meantime"),
				 errhint("Look for it again: SELECT * FROM migrate.adopt(dry_run => true);")));
	if (before && (strcmp(table->shape, before->shape) != 0 ||
				   (request->table == NULL && candidates(oid) == NIL)))
		dbm_tool_refuse_changed(before);
	if (request->version_column)
		take_request(table, request);
	else if (table->columns[DBM_COLUMN_VERSION] == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s is not the history of a tool that is known here", table->ref),
				 errdetail("Its columns are: %s.", table->all_columns),
				 errhint("Name its columns: SELECT * FROM migrate.adopt(%s, version_column => 'version', time_column => 'applied_at', name_column => 'name');",
						 dbm_literal(table->ref))));
	dbm_tool_check_access(table);
	return table;
}

static DbmToolTable *
search(void)
{
	List	   *found = NIL;
	ListCell   *lc;

	foreach(lc, candidates(InvalidOid))
	{
		DbmToolTable *table = describe_table(lfirst_oid(lc), true);

		if (table)
			found = lappend(found, table);
	}
	if (found == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("found no other tool's history table that \"%s\" may read",
						GetUserNameFromId(GetUserId(), false)),
				 errhint("Name the table, and its columns if they are unusual: SELECT * FROM migrate.adopt('schema.table', version_column => 'version', time_column => 'applied_at', name_column => 'name');")));
	if (list_length(found) > 1)
		refuse_several(found);
	dbm_tool_check_access(linitial(found));
	return linitial(found);
}

/* The OIDs of tables, or of one if it is among them, that nobody has to name. */
static List *
candidates(Oid only)
{
	MemoryContext context = CurrentMemoryContext;
	int			level = dbm_tool_pin_settings();
	int			result;
	char	   *query;
	List	   *oids = NIL;

	query = psprintf("SELECT c.oid FROM pg_catalog.pg_class c"
					 " JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace"
					 " WHERE c.relkind OPERATOR(pg_catalog.=) 'r'"
					 " AND c.relpersistence OPERATOR(pg_catalog.<>) 't'"
					 " AND NOT c.relispartition AND NOT c.relhassubclass AND NOT c.relhasrules"
					 " AND n.nspname OPERATOR(pg_catalog.<>) ALL (ARRAY['pg_catalog', 'information_schema', 'migrate']::pg_catalog.name[])"
					 " AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
					 " AND pg_catalog.has_table_privilege(c.oid, 'SELECT')"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i"
					 "  WHERE i.indrelid OPERATOR(pg_catalog.=) c.oid"
					 "  AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL))"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext x"
					 "  WHERE x.stxrelid OPERATOR(pg_catalog.=) c.oid AND x.stxexprs IS NOT NULL)"
					 " AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute g"
					 "  WHERE g.attrelid OPERATOR(pg_catalog.=) c.oid AND g.attgenerated OPERATOR(pg_catalog.<>) '')"
					 " AND EXISTS (SELECT FROM pg_catalog.pg_attribute k"
					 "  WHERE k.attrelid OPERATOR(pg_catalog.=) c.oid"
					 "  AND k.attname OPERATOR(pg_catalog.=) ANY"
					 "  (ARRAY['version', 'run_on', 'version_id', 'migration_name', 'applied_at']::pg_catalog.name[]))"
					 " %s ORDER BY n.nspname, c.relname",
					 OidIsValid(only) ? psprintf("AND c.oid OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid", only) : "");
	result = SPI_execute(query, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(result));
	AtEOXact_GUC(false, level);
	MemoryContextSwitchTo(context);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		bool		isnull;

		oids = lappend_oid(oids, DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[row],
																SPI_tuptable->tupdesc, 1, &isnull)));
	}
	SPI_freetuptable(SPI_tuptable);
	return oids;
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
		DbmToolTable *table = lfirst(lc);

		appendStringInfo(&detail, "%s%s%s%s", detail.len ? ", " : "", table->ref,
						 table->tool_name ? " of " : "", table->tool_name ? table->tool_name : "");
		appendStringInfo(&hint, "%sSELECT * FROM migrate.adopt(%s);", hint.len ? "\n" : "",
						 dbm_literal(table->ref));
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

/*
 * What a table looks like, from the caches: not as an old snapshot sees it.
 * NULL if it is not there, or if "searching" and it is not recognised.
 */
static DbmToolTable *
describe_table(Oid oid, bool searching)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	DbmToolTable *table = palloc0(sizeof(DbmToolTable));
	Columns    *columns = palloc0(sizeof(Columns));
	StringInfoData shape;
	Form_pg_class class;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	class = (Form_pg_class) GETSTRUCT(tuple);
	table->oid = oid;
	table->schema_oid = class->relnamespace;
	table->owner = class->relowner;
	table->relkind = class->relkind;
	table->name = pstrdup(NameStr(class->relname));
	table->schema = get_namespace_name(class->relnamespace);
	initStringInfo(&shape);
	appendStringInfo(&shape, "%c%c %u %d%d%d%d%d", class->relkind, class->relpersistence,
					 class->relowner, class->relhasrules, class->relhassubclass,
					 class->relispartition, class->relrowsecurity, class->relforcerowsecurity);
	ReleaseSysCache(tuple);
	if (table->schema == NULL)
		return NULL;
	table->ref = quote_qualified_identifier(table->schema, table->name);
	/* no tool's, but made to be shown to whoever looks for one */
	if (searching && dbm_has_control(table->ref))
		return NULL;
	appendStringInfo(&shape, " %s", table->ref);
	describe_columns(table, columns, &shape);
	if (!recognise(table, columns, searching) && searching)
		return NULL;
	appendStringInfo(&shape, " %s", table->tool_name ? table->tool_name : "");
	table->shape = shape.data;
	return table;
}

static void
describe_columns(DbmToolTable *table, Columns *columns, StringInfo shape)
{
	StringInfoData list;
	HeapTuple	tuple;

	initStringInfo(&list);
	for (AttrNumber n = 1; (tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(table->oid),
													Int16GetDatum(n))) != NULL; n++)
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);

		if (!attribute->attisdropped)
		{
			char	   *name = pstrdup(NameStr(attribute->attname));

			columns->names[columns->n] = name;
			columns->types[columns->n++] = attribute->atttypid;
			appendStringInfo(&list, "%s%s", list.len ? ", " : "", quote_identifier(name));
			appendStringInfo(shape, " %s %u %d", quote_identifier(name), attribute->atttypid,
							 attribute->attgenerated);
		}
		ReleaseSysCache(tuple);
	}
	table->all_columns = dbm_without_control(list.data);
}

static bool
recognise(DbmToolTable *table, const Columns *columns, bool searching)
{
	for (int i = 0; i < lengthof(layouts); i++)
	{
		const Layout *layout = &layouts[i];

		if (!fits(layout, columns) ||
			(searching && layout->needs_name && !name_is_telling(table->name)))
			continue;
		table->tool = layout->tool;
		table->tool_name = layout->tool_name;
		memcpy(table->columns, layout->columns, sizeof(table->columns));
		if (layout->tool == DBM_TOOL_OTHER)
		{
			table->columns[DBM_COLUMN_NAME] = column_of("name", columns);
			if (table->columns[DBM_COLUMN_NAME] == NULL)
				table->columns[DBM_COLUMN_NAME] = column_of("description", columns);
			table->columns[DBM_COLUMN_FLAG] = column_of("success", columns);
		}
		/* Flyway 3 counted its checksums in another way */
		if (layout->tool == DBM_TOOL_FLYWAY && column_of("version_rank", columns))
			table->columns[DBM_COLUMN_CHECKSUM] = NULL;
		if (layout->tool == DBM_TOOL_DBMATE)
			tell_single_column(table, columns);
		return true;
	}
	return false;
}

/* Three tools have a table of one column. */
static void
tell_single_column(DbmToolTable *table, const Columns *columns)
{
	if (columns->types[0] == INT4OID)
	{
		table->tool = DBM_TOOL_TERN;
		table->tool_name = "tern";
	}
	else if (OidIsValid(get_relname_relid("ar_internal_metadata", table->schema_oid)))
	{
		table->tool = DBM_TOOL_RAILS;
		table->tool_name = "Rails";
	}
}

static bool
fits(const Layout *layout, const Columns *columns)
{
	int			nrequired = 0;

	while (nrequired < MAX_REQUIRED && layout->required[nrequired])
		if (column_of(layout->required[nrequired++], columns) == NULL)
			return false;
	return !layout->exact || nrequired == columns->n;
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
column_of(const char *column, const Columns *columns)
{
	for (int i = 0; i < columns->n; i++)
		if (strcmp(columns->names[i], column) == 0)
			return column;
	return NULL;
}

/* The caller knows the columns: what they say holds, whatever the table looks like. */
static void
take_request(DbmToolTable *table, const DbmToolRequest *request)
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
	table->columns[DBM_COLUMN_VERSION] = request->version_column;
	table->columns[DBM_COLUMN_TIME] = request->time_column;
	table->columns[DBM_COLUMN_NAME] = request->name_column;
}
