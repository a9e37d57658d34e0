/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Who may change what is registered, and what of it can be changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "register/internal.h"

/* What somebody wants to do; the first is NULL where he removes, the other where nothing is stored. */
typedef struct Change
{
	const DbmExtension *ext;
	const DbmRegistration *wanted;
	const DbmStored *stored;
} Change;

typedef struct Rule
{
	bool		(*is_broken) (const Change *change);
	DbmTrouble *(*trouble) (const Change *change);
} Rule;

static bool contradicts_applied(const Change *change);
static bool takes_version(const Change *change);
static bool changes_applied_text(const Change *change);
static bool changes_others_up(const Change *change);
static bool changes_others_down(const Change *change);
static DbmTrouble *applied_text_stays(const Change *change);
static DbmTrouble *version_is_taken(const Change *change);
static DbmTrouble *up_is_of_others(const Change *change);
static DbmTrouble *down_is_of_others(const Change *change);
static DbmTrouble *is_of_others(const DbmStored *stored, const char *author);

/* The first that is broken is told. */
static const Rule rules[] = {
	/*
	 * what was applied keeps its text, also where it is not registered any
	 * more
	 */
	{contradicts_applied, applied_text_stays},
	/* two people who chose the same version are told, not merged */
	{takes_version, version_is_taken},
	{changes_applied_text, applied_text_stays},
	/* a script is changed by its author, and by who could become him */
	{changes_others_up, up_is_of_others},
	{changes_others_down, down_is_of_others}
};

/*
 * May the caller register this, or without "wanted" forget what is stored?
 * "stored" is NULL if nothing is.  NULL, or why not.
 */
DbmTrouble *
dbm_rules_check(const DbmExtension *ext, const DbmRegistration *wanted, const DbmStored *stored)
{
	Change		change = {ext, wanted, stored};

	for (int i = 0; i < lengthof(rules); i++)
		if (rules[i].is_broken(&change))
			return rules[i].trouble(&change);
	return NULL;
}

static bool
contradicts_applied(const Change *change)
{
	return change->stored == NULL && dbm_migrations_contradicts(change->ext, change->wanted);
}

/* Another name and another text. */
static bool
takes_version(const Change *change)
{
	const DbmRegistration *wanted = change->wanted;
	const DbmStored *stored = change->stored;

	return wanted && wanted->up && stored && stored->has_up && !stored->is_applied &&
		!stored->same_tokens && strcmp(stored->name, wanted->name) != 0;
}

static bool
changes_applied_text(const Change *change)
{
	const DbmStored *stored = change->stored;

	return change->wanted && stored && stored->is_applied && stored->has_up &&
		!stored->same_tokens && !stored->is_repeatable;
}

/* How a migration is run goes with its up script. */
static bool
changes_others_up(const Change *change)
{
	const DbmStored *stored = change->stored;

	return stored && (change->wanted == NULL || !stored->same_up || !stored->same_rest) &&
		!dbm_may_change(stored->up_author);
}

static bool
changes_others_down(const Change *change)
{
	const DbmStored *stored = change->stored;

	return stored && stored->down_author && (change->wanted == NULL || !stored->same_down) &&
		!dbm_may_change(stored->down_author);
}

static DbmTrouble *
applied_text_stays(const Change *change)
{
	const char *version = change->stored ? change->stored->version : change->wanted->version;

	return dbm_trouble(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
					   psprintf("migration %s is already applied, its up script cannot be changed", version),
					   NULL,
					   psprintf("Write a new migration for the change; or, if the text alone has to be corrected: SELECT migrate.amend(%s, 'the up script', NULL, 'the reason'%s);",
								dbm_literal(version), dbm_project_argument(change->ext)));
}

static DbmTrouble *
version_is_taken(const Change *change)
{
	const DbmStored *stored = change->stored;

	return dbm_trouble(ERRCODE_DUPLICATE_OBJECT,
					   psprintf("version %s is registered already as \"%s\"%s%s, with another text than \"%s\"",
								stored->version, stored->name, stored->file_name ? ", from " : "",
								stored->file_name ? stored->file_name : "", change->wanted->name),
					   NULL,
					   psprintf("Give %s another version; or, if it takes the other's place: SELECT migrate.remove(%s%s);",
								change->wanted->from_files ? "the file" : "it",
								dbm_literal(stored->version), dbm_project_argument(change->ext)));
}

static DbmTrouble *
up_is_of_others(const Change *change)
{
	return is_of_others(change->stored, change->stored->up_author);
}

static DbmTrouble *
down_is_of_others(const Change *change)
{
	return is_of_others(change->stored, change->stored->down_author);
}

static DbmTrouble *
is_of_others(const DbmStored *stored, const char *author)
{
	return dbm_trouble(ERRCODE_INSUFFICIENT_PRIVILEGE,
					   psprintf("permission denied to change migration %s", stored->version),
					   psprintf("It was registered by \"%s\", whom \"%s\" could not become.",
								author, GetUserNameFromId(GetUserId(), false)),
					   psprintf("Ask \"%s\", or a superuser; or: SET ROLE %s;",
								author, quote_identifier(author)));
}
