/*-------------------------------------------------------------------------
 *
 * pull.c
 *	  What is registered, as files.
 *
 * Each script is a file of its own, VERSION_NAME.up.sql and .down.sql, byte for
 * byte as it is registered.  Names are somebody else's: one that could lead out of
 * the directory is refused.  A file that is there is left as it is, and if it is
 * another one nothing is written at all.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "create.h"
#include "files.h"
#include "options.h"
#include "outcome.h"
#include "pull.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "utf8.h"

#define SCRIPTS \
	"SELECT m.id, m.version, m.name, m.up, m.down, m.up_statements >= 0, m.environments IS NOT NULL" \
	"  FROM migrate.migration m WHERE m.project = $1 ORDER BY m.version_key NULLS LAST, m.id"

/* What is to be a file. */
typedef struct NewFile
{
	char	   *name;
	const char *content;
	bool		is_there;		/* and the same */
} NewFile;

/* All of them, with contents in the rows of the query. */
typedef struct NewFiles
{
	NewFile    *file;
	size_t		n;
	size_t		room;
	Text		problems;
} NewFiles;

static PGresult *read_scripts(void);
static void choose_names(NewFiles *files, const PGresult *rows);
static void add(NewFiles *files, char *name, const char *content);
static bool is_good_name(const char *name);
static void look_at_directory(NewFiles *files, const char *directory, int folder);
static bool is_same(int folder, const NewFile *file, bool *exists);
static void write_files(const NewFiles *files, const char *directory, int folder);

/* pull [DIR] */
int
command_pull(void)
{
	const char *directory = options.argument && *options.argument ? options.argument : options.directory;
	NewFiles	files = {0};
	PGresult   *rows;
	int			folder;

	outcome.only_looks = true;
	connect_database();
	need_extension();
	rows = read_scripts();
	choose_names(&files, rows);
	folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (folder >= 0)
		look_at_directory(&files, directory, folder);
	if (files.problems.len > 0)
	{
		say("%.*s", (int) files.problems.len - 1, files.problems.data);
		fail("nothing was written", format_string("name another directory: dbmigrate pull DIR"));
	}
	if (folder < 0)
	{
		if (!create_directories(directory) || (folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			fail(format_string("cannot create the directory %s", harmless_line(directory)), NULL);
	}
	write_files(&files, directory, folder);
	PQclear(rows);
	return outcome_end();
}

static PGresult *
read_scripts(void)
{
	const char *values[] = {options.project};
	PGresult   *rows;

	begin();
	need_select("the scripts", "migrate.migration");
	rows = query(SCRIPTS, 1, values);
	rollback();
	return rows;
}

static void
choose_names(NewFiles *files, const PGresult *rows)
{
	for (int i = 0; i < PQntuples(rows); i++)
	{
		const char *id = PQgetvalue(rows, i, 0);
		const char *name = PQgetvalue(rows, i, 2);
		char	   *base = format_string("%s%s%s", PQgetvalue(rows, i, 1), *name ? "_" : "", name);

		if (begins_with(id, "R__"))
			add(files, format_string("%s.sql", id), PQgetvalue(rows, i, 3));
		else if (begins_with(id, "B__"))
			add(files, format_string("B%s__%s.sql", id + 3, name), PQgetvalue(rows, i, 3));
		else
		{
			if (*PQgetvalue(rows, i, 5) == 't')
				add(files, format_string("%s.up.sql", base), PQgetvalue(rows, i, 3));
			if (!PQgetisnull(rows, i, 4))
				add(files, format_string("%s.down.sql", base), PQgetvalue(rows, i, 4));
		}
		if (*PQgetvalue(rows, i, 6) == 't')
			note("note: %s is limited to environments, which its file does not say", harmless_line(base));
	}
}

static void
add(NewFiles *files, char *name, const char *content)
{
	if (!is_good_name(name))
		text_format(&files->problems, "%s: no name for a file\n", harmless_line(name));
	if (files->n == files->room)
	{
		files->room = 2 * files->room + 64;
		files->file = reallocate(files->file, files->room * sizeof(NewFile));
	}
	files->file[files->n++] = (NewFile)
	{
		.name = name, .content = content
	};
}

/* One that stays in the directory, is not hidden and steers nothing. */
static bool
is_good_name(const char *name)
{
	char	   *shown = harmless_line(name);
	bool		is_good = *name != '.' && strchr(name, '/') == NULL && strcmp(shown, name) == 0 && strlen(name) < 256;

	free(shown);
	return is_good;
}

static void
look_at_directory(NewFiles *files, const char *directory, int folder)
{
	for (size_t i = 0; i < files->n; i++)
	{
		bool		exists;

		files->file[i].is_there = is_same(folder, &files->file[i], &exists);
		if (exists && !files->file[i].is_there)
			text_format(&files->problems, "%s/%s: is there already, and is another one\n",
						harmless_line(directory), harmless_line(files->file[i].name));
	}
}

static bool
is_same(int folder, const NewFile *file, bool *exists)
{
	int			fd = openat(folder, file->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *expected = file->content;
	char		buffer[65536];
	ssize_t		got;

	*exists = fd >= 0 || errno != ENOENT;
	if (fd < 0)
		return false;
	while ((got = read(fd, buffer, sizeof(buffer))) > 0)
	{
		if (strnlen(expected, (size_t) got) < (size_t) got || memcmp(buffer, expected, (size_t) got) != 0)
			break;
		expected += got;
	}
	close(fd);
	return got == 0 && *expected == '\0';
}

static void
write_files(const NewFiles *files, const char *directory, int folder)
{
	long		written = 0;

	for (size_t i = 0; i < files->n; i++)
	{
		const NewFile *file = &files->file[i];
		Text		row = {0};

		json_member(&row, "file", file->name);
		json_member(&row, "result", file->is_there ? "unchanged" : "written");
		report_add("files", &row);
		text_free(&row);
		if (file->is_there)
			continue;
		if (!write_new_file(folder, file->name, file->content, strlen(file->content)))
			fail(format_string("cannot write %s/%s: %s", harmless_line(directory), harmless_line(file->name), strerror(errno)), NULL);
		tell("%s/%s", harmless_line(directory), harmless_line(file->name));
		written++;
	}
	tell("%ld %s written, %ld unchanged", written, plural(written, "file", "files"), (long) files->n - written);
}
