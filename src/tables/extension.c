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
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "tables/tables.h"

/* The first version whose SQL objects this library can be used with. */
#define OLDEST_SERVED "1.0"

static void look_up(DbmExtension *ext);
static void check_version(const char *version);
static bool is_before(const char *version, const char *other);

/*
 * Find the extension and connect to SPI; the caller's memory context stays
 * current.
 */
void
dbm_extension_open(DbmExtension *ext)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			found;

	/*
	 * Whoever is dropping or updating it right now comes first: DROP
	 * EXTENSION and the first statement of our update scripts lock it
	 * exclusively.  ALTER EXTENSION ... UPDATE alone does not.
	 */
	do
	{
		look_up(ext);
		found = ext->oid;
		LockDatabaseObject(ExtensionRelationId, found, 0, AccessShareLock);
		look_up(ext);
	} while (ext->oid != found);
	ext->schema = get_namespace_oid("migrate", false);
	ext->target = "";
	ext->project = "";
	SPI_connect();
	MemoryContextSwitchTo(caller);
}

/*
 * What the call is about.  The project may be one that nobody has named yet,
 * see dbm_extension_check_project(); 22023 if that cannot be a name.
 */
void
dbm_extension_use(DbmExtension *ext, const char *target, const char *project)
{
	dbm_check_no_control("project", project);
	if (strlen(project) > DBM_MAX_NAME)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the name of a project must not be longer than %d bytes", DBM_MAX_NAME)));
	ext->target = target;
	ext->project = project;
}

/*
 * Error 42704 if no migration belongs to the project: with a misspelt name
 * everything would seem to be done.
 */
void
dbm_extension_check_project(const DbmExtension *ext)
{
	DbmParams	params = {0};

	if (ext->project[0] == '\0')
		return;
	dbm_param_text(&params, ext->project);
	dbm_query(ext,
			  "SELECT EXISTS (SELECT FROM migrate.migration m WHERE m.project OPERATOR(pg_catalog.=) $1)"
			  " OR EXISTS (SELECT FROM migrate.applied a WHERE a.project OPERATOR(pg_catalog.=) $1),"
			  " (SELECT pg_catalog.string_agg(pg_catalog.quote_literal(n.project), ', ' ORDER BY n.project)"
			  "  FROM (SELECT DISTINCT m.project FROM migrate.migration m"
			  "   WHERE m.project OPERATOR(pg_catalog.<>) '' ORDER BY m.project LIMIT 20) n)",
			  &params, SPI_OK_SELECT);
	if (!dbm_column_bool(0, 1))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("project \"%s\" has no migrations", ext->project),
				 dbm_column_is_null(0, 2) ?
				 errdetail("No project has a name here.") :
				 errdetail("Projects here are: %s.", dbm_column_text(0, 2)),
				 errhint("migrate.add() and its relatives begin a new one; leave the argument project out for the one without a name.")));
}

void
dbm_extension_close(void)
{
	SPI_finish();
}

/* Has the script just run dropped the extension under us, or renamed its tables? */
void
dbm_extension_check_alive(const DbmExtension *ext, const DbmLabel *label)
{
	/* its schema goes with it, and has a cache where extensions have none */
	if (!SearchSysCacheExists1(NAMESPACEOID, ObjectIdGetDatum(ext->schema)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s dropped extension \"dbmigrate\"", dbm_label_text(label)),
				 errhint("Drop it outside of migrations: DROP EXTENSION dbmigrate;")));
	if (get_namespace_oid("migrate", true) != ext->schema ||
		!OidIsValid(get_relname_relid("applied", ext->schema)) ||
		!OidIsValid(get_relname_relid("history", ext->schema)))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s renamed what belongs to extension \"dbmigrate\"", dbm_label_text(label)),
				 errhint("Leave schema migrate and its tables as they are.")));
}

/*
 * The installed extension.  Error 55000 if there is none, or this library does
 * not serve its version.
 */
static void
look_up(DbmExtension *ext)
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
