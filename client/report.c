/*-------------------------------------------------------------------------
 *
 * report.c
 *	  The result as one JSON document (--json).
 *
 * Members are collected while the command works, and printed once, at its end,
 * however it ends.  Without --json nothing is collected.
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "place.h"
#include "report.h"
#include "say.h"
#include "utf8.h"

#define MAX_LISTS 4

/* An array of objects. */
typedef struct List
{
	const char *key;
	Text		elements;
} List;

static Text members;
static List lists[MAX_LISTS];
static Text error_object;
static bool is_printed;

static void add_key(Text *object, const char *key);
static void json_number_member(Text *object, const char *key, int value);

/* A string; what a terminal must not get is written with \u. */
void
json_string(Text *out, const char *string, size_t len)
{
	text_append_char(out, '"');
	for (size_t at = 0; at < len;)
	{
		size_t		start = at;
		size_t		one = 0;
		unsigned	code = 0;

		/* whole runs of what needs no escape at once */
		while (at < len && (one = utf8_length(string + at, len - at)) > 0)
		{
			code = utf8_code(string + at, one);
			if (utf8_steers(code) || code == '"' || code == '\\')
				break;
			at += one;
		}
		text_append_bytes(out, string + start, at - start);
		if (at >= len)
			break;
		if (one == 0)
			text_append_char(out, '?');
		else if (code == '\n')
			text_append(out, "\\n");
		else if (code == '\t')
			text_append(out, "\\t");
		else if (code == '"' || code == '\\')
		{
			text_append_char(out, '\\');
			text_append_char(out, (char) code);
		}
		else
			text_format(out, "\\u%04x", code);
		at += one ? one : 1;
	}
	text_append_char(out, '"');
}

/* "key": "value", or null for NULL */
void
json_member(Text *object, const char *key, const char *value)
{
	add_key(object, key);
	if (value)
		json_string(object, value, strlen(value));
	else
		text_append(object, "null");
}

static void
json_number_member(Text *object, const char *key, int value)
{
	add_key(object, key);
	text_format(object, "%d", value);
}

static void
add_key(Text *object, const char *key)
{
	if (object->len > 0)
		text_append(object, ", ");
	text_format(object, "\"%s\": ", key);
}

/* A document of the server; what a terminal must not get can only be in its strings. */
char *
json_harmless(const char *json)
{
	Text		out = {0};
	size_t		len = strlen(json);

	for (size_t at = 0; at < len;)
	{
		size_t		one = utf8_length(json + at, len - at);
		unsigned	code = one ? utf8_code(json + at, one) : 0;

		if (one == 0)
			text_append_char(&out, '?');
		else if (utf8_steers(code) && code != '\n')
			text_format(&out, "\\u%04x", code);
		else
			text_append_bytes(&out, json + at, one);
		at += one ? one : 1;
	}
	text_append(&out, "");
	return out.data;
}

void
report_text(const char *key, const char *value)
{
	if (!options.json)
		return;
	json_member(&members, key, value);
}

void
report_number(const char *key, double value, int digits)
{
	if (!options.json)
		return;
	add_key(&members, key);
	text_format(&members, "%.*f", digits, value);
}

void
report_json(const char *key, const char *json)
{
	char	   *shown;

	if (!options.json)
		return;
	shown = json_harmless(json);
	add_key(&members, key);
	text_append(&members, shown);
	free(shown);
}

/* Appends an object, of which the members are given, to a list. */
void
report_add(const char *key, const Text *object)
{
	List	   *list = lists;

	if (!options.json)
		return;
	while (list < lists + MAX_LISTS - 1 && list->key && strcmp(list->key, key) != 0)
		list++;
	list->key = key;
	text_format(&list->elements, "%s{%s}", list->elements.len > 0 ? ", " : "", text_string(object));
}

/* What is in that list is not so any more. */
void
report_forget(const char *key)
{
	for (size_t i = 0; i < MAX_LISTS && lists[i].key; i++)
		if (strcmp(lists[i].key, key) == 0)
			text_clear(&lists[i].elements);
}

/* The whole of it: a document of the server's. */
void
report_document(const char *json)
{
	char	   *shown = json_harmless(json);

	is_printed = true;
	tell_raw(shown);
	tell_raw("\n");
	free(shown);
}

void
report_error(const PGresult *error)
{
	static const struct
	{
		const char *key;
		int			code;
	}			fields[] =
	{
		{"severity", PG_DIAG_SEVERITY_NONLOCALIZED}, {"sqlstate", PG_DIAG_SQLSTATE},
		{"message", PG_DIAG_MESSAGE_PRIMARY}, {"detail", PG_DIAG_MESSAGE_DETAIL},
		{"hint", PG_DIAG_MESSAGE_HINT}, {"context", PG_DIAG_CONTEXT}
	};
	Place		place;

	if (!options.json)
		return;
	text_clear(&error_object);
	for (size_t i = 0; i < lengthof(fields); i++)
		json_member(&error_object, fields[i].key, PQresultErrorField(error, fields[i].code));
	place = place_find(error);
	json_member(&error_object, "migration", place.migration);
	if (place.migration)
		json_member(&error_object, "direction", place.is_up ? "up" : "down");
	if (place.statement > 0)
		json_number_member(&error_object, "statement", place.statement);
	json_member(&error_object, "file", place.path);
	if (place.file_line > 0)
		json_number_member(&error_object, "line", place.file_line);
}

void
report_error_text(const char *message)
{
	text_clear(&error_object);
	json_member(&error_object, "message", message);
}

/* What is so after a failure; NULL where there is nothing to say. */
void
report_outcome(const char *what)
{
	report_text("outcome", what);
}

/* What is not an error of the server's: prints, if nothing was yet. */
void
report_failure(const char *message, const char *hint)
{
	report_error_text(message);
	if (hint)
		json_member(&error_object, "hint", hint);
	report_end(false);
}

/* Prints the document. */
void
report_end(bool success)
{
	Text		document = {0};

	if (!options.json || is_printed)
		return;
	is_printed = true;
	text_format(&document, "{\"success\": %s, \"command\": ", success ? "true" : "false");
	json_string(&document, options.command_name ? options.command_name : "",
				strlen(options.command_name ? options.command_name : ""));
	if (members.len > 0)
		text_format(&document, ", %s", members.data);
	for (size_t i = 0; i < MAX_LISTS && lists[i].key; i++)
		text_format(&document, ", \"%s\": [%s]", lists[i].key, text_string(&lists[i].elements));
	if (error_object.len > 0 && !success)
		text_format(&document, ", \"error\": {%s}", error_object.data);
	text_append(&document, "}\n");
	tell_raw(document.data);
	text_free(&document);
}
