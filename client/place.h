/*-------------------------------------------------------------------------
 *
 * place.h
 *	  Where in which file an error is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PLACE_H
#define PLACE_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "files.h"

/* What an error says of the migration it is in. */
typedef struct Place
{
	char	   *migration;		/* its version, or R__name; NULL if it is in
								 * none */
	bool		is_up;
	int			statement;		/* 0 if it is in none */
	int			line;			/* in the script */
	char	   *path;			/* of the file, NULL if it is not known */
	int			file_line;
} Place;

extern void place_set_files(const Files *files);
extern Place place_find(const PGresult *error);
extern void place_show(const PGresult *error);

#endif
