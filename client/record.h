/*-------------------------------------------------------------------------
 *
 * record.h
 *	  What changes the extension's knowledge and runs no migration: init, push,
 *	  baseline, manage, adopt.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECORD_H
#define RECORD_H

extern int	command_init(void);
extern int	command_push(void);
extern int	command_baseline(void);
extern int	command_manage(void);
extern int	command_adopt(void);

#endif
