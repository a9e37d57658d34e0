/*-------------------------------------------------------------------------
 *
 * dryrun.h
 *	  What up, down and redo would run (--dry-run).
 *
 *-------------------------------------------------------------------------
 */
#ifndef DRYRUN_H
#define DRYRUN_H

#include "files.h"

extern int	dry_run_up(const Files *files);
extern int	dry_run_down(void);

#endif
