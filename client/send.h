/*-------------------------------------------------------------------------
 *
 * send.h
 *	  Registering the files of a directory, and having the server look at them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SEND_H
#define SEND_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "files.h"

extern void send_files(const Files *files);
extern PGresult *send_for_comparison(const Files *files, const char *sql);
extern char *orphans_left_out(const Files *files);
extern bool has_registered_something(void);
extern bool forget_added(void);
extern void show_left_out(bool all);
extern void show_registered(void);

#endif
