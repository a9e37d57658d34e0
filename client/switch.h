/*-------------------------------------------------------------------------
 *
 * switch.h
 *	  From one branch of development to another.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SWITCH_H
#define SWITCH_H

extern int	command_switch(void);

#endif
