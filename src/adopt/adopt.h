/*-------------------------------------------------------------------------
 *
 * adopt.h
 *	  Taking over from another tool: its history table, and what is known here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_ADOPT_H
#define DBMIGRATE_ADOPT_H

#include "tables/tables.h"

/* index.c */

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

/* historyaccess.c */

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

/* historytable.c */

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

/* historyrows.c */

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

/* historyread.c */

extern List *dbm_foreign_read(const DbmForeignTable *table);

/* toolchecksum.c */

extern bool dbm_foreign_same_text(const DbmForeignTable *table, const DbmForeignRow *row,
								  const char *script, int len);

/* toollock.c */

extern void dbm_foreign_lock_tool(const DbmExtension *ext, const DbmForeignTable *table);
extern void dbm_foreign_lock_table(const DbmExtension *ext, const DbmForeignTable *table,
								   bool dry_run);

/* report.c */

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

#endif							/* DBMIGRATE_ADOPT_H */
