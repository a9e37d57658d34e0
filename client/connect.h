/*-------------------------------------------------------------------------
 *
 * connect.h
 *	  The connection, and what it leads to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef CONNECT_H
#define CONNECT_H

#include <stdbool.h>

#include <libpq-fe.h>

/* Harmless, for people; but "database" is as it is. */
typedef struct Facts
{
	char	   *host;
	char	   *where;
	char	   *database;
	char	   *user;
	char	   *grantee;		/* the same as SQL has it */
	char	   *server_version;
	char	   *environment;
	bool		may_ask_environment;
	bool		is_read_only;
	bool		is_installed;
	bool		is_available;
	char	   *callable;		/* " name name " of the functions that this
								 * role may call */
	char	   *present;		/* the same of those that there are */
} Facts;

extern PGconn *connection;
extern Facts facts;

extern void connect_database(void);
extern PGconn *connect_start(void);
extern void need_extension(void);
extern void need_available(void);
extern void need_select(const char *what, const char *tables);
extern bool may_call(const char *function);
extern bool has_function(const char *function);

#endif
