/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whose scripts a caller may run, and with which restriction.
 *
 * Whoever registers a script can make whoever applies it run it.  So a script
 * is run only if somebody vouches for its exact bytes, its author or whoever
 * approved it, who is or could become the current user anyway.
 *
 * Vouching for the current user is not enough when the session began as
 * somebody stronger: RESET ROLE and RESET SESSION AUTHORIZATION would lead
 * back there.  Such a script runs with SECURITY_LOCAL_USERID_CHANGE, in which
 * the server refuses both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "compat.h"
#include "dbmigrate.h"

static void consider(const char *voucher, DbmTrust *trust);

/*
 * May the current user run a script with this author, and this approver
 * unless NULL?  Names of roles that do not exist vouch for nothing.
 */
DbmTrust
dbm_trust(const char *author, const char *approver)
{
	DbmTrust	trust = DBM_TRUST_NONE;

	consider(author, &trust);
	if (approver)
		consider(approver, &trust);
	return trust;
}

/* May the current user change what this author registered? */
bool
dbm_may_change(const char *author)
{
	Oid			role = get_role_oid(author, true);

	return OidIsValid(role) ? dbm_can_become(GetUserId(), role) : superuser();
}

/* Whom RESET ROLE or RESET SESSION AUTHORIZATION would bring back. */
Oid
dbm_stronger_user(void)
{
	return GetUserId() != GetSessionUserId() ? GetSessionUserId() : GetAuthenticatedUserId();
}

static void
consider(const char *voucher, DbmTrust *trust)
{
	Oid			role = get_role_oid(voucher, true);

	if (!OidIsValid(role) || !dbm_can_become(role, GetUserId()))
		return;
	if (dbm_can_become(role, GetSessionUserId()) &&
		dbm_can_become(role, GetAuthenticatedUserId()))
		*trust = DBM_TRUST_FULL;
	else if (*trust == DBM_TRUST_NONE)
		*trust = DBM_TRUST_RESTRICTED;
}
