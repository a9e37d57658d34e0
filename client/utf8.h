/*-------------------------------------------------------------------------
 *
 * utf8.h
 *	  What is UTF-8, and what of it may go to a terminal.
 *
 *-------------------------------------------------------------------------
 */
#ifndef UTF8_H
#define UTF8_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

/* The end of what was cut, on this terminal. */
#define ELLIPSIS (display.utf8 ? "\xe2\x80\xa6" : "~")

extern size_t utf8_length(const char *bytes, size_t len);
extern size_t utf8_valid_prefix(const char *bytes, size_t len);
extern unsigned utf8_code(const char *bytes, size_t len);
extern bool utf8_steers(unsigned code);
extern char *harmless(const char *text);
extern char *harmless_line(const char *text);
extern int	display_width(const char *text);
extern char *cut_to_width(const char *text, int width, const char *mark);

#endif
