/*-------------------------------------------------------------------------
 *
 * trust.c
 *	  Whose scripts a caller may run, and with which restriction.
 *
 * Whoever registers a script can make whoever applies it run it.  So a script
 * is run only if somebody vouches for its exact bytes, its author or whoever
 * approved it, who is or could become the current user anyway.
 *
 * A session is lowered where the current user is not the session's, or the
 * session's is not the one who logged in: RESET ROLE or RESET SESSION
 * AUTHORIZATION would lead back to somebody stronger, and not only the script
 * could say so, but every trigger and function that it sets off.  So in a
 * lowered session every script runs with SECURITY_LOCAL_USERID_CHANGE, in
 * which the server refuses both, unless somebody who is as strong as the one
 * who logged in has said that these bytes may.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/acl.h"

#include "base/base.h"

static bool could_become_caller(const char *role_name, Oid *role);

/* Would the session's user, or the one who logged in, be somebody else? */
bool
dbm_session_is_lowered(void)
{
	return GetUserId() != GetSessionUserId() || GetSessionUserId() != GetAuthenticatedUserId();
}

/*
 * What it is worth that a script is of this author.  Names of roles that do
 * not exist vouch for nothing.
 */
DbmTrust
dbm_trust_author(const char *author)
{
	Oid			role;

	if (!could_become_caller(author, &role))
		return DBM_TRUST_NONE;
	return dbm_session_is_lowered() ? DBM_TRUST_RESTRICTED : DBM_TRUST_FULL;
}

/* The same for one who approved it, perhaps with SET ROLE. */
DbmTrust
dbm_trust_approver(const char *approver, bool may_set_role)
{
	Oid			role;

	if (!could_become_caller(approver, &role))
		return DBM_TRUST_NONE;
	if (!dbm_session_is_lowered() ||
		(may_set_role && dbm_can_become(role, GetSessionUserId()) &&
		 dbm_can_become(role, GetAuthenticatedUserId())))
		return DBM_TRUST_FULL;
	return DBM_TRUST_RESTRICTED;
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

static bool
could_become_caller(const char *role_name, Oid *role)
{
	*role = get_role_oid(role_name, true);
	return OidIsValid(*role) && dbm_can_become(*role, GetUserId());
}
