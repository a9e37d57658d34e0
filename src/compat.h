/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  Differences between server versions; every PG_VERSION_NUM is here.
 *
 * The rest of the code uses the newest server's way to say a thing.  A block
 * is deleted when the last version that needs it is dropped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_COMPAT_H
#define DBMIGRATE_COMPAT_H

#include "catalog/pg_namespace.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "parser/scanner.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "storage/sinvaladt.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"

/* 19 moved get_database_name() to utils/lsyscache.h. */
#if PG_VERSION_NUM < 190000
#include "commands/dbcommands.h"
#endif

#if PG_VERSION_NUM < 150000
#error "dbmigrate needs PostgreSQL 15 or later"
#endif

/* What a script was parsed by, as far as that matters: 15, 16, ... */
#define DBM_SERVER_MAJOR (PG_VERSION_NUM / 10000)

/* 16 declares _PG_init itself and hides other symbols unless exported. */
#if PG_VERSION_NUM < 160000
extern PGDLLEXPORT void _PG_init(void);
#endif

/* 17 moved the local transaction id into a struct. */
#if PG_VERSION_NUM < 170000
#define dbm_proc_lxid(proc) ((proc)->lxid)
#else
#define dbm_proc_lxid(proc) ((proc)->vxid.lxid)
#endif
#define dbm_my_lxid() dbm_proc_lxid(MyProc)

/*
 * Could "member" become "role"?  From 16 on a membership may come without the
 * right to SET ROLE; before, every membership had it.
 */
static inline bool
dbm_can_become(Oid member, Oid role)
{
#if PG_VERSION_NUM < 160000
	return is_member_of_role(member, role);
#else
	return member_can_set_role(member, role);
#endif
}

/* 16 replaced the per-type functions by one. */
static inline AclResult
dbm_schema_aclcheck(Oid schema, Oid role, AclMode mode)
{
#if PG_VERSION_NUM < 160000
	return pg_namespace_aclcheck(schema, role, mode);
#else
	return object_aclcheck(NamespaceRelationId, schema, role, mode);
#endif
}

/*
 * Where requiredPerms and insertedCols of a namespace item are: 16 moved them
 * from the range table entry into a node of their own.
 */
#if PG_VERSION_NUM < 160000
#define dbm_permissions(nsitem) ((nsitem)->p_rte)
#else
#define dbm_permissions(nsitem) ((nsitem)->p_perminfo)
#endif

/* Hand the relations of a parse state, and the rights on them, to a plan. */
static inline void
dbm_plan_relations(PlannedStmt *plan, ParseState *pstate)
{
	plan->rtable = pstate->p_rtable;
#if PG_VERSION_NUM >= 160000
	plan->permInfos = pstate->p_rteperminfos;
#endif
}

/* Run a query to its end.  18 has no plans that are run only once any more. */
static inline void
dbm_executor_run(QueryDesc *query)
{
#if PG_VERSION_NUM < 180000
	ExecutorRun(query, ForwardScanDirection, 0, true);
#else
	ExecutorRun(query, ForwardScanDirection, 0);
#endif
}

/* 19 has a threshold for each kind of process. */
#if PG_VERSION_NUM < 190000
#define dbm_log_min_messages() log_min_messages
#else
#define dbm_log_min_messages() (log_min_messages[MyBackendType])
#endif

/* A setting by its name, NULL if there is none.  16 exports the way to find one. */
static inline struct config_generic *
dbm_find_setting(const char *name)
{
#if PG_VERSION_NUM < 160000
	for (int i = 0; i < GetNumConfigOptions(); i++)
		if (pg_strcasecmp(get_guc_variables()[i]->name, name) == 0)
			return get_guc_variables()[i];
	return NULL;
#else
	return find_option(name, false, true, 0);
#endif
}

/* 18 has it before the declaration, as C11 does, and not behind it. */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* 18 lets a module tell its name and version. */
#if PG_VERSION_NUM < 180000
#define DBM_MODULE_MAGIC PG_MODULE_MAGIC
#else
#define DBM_MODULE_MAGIC \
	PG_MODULE_MAGIC_EXT(.name = "dbmigrate", .version = DBMIGRATE_VERSION)
#endif

/*
 * Are string literals standard ones for this session's statements?  19 knows
 * no others.
 */
static inline bool
dbm_strings_are_standard(void)
{
#if PG_VERSION_NUM < 190000
	return standard_conforming_strings;
#else
	return true;
#endif
}

/* Have a scanner take literals as standard strings, whatever the settings. */
static inline void
dbm_scan_standard_strings(core_yy_extra_type *extra)
{
	extra->backslash_quote = BACKSLASH_QUOTE_ON;
#if PG_VERSION_NUM < 190000
	extra->escape_string_warning = false;
	extra->standard_conforming_strings = true;
#endif
}

/*
 * Is there a conversion from this encoding to UTF-8?  The bytes of SQL_ASCII
 * may be anything, and MULE_INTERNAL, which 19 dropped, has no way out.
 */
static inline bool
dbm_encoding_converts(int encoding)
{
#if PG_VERSION_NUM < 190000
	if (encoding == PG_MULE_INTERNAL)
		return false;
#endif
	return encoding != PG_SQL_ASCII;
}

/*
 * 19 made CLUSTER a case of REPACK, with options and no table alike, and has
 * a second refresh of subscriptions, which any transaction may do.
 */
#if PG_VERSION_NUM < 190000
#define T_RepackStmt T_ClusterStmt
#define RepackStmt ClusterStmt
#define ALTER_SUBSCRIPTION_REFRESH_PUBLICATION ALTER_SUBSCRIPTION_REFRESH
#endif

/* WAIT FOR LSN came with 19. */
static inline bool
dbm_is_wait(Node *stmt)
{
#if PG_VERSION_NUM < 190000
	return false;
#else
	return IsA(stmt, WaitStmt);
#endif
}

/* 18 dropped PortalRun()'s argument run_once. */
#if PG_VERSION_NUM < 180000
#define dbm_portal_run(portal, dest, completion) \
	PortalRun(portal, FETCH_ALL, true, true, dest, dest, completion)
#else
#define dbm_portal_run(portal, dest, completion) \
	PortalRun(portal, FETCH_ALL, true, dest, dest, completion)
#endif

/* 17 added LockHeldByMe()'s argument orstronger. */
#if PG_VERSION_NUM < 170000
#define dbm_lock_held_by_me(tag, mode) LockHeldByMe(tag, mode)
#else
#define dbm_lock_held_by_me(tag, mode) LockHeldByMe(tag, mode, false)
#endif

/*
 * The process that is in a transaction; NULL if it has left it, as one that was
 * prepared.  17 calls the number of a backend by another name.
 */
static inline PGPROC *
dbm_vxid_proc(VirtualTransactionId vxid)
{
#if PG_VERSION_NUM < 170000
	PGPROC	   *proc = BackendIdGetProc(vxid.backendId);
#else
	PGPROC	   *proc = ProcNumberGetProc(vxid.procNumber);
#endif

	return proc && dbm_proc_lxid(proc) == vxid.localTransactionId ? proc : NULL;
}

/* All settings; 16 counts them in the same call. */
static inline struct config_generic **
dbm_all_settings(int *count)
{
#if PG_VERSION_NUM < 160000
	*count = GetNumConfigOptions();
	return get_guc_variables();
#else
	return get_guc_variables(count);
#endif
}

#endif							/* DBMIGRATE_COMPAT_H */
