/*-------------------------------------------------------------------------
 *
 * send.c
 *	  Registering the files of a directory, and having the server look at them.
 *
 * Only what is new travels.  The server is asked for one digest of all names and
 * contents; where that is another one, it says of which files it wants the
 * content, and gets the hashes of the others.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "connect.h"
#include "options.h"
#include "outcome.h"
#include "query.h"
#include "report.h"
#include "say.h"
#include "send.h"
#include "sqltext.h"
#include "utf8.h"

#define ADD_FILES "SELECT f.version, f.name, f.result, f.file, f.detail FROM migrate.add_files($1::jsonb, $2, $3) f"

/* Columns of that. */
enum
{
	COLUMN_VERSION,
	COLUMN_NAME,
	COLUMN_RESULT,
	COLUMN_FILE,
	COLUMN_DETAIL
};

/* Rows of add_files(); NULL if all was known already. */
static PGresult *registered;

/* What the migrations of "registered" are called, in order; made when it is asked for. */
static char **with_file;
static size_t nwith_file;

static void need_add_files(void);
static bool is_known(const Files *files);
static bool *ask_which_are_wanted(const Files *files);
static char *make_json(const Files *files, const bool *wanted);
static void add_files(const Files *files, const bool *wanted);
static void report_registered(void);
static char *migration_label(const char *version, const char *name, const char *file);
static const char *value(int row, int column);
static bool has_file(const Files *files, const char *id);
static void list_ids(void);
static char *migration_id(const char *version, const char *name);
static int	compare_ids(const void *one, const void *other);
static bool try_statement(const char *sql, int nvalues, const char *const *values);
static void show_orphan(const char *version, const char *name);

/* Registers in the open transaction; an error ends the program. */
void
send_files(const Files *files)
{
	need_add_files();
	if (is_known(files))
		return;
	add_files(files, ask_which_are_wanted(files));
	report_registered();
}

static void
need_add_files(void)
{
	if (!has_function("add_files"))
		fail("the extension in this database is too old to register files", "psql -c \"ALTER EXTENSION dbmigrate UPDATE\"");
}

/* Is the directory what was registered last? */
static bool
is_known(const Files *files)
{
	const char *values[] = {options.format, options.project};
	unsigned char digest[SHA256_LENGTH];
	PGresult   *row;
	char	   *hex;
	bool		is_same;

	if (!may_call("files_digest"))
		return false;
	files_digest(files, digest);
	hex = hex_string(digest, sizeof(digest));
	row = query("SELECT encode(migrate.files_digest($1, $2), 'hex')", 2, values);
	is_same = strcmp(PQgetvalue(row, 0, 0), hex) == 0;
	PQclear(row);
	free(hex);
	return is_same;
}

/* For each file; NULL for all of them. */
static bool *
ask_which_are_wanted(const Files *files)
{
	Text		names = {0};
	Text		hashes = {0};
	const char *values[] = {NULL, NULL, options.format, options.project};
	bool	   *wanted;
	PGresult   *rows;

	if (!may_call("wanted_files") || !may_call("add_files"))
		return NULL;
	for (size_t i = 0; i < files->n; i++)
	{
		char	   *hex = hex_string(files->file[i].sha256, SHA256_LENGTH);
		char	   *bytea = format_string("\\x%s", hex);

		sql_array_add(&names, files->file[i].name);
		sql_array_add(&hashes, files->file[i].is_text ? bytea : NULL);
		free(hex);
		free(bytea);
	}
	values[0] = sql_array_end(&names);
	values[1] = sql_array_end(&hashes);
	rows = query("SELECT migrate.wanted_files($1::text[], $2::bytea[], $3, $4)", 4, values);
	wanted = allocate((files->n + 1) * sizeof(bool));
	memset(wanted, 0, (files->n + 1) * sizeof(bool));
	for (int i = 0; i < PQntuples(rows); i++)
	{
		const File *file = files_find(files, PQgetvalue(rows, i, 0));

		if (file)
			wanted[file - files->file] = true;
	}
	PQclear(rows);
	text_free(&names);
	text_free(&hashes);
	return wanted;
}

/* {"name": "content" | {"sha256": "..."} | null, ...} */
static char *
make_json(const Files *files, const bool *wanted)
{
	Text		json = {0};

	text_append_char(&json, '{');
	for (size_t i = 0; i < files->n; i++)
	{
		const File *file = &files->file[i];

		if (i > 0)
			text_append_char(&json, ',');
		json_string(&json, file->name, strlen(file->name));
		text_append_char(&json, ':');
		if (!file->is_text)
			text_append(&json, "null");
		else if (wanted == NULL || wanted[i])
		{
			size_t		len = 0;
			char	   *content = files_content(files, file, &len);

			json_string(&json, content, len);
			free(content);
		}
		else
		{
			char	   *hex = hex_string(file->sha256, SHA256_LENGTH);

			text_format(&json, "{\"sha256\":\"%s\"}", hex);
			free(hex);
		}
	}
	text_append_char(&json, '}');
	return json.data;
}

static void
add_files(const Files *files, const bool *wanted)
{
	char	   *json = make_json(files, wanted);
	const char *values[] = {json, options.format, options.project};

	registered = query(ADD_FILES, 3, values);
	free(json);
}

/*
 * Asks something of the directory: "sql" has the files as $1, format, target
 * schema and project as the other parameters.
 */
PGresult *
send_for_comparison(const Files *files, const char *sql)
{
	static bool is_asked;
	static bool *wanted;
	char	   *json;
	const char *values[] = {NULL, options.format, options.schema, options.project};
	PGresult   *result;

	if (!is_asked)
		wanted = ask_which_are_wanted(files);
	is_asked = true;
	json = make_json(files, wanted);
	values[0] = json;
	result = query(sql, 4, values);
	free(json);
	return result;
}

static void
report_registered(void)
{
	static const char *const keys[] = {"version", "name", "result", "file", "detail"};

	for (int i = 0; options.json && i < PQntuples(registered); i++)
	{
		Text		row = {0};

		if (strcmp(value(i, COLUMN_RESULT), "unchanged") == 0)
			continue;
		for (int j = 0; j < (int) lengthof(keys); j++)
			json_member(&row, keys[j], PQgetisnull(registered, i, j) ? NULL : value(i, j));
		report_add("files", &row);
		text_free(&row);
	}
}

static const char *
value(int row, int column)
{
	return PQgetvalue(registered, row, column);
}

/* Files that are no migrations are worth a word when they look like some. */
void
show_left_out(bool all)
{
	for (int i = 0; registered && i < PQntuples(registered); i++)
	{
		const char *file = value(i, COLUMN_FILE);
		const char *detail = value(i, COLUMN_DETAIL);

		if (strcmp(value(i, COLUMN_RESULT), "left out") == 0 && (all || ends_with_nocase(file, ".sql")))
			note("left out: %s%s%s", harmless_line(file), *detail ? ": " : "", harmless_line(detail));
	}
}

/* Or was all of it known? */
bool
has_registered_something(void)
{
	for (int i = 0; registered && i < PQntuples(registered); i++)
		if (strcmp(value(i, COLUMN_RESULT), "added") == 0 || strcmp(value(i, COLUMN_RESULT), "updated") == 0)
			return true;
	return false;
}

/*
 * After a run that has failed: what was registered for it and not begun is
 * forgotten again.  It would be pending, and stop a release that has no file for
 * it.  Nothing here fails; is the registration undone?
 */
bool
forget_added(void)
{
	const char *values[] = {NULL, options.schema, options.project};
	Text		ids = {0};
	bool		is_all = registered != NULL && PQstatus(connection) == CONNECTION_OK && may_call("remove") && may_call("pending");
	bool		is_done;

	for (int i = 0; is_all && i < PQntuples(registered); i++)
	{
		if (strcmp(value(i, COLUMN_RESULT), "added") == 0)
			sql_array_add(&ids, migration_id(value(i, COLUMN_VERSION), value(i, COLUMN_NAME)));
		is_all &= strcmp(value(i, COLUMN_RESULT), "updated") != 0;
	}
	if (ids.len == 0)
		return false;
	values[0] = sql_array_end(&ids);
	is_done = try_statement("BEGIN ISOLATION LEVEL READ COMMITTED", 0, NULL) &&
		try_statement("SET LOCAL search_path = pg_catalog, pg_temp", 0, NULL) &&
			try_statement("SET LOCAL dbmigrate.lock_wait = 0", 0, NULL) &&
			try_statement("SET LOCAL lock_timeout = '1s'", 0, NULL) &&
			try_statement("SELECT migrate.remove(i.id, $3) FROM (SELECT coalesce(p.version, 'R__' || p.name) AS id"
						  "  FROM migrate.pending($2, $3) p WHERE p.state NOT IN ('failed', 'interrupted', 'running')) i"
						  " WHERE i.id = ANY ($1::text[])", 3, values);
	is_done = try_statement(is_done ? "COMMIT" : "ROLLBACK", 0, NULL) && is_done;
	text_free(&ids);
	return is_done && is_all;
}

/* Quietly, and whatever a signal has stopped. */
static bool
try_statement(const char *sql, int nvalues, const char *const *values)
{
	PGresult   *result;
	bool		success;

	result = PQexecParams(connection, sql, nvalues, NULL, values, NULL, NULL, 0);
	success = query_succeeded(result);
	PQclear(result);
	return success;
}

/* What "push" did. */
void
show_registered(void)
{
	static const char *const results[] = {"added", "updated", "unchanged", "left out"};
	int			count[lengthof(results)] = {0};
	char	   *message;

	for (int i = 0; registered && i < PQntuples(registered); i++)
	{
		const char *result = value(i, COLUMN_RESULT);

		for (size_t j = 0; j < lengthof(results); j++)
			count[j] += strcmp(result, results[j]) == 0;
		if (!options.quiet && strcmp(result, "unchanged") != 0 && strcmp(result, "left out") != 0)
			tell("%s %s", result, migration_label(value(i, COLUMN_VERSION), value(i, COLUMN_NAME), value(i, COLUMN_FILE)));
	}
	if (registered)
		message = format_string("%d added, %d updated, %d unchanged, %d left out", count[0], count[1], count[2], count[3]);
	else
		message = copy_string("all of it is registered as it is");
	report_text("message", message);
	if (!options.quiet)
		tell("%s", message);
	free(message);
}

/* 001 create_users, or R__view, or the name of the file */
static char *
migration_label(const char *version, const char *name, const char *file)
{
	if (*version)
		return harmless_line(format_string("%s%s%s", version, *name ? " " : "", name));
	if (*name)
		return harmless_line(format_string("R__%s", name));
	return harmless_line(file);
}

/*
 * Pending migrations that have no file, of another branch or of somebody else,
 * would be run too: that wants a decision, and ends the program.  Those of a newer
 * release that was rolled back here are left out, so that the older one starts:
 * the result is an array of them, or NULL.
 */
char *
orphans_left_out(const Files *files)
{
	const char *values[] = {options.schema, options.project};
	PGresult   *pending = query("SELECT version, name, rolled_back FROM migrate.pending($1, $2)", 2, values);
	Text		left_out = {0};
	int			orphans = 0;

	for (int i = 0; i < PQntuples(pending); i++)
	{
		const char *version = PQgetvalue(pending, i, 0);
		const char *name = PQgetvalue(pending, i, 1);
		char	   *id = migration_id(version, name);
		bool		is_there = has_file(files, id);

		free(id);
		if (is_there)
			continue;
		if (*PQgetvalue(pending, i, 2) == 't' && *version)
		{
			sql_array_add(&left_out, version);
			note("left out: %s, which was rolled back here and is not in the directory", migration_label(version, name, ""));
			continue;
		}
		if (orphans++ == 0)
			say("registered in the database and pending, but not in the directory:");
		show_orphan(version, name);
	}
	PQclear(pending);
	if (orphans > 0)
	{
		rollback();
		fail(format_string("%d %s would be applied without a file in %s", orphans, plural(orphans, "migration", "migrations"),
						   harmless_line(files->directory)),
			 "dbmigrate up --registered applies them too; the commands above forget them");
	}
	if (left_out.len > 0)
		sql_array_end(&left_out);
	return left_out.data;
}

/* The command to forget it is meant to be copied: it is one line and means that name, whatever is in it. */
static void
show_orphan(const char *version, const char *name)
{
	char	   *id = migration_id(version, name);

	say("  %-40s SELECT migrate.remove(%s%s%s);", migration_label(version, name, ""), sql_literal(id),
		*options.project ? ", project => " : "", *options.project ? sql_literal(options.project) : "");
	free(id);
}

/* Is it in the directory, which is registered? */
static bool
has_file(const Files *files, const char *id)
{
	if (with_file == NULL)
	{
		bool	   *none = allocate((files->n + 1) * sizeof(bool));

		memset(none, 0, (files->n + 1) * sizeof(bool));
		if (registered == NULL)
			add_files(files, none);
		free(none);
		list_ids();
	}
	return bsearch(&id, with_file, nwith_file, sizeof(char *), compare_ids) != NULL;
}

static void
list_ids(void)
{
	int			n = PQntuples(registered);

	with_file = allocate(((size_t) n + 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
		if (strcmp(value(i, COLUMN_RESULT), "left out") != 0)
			with_file[nwith_file++] = migration_id(value(i, COLUMN_VERSION), value(i, COLUMN_NAME));
	qsort(with_file, nwith_file, sizeof(char *), compare_ids);
}

static char *
migration_id(const char *version, const char *name)
{
	return *version ? copy_string(version) : format_string("R__%s", name);
}

static int
compare_ids(const void *one, const void *other)
{
	return strcmp(*(char *const *) one, *(char *const *) other);
}
