/*-------------------------------------------------------------------------
 *
 * messages.h
 *	  What the server says while it works, and how an error looks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef MESSAGES_H
#define MESSAGES_H

#include <libpq-fe.h>

extern void message_receive(void *arg, const PGresult *message);
extern void message_show_error(const PGresult *result, const char *instead_of_hint);

#endif
