/*-------------------------------------------------------------------------
 *
 * production.h
 *	  Somebody must know what he does to a production database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PRODUCTION_H
#define PRODUCTION_H

#include <stdbool.h>

extern bool is_production(void);
extern bool looks_like_production(const char *name);
extern bool confirm_production(void);

#endif
