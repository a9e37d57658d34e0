/*-------------------------------------------------------------------------
 *
 * create.c
 *	  New migration files.
 *
 *-------------------------------------------------------------------------
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "create.h"
#include "options.h"
#include "outcome.h"
#include "report.h"
#include "say.h"
#include "utf8.h"

#define MAX_NAME 200
#define TEMPLATE_LINE "-- SQL that makes the change; it runs in one transaction with its bookkeeping."
#define UP_SECTION "-- Up Migration\n" TEMPLATE_LINE "\n\n"
#define DOWN_SECTION "-- Down Migration\n-- SQL that undoes the change; without any, the migration cannot be rolled back.\n\n"

static char *file_name(const char *wish);
static bool belongs_in_name(unsigned char c);
static char *free_version(int folder);
static bool is_taken(int folder, const char *version);
static void write_migration(int folder, const char *name, const char *content);
static bool is_blank_or_comment(const char *line, size_t len);

/* create NAME */
int
command_create(void)
{
	char	   *name = file_name(options.argument);
	char	   *base;
	int			folder;

	outcome.only_looks = true;
	if (*name == '\0')
		usage_error("dbmigrate create add_users", "no file name can be made of \"%s\"", options.argument);
	if (strlen(name) > MAX_NAME)
		usage_error(NULL, "the name is too long");
	if (!create_directories(options.directory) ||
		(folder = open(options.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		fail(format_string("cannot create the directory %s", harmless_line(options.directory)), NULL);
	base = format_string("%s_%s", free_version(folder), name);
	if (options.split)
	{
		write_migration(folder, format_string("%s.up.sql", base), UP_SECTION);
		write_migration(folder, format_string("%s.down.sql", base), DOWN_SECTION);
	}
	else
		write_migration(folder, format_string("%s.sql", base), UP_SECTION DOWN_SECTION);
	return outcome_end();
}

/* A dot could make it NAME.down.sql, which means something. */
static char *
file_name(const char *wish)
{
	Text		name = {0};

	for (; *wish; wish++)
	{
		if (belongs_in_name((unsigned char) *wish))
			text_append_char(&name, *wish);
		else if (name.len > 0 && name.data[name.len - 1] != '_')
			text_append_char(&name, '_');
		while (name.len > 0 && (name.data[0] == '_' || name.data[0] == '-') && name.len == 1)
			text_clear(&name);
	}
	if (name.len > 0 && name.data[name.len - 1] == '_')
		name.data[--name.len] = '\0';
	text_append(&name, "");
	return name.data;
}

static bool
belongs_in_name(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c >= 0x80 || c == '-';
}

/* A version of its own for each file, also when made in the same second. */
static char *
free_version(int folder)
{
	char		version[15];

	for (;;)
	{
		time_t		seconds = time(NULL);
		struct tm	utc;

		if (gmtime_r(&seconds, &utc) == NULL || strftime(version, sizeof(version), "%Y%m%d%H%M%S", &utc) == 0)
			fail("the time is not known", NULL);
		if (!is_taken(folder, version))
			return copy_string(version);
		sleep(1);
	}
}

static bool
is_taken(int folder, const char *version)
{
	int			again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR		   *directory = again < 0 ? NULL : fdopendir(again);
	struct dirent *entry;
	bool		found = false;

	while (directory && (entry = readdir(directory)) != NULL)
		found |= begins_with(entry->d_name, version);
	if (directory)
		closedir(directory);
	return found;
}

static void
write_migration(int folder, const char *name, const char *content)
{
	const char *directory = begins_with(options.directory, "./") ? options.directory + 2 : options.directory;
	char	   *path = format_string("%s/%s", directory, name);
	Text		row = {0};

	if (!write_new_file(folder, name, content, strlen(content)))
		fail(format_string("cannot write %s", harmless_line(path)), NULL);
	tell("%s", harmless_line(path));
	json_member(&row, "file", path);
	report_add("created", &row);
}

/* A file that is there already is never touched. */
bool
write_new_file(int folder, const char *name, const char *content, size_t len)
{
	int			file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	size_t		done = 0;

	if (file < 0)
		return false;
	while (done < len)
	{
		ssize_t		written = write(file, content + done, len - done);

		if (written < 0 && errno != EINTR)
			break;
		done += written < 0 ? 0 : (size_t) written;
	}
	if (close(file) == 0 && done == len)
		return true;
	unlinkat(folder, name, 0);
	return false;
}

/* The directory, and those above it. */
bool
create_directories(const char *path)
{
	char	   *copy = copy_string(path);
	struct stat st;

	for (char *slash = strchr(copy + 1, '/'); *copy && slash; slash = strchr(slash + 1, '/'))
	{
		*slash = '\0';
		mkdir(copy, 0777);
		*slash = '/';
	}
	mkdir(copy, 0777);
	free(copy);
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* What "create" wrote and nobody has filled in. */
bool
create_is_template(const char *content, size_t len)
{
	bool		is_template = false;

	for (const char *line = content; line < content + len;)
	{
		const char *end = memchr(line, '\n', (size_t) (content + len - line));
		size_t		line_len = (size_t) ((end ? end : content + len) - line);

		if (line_len > 0 && line[line_len - 1] == '\r')
			line_len--;
		if (begins_with(line, "-- Down Migration"))
			break;
		is_template |= line_len == strlen(TEMPLATE_LINE) && memcmp(line, TEMPLATE_LINE, line_len) == 0;
		if (!is_blank_or_comment(line, line_len))
			return false;
		line = end ? end + 1 : content + len;
	}
	return is_template;
}

static bool
is_blank_or_comment(const char *line, size_t len)
{
	size_t		at = 0;

	while (at < len && (line[at] == ' ' || line[at] == '\t'))
		at++;
	return at == len || (len - at >= 2 && line[at] == '-' && line[at + 1] == '-');
}
