/*-------------------------------------------------------------------------
 *
 * filename.c
 *	  What the name of a file says: format, version, name, up or down.
 *
 * The rules are those of the tools, see the format's name at each function.
 * Only the innermost folders of a path matter, so that it is the same whether
 * names begin at the directory of the migrations or further up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "files/internal.h"

/* Databases that projects keep migrations for beside ours. */
static const char *const our_dialects[] = {"postgres", "postgresql", "pg", "psql", "pgsql", NULL};
static const char *const other_dialects[] = {
	"mysql", "mariadb", "sqlite", "sqlite3", "cockroach", "cockroachdb", "crdb", "mssql", "sqlserver",
	"oracle", "clickhouse", "h2", "hsqldb", "db2", "snowflake", "tidb", "spanner", "redshift", "duckdb",
	"yugabyte", "yugabytedb", "mongodb", "cassandra", "derby", NULL
};

/* Files that hold code which another tool runs as a migration. */
static const char *const code_extensions[] = {
	"js", "ts", "cjs", "mjs", "cts", "mts", "go", "py", "rb", "java", "kt", "scala", "groovy", "php", "cs",
	"ex", "exs", "rs", "pl", "sh", "fizz", NULL
};

static void read_name(DbmFileName *file, DbmFormat format);
static const char *folder_dialect(const DbmFileName *file);
static bool read_settings_name(DbmFileName *file);
static bool read_folder_name(DbmFileName *file, const char *parent, const char *stem);
static bool read_up_down_folder(DbmFileName *file, const char *parent, const char *stem);
static bool read_flyway_name(DbmFileName *file, const char *stem);
static bool is_flyway_callback(const char *stem);
static void read_flat_name(DbmFileName *file, char *stem, DbmFormat format);
static void read_version_and_name(DbmFileName *file, const char *stem);
static int	date_length(const char *stem);
static void read_code_name(DbmFileName *file, const char *parent, char *stem, const char *extension);
static const char *last_folder(const char *folder);
static char *without(const char *text, const char *unwanted);
static bool take_suffix(char *stem, const char *suffix);
static char *take_extension(char *stem);
static bool is_one_of(const char *word, const char *const *words);
static void leave_out(DbmFileName *file, const char *reason);
static void reject(DbmFileName *file, const char *reason, const char *hint);

/*
 * Read the name of a file.  "path" is relative, with '/' between folders;
 * "format" is DBM_FORMAT_AUTO or the one format to go by.
 */
void
dbm_filename_read(const char *path, DbmFormat format, DbmFileName *file)
{
	memset(file, 0, sizeof(DbmFileName));
	file->path = path;
	file->format = format;
	for (const char *p = path; *p; p++)
		file->depth += *p == '/';
	read_name(file, format);
	file->folder_dialect = folder_dialect(file);
}

static void
read_name(DbmFileName *file, DbmFormat format)
{
	const char *path = file->path;
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	char	   *stem = pstrdup(base);
	const char *parent = last_folder(dbm_filename_folder(path));
	char	   *extension;

	if (*base == '\0')
		reject(file, "the name of the file is empty", NULL);
	else if (*base == '.' || strstr(path, "/.") != NULL || (*path == '.' && path[1] != '/' && path[1] != '.'))
		leave_out(file, "hidden file");
	else if (read_settings_name(file))
		 /* done */ ;
	else if ((extension = take_extension(stem)) == NULL || pg_strcasecmp(extension, "sql") != 0)
		read_code_name(file, parent, stem, extension);
	else
	{
		bool		is_auto = format == DBM_FORMAT_AUTO;
		bool		is_repeatable = strncmp(stem, "R__", 3) == 0;	/* in every format */

		if ((is_auto || format == DBM_FORMAT_DIESEL || format == DBM_FORMAT_PRISMA) &&
			read_folder_name(file, parent, stem))
			return;
		if ((is_auto || format == DBM_FORMAT_FOLDERS) && read_up_down_folder(file, parent, stem))
			return;
		if ((is_auto || is_repeatable || format == DBM_FORMAT_FLYWAY) && read_flyway_name(file, stem))
			return;
		if (format == DBM_FORMAT_DIESEL || format == DBM_FORMAT_PRISMA)
			leave_out(file, "outside of the migrations' folders");
		else if (format == DBM_FORMAT_FOLDERS)
			leave_out(file, "not in a folder named up or down");
		else if (format == DBM_FORMAT_FLYWAY)
			leave_out(file, "the name is not one that Flyway runs");
		else
			read_flat_name(file, stem, format);
	}
}

/*
 * The database whose name the folder of the migrations has, or NULL: of
 * postgresql/001_name.sql, postgresql/up/001_name.sql and
 * postgresql/20231106120000_name/up.sql.
 */
static const char *
folder_dialect(const DbmFileName *file)
{
	const char *folder = dbm_filename_folder(file->path);
	const char *name;

	if (file->format == DBM_FORMAT_FOLDERS || dbm_filename_has_own_folder(file))
		folder = dbm_filename_folder(folder);
	name = last_folder(folder);
	return is_one_of(name, our_dialects) || is_one_of(name, other_dialects) ? name : NULL;
}

/* metadata.toml of diesel, NAME.sql.conf of Flyway */
static bool
read_settings_name(DbmFileName *file)
{
	const char *slash = strrchr(file->path, '/');
	char	   *owner = pstrdup(file->path);

	if (strcmp(slash ? slash + 1 : file->path, "metadata.toml") == 0 && slash)
	{
		owner[slash - file->path] = '\0';
		file->format = DBM_FORMAT_DIESEL;
	}
	else if (take_suffix(owner, ".conf") && pg_strcasecmp(owner + Max((int) strlen(owner) - 4, 0), ".sql") == 0)
		file->format = DBM_FORMAT_FLYWAY;
	else
		return false;
	file->role = DBM_FILE_SETTINGS;
	file->settings_of = owner;
	return true;
}

/* VERSION_name/up.sql and down.sql (diesel), VERSION_name/migration.sql (Prisma) */
static bool
read_folder_name(DbmFileName *file, const char *parent, const char *stem)
{
	const char *underscore = strchr(parent, '_');
	char	   *version = underscore ? pnstrdup(parent, underscore - parent) : pstrdup(parent);

	if (strcmp(stem, "migration") == 0)
		file->format = DBM_FORMAT_PRISMA;
	else if (strcmp(stem, "up") != 0 && strcmp(stem, "down") != 0)
		return false;
	else if (file->format == DBM_FORMAT_AUTO)
		file->format = DBM_FORMAT_DIESEL;

	file->role = strcmp(stem, "down") == 0 ? DBM_FILE_DOWN : DBM_FILE_UP;
	version = without(version, "-");
	if (*version == '\0' || strspn(version, "0123456789") != strlen(version))
		reject(file, "its folder's name does not begin with a version",
			   "Folders are named like 20231106120000_name.");
	file->version = version;
	file->name = underscore ? underscore + 1 : "";
	return true;
}

/* up/001_name.sql and down/001_name.sql */
static bool
read_up_down_folder(DbmFileName *file, const char *parent, const char *stem)
{
	char	   *name = pstrdup(stem);

	if (pg_strcasecmp(parent, "up") != 0 && pg_strcasecmp(parent, "down") != 0)
		return false;
	file->role = pg_strcasecmp(parent, "up") == 0 ? DBM_FILE_UP : DBM_FILE_DOWN;
	file->format = DBM_FORMAT_FOLDERS;
	(void) take_suffix(name, file->role == DBM_FILE_UP ? ".up" : ".down");
	read_version_and_name(file, name);
	return true;
}

/* V1.2__name.sql, V1_2__name.sql, U..., B..., R__name.sql */
static bool
read_flyway_name(DbmFileName *file, const char *stem)
{
	const char *separator = strstr(stem, "__");
	char	   *version;
	const char *p;

	if (is_flyway_callback(stem))
	{
		file->format = DBM_FORMAT_FLYWAY;
		leave_out(file, "a callback of Flyway");
		return true;
	}
	if (separator == NULL || strchr("VURB", toupper((unsigned char) *stem)) == NULL)
		return false;

	version = pnstrdup(stem + 1, separator - stem - 1);
	for (p = version; *p; p += *p != '\0')
	{
		if (strspn(p, "0123456789") == 0)
			return false;
		p += strspn(p, "0123456789");
		if (*p && ((*p != '.' && *p != '_') || p[1] == '\0'))
			return false;
	}
	if ((*version == '\0') != (toupper((unsigned char) *stem) == 'R'))
		return false;
	for (char *c = version; *c; c++)
		if (*c == '_')
			*c = '.';

	file->format = DBM_FORMAT_FLYWAY;
	file->version = *version ? version : NULL;
	file->name = separator + 2;
	switch (toupper((unsigned char) *stem))
	{
		case 'V':
			file->role = DBM_FILE_UP;
			break;
		case 'U':
			file->role = DBM_FILE_DOWN;
			break;
		case 'B':
			file->role = DBM_FILE_BASELINE;
			break;
		case 'R':
			file->role = DBM_FILE_REPEATABLE;
			if (*file->name == '\0')
				reject(file, "a repeatable migration needs a name", "Files are named like R__name.sql.");
			break;
	}
	return true;
}

/* afterMigrate.sql, beforeEachMigrate__name.sql */
static bool
is_flyway_callback(const char *stem)
{
	int			len = strncmp(stem, "before", 6) == 0 ? 6 : strncmp(stem, "after", 5) == 0 ? 5 : 0;

	if (len == 0 || !isupper((unsigned char) stem[len]))
		return false;
	while (isalpha((unsigned char) stem[len]))
		len++;
	return stem[len] == '\0' || strncmp(stem + len, "__", 2) == 0;
}

/*
 * 001_name.up.sql and 001_name.down.sql (golang-migrate, sqlx), with a
 * database in the name or not; 001_name.sql (all others).
 */
static void
read_flat_name(DbmFileName *file, char *stem, DbmFormat format)
{
	bool		may_pair = format == DBM_FORMAT_AUTO || format == DBM_FORMAT_NODE_PG_MIGRATE ||
		format == DBM_FORMAT_PLAIN || format == DBM_FORMAT_GOLANG_MIGRATE || format == DBM_FORMAT_SQLX;
	const char *dot;

	file->is_flat = true;
	file->role = DBM_FILE_SECTIONS;
	if (may_pair && take_suffix(stem, ".up"))
		file->role = DBM_FILE_UP;
	else if (may_pair && take_suffix(stem, ".down"))
		file->role = DBM_FILE_DOWN;
	else if (format == DBM_FORMAT_GOLANG_MIGRATE)
	{
		leave_out(file, "golang-migrate runs files named .up.sql and .down.sql only");
		return;
	}
	if (file->role != DBM_FILE_SECTIONS && format == DBM_FORMAT_AUTO)
		file->format = DBM_FORMAT_GOLANG_MIGRATE;

	if (may_pair)
	{
		file->no_transaction = take_suffix(stem, ".autocommit");
		if (file->role != DBM_FILE_SECTIONS)
			(void) take_suffix(stem, ".sql");	/* 001_name.sql.up.sql */
		dot = strrchr(stem, '.');
		if (dot && (is_one_of(dot + 1, other_dialects) || is_one_of(dot + 1, our_dialects)))
		{
			file->dialect = pstrdup(dot + 1);
			stem[dot - stem] = '\0';
		}
	}
	if ((*stem == 'V' || *stem == 'v') && isdigit((unsigned char) stem[1]))
		stem++;
	read_version_and_name(file, stem);
	if (file->dialect && is_one_of(file->dialect, other_dialects))
		leave_out(file, psprintf("for another database: %s", file->dialect));
}

/*
 * Take apart what a file is called without its extension: a version, which is
 * NULL if there is none, and the rest.  A '_' ends the version, since it
 * separates more often than it belongs to one.
 */
void
dbm_filename_split(const char *stem, const char **version, const char **name)
{
	int			len = date_length(stem);

	if (len > 0)
		*version = without(pnstrdup(stem, len), "-_T");
	else
	{
		len = strspn(stem, "0123456789");
		while (len > 0 && stem[len] == '.' && isdigit((unsigned char) stem[len + 1]))
			len += 1 + strspn(stem + len + 1, "0123456789");
		*version = len > 0 ? pnstrdup(stem, len) : NULL;
	}
	*name = pstrdup(len > 0 ? stem + len + strspn(stem + len, "_-. ") : stem);
}

/* Version, separators, name; refused without a version. */
static void
read_version_and_name(DbmFileName *file, const char *stem)
{
	dbm_filename_split(stem, &file->version, &file->name);
	if (file->version == NULL)
	{
		file->version = "";
		reject(file, "the name of the file does not begin with a version",
			   "Name it like 001_name.sql, or R__name.sql if it is to run again whenever it changes, or leave it out.");
	}
}

/*
 * The length of a date, perhaps with a time, that is written with separators:
 * 2023-11-06, 2023_11_06_120000, 2023-11-06-120000.  0 if there is none.
 */
static int
date_length(const char *stem)
{
	static const char *const patterns[] = {"dddd-dd-dd-dddddd", "dddd-dd-dd-dddd", "dddd-dd-dd", NULL};

	if (strncmp(stem, "19", 2) != 0 && strncmp(stem, "20", 2) != 0)
		return 0;
	for (int i = 0; patterns[i]; i++)
	{
		int			at = 0;

		while (patterns[i][at] &&
			   (patterns[i][at] == 'd' ? isdigit((unsigned char) stem[at]) :
				stem[at] == '-' || stem[at] == '_' || (stem[at] == 'T' && at > 4)))
			at++;
		if (patterns[i][at] == '\0' && !isdigit((unsigned char) stem[at]))
			return at;
	}
	return 0;
}

/*
 * Not .sql: 001_name.js, V1__name.java, VERSION_name/migration.ts.  Code that
 * another tool would run is not left out in silence.
 */
static void
read_code_name(DbmFileName *file, const char *parent, char *stem, const char *extension)
{
	leave_out(file, "not an .sql file");
	if (extension == NULL || !is_one_of(extension, code_extensions) ||
		take_suffix(stem, "_test") || take_suffix(stem, ".test") || take_suffix(stem, ".spec"))
		return;
	if (strcmp(stem, "migration") == 0 && read_folder_name(file, parent, stem))
		 /* a folder of Prisma's kind */ ;
	else if (strstr(stem, "__") && read_flyway_name(file, stem))
		 /* V1__name */ ;
	else if (isdigit((unsigned char) *stem))
	{
		if (take_suffix(stem, ".down"))
			return;
		(void) take_suffix(stem, ".up");
		file->is_flat = true;
		file->role = DBM_FILE_CODE;
		read_version_and_name(file, stem);
	}
	if (file->role == DBM_FILE_UP)
		file->role = DBM_FILE_CODE;
	else if (file->role != DBM_FILE_CODE)
		leave_out(file, "not an .sql file");
}

/* The name of the innermost folder of a path to one. */
static const char *
last_folder(const char *folder)
{
	const char *slash = strrchr(folder, '/');

	return slash ? slash + 1 : folder;
}

/* A copy without certain characters. */
static char *
without(const char *text, const char *unwanted)
{
	char	   *result = palloc(strlen(text) + 1);
	char	   *to = result;

	for (; *text; text++)
		if (strchr(unwanted, *text) == NULL)
			*to++ = *text;
	*to = '\0';
	return result;
}

static bool
take_suffix(char *stem, const char *suffix)
{
	size_t		len = strlen(stem);
	size_t		suffix_len = strlen(suffix);

	if (len < suffix_len || pg_strcasecmp(stem + len - suffix_len, suffix) != 0)
		return false;
	stem[len - suffix_len] = '\0';
	return true;
}

/* What is behind the last dot, which ends the stem; NULL if there is none. */
static char *
take_extension(char *stem)
{
	char	   *dot = strrchr(stem, '.');

	if (dot == NULL || dot == stem)
		return NULL;
	*dot = '\0';
	return dot + 1;
}

static bool
is_one_of(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (pg_strcasecmp(word, *words) == 0)
			return true;
	return false;
}

/* Is this folder's database ours? */
bool
dbm_filename_is_ours(const char *dialect)
{
	return is_one_of(dialect, our_dialects);
}

static void
leave_out(DbmFileName *file, const char *reason)
{
	file->role = DBM_FILE_LEFT_OUT;
	file->reason = reason;
}

static void
reject(DbmFileName *file, const char *reason, const char *hint)
{
	file->role = DBM_FILE_BAD;
	file->reason = reason;
	file->hint = hint;
}

/* The path of the folder that a file is in. */
const char *
dbm_filename_folder(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? pnstrdup(path, slash - path) : "";
}

/* Do its files have a folder for each migration? */
bool
dbm_filename_has_own_folder(const DbmFileName *name)
{
	return name->format == DBM_FORMAT_PRISMA || name->format == DBM_FORMAT_DIESEL;
}
