/*-------------------------------------------------------------------------
 *
 * files.c
 *	  The files of a directory.
 *
 * What is found below the directory is opened by its name in the folder that is
 * open already, and no link is followed: it may lead to what is no migration, and
 * would be shown in errors.  A file is opened without waiting, and looked at
 * afterwards, so that a pipe or a device that takes its place hangs nobody.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "create.h"
#include "files.h"
#include "options.h"
#include "say.h"
#include "utf8.h"

#define MAX_DEPTH 64
#define MAX_SIZE ((off_t) 1024 * 1024 * 1024)	/* of what the server's text
												 * can hold */

static void read_folder(Files *files, int folder, const char *prefix, int depth);
static void read_entry(Files *files, int folder, const struct dirent *entry, const char *prefix, int depth);
static mode_t entry_type(int folder, const struct dirent *entry);
static void read_link(Files *files, int folder, const char *name, const char *path);
static void add_file(Files *files, int folder, const char *name, const char *path);
static void check_content(Files *files, File *file, const char *content, size_t len);
static char *read_content(int folder, const char *name, size_t *len);
static int	compare_names(const void *one, const void *other);
static int	compare_with_name(const void *name, const void *file);
static bool is_text_name(const char *name);
static void add_problem(Files *files, const char *path, const char *format,...) __attribute__((format(printf, 3, 4)));
static void sha256(const void *data, size_t len, unsigned char *digest);
static void digest_or_fail(int success);

/* Is there a directory to work with?  One that was asked for has to be there. */
bool
files_find_directory(Files *files, bool required)
{
	memset(files, 0, sizeof(Files));
	files->directory = options.directory;
	files->root = -1;
	if (options.registered)
		return false;
	files->root = open(files->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (files->root >= 0)
		return true;
	if (errno != ENOENT && errno != ENOTDIR)
		fail(format_string("the directory %s cannot be read: %s", harmless_line(files->directory), strerror(errno)), NULL);
	if (!required && !options.directory_chosen)
	{
		note("note: no directory %s; this is what the database knows", harmless_line(files->directory));
		return false;
	}
	fail(format_string("the directory %s does not exist", harmless_line(files->directory)),
		 format_string("mkdir %s, or name another one with -d\n--registered does without: what is registered in the database",
					   harmless_line(files->directory)));
}

/* Reads them all; ends the program if one of them cannot be used. */
void
files_read(Files *files, bool required)
{
	files_scan(files);
	if (files->problems.len > 0)
	{
		/* names have no ends of lines in them any more */
		say("%.*s", (int) files->problems.len - 1, files->problems.data);
		fail(format_string("the files of %s cannot all be used, nothing was registered", harmless_line(files->directory)), NULL);
	}
	if (files->links.len > 0)
		note("note: not followed, links to directories:\n%.*s", (int) files->links.len - 1, files->links.data);
	if (files->n == 0 && required)
		fail(format_string("there are no migration files in %s", harmless_line(files->directory)),
			 "dbmigrate create NAME writes the first one");
}

/* Reads what can be read of the open directory; "problems" has the rest. */
void
files_scan(Files *files)
{
	int			folder = openat(files->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		add_problem(files, files->directory, "cannot be read");
	else
		read_folder(files, folder, "", 0);
	if (files->n > 0)
		qsort(files->file, files->n, sizeof(File), compare_names);
}

static void
read_folder(Files *files, int folder, const char *prefix, int depth)
{
	DIR		   *directory = depth > MAX_DEPTH ? NULL : fdopendir(folder);
	struct dirent *entry;

	if (directory == NULL)
	{
		add_problem(files, *prefix ? prefix : files->directory, depth > MAX_DEPTH ? "too many folders in each other" : "cannot be read");
		close(folder);
		return;
	}
	while ((entry = readdir(directory)) != NULL)
		if (entry->d_name[0] != '.')
			read_entry(files, folder, entry, prefix, depth);
	closedir(directory);
}

static void
read_entry(Files *files, int folder, const struct dirent *entry, const char *prefix, int depth)
{
	const char *name = entry->d_name;
	char	   *path = format_string("%s%s%s", prefix, *prefix ? "/" : "", name);
	mode_t		type = entry_type(folder, entry);

	if (type == 0)
		add_problem(files, path, "cannot be read");
	else if (S_ISLNK(type))
		read_link(files, folder, name, path);
	else if (S_ISDIR(type))
	{
		int			below = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (below < 0)
			add_problem(files, path, "cannot be read");
		else
			read_folder(files, below, path, depth + 1);
	}
	else if (S_ISREG(type))
		add_file(files, folder, name, path);
	free(path);
}

/* Of a link its own; 0 if it is not known. */
static mode_t
entry_type(int folder, const struct dirent *entry)
{
	struct stat st;

#ifdef DT_UNKNOWN
	/* most file systems tell it with the name */
	if (entry->d_type == DT_REG)
		return S_IFREG;
	if (entry->d_type == DT_DIR)
		return S_IFDIR;
#endif
	return fstatat(folder, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? 0 : st.st_mode;
}

/* A link is an error, but for one to a directory. */
static void
read_link(Files *files, int folder, const char *name, const char *path)
{
	struct stat st;

	if (fstatat(folder, name, &st, 0) == 0 && S_ISDIR(st.st_mode))
		text_format(&files->links, "%s\n", harmless_line(path));
	else
		add_problem(files, path, "is a symbolic link");
}

static void
add_file(Files *files, int folder, const char *name, const char *path)
{
	File	   *file;
	char	   *content;

	if (utf8_valid_prefix(path, strlen(path)) < strlen(path))
	{
		add_problem(files, path, "not UTF-8");
		return;
	}
	if (files->n == files->room)
	{
		files->room = 2 * files->room + 64;
		files->file = reallocate(files->file, files->room * sizeof(File));
	}
	file = &files->file[files->n++];
	memset(file, 0, sizeof(File));
	file->name = copy_string(path);
	file->is_text = is_text_name(name);
	if (!file->is_text)
		return;
	content = read_content(folder, name, &file->len);
	if (content == NULL)
	{
		add_problem(files, path, "cannot be read");
		return;
	}
	check_content(files, file, content, file->len);
	sha256(content, file->len, file->sha256);
	free(content);
}

static bool
is_text_name(const char *name)
{
	return ends_with_nocase(name, ".sql") || ends_with_nocase(name, ".toml") || ends_with_nocase(name, ".conf");
}

static void
check_content(Files *files, File *file, const char *content, size_t len)
{
	size_t		valid = utf8_valid_prefix(content, len);

	if (memchr(content, '\0', len) || memchr(content, 0xff, len))
		add_problem(files, file->name, "not UTF-8 text (it has bytes 00 or FF)");
	else if (valid < len)
	{
		int			line = 1;

		for (size_t i = 0; i < valid; i++)
			line += content[i] == '\n';
		text_format(&files->problems, "%s, line %d: not UTF-8\n", harmless_line(file->name), line);
	}
	else if (create_is_template(content, len))
		text_format(&files->templates, "%s%s/%s", files->templates.len > 0 ? "\n" : "", harmless_line(files->directory),
					harmless_line(file->name));
}

/* NULL if it cannot be had, or is no file. */
static char *
read_content(int folder, const char *name, size_t *len)
{
	int			file = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char	   *content = NULL;
	ssize_t		got = -1;

	*len = 0;
	if (file < 0)
		return NULL;
	if (fstat(file, &st) == 0 && S_ISREG(st.st_mode) && st.st_size < MAX_SIZE)
	{
		size_t		room = (size_t) st.st_size + 1;

		content = allocate(room + 1);
		/* it may grow while it is read */
		while ((got = read(file, content + *len, room - *len)) > 0)
		{
			*len += (size_t) got;
			if (*len == room)
				content = reallocate(content, (room *= 2) + 1);
		}
		content[*len] = '\0';
	}
	close(file);
	if (got < 0)
	{
		free(content);
		return NULL;
	}
	return content;
}

static int
compare_names(const void *one, const void *other)
{
	return strcmp(((const File *) one)->name, ((const File *) other)->name);
}

static void
add_problem(Files *files, const char *path, const char *format,...)
{
	va_list		arguments;
	char	   *what;

	va_start(arguments, format);
	what = format_arguments(format, arguments);
	va_end(arguments);
	text_format(&files->problems, "%s: %s\n", harmless_line(path), what);
	free(what);
}

/* Applied, it could not be filled in any more. */
void
files_refuse_templates(const Files *files)
{
	if (files->templates.len > 0)
		fail(format_string("nothing is filled in: %s", files->templates.data),
			 "write the SQL under the first marker, or remove the file");
}

/* Once more; an error if it is not what it was, as what is sent has been hashed. */
char *
files_content(const Files *files, const File *file, size_t *len)
{
	char	   *content = files_content_if_same(files, file, len);

	if (content == NULL)
		fail(format_string("%s was changed while it was read", harmless_line(file->name)), "call it again");
	return content;
}

/* NULL if it is not what it was. */
char *
files_content_if_same(const Files *files, const File *file, size_t *len)
{
	unsigned char digest[SHA256_LENGTH];
	char	   *content;
	const char *slash = strrchr(file->name, '/');
	int			folder = files->root;

	/* what is above the file may have become a link, too */
	for (const char *name = file->name; slash && name <= slash; name = strchr(name, '/') + 1)
	{
		char	   *part = copy_bytes(name, strcspn(name, "/"));
		int			below = folder < 0 ? -1 : openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		free(part);
		if (folder >= 0 && folder != files->root)
			close(folder);
		folder = below;
	}
	content = folder < 0 ? NULL : read_content(folder, slash ? slash + 1 : file->name, len);
	if (folder >= 0 && folder != files->root)
		close(folder);
	if (content == NULL)
		return NULL;
	sha256(content, *len, digest);
	if (memcmp(digest, file->sha256, SHA256_LENGTH) == 0)
		return content;
	free(content);
	return NULL;
}

/* NULL if there is none of that name. */
const File *
files_find(const Files *files, const char *name)
{
	return files->n == 0 ? NULL : bsearch(name, files->file, files->n, sizeof(File), compare_with_name);
}

static int
compare_with_name(const void *name, const void *file)
{
	return strcmp(name, ((const File *) file)->name);
}

/* Of all names and contents, as migrate.files_digest() computes it. */
void
files_digest(const Files *files, unsigned char *digest)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	digest_or_fail(context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL));
	for (size_t i = 0; i < files->n; i++)
		digest_or_fail(EVP_DigestUpdate(context, files->file[i].name, strlen(files->file[i].name) + 1) &&
					   EVP_DigestUpdate(context, files->file[i].sha256, SHA256_LENGTH));
	digest_or_fail(EVP_DigestFinal_ex(context, digest, NULL));
	EVP_MD_CTX_free(context);
}

static void
sha256(const void *data, size_t len, unsigned char *digest)
{
	digest_or_fail(EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL));
}

static void
digest_or_fail(int success)
{
	if (!success)
		fail("SHA-256 cannot be computed by this libcrypto", NULL);
}

char *
hex_string(const unsigned char *bytes, size_t len)
{
	Text		hex = {0};

	for (size_t i = 0; i < len; i++)
		text_format(&hex, "%02x", bytes[i]);
	text_append(&hex, "");
	return hex.data;
}
