/*-------------------------------------------------------------------------
 *
 * sqltext.c
 *	  Values as SQL text: for people to copy, and for parameters of array types.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "sqltext.h"
#include "utf8.h"

/* Harmless on a terminal: what is not, is in it as \u in E'...'. */
char *
sql_literal(const char *string)
{
	Text		body = {0};
	bool		has_escapes = false;

	for (size_t len = strlen(string), at = 0; at < len;)
	{
		size_t		one = utf8_length(string + at, len - at);
		unsigned	code = one ? utf8_code(string + at, one) : '?';

		if (utf8_steers(code))
			text_format(&body, "\\u%04x", code);
		else if (code == '\\')
			text_append(&body, "\\\\");
		else if (code == '\'')
			text_append(&body, "''");
		else
			text_append_bytes(&body, string + at, one ? one : 1);
		has_escapes |= utf8_steers(code) || code == '\\';
		at += one ? one : 1;
	}
	return format_string("%s'%s'", has_escapes ? "E" : "", text_string(&body));
}

/* A name for people to copy; dots where it is not fit for a terminal. */
char *
sql_identifier(const char *name)
{
	char	   *shown = harmless_line(name);
	Text		quoted = {0};

	if (strcmp(shown, name) != 0)
		return copy_string("...");
	if (*name >= 'a' && *name <= 'z' && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name))
		return shown;
	text_append_char(&quoted, '"');
	for (const char *c = name; *c; c++)
		text_append_bytes(&quoted, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
	text_append_char(&quoted, '"');
	free(shown);
	return quoted.data;
}

/* An element of {"a","b"}; NULL is one. */
void
sql_array_add(Text *array, const char *element)
{
	text_append_char(array, array->len == 0 ? '{' : ',');
	if (element == NULL)
	{
		text_append(array, "NULL");
		return;
	}
	text_append_char(array, '"');
	while (*element)
	{
		size_t		len = strcspn(element, "\"\\");

		text_append_bytes(array, element, len);
		element += len;
		if (*element)
		{
			text_append_char(array, '\\');
			text_append_char(array, *element++);
		}
	}
	text_append_char(array, '"');
}

/* The whole of it. */
const char *
sql_array_end(Text *array)
{
	text_append(array, array->len == 0 ? "{}" : "}");
	return array->data;
}
