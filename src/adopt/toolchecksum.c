/*-------------------------------------------------------------------------
 *
 * toolchecksum.c
 *	  The checksums that other tools keep of their files: CRC-32 in Flyway,
 *	  SHA-256 in Prisma, SHA-384 in sqlx.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/pg_crc.h"

#include "adopt/adopt.h"

static char *flyway_checksum(const char *script, int len);

/* Is a registered script what the tool ran, as far as its checksum says? */
bool
dbm_tool_same_text(const DbmToolTable *table, const DbmToolRow *row,
				   const char *script, int len)
{
	/* psql's backquotes drop the newline at the end of a file */
	char	   *utf8 = dbm_checksum_utf8(script, &len);
	text	   *exact = cstring_to_text_with_len(utf8, len);
	text	   *longer = cstring_to_text_with_len(psprintf("%s\n", pnstrdup(utf8, len)), len + 1);

	if (table->tool == DBM_TOOL_FLYWAY)
		return strcmp(flyway_checksum(utf8, len), row->checksum) == 0;
	for (int i = 0; i < 2; i++)
	{
		Datum		bytes = PointerGetDatum(i == 0 ? exact : longer);
		Datum		digest = table->tool == DBM_TOOL_SQLX ?
			DirectFunctionCall1(sha384_bytea, bytes) : DirectFunctionCall1(sha256_bytea, bytes);

		digest = DirectFunctionCall2(binary_encode, digest, CStringGetTextDatum("hex"));
		if (pg_strcasecmp(TextDatumGetCString(digest), row->checksum) == 0)
			return true;
	}
	return false;
}

/* CRC-32 over the lines without their ends and without a BOM, as signed int. */
static char *
flyway_checksum(const char *script, int len)
{
	pg_crc32	crc;
	int			skip = len >= 3 && memcmp(script, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;

	INIT_TRADITIONAL_CRC32(crc);
	for (int i = skip, end; i < len; i = end + 1)
	{
		for (end = i; end < len && script[end] != '\n' && script[end] != '\r';)
			end++;
		COMP_TRADITIONAL_CRC32(crc, script + i, end - i);
	}
	FIN_TRADITIONAL_CRC32(crc);
	return psprintf("%d", (int32) crc);
}
