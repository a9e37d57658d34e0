/*-------------------------------------------------------------------------
 *
 * utf8.c
 *	  What is UTF-8, and what of it may go to a terminal.
 *
 * Somebody else chose the names of databases, roles and files, and the texts of
 * messages and errors.  All that is printed of them goes through harmless().
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "utf8.h"

static char *make_harmless(const char *text, bool one_line);
static int	character_width(const char *bytes);

/* Length of the character at the beginning; 0 if that is not UTF-8. */
size_t
utf8_length(const char *bytes, size_t len)
{
	const unsigned char *c = (const unsigned char *) bytes;
	size_t		want;

	if (len == 0)
		return 0;
	if (c[0] < 0x80)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	want = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if (len < want)
		return 0;
	for (size_t i = 1; i < want; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	/* too long forms, surrogates, and what is beyond the last code */
	if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f) ||
		(c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f))
		return 0;
	return want;
}

/* How many bytes at the beginning are UTF-8. */
size_t
utf8_valid_prefix(const char *bytes, size_t len)
{
	size_t		at = 0;

	while (at < len)
	{
		size_t		one = utf8_length(bytes + at, len - at);

		if (one == 0)
			break;
		at += one;
	}
	return at;
}

/* The code of a character of that length. */
unsigned
utf8_code(const char *bytes, size_t len)
{
	const unsigned char *c = (const unsigned char *) bytes;
	unsigned	code = len == 1 ? c[0] : c[0] & (0xffu >> (len + 1));

	for (size_t i = 1; i < len; i++)
		code = code << 6 | (c[i] & 0x3fu);
	return code;
}

/* Control characters, those of 8 bits included, and what turns the direction of writing. */
bool
utf8_steers(unsigned code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x61c || code == 0x200e || code == 0x200f ||
		(code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

/* A copy without what steers a terminal; ends of lines and tabs may stay. */
char *
harmless(const char *text)
{
	return make_harmless(text, false);
}

char *
harmless_line(const char *text)
{
	return make_harmless(text, true);
}

static char *
make_harmless(const char *text, bool one_line)
{
	size_t		len = strlen(text);
	char	   *result = allocate(len + 1);
	size_t		out = 0;

	for (size_t at = 0; at < len;)
	{
		size_t		one = utf8_length(text + at, len - at);
		unsigned	code = one ? utf8_code(text + at, one) : 0;

		/* the end of a line of Windows is none of a terminal's business */
		if (!one_line && code == '\r' && (text[at + 1] == '\n' || text[at + 1] == '\0'))
			at++;
		else if (one == 0 || (utf8_steers(code) && (one_line || (code != '\n' && code != '\t'))))
		{
			result[out++] = '?';
			at += one ? one : 1;
		}
		else
		{
			memcpy(result + out, text + at, one);
			out += one;
			at += one;
		}
	}
	result[out] = '\0';
	return result;
}

/* Columns of a terminal that a harmless text takes. */
int
display_width(const char *text)
{
	int			width = 0;

	for (size_t len = strlen(text), at = 0; at < len;)
	{
		size_t		one = utf8_length(text + at, len - at);

		width += character_width(text + at);
		at += one ? one : 1;
	}
	return width;
}

static int
character_width(const char *bytes)
{
	static int	encoding = -1;
	int			width;

	if (encoding < 0)
		encoding = pg_char_to_encoding("UTF8");
	width = PQdsplen(bytes, encoding);
	return width < 0 ? 0 : width;
}

/* A harmless text that takes no more than so many columns; "mark" is the end of a cut one. */
char *
cut_to_width(const char *text, int width, const char *mark)
{
	int			room = width - display_width(mark);
	size_t		len = strlen(text);
	size_t		at = 0;

	if (display_width(text) <= width)
		return copy_string(text);
	while (at < len)
	{
		size_t		one = utf8_length(text + at, len - at);

		room -= character_width(text + at);
		if (room < 0)
			break;
		at += one ? one : 1;
	}
	return format_string("%.*s%s", (int) at, text, width > 0 ? mark : "");
}
