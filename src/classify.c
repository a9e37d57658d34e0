/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  What a statement is: online or not, or refused altogether.
 *
 * Online are the statements that PostgreSQL refuses in a transaction block:
 * the callers of PreventInTransactionBlock() in the server's source.  Where
 * the answer depends on the catalogs (REINDEX or CLUSTER of something that
 * may be partitioned, DROP SUBSCRIPTION with or without a slot) the parse
 * tree cannot tell, and the answer here is no: the server says it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "compat.h"
#include "dbmigrate.h"

#define MAX_WORDS 4

static bool option_enabled(List *options, const char *name, bool if_absent);
static bool alter_table_is_online(const AlterTableStmt *stmt);
static bool create_subscription_is_online(const CreateSubscriptionStmt *stmt);
static bool alter_subscription_is_online(const AlterSubscriptionStmt *stmt);
static bool set_transaction_is_online(const VariableSetStmt *stmt);
static int	leading_words(const char *sql, char words[MAX_WORDS][NAMEDATALEN]);
static bool contains_word(const char *sql, const char *word);

/* Does this statement (raw parse tree) need a transaction of its own? */
bool
dbm_classify_online(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_IndexStmt:
			return ((IndexStmt *) stmt)->concurrent;
		case T_DropStmt:
			return ((DropStmt *) stmt)->concurrent;
		case T_ReindexStmt:
			{
				ReindexStmt *reindex = (ReindexStmt *) stmt;

				return reindex->kind == REINDEX_OBJECT_SCHEMA ||
					reindex->kind == REINDEX_OBJECT_SYSTEM ||
					reindex->kind == REINDEX_OBJECT_DATABASE ||
					option_enabled(reindex->params, "concurrently", false);
			}
		case T_VacuumStmt:
			return ((VacuumStmt *) stmt)->is_vacuumcmd;
		case T_ClusterStmt:
			return ((ClusterStmt *) stmt)->relation == NULL;
		case T_AlterTableStmt:
			return alter_table_is_online((AlterTableStmt *) stmt);
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
			return true;
		case T_AlterDatabaseStmt:
			{
				ListCell   *lc;

				foreach(lc, ((AlterDatabaseStmt *) stmt)->options)
				{
					if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
						return true;
				}
				return false;
			}
		case T_DiscardStmt:
			return ((DiscardStmt *) stmt)->target == DISCARD_ALL;
		case T_CreateSubscriptionStmt:
			return create_subscription_is_online((CreateSubscriptionStmt *) stmt);
		case T_AlterSubscriptionStmt:
			return alter_subscription_is_online((AlterSubscriptionStmt *) stmt);
		case T_VariableSetStmt:
			return set_transaction_is_online((VariableSetStmt *) stmt);
		case T_TransactionStmt:
			{
				TransactionStmtKind kind = ((TransactionStmt *) stmt)->kind;

				return kind == TRANS_STMT_COMMIT_PREPARED ||
					kind == TRANS_STMT_ROLLBACK_PREPARED;
			}
		default:
			return false;
	}
}

/*
 * The same for text that this server cannot parse, from its first words.
 */
bool
dbm_classify_online_words(const char *sql)
{
	static const char *const always[][2] = {
		{"vacuum", NULL}, {"create", "database"}, {"drop", "database"},
		{"create", "tablespace"}, {"drop", "tablespace"}, {"alter", "system"},
		{"discard", "all"}, {"create", "subscription"},
		{"commit", "prepared"}, {"rollback", "prepared"},
		{"reindex", "schema"}, {"reindex", "database"}, {"reindex", "system"}
	};
	static const char *const concurrently[][2] = {
		{"create", "index"}, {"create", "unique"}, {"drop", "index"},
		{"reindex", NULL}, {"alter", "table"}
	};
	char		words[MAX_WORDS][NAMEDATALEN];
	int			nwords = leading_words(sql, words);

	for (int i = 0; i < lengthof(always); i++)
	{
		if (nwords > 0 && strcmp(words[0], always[i][0]) == 0 &&
			(always[i][1] == NULL || (nwords > 1 && strcmp(words[1], always[i][1]) == 0)))
			return true;
	}
	for (int i = 0; i < lengthof(concurrently); i++)
	{
		if (nwords > 0 && strcmp(words[0], concurrently[i][0]) == 0 &&
			(concurrently[i][1] == NULL ||
			 (nwords > 1 && strcmp(words[1], concurrently[i][1]) == 0)))
			return contains_word(sql, "concurrently");
	}
	return false;
}

/*
 * Why no migration may hold this statement; NULL if it may.  The message is
 * for errmsg(), *sqlerrcode its class.
 */
const char *
dbm_classify_refused(Node *stmt, int *sqlerrcode)
{
	*sqlerrcode = ERRCODE_FEATURE_NOT_SUPPORTED;

	if (IsA(stmt, VariableSetStmt))
	{
		VariableSetStmt *set = (VariableSetStmt *) stmt;

		if (set->kind == VAR_SET_VALUE &&
			pg_strcasecmp(set->name, "standard_conforming_strings") == 0 &&
			list_length(set->args) == 1 && IsA(linitial(set->args), A_Const))
		{
			A_Const    *value = linitial_node(A_Const, set->args);
			bool		on = true;

			if (nodeTag(&value->val) == T_String)
				(void) parse_bool(strVal(&value->val), &on);
			else if (nodeTag(&value->val) == T_Integer)
				on = intVal(&value->val) != 0;
			if (!on)
				return "a migration must not switch standard_conforming_strings off";
		}
	}
	else if (IsA(stmt, CopyStmt))
	{
		CopyStmt   *copy = (CopyStmt *) stmt;

		if (copy->filename == NULL && !copy->is_from)
			return "COPY TO STDOUT is not allowed in a migration";
	}
	return NULL;
}

/*
 * SET TRANSACTION ISOLATION LEVEL REPEATABLE READ or SERIALIZABLE has to be
 * the first of its transaction.
 */
static bool
set_transaction_is_online(const VariableSetStmt *stmt)
{
	ListCell   *lc;

	if (stmt->kind != VAR_SET_MULTI || strcmp(stmt->name, "TRANSACTION") != 0)
		return false;
	foreach(lc, stmt->args)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "transaction_isolation") == 0 &&
			pg_strncasecmp(strVal(&((A_Const *) option->arg)->val), "read", 4) != 0)
			return true;
	}
	return false;
}

static bool
option_enabled(List *options, const char *name, bool if_absent)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			return defGetBoolean(option);
	}
	return if_absent;
}

static bool
alter_table_is_online(const AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_DetachPartition &&
			((PartitionCmd *) cmd->def)->concurrent)
			return true;
	}
	return false;
}

static bool
create_subscription_is_online(const CreateSubscriptionStmt *stmt)
{
	bool		connect = option_enabled(stmt->options, "connect", true);

	return option_enabled(stmt->options, "create_slot", connect);
}

/* All that fetches the list of tables from the publisher. */
static bool
alter_subscription_is_online(const AlterSubscriptionStmt *stmt)
{
	switch (stmt->kind)
	{
		case ALTER_SUBSCRIPTION_SET_PUBLICATION:
		case ALTER_SUBSCRIPTION_ADD_PUBLICATION:
		case ALTER_SUBSCRIPTION_DROP_PUBLICATION:
			return option_enabled(stmt->options, "refresh", true);
		case ALTER_SUBSCRIPTION_REFRESH:
			return true;
		default:
			return false;
	}
}

static int
leading_words(const char *sql, char words[MAX_WORDS][NAMEDATALEN])
{
	int			nwords = 0;

	while (nwords < MAX_WORDS)
	{
		int			len = 0;

		while (isspace((unsigned char) *sql))
			sql++;
		while (isalpha((unsigned char) sql[len]) || sql[len] == '_')
			len++;
		if (len == 0 || len >= NAMEDATALEN)
			break;
		for (int i = 0; i < len; i++)
			words[nwords][i] = pg_tolower((unsigned char) sql[i]);
		words[nwords++][len] = '\0';
		sql += len;
	}
	return nwords;
}

static bool
contains_word(const char *sql, const char *word)
{
	int			len = strlen(word);

	for (; *sql; sql++)
	{
		if (pg_strncasecmp(sql, word, len) == 0 &&
			!isalnum((unsigned char) sql[len]) && sql[len] != '_')
			return true;
	}
	return false;
}
