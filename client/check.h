/*-------------------------------------------------------------------------
 *
 * check.h
 *	  Is the directory fit to be deployed?
 *
 *-------------------------------------------------------------------------
 */
#ifndef CHECK_H
#define CHECK_H

extern int	command_check(void);

#endif
