/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the files of this folder have from each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_FILES_INTERNAL_H
#define DBMIGRATE_FILES_INTERNAL_H

#include "utils/jsonb.h"

#include "files/files.h"

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
	const char *folder_dialect; /* the migrations' folder is named after this
								 * database; or NULL */
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
	int			first_section;	/* where its marker is, or the end */
} DbmFileText;

extern DbmFormat dbm_format_by_name(const char *name);
extern const char *dbm_format_name(DbmFormat format);
extern const char *dbm_format_split(const char *text, int len, DbmFormat format,
									DbmFileText *result, const char **hint);
extern bool dbm_format_is_no_transaction(const char *text);

/* What a file says about itself. */
typedef struct DbmDirectives
{
	bool		online;			/* what is in it runs outside a transaction */
	const char *name;			/* of the migration, or NULL */
	Datum		environments;	/* text[], or 0 */
} DbmDirectives;

/* filesettings.c */

typedef struct DbmFile
{
	const char *path;			/* relative, with '/' between folders */
	const char *given;			/* the same, if it has control characters that
								 * "path" has not */
	const char *content;		/* NUL-terminated, NULL if it was not given */
	int			len;
	bool		has_sha256;		/* of its bytes in UTF-8: by our own count, or
								 * as it was given if there is no content */
	uint8		sha256[PG_SHA256_DIGEST_LENGTH];
	DbmFileName name;
	DbmDirectives directives;
	bool		no_transaction; /* what a file about other files says */
	const char *wants_one;		/* its setting that wants a transaction, or
								 * NULL */
	bool		is_wanted;		/* its content is, which is missing */
	DbmFileRow *row;			/* what is stored of it */
} DbmFile;

/* A migration and the files it comes from. */
typedef struct DbmFileMigration
{
	DbmRegistration registration;
	DbmFormat	format;
	const DbmFile *up_file;		/* one of the two may be NULL, or both the
								 * same */
	const DbmFile *down_file;
	bool		up_no_transaction;
	bool		down_no_transaction;
	bool		has_placeholders;	/* of Flyway */
	int			rank;			/* among those of the same version, from 0 */
	bool		is_unreadable;	/* its sections are not known, or it is one
								 * too many */
	bool		is_code;		/* up_file is not SQL, or a template of it */
	bool		has_sql;		/* an up script is registered already */
	List	   *settings;		/* of DbmFile: those about these files */
	uint8		reading[PG_SHA256_DIGEST_LENGTH];	/* of all that it is read
													 * from */
	const DbmFileRow *known;	/* read before, with the same result; or NULL */
	DbmStored  *stored;			/* what is registered; or NULL */
	const char *id;				/* once it is registered */
	const char *outcome;		/* of that */
	const char *detail;			/* what is worth knowing, or NULL */
} DbmFileMigration;

typedef struct DbmFileSet
{
	List	   *files;			/* of DbmFile */
	List	   *migrations;		/* of DbmFileMigration, in order */
	List	   *left_out;		/* of DbmFile, see name.reason */
	List	   *troubles;		/* of DbmTrouble */
	List	   *wanted;			/* of DbmFile, whose content is missing */
	DbmFormat	format;			/* that was asked for */
	DbmFileRow *rows;			/* of the last set */
	int			nrows;
	HTAB	   *known;			/* of these; or NULL */
} DbmFileSet;

extern void dbm_fileset_trouble(DbmFileSet *set, const DbmFile *file, int sqlerrcode,
								const char *message, const char *hint);
extern void dbm_filesettings_find_owners(DbmFileSet *set);
extern void dbm_filesettings_read(DbmFileSet *set);
extern void dbm_filesettings_apply(DbmFileMigration *migration, DbmFileSet *set);

/* directive.c */

extern void dbm_directives_take(DbmFileMigration *migration, DbmFile *file, int end,
								DbmFileSet *set);
extern bool dbm_directives_limit(const DbmExtension *ext, const char *id);

/* filechoice.c */

extern void dbm_filechoice_leave_out(List *files);

/* fileset.c */

extern void dbm_fileset_read(List *files, DbmFormat format, DbmFileSet *set);
extern const DbmFile *dbm_fileset_main_file(const DbmFileMigration *migration);

/* knownfiles.c */

extern void dbm_known_files_hash(List *files);
extern void dbm_known_files_load(const DbmExtension *ext, DbmFormat format, DbmFileSet *set);
extern void dbm_known_files_find(DbmFileSet *set);
extern void dbm_known_files_remember(const DbmExtension *ext, DbmFileSet *set);
extern void dbm_known_files_throw_wanted(const DbmFileSet *set);

/* filesjson.c */

extern List *dbm_files_from_json(Jsonb *json);

/* checkfiles.c */

extern void dbm_check_texts(DbmFileSet *set);
extern DbmStored **dbm_check_look_up(const DbmExtension *ext, DbmFileSet *set);
extern DbmTrouble *dbm_check_one(const DbmExtension *ext, DbmFileMigration *migration, bool down_alone);
extern const char *dbm_check_describe(const DbmFileMigration *migration);

/* addfiles.c */

extern DbmFormat dbm_format_argument(FunctionCallInfo fcinfo, int arg);

extern void dbm_add_files(FunctionCallInfo fcinfo, const char *what, List *files, List *troubles,
						  DbmFormat format, const char *project, bool down_alone);

#endif							/* DBMIGRATE_FILES_INTERNAL_H */
