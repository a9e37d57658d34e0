/*-------------------------------------------------------------------------
 *
 * internal.h
 *	  What the files of this folder have from each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef DBMIGRATE_REGISTER_INTERNAL_H
#define DBMIGRATE_REGISTER_INTERNAL_H

#include "register/register.h"

/* registration.c */

extern void dbm_registration_throw_refused(const DbmRegistration *wanted);
extern bool dbm_registration_insert(const DbmExtension *ext, const DbmRegistration *wanted);

#endif							/* DBMIGRATE_REGISTER_INTERNAL_H */
