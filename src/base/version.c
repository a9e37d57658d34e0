/*-------------------------------------------------------------------------
 *
 * version.c
 *	  Versions: text as written, compared number by number.
 *
 * A version is one or more groups of digits with '.' or '_' between them.
 * Its parsed form is an array of numeric, which the server's own array
 * comparison orders as we need it, in every collation.  Zeros at the end are
 * dropped, so that 1, 001, 1.0 and 1.0.0 are the same version, as in Flyway.
 *
 * A group of 8 to 20 digits that begins with 19 or 20 is a date, perhaps with
 * a time and its fraction.  Tools that compare such versions as text have
 * 20250625 after 20250604085536, and so have we: they are all filled up to 20
 * digits, with the number of digits as a group of its own behind them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "base/base.h"

#define MAX_VERSION_LENGTH 255
#define MAX_VERSION_GROUPS 64
#define MIN_DATE_DIGITS 8
#define MAX_DATE_DIGITS 20

static ArrayType *parse(const char *version);
static bool is_date(const char *digits, int len);
static int	write_group(char *key, const char *digits, int len);
static int	write_date(char *key, const char *digits, int len);
pg_noreturn static void invalid_version(const char *version);

PG_FUNCTION_INFO_V1(dbmigrate_version_key);

/* SQL: migrate.version_key(version text) returns numeric[] */
Datum
dbmigrate_version_key(PG_FUNCTION_ARGS)
{
	PG_RETURN_ARRAYTYPE_P(dbm_version_parse(text_to_cstring(PG_GETARG_TEXT_PP(0))));
}

/*
 * Parse a version.  Errors: 22023 for anything that is not groups of digits,
 * or that is longer than 255 bytes or 64 groups.
 */
ArrayType *
dbm_version_parse(const char *version)
{
	ArrayType  *key = parse(version);

	if (key == NULL)
		invalid_version(version);
	return key;
}

bool
dbm_version_is_valid(const char *version)
{
	return dbm_version_canonical(version) != NULL;
}

/*
 * Is this the id of a migration that has no version, where a version may be
 * given?  See migrate.migration.id.
 */
bool
dbm_version_is_id(const char *version)
{
	return strncmp(version, "R__", 3) == 0 || strncmp(version, "B__", 3) == 0;
}

/* NULL if it is no version. */
static ArrayType *
parse(const char *version)
{
	Datum		groups[MAX_VERSION_GROUPS + 1];
	int			ngroups = 0;
	char	   *group = dbm_version_canonical(version);

	if (group == NULL)
		return NULL;
	while (group)
	{
		char	   *comma = strchr(group, ',');

		if (comma)
			*comma = '\0';
		groups[ngroups++] = DirectFunctionCall3(numeric_in, CStringGetDatum(group),
												ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
		group = comma ? comma + 1 : NULL;
	}
	return construct_array(groups, ngroups, NUMERICOID, -1, false, TYPALIGN_INT);
}

/*
 * The key of a version as text, to be looked up and compared in C: its groups
 * with commas between them.  NULL if it is no version.
 */
char *
dbm_version_canonical(const char *version)
{
	char		key[MAX_VERSION_LENGTH + 2 * MAX_DATE_DIGITS];
	char	   *end = key;
	int			significant = 0;	/* bytes, without zeros at the end */
	int			ngroups = 0;
	const char *p = version;

	if (strlen(version) > MAX_VERSION_LENGTH)
		return NULL;
	for (;;)
	{
		int			len = strspn(p, "0123456789");

		if (len == 0 || ngroups >= MAX_VERSION_GROUPS)
			return NULL;
		if (ngroups > 0)
			*end++ = ',';
		if (ngroups == 0 && is_date(p, len))
		{
			end += write_date(end, p, len);
			ngroups++;
		}
		else
			end += write_group(end, p, len);
		if (significant == 0 || strspn(p, "0") < len)
			significant = end - key;
		ngroups++;
		p += len;
		if (*p == '\0')
			return pnstrdup(key, significant);
		if (*p != '.' && *p != '_')
			return NULL;
		p++;
	}
}

/*
 * Compare two canonical versions as their keys compare; NULL, which repeatable
 * ones have, is last.
 */
int
dbm_version_compare(const char *a, const char *b)
{
	if (a == NULL || b == NULL)
		return (a == NULL) - (b == NULL);
	for (;;)
	{
		int			alen = strcspn(a, ",");
		int			blen = strcspn(b, ",");
		int			result = alen != blen ? alen - blen : memcmp(a, b, alen);

		if (result != 0)
			return result;
		a += alen;
		b += blen;
		if (*a == '\0' || *b == '\0')
			return (*a != '\0') - (*b != '\0');
		a++;
		b++;
	}
}

/* Without leading zeros; returns the number of bytes. */
static int
write_group(char *key, const char *digits, int len)
{
	int			zeros = Min(strspn(digits, "0"), len - 1);

	memcpy(key, digits + zeros, len - zeros);
	return len - zeros;
}

static bool
is_date(const char *digits, int len)
{
	return len >= MIN_DATE_DIGITS && len <= MAX_DATE_DIGITS &&
		(strncmp(digits, "19", 2) == 0 || strncmp(digits, "20", 2) == 0);
}

/* Filled up, and how long it was. */
static int
write_date(char *key, const char *digits, int len)
{
	memset(key, '0', MAX_DATE_DIGITS);
	memcpy(key, digits, len);
	return MAX_DATE_DIGITS + sprintf(key + MAX_DATE_DIGITS, ",%d", len);
}

static void
invalid_version(const char *version)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("invalid migration version: \"%s\"", version),
			 errdetail("A version is digits, in groups separated by \".\" or \"_\", at most %d characters.",
					   MAX_VERSION_LENGTH),
			 errhint("Versions look like 001, 20231106120000 or 1.4.2.")));
}
