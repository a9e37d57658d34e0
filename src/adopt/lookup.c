/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Every migration that is registered or applied, to be found by version
 *	  or by name: what another tool's history is matched with.
 *
 * All keys are in one hash table of strings; the first letter says of which
 * kind a key is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#include "adopt/adopt.h"
#include "files/files.h"

#define KEY_VERSION 'v'			/* canonical */
#define KEY_FILE 'f'			/* base name of the file */
#define KEY_FULL_NAME 'n'		/* version and name, folded */
#define KEY_NAME 'o'			/* name alone, folded */
#define KEY_UNDONE 'u'			/* canonical version or id */

typedef struct Entry
{
	const char *key;
	DbmLookupEntry *known;		/* NULL if several have the key */
} Entry;

static void add_key(DbmLookup *index, char kind, const char *text, DbmLookupEntry *known);
static DbmLookupEntry *find_key(const DbmLookup *index, char kind, const char *text);
static char *fold(const char *text);

/* Everything known about a target schema. */
DbmLookup *
dbm_lookup_load(const DbmExtension *ext)
{
	DbmLookup  *index = palloc0(sizeof(DbmLookup));
	ListCell   *lc;

	index->table = dbm_string_table("dbmigrate known migrations", 1024, sizeof(Entry));
	foreach(lc, dbm_known_all(ext))
	{
		DbmLookupEntry *known = palloc0(sizeof(DbmLookupEntry));

		known->row = *(DbmKnown *) lfirst(lc);
		/* a script that stands for all versions up to its own is none of them */
		if (known->row.migration.version && !known->row.migration.is_baseline)
			known->canonical = dbm_version_canonical(known->row.migration.version);
		dbm_lookup_add(index, known);
	}
	foreach(lc, dbm_known_undone(ext))
	{
		DbmLookupEntry *undone = palloc0(sizeof(DbmLookupEntry));

		undone->row = *(DbmKnown *) lfirst(lc);
		if (undone->row.migration.version)
			undone->canonical = dbm_version_canonical(undone->row.migration.version);
		add_key(index, KEY_UNDONE, undone->canonical ? undone->canonical : undone->row.migration.id, undone);
	}
	return index;
}

/* One more, at the end of the list. */
void
dbm_lookup_add(DbmLookup *index, DbmLookupEntry *known)
{
	const DbmMigration *migration = &known->row.migration;

	index->all = lappend(index->all, known);
	if (known->canonical)
		add_key(index, KEY_VERSION, known->canonical, known);
	if (known->row.file_name)
		add_key(index, KEY_FILE, dbm_name_base(known->row.file_name), known);
	add_key(index, KEY_FULL_NAME,
			fold(known->canonical ? psprintf("%s %s", migration->version, migration->name) : migration->id),
			known);
	if (migration->is_registered && known->canonical)
		add_key(index, KEY_NAME, fold(migration->name), known);
}

DbmLookupEntry *
dbm_lookup_by_version(const DbmLookup *index, const char *canonical)
{
	return find_key(index, KEY_VERSION, canonical);
}

/* By the base name of its file alone. */
DbmLookupEntry *
dbm_lookup_by_file(const DbmLookup *index, const char *file)
{
	return find_key(index, KEY_FILE, file);
}

/*
 * By the base name of a file; else by version and name, or a name that only
 * one has, whatever the case and the separators.
 */
DbmLookupEntry *
dbm_lookup_by_name(const DbmLookup *index, const char *name)
{
	DbmLookupEntry *known = find_key(index, KEY_FILE, name);

	if (known == NULL)
		known = find_key(index, KEY_FULL_NAME, fold(name));
	if (known == NULL)
		known = find_key(index, KEY_NAME, fold(name));
	return known;
}

/* When was a migration undone here, if it is not in force since?  Or NULL. */
const TimestampTz *
dbm_lookup_undone_at(const DbmLookup *index, const DbmLookupEntry *known)
{
	DbmLookupEntry *undone = find_key(index, KEY_UNDONE, known->canonical ? known->canonical : known->row.migration.id);

	return undone && !known->row.migration.is_applied ? undone->row.applied_at : NULL;
}

/*
 * The base name of a file without its extensions, or the folder's name where
 * the file's own says nothing.
 */
char *
dbm_name_base(const char *file)
{
	static const char *const extensions[] = {
		".sql", ".up", ".js", ".mjs", ".cjs", ".ts", ".mts", ".cts", ".rb", ".go", ".exs", ".py"
	};
	char	   *path = pstrdup(file);
	char	   *base = strrchr(path, '/');
	bool		cut = true;

	if (base && (strcmp(base, "/up.sql") == 0 || strcmp(base, "/migration.sql") == 0))
	{
		*base = '\0';
		base = strrchr(path, '/');
	}
	base = base ? base + 1 : path;
	while (cut)
	{
		int			len = strlen(base);

		cut = false;
		for (int i = 0; i < lengthof(extensions) && !cut; i++)
		{
			int			extension_len = strlen(extensions[i]);

			cut = len > extension_len &&
				pg_strcasecmp(base + len - extension_len, extensions[i]) == 0;
			if (cut)
				base[len - extension_len] = '\0';
		}
	}
	return base;
}

/* Take 001_create_users apart, and V1.2__orders; the version may be NULL. */
void
dbm_name_split(const char *base, const char **version, const char **name)
{
	const char *start = base + ((*base == 'V' || *base == 'v') && base[1] >= '0' && base[1] <= '9');

	*version = start;
	*name = "";
	if (dbm_version_is_valid(start))
		return;
	dbm_filename_split(start, version, name);
	if (*version && !dbm_version_is_valid(*version))
		*version = NULL;
	if (*version == NULL)
		*name = base;
}

/* Do two names differ in case and separators at most? */
bool
dbm_name_is_same(const char *a, const char *b)
{
	return strcmp(fold(a), fold(b)) == 0;
}

static void
add_key(DbmLookup *index, char kind, const char *text, DbmLookupEntry *known)
{
	char	   *key = psprintf("%c%s", kind, text);
	bool		found;
	Entry	   *entry;

	if (*text == '\0')
		return;
	entry = hash_search(index->table, &key, HASH_ENTER, &found);
	entry->known = found && entry->known != known ? NULL : known;
}

static DbmLookupEntry *
find_key(const DbmLookup *index, char kind, const char *text)
{
	char	   *key = psprintf("%c%s", kind, text);
	Entry	   *entry = *text ? hash_search(index->table, &key, HASH_FIND, NULL) : NULL;

	return entry ? entry->known : NULL;
}

/* Letters and digits only, ASCII letters in lower case. */
static char *
fold(const char *text)
{
	char	   *result = palloc(strlen(text) + 1);
	char	   *out = result;

	for (const char *p = text; *p; p++)
		if (IS_HIGHBIT_SET(*p) || isalnum((unsigned char) *p))
			*out++ = IS_HIGHBIT_SET(*p) ? *p : pg_ascii_tolower((unsigned char) *p);
	*out = '\0';
	return result;
}
