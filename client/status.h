/*-------------------------------------------------------------------------
 *
 * status.h
 *	  What is applied, what is pending, and what is not as it should be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef STATUS_H
#define STATUS_H

extern int	command_status(void);
extern int	command_pending(void);
extern int	command_version(void);

#endif
