/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the files of this folder have from each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_SCRIPT_INTERNAL_H
#define DBMIGRATE_SCRIPT_INTERNAL_H

#include "catalog/objectaddress.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "script/script.h"

/* comment.c */

extern int	dbm_comment_find(const char *text, int from, int to);

/* lines.c */

extern int	dbm_lines_next(const DbmScript *script, int from);
extern bool dbm_lines_starts_backslash(const DbmScript *script, int at);
extern int	dbm_lines_next_backslash(const DbmScript *script, int from);
extern bool dbm_lines_is_restrict(const DbmScript *script, int from);
extern int	dbm_lines_window_end(const DbmScript *script, int from, int end);
extern bool dbm_lines_have_long_word(const DbmScript *script);

/* copydata.c */

extern int	dbm_copy_data_end(const DbmScript *script, int from, int *behind);

/* tokens.c */

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
extern bool dbm_tokens_is_commit(int token);
extern bool dbm_tokens_goes_on_as_commit(int token);
extern bool dbm_tokens_precedes_statement(int token, const char *text);

/* scripttrouble.c */

extern DbmTrouble *dbm_script_trouble(DbmScript *script, int sqlerrcode, const char *message,
									  int start, int len);
extern DbmTrouble *dbm_script_trouble_psql_command(DbmScript *script, int at);
extern DbmTrouble *dbm_script_trouble_transaction(DbmScript *script, const DbmStatement *statement);
extern DbmTrouble *dbm_script_trouble_from_error(DbmScript *script, const ErrorData *edata, int base,
												 int statement, int start, int len);
extern bool dbm_error_is_about_text(const ErrorData *edata);

/* script.c */

extern int	dbm_script_pin_settings(void);

/* classify.c */

extern bool dbm_classify_online(Node *stmt);
extern bool dbm_classify_online_words(const char *sql);
extern const char *dbm_classify_refused(Node *stmt, int *sqlerrcode);

/* doblock.c */

extern bool dbm_do_block_commits(const DoStmt *stmt);

/* errors.c */

extern void dbm_rethrow_shortened(ErrorData *edata, const char *statement, bool is_alone);

/* runcopy.c */

extern uint64 dbm_run_copy(const char *sql, const char *data, int len);

/* deferred.c */

extern void dbm_deferred_check(void);
extern void dbm_deferred_flush(void);

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

/* activity.c */

extern char *dbm_activity_label(const DbmLabel *label);
extern void dbm_activity_show(const char *label, int statement, int statements, const char *sql);

/* place.c */

typedef struct DbmPlace
{
	char	   *label;
	const char *activity;		/* of its statements, for other sessions; or
								 * NULL */
	DbmScript  *script;			/* or NULL */
	int			current;		/* statement, from 0; -1 outside of statements */
	char	   *sql;			/* the current one, NUL-terminated */
	char		cut;			/* what was there */
	ErrorContextCallback callback;
} DbmPlace;

extern void dbm_place_enter(DbmPlace *place);
extern void dbm_place_leave(DbmPlace *place);
extern void dbm_place_statement(DbmPlace *place, int number);
extern void dbm_place_statement_done(DbmPlace *place);
extern void dbm_place_tell(const DbmPlace *place, int *statement, int *line);

/* leftover.c */

typedef struct DbmLeftover DbmLeftover;

extern bool dbm_leftover_other_hooks(void);
extern DbmLeftover *dbm_leftover_begin(List *cursors, bool restricted);
extern void dbm_leftover_expect(DbmLeftover *leftover, const char *sql);
extern void dbm_leftover_take(DbmLeftover *leftover);
extern void dbm_leftover_end(DbmLeftover *leftover, bool may_have_cursors);
extern void dbm_leftover_abort(void);

/* frozen.c */

extern void dbm_frozen_begin(void);
extern void dbm_frozen_end(void);
extern void dbm_frozen_check(ProcessUtilityContext context, Node *statement);
extern void dbm_frozen_explain(ErrorData *error);

/* shadow.c */

extern void dbm_refuse_shadows(List *path);

#endif							/* DBMIGRATE_SCRIPT_INTERNAL_H */
