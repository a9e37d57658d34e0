/*-------------------------------------------------------------------------
 *
 * filesettings.c
 *	  Files that say something about other files of a set: metadata.toml of
 *	  diesel, NAME.sql.conf of Flyway.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "files/internal.h"

static bool settings_belong(const DbmFile *settings, const DbmFile *file);
static const char *read_settings(const DbmFile *file, bool *no_transaction, const char **wants_one);
static void check_agreement(const DbmFile *settings, const DbmFile *file, const char *wants_one,
							DbmFileSet *set);

/*
 * Something is wrong with a file of a set.  "message" goes on behind the name
 * of the file.
 */
void
dbm_fileset_trouble(DbmFileSet *set, const DbmFile *file, int sqlerrcode,
					const char *message, const char *hint)
{
	DbmTrouble *trouble = dbm_trouble(sqlerrcode, message, NULL, hint);

	trouble->file = file->path;
	set->troubles = lappend(set->troubles, trouble);
}

/* metadata.toml, NAME.sql.conf: what it says about other files of the set. */
void
dbm_filesettings_apply(DbmFile *file, DbmFileSet *set)
{
	bool		no_transaction = false;
	const char *wants_one = NULL;
	const char *problem = read_settings(file, &no_transaction, &wants_one);
	bool		found = false;
	ListCell   *lc;

	if (problem)
	{
		dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE, problem, NULL);
		return;
	}
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		if (migration->up_file && settings_belong(file, migration->up_file))
		{
			found = true;
			check_agreement(file, migration->up_file, wants_one, set);
			migration->up_no_transaction |= no_transaction;
		}
		if (migration->down_file && settings_belong(file, migration->down_file))
		{
			found = true;
			if (migration->down_file != migration->up_file)
				check_agreement(file, migration->down_file, wants_one, set);
			migration->down_no_transaction |= no_transaction;
		}
	}
	if (!found)
	{
		file->name.role = DBM_FILE_LEFT_OUT;
		file->name.reason = psprintf("there is no %s", file->name.settings_of);
	}
}

/* The settings want a transaction by that name, and the file says that it wants none. */
static void
check_agreement(const DbmFile *settings, const DbmFile *file, const char *wants_one, DbmFileSet *set)
{
	if (wants_one && file->directives.online)
		dbm_fileset_trouble(set, settings, ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("%s is true, but %s says online", wants_one, file->path),
							"Only one of them can be right: change the other.");
}

static bool
settings_belong(const DbmFile *settings, const DbmFile *file)
{
	const char *owner = settings->name.settings_of;

	if (settings->name.format != DBM_FORMAT_DIESEL)
		return strcmp(owner, file->path) == 0;
	return strncmp(owner, file->path, strlen(owner)) == 0 &&
		strrchr(file->path, '/') == file->path + strlen(owner);
}

/*
 * Lines of "name = value", comments with '#' and sections of TOML.  NULL, or
 * what is wrong.  *wants_one is the name of the setting that wants a
 * transaction, if one does.
 */
static const char *
read_settings(const DbmFile *file, bool *no_transaction, const char **wants_one)
{
	bool		is_diesel = file->name.format == DBM_FORMAT_DIESEL;
	const char *wanted = is_diesel ? "run_in_transaction" : "executeInTransaction";

	for (const char *line = file->content; *line; line += strspn(line, "\r\n"))
	{
		const char *next = line + strcspn(line, "\r\n");
		const char *name = line + strspn(line, " \t");
		int			name_len = strcspn(name, " \t=#\r\n");
		const char *equals = name + name_len + strspn(name + name_len, " \t");

		line = next;
		if (name_len == 0 || *equals != '=')
			continue;
		equals += 1 + strspn(equals + 1, " \t");
		if (name_len == strlen(wanted) && strncmp(name, wanted, name_len) == 0)
		{
			if (strncmp(equals, "false", 5) == 0)
				*no_transaction = true;
			else if (strncmp(equals, "true", 4) == 0)
				*wants_one = wanted;
			else
				return psprintf("%s is neither true nor false", wanted);
		}
		else if (!is_diesel && strncmp(name, "shouldExecute", name_len) == 0)
			return "shouldExecute is not supported";
	}
	return NULL;
}
