/*-------------------------------------------------------------------------
 *
 * say.h
 *	  What people read: results on stdout, everything else on stderr.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SAY_H
#define SAY_H

#include <stdbool.h>

#include "text.h"

/* How it looks; all empty where there is no terminal. */
typedef struct Display
{
	const char *green;
	const char *yellow;
	const char *red;
	const char *dim;
	const char *off;
	const char *tick;			/* before what is done; "" is a word instead */
	const char *error_red;		/* the same for stderr */
	const char *error_off;
	const char *error_cross;
	bool		utf8;			/* the locale has our marks */
	bool		is_tty;			/* stdout */
	bool		error_is_tty;	/* stderr */
} Display;

extern Display display;

extern void display_set_up(bool no_color);
extern int	display_columns(void);
extern void display_live_line(const char *line);

extern void tell(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void tell_raw(const char *text);
extern void say(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void note(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void alarm_say(const char *format,...) __attribute__((format(printf, 1, 2)));
extern void fail(const char *message, const char *hints) __attribute__((noreturn));
extern void usage_error(const char *hint, const char *format,...) __attribute__((noreturn, format(printf, 2, 3)));
extern bool flush_results(void);

#endif
