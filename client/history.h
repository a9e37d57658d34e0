/*-------------------------------------------------------------------------
 *
 * history.h
 *	  What happened in this database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef HISTORY_H
#define HISTORY_H

extern int	command_history(void);

#endif
