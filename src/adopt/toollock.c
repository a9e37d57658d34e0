/*-------------------------------------------------------------------------
 *
 * toollock.c
 *	  The other tool's own lock, for the rest of the transaction, so that a
 *	  runner of that tool that is still about waits, or ends; and the lock
 *	  under which its table is read.
 *
 * Their advisory locks are of session level mostly; ours of transaction level
 * conflicts with them all the same.  Some tools have none, and all can be told
 * to use another one, or none: so the table is locked as well.  The order is
 * the tools' own, first the advisory lock and then the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/dbcommands.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/pg_crc.h"

#include "adopt/adopt.h"

#define MAX_KEYS 2

static int	advisory_keys(const DbmToolTable *table, uint64 *keys);
static uint64 golang_migrate_key(const DbmToolTable *table, const char *database);
static uint64 flyway_lock_key(const DbmToolTable *table);
static uint32 crc32_of(const char *bytes, int len);
static int32 java_hash(const char *text);
static LOCKMODE table_lock_mode(bool dry_run);
static bool has_rows(char relkind);

/* Take the tool's own lock. */
void
dbm_tool_lock(const DbmExtension *ext, const DbmToolTable *table)
{
	uint64		keys[MAX_KEYS];
	int			nkeys = advisory_keys(table, keys);
	DbmWait		wait = {
		.mode = ExclusiveLock,
		.failure = psprintf("could not obtain the lock of %s", table->tool_name),
		.notice = psprintf("waiting for the lock of %s", table->tool_name)
	};

	for (int i = 0; i < nkeys; i++)
	{
		SET_LOCKTAG_ADVISORY(wait.tag, MyDatabaseId, (uint32) (keys[i] >> 32), (uint32) keys[i], 1);
		dbm_wait_for_lock(ext, &wait);
	}

	/* goose takes its lock only when asked to */
	if (!has_rows(table->relkind) && (nkeys == 0 || table->tool == DBM_TOOL_GOOSE))
		ereport(NOTICE,
				(errmsg("what is behind %s is not locked: make sure that nothing else migrates this database now",
						table->ref),
				 errdetail("It shows rows that are kept elsewhere.")));
}

/*
 * Lock the table and its partitions or children, by OID and without asking for
 * privileges: it is going to be read as its owner.
 */
void
dbm_tool_lock_table(const DbmExtension *ext, const DbmToolTable *table, bool dry_run)
{
	DbmWait		wait = {.mode = table_lock_mode(dry_run)};
	List	   *locked = NIL;
	bool		more = true;

	while (more)
	{
		ListCell   *lc;

		more = false;
		foreach(lc, find_all_inheritors(table->oid, NoLock, NULL))
		{
			Oid			oid = lfirst_oid(lc);
			char	   *name = get_rel_name(oid);
			char	   *schema = get_namespace_name(get_rel_namespace(oid));

			if (list_member_oid(locked, oid) || name == NULL || schema == NULL)
				continue;
			wait.failure = psprintf("could not obtain the lock of table %s",
									quote_qualified_identifier(schema, name));
			wait.notice = psprintf("waiting for the lock of table %s",
								   quote_qualified_identifier(schema, name));
			SET_LOCKTAG_RELATION(wait.tag, MyDatabaseId, oid);
			dbm_wait_for_lock(ext, &wait);
			locked = lappend_oid(locked, oid);
			more = true;

			/* what was committed while we waited may have changed the table */
			AcceptInvalidationMessages();
		}
	}
}

/*
 * Both modes keep out whoever wants to change what reading the table means;
 * the stronger one keeps out new rows as well.  On a standby no stronger one
 * can be had than that which keeps the table's owner from changing.
 */
static LOCKMODE
table_lock_mode(bool dry_run)
{
	if (RecoveryInProgress())
		return AccessShareLock;
	return dry_run ? ShareUpdateExclusiveLock : ShareRowExclusiveLock;
}

static bool
has_rows(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE;
}

/* The keys of the tool's advisory lock on this table, if it has one. */
static int
advisory_keys(const DbmToolTable *table, uint64 *keys)
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
			keys[0] = flyway_lock_key(table);
			return 1;
		default:
			return 0;
	}
}

static uint64
golang_migrate_key(const DbmToolTable *table, const char *database)
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
flyway_lock_key(const DbmToolTable *table)
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
