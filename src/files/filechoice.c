/*-------------------------------------------------------------------------
 *
 * filechoice.c
 *	  Which files of a set are left out because of the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "files/internal.h"

static void leave_out_other_databases(List *files);
static void leave_out_subfolders(List *files);

/*
 * "files" is a list of DbmFile whose names have been read; what is left out
 * gets that role and a reason.
 */
void
dbm_filechoice_leave_out(List *files)
{
	leave_out_other_databases(files);
	leave_out_subfolders(files);
}

/* postgres/001_name.sql beside mysql/001_name.sql */
static void
leave_out_other_databases(List *files)
{
	bool		has_ours = false;
	ListCell   *lc;

	foreach(lc, files)
	{
		const DbmFileName *name = &((DbmFile *) lfirst(lc))->name;

		has_ours |= name->folder_dialect && name->role != DBM_FILE_LEFT_OUT &&
			dbm_filename_is_ours(name->folder_dialect);
	}
	foreach(lc, files)
	{
		DbmFileName *name = &((DbmFile *) lfirst(lc))->name;

		if (has_ours && name->folder_dialect && name->role != DBM_FILE_LEFT_OUT &&
			!dbm_filename_is_ours(name->folder_dialect))
		{
			name->role = DBM_FILE_LEFT_OUT;
			name->reason = psprintf("for another database: %s", name->folder_dialect);
		}
	}
}

/*
 * The tools whose formats have no folders do not look into folders: what is
 * below the uppermost file of such a format is something else.  Those whose
 * formats have folders look at nothing else.
 */
static void
leave_out_subfolders(List *files)
{
	int			depth = PG_INT32_MAX;
	bool		has_folders = false;
	ListCell   *lc;

	foreach(lc, files)
	{
		const DbmFileName *name = &((DbmFile *) lfirst(lc))->name;

		if (name->role == DBM_FILE_LEFT_OUT || name->role == DBM_FILE_BAD)
			continue;
		if (name->is_flat)
			depth = Min(depth, name->depth);
		has_folders |= name->format == DBM_FORMAT_FOLDERS || dbm_filename_has_own_folder(name);
	}
	foreach(lc, files)
	{
		DbmFileName *name = &((DbmFile *) lfirst(lc))->name;

		if (!name->is_flat || name->role == DBM_FILE_LEFT_OUT)
			continue;
		if (name->depth > depth)
			name->reason = "in a folder below the other migrations";
		else if (has_folders && name->role == DBM_FILE_BAD)
			name->reason = "outside of the migrations' folders";
		else
			continue;
		name->role = DBM_FILE_LEFT_OUT;
	}
}
