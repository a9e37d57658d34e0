/*-------------------------------------------------------------------------
 *
 * checksum.c
 *	  The checksum of a script, fed with its tokens.
 *
 * SHA-256 over the source text of each token and a zero byte, CR LF as LF.
 * A token that begins with a letter, "_" or a byte above 127 and holds no
 * quote is a word: its ASCII letters count in lower case, as the server folds
 * them.  All else counts as written: quoted identifiers, literals with their
 * prefix, dollar quotes with their tag, numbers, parameters, operators.  Where
 * a literal goes on in another line, the white space and the comments between
 * its parts count as one line feed.  The N of a national string is a word of
 * its own to the scanner, so that N'x' counts as N 'x' does, which means
 * something else where a type is called n.
 *
 * Nothing of it depends on keywords, locale, the server's version or the
 * session's settings; texts in another encoding count as UTF-8.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/cryptohash.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "base/base.h"

#define BUFFER_SIZE 8192

/* What can be forgotten: START TRANSACTION with its zero bytes takes 18. */
#define FORGET_SIZE 64

struct DbmChecksum
{
	pg_cryptohash_ctx *context;
	int			buffered;
	int			mark;			/* where the statement begins in the buffer */
	uint8		buffer[BUFFER_SIZE];
};

static bool is_word(const char *bytes, int len);
static int	literal_prefix(const char *bytes, int len);
static void add_token(DbmChecksum *checksum, const char *bytes, int len, bool lower);
static void add_literal(DbmChecksum *checksum, const char *bytes, int len);
static int	literal_part(const char *bytes, int len, bool has_escapes);
static int	literal_gap(const char *bytes, int len);
static void add_data(DbmChecksum *checksum, const char *bytes, int len);
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
	checksum->mark = 0;
	checksum->context = pg_cryptohash_create(PG_SHA256);
	if (checksum->context == NULL || pg_cryptohash_init(checksum->context) < 0)
		elog(ERROR, "could not initialize SHA-256");
	return checksum;
}

/* One token. */
void
dbm_checksum_add(DbmChecksum *checksum, const char *bytes, int len)
{
	char	   *converted = dbm_checksum_utf8(bytes, &len);

	if (literal_prefix(converted, len) >= 0)
		add_literal(checksum, converted, len);
	else
		add_token(checksum, converted, len, is_word(converted, len));
	add_byte(checksum, '\0');
	if (converted != bytes)
		pfree(converted);
}

/* Inline COPY data: one token, and its last line feed may be missing. */
void
dbm_checksum_add_data(DbmChecksum *checksum, const char *bytes, int len)
{
	char	   *converted = dbm_checksum_utf8(bytes, &len);

	add_data(checksum, converted, len);
	/* psql's backquotes lose the last line feed of a file */
	if (len > 0 && converted[len - 1] != '\n')
		add_byte(checksum, '\n');
	add_byte(checksum, '\0');
	if (converted != bytes)
		pfree(converted);
}

/* A statement begins, which may turn out to be half of a BEGIN ... COMMIT. */
void
dbm_checksum_mark(DbmChecksum *checksum)
{
	if (checksum->buffered > BUFFER_SIZE - FORGET_SIZE)
		flush(checksum);
	checksum->mark = checksum->buffered;
}

/*
 * It was one: forget it.  One that is too long for that is no plain BEGIN or
 * COMMIT, and its script is refused.
 */
void
dbm_checksum_forget(DbmChecksum *checksum)
{
	checksum->buffered = checksum->mark;
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

/*
 * What begins with a letter and holds a quote has it behind a prefix of one
 * byte, or two: U&.
 */
static bool
is_word(const char *bytes, int len)
{
	unsigned char first = bytes[0];

	if (!((first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z') ||
		  first == '_' || first > 127))
		return false;
	for (int i = 1; i < Min(len, 3); i++)
	{
		if (bytes[i] == '\'' || bytes[i] == '"')
			return false;
	}
	return true;
}

/* How long is what stands before the quote of a literal?  -1 if it is none. */
static int
literal_prefix(const char *bytes, int len)
{
	int			at = 0;

	if (len > 2 && (bytes[0] == 'U' || bytes[0] == 'u') && bytes[1] == '&')
		at = 2;
	else if (len > 1 && bytes[0] != '\0' && strchr("EeBbXx", bytes[0]))
		at = 1;
	return at < len && bytes[at] == '\'' ? at : -1;
}

/* A literal, which may have several parts. */
static void
add_literal(DbmChecksum *checksum, const char *bytes, int len)
{
	int			prefix = literal_prefix(bytes, len);
	bool		has_escapes = prefix == 1 && (bytes[0] == 'E' || bytes[0] == 'e');
	int			at = prefix;

	for (;;)
	{
		int			end = at + literal_part(bytes + at, len - at, has_escapes);

		add_token(checksum, bytes + at - prefix, end - at + prefix, false);
		if (end == len)
			break;
		prefix = 0;
		at = end + literal_gap(bytes + end, len - end);
		add_byte(checksum, '\n');
	}
}

/* How long is the part of a literal that begins here with its quote? */
static int
literal_part(const char *bytes, int len, bool has_escapes)
{
	for (int at = 1; at < len; at++)
	{
		if (bytes[at] == '\\' && has_escapes)
			at++;
		else if (bytes[at] == '\'')
		{
			if (at + 1 == len || bytes[at + 1] != '\'')
				return at + 1;
			at++;
		}
	}
	return len;
}

/* How far is it to the quote of the next part? */
static int
literal_gap(const char *bytes, int len)
{
	int			at = 0;

	while (at < len && bytes[at] != '\'')
	{
		if (bytes[at] == '-')
			while (at < len && bytes[at] != '\n' && bytes[at] != '\r')
				at++;
		else
			at++;
	}
	return at;
}

/* CR LF as LF, and ASCII letters in lower case, if so wanted, in any locale. */
static void
add_token(DbmChecksum *checksum, const char *bytes, int len, bool lower)
{
	for (int i = 0; i < len; i++)
	{
		char		c = bytes[i];

		if (lower && c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		else if (c == '\r' && i + 1 < len && bytes[i + 1] == '\n')
			continue;
		add_byte(checksum, c);
	}
}

/* CR LF as LF. */
static void
add_data(DbmChecksum *checksum, const char *bytes, int len)
{
	const char *end = bytes + len;
	const char *cr;

	while ((cr = memchr(bytes, '\r', end - bytes)) != NULL)
	{
		add_bytes(checksum, bytes, cr - bytes);
		if (cr + 1 == end || cr[1] != '\n')
			add_byte(checksum, '\r');
		bytes = cr + 1;
	}
	add_bytes(checksum, bytes, end - bytes);
}

static void
add_bytes(DbmChecksum *checksum, const char *bytes, int len)
{
	while (len > 0)
	{
		int			room;

		if (checksum->buffered == BUFFER_SIZE)
			flush(checksum);
		room = Min(len, BUFFER_SIZE - checksum->buffered);
		memcpy(checksum->buffer + checksum->buffered, bytes, room);
		checksum->buffered += room;
		bytes += room;
		len -= room;
	}
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
	checksum->mark = 0;
}
