/*-------------------------------------------------------------------------
 *
 * lines.c
 *	  The lines of a script: where it can be cut, and what is psql's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "script/internal.h"

/* A window may be longer, up to the next place where it can end. */
#define WINDOW_SIZE 65536

/* The start of the next line, or the end of the text. */
int
dbm_lines_next(const DbmScript *script, int from)
{
	const char *found = memchr(script->text + from, '\n', script->len - from);

	return found ? found + 1 - script->text : script->len;
}

/* Does a line that begins with a backslash begin at "at"? */
bool
dbm_lines_starts_backslash(const DbmScript *script, int at)
{
	return script->text[at] == '\\' && (at == 0 || script->text[at - 1] == '\n');
}

/* The next line that begins with a backslash, behind the line of "from". */
int
dbm_lines_next_backslash(const DbmScript *script, int from)
{
	const char *found = strstr(script->text + from, "\n\\");

	return found ? found + 1 - script->text : script->len;
}

/* pg_dump writes "\restrict key" and "\unrestrict key" around its output. */
bool
dbm_lines_is_restrict(const DbmScript *script, int from)
{
	const char *p = script->text + from + 1;

	if (strncmp(p, "un", 2) == 0)
		p += 2;
	return strncmp(p, "restrict", 8) == 0 && (p[8] == ' ' || p[8] == '\t');
}

/*
 * Where a window from "from" on ends: at "end", or, if that is far, behind a
 * line that ends with ';'.  No token goes on behind such a line unless the ';'
 * is inside of it.
 */
int
dbm_lines_window_end(const DbmScript *script, int from, int end)
{
	for (int at = from + WINDOW_SIZE; at < end; at = dbm_lines_next(script, at))
	{
		const char *line_feed = memchr(script->text + at, '\n', end - at);

		if (line_feed == NULL)
			break;
		if (line_feed[-1] == ';' || (line_feed[-1] == '\r' && line_feed[-2] == ';'))
			return line_feed + 1 - script->text;
	}
	return end;
}

/*
 * Could the scanner have an identifier to complain about as too long?  Only
 * then do its settings have to be pinned, which is slow for a short script.
 */
bool
dbm_lines_have_long_word(const DbmScript *script)
{
	int			len = 0;

	for (const char *p = script->text; *p && len < NAMEDATALEN; p++)
		len = *p == ' ' || *p == '\n' || *p == '(' || *p == ',' || *p == ';' ? 0 : len + 1;
	return len >= NAMEDATALEN;
}

/* The number of line ends in text[from .. to): LF, CR LF, or CR alone. */
int
dbm_lines_count(const char *text, int from, int to)
{
	const char *end = text + to;
	int			lines = 0;

	for (const char *p = text + from; (p = memchr(p, '\n', end - p)) != NULL; p++)
		lines++;
	for (const char *p = text + from; (p = memchr(p, '\r', end - p)) != NULL; p++)
		if (p[1] != '\n')
			lines++;
	return lines;
}
