/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  The extension in this database, and whether this library serves it.
 *
 * Library and SQL objects do not change at the same moment.  A new library is
 * what every session loads that begins after its file was installed, in all
 * databases of the server; the objects stay what they are until ALTER EXTENSION
 * ... UPDATE, database by database.  So a library serves the objects of older
 * versions, too, back to OLDEST_SERVED.  It knows nothing of newer ones: those
 * are met by a session that still holds the library from before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"

#include "compat.h"
#include "dbmigrate.h"

/* The first version whose SQL objects this library can be used with. */
#define OLDEST_SERVED "1.0"

static void check_version(const char *version);
static bool is_before(const char *version, const char *other);

/*
 * The installed extension.  Error 55000 if there is none, or this library does
 * not serve its version.
 */
void
dbm_extension_look_up(DbmExtension *ext)
{
	Relation	rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum("dbmigrate"));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	ext->oid = InvalidOid;
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		ext->oid = form->oid;
		ext->owner = form->extowner;
		version = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion,
												   RelationGetDescr(rel), &isnull));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);

	if (version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"dbmigrate\" is not installed in this database"),
				 errhint("CREATE EXTENSION dbmigrate;")));
	check_version(version);
}

static void
check_version(const char *version)
{
	if (strcmp(version, DBMIGRATE_VERSION) == 0)
		return;
	if (is_before(version, OLDEST_SERVED))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"dbmigrate\" in this database is too old for its library"),
				 errdetail("The extension is version %s; the library is version %s, and serves versions from %s on.",
						   version, DBMIGRATE_VERSION, OLDEST_SERVED),
				 errhint("ALTER EXTENSION dbmigrate UPDATE;")));
	if (!is_before(version, DBMIGRATE_VERSION))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the library of extension \"dbmigrate\" in this session is too old"),
				 errdetail("The extension in this database is version %s, the library is version %s.",
						   version, DBMIGRATE_VERSION),
				 errhint("Connect again.  If that does not help, install the files of version %s on this server; one that preloads the library must be restarted.",
						 version)));
}

/* What cannot be read as a version is none of ours yet, so it is not before. */
static bool
is_before(const char *version, const char *other)
{
	const char *canonical = dbm_version_canonical(version);

	return canonical && dbm_version_compare(canonical, dbm_version_canonical(other)) < 0;
}
