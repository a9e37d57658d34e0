/*-------------------------------------------------------------------------
 *
 * dbmigrate.h
 *	  The extension's settings, which every folder may read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_H
#define DBMIGRATE_H

#include "compat.h"

typedef enum DbmOutOfOrder
{
	DBM_OUT_OF_ORDER_ERROR,
	DBM_OUT_OF_ORDER_ALLOW
} DbmOutOfOrder;

extern int	dbm_out_of_order;
extern int	dbm_lock_wait;		/* milliseconds */
extern int	dbm_lock_timeout;	/* milliseconds, of migrations that may be
								 * tried again */
extern int	dbm_retries;
extern bool dbm_progress;

extern const char *dbm_environment(void);

#endif							/* DBMIGRATE_H */
