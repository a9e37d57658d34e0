/*-------------------------------------------------------------------------
 *
 * envfile.h
 *	  Environment variables, and the file .env that stands in for them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ENVFILE_H
#define ENVFILE_H

#include <stddef.h>

extern void envfile_read(void);
extern void envfile_parse(const char *text, size_t len);
extern const char *envfile_variable(const char *name);

#endif
