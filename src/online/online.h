/*-------------------------------------------------------------------------
 *
 * online.h
 *	  Procedures that commit as they go, and scripts that have to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_ONLINE_H
#define DBMIGRATE_ONLINE_H

#include "catalog/pg_class.h"

#include "run/run.h"

/* sessionsettings.c */

extern List *dbm_settings_save(void);
extern void dbm_settings_restore(const List *settings);

/* indexes.c */

extern Oid	dbm_indexes_table(Node *tree);
extern List *dbm_indexes_tables(Node *tree);
extern Datum dbm_indexes_names(List *tables);
extern List *dbm_indexes_new(List *tables, Datum names, bool only_invalid);
extern bool dbm_indexes_is_left(Datum names, const char *relname);
extern FormData_pg_class dbm_class_of(Oid relation);
extern bool dbm_index_is_copy(Oid index);
extern bool dbm_index_is_valid(Oid index);
extern char *dbm_relation_ref(Oid index);
extern bool dbm_detach_is_pending(Oid partition);

/* outcome.c */

typedef enum DbmDecision
{
	DBM_UNDECIDED,				/* somebody has to say it */
	DBM_DECIDED_DONE,
	DBM_DECIDED_AGAIN,			/* not done, or no harm in doing it again */
	DBM_DECIDED_FINALIZE,		/* DETACH PARTITION is half done */
	DBM_DECIDED_DROP			/* DROP INDEX is half done */
} DbmDecision;

extern DbmDecision dbm_outcome_decide(Node *tree, Datum before, bool has_committed, List **made);
extern DbmTrouble *dbm_outcome_check(Node *tree, Datum before, const char *go_on);
extern char *dbm_outcome_detach(Node *tree);
extern char *dbm_outcome_drop(const Node *tree, Oid index);

/* failure.c */

extern void dbm_online_open(DbmRun *run);
extern void dbm_online_close(void);
extern bool dbm_online_lock_again(DbmRun *run, bool online);
extern void dbm_online_record_failure(DbmRun *run, const DbmMigration *migration, const char *action,
									  const char *reason, const ErrorData *error,
									  const DbmExecution *execution);

/* onlinescript.c */

/* An online migration that is being run. */
typedef struct DbmOnline
{
	DbmRun	   *run;
	const DbmMigration *migration;
	DbmLabel	label;
	DbmScript  *script;
	DbmExecuteOptions options;	/* of its ordinary statements */
	DbmExecution *execution;	/* of all of it */
	DbmHalfway *halfway;		/* where another run has stopped, or NULL */
	int			finished;		/* statements, as far as it is noted */
	Datum		sha256;			/* of those, if this run has finished some */
	MemoryContext context;		/* of all of it */
	bool		is_at_work;		/* an error is a failure, no refusal */
	bool		nothing_done;	/* by the statement that has failed */
} DbmOnline;

extern const char *dbm_online_statement(const DbmOnline *online, int number);
extern Node *dbm_online_parse(const char *text);
extern ErrorData *dbm_online_run(DbmRun *run, const DbmMigration *migration, bool is_up,
								 DbmExecution *execution);

/* finishedpart.c */

extern Datum dbm_finished_sha256(const DbmScript *script, int end);
extern void dbm_online_finished(DbmOnline *online, int end);
extern bool dbm_statement_is_same(const char *one, const char *other);

/* earlierrun.c */

extern int	dbm_online_settle(DbmOnline *online);
extern const char *dbm_online_go_on(const DbmOnline *online);
extern const char *dbm_online_resume(const DbmOnline *online);

/* atomicscript.c */

extern ErrorData *dbm_atomic_run(DbmRun *run, const DbmMigration *migration, bool is_up,
								 DbmExecution *execution);

/* procedure.c */

/* One CALL. */
typedef struct DbmCall
{
	const char *procedure;		/* run, run_to, ... */
	DbmRun		run;
	MemoryContext context;		/* of the CALL: it survives transactions */
	bool		is_up;
	int64		steps;
	const char *version;		/* or NULL */
	Datum		key;			/* numeric[] of it */
	const char *without;		/* text[] of what is left out; or NULL */
	int64		done;
	char	   *newest;			/* version that is applied then; or NULL */
	bool		is_recorded;	/* how it has failed */
} DbmCall;

extern void dbm_call_run(DbmCall *call);

/* worker.c */

extern bool dbm_worker_is_wanted(void);
extern void dbm_worker_run(DbmCall *call);

#endif							/* DBMIGRATE_ONLINE_H */
