/*-------------------------------------------------------------------------
 *
 * checksum.c
 *	  The checksum of a script, fed with its tokens.
 *
 * SHA-256 over the source text of each token and a zero byte, CR LF as LF.
 * Nothing of it depends on keywords, case folding, the server's version or
 * the session's settings; texts in another encoding count as UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "compat.h"
#include "dbmigrate.h"

#define BUFFER_SIZE 8192

struct DbmChecksum
{
	pg_cryptohash_ctx *context;
	int			buffered;
	uint8		buffer[BUFFER_SIZE];
};

static void add_bytes(DbmChecksum *checksum, const char *bytes, int len);
static void add_byte(DbmChecksum *checksum, uint8 byte);
static void flush(DbmChecksum *checksum);

PG_FUNCTION_INFO_V1(dbmigrate_script_sha256);

/* SQL: migrate.script_sha256(script text) returns bytea */
Datum
dbmigrate_script_sha256(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(dbm_checksum_text(PG_GETARG_DATUM(0)));
}

/* SHA-256 of the exact bytes of a text, in UTF-8, as bytea. */
Datum
dbm_checksum_text(Datum script)
{
	text	   *source = DatumGetTextPP(script);
	int			len = VARSIZE_ANY_EXHDR(source);
	char	   *converted = dbm_checksum_utf8(VARDATA_ANY(source), &len);

	/* text and bytea are the same but for the encoding rules */
	if (converted != VARDATA_ANY(source))
		source = cstring_to_text_with_len(converted, len);
	return DirectFunctionCall1(sha256_bytea, PointerGetDatum(source));
}

/* A SHA-256 digest as bytea. */
Datum
dbm_checksum_bytea(const uint8 *digest)
{
	bytea	   *result = palloc(VARHDRSZ + PG_SHA256_DIGEST_LENGTH);

	SET_VARSIZE(result, VARHDRSZ + PG_SHA256_DIGEST_LENGTH);
	memcpy(VARDATA(result), digest, PG_SHA256_DIGEST_LENGTH);
	return PointerGetDatum(result);
}

DbmChecksum *
dbm_checksum_begin(void)
{
	DbmChecksum *checksum = palloc(sizeof(DbmChecksum));

	checksum->buffered = 0;
	checksum->context = pg_cryptohash_create(PG_SHA256);
	if (checksum->context == NULL || pg_cryptohash_init(checksum->context) < 0)
		elog(ERROR, "could not initialize SHA-256");
	return checksum;
}

/* One token. */
void
dbm_checksum_add(DbmChecksum *checksum, const char *bytes, int len)
{
	add_bytes(checksum, bytes, len);
	add_byte(checksum, '\0');
}

/* Inline COPY data: one token, and its last line feed may be missing. */
void
dbm_checksum_add_data(DbmChecksum *checksum, const char *bytes, int len)
{
	add_bytes(checksum, bytes, len);
	/* psql's backquotes lose the last line feed of a file */
	if (len > 0 && bytes[len - 1] != '\n')
		add_byte(checksum, '\n');
	add_byte(checksum, '\0');
}

/* Forget all so far: the checksum is that of these bytes as they are. */
void
dbm_checksum_replace(DbmChecksum *checksum, const char *bytes, int len)
{
	checksum->buffered = 0;
	if (pg_cryptohash_init(checksum->context) < 0 ||
		pg_cryptohash_update(checksum->context, (const uint8 *) bytes, len) < 0)
		elog(ERROR, "could not compute SHA-256");
}

void
dbm_checksum_end(DbmChecksum *checksum, uint8 *digest)
{
	flush(checksum);
	if (pg_cryptohash_final(checksum->context, digest, PG_SHA256_DIGEST_LENGTH) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(checksum->context);
	pfree(checksum);
}

/*
 * A text in UTF-8, which is what all hashes are made of, so that they survive
 * a move to a database with another encoding.  *len becomes its length; the
 * result is the argument itself if there is nothing to convert.
 */
char *
dbm_checksum_utf8(const char *bytes, int *len)
{
	char	   *converted;

	if (GetDatabaseEncoding() == PG_UTF8 || !dbm_encoding_converts(GetDatabaseEncoding()))
		return unconstify(char *, bytes);
	converted = pg_server_to_any(bytes, *len, PG_UTF8);
	if (converted != bytes)
		*len = strlen(converted);
	return converted;
}

/* Add bytes to the checksum, CR LF as LF. */
static void
add_bytes(DbmChecksum *checksum, const char *bytes, int len)
{
	char	   *converted = dbm_checksum_utf8(bytes, &len);

	for (int i = 0; i < len; i++)
	{
		if (converted[i] == '\r' && i + 1 < len && converted[i + 1] == '\n')
			continue;
		add_byte(checksum, converted[i]);
	}
	if (converted != bytes)
		pfree(converted);
}

static void
add_byte(DbmChecksum *checksum, uint8 byte)
{
	if (checksum->buffered == BUFFER_SIZE)
		flush(checksum);
	checksum->buffer[checksum->buffered++] = byte;
}

static void
flush(DbmChecksum *checksum)
{
	if (pg_cryptohash_update(checksum->context, checksum->buffer, checksum->buffered) < 0)
		elog(ERROR, "could not compute SHA-256");
	checksum->buffered = 0;
}
