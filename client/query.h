/*-------------------------------------------------------------------------
 *
 * query.h
 *	  Statements: sent, waited for, and cancelled where somebody wants that.
 *
 *-------------------------------------------------------------------------
 */
#ifndef QUERY_H
#define QUERY_H

#include <stdbool.h>

#include <libpq-fe.h>

/* Called while a statement is waited for. */
typedef void (*WaitHook) (void);

extern PGresult *query(const char *sql, int n, const char *const *values);
extern PGresult *query_any(const char *sql, int n, const char *const *values);
extern void execute(const char *sql);
extern bool query_succeeded(const PGresult *result);
extern bool query_lost(const PGresult *result);
extern void query_set_wait_hook(WaitHook hook);
extern void query_after_cancel(void);
extern double now(void);

extern void begin(void);
extern void commit(void);
extern void rollback(void);

#endif
