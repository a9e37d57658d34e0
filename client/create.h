/*-------------------------------------------------------------------------
 *
 * create.h
 *	  New migration files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CREATE_H
#define CREATE_H

#include <stdbool.h>
#include <stddef.h>

extern int	command_create(void);
extern bool create_is_template(const char *content, size_t len);
extern bool create_directories(const char *path);
extern bool write_new_file(int folder, const char *name, const char *content, size_t len);

#endif
