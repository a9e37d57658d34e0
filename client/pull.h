/*-------------------------------------------------------------------------
 *
 * pull.h
 *	  What is registered, as files.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PULL_H
#define PULL_H

extern int	command_pull(void);

#endif
