/*-------------------------------------------------------------------------
 *
 * signals.h
 *	  INT, TERM and HUP.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include <stdbool.h>

struct termios;

extern void signals_start(void);
extern void signals_end_program(const char *last_words);
extern void signals_only_note(void);
extern void signals_restore_terminal(const struct termios *settings);
extern int	signals_exit_code(void);
extern bool signals_wait_no_more(void);

#endif
