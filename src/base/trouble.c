/*-------------------------------------------------------------------------
 *
 * trouble.c
 *	  What is wrong, as a value: so that all of it can be told at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/base.h"

/* In the current memory context; "detail" and "hint" may be NULL. */
DbmTrouble *
dbm_trouble(int sqlerrcode, const char *message, const char *detail, const char *hint)
{
	DbmTrouble *trouble = palloc0(sizeof(DbmTrouble));

	trouble->sqlerrcode = sqlerrcode;
	trouble->message = message;
	trouble->detail = detail;
	trouble->hint = hint;
	return trouble;
}

/* Raise it as an error. */
void
dbm_trouble_throw(const DbmTrouble *trouble)
{
	ereport(ERROR,
			(errcode(trouble->sqlerrcode),
			 errmsg_internal("%s", trouble->message),
			 trouble->detail ? errdetail_internal("%s", trouble->detail) : 0,
			 trouble->hint ? errhint("%s", trouble->hint) : 0));
}
