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

static char *owner_key(const DbmFile *settings);
static void take_settings(DbmFileMigration *migration, const DbmFile *file, HTAB *settings);
static bool settings_belong(const DbmFile *settings, const DbmFile *file);
static const char *read_settings(const DbmFile *file, bool *no_transaction, const char **wants_one);
static void check_agreement(const DbmFile *settings, const DbmFile *file, DbmFileSet *set);

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

/*
 * Which migrations have files that a metadata.toml or a NAME.sql.conf of the
 * set is about?  Those about none are left out.
 */
void
dbm_filesettings_find_owners(DbmFileSet *set)
{
	HTAB	   *settings = NULL;
	ListCell   *lc;

	foreach(lc, set->files)
	{
		DbmFile    *file = lfirst(lc);

		if (file->name.role != DBM_FILE_SETTINGS)
			continue;
		if (settings == NULL)
			settings = dbm_names_create(list_length(set->files));
		dbm_names_put(settings, owner_key(file), file);
		file->name.reason = psprintf("there is no %s", file->name.settings_of);
	}
	if (settings == NULL)
		return;
	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);

		CHECK_FOR_INTERRUPTS();
		take_settings(migration, migration->up_file, settings);
		take_settings(migration, migration->down_file, settings);
	}
	foreach(lc, set->files)
	{
		DbmFile    *file = lfirst(lc);

		if (file->name.role == DBM_FILE_SETTINGS && file->name.reason)
			file->name.role = DBM_FILE_LEFT_OUT;
	}
}

/* What such a file is about: all files of a folder, or one file. */
static char *
owner_key(const DbmFile *settings)
{
	bool		is_folder = settings->name.format == DBM_FORMAT_DIESEL;

	return psprintf("%s%s", settings->name.settings_of, is_folder ? "/" : "");
}

static void
take_settings(DbmFileMigration *migration, const DbmFile *file, HTAB *settings)
{
	const char *keys[2];

	if (file == NULL)
		return;
	keys[0] = psprintf("%s/", dbm_filename_folder(file->path));
	keys[1] = file->path;
	for (int i = 0; i < lengthof(keys); i++)
	{
		DbmFile    *found = dbm_names_get(settings, keys[i]);

		if (found == NULL)
			continue;
		found->name.reason = NULL;
		migration->settings = list_append_unique_ptr(migration->settings, found);
	}
}

/* What is wrong with files about other files, and what they say. */
void
dbm_filesettings_read(DbmFileSet *set)
{
	ListCell   *lc;

	foreach(lc, set->files)
	{
		DbmFile    *file = lfirst(lc);
		const char *problem;

		if (file->name.role != DBM_FILE_SETTINGS || file->content == NULL)
			continue;
		problem = read_settings(file, &file->no_transaction, &file->wants_one);
		if (problem)
			dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE, problem, NULL);
	}
}

/* What they say about the files of a migration, which have been read. */
void
dbm_filesettings_apply(DbmFileMigration *migration, DbmFileSet *set)
{
	ListCell   *lc;

	foreach(lc, migration->settings)
	{
		const DbmFile *settings = lfirst(lc);

		if (migration->up_file && settings_belong(settings, migration->up_file))
		{
			check_agreement(settings, migration->up_file, set);
			migration->up_no_transaction |= settings->no_transaction;
		}
		if (migration->down_file && settings_belong(settings, migration->down_file))
		{
			if (migration->down_file != migration->up_file)
				check_agreement(settings, migration->down_file, set);
			migration->down_no_transaction |= settings->no_transaction;
		}
	}
}

/* The settings want a transaction by that name, and the file says that it wants none. */
static void
check_agreement(const DbmFile *settings, const DbmFile *file, DbmFileSet *set)
{
	if (settings->wants_one && file->directives.online)
		dbm_fileset_trouble(set, settings, ERRCODE_INVALID_PARAMETER_VALUE,
							psprintf("%s is true, but %s says online", settings->wants_one, file->path),
							"Only one of them can be right: change the other.");
}

static bool
settings_belong(const DbmFile *settings, const DbmFile *file)
{
	const char *owner = settings->name.settings_of;

	if (settings->name.format != DBM_FORMAT_DIESEL)
		return strcmp(owner, file->path) == 0;
	return strcmp(owner, dbm_filename_folder(file->path)) == 0;
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
