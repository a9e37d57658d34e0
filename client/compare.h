/*-------------------------------------------------------------------------
 *
 * compare.h
 *	  The migrations of the directory and of the database, side by side.
 *
 *-------------------------------------------------------------------------
 */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdbool.h>

#include "files.h"

/* One of them; empty where there is nothing. */
typedef struct Compared
{
	const char *version;
	const char *name;
	const char *state;			/* as migrate.compare() or status() has it */
	const char *applied_at;		/* for people */
	const char *applied_at_key; /* for sorting */
	const char *applied_by;
	const char *file;
	const char *detail;
	bool		is_rolled_back; /* up leaves it out: it was rolled back here,
								 * and has no file */
} Compared;

typedef struct Comparison
{
	Files		files;
	bool		has_files;		/* they were looked at */
	const char *why_without;	/* a directory is there, and was not looked
								 * at; or NULL */
	Compared   *row;
	int			n;
} Comparison;

extern void compare_begin(Comparison *comparison);
extern bool compared_is_applied(const Compared *row);
extern bool compared_is_pending(const Compared *row);
extern bool compared_is_skipped(const Compared *row);
extern bool compared_is_odd(const Compared *row);
extern bool compared_lacks_file(const Compared *row, const char *state);
extern char *compared_label(const Compared *row);

#endif
