/*-------------------------------------------------------------------------
 *
 * run.h
 *	  Runs: what is to be run, one migration done and recorded, and the functions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_RUN_H
#define DBMIGRATE_RUN_H

#include "tables/tables.h"

/* refuse.c */

extern void dbm_refuse_unconfirmed(const char *confirm);
extern void dbm_refuse_changed(const DbmExtension *ext, List *migrations);
extern void dbm_refuse_out_of_order(const DbmExtension *ext, const char *schema, List *chosen);
extern void dbm_refuse_scripts(const DbmExtension *ext, List *chosen, bool is_up);
extern void dbm_refuse_elsewhere(const DbmExtension *ext, List *chosen, int steps);
extern void dbm_refuse_without_down(const DbmExtension *ext, List *chosen);
extern void dbm_refuse_count(const DbmExtension *ext, int64 asked, int64 found, const char *what,
							 const char *to);
extern void dbm_refuse_unmanaged(const DbmExtension *ext);

/* progress.c */

extern void dbm_progress_notice(const DbmMigration *migration, bool is_up);

#endif							/* DBMIGRATE_RUN_H */
