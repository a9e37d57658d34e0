/*-------------------------------------------------------------------------
 *
 * comment.c
 *	  Find line comments in what is between two tokens.
 *
 * The server's scanner says where tokens begin and end, but not what it has
 * skipped.  That can only be white space, comments from "--" to the end of
 * the line, and nested comments in the style of C.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "script/internal.h"

static int	skip_nested(const char *text, int at, int to);
static bool begins_line(const char *text, int at);

/*
 * The next comment with "--" from "from" on that has only blanks before it on
 * its line; "to" if there is none.  Both are in the same gap between tokens.
 */
int
dbm_comment_find(const char *text, int from, int to)
{
	int			at = from;

	while (at + 1 < to)
	{
		if (text[at] == '-' && text[at + 1] == '-')
		{
			if (begins_line(text, at))
				return at;
			at += strcspn(text + at, "\r\n");
		}
		else if (text[at] == '/' && text[at + 1] == '*')
			at = skip_nested(text, at, to);
		else
			at++;
	}
	return to;
}

/* The place behind the comment that begins at "at". */
static int
skip_nested(const char *text, int at, int to)
{
	int			depth = 0;

	while (at + 1 < to)
	{
		if (text[at] == '/' && text[at + 1] == '*')
		{
			depth++;
			at += 2;
		}
		else if (text[at] == '*' && text[at + 1] == '/')
		{
			at += 2;
			if (--depth == 0)
				return at;
		}
		else
			at++;
	}
	return to;
}

static bool
begins_line(const char *text, int at)
{
	while (at > 0 && (text[at - 1] == ' ' || text[at - 1] == '\t'))
		at--;
	return at == 0 || text[at - 1] == '\n' || text[at - 1] == '\r' ||
		(at == 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0);
}
