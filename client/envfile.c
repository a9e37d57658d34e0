/*-------------------------------------------------------------------------
 *
 * envfile.c
 *	  Environment variables, and the file .env that stands in for them.
 *
 * Of the file only DATABASE_URL and what begins with DBMIGRATE_ is taken, and
 * nothing is put into the environment: a file that lies in a directory must not
 * choose libraries, or settings of libpq.  It has lines KEY=value; a value may be
 * in single quotes (as it is) or double ones (with \n, \" and so on), and nothing
 * in it is replaced.
 *
 *-------------------------------------------------------------------------
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "envfile.h"
#include "say.h"

#define MAX_SIZE (1024 * 1024)
#define WITHOUT_IT "--no-env does without it"

/* A variable that the file sets. */
typedef struct Variable
{
	char	   *name;
	char	   *value;
	struct Variable *next;
} Variable;

/* Where the reading of the file is. */
typedef struct Reader
{
	const char *at;
	const char *end;
	int			line;
} Reader;

static Variable *variables;

static void check_file(int file, struct stat *st);
static void parse_line(Reader *reader);
static char *parse_value(Reader *reader);
static char *parse_quoted(Reader *reader, char quote);
static char *parse_bare(Reader *reader);
static char unescape(char c);
static void skip_blanks(Reader *reader);
static void skip_line(Reader *reader);
static bool is_ours(const char *name);
static void set_variable(char *name, char *value);

/*
 * Reads .env of the current directory.  What is not a plain file is an error:
 * without what it says the command would work on another database.
 */
void
envfile_read(void)
{
	int			file = open(".env", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	char	   *content;
	size_t		len = 0;

	if (file < 0 && errno == ENOENT)
		return;
	if (file < 0)
		fail(errno == ELOOP ? ".env is a symbolic link, which is not followed" : ".env cannot be read", WITHOUT_IT);
	check_file(file, &st);
	/* the folder of a Python environment */
	if (S_ISDIR(st.st_mode))
	{
		close(file);
		return;
	}
	content = allocate((size_t) st.st_size + 1);
	while (len < (size_t) st.st_size)
	{
		ssize_t		got = read(file, content + len, (size_t) st.st_size - len);

		if (got < 0)
			fail(".env cannot be read", WITHOUT_IT);
		if (got == 0)
			break;
		len += (size_t) got;
	}
	close(file);
	envfile_parse(content, len);
	free(content);
}

/* Also not taken: what somebody else has put where everybody may put files. */
static void
check_file(int file, struct stat *st)
{
	struct stat directory;

	if (fstat(file, st) < 0 || stat(".", &directory) < 0)
		fail(".env cannot be read", WITHOUT_IT);
	if (S_ISDIR(st->st_mode))
		return;
	if (!S_ISREG(st->st_mode))
		fail(".env is not a file", WITHOUT_IT);
	if (st->st_size > MAX_SIZE)
		fail(".env is too large", WITHOUT_IT);
	if ((directory.st_mode & S_IWOTH) && st->st_uid != geteuid() && st->st_uid != 0)
		fail(".env belongs to somebody else, in a directory that everybody may write to", WITHOUT_IT);
}

/* Takes the variables of a text that is no more than the file's. */
void
envfile_parse(const char *text, size_t len)
{
	Reader		reader = {text, text + len, 1};

	if (memchr(text, '\0', len))
		fail(".env has a NUL byte in it", WITHOUT_IT);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		reader.at += 3;
	while (reader.at < reader.end)
		parse_line(&reader);
}

/* [export] KEY = value [# comment]; what is no such line says nothing. */
static void
parse_line(Reader *reader)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
	const char *begin;
	char	   *name;

	skip_blanks(reader);
	if (reader->end - reader->at > 7 && memcmp(reader->at, "export", 6) == 0 &&
		(reader->at[6] == ' ' || reader->at[6] == '\t'))
	{
		reader->at += 6;
		skip_blanks(reader);
	}
	begin = reader->at;
	while (reader->at < reader->end && strchr(letters, *reader->at))
		reader->at++;
	name = copy_bytes(begin, (size_t) (reader->at - begin));
	skip_blanks(reader);
	if (*name != '\0' && reader->at < reader->end && (*reader->at == '=' || *reader->at == ':'))
	{
		char	   *value;

		reader->at++;
		skip_blanks(reader);
		value = parse_value(reader);
		if (is_ours(name))
			set_variable(name, value);
		else
		{
			free(name);
			free(value);
		}
	}
	else
		free(name);
	skip_line(reader);
}

static char *
parse_value(Reader *reader)
{
	char		quote = reader->at < reader->end ? *reader->at : '\0';

	if (quote == '\'' || quote == '"')
	{
		reader->at++;
		return parse_quoted(reader, quote);
	}
	return parse_bare(reader);
}

/* It may have several lines. */
static char *
parse_quoted(Reader *reader, char quote)
{
	Text		value = {0};
	int			line = reader->line;

	for (; reader->at < reader->end && *reader->at != quote; reader->at++)
	{
		char		c = *reader->at;

		if (c == '\n')
			reader->line++;
		if (quote == '"' && c == '\\' && reader->at + 1 < reader->end)
		{
			reader->at++;
			c = unescape(*reader->at);
		}
		text_append_char(&value, c);
	}
	if (reader->at >= reader->end)
		fail(format_string(".env, line %d: a quote without its end", line), WITHOUT_IT);
	reader->at++;
	text_append(&value, "");
	return value.data;
}

static char
unescape(char c)
{
	return c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
}

/* Up to the end of the line, or a # behind a blank; blanks at the end do not count. */
static char *
parse_bare(Reader *reader)
{
	const char *begin = reader->at;
	const char *end;

	while (reader->at < reader->end && *reader->at != '\n' &&
		   !(*reader->at == '#' && (reader->at == begin || reader->at[-1] == ' ' || reader->at[-1] == '\t')))
		reader->at++;
	end = reader->at;
	while (end > begin && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return copy_bytes(begin, (size_t) (end - begin));
}

static void
skip_blanks(Reader *reader)
{
	while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\t'))
		reader->at++;
}

static void
skip_line(Reader *reader)
{
	while (reader->at < reader->end && *reader->at != '\n')
		reader->at++;
	if (reader->at < reader->end)
	{
		reader->at++;
		reader->line++;
	}
}

static bool
is_ours(const char *name)
{
	return strcmp(name, "DATABASE_URL") == 0 || begins_with(name, "DBMIGRATE_");
}

/* The last one of a name counts. */
static void
set_variable(char *name, char *value)
{
	Variable   *variable = allocate(sizeof(Variable));

	variable->name = name;
	variable->value = value;
	variable->next = variables;
	variables = variable;
}

/* Of the environment, else of the file; NULL if it is empty or in neither. */
const char *
envfile_variable(const char *name)
{
	const char *value = getenv(name);

	for (const Variable *variable = variables; variable && value == NULL; variable = variable->next)
		if (strcmp(variable->name, name) == 0)
			value = variable->value;
	return value && *value ? value : NULL;
}
