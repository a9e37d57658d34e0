/*-------------------------------------------------------------------------
 *
 * dbmigrate.h
 *	  Types and prototypes, grouped by the file that defines them.
 *
 * The order of the groups is the order of the calls: a file calls only files
 * further up.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_H
#define DBMIGRATE_H

#include "catalog/objectaddress.h"
#include "common/sha2.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "nodes/parsenodes.h"
#include "storage/lock.h"
#include "utils/timestamp.h"

/* dbmigrate.c: settings */

typedef enum DbmOutOfOrder
{
	DBM_OUT_OF_ORDER_ERROR,
	DBM_OUT_OF_ORDER_ALLOW
} DbmOutOfOrder;

extern int	dbm_out_of_order;
extern int	dbm_lock_wait;		/* milliseconds */
extern bool dbm_progress;

extern const char *dbm_environment(void);

/* version.c */

extern struct ArrayType *dbm_version_parse(const char *version);
extern bool dbm_version_is_valid(const char *version);
extern bool dbm_version_is_id(const char *version);
extern char *dbm_version_canonical(const char *version);
extern int	dbm_version_compare(const char *a, const char *b);

/* classify.c */

extern bool dbm_classify_online(Node *stmt);
extern bool dbm_classify_online_words(const char *sql);
extern const char *dbm_classify_refused(Node *stmt, int *sqlerrcode);

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

/* comment.c */

/*
 * A line comment at top level: where it is, how long, and where the last token
 * of the statement ends that it interrupts, -1 if it is between statements.
 * Returns whether the statement ends there.
 */
typedef bool (*DbmCommentHook) (void *arg, int start, int len, int open_statement_end);

extern int	dbm_comment_find(const char *text, int from, int to);

/* tokens.c */

typedef enum DbmStatementKind
{
	DBM_STATEMENT_SQL,			/* handed to SPI */
	DBM_STATEMENT_COPY_DATA,	/* COPY ... FROM stdin with its data */
	DBM_STATEMENT_BEGIN,		/* half of a tolerated BEGIN ... COMMIT pair */
	DBM_STATEMENT_COMMIT
} DbmStatementKind;

#define DBM_LEAD_TOKENS 4		/* CREATE OR REPLACE FUNCTION */

/* The tokens of one statement, as far as they matter. */
typedef struct DbmTokens
{
	int			count;
	int			lead[DBM_LEAD_TOKENS];
	int			previous;
	int			paren_depth;
	bool		in_atomic_body;
	bool		from_seen;		/* the first FROM outside parentheses */
	bool		from_stdin;		/* and what followed it */
} DbmTokens;

extern const uint16 *dbm_tokens_keywords(void);
extern bool dbm_tokens_has_text(int token);
extern void dbm_tokens_reset(DbmTokens *tokens);
extern bool dbm_tokens_end(const DbmTokens *tokens, int token);
extern void dbm_tokens_add(DbmTokens *tokens, int token);
extern DbmStatementKind dbm_tokens_kind(const DbmTokens *tokens, bool *refused);
extern bool dbm_tokens_is_definition(const DbmTokens *tokens);

/* problem.c */

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
} DbmStatement;

/* Why a text cannot be run as it is. */
typedef struct DbmProblem
{
	int			sqlerrcode;
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* or NULL */
	int			statement;		/* from 1, 0 if not known */
	int			start;			/* the statement, or the line, it is in */
	int			len;
	int			position;		/* the offending byte, -1 if not known */
	int			line;
} DbmProblem;

typedef struct DbmScript
{
	MemoryContext context;		/* all below but the text */
	char	   *text;			/* writable, NUL-terminated */
	int			len;
	DbmStatement *statements;
	int			nstatements;	/* those above, BEGIN and COMMIT included */
	int			ncommands;		/* without BEGIN and COMMIT */
	uint8		checksum[PG_SHA256_DIGEST_LENGTH];	/* without BEGIN and COMMIT */
	bool		online;			/* some statement needs its own transaction */
	bool		sets_role;		/* some statement is SET ROLE or the like */
	DbmProblem *refused;		/* no server can run it here: or NULL */
	DbmProblem *unreadable;		/* this server cannot read it: or NULL */
	bool		is_forgiven;	/* no server can run it, but it is registered */
} DbmScript;

extern DbmProblem *dbm_problem(DbmScript *script, int sqlerrcode, const char *message,
							   int start, int len);
extern DbmProblem *dbm_problem_psql_command(DbmScript *script, int at);
extern DbmProblem *dbm_problem_transaction(DbmScript *script, const DbmStatement *statement);
extern DbmProblem *dbm_problem_from_error(DbmScript *script, const ErrorData *edata, int base,
										  int statement, int start, int len);
extern bool dbm_problem_is_about_text(const ErrorData *edata);
extern int	dbm_count_lines(const char *text, int from, int to);

/* script.c */

extern DbmScript *dbm_script_scan(char *text, int len, bool want_checksum);
extern Datum dbm_script_checksum(const DbmScript *script, bool online);
extern DbmScript *dbm_script_scan_comments(char *text, int len, DbmCommentHook hook, void *arg);
extern void dbm_script_free(DbmScript *script);
extern int	dbm_script_pin_settings(void);

/* analyze.c */

extern void dbm_script_analyze(DbmScript *script);

/* marker.c */

/* Whose files these are; in the order of the names in format.c. */
typedef enum DbmFormat
{
	DBM_FORMAT_AUTO,
	DBM_FORMAT_NODE_PG_MIGRATE,
	DBM_FORMAT_PLAIN,
	DBM_FORMAT_GOLANG_MIGRATE,
	DBM_FORMAT_SQLX,
	DBM_FORMAT_FOLDERS,
	DBM_FORMAT_DBMATE,
	DBM_FORMAT_GOOSE,
	DBM_FORMAT_SQL_MIGRATE,
	DBM_FORMAT_TERN,
	DBM_FORMAT_FLYWAY,
	DBM_FORMAT_DIESEL,
	DBM_FORMAT_PRISMA
} DbmFormat;

typedef enum DbmMarkerKind
{
	DBM_MARKER_NOTHING,
	DBM_MARKER_UP,				/* a section begins */
	DBM_MARKER_DOWN,
	DBM_MARKER_BLOCK_BEGIN,		/* StatementBegin */
	DBM_MARKER_BLOCK_END,
	DBM_MARKER_NO_TRANSACTION,
	DBM_MARKER_UNSUPPORTED
} DbmMarkerKind;

typedef struct DbmMarker
{
	DbmFormat	format;
	DbmMarkerKind kind;
	bool		no_transaction; /* for the section that begins */
} DbmMarker;

extern bool dbm_marker_read(const char *comment, DbmMarker *marker);

/* filename.c */

typedef enum DbmFileRole
{
	DBM_FILE_LEFT_OUT,			/* no migration of ours, see reason */
	DBM_FILE_BAD,				/* see reason and hint */
	DBM_FILE_SECTIONS,			/* up and perhaps down, with markers or not */
	DBM_FILE_UP,
	DBM_FILE_DOWN,
	DBM_FILE_REPEATABLE,
	DBM_FILE_BASELINE,
	DBM_FILE_CODE,				/* an up script that is not SQL */
	DBM_FILE_SETTINGS			/* about other files, see settings_of */
} DbmFileRole;

typedef struct DbmFileName
{
	const char *path;
	DbmFileRole role;
	DbmFormat	format;			/* auto if the content decides */
	const char *version;		/* NULL for a repeatable migration */
	const char *name;
	const char *dialect;		/* a database in the name of the file, or NULL */
	const char *folder_dialect; /* the folder's name is a database's; or NULL */
	bool		no_transaction;
	bool		is_flat;		/* its format has no folders */
	int			depth;			/* folders in the path */
	const char *settings_of;	/* path of the file or the folder */
	const char *reason;
	const char *hint;
} DbmFileName;

extern void dbm_filename_read(const char *path, DbmFormat format, DbmFileName *file);
extern bool dbm_filename_is_ours(const char *dialect);
extern const char *dbm_filename_folder(const char *path);
extern bool dbm_filename_has_own_folder(const DbmFileName *name);
extern void dbm_filename_split(const char *stem, const char **version, const char **name);

/* format.c */

/* What a file says. */
typedef struct DbmFileText
{
	DbmFormat	format;
	Datum		up;				/* text */
	Datum		down;
	bool		has_down;
	bool		is_template;	/* of tern, which is not SQL yet */
	bool		up_no_transaction;
	bool		down_no_transaction;
} DbmFileText;

extern DbmFormat dbm_format_by_name(const char *name);
extern const char *dbm_format_name(DbmFormat format);
extern const char *dbm_format_split(const char *text, int len, DbmFormat format,
									DbmFileText *result, const char **hint);
extern bool dbm_format_is_no_transaction(const char *text);

/* errors.c */

/* What the error context says about the script that is running. */
typedef struct DbmLabel
{
	const char *version;		/* the id for a repeatable migration; NULL if not known */
	const char *name;
	bool		is_up;
	bool		is_alone;		/* no other script is run by the same call */
} DbmLabel;

extern char *dbm_label_text(const DbmLabel *label);
extern void dbm_throw_problem(const DbmScript *script, const DbmProblem *problem,
							  const DbmLabel *label, const char *detail);
extern void dbm_rethrow_shortened(ErrorData *edata, const char *statement, bool is_alone);

/* trust.c */

typedef struct DbmExtension
{
	Oid			oid;
	Oid			owner;
	Oid			schema;			/* "migrate", a member of the extension */
	const char *target;			/* the target schema of the call, "" is none */
	const char *project;		/* its sequence of versions, "" is the one without a name */
} DbmExtension;

typedef struct DbmUser
{
	Oid			id;
	int			sec_context;
} DbmUser;

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
extern char *dbm_text_argument(FunctionCallInfo fcinfo, int arg);
extern const char *dbm_target_search_path(const char *schema, const char *extra);

/* wait.c */

/* A lock to wait for, and what is said of it. */
typedef struct DbmWait
{
	LOCKTAG		tag;
	LOCKMODE	mode;
	const char *failure;		/* message of the error */
	const char *notice;			/* when the waiting begins */
} DbmWait;

extern void dbm_wait_for_lock(const DbmExtension *ext, const DbmWait *wait);

/* lock.c */

extern bool dbm_script_running;

extern void dbm_check_caller(const char *what);
extern void dbm_check_not_in_script(const char *what);
extern void dbm_run_finished(void);
extern void dbm_lock_for_run(const DbmExtension *ext);

/* copydata.c */

extern uint64 dbm_copy_data(const char *sql, const char *data, int len);

/* deferred.c */

extern void dbm_deferred_check(void);
extern void dbm_deferred_flush(void);

/* leftover.c */

typedef struct DbmLeftover DbmLeftover;

extern void dbm_leftover_init(void);
extern bool dbm_leftover_other_hooks(void);
extern List *dbm_leftover_callers_cursors(void);
extern DbmLeftover *dbm_leftover_begin(List *cursors, bool restricted);
extern void dbm_leftover_expect(DbmLeftover *leftover, const char *sql);
extern void dbm_leftover_take(DbmLeftover *leftover);
extern void dbm_leftover_end(DbmLeftover *leftover, bool may_have_cursors);
extern void dbm_leftover_abort(void);

/* temporary.c */

typedef struct DbmTemporary
{
	ObjectAddress object;
	const char *name;			/* or NULL */
	Oid			owner;			/* or InvalidOid */
} DbmTemporary;

extern Oid	dbm_temporary_schema(void);
extern List *dbm_temporary_objects(void);
extern void dbm_temporary_refuse_strangers(void);
extern void dbm_temporary_drop_new(List *before, CommandId began);

/* shadow.c */

extern void dbm_refuse_shadows(List *path);

/* execute.c */

typedef struct DbmExecution
{
	int64		statements;
	int64		rows;			/* written, not read */
	int64		wal_bytes;
	int64		duration;		/* microseconds */
	Datum		search_path;	/* text[], as current_schemas(true) gave it */
	bool		may_have_events;	/* deferred trigger events, that is */
} DbmExecution;

extern void dbm_execute_script(DbmScript *script, const DbmLabel *label,
							   const char *search_path, bool restricted, List *cursors,
							   DbmExecution *execution);
extern void dbm_execute_deferred_check(const DbmLabel *label, List *cursors);

/* owner.c */

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
extern int64 dbm_column_int(uint64 row, int column, int64 if_null);
extern bool dbm_column_bool(uint64 row, int column);
extern Datum dbm_column_datum(uint64 row, int column);

/* extension.c */

extern void dbm_extension_look_up(DbmExtension *ext);

/* catalog.c */

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

/* A migration as one target schema sees it. */
typedef struct DbmMigration
{
	const char *id;
	const char *version;		/* NULL for a repeatable migration */
	Datum		version_key;	/* numeric[], 0 if version is NULL */
	const char *name;
	const char *state;			/* as migrate.status() says it */
	bool		is_applied;		/* has a row in migrate.applied */
	bool		is_registered;	/* has a row in migrate.migration */
	bool		is_baseline;	/* a script that stands for all versions up to its own */
	bool		to_run;			/* apply has to run it, as far as the state goes */
	bool		runs_here;		/* it is not limited to other environments */
	bool		is_wanted;		/* not beyond the version asked for */
	int			analyzed_on;	/* server major that read the scripts */
	Datum		checksum;		/* bytea */
	DbmScriptInfo up;
	DbmScriptInfo down;
} DbmMigration;

/* How messages call it. */
#define DBM_MIGRATION_REF(migration) \
	((migration)->version && !(migration)->is_baseline ? (migration)->version : (migration)->id)

extern void dbm_catalog_open(DbmExtension *ext);
extern void dbm_catalog_use(DbmExtension *ext, const char *target, const char *project);
extern void dbm_catalog_check_project(const DbmExtension *ext);
extern void dbm_catalog_close(void);
extern void dbm_catalog_check_alive(const DbmExtension *ext, const DbmLabel *label);
extern int64 dbm_catalog_next_run(const DbmExtension *ext);
extern bool dbm_catalog_all_applied(const DbmExtension *ext, const char *schema);
extern List *dbm_catalog_to_apply(const DbmExtension *ext, const char *schema, Datum up_to);
extern List *dbm_catalog_to_roll_back(const DbmExtension *ext, const char *schema,
									  int64 steps, int64 after);
extern DbmMigration *dbm_catalog_migration(const DbmExtension *ext, const char *schema,
										   const char *version);
extern List *dbm_catalog_repeatables(const DbmExtension *ext, const char *schema);
extern List *dbm_catalog_up_to(const DbmExtension *ext, const char *schema, Datum version_key);
extern int64 dbm_catalog_position(const DbmExtension *ext, const char *schema,
								  Datum version_key);
extern char *dbm_catalog_newest(const DbmExtension *ext, const char *schema);
extern List *dbm_catalog_unmanaged_tables(const DbmExtension *ext, List *schemas, int64 limit);
extern char *dbm_catalog_read_script(const DbmExtension *ext, const DbmMigration *migration,
									 bool is_up, int *len);
extern bool dbm_catalog_has_applied(const DbmExtension *ext, const char *schema);
extern char *dbm_catalog_applied_in(const DbmExtension *ext, const char *id);

/* quote.c */

extern char *dbm_literal(const char *text);
extern char *dbm_migration_literal(const DbmMigration *migration);
extern bool dbm_has_control(const char *text);
extern char *dbm_without_control(const char *text);
extern void dbm_check_no_control(const char *what, const char *text);

/* record.c */

/* A row of migrate.history, and of migrate.applied where it goes with one. */
typedef struct DbmRecord
{
	const char *action;
	const char *target_schema;
	const DbmMigration *migration;
	int64		run;
	const DbmExecution *execution;	/* NULL if nothing was run */
	const char *reason;			/* or NULL */
	bool		baseline;
	const TimestampTz *applied_at;	/* NULL is now; for adoption only */
	const char *applied_by;		/* NULL is the current user; the same */
} DbmRecord;

extern Datum dbm_record_interval(int64 microseconds);
extern void dbm_record_history(const DbmExtension *ext, const DbmRecord *record);
extern void dbm_record_applied(const DbmExtension *ext, const DbmRecord *record);
extern void dbm_record_adopted(const DbmExtension *ext, const DbmRecord *record);
extern void dbm_record_undone(const DbmExtension *ext, const DbmRecord *record);
extern void dbm_record_to_repeat(const DbmExtension *ext, const char *schema);
extern int64 dbm_record_forgotten(const DbmExtension *ext, const DbmRecord *record);

/* targetstate.c */

extern void dbm_targetstate_look(const DbmExtension *ext, const char *schema);
extern void dbm_targetstate_refuse_lost(const DbmExtension *ext, const char *schema);
extern void dbm_targetstate_record(const DbmExtension *ext, const char *schema, int64 run);
extern bool dbm_targetstate_forget(const DbmExtension *ext, const char *schema);

/* registry.c */

#define DBM_MAX_NAME 1000		/* bytes, of a repeatable migration: a key holds it */

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

extern void dbm_registry_update_analysis(const DbmExtension *ext, const DbmMigration *migration,
										bool is_up, const DbmScript *script);
extern DbmStored *dbm_registry_stored(const DbmExtension *ext, const DbmRegistration *wanted);
extern bool dbm_registry_load(const DbmExtension *ext, const char *id,
							 DbmRegistration *registration);
extern bool dbm_registry_contradicts(const DbmExtension *ext, const DbmRegistration *wanted);
extern bool dbm_registry_insert(const DbmExtension *ext, const DbmRegistration *wanted);
extern void dbm_registry_update(const DbmExtension *ext, const DbmRegistration *wanted,
							   const DbmStored *stored);
extern void dbm_registry_delete(const DbmExtension *ext, const char *id);
extern char *dbm_environments_text(Datum environments);
extern void dbm_registry_accept_text(const DbmExtension *ext, const char *id);
extern void dbm_registry_rename_applied(const DbmExtension *ext, const char *id);

/* approval.c */

extern DbmTrust dbm_approval_trust(const DbmExtension *ext, const DbmMigration *migration, bool is_up);
extern char *dbm_approval_add(const DbmExtension *ext, const DbmStored *stored, Datum sha256,
							  bool may_set_role);
extern void dbm_approval_forget(const DbmExtension *ext, const char *id);

/* refuse.c */

extern void dbm_refuse_unconfirmed(const char *confirm);
extern void dbm_refuse_changed(const DbmExtension *ext, List *migrations);
extern void dbm_refuse_out_of_order(const DbmExtension *ext, const char *schema, List *chosen);
extern void dbm_refuse_scripts(const DbmExtension *ext, List *chosen, bool is_up);
extern void dbm_refuse_elsewhere(const DbmExtension *ext, List *chosen, int steps);
extern void dbm_refuse_without_down(const DbmExtension *ext, List *chosen);
extern void dbm_refuse_count(const DbmExtension *ext, int64 asked, int64 found, const char *what,
							 const char *to);
extern void dbm_refuse_unmanaged(const DbmExtension *ext);

/* known.c */

/* A migration as adoption has to know it. */
typedef struct DbmKnown
{
	DbmMigration migration;		/* without what is said about its scripts */
	const char *canonical;		/* form of the version, or NULL */
	const char *file_name;		/* or NULL */
	const TimestampTz *applied_at;	/* or NULL */
	const char *applied_by;		/* or NULL */
	const char *adopted_from;	/* the reason recorded then, or NULL */
	bool		is_seen;		/* is in the other tool's table */
} DbmKnown;

typedef struct DbmKnownSet
{
	List	   *all;			/* of DbmKnown, in version order */
	struct HTAB *index;
} DbmKnownSet;

extern DbmKnownSet *dbm_known_load(const DbmExtension *ext, const char *schema);
extern void dbm_known_add(DbmKnownSet *set, DbmKnown *known);
extern DbmKnown *dbm_known_by_version(const DbmKnownSet *set, const char *canonical);
extern DbmKnown *dbm_known_by_file(const DbmKnownSet *set, const char *file);
extern DbmKnown *dbm_known_by_name(const DbmKnownSet *set, const char *name);
extern const TimestampTz *dbm_known_undone_at(const DbmKnownSet *set, const DbmKnown *known);
extern bool dbm_known_adopted_elsewhere(DbmExtension *ext, const char *reason);
extern char *dbm_name_base(const char *file);
extern void dbm_name_split(const char *base, const char **version, const char **name);
extern bool dbm_name_is_same(const char *a, const char *b);
extern struct HTAB *dbm_string_table(const char *name, Size entrysize);

/* foreignaccess.c */

typedef enum DbmTool
{
	DBM_TOOL_OTHER,				/* hand-written, or named by the caller */
	DBM_TOOL_DBMATE,
	DBM_TOOL_DIESEL,
	DBM_TOOL_ECTO,
	DBM_TOOL_FLYWAY,
	DBM_TOOL_GOLANG_MIGRATE,
	DBM_TOOL_GOOSE,
	DBM_TOOL_NODE_PG_MIGRATE,
	DBM_TOOL_PRISMA,
	DBM_TOOL_RAILS,
	DBM_TOOL_SQL_MIGRATE,
	DBM_TOOL_SQLX,
	DBM_TOOL_SUPABASE,
	DBM_TOOL_TERN
} DbmTool;

/* What a history table's columns say. */
typedef enum DbmForeignColumn
{
	DBM_FOREIGN_ORDER,
	DBM_FOREIGN_VERSION,
	DBM_FOREIGN_NAME,
	DBM_FOREIGN_TIME,
	DBM_FOREIGN_AUTHOR,
	DBM_FOREIGN_FLAG,			/* success, applied or dirty */
	DBM_FOREIGN_TYPE,
	DBM_FOREIGN_FILE,
	DBM_FOREIGN_CHECKSUM,
	DBM_FOREIGN_UNDONE			/* when it was rolled back */
} DbmForeignColumn;

#define DBM_FOREIGN_COLUMNS 10

/* Another tool's history table. */
typedef struct DbmForeignTable
{
	Oid			oid;
	Oid			schema_oid;
	Oid			owner;
	char		relkind;
	const char *schema;
	const char *name;
	const char *ref;			/* as SQL and messages name it */
	const char *shape;			/* what of its definition must not change */
	DbmTool		tool;
	const char *tool_name;		/* NULL if it is no tool with a name */
	const char *columns[DBM_FOREIGN_COLUMNS];	/* NULL where there is none */
	const char *all_columns;	/* as a list */
} DbmForeignTable;

/* What reading as the table's owner has changed. */
typedef struct DbmForeignSection
{
	DbmUser		caller;
	int			guc_level;
	bool		read_only;		/* the transaction, before */
} DbmForeignSection;

extern void dbm_foreign_check_access(const DbmForeignTable *table);
extern void dbm_foreign_refuse_changed(const DbmForeignTable *table);
extern int	dbm_foreign_pin_settings(void);
extern void dbm_foreign_enter(const DbmForeignTable *table, DbmForeignSection *section);
extern void dbm_foreign_leave(const DbmForeignSection *section);
extern void dbm_foreign_query(const DbmForeignTable *table, const char *sql);

/* foreign.c */

/* What the caller said about the table; all may be NULL. */
typedef struct DbmForeignRequest
{
	const char *table;
	const char *version_column;
	const char *time_column;
	const char *name_column;
} DbmForeignRequest;

extern DbmForeignTable *dbm_foreign_find(const DbmForeignRequest *request);
extern DbmForeignTable *dbm_foreign_look_again(const DbmForeignRequest *request,
											   const DbmForeignTable *before);

/* foreignrows.c */

/* A migration that another tool has applied. */
typedef struct DbmForeignRow
{
	const char *text;			/* as its table calls it */
	const char *version;		/* or NULL */
	const char *canonical;		/* form of it, or NULL */
	const char *name;			/* may be empty */
	const char *file;			/* base name, or NULL */
	bool		is_repeatable;
	bool		is_up_to;		/* all that is older is in force, too */
	const TimestampTz *applied_at;	/* or NULL */
	const char *applied_by;		/* or NULL */
	const char *checksum;		/* as text, or NULL */
	const char *type;			/* may be empty */
	bool		flag;			/* success, applied or dirty */
	bool		is_undone;
	int64		order;
} DbmForeignRow;

extern List *dbm_foreign_in_force(const DbmForeignTable *table, List *rows);

/* foreignread.c */

extern List *dbm_foreign_read(const DbmForeignTable *table);

/* foreignsum.c */

extern bool dbm_foreign_same_text(const DbmForeignTable *table, const DbmForeignRow *row,
								  const char *script, int len);

/* foreignlock.c */

extern void dbm_foreign_lock_tool(const DbmExtension *ext, const DbmForeignTable *table);
extern void dbm_foreign_lock_table(const DbmExtension *ext, const DbmForeignTable *table,
								   bool dry_run);

/* adoptreport.c */

/* One call of migrate.adopt(). */
typedef struct DbmAdoption
{
	ReturnSetInfo *result;
	DbmExtension ext;
	const char *schema;
	bool		dry_run;
	DbmForeignTable *table;
	DbmKnownSet *known;
	const char *reason;
	int64		run;			/* 0 until something is recorded */
	int			nolder;			/* of those known, as far as adopt_older() has gone */
	const char *newest;			/* canonical version in force, or NULL */
	const char *baseline;		/* the same, of what stands for all that is older */
} DbmAdoption;

extern void dbm_adoption_put(const DbmAdoption *adoption, const char *version, const char *name,
							 const char *result, const TimestampTz *applied_at,
							 const char *applied_by, const char *detail);
extern void dbm_adoption_refuse_row(const DbmAdoption *adoption, const DbmForeignRow *row,
									bool is_taken);
extern void dbm_adoption_report_undone(const DbmAdoption *adoption, const DbmKnown *known);
extern void dbm_adoption_report_rest(const DbmAdoption *adoption);

/* progress.c */

extern void dbm_progress_notice(const DbmMigration *migration, bool is_up);

/* store.c */

/* Why something is not registered. */
typedef struct DbmTrouble
{
	const char *file;			/* or NULL */
	int			sqlerrcode;
	const char *message;
	const char *detail;			/* or NULL */
	const char *hint;			/* or NULL */
} DbmTrouble;

extern DbmTrouble *dbm_trouble(int sqlerrcode, const char *message, const char *detail,
							   const char *hint);
extern void dbm_trouble_throw(const DbmTrouble *trouble);
extern void dbm_store_read(DbmRegistration *wanted);
extern void dbm_store_throw_refused(const DbmRegistration *wanted);
extern void dbm_store_warn(const DbmRegistration *wanted, bool is_news);
extern DbmTrouble *dbm_store_check(const DbmExtension *ext, const DbmRegistration *wanted,
								   const DbmStored *stored);
extern bool dbm_store_insert(const DbmExtension *ext, const DbmRegistration *wanted);
extern bool dbm_store_is_same(const DbmStored *stored);
extern const char *dbm_store(const DbmExtension *ext, const DbmRegistration *wanted,
							 DbmTrouble **trouble);

/* register.c */

extern void dbm_check_may_register(const char *what);
extern const char *dbm_reason(const char *reason);

/* filesettings.c */

typedef struct DbmFile
{
	const char *path;			/* relative, with '/' between folders */
	const char *content;		/* NUL-terminated, NULL if it was not given */
	int			len;
	DbmFileName name;
} DbmFile;

/* A migration and the files it comes from. */
typedef struct DbmFileMigration
{
	DbmRegistration registration;
	DbmFormat	format;
	const DbmFile *up_file;		/* one of the two may be NULL, or both the same */
	const DbmFile *down_file;
	bool		up_no_transaction;
	bool		down_no_transaction;
	bool		has_placeholders;	/* of Flyway */
	int			rank;			/* among those of the same version, from 0 */
	bool		is_unreadable;	/* its sections are not known, or it is one too many */
	bool		is_code;		/* up_file is not SQL, or a template of it */
	bool		has_sql;		/* an up script is registered already */
} DbmFileMigration;

typedef struct DbmFileSet
{
	List	   *files;			/* of DbmFile */
	List	   *migrations;		/* of DbmFileMigration, in order */
	List	   *left_out;		/* of DbmFile, see name.reason */
	List	   *troubles;		/* of DbmTrouble */
} DbmFileSet;

extern void dbm_fileset_trouble(DbmFileSet *set, const DbmFile *file, int sqlerrcode,
								const char *message, const char *hint);
extern void dbm_filesettings_apply(DbmFile *file, DbmFileSet *set);

/* filechoice.c */

extern void dbm_filechoice_leave_out(List *files);

/* fileset.c */

extern void dbm_fileset_read(List *files, DbmFormat format, DbmFileSet *set);

/* addfiles.c */

extern void dbm_add_files(FunctionCallInfo fcinfo, const char *what, List *files, List *troubles,
						  DbmFormat format, const char *project, bool down_alone);

#endif							/* DBMIGRATE_H */
