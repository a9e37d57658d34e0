/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Runs: what is to be run, one migration done and recorded, and the functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_RUN_H
#define DBMIGRATE_RUN_H

#include "tables/tables.h"

/* refuse.c */

extern void dbm_refuse_unconfirmed(const char *confirm);
extern void dbm_refuse_changed(const DbmExtension *ext, List *migrations);
extern void dbm_refuse_out_of_order(const DbmExtension *ext, List *chosen);
extern void dbm_refuse_scripts(const DbmExtension *ext, List *chosen, bool is_up, const char *instead);
extern void dbm_refuse_half_undone(const DbmExtension *ext, List *migrations);
extern void dbm_refuse_half_applied(const DbmExtension *ext, List *migrations);
extern void dbm_refuse_elsewhere(const DbmExtension *ext, List *chosen, int steps);
extern void dbm_refuse_without_down(const DbmExtension *ext, List *chosen);
extern void dbm_refuse_count(const DbmExtension *ext, int64 asked, int64 found, const char *what,
							 const char *to);
extern void dbm_refuse_unmanaged(const DbmExtension *ext);

/* skippednotices.c */

extern void dbm_notice_nothing(const DbmExtension *ext, const DbmMigration *target, Datum up_to,
							   const char *version);
extern void dbm_notice_skipped(const DbmExtension *ext, Datum up_to);

/* stepnotice.c */

extern void dbm_progress_notice(const DbmMigration *migration, bool is_up);

/* step.c */

/* One call that runs migrations, all in one target schema and project. */
typedef struct DbmRun
{
	DbmExtension ext;
	const char *search_path;	/* to set for each script, or NULL */
	int			lock_timeout;	/* for each script, milliseconds; 0 leaves it */
	int64		number;
	List	   *cursors;		/* the caller's, see leftover.c */
	bool		is_alone;		/* one script is all that is run */
	bool		check_deferred; /* the last script may have left events */
	DbmLabel	last;			/* that script */
} DbmRun;

extern void dbm_run_begin(DbmRun *run);
extern void dbm_run_step(DbmRun *run, const DbmMigration *migration, bool is_up,
						 DbmExecution *execution);
extern void dbm_run_end(const DbmRun *run);
extern DbmScript *dbm_run_read_script(const DbmRun *run, const DbmMigration *migration,
									  const DbmLabel *label, DbmTrust *trust);
extern void dbm_run_check_deferred(DbmRun *run);

/* retry.c */

extern ErrorData *dbm_run_attempt(DbmRun *run, const DbmMigration *migration, bool is_up,
								  DbmExecution *execution, DbmBlockers *blockers);
extern bool dbm_retry_is_worth(const ErrorData *error, int attempts);
extern void dbm_retry_pause(const DbmMigration *migration, int attempts, const ErrorData *error,
							const DbmBlockers *blockers, bool commits);

/* choose.c */

#define DBM_ALL_STEPS (-1)

extern List *dbm_choose_pending(const DbmExtension *ext, int64 steps, Datum up_to, const char *without,
								bool check, const char *instead);
extern List *dbm_choose_applied(const DbmExtension *ext, int64 steps, const char *version,
								Datum key, const char *instead);

/* count.c */

extern int64 dbm_count_argument(const DbmExtension *ext, FunctionCallInfo fcinfo, int arg,
								const char *source, bool null_is_all, const char *to);
extern const char *dbm_count_source(FunctionCallInfo fcinfo);

/* apply.c */

/* One call of a function, in the caller's transaction. */
typedef struct DbmRunCall
{
	DbmRun		run;
	ReturnSetInfo *result;		/* gets a row for each migration; or NULL */
	StringInfo	json;			/* gets an object for each; or NULL */
	const DbmMigration *migration;	/* the one that is run; or NULL */
	const DbmMigration *last;	/* the one before it */
	bool		is_up;
	DbmExecution execution;		/* of what is run, or was run last */
	int64		done;
	int			steps;			/* how many there will be */
	bool		may_try_again;	/* nothing has happened in the transaction */
	MemoryContext context;		/* of one step */
} DbmRunCall;

extern void dbm_call_begin(DbmRunCall *call, const char *what, const char *schema,
						   const char *extra_search_path, const char *project);
extern void dbm_call_apply(DbmRunCall *call, int64 steps, const char *version, const char *without);
extern void dbm_call_roll_back(DbmRunCall *call, int64 steps, const char *version);

/* json.c */

extern void dbm_json_add_step(DbmRunCall *call, bool success);

#endif							/* DBMIGRATE_RUN_H */
