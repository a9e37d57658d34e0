/*-------------------------------------------------------------------------
 *
 * text.h
 *	  Memory that is there or the program ends, and text that grows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TEXT_H
#define TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* NUL-terminated; "len" does not count that.  Zeroes are an empty one. */
typedef struct Text
{
	char	   *data;
	size_t		len;
	size_t		room;
} Text;

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

extern void *allocate(size_t size);
extern void *reallocate(void *old, size_t size);
extern char *copy_string(const char *string);
extern char *copy_bytes(const char *bytes, size_t len);
extern char *format_string(const char *format,...) __attribute__((format(printf, 1, 2)));
extern char *format_arguments(const char *format, va_list arguments) __attribute__((format(printf, 1, 0)));

extern void text_append(Text *text, const char *string);
extern void text_append_bytes(Text *text, const char *bytes, size_t len);
extern void text_append_char(Text *text, char c);
extern void text_format(Text *text, const char *format,...) __attribute__((format(printf, 2, 3)));
extern void text_clear(Text *text);
extern void text_free(Text *text);
extern const char *text_string(const Text *text);

extern const char *plural(long number, const char *one, const char *more);
extern bool begins_with(const char *string, const char *beginning);
extern bool ends_with_nocase(const char *string, const char *end);
extern bool equal_nocase(const char *one, const char *other);

#endif
