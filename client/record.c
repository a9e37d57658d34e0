/*-------------------------------------------------------------------------
 *
 * record.c
 *	  What changes the extension's knowledge and runs no migration: init, push,
 *	  baseline, manage, adopt.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "connect.h"
#include "create.h"
#include "files.h"
#include "options.h"
#include "outcome.h"
#include "production.h"
#include "query.h"
#include "record.h"
#include "report.h"
#include "say.h"
#include "send.h"
#include "table.h"
#include "utf8.h"

static void create_extension(void);
static void record(const char *sql);
static void done(const char *format,...) __attribute__((format(printf, 1, 2)));
static void show_adopted(const PGresult *rows);

/* init */
int
command_init(void)
{
	struct stat st;
	bool		was_there = stat(options.directory, &st) == 0 && S_ISDIR(st.st_mode);

	connect_database();
	if (facts.is_installed)
		note("the extension is already installed in database %s", harmless_line(facts.database));
	else
		create_extension();
	if (!was_there)
	{
		if (!create_directories(options.directory))
			fail(format_string("cannot create the directory %s", harmless_line(options.directory)), NULL);
		note("created the directory %s", harmless_line(options.directory));
	}
	return outcome_end();
}

static void
create_extension(void)
{
	need_available();
	outcome.has_begun = true;
	outcome.hint = "it takes a superuser: an administrator runs CREATE EXTENSION dbmigrate; once in this database";
	begin();
	execute("CREATE EXTENSION dbmigrate");
	commit();
	note("created the extension in database %s", harmless_line(facts.database));
}

/* push */
int
command_push(void)
{
	Files		files;

	if (!files_find_directory(&files, true))
		usage_error(NULL, "push is about a directory; --registered does without one");
	files_read(&files, true);
	files_refuse_templates(&files);
	connect_database();
	need_extension();
	outcome.has_begun = true;
	begin();
	send_files(&files);
	commit();
	show_left_out(true);
	show_registered();
	return outcome_end();
}

/* baseline VERSION */
int
command_baseline(void)
{
	record("SELECT migrate.baseline($1, $2, $3)");
	done("everything up to %s counts as applied, nothing was run; status shows it", harmless_line(options.argument));
	return outcome_end();
}

/* manage REASON */
int
command_manage(void)
{
	record("SELECT migrate.manage($1, $2, $3)");
	done("recorded; nothing counts as applied, and nothing was run");
	return outcome_end();
}

/* Has the server note something; the parameters are the argument, target schema and project. */
static void
record(const char *sql)
{
	const char *values[] = {options.argument, options.schema, options.project};

	connect_database();
	need_extension();
	confirm_production();
	outcome.has_begun = true;
	begin();
	PQclear(query(sql, 3, values));
	commit();
}

/* For people, and as the message of the document. */
static void
done(const char *format,...)
{
	va_list		arguments;
	char	   *message;

	va_start(arguments, format);
	message = format_arguments(format, arguments);
	va_end(arguments);
	note("%s", message);
	report_text("message", message);
	free(message);
}

/*
 * adopt [TABLE]
 *
 * The files are registered first, so that the rows of the other tool's table
 * find the texts that they stand for.
 */
int
command_adopt(void)
{
	const char *table = options.argument && *options.argument ? options.argument : NULL;
	const char *values[] = {table, options.dry_run ? "true" : "false", options.schema, options.project};
	Files		files;
	bool		has_files = files_find_directory(&files, false);
	PGresult   *rows;

	if (has_files)
		files_read(&files, false);
	connect_database();
	need_extension();
	if (!options.dry_run)
		confirm_production();
	outcome.has_begun = true;
	begin();
	if (has_files && files.n > 0)
		send_files(&files);
	execute("SET LOCAL search_path TO DEFAULT");
	rows = query("SELECT r.version, r.name, r.result, r.applied_at, r.applied_by, r.detail"
				 "  FROM migrate.adopt($1::pg_catalog.text, $2::pg_catalog.bool, schema => $3::pg_catalog.text,"
				 " project => $4::pg_catalog.text) r", 4, values);
	if (options.dry_run)
		rollback();
	else
		commit();
	show_adopted(rows);
	PQclear(rows);
	if (options.dry_run)
		done("a dry run: nothing was changed");
	return outcome_end();
}

static void
show_adopted(const PGresult *rows)
{
	static const char *const headers[] = {"version", "name", "result", "applied at", "by", "detail"};
	static const char *const keys[] = {"version", "name", "result", "appliedAt", "appliedBy", "detail"};
	Table		table;

	table_begin(&table, lengthof(headers), headers);
	for (int i = 0; i < PQntuples(rows); i++)
	{
		Text		row = {0};

		for (int j = 0; j < (int) lengthof(headers); j++)
		{
			table_add(&table, PQgetvalue(rows, i, j));
			json_member(&row, keys[j], PQgetisnull(rows, i, j) ? NULL : PQgetvalue(rows, i, j));
		}
		report_add("results", &row);
		text_free(&row);
	}
	if (!options.json)
		table_print(&table, NULL);
	table_free(&table);
}
