/*-------------------------------------------------------------------------
 *
 * runcopy.c
 *	  COPY ... FROM stdin with the data that follow it in the script.
 *
 * The server's own COPY code reads the data through a callback.  That code
 * leaves to its caller what DoCopy() does: rights, row security, read-only
 * transactions, the WHERE clause.  This file does the same (compare
 * src/backend/commands/copy.c); where the two differ, it is a mistake here.
 *
 * COPY as a utility statement takes its data from the client or from a file,
 * so this one cannot pass ProcessUtility_hook.  It is run by the executor
 * instead, as the only node of a plan whose text is the COPY statement:
 * whoever audits, measures or explains statements sees one begin, have its
 * rights checked, run, and end.
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
#include "executor/execdesc.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parser.h"
#include "tcop/dest.h"
#include "tcop/pquery.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"

#include "script/internal.h"

/* A COPY statement that is understood, and its data. */
typedef struct CopyJob
{
	const char *sql;
	RawStmt    *raw;
	CopyStmt   *stmt;
	ParseState *pstate;
	Relation	rel;
	Node	   *where;
	const char *data;
	int			len;
} CopyJob;

/* The executor's node that does it. */
typedef struct CopyScan
{
	CustomScanState css;
	CopyJob    *job;
} CopyScan;

/* The callback has no argument, so what it reads is here. */
static const char *data_next;
static const char *data_end;

static void analyze_copy(CopyJob *job);
static Bitmapset *named_columns(const CopyJob *job);
static Node *transform_where(ParseState *pstate, ParseNamespaceItem *nsitem,
							 Relation rel, Node *where);
static uint64 execute_copy(CopyJob *job);
static PlannedStmt *plan_copy(const CopyJob *job);
static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static int	read_data(void *outbuf, int minread, int maxread);
static void check_row_security(Relation rel);
static void refuse_replaced_copy(Relation rel);
static bool listed_in(const char *extension, const char *query, Oid relid);
static List *force_server_encoding(ParseState *pstate, List *options);

static const CustomScanMethods scan_methods = {
	.CustomName = "Inline COPY",
	.CreateCustomScanState = create_scan_state
};

static const CustomExecMethods exec_methods = {
	.CustomName = "Inline COPY",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan
};

/*
 * Run one COPY ... FROM stdin statement on the given data, with the current
 * user's rights.  Returns the number of rows.  Errors are COPY's own.
 */
uint64
dbm_run_copy(const char *sql, const char *data, int len)
{
	CopyJob		job = {.sql = sql, .data = data, .len = len};
	uint64		processed;

	job.raw = linitial_node(RawStmt, raw_parser(sql, RAW_PARSE_DEFAULT));
	job.stmt = castNode(CopyStmt, job.raw->stmt);
	job.pstate = make_parsestate(NULL);
	job.pstate->p_sourcetext = sql;

	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	analyze_copy(&job);
	PopActiveSnapshot();

	processed = execute_copy(&job);

	table_close(job.rel, NoLock);
	free_parsestate(job.pstate);
	CommandCounterIncrement();
	return processed;
}

/*
 * Open the table, say which rights on it are needed, and get the WHERE clause
 * ready, which wants the right to read its columns as well.
 */
static void
analyze_copy(CopyJob *job)
{
	ParseNamespaceItem *nsitem;

	job->rel = table_openrv(job->stmt->relation, RowExclusiveLock);
	nsitem = addRangeTableEntryForRelation(job->pstate, job->rel, RowExclusiveLock,
										   NULL, false, false);
	dbm_permissions(nsitem)->requiredPerms = ACL_INSERT;
	job->where = transform_where(job->pstate, nsitem, job->rel, job->stmt->whereClause);
	dbm_permissions(nsitem)->insertedCols = named_columns(job);

	/* DoCopy() asks for the rights first; the executor would say INSERT here */
	if (XactReadOnly && !job->rel->rd_islocaltemp)
		PreventCommandIfReadOnly("COPY FROM");
}

/* In pull_varattnos() numbering. */
static Bitmapset *
named_columns(const CopyJob *job)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, CopyGetAttnums(RelationGetDescr(job->rel), job->rel, job->stmt->attlist))
		columns = bms_add_member(columns, lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	return columns;
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

/*
 * A plan's snapshot is registered.  It is the calling statement's, which is
 * already: COPY refuses FREEZE where there is more than one.
 */
static uint64
execute_copy(CopyJob *job)
{
	QueryDesc  *query;
	uint64		processed;

	EnsurePortalSnapshotExists();
	query = CreateQueryDesc(plan_copy(job), job->sql, GetActiveSnapshot(), InvalidSnapshot,
							None_Receiver, NULL, NULL, 0);
	ExecutorStart(query, 0);	/* checks the rights */
	check_row_security(job->rel);
	refuse_replaced_copy(job->rel);

	((CopyScan *) castNode(CustomScanState, query->planstate))->job = job;
	dbm_executor_run(query);
	processed = query->estate->es_processed;
	ExecutorFinish(query);
	ExecutorEnd(query);
	FreeQueryDesc(query);
	return processed;
}

/* An INSERT to the executor: of the commands it knows that is what COPY does. */
static PlannedStmt *
plan_copy(const CopyJob *job)
{
	PlannedStmt *plan = makeNode(PlannedStmt);
	CustomScan *scan = makeNode(CustomScan);

	scan->methods = &scan_methods;
	plan->commandType = CMD_INSERT;
	plan->canSetTag = true;
	plan->planTree = &scan->scan.plan;
	dbm_plan_relations(plan, job->pstate);
	plan->relationOids = list_make1_oid(RelationGetRelid(job->rel));
	plan->stmt_location = job->raw->stmt_location;
	plan->stmt_len = job->raw->stmt_len;
	/* analysis of a utility statement does no more than number and show it */
	plan->queryId = parse_analyze_fixedparams(job->raw, job->sql, NULL, 0, NULL)->queryId;
	return plan;
}

static Node *
create_scan_state(CustomScan *scan)
{
	CopyScan   *state = palloc0(sizeof(CopyScan));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
}

/* Load it all; there is no row to return. */
static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	CopyJob    *job = ((CopyScan *) node)->job;
	CopyFromState cstate;

	PushActiveSnapshot(GetTransactionSnapshot());
	data_next = job->data;
	data_end = job->data + job->len;
	cstate = BeginCopyFrom(job->pstate, job->rel, job->where, NULL, false, read_data,
						   job->stmt->attlist,
						   force_server_encoding(job->pstate, job->stmt->options));
	node->ss.ps.state->es_processed = CopyFrom(cstate);
	EndCopyFrom(cstate);
	PopActiveSnapshot();
	return NULL;
}

static void
end_scan(CustomScanState *node)
{
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

static void
check_row_security(Relation rel)
{
	if (check_enable_rls(RelationGetRelid(rel), InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
}

/*
 * We do not pass ProcessUtility_hook, by which some extensions put their own
 * COPY in place of the server's.  For their tables ours would store the rows
 * where nobody looks for them.
 */
static void
refuse_replaced_copy(Relation rel)
{
	if (!dbm_leftover_other_hooks())
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
