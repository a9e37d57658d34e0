/*-------------------------------------------------------------------------
 *
 * sessionsettings.c
 *	  The session's settings, put back after an online script.
 *
 * A script that commits amid its work has its SETs as settings of the session:
 * a GUC nest level would end with the first commit.  So what the session had
 * set is remembered, by value, and put back; the rest is reset.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/guc.h"
#include "utils/guc_tables.h"

#include "online/online.h"

typedef struct Setting
{
	const char *name;
	const char *value;
	GucContext	context;		/* who had to be allowed to set it */
} Setting;

static bool is_of_session(const struct config_generic *setting);
static const Setting *find_setting(const List *settings, const char *name);
static void put_back(const List *settings, const char *name);
static void set_again(const Setting *setting);
static const char *value_of(const char *name);
static void set(const char *name, const char *value);

/* What the session has set, in the current memory context. */
List *
dbm_settings_save(void)
{
	List	   *settings = NIL;
	int			count;
	struct config_generic **all = dbm_all_settings(&count);

	for (int i = 0; i < count; i++)
	{
		Setting    *setting;

		if (!is_of_session(all[i]))
			continue;
		setting = palloc(sizeof(Setting));
		setting->name = pstrdup(all[i]->name);
		setting->value = pstrdup(value_of(all[i]->name));
		setting->context = all[i]->context;
		settings = lappend(settings, setting);
	}
	return settings;
}

/*
 * Have the session's settings as they were saved; in a transaction, whose
 * commit makes them stay.
 */
void
dbm_settings_restore(const List *settings)
{
	int			count;
	struct config_generic **all;

	/* these two first: the second may have been set as somebody else */
	put_back(settings, "session_authorization");
	put_back(settings, "role");
	all = dbm_all_settings(&count);
	for (int i = 0; i < count; i++)
		if (is_of_session(all[i]))
			put_back(settings, all[i]->name);
	/* and what the script has reset */
	for (int i = 0; i < list_length(settings); i++)
		set_again(list_nth(settings, i));
}

/* Set in the session, and not only for its transaction? */
static bool
is_of_session(const struct config_generic *setting)
{
	return setting->source == PGC_S_SESSION &&
		(setting->context == PGC_USERSET || setting->context == PGC_SUSET) &&
		strcmp(setting->name, "transaction_isolation") != 0 &&
		strcmp(setting->name, "transaction_read_only") != 0 &&
		strcmp(setting->name, "transaction_deferrable") != 0 &&
		strcmp(setting->name, "seed") != 0;
}

static const Setting *
find_setting(const List *settings, const char *name)
{
	for (int i = 0; i < list_length(settings); i++)
	{
		const Setting *setting = list_nth(settings, i);

		if (strcmp(setting->name, name) == 0)
			return setting;
	}
	return NULL;
}

static void
put_back(const List *settings, const char *name)
{
	const Setting *saved = find_setting(settings, name);
	const struct config_generic *now = dbm_find_setting(name);

	if (now == NULL || !is_of_session(now))
		return;
	if (saved == NULL)
		set(name, NULL);
	else
		set_again(saved);
}

/*
 * Unless it is another parameter now: a library that was loaded meanwhile may
 * have claimed a name that anybody could set before, for superusers.
 */
static void
set_again(const Setting *setting)
{
	const struct config_generic *now = dbm_find_setting(setting->name);

	if (now && now->context == setting->context && strcmp(value_of(setting->name), setting->value) != 0)
		set(setting->name, setting->value);
}

/* One that nobody knows has no value after RESET, which 15 tells as NULL. */
static const char *
value_of(const char *name)
{
	const char *value = GetConfigOption(name, true, false);

	return value ? value : "";
}

/* NULL is RESET.  Whoever set it was allowed to. */
static void
set(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_SUSET, PGC_S_SESSION, GUC_ACTION_SET, true, 0, false);
}
