/*-------------------------------------------------------------------------
 *
 * format.c
 *	  The content of a file: which part is up, which is down, and what it
 *	  says about transactions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "files/internal.h"

/* In the order of DbmFormat. */
static const struct
{
	const char *name;
	const char *up_marker;		/* NULL if there is none */
	bool		needs_markers;
	bool		up_comes_first;
	bool		may_repeat;		/* several sections of a kind are one */
	bool		may_be_indented;	/* the markers */
}			formats[] =
{
	{"auto"},
	{"node-pg-migrate", "-- Up Migration", false, false, false, true},
	{"plain"},
	{"golang-migrate"},
	{"sqlx"},
	{"folders"},
	{"dbmate", "-- migrate:up", true, true, false, false},
	{"goose", "-- +goose Up", true, true, false, false},
	{"sql-migrate", "-- +migrate Up", true, false, true, false},
	{"tern", NULL, false, true, false, true},
	{"flyway"},
	{"diesel"},
	{"prisma"}
};

/* A marker and where it is. */
typedef struct Found
{
	DbmMarker	marker;
	int			start;
	int			len;
	int			open_end;		/* as DbmCommentHook has it */
} Found;

/* The reading of one file. */
typedef struct Reader
{
	DbmFormat	wanted;			/* markers of others do not count, unless auto */
	const char *text;
	int			len;
	MemoryContext context;		/* of what is found */
	List	   *found;
	int			appended;		/* how many of these append_section() is
								 * behind */
	DbmScript  *script;
} Reader;

static bool take_comment(void *arg, int start, int len, int open_statement_end);
static const char *find_format(Reader *reader, DbmFormat *format, const char **hint);
static bool has_marker_behind(const Reader *reader, int at);
static const char *check_markers(const Reader *reader, DbmFormat format, const char **hint);
static const char *check_sections(const Reader *reader, DbmFormat format, const char **hint);
static const char *check_blocks(const Reader *reader);
static bool statement_before(const Reader *reader, const Found *found);
static void build_sections(Reader *reader, DbmFormat format, DbmFileText *result);
static void append_section(StringInfo buf, Reader *reader, int from, int to);
static bool is_section(const Found *found);
static const char *at_line(const Reader *reader, int at);

/* The format of that name; 22023 if there is none. */
DbmFormat
dbm_format_by_name(const char *name)
{
	for (int i = 0; i < lengthof(formats); i++)
		if (pg_strcasecmp(formats[i].name, name) == 0)
			return (DbmFormat) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown file format \"%s\"", name),
			 errhint("Formats are auto, node-pg-migrate, plain, golang-migrate, sqlx, folders, dbmate, goose, sql-migrate, tern, flyway, diesel and prisma.")));
}

const char *
dbm_format_name(DbmFormat format)
{
	return formats[format].name;
}

/*
 * Split a file that may hold both directions.  "text" is NUL-terminated and
 * is left as it is.  Returns NULL, or what is wrong with it; then *hint may be
 * set, too.
 */
const char *
dbm_format_split(const char *text, int len, DbmFormat format, DbmFileText *result, const char **hint)
{
	Reader		reader = {
		.wanted = format, .text = text, .len = len, .context = CurrentMemoryContext
	};
	const char *problem;

	memset(result, 0, sizeof(DbmFileText));
	*hint = NULL;
	reader.script = dbm_script_scan_comments(pnstrdup(text, len), len, take_comment, &reader);
	if (reader.script->refused)
	{
		*hint = reader.script->refused->hint;
		return psprintf("%s (line %d)", reader.script->refused->message, reader.script->refused->line);
	}
	problem = find_format(&reader, &format, hint);
	if (problem == NULL)
		problem = check_markers(&reader, format, hint);
	if (problem == NULL)
		problem = check_sections(&reader, format, hint);
	if (problem == NULL)
	{
		result->format = format;
		result->is_template = format == DBM_FORMAT_TERN && strstr(text, "{{") != NULL;
		build_sections(&reader, format, result);
	}
	dbm_script_free(reader.script);
	return problem;
}

/* Does the text begin as sqlx wants it for a migration without transaction? */
bool
dbm_format_is_no_transaction(const char *text)
{
	if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
		text += 3;
	return strncmp(text, "-- no-transaction", strlen("-- no-transaction")) == 0;
}

/* DbmCommentHook: keep what is a marker. */
static bool
take_comment(void *arg, int start, int len, int open_statement_end)
{
	Reader	   *reader = arg;
	DbmMarker	marker;
	Found	   *found;
	MemoryContext caller;

	CHECK_FOR_INTERRUPTS();
	if (!dbm_marker_read(pnstrdup(reader->text + start, len), &marker) ||
		(reader->wanted != DBM_FORMAT_AUTO && reader->wanted != marker.format))
		return false;
	caller = MemoryContextSwitchTo(reader->context);
	found = palloc0(sizeof(Found));
	found->marker = marker;
	found->start = start;
	found->len = len;
	found->open_end = open_statement_end;
	reader->found = lappend(reader->found, found);
	MemoryContextSwitchTo(caller);
	return is_section(found) || marker.kind == DBM_MARKER_BLOCK_BEGIN ||
		marker.kind == DBM_MARKER_BLOCK_END;
}

/* What "auto" means for this text. */
static const char *
find_format(Reader *reader, DbmFormat *format, const char **hint)
{
	const Found *first = reader->found ? linitial(reader->found) : NULL;
	ListCell   *lc;

	if (reader->script->unreadable &&
		(first || has_marker_behind(reader, reader->script->unreadable->start)))
	{
		*hint = "Its sections are not known, since the text cannot be read to its end.";
		return psprintf("%s (line %d)", reader->script->unreadable->message,
						reader->script->unreadable->line);
	}
	if (*format == DBM_FORMAT_AUTO)
		*format = first ? first->marker.format : DBM_FORMAT_PLAIN;
	foreach(lc, reader->found)
	{
		const Found *found = lfirst(lc);

		if (found->marker.format != *format)
		{
			*hint = "Say which one counts, for example: format => 'plain'.";
			return psprintf("markers of %s (line %s) and of %s (line %s)",
							dbm_format_name(*format), at_line(reader, first->start),
							dbm_format_name(found->marker.format), at_line(reader, found->start));
		}
	}
	return NULL;
}

/* In what could not be read, is there a line that may be a marker? */
static bool
has_marker_behind(const Reader *reader, int at)
{
	DbmMarker	marker;

	for (const char *line = reader->text + at; line; line = strchr(line, '\n'))
	{
		line += strspn(line, "\n \t");
		if (line[0] == '-' && line[1] == '-' &&
			dbm_marker_read(pnstrdup(line, strcspn(line, "\r\n")), &marker) &&
			(reader->wanted == DBM_FORMAT_AUTO || reader->wanted == marker.format))
			return true;
	}
	return false;
}

/* Each marker by itself. */
static const char *
check_markers(const Reader *reader, DbmFormat format, const char **hint)
{
	ListCell   *lc;

	foreach(lc, reader->found)
	{
		const Found *found = lfirst(lc);
		const char *comment = pnstrdup(reader->text + found->start, found->len);
		int			before = found->start - 1;

		if (found->marker.kind == DBM_MARKER_UNSUPPORTED)
		{
			*hint = "Variables are not replaced and other sections are not known: write what is to be run.";
			return psprintf("marker \"%s\" (line %s) is not supported", comment,
							at_line(reader, found->start));
		}
		if (!formats[format].may_be_indented && before >= 0 &&
			(reader->text[before] == ' ' || reader->text[before] == '\t'))
		{
			*hint = psprintf("Remove the blanks: %s does not see it there.", dbm_format_name(format));
			return psprintf("marker \"%s\" (line %s) does not begin its line", comment,
							at_line(reader, found->start));
		}
	}
	return check_blocks(reader);
}

/* The sections, and what is before them. */
static const char *
check_sections(const Reader *reader, DbmFormat format, const char **hint)
{
	const Found *first[2] = {NULL, NULL};	/* down, up */
	ListCell   *lc;

	foreach(lc, reader->found)
	{
		const Found *found = lfirst(lc);
		bool		is_up = found->marker.kind == DBM_MARKER_UP;

		if (!is_section(found))
			continue;
		if (first[is_up] && !formats[format].may_repeat)
		{
			*hint = "Make each migration a file of its own.";
			return psprintf("two %s sections (lines %s and %s)", is_up ? "up" : "down",
							at_line(reader, first[is_up]->start), at_line(reader, found->start));
		}
		if (first[is_up] == NULL)
			first[is_up] = found;
	}
	if (format == DBM_FORMAT_TERN)
		return NULL;
	if (first[true] == NULL && (first[false] || formats[format].needs_markers))
	{
		*hint = psprintf("Write the line \"%s\" before what is to be applied.", formats[format].up_marker);
		return psprintf("no line \"%s\"", formats[format].up_marker);
	}
	if (first[true] && first[false] && formats[format].up_comes_first &&
		first[false]->start < first[true]->start)
		return psprintf("its down section (line %s) is before its up section (line %s)",
						at_line(reader, first[false]->start), at_line(reader, first[true]->start));
	if (first[true])
	{
		const Found *begin = first[false] && first[false]->start < first[true]->start ?
			first[false] : first[true];

		if (statement_before(reader, begin))
		{
			*hint = psprintf("%s would not run it.  Move it into a section.", dbm_format_name(format));
			return psprintf("a statement before the first marker (line %s)",
							at_line(reader, begin->start));
		}
	}
	return NULL;
}

/* StatementBegin and StatementEnd alternate, within a section. */
static const char *
check_blocks(const Reader *reader)
{
	const Found *open = NULL;
	ListCell   *lc;

	foreach(lc, reader->found)
	{
		const Found *found = lfirst(lc);
		bool		begins = found->marker.kind == DBM_MARKER_BLOCK_BEGIN;
		bool		ends = found->marker.kind == DBM_MARKER_BLOCK_END;

		if ((open && (begins || is_section(found))) || (!open && ends))
			return psprintf("StatementBegin and StatementEnd do not alternate (line %s)",
							at_line(reader, found->start));
		if (begins)
			open = found;
		if (ends)
			open = NULL;
	}
	if (open)
		return psprintf("StatementBegin (line %s) has no StatementEnd", at_line(reader, open->start));
	return NULL;
}

/* Is there a statement before the first section? */
static bool
statement_before(const Reader *reader, const Found *found)
{
	return found->open_end >= 0 ||
		(reader->script->nstatements > 0 && reader->script->statements[0].start < found->start);
}

/*
 * Cut the text at its markers.  The first section begins with the text, so
 * that lines count as in the file.
 */
static void
build_sections(Reader *reader, DbmFormat format, DbmFileText *result)
{
	StringInfoData up;
	StringInfoData down;
	bool		in_up = true;
	int			from = 0;
	bool		is_first = true;
	ListCell   *lc;

	initStringInfo(&up);
	initStringInfo(&down);
	result->first_section = reader->len;
	foreach(lc, reader->found)
	{
		const Found *found = lfirst(lc);

		if (is_section(found))
		{
			result->first_section = Min(result->first_section, found->start);
			/* before the first marker is either nothing or tern's up section */
			if (!is_first || format == DBM_FORMAT_TERN)
			{
				append_section(in_up ? &up : &down, reader, from, found->start);
				from = found->start;
			}
			is_first = false;
			in_up = found->marker.kind == DBM_MARKER_UP;
			result->has_down |= !in_up;
		}
		if (found->marker.kind == DBM_MARKER_NO_TRANSACTION && format == DBM_FORMAT_GOOSE)
			result->up_no_transaction = result->down_no_transaction = true;
		else if (found->marker.no_transaction || found->marker.kind == DBM_MARKER_NO_TRANSACTION)
		{
			if (in_up)
				result->up_no_transaction = true;
			else
				result->down_no_transaction = true;
		}
	}
	append_section(in_up ? &up : &down, reader, from, reader->len);
	result->up = PointerGetDatum(cstring_to_text_with_len(up.data, up.len));
	if (result->has_down)
		result->down = PointerGetDatum(cstring_to_text_with_len(down.data, down.len));
}

/*
 * Append the next part of the text.  Where a marker inside ends a statement
 * that has no ';', it gets one behind its last token.
 */
static void
append_section(StringInfo buf, Reader *reader, int from, int to)
{
	for (; reader->appended < list_length(reader->found); reader->appended++)
	{
		const Found *found = list_nth(reader->found, reader->appended);
		bool		ends_block = found->marker.kind == DBM_MARKER_BLOCK_BEGIN ||
			found->marker.kind == DBM_MARKER_BLOCK_END;
		bool		ends_section = is_section(found) && found->start == to;

		if (found->start > to)
			break;
		if (found->open_end <= from ||
			!(ends_block || (ends_section && formats[found->marker.format].may_repeat)))
			continue;
		appendBinaryStringInfo(buf, reader->text + from, found->open_end - from);
		appendStringInfoChar(buf, ';');
		from = found->open_end;
	}
	appendBinaryStringInfo(buf, reader->text + from, to - from);
}

static bool
is_section(const Found *found)
{
	return found->marker.kind == DBM_MARKER_UP || found->marker.kind == DBM_MARKER_DOWN;
}

static const char *
at_line(const Reader *reader, int at)
{
	return psprintf("%d", 1 + dbm_lines_count(reader->text, 0, at));
}
