/*-------------------------------------------------------------------------
 *
 * target.c
 *	  The target schema: where unqualified names of a migration go.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

#include "base/base.h"

/*
 * Check a target schema; "" is none and always right.  Errors: 3F000 if it
 * does not exist, 42501 if the caller may not use it, 22023 if it is not a
 * place for migrations.
 */
void
dbm_target_check(const char *schema)
{
	Oid			oid;

	if (schema[0] == '\0')
		return;
	oid = dbm_target_find(schema);
	if (!OidIsValid(oid))
		dbm_target_missing(schema);
	if (dbm_schema_aclcheck(oid, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SCHEMA, schema);
}

/* InvalidOid if it does not exist; 22023 if it is not a place for migrations. */
Oid
dbm_target_find(const char *schema)
{
	if (IsReservedName(schema) || strcmp(schema, "information_schema") == 0 ||
		strcmp(schema, "migrate") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("schema \"%s\" cannot be the target of migrations", schema)));
	return get_namespace_oid(schema, true);
}

void
dbm_target_missing(const char *schema)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_SCHEMA),
			 errmsg("schema \"%s\" does not exist", schema),
			 errhint("If it is a new tenant: CREATE SCHEMA %s;", quote_identifier(schema))));
}

/*
 * The target schema and the project of a call, as the arguments of another
 * one in a hint; "is_first" if nothing stands before them.
 */
const char *
dbm_target_argument(const DbmExtension *ext, bool is_first)
{
	const char *schema = ext->target[0] == '\0' ? "" : psprintf(", schema => %s", dbm_literal(ext->target));
	char	   *both = psprintf("%s%s", schema, dbm_project_argument(ext));

	return is_first && both[0] ? both + 2 : both;
}

/* The same for what has a project only; never the first argument. */
const char *
dbm_project_argument(const DbmExtension *ext)
{
	return ext->project[0] == '\0' ? "" : psprintf(", project => %s", dbm_literal(ext->project));
}

/*
 * The search_path for scripts: the target schema, pg_temp, and what "extra"
 * lists, so that an unqualified DROP can never reach public.  NULL without a
 * target schema: then the session's search_path holds.
 */
const char *
dbm_target_search_path(const char *schema, const char *extra)
{
	StringInfoData path;
	List	   *names;
	ListCell   *lc;

	if (!SplitIdentifierString(pstrdup(extra), ',', &names))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid extra_search_path: \"%s\"", extra),
				 errhint("Give a list of schema names, such as: extra_search_path => 'extensions, shared'")));
	if (schema[0] == '\0')
	{
		if (names != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("extra_search_path needs a target schema"),
					 errhint("Without one the session's search_path is used; change that with SET search_path.")));
		return NULL;
	}

	dbm_target_check(schema);
	initStringInfo(&path);
	appendStringInfo(&path, "%s, pg_temp", quote_identifier(schema));
	foreach(lc, names)
		appendStringInfo(&path, ", %s", quote_identifier(lfirst(lc)));
	return path.data;
}
