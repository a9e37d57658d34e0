/*-------------------------------------------------------------------------
 *
 * base.h
 *	  What knows nothing of migrations: versions, locks, rights, SQL as the owner.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_BASE_H
#define DBMIGRATE_BASE_H

#include "common/sha2.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/execnodes.h"
#include "storage/lock.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "dbmigrate.h"

/* The installed extension, as tables/extension.c finds it, and whom a call is about. */
typedef struct DbmExtension
{
	Oid			oid;
	Oid			owner;
	Oid			schema;			/* "migrate", a member of the extension */
	const char *target;			/* the target schema of the call, "" is none */
	const char *project;		/* its sequence of versions, "" is the one
								 * without a name */
} DbmExtension;

/* trouble.c */

/* What is wrong with something, to be told now or together with the rest. */
typedef struct DbmTrouble
{
	int			sqlerrcode;
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* or NULL */
	const char *file;			/* it is in, or NULL */

	/* of a script, in bytes of its text: */
	int			start;			/* the statement, or the line, it is in */
	int			len;
	int			position;		/* the offending byte */
	int			statement;		/* from 1, 0 if not known */
	int			line;			/* from 1 */
} DbmTrouble;

extern DbmTrouble *dbm_trouble(int sqlerrcode, const char *message, const char *detail,
							   const char *hint);
pg_noreturn extern void dbm_trouble_throw(const DbmTrouble *trouble);

/* arguments.c */

/* A row that a function returns, made column by column. */
typedef struct DbmRow
{
	int			n;
	Datum		values[16];
	bool		nulls[16];
} DbmRow;

extern char *dbm_text_argument(FunctionCallInfo fcinfo, int arg);
extern char *dbm_optional_argument(FunctionCallInfo fcinfo, int arg);
extern char *dbm_required_argument(FunctionCallInfo fcinfo, int arg, const char *name);
extern void dbm_check_not_null(FunctionCallInfo fcinfo, int arg, const char *name);
extern const char *dbm_reason_argument(FunctionCallInfo fcinfo, int arg);
extern char *dbm_array_argument(FunctionCallInfo fcinfo, int arg);
extern List *dbm_array_elements(const char *array, const char *name);
extern void dbm_row_add(DbmRow *row, Datum value, bool isnull);
extern void dbm_row_add_text(DbmRow *row, const char *value);
extern void dbm_row_put(DbmRow *row, ReturnSetInfo *result);

/* version.c */

extern struct ArrayType *dbm_version_parse(const char *version);
extern bool dbm_version_is_valid(const char *version);
extern bool dbm_version_is_id(const char *version);
extern char *dbm_version_canonical(const char *version);
extern int	dbm_version_compare(const char *a, const char *b);

/* checksum.c */

/* By which rule checksums are made; another rule is another number. */
#define DBM_CHECKSUM_KIND 1

typedef struct DbmChecksum DbmChecksum;

extern DbmChecksum *dbm_checksum_begin(void);
extern void dbm_checksum_add(DbmChecksum *checksum, const char *bytes, int len);
extern void dbm_checksum_add_data(DbmChecksum *checksum, const char *bytes, int len);
extern void dbm_checksum_mark(DbmChecksum *checksum);
extern void dbm_checksum_forget(DbmChecksum *checksum);
extern void dbm_checksum_replace(DbmChecksum *checksum, const char *bytes, int len);
extern Datum dbm_checksum_text(Datum script);
extern Datum dbm_checksum_bytea(const uint8 *digest);
extern char *dbm_checksum_utf8(const char *bytes, int *len);
extern void dbm_checksum_end(DbmChecksum *checksum, uint8 *digest);

/* quote.c */

extern char *dbm_literal(const char *text);
extern bool dbm_has_control(const char *text);
extern char *dbm_without_control(const char *text);
extern void dbm_check_no_control(const char *what, const char *text);

/* names.c */

extern HTAB *dbm_string_table(const char *name, long expected, Size entrysize);
extern HTAB *dbm_names_create(long expected);
extern void dbm_names_put(HTAB *names, const char *name, void *value);
extern void *dbm_names_get(HTAB *names, const char *name);

/* pinnedsettings.c */

extern void dbm_pin(const char *name, const char *value);

/* trust.c */

typedef enum DbmTrust
{
	DBM_TRUST_NONE,				/* must not be run */
	DBM_TRUST_RESTRICTED,		/* as the current user, without SET ROLE */
	DBM_TRUST_FULL
} DbmTrust;

extern bool dbm_session_is_lowered(void);
extern DbmTrust dbm_trust_author(const char *author);
extern DbmTrust dbm_trust_approver(const char *approver, bool may_set_role);
extern bool dbm_may_change(const char *author);
extern Oid	dbm_stronger_user(void);

/* target.c */

extern void dbm_target_check(const char *schema);
extern Oid	dbm_target_find(const char *schema);
pg_noreturn extern void dbm_target_missing(const char *schema);
extern const char *dbm_target_argument(const DbmExtension *ext, bool is_first);
extern const char *dbm_project_argument(const DbmExtension *ext);
extern const char *dbm_target_search_path(const char *schema, const char *extra);

/* owner.c */

typedef struct DbmUser
{
	Oid			id;
	int			sec_context;
} DbmUser;

/* A statement's parameters, in order. */
typedef struct DbmParams
{
	int			n;
	Oid			types[32];
	Datum		values[32];
	char		nulls[32];
} DbmParams;

extern void dbm_param(DbmParams *params, Oid type, Datum value, bool isnull);
extern void dbm_param_text(DbmParams *params, const char *value);
extern void dbm_param_int64(DbmParams *params, int64 value);
extern void dbm_param_bool(DbmParams *params, bool value);
extern void dbm_param_datum(DbmParams *params, Oid type, Datum value);
extern void dbm_query(const DbmExtension *ext, const char *sql, DbmParams *params, int expected);
extern void dbm_query_saved(const DbmExtension *ext, SPIPlanPtr *plan, const char *sql,
							DbmParams *params, int expected);
extern void dbm_query_expect_one_row(const char *table);
extern bool dbm_column_is_null(uint64 row, int column);
extern char *dbm_column_text(uint64 row, int column);
extern char *dbm_column_string(uint64 row, int column);
extern int64 dbm_column_int(uint64 row, int column, int64 if_null);
extern bool dbm_column_bool(uint64 row, int column);
extern Datum dbm_column_datum(uint64 row, int column);

/* subtransaction.c */

extern ErrorData *dbm_subtransaction(void (*work) (void *), void *arg);

/* wait.c */

/* A lock to wait for, and what is said of it. */
typedef struct DbmWait
{
	LOCKTAG		tag;
	LOCKMODE	mode;
	const char *failure;		/* message of the error */
	const char *notice;			/* when the waiting begins */
	LOCKTAG		gives_up_for;	/* another lock that ends the wait, or zero */
} DbmWait;

/* What is said of it. */
typedef struct DbmWaitText
{
	const char *failure;
	const char *notice;
	const char *holder;
	const char *hint;
} DbmWaitText;

extern void dbm_wait_for_lock(const DbmExtension *ext, const DbmWait *wait);
extern void dbm_wait_a_moment(void);
extern void dbm_wait_describe(const DbmExtension *ext, const DbmWait *wait, DbmWaitText *text);
extern void dbm_wait_notice(const DbmWaitText *text);
pg_noreturn extern void dbm_wait_give_up(const DbmWaitText *text);
extern bool dbm_lock_is_held_by_others(const LOCKTAG *tag);

/* blockers.c */

typedef struct DbmBlockers
{
	char	   *who;			/* or NULL */
	char	   *with_queries;	/* for the caller's eyes only */
} DbmBlockers;

extern void dbm_blockers_watch(void);
extern void dbm_blockers_tell(bool is_wanted);
extern void dbm_blockers_stop(void);
extern void dbm_blockers_find(DbmBlockers *blockers);
extern void dbm_blockers_of(int pid, DbmBlockers *blockers);
extern const char *dbm_blockers_reason(const DbmBlockers *blockers);
extern const char *dbm_blockers_explain(const DbmBlockers *blockers, ErrorData *error);
extern bool dbm_autovacuum_is_alone(Oid table);

/* caller.c */

extern bool dbm_script_running;

extern void dbm_check_caller(const char *what);
extern void dbm_check_not_in_script(const char *what);
extern void dbm_run_finished(void);

/* lock.c */

typedef enum DbmLock
{
	DBM_LOCK_RUN,				/* of whoever decides what is run */
	DBM_LOCK_ONLINE,			/* of whoever runs online statements */
	DBM_LOCK_FILES				/* of whoever notes which files there are */
} DbmLock;

extern void dbm_lock_for_run(const DbmExtension *ext);
extern bool dbm_lock_take(const DbmExtension *ext, DbmLock lock);
extern bool dbm_lock_try(const DbmExtension *ext, DbmLock lock);
extern void dbm_lock_release(const DbmExtension *ext, DbmLock lock);
extern bool dbm_lock_is_held(const DbmExtension *ext, DbmLock lock);
extern void dbm_lock_describe(const DbmExtension *ext, DbmWaitText *text);

#endif							/* DBMIGRATE_BASE_H */
