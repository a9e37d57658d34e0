/*-------------------------------------------------------------------------
 *
 * index.c
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

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
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
	DbmIndexed   *known;			/* NULL if several have the key */
} Entry;

static void load_undone(const DbmExtension *ext, const char *schema, DbmIndex *set);
static DbmIndexed *fetch_known(uint64 row);
static const TimestampTz *time_column(uint64 row, int column);
static void add_key(DbmIndex *set, char kind, const char *text, DbmIndexed *known);
static DbmIndexed *find(const DbmIndex *set, char kind, const char *text);
static char *fold(const char *text);
static uint32 hash_key(const void *key, Size size);
static int	match_key(const void *a, const void *b, Size size);

/* Everything known about a target schema. */
DbmIndex *
dbm_index_load(const DbmExtension *ext, const char *schema)
{
	DbmIndex *set = palloc0(sizeof(DbmIndex));
	DbmParams	params = {0};
	List	   *all = NIL;
	ListCell   *lc;

	set->index = dbm_string_table("dbmigrate known migrations", sizeof(Entry));
	dbm_param_text(&params, schema);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT s.id, s.version, s.version_key, s.name, s.state, s.position IS NOT NULL,"
			  " s.registered, CASE WHEN s.up_statements OPERATOR(pg_catalog.>=) 0 THEN s.checksum END, s.up_sha256, s.file_name, s.applied_at, s.applied_by,"
			  " h.reason"
			  " FROM migrate.state($1, $2) s"
			  " LEFT JOIN migrate.history h ON h.id OPERATOR(pg_catalog.=) s.position"
			  "  AND h.action OPERATOR(pg_catalog.=) 'adopt'"
			  " ORDER BY s.version_key NULLS LAST, s.name",
			  &params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
		all = lappend(all, fetch_known(row));
	SPI_freetuptable(SPI_tuptable);
	foreach(lc, all)
		dbm_index_add(set, lfirst(lc));
	load_undone(ext, schema, set);
	return set;
}

/*
 * Is something in force elsewhere that was adopted with this reason, which
 * names the table?  Then ext->target and ext->project say where.
 */
bool
dbm_index_adopted_elsewhere(DbmExtension *ext, const char *reason)
{
	DbmParams	params = {0};

	dbm_param_text(&params, ext->target);
	dbm_param_text(&params, ext->project);
	dbm_param_text(&params, reason);
	dbm_query(ext,
			  "SELECT a.target_schema, a.project FROM migrate.history h"
			  " JOIN migrate.applied a ON a.target_schema OPERATOR(pg_catalog.=) h.target_schema"
			  "  AND a.position OPERATOR(pg_catalog.=) h.id"
			  " WHERE h.action OPERATOR(pg_catalog.=) 'adopt' AND h.reason OPERATOR(pg_catalog.=) $3"
			  " AND NOT (a.target_schema OPERATOR(pg_catalog.=) $1 AND a.project OPERATOR(pg_catalog.=) $2)"
			  " ORDER BY a.target_schema, a.project LIMIT 1",
			  &params, SPI_OK_SELECT);
	if (SPI_processed == 0)
		return false;
	ext->target = dbm_column_text(0, 1);
	ext->project = dbm_column_text(0, 2);
	return true;
}

/* What was the last that happened to a migration here: that it was undone? */
static void
load_undone(const DbmExtension *ext, const char *schema, DbmIndex *set)
{
	DbmParams	params = {0};

	dbm_param_text(&params, schema);
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT l.migration, l.version, l.at FROM"
			  " (SELECT DISTINCT ON (h.migration) h.migration, h.version, h.at, h.action"
			  "  FROM migrate.history h WHERE h.target_schema OPERATOR(pg_catalog.=) $1"
			  "  AND h.project OPERATOR(pg_catalog.=) $2 AND h.migration IS NOT NULL"
			  "  AND h.action OPERATOR(pg_catalog.<>) 'failed'"
			  "  ORDER BY h.migration, h.id DESC) l"
			  " WHERE l.action OPERATOR(pg_catalog.=) ANY (ARRAY['rollback', 'mark_pending'])",
			  &params, SPI_OK_SELECT);
	for (uint64 row = 0; row < SPI_processed; row++)
	{
		DbmIndexed   *known = palloc0(sizeof(DbmIndexed));

		known->migration.id = dbm_column_text(row, 1);
		if (!dbm_column_is_null(row, 2))
			known->canonical = dbm_version_canonical(dbm_column_text(row, 2));
		known->applied_at = time_column(row, 3);
		add_key(set, KEY_UNDONE, known->canonical ? known->canonical : known->migration.id, known);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* One more, at the end of the list. */
void
dbm_index_add(DbmIndex *set, DbmIndexed *known)
{
	const DbmMigration *migration = &known->migration;

	set->all = lappend(set->all, known);
	if (known->canonical)
		add_key(set, KEY_VERSION, known->canonical, known);
	if (known->file_name)
		add_key(set, KEY_FILE, dbm_name_base(known->file_name), known);
	add_key(set, KEY_FULL_NAME,
			fold(known->canonical ? psprintf("%s %s", migration->version, migration->name) : migration->id),
			known);
	if (migration->is_registered && known->canonical)
		add_key(set, KEY_NAME, fold(migration->name), known);
}

DbmIndexed *
dbm_index_by_version(const DbmIndex *set, const char *canonical)
{
	return find(set, KEY_VERSION, canonical);
}

/* By the base name of its file alone. */
DbmIndexed *
dbm_index_by_file(const DbmIndex *set, const char *file)
{
	return find(set, KEY_FILE, file);
}

/*
 * By the base name of a file; else by version and name, or a name that only
 * one has, whatever the case and the separators.
 */
DbmIndexed *
dbm_index_by_name(const DbmIndex *set, const char *name)
{
	DbmIndexed   *known = find(set, KEY_FILE, name);

	if (known == NULL)
		known = find(set, KEY_FULL_NAME, fold(name));
	if (known == NULL)
		known = find(set, KEY_NAME, fold(name));
	return known;
}

/* When was a migration undone here, if it is not in force since?  Or NULL. */
const TimestampTz *
dbm_index_undone_at(const DbmIndex *set, const DbmIndexed *known)
{
	DbmIndexed   *undone = find(set, KEY_UNDONE, known->canonical ? known->canonical : known->migration.id);

	return undone && !known->migration.is_applied ? undone->applied_at : NULL;
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

/* A hash table whose entries begin with a pointer to a string, their key. */
HTAB *
dbm_string_table(const char *name, Size entrysize)
{
	HASHCTL		control = {
		.keysize = sizeof(char *),
		.entrysize = entrysize,
		.hash = hash_key,
		.match = match_key,
		.hcxt = CurrentMemoryContext
	};

	return hash_create(name, 1024, &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static DbmIndexed *
fetch_known(uint64 row)
{
	DbmIndexed   *known = palloc0(sizeof(DbmIndexed));
	DbmMigration *migration = &known->migration;

	migration->id = dbm_column_text(row, 1);
	migration->version = dbm_column_text(row, 2);
	migration->version_key = dbm_column_datum(row, 3);
	migration->name = dbm_column_text(row, 4);
	migration->state = dbm_column_text(row, 5);
	migration->is_applied = dbm_column_bool(row, 6);
	migration->is_registered = dbm_column_bool(row, 7);
	migration->checksum = dbm_column_datum(row, 8);
	migration->up.sha256 = dbm_column_datum(row, 9);
	/* a script that stands for all versions up to its own is none of them */
	migration->is_baseline = strncmp(migration->id, "B__", 3) == 0;
	if (migration->version && !migration->is_baseline)
		known->canonical = dbm_version_canonical(migration->version);
	known->file_name = dbm_column_text(row, 10);
	known->applied_at = time_column(row, 11);
	known->applied_by = dbm_column_text(row, 12);
	known->adopted_from = dbm_column_text(row, 13);
	return known;
}

static const TimestampTz *
time_column(uint64 row, int column)
{
	bool		isnull;
	Datum		datum = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	TimestampTz *result;

	if (isnull)
		return NULL;
	result = palloc(sizeof(TimestampTz));
	*result = DatumGetTimestampTz(datum);
	return result;
}

static void
add_key(DbmIndex *set, char kind, const char *text, DbmIndexed *known)
{
	char	   *key = psprintf("%c%s", kind, text);
	bool		found;
	Entry	   *entry;

	if (*text == '\0')
		return;
	entry = hash_search(set->index, &key, HASH_ENTER, &found);
	entry->known = found && entry->known != known ? NULL : known;
}

static DbmIndexed *
find(const DbmIndex *set, char kind, const char *text)
{
	char	   *key = psprintf("%c%s", kind, text);
	Entry	   *entry = *text ? hash_search(set->index, &key, HASH_FIND, NULL) : NULL;

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

static uint32
hash_key(const void *key, Size size)
{
	const char *text = *(const char *const *) key;

	return string_hash(text, strlen(text) + 1);
}

static int
match_key(const void *a, const void *b, Size size)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}
