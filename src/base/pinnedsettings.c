/*-------------------------------------------------------------------------
 *
 * pinnedsettings.c
 *	  Settings that others must not choose.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"

#include "base/base.h"

/* Give a setting a value until the present GUC nest level ends. */
void
dbm_pin(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}
