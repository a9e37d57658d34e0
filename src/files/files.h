/*-------------------------------------------------------------------------
 *
 * files.h
 *	  Sets of files as other tools write them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_FILES_H
#define DBMIGRATE_FILES_H

#include "register/register.h"

/* filename.c */

extern void dbm_filename_split(const char *stem, const char **version, const char **name);

#endif							/* DBMIGRATE_FILES_H */
