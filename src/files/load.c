/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Register the migrations of a directory on the server's own disk.
 *
 * Who may read the server's files with COPY may do so here, nobody else.
 * Symbolic links are refused, and so is what is neither file nor directory: a
 * directory that others can write to must not lead elsewhere, also while it is
 * read.  So every name is looked up in the open directory that it was read
 * from, and no link is followed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dirent.h>
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

#include "files/internal.h"

#define MAX_DEPTH 16

/* The walk over a directory. */
typedef struct Walk
{
	DbmFormat	format;
	List	   *files;			/* of DbmFile */
	List	   *troubles;
	DIR		   *dirs[MAX_DEPTH + 1];	/* that are open, the present one last */
	int			ndirs;
	int			fd;				/* that is open beside them, or -1 */
} Walk;

static int	open_top(const char *directory);
static void refuse_top(const char *directory);
static int	open_entry(int dir, const char *base, int flags);
static void close_all(Walk *walk);
static void close_file(Walk *walk);
static void read_directory(Walk *walk, const char *name);
static void read_entry(Walk *walk, const char *base, const char *name);
static void read_subdirectory(Walk *walk, const char *base, const char *name);
static void read_file(Walk *walk, const char *base, const char *name);
static void describe_file(void *arg);
static char *read_bytes(Walk *walk, const char *base, int *len, const char **problem);
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
	Walk		walk = {.fd = -1};
	char	   *directory;

	walk.format = PG_ARGISNULL(1) ? DBM_FORMAT_AUTO :
		dbm_format_by_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	dbm_check_not_null(fcinfo, 0, "directory");
	if (!has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to read files of the server"),
				 errdetail("Only roles with privileges of the role \"pg_read_server_files\" may do so."),
				 errhint("Register the files from the client: SELECT * FROM migrate.add_files(...); or: dbmigrate push.")));
	directory = text_to_cstring(PG_GETARG_TEXT_PP(0));
	canonicalize_path(directory);
	walk.fd = open_top(directory);
	PG_TRY();
	{
		read_directory(&walk, "");
	}
	PG_FINALLY();
	{
		close_all(&walk);
	}
	PG_END_TRY();
	dbm_add_files(fcinfo, "migrate.load()", walk.files, walk.troubles, walk.format,
				  dbm_text_argument(fcinfo, 2), false);
	return (Datum) 0;
}

static int
open_top(const char *directory)
{
	int			fd;

	if (*directory == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("directory must not be empty")));
	fd = open_entry(AT_FDCWD, directory, O_DIRECTORY);
	if (fd < 0)
		refuse_top(directory);
	return fd;
}

/* Say why it could not be opened; errno does not tell a link from a file. */
static void
refuse_top(const char *directory)
{
	int			open_errno = errno;
	struct stat st;

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
	errno = open_errno;
	ereport(ERROR,
			(errcode_for_file_access(),
			 errmsg("could not open directory \"%s\": %m", directory)));
}

/*
 * Open what has this name in an open directory, unless it is a symbolic link;
 * -1 and errno if that fails.  The server's own functions take paths only, so
 * these descriptors are counted as foreign ones.
 */
static int
open_entry(int dir, const char *base, int flags)
{
	int			fd = -1;

	if (AcquireExternalFD())
	{
		fd = openat(dir, base, flags | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd < 0)
			ReleaseExternalFD();	/* keeps errno */
	}
	return fd;
}

static void
close_all(Walk *walk)
{
	close_file(walk);
	while (walk->ndirs > 0)
	{
		closedir(walk->dirs[--walk->ndirs]);
		ReleaseExternalFD();
	}
}

static void
close_file(Walk *walk)
{
	if (walk->fd < 0)
		return;
	close(walk->fd);
	walk->fd = -1;
	ReleaseExternalFD();
}

/* Read all entries of the directory that is open as walk->fd. */
static void
read_directory(Walk *walk, const char *name)
{
	DIR		   *dir = fdopendir(walk->fd);
	struct dirent *entry;

	if (dir == NULL)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not open directory \"%s\": %m", name)));
	walk->dirs[walk->ndirs++] = dir;
	walk->fd = -1;				/* the stream's now */

	while (errno = 0, (entry = readdir(dir)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		read_entry(walk, entry->d_name,
				   psprintf("%s%s%s", name, *name ? "/" : "", entry->d_name));
	}
	if (errno != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read directory \"%s\": %m", name)));

	closedir(dir);
	walk->ndirs--;
	ReleaseExternalFD();
}

/* "name" is the path within the set, "base" its last part. */
static void
read_entry(Walk *walk, const char *base, const char *name)
{
	struct stat st;

	if (!pg_verify_mbstr(pg_get_client_encoding(), name, strlen(name), true))
		add_trouble(walk, "a file", ERRCODE_CHARACTER_NOT_IN_REPERTOIRE,
					psprintf("its name is not valid in encoding %s",
							 pg_get_client_encoding_name()));
	else if (fstatat(dirfd(walk->dirs[walk->ndirs - 1]), base, &st, AT_SYMLINK_NOFOLLOW) != 0)
		add_trouble(walk, name, ERRCODE_UNDEFINED_FILE, psprintf("could not stat: %m"));
	else if (S_ISLNK(st.st_mode))
		add_trouble(walk, name, ERRCODE_WRONG_OBJECT_TYPE, "is a symbolic link");
	else if (S_ISDIR(st.st_mode))
		read_subdirectory(walk, base, name);
	else if (S_ISREG(st.st_mode))
		read_file(walk, base, name);
	else
		add_trouble(walk, name, ERRCODE_WRONG_OBJECT_TYPE, "is neither a file nor a directory");
}

static void
read_subdirectory(Walk *walk, const char *base, const char *name)
{
	if (*base == '.')
		return;					/* of a version control system, for example */
	if (walk->ndirs > MAX_DEPTH)
	{
		add_trouble(walk, name, ERRCODE_PROGRAM_LIMIT_EXCEEDED, "there are too many levels of directories");
		return;
	}
	walk->fd = open_entry(dirfd(walk->dirs[walk->ndirs - 1]), base, O_DIRECTORY);
	if (walk->fd < 0)
		add_trouble(walk, name, ERRCODE_UNDEFINED_FILE, psprintf("could not open: %m"));
	else
		read_directory(walk, name);
}

/* Add a file; the content of one that is no migration is not looked at. */
static void
read_file(Walk *walk, const char *base, const char *name)
{
	DbmFile    *file = palloc0(sizeof(DbmFile));
	const char *problem = NULL;
	int			encoding = pg_get_client_encoding();
	ErrorContextCallback context;
	char	   *bytes;

	file->path = pg_any_to_server(name, strlen(name), encoding);
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
	bytes = read_bytes(walk, base, &file->len, &problem);
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
read_bytes(Walk *walk, const char *base, int *len, const char **problem)
{
	int			fd = open_entry(dirfd(walk->dirs[walk->ndirs - 1]), base, 0);
	struct stat st;
	char	   *bytes = NULL;

	*len = 0;
	walk->fd = fd;
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
	close_file(walk);
	return bytes;
}

static void
add_trouble(Walk *walk, const char *name, int sqlerrcode, const char *message)
{
	DbmTrouble *trouble = dbm_trouble(sqlerrcode, message, NULL, NULL);

	trouble->file = name;
	walk->troubles = lappend(walk->troubles, trouble);
}
