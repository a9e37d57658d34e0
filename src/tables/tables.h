/*-------------------------------------------------------------------------
 *
 * tables.h
 *	  The tables of schema migrate: the only SQL about them is here.
 *
 * The statements go through owner.c, and name all they use in full all the
 * same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_TABLES_H
#define DBMIGRATE_TABLES_H

#include "script/script.h"

/* extension.c */

extern void dbm_extension_open(DbmExtension *ext);
extern void dbm_extension_use(DbmExtension *ext, const char *target, const char *project);
extern void dbm_extension_check_project(const DbmExtension *ext);
extern void dbm_extension_close(void);
extern void dbm_extension_check_alive(const DbmExtension *ext, const DbmLabel *label);

/* state.c */

/* One of the two scripts of a migration, without its text. */
typedef struct DbmScriptInfo
{
	int			statements;		/* -1 if there is no such script */
	bool		online;
	bool		sets_role;		/* its text shows SET ROLE or the like */
	const char *unreadable;		/* reason, or NULL */
	const char *author;
	Datum		sha256;			/* bytea, of the text as registered */
	DbmTrust	trust;			/* once it is decided, see refuse.c */
} DbmScriptInfo;

/* What migrate.status() calls it. */
typedef enum DbmState
{
	DBM_STATE_APPLIED,
	DBM_STATE_CHANGED,			/* its text is not what was registered or
								 * applied */
	DBM_STATE_FAILED,
	DBM_STATE_INTERRUPTED,
	DBM_STATE_MISSING,			/* applied, and not registered */
	DBM_STATE_OUT_OF_ORDER,		/* pending, and older than the newest applied
								 * one */
	DBM_STATE_PENDING,
	DBM_STATE_RUNNING,
	DBM_STATE_SKIPPED,			/* limited to other environments */
	DBM_STATE_SUPERSEDED,		/* a newer baseline stands for it */
	DBM_STATE_UNREADABLE		/* this server cannot parse it */
} DbmState;

/* A migration as one target schema sees it. */
typedef struct DbmMigration
{
	const char *id;
	const char *version;		/* NULL for a repeatable migration */
	Datum		version_key;	/* numeric[], 0 if version is NULL */
	const char *name;
	DbmState	state;
	bool		is_applied;		/* has a row in migrate.applied */
	bool		is_registered;	/* has a row in migrate.migration */
	bool		is_baseline;	/* a script that stands for all versions up to
								 * its own */
	bool		to_run;			/* apply has to run it, as far as the state
								 * goes */
	bool		runs_here;		/* it is not limited to other environments */
	bool		is_wanted;		/* not beyond the version asked for, or the
								 * like */
	int			analyzed_on;	/* server major that read the scripts */
	Datum		checksum;		/* bytea */
	DbmScriptInfo up;
	DbmScriptInfo down;
} DbmMigration;

/* How messages call it. */
#define DBM_MIGRATION_REF(migration) \
	((migration)->version && !(migration)->is_baseline ? (migration)->version : (migration)->id)

extern bool dbm_state_all_applied(const DbmExtension *ext);
extern List *dbm_state_to_apply(const DbmExtension *ext, Datum up_to);
extern List *dbm_state_to_require(const DbmExtension *ext);
extern List *dbm_state_to_roll_back(const DbmExtension *ext,
									int64 steps, int64 after);
extern DbmMigration *dbm_state_find(const DbmExtension *ext,
									const char *version);
extern List *dbm_state_repeatables(const DbmExtension *ext);
extern List *dbm_state_up_to(const DbmExtension *ext, Datum version_key);
extern int64 dbm_state_position(const DbmExtension *ext,
								Datum version_key);
extern char *dbm_state_newest(const DbmExtension *ext);
extern List *dbm_state_unmanaged_tables(const DbmExtension *ext, List *schemas, int64 limit);
extern char *dbm_state_read_script(const DbmExtension *ext, const DbmMigration *migration,
								   bool is_up, int *len);
extern bool dbm_state_has_applied(const DbmExtension *ext);
extern char *dbm_state_applied_in(const DbmExtension *ext, const char *id);
extern bool dbm_migration_is_half_done(const DbmMigration *migration);
extern DbmState dbm_state_by_name(const char *name);
extern const char *dbm_state_name(DbmState state);
extern char *dbm_migration_literal(const DbmMigration *migration);
pg_noreturn extern void dbm_migration_missing(const DbmExtension *ext, const char *version);

/* applied.c */

/* A row of migrate.history, and of migrate.applied where it goes with one. */
typedef struct DbmHistoryEntry
{
	const char *action;
	const DbmMigration *migration;
	int64		run;
	const DbmExecution *execution;	/* NULL if nothing was run */
	const char *reason;			/* or NULL */
	bool		baseline;
	const TimestampTz *applied_at;	/* NULL is now; for adoption only */
	const char *applied_by;		/* NULL is the current user; the same */
} DbmHistoryEntry;

extern Datum dbm_interval(int64 microseconds);
extern int64 dbm_history_next_run(const DbmExtension *ext);
extern void dbm_history_add(const DbmExtension *ext, const DbmHistoryEntry *record);
extern void dbm_history_add_failure(const DbmExtension *ext, const DbmHistoryEntry *record,
									const ErrorData *error, const DbmExecution *execution);
extern void dbm_applied_add(const DbmExtension *ext, const DbmHistoryEntry *record);
extern void dbm_applied_adopt(const DbmExtension *ext, const DbmHistoryEntry *record);
extern void dbm_applied_remove(const DbmExtension *ext, const DbmHistoryEntry *record);
extern void dbm_applied_to_repeat(const DbmExtension *ext);
extern int64 dbm_applied_forget(const DbmExtension *ext, const DbmHistoryEntry *record);

/* known.c */

/* A migration that may have come from another tool. */
typedef struct DbmKnown
{
	DbmMigration migration;		/* without what is said about its scripts */
	const char *file_name;		/* or NULL */
	const TimestampTz *applied_at;	/* or NULL */
	const char *applied_by;		/* or NULL */
	const char *adopted_from;	/* the reason recorded then, or NULL */
} DbmKnown;

extern List *dbm_known_all(const DbmExtension *ext);
extern List *dbm_known_undone(const DbmExtension *ext);
extern bool dbm_known_adopted_elsewhere(DbmExtension *ext, const char *reason);

/* lostschema.c */

extern void dbm_lost_schema_look(const DbmExtension *ext);
extern void dbm_lost_schema_refuse_lost(const DbmExtension *ext);
extern void dbm_lost_schema_record(const DbmExtension *ext, int64 run);
extern bool dbm_lost_schema_forget(const DbmExtension *ext);

/* migrations.c */

#define DBM_MAX_NAME 1000		/* bytes, of a repeatable migration: a key
								 * holds it */

/* What migrate.add() is to store. */
typedef struct DbmRegistration
{
	const char *id;				/* of a migration without version, else NULL */
	const char *version;
	Datum		version_key;	/* numeric[], or 0 */
	Datum		baseline_key;	/* numeric[] of a baseline script, or 0 */
	const char *name;
	Datum		environments;	/* text[], empty is everywhere; 0 keeps them */
	const char *file_name;		/* NULL keeps it */
	Datum		up;				/* text; 0 keeps it, or it is still to come */
	Datum		down;			/* text; 0 keeps it */
	Datum		up_sha256;		/* bytea, of the two */
	Datum		down_sha256;
	const DbmScript *up_script;
	const DbmScript *down_script;	/* or NULL */
	bool		up_online;
	bool		down_online;
	int			down_statements;	/* -1 if it cannot be rolled back */
	bool		from_files;		/* a set of files, not migrate.add() */
	bool		down_is_file;	/* and not a section of one */
	const DbmScript *refused;	/* one of the two, if it can never be run */
	bool		is_unheard_of;	/* a look has shown that the version is
								 * applied nowhere */
} DbmRegistration;

/* What is stored for a version already. */
typedef struct DbmStored
{
	const char *id;
	const char *version;		/* the id if there is no version */
	bool		is_repeatable;
	const char *name;
	const char *file_name;		/* or NULL */
	const char *up_author;
	const char *down_author;	/* or NULL */
	Datum		environments;	/* text[] or 0 */
	Datum		up_sha256;		/* bytea */
	Datum		down_sha256;	/* bytea or 0 */
	Datum		checksum;		/* bytea, of the up script */
	bool		has_up;			/* not the down script alone */
	bool		is_applied;		/* in some target schema */
	bool		same_tokens;	/* checksum of the up script */
	bool		same_up;		/* exact bytes */
	bool		same_down;
	bool		same_rest;
} DbmStored;

/* What dbm_migrations_fetch() reads, in a query of migrate.migration m. */
#define DBM_STORED_COLUMNS \
	"m.id, m.version, m.name, m.environments, m.up_online, m.down_online, m.file_name," \
	" m.up_author, m.down_author, m.up_sha256, m.down_sha256, m.checksum," \
	" EXISTS (SELECT FROM migrate.applied a WHERE a.project OPERATOR(pg_catalog.=) m.project" \
	"  AND a.id OPERATOR(pg_catalog.=) m.id)," \
	" m.down_statements, m.up_statements, m.altered"

extern void dbm_migrations_update_analysis(const DbmExtension *ext, const DbmMigration *migration,
										   bool is_up, const DbmScript *script);
extern DbmStored *dbm_migrations_stored(const DbmExtension *ext, const DbmRegistration *wanted);
extern bool dbm_migrations_load(const DbmExtension *ext, const char *id,
								DbmRegistration *registration);
extern bool dbm_migrations_contradicts(const DbmExtension *ext, const DbmRegistration *wanted);
extern bool dbm_migrations_insert(const DbmExtension *ext, const DbmRegistration *wanted);
extern void dbm_migrations_update(const DbmExtension *ext, const DbmRegistration *wanted,
								  const DbmStored *stored);
extern void dbm_migrations_delete(const DbmExtension *ext, const char *id);
extern DbmStored *dbm_migrations_fetch(uint64 row, const DbmRegistration *wanted);
extern char *dbm_environments_text(Datum environments);

/* manymigrations.c */

extern void dbm_migrations_stored_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
									   DbmStored **stored);
extern void dbm_migrations_insert_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
									   const char **ids);

/* status.c */

/* A row of migrate.status(), and what it does not tell. */
typedef struct DbmStatus
{
	const char *id;
	const char *version;		/* or NULL */
	const char *name;
	const char *state;
	Datum		applied_at;
	bool		no_time;
	const char *applied_by;		/* or NULL */
	Datum		duration;
	bool		no_duration;
	bool		can_rollback;
	bool		is_baseline;
	bool		is_registered;
	bool		is_applied;
	const char *file_name;		/* or NULL */
} DbmStatus;

extern DbmStatus *dbm_status_all(const DbmExtension *ext, int *count);

/* files.c */

/* A file of the last set that was registered. */
typedef struct DbmFileRow
{
	const char *name;
	const uint8 *sha256;		/* or NULL */
	const char *migration;		/* its id; or NULL */
	const char *read_as;		/* format; or NULL */
	const char *detail;			/* or NULL */
	const uint8 *reading;		/* SHA-256 of what the migration was read
								 * from, with its main file; or NULL */
	const char *read_by;
	bool		is_current;		/* what is registered has not changed since */
	const char *migration_name; /* as it is registered; or NULL */
} DbmFileRow;

extern const char *dbm_files_reader(void);
extern DbmFileRow *dbm_files_all(const DbmExtension *ext, const char *format, int *count);
extern bool dbm_files_counts(const DbmFileRow *row);
extern void dbm_files_store(const DbmExtension *ext, const char *format, DbmFileRow *const *rows, int nrows);
extern void dbm_files_forget(const DbmExtension *ext, const char *format, DbmFileRow *const *rows, int nrows);

/* appliedtext.c */

extern void dbm_applied_learn_text(const DbmExtension *ext, const DbmRegistration *wanted);
extern void dbm_applied_learn_texts(const DbmExtension *ext, Datum ids);
extern void dbm_applied_follow_checksum(const DbmExtension *ext, const DbmRegistration *wanted,
										const DbmStored *stored);
extern void dbm_applied_accept_text(const DbmExtension *ext, const char *id);
extern void dbm_applied_rename(const DbmExtension *ext, const char *id);

/* progress.c */

/* How far an online script has come that is begun and not finished. */
typedef struct DbmHalfway
{
	bool		is_up;
	int			finished;		/* statements, BEGIN and COMMIT included */
	Datum		finished_sha256;	/* bytea, of the text up to there; 0 if
									 * none */
	int			started;		/* from 1, not known to be done; 0 if none */
	const char *statement;		/* its text; or NULL */
	Datum		indexes;		/* text[], what its table had before; or 0 */
	bool		has_committed;	/* the statement that was begun, if it is code */
	bool		has_failed;
} DbmHalfway;

extern DbmHalfway *dbm_halfway_find(const DbmExtension *ext, const char *id);
extern char *dbm_halfway_anywhere(const DbmExtension *ext, const char *id, bool *is_up);
extern bool dbm_halfway_forget(const DbmExtension *ext);
extern void dbm_halfway_begin(const DbmExtension *ext, const char *id, bool is_up, int statements,
							  int64 run);
extern void dbm_halfway_started(const DbmExtension *ext, const char *id, int statement, const char *text,
								Datum indexes);
extern void dbm_halfway_finished(const DbmExtension *ext, const char *id, int statement, Datum sha256);
extern void dbm_halfway_undecided(const DbmExtension *ext, const char *id, bool was_done, Datum sha256);
extern void dbm_halfway_failed(const DbmExtension *ext, const char *id, const ErrorData *error,
							   bool nothing_done);
extern void dbm_halfway_end(const DbmExtension *ext, const char *id);

/* commitnote.c */

extern void dbm_commit_note_begin(const DbmExtension *ext, const char *id);
extern void dbm_commit_note_end(void);

/* runs.c */

extern void dbm_runs_begin(const DbmExtension *ext, int64 number, const char *procedure);
extern void dbm_runs_end(const DbmExtension *ext, int64 number, int64 migrations, const ErrorData *error);

/* approvals.c */

extern DbmTrust dbm_approvals_trust(const DbmExtension *ext, const DbmMigration *migration, bool is_up);
extern char *dbm_approvals_add(const DbmExtension *ext, const DbmStored *stored, Datum sha256,
							   bool may_set_role);
extern void dbm_approvals_forget(const DbmExtension *ext, const char *id);

#endif							/* DBMIGRATE_TABLES_H */
