/*-------------------------------------------------------------------------
 *
 * quote.c
 *	  How what somebody else has named is written in messages.
 *
 * A hint is there to be copied, and a name in it may be anybody's: as a
 * literal it stays a name.  What steers a terminal is kept out of names from
 * the start.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "base/base.h"

static bool has_8_bit_controls(void);

/* How SQL writes a text: in quotation marks, with what has to be doubled. */
char *
dbm_literal(const char *text)
{
	return quote_literal_cstr(text);
}

/*
 * Does a text hold a control character, of 7 or 8 bits?  They forge lines and
 * steer terminals, and no name needs them.
 */
bool
dbm_has_control(const char *text)
{
	bool		c1 = has_8_bit_controls();

	for (const unsigned char *p = (const unsigned char *) text; *p; p += pg_mblen((const char *) p))
	{
		if (*p < 0x20 || *p == 0x7F)
			return true;
		if (GetDatabaseEncoding() == PG_UTF8 ?
			p[0] == 0xC2 && p[1] >= 0x80 && p[1] <= 0x9F :
			c1 && *p >= 0x80 && *p <= 0x9F)
			return true;
	}
	return false;
}

/* The same text with a ? for each control character; a copy. */
char *
dbm_without_control(const char *text)
{
	StringInfoData buf;

	if (!dbm_has_control(text))
		return pstrdup(text);
	initStringInfo(&buf);
	for (const char *p = text; *p; p += pg_mblen(p))
	{
		char	   *character = pnstrdup(p, pg_mblen(p));

		appendStringInfoString(&buf, dbm_has_control(character) ? "?" : character);
	}
	return buf.data;
}

/* Error 22023 for a name with control characters; "what" says of what. */
void
dbm_check_no_control(const char *what, const char *text)
{
	if (dbm_has_control(text))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not contain control characters: \"%s\"", what,
						dbm_without_control(text))));
}

/* In ISO 8859 bytes 80 to 9F are controls; in Windows' encodings, letters. */
static bool
has_8_bit_controls(void)
{
	int			encoding = GetDatabaseEncoding();

	return (encoding >= PG_LATIN1 && encoding <= PG_LATIN10) ||
		(encoding >= PG_ISO_8859_5 && encoding <= PG_ISO_8859_8);
}
