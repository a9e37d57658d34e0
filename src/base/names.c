/*-------------------------------------------------------------------------
 *
 * names.c
 *	  A hash table from names to whatever has them.
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
	uint32		hash;
	char		status;
} Entry;

#define SH_PREFIX		entries
#define SH_ELEMENT_TYPE	Entry
#define SH_KEY_TYPE		const char *
#define SH_KEY			name
#define SH_HASH_KEY(tb, key)	hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(tb, a, b)		(strcmp(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry)	(entry)->hash
#define SH_SCOPE		static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct DbmNames
{
	entries_hash *entries;
};

/* An empty one, in the current memory context. */
DbmNames *
dbm_names_create(int expected)
{
	DbmNames   *names = palloc(sizeof(DbmNames));

	names->entries = entries_create(CurrentMemoryContext, expected, NULL);
	return names;
}

/* "name" has to live as long as the table; the last value of a name counts. */
void
dbm_names_put(DbmNames *names, const char *name, void *value)
{
	bool		found;
	Entry	   *entry = entries_insert(names->entries, name, &found);

	entry->value = value;
}

/* NULL if nothing has that name. */
void *
dbm_names_get(const DbmNames *names, const char *name)
{
	Entry	   *entry = entries_lookup(names->entries, name);

	return entry ? entry->value : NULL;
}
