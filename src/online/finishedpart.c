/*-------------------------------------------------------------------------
 *
 * finishedpart.c
 *	  The part of an online script that is done must stay as it was: its
 *	  statements, that is, not the comments and the white space between tokens.
 *
 * SHA-256 over that of the statements before and the checksum of the next one,
 * so that each further statement takes no longer than the first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/sha2.h"
#include "utils/builtins.h"

#include "online/online.h"

static Datum chain(const DbmScript *script, int from, int to, Datum sha256);
static DbmScript *statement_alone(const DbmScript *script, const DbmStatement *statement);

/* Of all up to a statement (counted from 1). */
Datum
dbm_finished_sha256(const DbmScript *script, int end)
{
	return chain(script, 0, end, (Datum) 0);
}

/* Another part of it is done; in a transaction, which may have SPI connected or not. */
void
dbm_online_finished(DbmOnline *online, int end)
{
	Datum		sha256 = online->sha256 == 0 ? dbm_finished_sha256(online->script, end) :
		chain(online->script, online->finished, end, online->sha256);

	dbm_halfway_finished(&online->run->ext, online->migration->id, end, sha256);
	online->finished = end;
	online->sha256 = sha256;
}

/* Do two statements differ in nothing but comments, white space and the case of words? */
bool
dbm_statement_is_same(const char *one, const char *other)
{
	DbmScript  *a = dbm_script_scan(pstrdup(one), strlen(one), true);
	DbmScript  *b = dbm_script_scan(pstrdup(other), strlen(other), true);

	return memcmp(a->checksum, b->checksum, PG_SHA256_DIGEST_LENGTH) == 0;
}

/* "sha256" is that of the part before "from", 0 for none. */
static Datum
chain(const DbmScript *script, int from, int to, Datum sha256)
{
	for (int i = from; i < to; i++)
	{
		DbmScript  *alone = statement_alone(script, &script->statements[i]);
		Datum		checksum = dbm_checksum_bytea(alone->checksum);
		Datum		both = sha256 == 0 ? checksum : DirectFunctionCall2(byteacat, sha256, checksum);

		sha256 = DirectFunctionCall1(sha256_bytea, both);
		if (both != checksum)
			pfree(DatumGetPointer(both));
		pfree(DatumGetPointer(checksum));
		dbm_script_free(alone);
	}
	return sha256;
}

/* With its data.  BEGIN and COMMIT, which need each other, are as good as any word. */
static DbmScript *
statement_alone(const DbmScript *script, const DbmStatement *statement)
{
	const char *text = script->text + statement->start;
	char	   *alone;

	switch (statement->kind)
	{
		case DBM_STATEMENT_BEGIN:
			alone = pstrdup("begin_of_group");
			break;
		case DBM_STATEMENT_COMMIT:
			alone = pstrdup("end_of_group");
			break;
		case DBM_STATEMENT_COPY_DATA:
			alone = psprintf("%.*s;\n%.*s", statement->len, text,
							 statement->data_len, script->text + statement->data_start);
			break;
		default:
			alone = pnstrdup(text, statement->len);
	}
	return dbm_script_scan(alone, strlen(alone), true);
}
