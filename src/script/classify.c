/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  What a statement is: online or not, or refused altogether.
 *
 * Online are the statements that PostgreSQL refuses in a transaction block,
 * or after a query in it: the callers of PreventInTransactionBlock() in the
 * server's source, WAIT FOR, some of SET TRANSACTION, DO blocks with a COMMIT in
 * them, and two of TimescaleDB's that can be told by their options.  The answer
 * is the same on every server version that can parse the statement, whether or
 * not that version refuses it.
 *
 * Where it depends on the catalogs (REINDEX, CLUSTER or REPACK of something
 * that may be partitioned, DROP SUBSCRIPTION with or without a slot) the
 * parse tree cannot tell, and the answer here is no: the server says it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "commands/defrem.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"

#include "script/internal.h"

#define WHITE_SPACE " \t\n\r\f\v"

static bool has_option(List *options, const char *name);
static bool option_enabled(List *options, const char *name, bool if_absent);
static bool repack_is_online(const RepackStmt *stmt);
static bool alter_table_is_online(const AlterTableStmt *stmt);
static bool create_subscription_is_online(const CreateSubscriptionStmt *stmt);
static bool alter_subscription_is_online(const AlterSubscriptionStmt *stmt);
static bool set_transaction_is_online(const VariableSetStmt *stmt);
static bool transaction_option_is_online(const char *name, Node *value);
static bool names_no_table(const char *sql);
static int	leading_words(const char *sql, char (*words)[NAMEDATALEN], int max);
static bool contains_word(const char *sql, const char *word);
static bool goes_on_as_name(char c);

/* Does this statement (raw parse tree) need a transaction of its own? */
bool
dbm_classify_online(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_IndexStmt:

			/*
			 * chunk by chunk: TimescaleDB crashes if that is done in a
			 * function
			 */
			return ((IndexStmt *) stmt)->concurrent ||
				option_enabled(((IndexStmt *) stmt)->options, "transaction_per_chunk", false);
		case T_CreateTableAsStmt:
			/* a continuous aggregate of TimescaleDB, WITH DATA */
			return !((CreateTableAsStmt *) stmt)->into->skipData &&
				option_enabled(((CreateTableAsStmt *) stmt)->into->options, "continuous", false);
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
		case T_RepackStmt:
			return repack_is_online((RepackStmt *) stmt);
		case T_AlterTableStmt:
			return alter_table_is_online((AlterTableStmt *) stmt);
		case T_CreatedbStmt:
		case T_DropdbStmt:
		case T_CreateTableSpaceStmt:
		case T_DropTableSpaceStmt:
		case T_AlterSystemStmt:
			return true;
		case T_AlterDatabaseStmt:
			return has_option(((AlterDatabaseStmt *) stmt)->options, "tablespace");
		case T_DiscardStmt:
			return ((DiscardStmt *) stmt)->target == DISCARD_ALL;
		case T_CreateSubscriptionStmt:
			return create_subscription_is_online((CreateSubscriptionStmt *) stmt);
		case T_AlterSubscriptionStmt:
			return alter_subscription_is_online((AlterSubscriptionStmt *) stmt);
		case T_VariableSetStmt:
			return set_transaction_is_online((VariableSetStmt *) stmt);
		case T_DoStmt:
			return dbm_do_block_commits((DoStmt *) stmt);
		case T_TransactionStmt:
			{
				TransactionStmtKind kind = ((TransactionStmt *) stmt)->kind;

				return kind == TRANS_STMT_COMMIT_PREPARED ||
					kind == TRANS_STMT_ROLLBACK_PREPARED;
			}
		default:
			return dbm_is_wait(stmt);
	}
}

/*
 * The same for text that this server cannot parse, from its first words and,
 * where these do not decide, one that must follow.
 */
bool
dbm_classify_online_words(const char *sql)
{
	static const struct
	{
		const char *first;
		const char *second;		/* or NULL: whatever it is */
		const char *later;		/* or NULL: nothing more is needed */
	}			online[] = {
		{"vacuum", NULL, NULL},
		{"wait", "for", NULL},
		{"create", "database", NULL},
		{"drop", "database", NULL},
		{"alter", "database", "tablespace"},
		{"create", "tablespace", NULL},
		{"drop", "tablespace", NULL},
		{"alter", "system", NULL},
		{"discard", "all", NULL},
		{"create", "subscription", NULL},
		{"alter", "subscription", "publication"},
		{"alter", "subscription", "failover"},
		{"commit", "prepared", NULL},
		{"rollback", "prepared", NULL},
		{"reindex", "schema", NULL},
		{"reindex", "database", NULL},
		{"reindex", "system", NULL},
		{"reindex", NULL, "concurrently"},
		{"repack", NULL, "concurrently"},
		{"repack", NULL, "analyze"},
		{"repack", NULL, "analyse"},
		{"create", "index", "concurrently"},
		{"create", "unique", "concurrently"},
		{"drop", "index", "concurrently"},
		{"alter", "table", "concurrently"}
	};
	char		words[2][NAMEDATALEN];
	int			nwords = leading_words(sql, words, lengthof(words));

	if (nwords == 0)
		return false;
	if ((strcmp(words[0], "repack") == 0 || strcmp(words[0], "cluster") == 0) &&
		names_no_table(sql))
		return true;
	for (int i = 0; i < lengthof(online); i++)
	{
		if (strcmp(words[0], online[i].first) == 0 &&
			(online[i].second == NULL ||
			 (nwords > 1 && strcmp(words[1], online[i].second) == 0)) &&
			(online[i].later == NULL || contains_word(sql, online[i].later)))
			return true;
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
 * What has to come before the first query of its transaction: a snapshot, a
 * word about DEFERRABLE, an isolation level.  READ COMMITTED is let off: as
 * a rule it is the level anyway, and then the server takes it at any time.
 */
static bool
set_transaction_is_online(const VariableSetStmt *stmt)
{
	ListCell   *lc;

	if (stmt->kind == VAR_SET_VALUE && list_length(stmt->args) == 1)
		return transaction_option_is_online(stmt->name, linitial(stmt->args));
	if (stmt->kind != VAR_SET_MULTI)
		return false;
	if (strcmp(stmt->name, "TRANSACTION SNAPSHOT") == 0)
		return true;
	if (strcmp(stmt->name, "TRANSACTION") != 0)
		return false;
	foreach(lc, stmt->args)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (transaction_option_is_online(option->defname, option->arg))
			return true;
	}
	return false;
}

static bool
transaction_option_is_online(const char *name, Node *value)
{
	if (pg_strcasecmp(name, "transaction_isolation") == 0)
		return !(IsA(value, A_Const) && IsA(&((A_Const *) value)->val, String) &&
				 pg_strcasecmp(strVal(&((A_Const *) value)->val), "read committed") == 0);
	return pg_strcasecmp(name, "transaction_deferrable") == 0;
}

static bool
has_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			return true;
	}
	return false;
}

/* The last of its name counts, as in the server. */
static bool
option_enabled(List *options, const char *name, bool if_absent)
{
	bool		enabled = if_absent;
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0)
			enabled = defGetBoolean(option);
	}
	return enabled;
}

static bool
repack_is_online(const RepackStmt *stmt)
{
	return stmt->relation == NULL ||
		option_enabled(stmt->params, "concurrently", false) ||
		option_enabled(stmt->params, "analyze", false) ||
		option_enabled(stmt->params, "analyse", false);
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

/*
 * All that fetches the list of tables from the publisher, or alters the
 * slot there: 17 has failover, 18 two_phase, of which only the way to off
 * concerns the slot.
 */
static bool
alter_subscription_is_online(const AlterSubscriptionStmt *stmt)
{
	switch (stmt->kind)
	{
		case ALTER_SUBSCRIPTION_SET_PUBLICATION:
		case ALTER_SUBSCRIPTION_ADD_PUBLICATION:
		case ALTER_SUBSCRIPTION_DROP_PUBLICATION:
			return option_enabled(stmt->options, "refresh", true);
		case ALTER_SUBSCRIPTION_OPTIONS:
			return !option_enabled(stmt->options, "two_phase", true) ||
				has_option(stmt->options, "failover");
		case ALTER_SUBSCRIPTION_REFRESH_PUBLICATION:
			return true;
		default:
			return false;
	}
}

/* REPACK or CLUSTER, with options or not, and no table: that is, of many. */
static bool
names_no_table(const char *sql)
{
	char		word[1][NAMEDATALEN];

	sql = strpbrk(sql, WHITE_SPACE "(;");
	if (sql == NULL)
		return true;
	sql += strspn(sql, WHITE_SPACE);
	if (*sql == '(')
	{
		sql = strchr(sql, ')');
		if (sql == NULL)
			return false;
		sql++;
		sql += strspn(sql, WHITE_SPACE);
	}
	return *sql == '\0' || *sql == ';' ||
		(leading_words(sql, word, 1) > 0 && strcmp(word[0], "using") == 0);
}

static int
leading_words(const char *sql, char (*words)[NAMEDATALEN], int max)
{
	int			nwords = 0;

	while (nwords < max)
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

	for (const char *at = sql; *at; at++)
	{
		if (pg_strncasecmp(at, word, len) == 0 && !goes_on_as_name(at[len]) &&
			(at == sql || !goes_on_as_name(at[-1])))
			return true;
	}
	return false;
}

/* A quote as well: "concurrently" may be a column. */
static bool
goes_on_as_name(char c)
{
	return isalnum((unsigned char) c) || IS_HIGHBIT_SET(c) || c == '_' || c == '$' || c == '"';
}
