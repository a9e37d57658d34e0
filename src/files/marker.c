/*-------------------------------------------------------------------------
 *
 * marker.c
 *	  The comments that other tools give a meaning.
 *
 * The rules are those of the tools' own parsers (node-pg-migrate 9, dbmate 2,
 * goose 3, sql-migrate 1, tern 2, sqlx 0.8), but for one thing: they look at
 * every line of a text, we only at comments at top level.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "files/internal.h"

static bool read_node_pg_migrate(const char *comment, DbmMarker *marker);
static bool read_dbmate(const char *comment, DbmMarker *marker);
static bool read_goose(const char *comment, DbmMarker *marker);
static bool read_sql_migrate(const char *comment, DbmMarker *marker);
static bool read_tern(const char *comment, DbmMarker *marker);
static const char *skip_blanks(const char *p);
static const char *skip_word(const char *p, const char *word);
static bool is_line(const char *p, const char *line);

/*
 * What does a comment mean to some tool?  "comment" begins with "--" and is
 * NUL-terminated.  False if it is nothing but a comment.
 */
bool
dbm_marker_read(const char *comment, DbmMarker *marker)
{
	memset(marker, 0, sizeof(DbmMarker));
	return read_goose(comment, marker) ||
		read_sql_migrate(comment, marker) ||
		read_dbmate(comment, marker) ||
		read_tern(comment, marker) ||
		read_node_pg_migrate(comment, marker);
}

/* -- Up Migration, --- down   migration */
static bool
read_node_pg_migrate(const char *comment, DbmMarker *marker)
{
	const char *p = comment + strspn(comment, "- \t");
	const char *rest;

	if ((rest = skip_word(p, "up")) != NULL)
		marker->kind = DBM_MARKER_UP;
	else if ((rest = skip_word(p, "down")) != NULL)
		marker->kind = DBM_MARKER_DOWN;
	else
		return false;
	if (*rest != ' ' && *rest != '\t')
		return false;
	marker->format = DBM_FORMAT_NODE_PG_MIGRATE;
	return skip_word(skip_blanks(rest), "migration") != NULL;
}

/* -- migrate:up transaction:false */
static bool
read_dbmate(const char *comment, DbmMarker *marker)
{
	const char *p = skip_blanks(comment + 2);

	if (strncmp(p, "migrate:up", 10) == 0)
	{
		marker->kind = DBM_MARKER_UP;
		p += 10;
	}
	else if (strncmp(p, "migrate:down", 12) == 0)
	{
		marker->kind = DBM_MARKER_DOWN;
		p += 12;
	}
	else
		return false;
	if (*p != '\0' && *p != ' ' && *p != '\t')
		return false;
	marker->format = DBM_FORMAT_DBMATE;
	for (p = skip_blanks(p); *p; p = skip_blanks(p))
	{
		size_t		len = strcspn(p, " \t");

		if (len == strlen("transaction:false") && strncmp(p, "transaction:false", len) == 0)
			marker->no_transaction = true;
		p += len;
	}
	return true;
}

/* -- +goose Up */
static bool
read_goose(const char *comment, DbmMarker *marker)
{
	const char *p = skip_blanks(comment + 2);

	if ((p = skip_word(p, "+goose")) == NULL || (*p != ' ' && *p != '\t'))
		return false;
	p = skip_blanks(p);
	marker->format = DBM_FORMAT_GOOSE;
	if (is_line(p, "up"))
		marker->kind = DBM_MARKER_UP;
	else if (is_line(p, "down"))
		marker->kind = DBM_MARKER_DOWN;
	else if (is_line(p, "statementbegin"))
		marker->kind = DBM_MARKER_BLOCK_BEGIN;
	else if (is_line(p, "statementend"))
		marker->kind = DBM_MARKER_BLOCK_END;
	else if (is_line(p, "no transaction"))
		marker->kind = DBM_MARKER_NO_TRANSACTION;
	else if (is_line(p, "envsub off"))
		marker->kind = DBM_MARKER_NOTHING;
	else
		marker->kind = DBM_MARKER_UNSUPPORTED;
	return true;
}

/* -- +migrate Up notransaction */
static bool
read_sql_migrate(const char *comment, DbmMarker *marker)
{
	const char *p = comment;

	if (strncmp(p, "-- +migrate ", 12) != 0)
		return false;
	p = skip_blanks(p + 12);
	marker->format = DBM_FORMAT_SQL_MIGRATE;
	if (strncmp(p, "Up", 2) == 0)
	{
		marker->kind = DBM_MARKER_UP;
		p += 2;
	}
	else if (strncmp(p, "Down", 4) == 0)
	{
		marker->kind = DBM_MARKER_DOWN;
		p += 4;
	}
	else if (is_line(p, "statementbegin"))
		marker->kind = DBM_MARKER_BLOCK_BEGIN;
	else if (is_line(p, "statementend"))
		marker->kind = DBM_MARKER_BLOCK_END;
	else
		marker->kind = DBM_MARKER_UNSUPPORTED;

	if (marker->kind == DBM_MARKER_UP || marker->kind == DBM_MARKER_DOWN)
	{
		if (is_line(skip_blanks(p), "notransaction"))
			marker->no_transaction = true;
		else if (*skip_blanks(p) != '\0')
			marker->kind = DBM_MARKER_UNSUPPORTED;
	}
	return true;
}

/* ---- create above / drop below ---- */
static bool
read_tern(const char *comment, DbmMarker *marker)
{
	marker->format = DBM_FORMAT_TERN;
	if (is_line(comment, "---- create above / drop below ----"))
		marker->kind = DBM_MARKER_DOWN;
	else if (is_line(comment, "---- tern: disable-tx ----"))
		marker->kind = DBM_MARKER_NO_TRANSACTION;
	else
		return false;
	return true;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t");
}

/* Behind the word, whatever its case; NULL if something else is there. */
static const char *
skip_word(const char *p, const char *word)
{
	size_t		len = strlen(word);

	return pg_strncasecmp(p, word, len) == 0 ? p + len : NULL;
}

/* Is this, but for blanks at the end, all there is? */
static bool
is_line(const char *p, const char *line)
{
	const char *rest = skip_word(p, line);

	return rest != NULL && *skip_blanks(rest) == '\0';
}
