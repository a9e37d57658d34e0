/*-------------------------------------------------------------------------
 *
 * copydata.c
 *	  COPY ... FROM stdin with the data that follow it in the script.
 *
 * The server's own COPY code reads the data through a callback.  That code
 * leaves to its caller what DoCopy() does: rights, row security, read-only
 * transactions, the WHERE clause.  This file does the same, in the same
 * order (compare src/backend/commands/copy.c); where the two differ, it is a
 * mistake here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/copy.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "compat.h"
#include "dbmigrate.h"

/* The callback has no argument, so what it reads is here. */
static const char *data_next;
static const char *data_end;

static int	read_data(void *outbuf, int minread, int maxread);
static Node *transform_where(ParseState *pstate, ParseNamespaceItem *nsitem,
							 Relation rel, Node *where);
static void check_rights(ParseState *pstate, ParseNamespaceItem *nsitem, Relation rel,
						 const CopyStmt *stmt);
static void refuse_replaced_copy(Relation rel);
static bool listed_in(const char *extension, const char *query, Oid relid);
static List *force_server_encoding(ParseState *pstate, List *options);

/*
 * Run one COPY ... FROM stdin statement on the given data, with the current
 * user's rights.  Returns the number of rows.  Errors are COPY's own.
 */
uint64
dbm_copy_data(const char *sql, const char *data, int len)
{
	List	   *trees = raw_parser(sql, RAW_PARSE_DEFAULT);
	CopyStmt   *stmt = castNode(CopyStmt, linitial_node(RawStmt, trees)->stmt);
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *nsitem;
	Relation	rel;
	Node	   *where;
	CopyFromState cstate;
	uint64		processed;

	pstate->p_sourcetext = sql;
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());

	rel = table_openrv(stmt->relation, RowExclusiveLock);
	nsitem = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false);
	where = transform_where(pstate, nsitem, rel, stmt->whereClause);
	check_rights(pstate, nsitem, rel, stmt);
	refuse_replaced_copy(rel);

	data_next = data;
	data_end = data + len;
	cstate = BeginCopyFrom(pstate, rel, where, NULL, false, read_data, stmt->attlist,
						   force_server_encoding(pstate, stmt->options));
	processed = CopyFrom(cstate);
	EndCopyFrom(cstate);

	table_close(rel, NoLock);
	free_parsestate(pstate);
	PopActiveSnapshot();
	CommandCounterIncrement();
	return processed;
}

static int
read_data(void *outbuf, int minread, int maxread)
{
	int			len = Min(maxread, data_end - data_next);

	CHECK_FOR_INTERRUPTS();
	memcpy(outbuf, data_next, len);
	data_next += len;
	return len;
}

static Node *
transform_where(ParseState *pstate, ParseNamespaceItem *nsitem, Relation rel, Node *where)
{
	Bitmapset  *columns = NULL;
	int			column = -1;

	if (where == NULL)
		return NULL;

	addNSItemToQuery(pstate, nsitem, false, true, true);
	where = transformExpr(pstate, where, EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(pstate, where, "WHERE");
	assign_expr_collations(pstate, where);

	/* Generated columns are not computed yet when the filter is applied. */
	pull_varattnos(where, 1, &columns);
	if (bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns))
	{
		columns = bms_add_range(columns, 1 - FirstLowInvalidHeapAttributeNumber,
								RelationGetNumberOfAttributes(rel) - FirstLowInvalidHeapAttributeNumber);
		columns = bms_del_member(columns, 0 - FirstLowInvalidHeapAttributeNumber);
	}
	while ((column = bms_next_member(columns, column)) >= 0)
	{
		AttrNumber	attno = column + FirstLowInvalidHeapAttributeNumber;

		if (attno > 0 && TupleDescAttr(RelationGetDescr(rel), attno - 1)->attgenerated)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
					 errdetail("Column \"%s\" is a generated column.",
							   get_attname(RelationGetRelid(rel), attno, false))));
	}

	where = eval_const_expressions(NULL, where);
	where = (Node *) canonicalize_qual((Expr *) where, false);
	return (Node *) make_ands_implicit((Expr *) where);
}

static void
check_rights(ParseState *pstate, ParseNamespaceItem *nsitem, Relation rel,
			 const CopyStmt *stmt)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist))
		columns = bms_add_member(columns, lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	dbm_check_insert_rights(pstate, nsitem, columns);

	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
	if (XactReadOnly && !rel->rd_islocaltemp)
		PreventCommandIfReadOnly("COPY FROM");
}

/*
 * We do not pass ProcessUtility_hook, by which some extensions put their own
 * COPY in place of the server's.  For their tables ours would store the rows
 * where nobody looks for them.
 */
static void
refuse_replaced_copy(Relation rel)
{
	if (ProcessUtility_hook == NULL)
		return;
	if (listed_in("citus",
				  "SELECT FROM pg_catalog.pg_dist_partition"
				  " WHERE logicalrelid::pg_catalog.oid OPERATOR(pg_catalog.=) $1",
				  RelationGetRelid(rel)) ||
		listed_in("timescaledb",
				  "SELECT FROM _timescaledb_catalog.hypertable h"
				  " JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) h.schema_name"
				  " JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid"
				  " AND c.relname OPERATOR(pg_catalog.=) h.table_name"
				  " WHERE c.oid OPERATOR(pg_catalog.=) $1",
				  RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("inline COPY data cannot be loaded into table \"%s\"",
						RelationGetRelationName(rel)),
				 errdetail("Another extension replaces COPY for this table."),
				 errhint("Use INSERT statements instead.")));
}

static bool
listed_in(const char *extension, const char *query, Oid relid)
{
	Oid			type = OIDOID;
	Datum		value = ObjectIdGetDatum(relid);
	bool		found;

	if (!OidIsValid(get_extension_oid(extension, true)))
		return false;
	if (SPI_execute_with_args(query, 1, &type, &value, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the tables of extension %s", extension);
	found = SPI_processed > 0;
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/*
 * The data are in the server's encoding already, like the rest of the script;
 * COPY would take them for the client's, or for what its ENCODING option says.
 */
static List *
force_server_encoding(ParseState *pstate, List *options)
{
	List	   *forced = NIL;
	ListCell   *lc;

	/* complain about what is wrong in the options as given */
	ProcessCopyOptions(pstate, NULL, true, options);
	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "encoding") != 0)
			forced = lappend(forced, option);
	}
	return lappend(forced, makeDefElem("encoding",
									   (Node *) makeString(pstrdup(GetDatabaseEncodingName())),
									   -1));
}
