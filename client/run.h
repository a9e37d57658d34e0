/*-------------------------------------------------------------------------
 *
 * run.h
 *	  up, down, redo: running migrations.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RUN_H
#define RUN_H

#include <stdbool.h>

extern int	command_up(void);
extern int	command_down_or_redo(void);

/* A run by a procedure, for a command that has more to do. */
extern void run_up(void);
extern void run_down(long steps);
extern void run_show_switch(void);
extern void run_step_done(const char *step, bool is_up);

#endif
