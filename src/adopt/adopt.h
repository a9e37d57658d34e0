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

/* lookup.c */

/* A migration that is registered or applied here. */
typedef struct DbmLookupEntry
{
	DbmKnown	row;
	const char *canonical;		/* form of the version, or NULL */
	bool		is_seen;		/* is in the other tool's table */
} DbmLookupEntry;

typedef struct DbmLookup
{
	List	   *all;			/* of DbmLookupEntry, in version order */
	struct HTAB *table;
} DbmLookup;

extern DbmLookup *dbm_lookup_load(const DbmExtension *ext);
extern void dbm_lookup_add(DbmLookup *set, DbmLookupEntry *known);
extern DbmLookupEntry *dbm_lookup_by_version(const DbmLookup *set, const char *canonical);
extern DbmLookupEntry *dbm_lookup_by_file(const DbmLookup *set, const char *file);
extern DbmLookupEntry *dbm_lookup_by_name(const DbmLookup *set, const char *name);
extern const TimestampTz *dbm_lookup_undone_at(const DbmLookup *set, const DbmLookupEntry *known);
extern char *dbm_name_base(const char *file);
extern void dbm_name_split(const char *base, const char **version, const char **name);
extern bool dbm_name_is_same(const char *a, const char *b);

/* toolaccess.c */

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
typedef enum DbmToolColumn
{
	DBM_COLUMN_ORDER,
	DBM_COLUMN_VERSION,
	DBM_COLUMN_NAME,
	DBM_COLUMN_TIME,
	DBM_COLUMN_AUTHOR,
	DBM_COLUMN_FLAG,			/* success, applied or dirty */
	DBM_COLUMN_TYPE,
	DBM_COLUMN_FILE,
	DBM_COLUMN_CHECKSUM,
	DBM_COLUMN_UNDONE			/* when it was rolled back */
} DbmToolColumn;

#define DBM_COLUMNS 10

/* Another tool's history table. */
typedef struct DbmToolTable
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
	const char *columns[DBM_COLUMNS];	/* NULL where there is none */
	const char *all_columns;	/* as a list */
} DbmToolTable;

/* What reading as the table's owner has changed. */
typedef struct DbmToolSection
{
	DbmUser		caller;
	int			guc_level;
	bool		read_only;		/* the transaction, before */
} DbmToolSection;

extern void dbm_tool_check_access(const DbmToolTable *table);
extern void dbm_tool_refuse_changed(const DbmToolTable *table);
extern int	dbm_tool_pin_settings(void);
extern void dbm_tool_enter(const DbmToolTable *table, DbmToolSection *section);
extern void dbm_tool_leave(const DbmToolSection *section);
extern void dbm_tool_query(const DbmToolTable *table, const char *sql);

/* tooltable.c */

/* What the caller said about the table; all may be NULL. */
typedef struct DbmToolRequest
{
	const char *table;
	const char *version_column;
	const char *time_column;
	const char *name_column;
} DbmToolRequest;

extern DbmToolTable *dbm_tool_find(const DbmToolRequest *request);
extern DbmToolTable *dbm_tool_look_again(const DbmToolRequest *request,
										 const DbmToolTable *before);

/* toolrows.c */

/* A migration that another tool has applied. */
typedef struct DbmToolRow
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
} DbmToolRow;

extern List *dbm_tool_in_force(const DbmToolTable *table, List *rows);

/* toolread.c */

extern List *dbm_tool_read(const DbmToolTable *table);

/* toolchecksum.c */

extern bool dbm_tool_same_text(const DbmToolTable *table, const DbmToolRow *row,
							   const char *script, int len);

/* toollock.c */

extern void dbm_tool_lock(const DbmExtension *ext, const DbmToolTable *table);
extern void dbm_tool_lock_table(const DbmExtension *ext, const DbmToolTable *table,
								bool dry_run);

/* report.c */

/* One call of migrate.adopt(). */
typedef struct DbmAdoption
{
	ReturnSetInfo *result;
	DbmExtension ext;
	bool		dry_run;
	DbmToolTable *table;
	DbmLookup  *known;
	const char *reason;
	int64		run;			/* 0 until something is recorded */
	int			nolder;			/* of those known, as far as adopt_older() has
								 * gone */
	const char *newest;			/* canonical version in force, or NULL */
	const char *baseline;		/* the same, of what stands for all that is
								 * older */
} DbmAdoption;

extern void dbm_adoption_put(const DbmAdoption *adoption, const char *version, const char *name,
							 const char *result, const TimestampTz *applied_at,
							 const char *applied_by, const char *detail);
extern void dbm_adoption_report_unusable(const DbmAdoption *adoption, const DbmToolRow *row,
										 bool is_taken);
extern void dbm_adoption_report_undone(const DbmAdoption *adoption, const DbmLookupEntry *known);
extern void dbm_adoption_report_rest(const DbmAdoption *adoption);

#endif							/* DBMIGRATE_ADOPT_H */
