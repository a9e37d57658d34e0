/*-------------------------------------------------------------------------
 *
 * live.h
 *	  The line on a terminal that shows what is going on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef LIVE_H
#define LIVE_H

extern void live_begin(void);
extern void live_end(void);

#endif
