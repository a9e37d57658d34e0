/*-------------------------------------------------------------------------
 *
 * activity.h
 *	  Who runs migrations at this moment, and how far it is.
 *
 *-------------------------------------------------------------------------
 */
#ifndef ACTIVITY_H
#define ACTIVITY_H

#include <libpq-fe.h>

/* Parameter: the process that comes first if it is one of them. */
extern const char activity_sql[];

extern char *activity_text(const PGresult *rows, int row);
extern void show_activity(void);

#endif
