/*-------------------------------------------------------------------------
 *
 * foreignlock.c
 *	  The other tool's own lock, for the rest of the transaction, so that a
 *	  runner of that tool that is still about waits, or ends.
 *
 * Their advisory locks are of session level mostly; ours of transaction level
 * conflicts with them all the same.  Some tools have none, and all can be told
 * to use another one, or none: so the table is locked as well, if the caller
 * has the right to do that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/pg_crc.h"
#include "utils/wait_event.h"

#include "compat.h"
#include "dbmigrate.h"

#define POLL_INTERVAL 50		/* milliseconds */
#define MAX_KEYS 2

static int	advisory_keys(const DbmForeignTable *table, uint64 *keys);
static uint64 golang_migrate_key(const DbmForeignTable *table, const char *database);
static uint64 flyway_key(const DbmForeignTable *table);
static uint32 crc32_of(const char *bytes, int len);
static int32 java_hash(const char *text);
static bool may_lock_table(Oid oid);
static void acquire(const DbmExtension *ext, const char *of, const LOCKTAG *tag, LOCKMODE mode);
static char *describe_holder(const DbmExtension *ext, const LOCKTAG *tag);

/*
 * Take the tool's lock, waiting for it as long as for a migration run.
 * Error 55P03 says who holds it.
 */
void
dbm_foreign_lock(const DbmExtension *ext, const DbmForeignTable *table)
{
	LOCKTAG		tag;
	uint64		keys[MAX_KEYS];
	int			nkeys = advisory_keys(table, keys);

	for (int i = 0; i < nkeys; i++)
	{
		SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, (uint32) (keys[i] >> 32), (uint32) keys[i], 1);
		acquire(ext, table->tool_name, &tag, ExclusiveLock);
	}
	if (table->relkind != RELKIND_RELATION && table->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	if (may_lock_table(table->oid))
	{
		SET_LOCKTAG_RELATION(tag, MyDatabaseId, table->oid);
		acquire(ext, psprintf("table %s", table->ref), &tag, ShareLock);
	}
	/* goose takes its lock only when asked to */
	else if (nkeys == 0 || table->tool == DBM_TOOL_GOOSE)
		ereport(NOTICE,
				(errmsg("table %s is not locked: make sure that nothing else migrates this database now",
						table->ref),
				 errdetail("That needs the UPDATE, DELETE or TRUNCATE privilege on it.")));
}

/* The keys of the tool's advisory lock on this table, if it has one. */
static int
advisory_keys(const DbmForeignTable *table, uint64 *keys)
{
	char	   *database = get_database_name(MyDatabaseId);

	switch (table->tool)
	{
		case DBM_TOOL_NODE_PG_MIGRATE:
			keys[0] = UINT64CONST(7241865325823964);
			return 1;
		case DBM_TOOL_TERN:
			keys[0] = UINT64CONST(9628173550095224);
			return 1;
		case DBM_TOOL_GOOSE:
			keys[0] = UINT64CONST(4097083626);
			return 1;
		case DBM_TOOL_PRISMA:
			keys[0] = UINT64CONST(72707369);
			return 1;
		case DBM_TOOL_RAILS:
			keys[0] = UINT64CONST(2053462845) * crc32_of(database, strlen(database));
			return 1;
		case DBM_TOOL_SQLX:
			keys[0] = UINT64CONST(0x3d32ad9e) * crc32_of(database, strlen(database));
			return 1;
		case DBM_TOOL_GOLANG_MIGRATE:
			/* the command takes the path of a URL for the database's name */
			keys[0] = golang_migrate_key(table, database);
			keys[1] = golang_migrate_key(table, psprintf("/%s", database));
			return 2;
		case DBM_TOOL_FLYWAY:
			keys[0] = flyway_key(table);
			return 1;
		default:
			return 0;
	}
}

static uint64
golang_migrate_key(const DbmForeignTable *table, const char *database)
{
	StringInfoData name;

	initStringInfo(&name);
	appendBinaryStringInfo(&name, table->schema, strlen(table->schema) + 1);
	appendBinaryStringInfo(&name, table->name, strlen(table->name) + 1);
	appendStringInfoString(&name, database);
	return (uint32) (crc32_of(name.data, name.len) * (uint32) 1486364155);
}

/* Names are always in quotation marks there, and inner ones doubled. */
static uint64
flyway_key(const DbmForeignTable *table)
{
	StringInfoData name;

	initStringInfo(&name);
	for (int i = 0; i < 2; i++)
	{
		appendStringInfoString(&name, i == 0 ? "\"" : ".\"");
		for (const char *p = i == 0 ? table->schema : table->name; *p; p++)
		{
			if (*p == '"')
				appendStringInfoChar(&name, '"');
			appendStringInfoChar(&name, *p);
		}
		appendStringInfoChar(&name, '"');
	}
	return UINT64CONST(0x466C79776179) + (int64) java_hash(name.data);
}

static uint32
crc32_of(const char *bytes, int len)
{
	pg_crc32	crc;

	INIT_TRADITIONAL_CRC32(crc);
	COMP_TRADITIONAL_CRC32(crc, bytes, len);
	FIN_TRADITIONAL_CRC32(crc);
	return crc;
}

/* Java's String.hashCode(): over UTF-16 units. */
static int32
java_hash(const char *text)
{
	int			len = strlen(text);
	const unsigned char *utf8 = (const unsigned char *) dbm_checksum_utf8(text, &len);
	uint32		hash = 0;

	for (int i = 0; i < len; i += pg_utf_mblen(utf8 + i))
	{
		pg_wchar	c = utf8_to_unicode(utf8 + i);

		if (c >= 0x10000)
		{
			hash = hash * 31 + 0xD800 + ((c - 0x10000) >> 10);
			c = 0xDC00 + ((c - 0x10000) & 0x3FF);
		}
		hash = hash * 31 + c;
	}
	return (int32) hash;
}

/* As LOCK TABLE ... IN SHARE MODE asks for it. */
static bool
may_lock_table(Oid oid)
{
	return pg_class_aclcheck(oid, GetUserId(), ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE) == ACLCHECK_OK;
}

static void
acquire(const DbmExtension *ext, const char *of, const LOCKTAG *tag, LOCKMODE mode)
{
	TimestampTz start = GetCurrentTimestamp();
	bool		told = false;

	while (LockAcquire(tag, mode, false, true) == LOCKACQUIRE_NOT_AVAIL)
	{
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), dbm_lock_wait))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not obtain the lock of %s", of),
					 errdetail_internal("%s", describe_holder(ext, tag)),
					 errhint("Try again when it has ended, or wait longer: SET dbmigrate.lock_wait = '10min';")));
		if (!told && dbm_progress)
			ereport(NOTICE,
					(errmsg("waiting for the lock of %s", of),
					 errdetail_internal("%s", describe_holder(ext, tag))));
		told = true;

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(POLL_INTERVAL, dbm_lock_wait), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	/* what was committed while we waited may have changed the table */
	AcceptInvalidationMessages();
}

/* A sentence on who holds a lock that is in our way. */
static char *
describe_holder(const DbmExtension *ext, const LOCKTAG *tag)
{
	bool		is_table = tag->locktag_type == LOCKTAG_RELATION;
	DbmParams	params = {0};

	dbm_param(&params, OIDOID, ObjectIdGetDatum(tag->locktag_field1), false);
	dbm_param(&params, OIDOID, ObjectIdGetDatum(tag->locktag_field2), false);
	dbm_param(&params, OIDOID, ObjectIdGetDatum(tag->locktag_field3), false);
	dbm_param(&params, INT4OID, Int32GetDatum(MyProcPid), false);

	/* who is there now, not when this transaction first looked */
	pgstat_clear_backend_activity_snapshot();
	dbm_query(ext,
			  psprintf("SELECT CASE WHEN l.pid IS NULL THEN 'It is held by a prepared transaction.'"
					   " ELSE pg_catalog.format('It is held by process %%s of user \"%%s\"%%s.', l.pid, a.usename,"
					   " CASE WHEN a.application_name OPERATOR(pg_catalog.=) '' THEN ''"
					   " ELSE pg_catalog.format(' (%%s)', a.application_name) END) END"
					   " FROM pg_catalog.pg_locks l"
					   " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid OPERATOR(pg_catalog.=) l.pid"
					   " WHERE l.granted AND l.pid IS DISTINCT FROM $4"
					   " AND l.database OPERATOR(pg_catalog.=) $1 AND %s LIMIT 1",
					   is_table ?
					   "l.locktype OPERATOR(pg_catalog.=) 'relation'"
					   " AND l.relation OPERATOR(pg_catalog.=) $2 AND $3 IS NOT NULL"
					   " AND l.mode OPERATOR(pg_catalog.<>) ALL (ARRAY['AccessShareLock', 'RowShareLock', 'ShareLock'])" :
					   "l.locktype OPERATOR(pg_catalog.=) 'advisory'"
					   " AND l.classid OPERATOR(pg_catalog.=) $2"
					   " AND l.objid OPERATOR(pg_catalog.=) $3"
					   " AND l.objsubid OPERATOR(pg_catalog.=) 1"),
			  &params, SPI_OK_SELECT);
	return SPI_processed > 0 ? dbm_column_text(0, 1) : "It was held by a process that has just ended.";
}
