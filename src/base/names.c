/*-------------------------------------------------------------------------
 *
 * names.c
 *	  Hash tables whose keys are strings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"

#include "base/base.h"

typedef struct Entry
{
	const char *name;
	void	   *value;
} Entry;

static uint32 hash_key(const void *key, Size size);
static int	match_key(const void *a, const void *b, Size size);

/*
 * A hash table whose entries begin with a pointer to a string, their key, in the
 * current memory context.
 */
HTAB *
dbm_string_table(const char *name, long expected, Size entrysize)
{
	HASHCTL		control = {
		.keysize = sizeof(char *),
		.entrysize = entrysize,
		.hash = hash_key,
		.match = match_key,
		.hcxt = CurrentMemoryContext
	};

	return hash_create(name, Max(expected, 16), &control,
					   HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

/* One from names to whatever has them. */
HTAB *
dbm_names_create(long expected)
{
	return dbm_string_table("dbmigrate names", expected, sizeof(Entry));
}

/* "name" has to live as long as the table; the last value of a name counts. */
void
dbm_names_put(HTAB *names, const char *name, void *value)
{
	Entry	   *entry = hash_search(names, &name, HASH_ENTER, NULL);

	entry->name = name;
	entry->value = value;
}

/* NULL if nothing has that name. */
void *
dbm_names_get(HTAB *names, const char *name)
{
	Entry	   *entry = hash_search(names, &name, HASH_FIND, NULL);

	return entry ? entry->value : NULL;
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
