/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Register the migrations of a directory on the server's own disk.
 *
 * Who may read the server's files with COPY may do so here, nobody else.
 * Symbolic links are refused, and so is what is neither file nor directory: a
 * directory that others can write to must not lead elsewhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "catalog/pg_authid.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "dbmigrate.h"

#define MAX_DEPTH 16

/* The walk over a directory. */
typedef struct Walk
{
	DbmFormat	format;
	List	   *files;			/* of DbmFile */
	List	   *troubles;
} Walk;

static void check_directory(const char *directory);
static void read_directory(Walk *walk, const char *directory, const char *prefix, int depth);
static void read_entry(Walk *walk, const char *path, const char *name, int depth);
static void read_file(Walk *walk, const char *path, const char *name);
static void describe_file(void *arg);
static char *read_bytes(const char *path, int *len, const char **problem);
static void add_trouble(Walk *walk, const char *name, int sqlerrcode, const char *message);

PG_FUNCTION_INFO_V1(dbmigrate_load);

/*
 * SQL: migrate.load(directory, format)
 *
 * A relative path begins at the data directory, as elsewhere.  Files are in
 * client_encoding, as for COPY.
 */
Datum
dbmigrate_load(PG_FUNCTION_ARGS)
{
	Walk		walk = {0};
	char	   *directory;

	walk.format = PG_ARGISNULL(1) ? DBM_FORMAT_AUTO :
		dbm_format_by_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("directory must not be null")));
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server"),
				 errdetail("Only roles with privileges of the role \"pg_read_server_files\" may do so."),
				 errhint("Register the files from the client: SELECT * FROM migrate.add_files(...); or: dbmigrate push.")));
	directory = text_to_cstring(PG_GETARG_TEXT_PP(0));
	canonicalize_path(directory);
	check_directory(directory);
	read_directory(&walk, directory, "", 0);
	dbm_add_files(fcinfo, "migrate.load()", walk.files, walk.troubles, walk.format, false);
	return (Datum) 0;
}

static void
check_directory(const char *directory)
{
	struct stat st;

	if (*directory == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("directory must not be empty")));
	if (lstat(directory, &st) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat directory \"%s\": %m", directory),
				 errhint("The path is one on the server.  From the client use: dbmigrate push -d DIRECTORY")));
	if (S_ISLNK(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a symbolic link", directory),
				 errhint("Name the directory that it points to.")));
	if (!S_ISDIR(st.st_mode))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a directory", directory),
				 errhint("For a single file: SELECT * FROM migrate.add_file('name.sql', pg_read_file('path'));")));
}

/* Read all entries; "prefix" is the path within the set, with a '/' if not empty. */
static void
read_directory(Walk *walk, const char *directory, const char *prefix, int depth)
{
	DIR		   *dir = AllocateDir(directory);
	struct dirent *entry;

	while ((entry = ReadDir(dir, directory)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		read_entry(walk, psprintf("%s/%s", directory, entry->d_name),
				   psprintf("%s%s", prefix, entry->d_name), depth);
	}
	FreeDir(dir);
}

static void
read_entry(Walk *walk, const char *path, const char *name, int depth)
{
	struct stat st;
	const char *base = strrchr(path, '/') + 1;

	if (!pg_verify_mbstr(pg_get_client_encoding(), name, strlen(name), true))
		add_trouble(walk, "a file", ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
					psprintf("its name is not valid in encoding %s",
							 pg_get_client_encoding_name()));
	else if (lstat(path, &st) != 0)
		add_trouble(walk, name, ERRCODE_UNDEFINED_FILE, psprintf("could not stat: %m"));
	else if (S_ISLNK(st.st_mode))
		add_trouble(walk, name, ERRCODE_WRONG_OBJECT_TYPE, "is a symbolic link");
	else if (S_ISDIR(st.st_mode))
	{
		if (*base == '.')
			return;				/* of a version control system, for example */
		if (depth >= MAX_DEPTH)
			add_trouble(walk, name, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "there are too many levels of directories");
		else
			read_directory(walk, path, psprintf("%s/", name), depth + 1);
	}
	else if (S_ISREG(st.st_mode))
		read_file(walk, path, name);
	else
		add_trouble(walk, name, ERRCODE_WRONG_OBJECT_TYPE, "is neither a file nor a directory");
}

/* Add a file; the content of one that is no migration is not looked at. */
static void
read_file(Walk *walk, const char *path, const char *name)
{
	DbmFile    *file = palloc0(sizeof(DbmFile));
	const char *problem = NULL;
	int			encoding = pg_get_client_encoding();
	ErrorContextCallback context;
	char	   *bytes;

	file->path = pg_any_to_server(name, strlen(name), encoding);
	file->content = "";
	dbm_filename_read(file->path, walk->format, &file->name);
	if (file->name.role == DBM_FILE_LEFT_OUT)
	{
		walk->files = lappend(walk->files, file);
		return;
	}

	context.callback = describe_file;
	context.arg = unconstify(char *, file->path);
	context.previous = error_context_stack;
	error_context_stack = &context;
	bytes = read_bytes(path, &file->len, &problem);
	if (bytes && !pg_verify_mbstr(encoding, bytes, file->len, true))
		problem = psprintf("is not valid text in encoding %s", pg_get_client_encoding_name());
	if (problem)
	{
		error_context_stack = context.previous;
		add_trouble(walk, file->path, ERRCODE_CHARACTER_NOT_IN_REPERTOIRE, problem);
		return;
	}
	file->content = pg_any_to_server(bytes, file->len, encoding);
	if (file->content != bytes)
		file->len = strlen(file->content);
	error_context_stack = context.previous;
	walk->files = lappend(walk->files, file);
}

/* An error of the conversion names no file. */
static void
describe_file(void *arg)
{
	errcontext("file \"%s\"", (const char *) arg);
}

/* All bytes of a file, NUL-terminated; NULL and *problem if that fails. */
static char *
read_bytes(const char *path, int *len, const char **problem)
{
	int			fd = OpenTransientFile(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | PG_BINARY);
	struct stat st;
	char	   *bytes = NULL;

	*len = 0;
	if (fd < 0 || fstat(fd, &st) != 0)
		*problem = psprintf("could not open: %m");
	else if (!S_ISREG(st.st_mode))
		*problem = "is not a file";
	else if (st.st_size >= MaxAllocSize - VARHDRSZ)
		*problem = "is too large";
	else
	{
		ssize_t		got;

		bytes = palloc(st.st_size + 1);
		while (*len < st.st_size && (got = read(fd, bytes + *len, st.st_size - *len)) > 0)
			*len += got;
		bytes[*len] = '\0';
		if (*len < st.st_size)
		{
			*problem = "could not read: it was changed meanwhile";
			bytes = NULL;
		}
	}
	if (fd >= 0)
		CloseTransientFile(fd);
	return bytes;
}

static void
add_trouble(Walk *walk, const char *name, int sqlerrcode, const char *message)
{
	DbmTrouble *trouble = dbm_trouble(sqlerrcode, message, NULL, NULL);

	trouble->file = name;
	walk->troubles = lappend(walk->troubles, trouble);
}
