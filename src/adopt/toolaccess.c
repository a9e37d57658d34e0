/*-------------------------------------------------------------------------
 *
 * toolaccess.c
 *	  Who may read another tool's history table, and as whom it is read.
 *
 * To read a table is to run code of its owner's: expressions of indexes,
 * statistics and generated columns, rules, the functions of a view.  Whoever
 * can create a table could plant one for an administrator, or change his own
 * in the last moment.  So a table is always read as its owner, however strong
 * the caller is, and whatever runs then can write nothing and leaves nothing
 * behind in the caller's session.
 *
 * The other way round the caller must not gain the owner's rights.  He may
 * read himself what is read for him, all of its rows; and where his session
 * has a say in what the owner's code does, he could become the owner anyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

#include "adopt/adopt.h"

static void check_caller(const DbmToolTable *table);
static void check_caller_session(const DbmToolTable *table);
static void refuse_rows_of_others(const DbmToolTable *table, char relkind, const char *ref,
								  const char *grant);
static void check_owner(const DbmToolTable *table);
static bool may_select(const DbmToolTable *table, Oid role);
static void watch_names(ParseState *pstate, void *arg);
static Node *check_name(ParseState *pstate, ColumnRef *cref);
static void check_owners_behind(const DbmToolTable *table, SPIPlanPtr plan);
static void check_owner_behind(const DbmToolTable *table, Oid oid, bool is_child);
static void describe_section(void *arg);

/*
 * May the caller have the table read, and can its owner read it?  Error 42501
 * if not.
 */
void
dbm_tool_check_access(const DbmToolTable *table)
{
	check_caller(table);
	if (!dbm_can_become(GetUserId(), table->owner))
		check_caller_session(table);
	check_owner(table);
}

/* Somebody did what he should not have had the time to do, or just worked on it. */
void
dbm_tool_refuse_changed(const DbmToolTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s was changed in the meantime", table->ref),
			 errhint("Look at it and try again: SELECT * FROM migrate.adopt(%s, dry_run => true);",
					 dbm_literal(table->ref))));
}

/*
 * Settings under which nothing of the session's is in the way of reading.
 * Returns the level for AtEOXact_GUC().
 */
int
dbm_tool_pin_settings(void)
{
	int			level = NewGUCNestLevel();

	dbm_pin("search_path", "pg_catalog, pg_temp");
	dbm_pin("row_security", "off");
	dbm_pin("constraint_exclusion", "off");

	/* tables that are not ours to lock, behind a view for instance */
	if (LockTimeout == 0 || LockTimeout > dbm_lock_wait)
		dbm_pin("lock_timeout", psprintf("%d", Max(dbm_lock_wait, 1)));
	return level;
}

/*
 * Become the table's owner, without a way back for what runs as such.
 *
 * A security-restricted operation alone lets the owner's code leave functions
 * in the caller's temporary schema, and in older minor releases types, and
 * prepared statements which the caller would take for his own.  Parallel mode
 * refuses whatever changes the state of the session, and reading is all that a
 * read-only transaction can do.  That is no setting for a part of one, since 17
 * not even for us: so we set what it stands for, as the server does itself.
 *
 * An error before dbm_tool_leave() ends in the abort of the
 * (sub)transaction, which restores all of this.
 */
void
dbm_tool_enter(const DbmToolTable *table, DbmToolSection *section)
{
	CommandCounterIncrement();
	section->guc_level = dbm_tool_pin_settings();
	section->read_only = XactReadOnly;
	XactReadOnly = true;
	EnterParallelMode();
	GetUserIdAndSecContext(&section->caller.id, &section->caller.sec_context);
	SetUserIdAndSecContext(table->owner, section->caller.sec_context |
						   SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
}

void
dbm_tool_leave(const DbmToolSection *section)
{
	SetUserIdAndSecContext(section->caller.id, section->caller.sec_context);
	ExitParallelMode();
	XactReadOnly = section->read_only;
	AtEOXact_GUC(false, section->guc_level);
}

/*
 * Run a query on the table and no other, between the two calls above; its
 * result is in SPI_tuptable.
 */
void
dbm_tool_query(const DbmToolTable *table, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorContextCallback callback = {
		.callback = describe_section,
		.arg = unconstify(DbmToolTable *, table),
		.previous = error_context_stack
	};
	SPIPlanPtr	plan;
	int			result;

	error_context_stack = &callback;
	plan = SPI_prepare_params(sql, watch_names, unconstify(DbmToolTable *, table), 0);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare_params returned %s", SPI_result_code_string(SPI_result));
	check_owners_behind(table, plan);
	result = SPI_execute_plan_with_paramlist(plan, NULL, false, 0);
	if (result != SPI_OK_SELECT)
		elog(ERROR, "SPI_execute_plan_with_paramlist returned %s", SPI_result_code_string(result));
	SPI_freeplan(plan);
	error_context_stack = callback.previous;
	MemoryContextSwitchTo(context);
}

/* All that he needed to read it himself. */
static void
check_caller(const DbmToolTable *table)
{
	const char *caller = GetUserNameFromId(GetUserId(), false);

	if (dbm_schema_aclcheck(table->schema_oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for schema %s", table->schema),
				 errhint("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(table->schema),
						 quote_identifier(caller))));
	if (!may_select(table, GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for table %s", table->name),
				 errhint("GRANT SELECT ON %s TO %s;", table->ref, quote_identifier(caller))));
	if (check_enable_rls(table->oid, InvalidOid, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security of table %s could hide rows from \"%s\"",
						table->ref, caller),
				 errdetail("A migration in a row that is hidden would be run again."),
				 errhint("Call it as a role to which no policy applies, or: ALTER ROLE %s BYPASSRLS;",
						 quote_identifier(caller))));
}

/*
 * What one who could not become the owner must not do: what a view shows can
 * depend on who looks at it, a foreign table has a password for each user, and
 * in temporary objects the owner's code could step into a trap of the caller's.
 */
static void
check_caller_session(const DbmToolTable *table)
{
	const char *owner = GetUserNameFromId(table->owner, true);
	const char *grant = psprintf("GRANT %s TO %s;", owner ? quote_identifier(owner) : "",
								 quote_identifier(GetUserNameFromId(GetUserId(), false)));
	Oid			temp;
	Oid			temp_toast;
	ListCell   *lc;

	if (table->relkind == RELKIND_VIEW || table->relkind == RELKIND_FOREIGN_TABLE)
		refuse_rows_of_others(table, table->relkind, table->ref, grant);
	/* a partition may be a foreign table as well */
	foreach(lc, find_all_inheritors(table->oid, NoLock, NULL))
	{
		char	   *schema = get_namespace_name(get_rel_namespace(lfirst_oid(lc)));
		char	   *name = get_rel_name(lfirst_oid(lc));

		if (schema && name && get_rel_relkind(lfirst_oid(lc)) == RELKIND_FOREIGN_TABLE)
			refuse_rows_of_others(table, RELKIND_FOREIGN_TABLE,
								  quote_qualified_identifier(schema, name), grant);
	}
	GetTempNamespaceState(&temp, &temp_toast);
	if (OidIsValid(temp))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s is not read in a session that has had temporary objects", table->ref),
				 errdetail("A history is read with its owner's rights, and the owner's functions could take them for something else."),
				 errhint("Connect again, or: %s", grant)));
}

static void
refuse_rows_of_others(const DbmToolTable *table, char relkind, const char *ref, const char *grant)
{
	const char *owner = GetUserNameFromId(table->owner, true);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("%s %s is not read for who could not become its owner",
					relkind == RELKIND_VIEW ? "view" : "foreign table", ref),
			 errdetail("A history is read with its owner's rights, and it is no table with rows of its own."),
			 errhint("Call it as the owner \"%s\" or a superuser, or: %s", owner ? owner : "", grant)));
}

/* The caller's rights do not count for reading; tell whose do. */
static void
check_owner(const DbmToolTable *table)
{
	const char *owner = GetUserNameFromId(table->owner, true);
	const char *hint = NULL;
	const char *reason = NULL;

	if (owner == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the owner of table %s does not exist", table->ref),
				 errhint("ALTER TABLE %s OWNER TO CURRENT_USER;", table->ref)));
	if (dbm_schema_aclcheck(table->schema_oid, table->owner, ACL_USAGE) != ACLCHECK_OK)
	{
		reason = psprintf("The owner has no USAGE privilege on schema %s.", quote_identifier(table->schema));
		hint = psprintf("GRANT USAGE ON SCHEMA %s TO %s;", quote_identifier(table->schema),
						quote_identifier(owner));
	}
	else if (!may_select(table, table->owner))
	{
		reason = "The owner has no SELECT privilege on it.";
		hint = psprintf("GRANT SELECT ON %s TO %s;", table->ref, quote_identifier(owner));
	}
	else if (check_enable_rls(table->oid, table->owner, true) == RLS_ENABLED)
	{
		reason = "Its row-level security is forced, so that it could hide rows from its owner as well.";
		hint = psprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY;", table->ref);
	}
	if (reason)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table %s cannot be read by its owner \"%s\"", table->ref, owner),
				 errdetail("A history is read with its owner's rights, whoever calls.  %s", reason),
				 errhint("%s", hint)));
}

/* On the table, or each column that is read. */
static bool
may_select(const DbmToolTable *table, Oid role)
{
	if (pg_class_aclcheck(table->oid, role, ACL_SELECT) == ACLCHECK_OK)
		return true;
	for (int i = 0; i < DBM_COLUMNS; i++)
		if (table->columns[i] &&
			pg_attribute_aclcheck(table->oid, get_attnum(table->oid, table->columns[i]), role,
								  ACL_SELECT) != ACLCHECK_OK)
			return false;
	return true;
}

/*
 * Schemas can be renamed whatever is locked.  So look what the table's name
 * stands for: when its first column is looked up, it has been opened.
 */
static void
watch_names(ParseState *pstate, void *arg)
{
	pstate->p_pre_columnref_hook = check_name;
	pstate->p_ref_hook_state = arg;
}

static Node *
check_name(ParseState *pstate, ColumnRef *cref)
{
	const DbmToolTable *table = pstate->p_ref_hook_state;
	const RangeTblEntry *rte = linitial(pstate->p_rtable);

	if (rte->relid != table->oid)
		dbm_tool_refuse_changed(table);
	return NULL;
}

/*
 * What the table, or view, is made of may belong to others, whose code would
 * run with the owner's rights.  They must be able to become the owner anyway.
 */
static void
check_owners_behind(const DbmToolTable *table, SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));
	ListCell   *relation;

	foreach(relation, source->relationOids)
	{
		ListCell   *child;

		foreach(child, find_all_inheritors(lfirst_oid(relation), AccessShareLock, NULL))
			check_owner_behind(table, lfirst_oid(child), lfirst_oid(child) != lfirst_oid(relation));
	}
}

static void
check_owner_behind(const DbmToolTable *table, Oid oid, bool is_child)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(oid));
	Form_pg_class class;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", oid);
	class = (Form_pg_class) GETSTRUCT(tuple);
	if (!dbm_can_become(class->relowner, table->owner))
	{
		const char *ref = quote_qualified_identifier(get_namespace_name(class->relnamespace),
													 NameStr(class->relname));
		const char *other = GetUserNameFromId(class->relowner, false);
		const char *owner = GetUserNameFromId(table->owner, false);

		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s reads table %s, which has another owner", table->ref, ref),
				 errdetail("What \"%s\" has put into it would run with the rights of \"%s\".",
						   other, owner),
				 is_child ?
				 errhint("Look at its indexes and columns, then: ALTER TABLE %s OWNER TO %s;", ref,
						 quote_identifier(owner)) :
				 errhint("Name that table, or: ALTER TABLE %s OWNER TO %s;", table->ref,
						 quote_identifier(other))));
	}
	ReleaseSysCache(tuple);
}

static void
describe_section(void *arg)
{
	const DbmToolTable *table = arg;

	errcontext("reading %s as its owner \"%s\"", table->ref,
			   GetUserNameFromId(table->owner, true));
}
