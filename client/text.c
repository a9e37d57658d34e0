/*-------------------------------------------------------------------------
 *
 * text.c
 *	  Memory that is there or the program ends, and text that grows.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "say.h"
#include "text.h"

void *
allocate(size_t size)
{
	return reallocate(NULL, size);
}

void *
reallocate(void *old, size_t size)
{
	void	   *memory = realloc(old, size > 0 ? size : 1);

	if (memory == NULL)
		fail("out of memory", NULL);
	return memory;
}

char *
copy_string(const char *string)
{
	return copy_bytes(string, strlen(string));
}

char *
copy_bytes(const char *bytes, size_t len)
{
	char	   *copy = allocate(len + 1);

	if (len > 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

char *
format_string(const char *format,...)
{
	va_list		arguments;
	char	   *result;

	va_start(arguments, format);
	result = format_arguments(format, arguments);
	va_end(arguments);
	return result;
}

char *
format_arguments(const char *format, va_list arguments)
{
	va_list		again;
	char	   *result;
	int			len;

	va_copy(again, arguments);
	len = vsnprintf(NULL, 0, format, again);
	va_end(again);
	if (len < 0)
		fail("out of memory", NULL);
	result = allocate((size_t) len + 1);
	vsnprintf(result, (size_t) len + 1, format, arguments);
	return result;
}

void
text_append(Text *text, const char *string)
{
	text_append_bytes(text, string, strlen(string));
}

void
text_append_bytes(Text *text, const char *bytes, size_t len)
{
	if (text->len + len + 1 > text->room)
	{
		text->room = 2 * text->room + len + 64;
		text->data = reallocate(text->data, text->room);
	}
	if (len > 0)
		memcpy(text->data + text->len, bytes, len);
	text->len += len;
	text->data[text->len] = '\0';
}

void
text_append_char(Text *text, char c)
{
	text_append_bytes(text, &c, 1);
}

void
text_format(Text *text, const char *format,...)
{
	va_list		arguments;
	char	   *formatted;

	va_start(arguments, format);
	formatted = format_arguments(format, arguments);
	va_end(arguments);
	text_append(text, formatted);
	free(formatted);
}

void
text_clear(Text *text)
{
	text->len = 0;
	if (text->data)
		text->data[0] = '\0';
}

void
text_free(Text *text)
{
	free(text->data);
	memset(text, 0, sizeof(Text));
}

/* Never NULL. */
const char *
text_string(const Text *text)
{
	return text->data ? text->data : "";
}

const char *
plural(long number, const char *one, const char *more)
{
	return number == 1 ? one : more;
}

bool
begins_with(const char *string, const char *beginning)
{
	return strncmp(string, beginning, strlen(beginning)) == 0;
}

bool
ends_with_nocase(const char *string, const char *end)
{
	size_t		len = strlen(string);
	size_t		end_len = strlen(end);

	return len >= end_len && strcasecmp(string + len - end_len, end) == 0;
}

bool
equal_nocase(const char *one, const char *other)
{
	return strcasecmp(one, other) == 0;
}
