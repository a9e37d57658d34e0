/*-------------------------------------------------------------------------
 *
 * fileset.c
 *	  From the files of a directory to migrations: which belong together,
 *	  and what is wrong.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "files/internal.h"

/* A file that is part of a migration. */
typedef struct Part
{
	DbmFile    *file;
	const char *version;		/* canonical, NULL for a repeatable one */
} Part;

static void read_name(DbmFile *file, DbmFileSet *set);
static List *sort_out(List *files, DbmFileSet *set);
static Part *make_part(DbmFile *file, DbmFileSet *set);
static void collect(List *parts, DbmFileSet *set);
static bool begins_another(const DbmFileMigration *migration, const DbmFile *file);
static void number_duplicates(DbmFileSet *set);
static const char *what_it_is(const DbmFile *file);
static void finish_migration(DbmFileMigration *migration, DbmFileSet *set);
static int	compare_parts(const ListCell *a, const ListCell *b);
static int	compare_migrations(const Part *a, const Part *b);
static bool is_taken(const DbmFileSet *set, int index);
static DbmFileMigration *begin_migration(const Part *part);
static void take_part(DbmFileMigration *migration, DbmFile *file, DbmFileSet *set);
static void read_contents(DbmFileMigration *migration, DbmFileSet *set);
static bool has_content(DbmFile *file, DbmFileSet *set);
static void take_sections(DbmFileMigration *migration, DbmFile *file, DbmFileSet *set);
static void take_up(DbmFileMigration *migration, const DbmFile *file);
static void take_down(DbmFileMigration *migration, const DbmFile *file);

/*
 * Read a set of files: a list of DbmFile, of which path, and content and len or
 * a hash are given.  Raises nothing: what is wrong goes to set->troubles.
 *
 * What belongs together is seen from the names alone.  Only then the contents
 * are looked at, of those migrations that dbm_known_files_find() does not know;
 * files without one go to set->wanted.
 */
void
dbm_fileset_read(List *files, DbmFormat format, DbmFileSet *set)
{
	ListCell   *lc;

	set->files = files;
	set->format = format;
	foreach(lc, files)
		read_name(lfirst(lc), set);
	dbm_filechoice_leave_out(files);
	collect(sort_out(files, set), set);
	dbm_filesettings_read(set);
	dbm_filesettings_find_owners(set);
	dbm_known_files_find(set);
	foreach(lc, set->migrations)
		read_contents(lfirst(lc), set);
	number_duplicates(set);
	foreach(lc, files)
	{
		DbmFile    *file = lfirst(lc);

		if (file->name.role == DBM_FILE_LEFT_OUT)
			set->left_out = lappend(set->left_out, file);
	}
}

static void
read_name(DbmFile *file, DbmFileSet *set)
{
	file->given = file->path;
	if (dbm_has_control(file->path))
	{
		file->path = dbm_without_control(file->path);
		dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE,
							"its name has control characters, shown as ? here",
							"Rename the file.");
	}
	dbm_filename_read(file->path, set->format, &file->name);
	if (file->content == NULL && !file->has_sha256 && file->name.role != DBM_FILE_LEFT_OUT &&
		file->name.role != DBM_FILE_BAD && file->name.role != DBM_FILE_CODE)
	{
		file->name.role = DBM_FILE_BAD;
		file->name.reason = "its content is missing";
		file->name.hint = "An empty file has the content \"\".";
	}
}

/* The parts of migrations, in order. */
static List *
sort_out(List *files, DbmFileSet *set)
{
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, files)
	{
		DbmFile    *file = lfirst(lc);

		if (file->name.role == DBM_FILE_BAD)
			dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE, file->name.reason, file->name.hint);
		else if (file->name.role != DBM_FILE_LEFT_OUT && file->name.role != DBM_FILE_SETTINGS)
		{
			Part	   *part = make_part(file, set);

			if (part)
				parts = lappend(parts, part);
		}
	}
	list_sort(parts, compare_parts);
	return parts;
}

static Part *
make_part(DbmFile *file, DbmFileSet *set)
{
	Part	   *part = palloc0(sizeof(Part));

	part->file = file;
	if (file->name.version && !dbm_version_is_valid(file->name.version))
	{
		dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE, "its version is too long", NULL);
		return NULL;
	}
	if (file->name.version == NULL && strlen(file->name.name) > DBM_MAX_NAME)
	{
		dbm_fileset_trouble(set, file, ERRCODE_INVALID_PARAMETER_VALUE, "its name is too long", NULL);
		return NULL;
	}
	if (file->name.version)
		part->version = dbm_version_canonical(file->name.version);
	return part;
}

/* From sorted parts to migrations. */
static void
collect(List *parts, DbmFileSet *set)
{
	const Part *last = NULL;
	DbmFileMigration *migration = NULL;
	ListCell   *lc;

	foreach(lc, parts)
	{
		Part	   *part = lfirst(lc);
		int			rank = 0;

		CHECK_FOR_INTERRUPTS();
		if (last && compare_migrations(last, part) == 0)
		{
			if (!begins_another(migration, part->file))
			{
				take_part(migration, part->file, set);
				continue;
			}
			rank = migration->rank + 1;
		}
		finish_migration(migration, set);
		migration = begin_migration(part);
		migration->rank = rank;
		set->migrations = lappend(set->migrations, migration);
		take_part(migration, part->file, set);
		last = part;
	}
	finish_migration(migration, set);
}

/* Is this an up script beside one that the migration has? */
static bool
begins_another(const DbmFileMigration *migration, const DbmFile *file)
{
	return migration->up_file && file->name.role != DBM_FILE_DOWN &&
		file->name.role != DBM_FILE_CODE &&
		(migration->up_file->name.dialect == NULL || file->name.dialect != NULL);
}

/*
 * Several migrations of one version.  To Prisma and sql-migrate the whole
 * name is the identity, and the order; here the second of 005 is 005.2.
 */
static void
number_duplicates(DbmFileSet *set)
{
	DbmFileMigration *first = NULL;
	ListCell   *lc;

	foreach(lc, set->migrations)
	{
		DbmFileMigration *migration = lfirst(lc);
		DbmRegistration *registration = &migration->registration;
		DbmFormat	format = migration->format;

		if (migration->rank == 0)
			first = migration;
		else if (format == first->format &&
				 (format == DBM_FORMAT_PRISMA || format == DBM_FORMAT_SQL_MIGRATE))
		{
			registration->version = psprintf("%s.%d", registration->version, migration->rank + 1);
			if (dbm_version_is_valid(registration->version))
				registration->version_key = PointerGetDatum(dbm_version_parse(registration->version));
			if (dbm_version_is_valid(registration->version) && !is_taken(set, foreach_current_index(lc)))
				continue;
			dbm_fileset_trouble(set, migration->up_file, ERRCODE_DUPLICATE_OBJECT,
								psprintf("it cannot have version %s beside %s", registration->version,
										 first->up_file->path),
								"Give it a number of its own.");
			migration->is_unreadable = true;
		}
		else if (!migration->is_unreadable)
		{
			dbm_fileset_trouble(set, migration->up_file, ERRCODE_DUPLICATE_OBJECT,
								psprintf("%s is in %s already", what_it_is(migration->up_file),
										 first->up_file->path),
								strcmp(dbm_filename_folder(migration->up_file->path), dbm_filename_folder(first->up_file->path)) == 0 ?
								(migration->registration.id ? "Give one of them another name, or leave one out." :
								 "Give one of them another version, or leave one out.") :
								"Their folders do not tell them apart.  Give one of them another version, or leave one out.");
			migration->is_unreadable = true;
		}
	}
}

/* Does a later file have the version that was made for this one? */
static bool
is_taken(const DbmFileSet *set, int index)
{
	const DbmFileMigration *migration = list_nth(set->migrations, index);
	const char *wanted = dbm_version_canonical(migration->registration.version);
	ListCell   *lc;

	for_each_from(lc, set->migrations, index + 1)
	{
		const DbmFileMigration *other = lfirst(lc);
		int			order;

		if (other->registration.version == NULL || other->rank > 0)
			continue;
		order = dbm_version_compare(dbm_version_canonical(other->registration.version), wanted);
		if (order >= 0)
			return order == 0;
	}
	return false;
}

static const char *
what_it_is(const DbmFile *file)
{
	return file->name.version ? psprintf("version %s", file->name.version) :
		psprintf("repeatable migration \"%s\"", file->name.name);
}

/*
 * A down script whose up script is there for other databases only has nothing
 * to undo in ours.
 */
static void
finish_migration(DbmFileMigration *migration, DbmFileSet *set)
{
	DbmFile    *down = migration ? unconstify(DbmFile *, migration->down_file) : NULL;
	ListCell   *lc;

	if (down == NULL || migration->up_file)
		return;
	foreach(lc, set->files)
	{
		const DbmFileName *other = &((DbmFile *) lfirst(lc))->name;

		if (other->role == DBM_FILE_LEFT_OUT && other->dialect && other->version &&
			strcmp(other->version, down->name.version) == 0)
		{
			down->name.role = DBM_FILE_LEFT_OUT;
			down->name.reason = "its up script is for other databases";
			set->migrations = list_delete_last(set->migrations);
			return;
		}
	}
}

/* Versions in their order, then repeatable migrations in that of their names. */
static int
compare_migrations(const Part *a, const Part *b)
{
	bool		a_baseline = a->file->name.role == DBM_FILE_BASELINE;
	bool		b_baseline = b->file->name.role == DBM_FILE_BASELINE;

	if (a->version == NULL && b->version == NULL)
		return strcmp(a->file->name.name, b->file->name.name);
	if (a->version && b->version && a_baseline != b_baseline)
		return a_baseline ? -1 : 1;
	return dbm_version_compare(a->version, b->version);
}

/*
 * Within a migration: up before down, SQL before code, and what is for our
 * database alone before what is for all.
 */
static int
compare_parts(const ListCell *a, const ListCell *b)
{
	const Part *one = lfirst(a);
	const Part *two = lfirst(b);
	const DbmFileName *x = &one->file->name;
	const DbmFileName *y = &two->file->name;
	int			result = compare_migrations(one, two);

	if (result == 0 && dbm_filename_has_own_folder(x) && dbm_filename_has_own_folder(y))
		result = strcmp(dbm_filename_folder(x->path), dbm_filename_folder(y->path));
	if (result == 0)
		result = (x->role == DBM_FILE_DOWN) - (y->role == DBM_FILE_DOWN);
	if (result == 0)
		result = (x->role == DBM_FILE_CODE) - (y->role == DBM_FILE_CODE);
	if (result == 0)
		result = (x->dialect == NULL) - (y->dialect == NULL);
	return result ? result : strcmp(x->path, y->path);
}

/* A migration without its parts. */
static DbmFileMigration *
begin_migration(const Part *part)
{
	const DbmFileName *name = &part->file->name;
	DbmFileMigration *migration = palloc0(sizeof(DbmFileMigration));
	DbmRegistration *registration = &migration->registration;

	registration->name = name->name;
	if (name->role == DBM_FILE_REPEATABLE)
		registration->id = psprintf("R__%s", name->name);
	else if (name->role == DBM_FILE_BASELINE)
	{
		registration->id = psprintf("B__%s", name->version);
		registration->baseline_key = PointerGetDatum(dbm_version_parse(name->version));
	}
	else
	{
		registration->version = name->version;
		if (name->version)
			registration->version_key = PointerGetDatum(dbm_version_parse(name->version));
	}
	return migration;
}

/* One more file of the migration. */
static void
take_part(DbmFileMigration *migration, DbmFile *file, DbmFileSet *set)
{
	bool		is_down = file->name.role == DBM_FILE_DOWN;
	const DbmFile *other = is_down ? migration->down_file : migration->up_file;

	if (other && ((other->name.dialect && file->name.dialect == NULL) || file->name.role == DBM_FILE_CODE))
	{
		file->name.role = DBM_FILE_LEFT_OUT;
		file->name.reason = psprintf("%s takes its place", other->path);
		return;
	}
	if (other)
	{
		dbm_fileset_trouble(set, file, ERRCODE_DUPLICATE_OBJECT,
							psprintf("the down script of %s is in %s already", what_it_is(file), other->path),
							"Leave one of them out.");
		return;
	}
	if (is_down)
		migration->down_file = file;
	else
		migration->up_file = file;
	if (is_down && migration->up_file)
		return;
	migration->format = file->name.format;
	migration->registration.file_name = file->path;
}

/*
 * What its files say, unless that is known; what is missing for it goes to
 * set->wanted.
 */
static void
read_contents(DbmFileMigration *migration, DbmFileSet *set)
{
	DbmFile    *up = unconstify(DbmFile *, migration->up_file);
	DbmFile    *down = unconstify(DbmFile *, migration->down_file);
	ListCell   *lc;
	bool		is_complete = true;

	CHECK_FOR_INTERRUPTS();
	if (migration->known)
		return;
	is_complete &= has_content(up, set);
	is_complete &= has_content(down, set);
	foreach(lc, migration->settings)
		is_complete &= has_content(lfirst(lc), set);
	if (!is_complete)
	{
		migration->is_unreadable = true;
		return;
	}
	if (down)
	{
		take_down(migration, down);
		dbm_directives_take(migration, down, down->len, set);
	}
	if (up && up->name.role == DBM_FILE_CODE)
		migration->is_code = true;
	else if (up && up->name.role == DBM_FILE_SECTIONS)
		take_sections(migration, up, set);
	else if (up)
	{
		take_up(migration, up);
		dbm_directives_take(migration, up, up->len, set);
	}
	dbm_filesettings_apply(migration, set);
	migration->has_placeholders = migration->format == DBM_FORMAT_FLYWAY &&
		((up && up->content && strstr(up->content, "${")) || (down && strstr(down->content, "${")));
}

/* Code is not read: what it does is not known from its text. */
static bool
has_content(DbmFile *file, DbmFileSet *set)
{
	if (file == NULL || file->content || file->name.role == DBM_FILE_CODE)
		return true;
	if (!file->is_wanted)
		set->wanted = lappend(set->wanted, file);
	file->is_wanted = true;
	return false;
}

static void
take_sections(DbmFileMigration *migration, DbmFile *file, DbmFileSet *set)
{
	DbmFileText parts;
	const char *hint;
	const char *problem = dbm_format_split(file->content, file->len, file->name.format, &parts, &hint);
	const DbmFile *down_file = migration->down_file;

	take_up(migration, file);
	if (problem)
	{
		migration->is_unreadable = true;
		dbm_fileset_trouble(set, file, ERRCODE_SYNTAX_ERROR, problem, hint);
		return;
	}
	migration->format = parts.format;
	if (parts.is_template)
	{
		migration->is_code = true;
		migration->registration.up = 0;
		return;
	}
	migration->registration.up = parts.up;
	migration->up_no_transaction |= parts.up_no_transaction;
	if (parts.has_down && down_file)
		dbm_fileset_trouble(set, down_file, ERRCODE_DUPLICATE_OBJECT,
							psprintf("the down script of %s is in %s already", what_it_is(down_file), file->path),
							"Leave one of them out.");
	if (parts.has_down)
	{
		migration->down_file = file;
		migration->registration.down = parts.down;
		migration->down_no_transaction = file->name.no_transaction | parts.down_no_transaction;
	}
	dbm_directives_take(migration, file, parts.first_section, set);
}

static void
take_up(DbmFileMigration *migration, const DbmFile *file)
{
	migration->registration.up = PointerGetDatum(cstring_to_text_with_len(file->content, file->len));
	migration->up_no_transaction = file->name.no_transaction ||
		(file->name.is_flat && dbm_format_is_no_transaction(file->content));
}

static void
take_down(DbmFileMigration *migration, const DbmFile *file)
{
	migration->registration.down = PointerGetDatum(cstring_to_text_with_len(file->content, file->len));
	migration->down_no_transaction = file->name.no_transaction ||
		(file->name.is_flat && dbm_format_is_no_transaction(file->content));
}

/* The file that a migration is called by. */
const DbmFile *
dbm_fileset_main_file(const DbmFileMigration *migration)
{
	return migration->up_file ? migration->up_file : migration->down_file;
}
