/*-------------------------------------------------------------------------
 *
 * script.h
 *	  A script: its text as statements, what they are, and running them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_SCRIPT_H
#define DBMIGRATE_SCRIPT_H

#include "nodes/parsenodes.h"
#include "tcop/cmdtag.h"

#include "base/base.h"

/* script.c */

typedef enum DbmStatementKind
{
	DBM_STATEMENT_SQL,			/* handed to SPI */
	DBM_STATEMENT_COPY_DATA,	/* COPY ... FROM stdin with its data */
	DBM_STATEMENT_BEGIN,		/* half of a tolerated BEGIN ... COMMIT pair */
	DBM_STATEMENT_COMMIT
} DbmStatementKind;

/* All positions are byte offsets into DbmScript.text. */
typedef struct DbmStatement
{
	int			start;			/* first token */
	int			len;			/* to the end of the last token, without ';' */
	int			line;			/* of the first token, from 1 */
	int			data_start;		/* inline COPY data */
	int			data_len;
	DbmStatementKind kind;
	bool		may_queue_events;	/* not a plain definition statement */

	/* once it is parsed, see analyze.c: */
	CommandTag	tag;
	bool		online;			/* it needs a transaction of its own */
} DbmStatement;

typedef struct DbmScript
{
	MemoryContext context;		/* all below but the text */
	char	   *text;			/* writable, NUL-terminated */
	int			len;
	DbmStatement *statements;
	int			nstatements;	/* those above, BEGIN and COMMIT included */
	int			ncommands;		/* without BEGIN and COMMIT */
	uint8		checksum[PG_SHA256_DIGEST_LENGTH];	/* without BEGIN and
													 * COMMIT */
	bool		online;			/* some statement needs its own transaction */
	bool		sets_role;		/* some statement is SET ROLE or the like */
	DbmTrouble *refused;		/* no server can run it here: or NULL */
	DbmTrouble *unreadable;		/* this server cannot read it: or NULL */
	bool		is_forgiven;	/* no server can run it, but it is registered */
} DbmScript;

/*
 * A line comment at top level: where it is, how long, and where the last token
 * of the statement ends that it interrupts, -1 if it is between statements.
 * Returns whether the statement ends there.
 */
typedef bool (*DbmCommentHook) (void *arg, int start, int len, int open_statement_end);

extern DbmScript *dbm_script_scan(char *text, int len, bool want_checksum);
extern Datum dbm_script_checksum(const DbmScript *script, bool online);
extern DbmScript *dbm_script_scan_comments(char *text, int len, DbmCommentHook hook, void *arg);
extern void dbm_script_free(DbmScript *script);

/* analyze.c */

extern void dbm_script_analyze(DbmScript *script);

/* lines.c */

extern int	dbm_lines_count(const char *text, int from, int to);

/* errors.c */

/* What the error context says about the script that is running. */
typedef struct DbmLabel
{
	const char *version;		/* the id for a repeatable migration; NULL if
								 * not known */
	const char *name;
	bool		is_up;
	bool		is_alone;		/* no other script is run by the same call */
} DbmLabel;

extern char *dbm_label_text(const DbmLabel *label);
extern char *dbm_role_hint(Oid user);
pg_noreturn extern void dbm_script_throw(const DbmScript *script, const DbmTrouble *trouble,
										 const DbmLabel *label, const char *detail);

/* activity.c */

extern void dbm_activity_migration(int64 run_number, const char *project, int number, int count);
extern void dbm_activity_attempt(int number);

/* leftover.c */

extern void dbm_leftover_init(void);
extern List *dbm_leftover_callers_cursors(void);

/* execute.c */

typedef struct DbmExecution
{
	int64		statements;
	int64		rows;			/* written, not read */
	int64		wal_bytes;
	int64		duration;		/* microseconds */
	Datum		search_path;	/* text[], as current_schemas(true) gave it */
	bool		may_have_events;	/* deferred trigger events, that is */
	int			failed_statement;	/* from 1; 0 if none has */
	int			failed_line;
} DbmExecution;

/* How a script is to be run. */
typedef struct DbmExecuteOptions
{
	const char *search_path;	/* where unqualified names go; NULL leaves it */
	bool		restricted;		/* no SET ROLE, and nothing is left behind
								 * that would run later without that
								 * restriction */
	bool		keeps_settings; /* they stay for the next part of the script */
	int			lock_timeout;	/* milliseconds; 0 leaves it */
	int			first;			/* statements from here, counted from 0 */
	int			end;			/* up to here and without this one; 0 is all */
	List	   *cursors;		/* the caller's; those of the script end with
								 * it */
} DbmExecuteOptions;

extern void dbm_execute_script(DbmScript *script, const DbmLabel *label,
							   const DbmExecuteOptions *options, DbmExecution *execution);
extern void dbm_execute_deferred_check(const DbmLabel *label, List *cursors);

/* transaction.c */

extern void dbm_transaction_start(void);
extern void dbm_transaction_commit(void);
extern void dbm_transaction_abort(void);
extern void dbm_transaction_next(void);
extern void dbm_transaction_limit_statement(void);
extern void dbm_transaction_rest(void);

/* toplevel.c */

extern ErrorData *dbm_execute_top_level(DbmScript *script, const DbmLabel *label, int number,
										bool restricted, void (*at_end) (void *), void *arg,
										bool *has_committed);

#endif							/* DBMIGRATE_SCRIPT_H */
