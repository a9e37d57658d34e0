/*-------------------------------------------------------------------------
 *
 * register.h
 *	  Registering migrations, and who may change what.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_REGISTER_H
#define DBMIGRATE_REGISTER_H

#include "tables/tables.h"

/* rules.c */

extern DbmTrouble *dbm_rules_check(const DbmExtension *ext, const DbmRegistration *wanted,
								   const DbmStored *stored);

/* registration.c */

extern void dbm_registration_read(DbmRegistration *wanted);
extern void dbm_registration_warn(const DbmRegistration *wanted, bool is_news);
extern bool dbm_stored_is_same(const DbmStored *stored);
extern void dbm_registration_insert_many(const DbmExtension *ext, DbmRegistration *const *wanted, int nwanted,
										 const char **ids);
extern const char *dbm_registration_store(const DbmExtension *ext, const DbmRegistration *wanted,
										  DbmTrouble **trouble);

/* register.c */

extern void dbm_check_may_register(const char *what);

#endif							/* DBMIGRATE_REGISTER_H */
