/*-------------------------------------------------------------------------
 *
 * place.c
 *	  Where in which file an error is.
 *
 * The server says which migration it was, which statement of its script, and in
 * most cases the text of that: the file is the one with that version in its name
 * and that text in it.  It may be none, as what is registered need not be what
 * lies in the directory.
 *
 *-------------------------------------------------------------------------
 */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"
#include "place.h"
#include "say.h"
#include "utf8.h"

#define MAX_SHOWN 72			/* columns of a source line */
#define CUT "..."				/* of the server, in a long statement */

/* A piece of the script that failed. */
typedef struct Piece
{
	const char *text;
	size_t		len;
	size_t		at;				/* what the error points to */
	bool		points;			/* does it? */
} Piece;

/* Where it is in a file. */
typedef struct Found
{
	const File *file;
	char	   *content;
	size_t		len;
	size_t		at;
} Found;

static Files directory;
static bool has_directory;

static bool read_context(const PGresult *error, Place *place);
static bool read_context_line(const char *line, size_t len, Place *place);
static bool name_place(Place *place, const Found *found);
static bool find_line(const Place *place, Found *found);
static size_t section_start(const Place *place, const Found *found);
static bool find_in_files(const PGresult *error, Place *place, Found *found);
static void open_directory(void);
static Piece piece_of_query(const PGresult *error);
static Piece piece_of_context(const PGresult *error);
static void leave_out_cuts(Piece *piece);
static bool find_piece(const Place *place, const Piece *piece, Found *found);
static bool is_file_of(const Place *place, const char *name);
static bool has_version(const char *name, const char *version);
static bool is_of_other_direction(const Place *place, const char *name);
static const char *find_text(const char *content, size_t len, const Piece *piece, bool last);
static int	line_of(const char *content, size_t at);
static void show_source_line(const char *text, size_t len, size_t at);
static char *without_tabs(const char *text, size_t len);
static const char *base_name(const char *name);

/* The files that were registered; else those of the directory are looked at. */
void
place_set_files(const Files *files)
{
	directory = *files;
	has_directory = true;
}

/* What is known of it. */
Place
place_find(const PGresult *error)
{
	Place		place = {0};
	Found		found = {0};

	if (read_context(error, &place))
		find_in_files(error, &place, &found);
	free(found.content);
	return place;
}

/* Prints file, line and what is there; or the line of the statement, if it is in no file. */
void
place_show(const PGresult *error)
{
	Place		place = {0};
	Found		found = {0};
	Piece		piece = piece_of_query(error);

	if (read_context(error, &place) && find_in_files(error, &place, &found))
	{
		say("%s:%d", harmless_line(place.path), place.file_line);
		show_source_line(found.content, found.len, found.at);
		free(found.content);
	}
	else if (piece.text && piece.points)
	{
		say("LINE %d of the statement", line_of(piece.text, piece.at));
		show_source_line(piece.text, piece.len, piece.at);
	}
}

/*
 * The last such line of the context is the outermost, and the server's own:
 * migration 003 "add_orders" (up), statement 2 at line 14
 */
static bool
read_context(const PGresult *error, Place *place)
{
	const char *context = PQresultErrorField(error, PG_DIAG_CONTEXT);
	const char *end;

	if (context == NULL)
		return false;
	for (end = context + strlen(context); end > context;)
	{
		const char *begin = end;

		while (begin > context && begin[-1] != '\n')
			begin--;
		if (read_context_line(begin, (size_t) (end - begin), place))
			return true;
		end = begin > context ? begin - 1 : context;
	}
	return false;
}

static bool
read_context_line(const char *line, size_t len, Place *place)
{
	char	   *copy = copy_bytes(line, len);
	char	   *statement = NULL;
	char	   *direction = NULL;
	bool		is_one = false;

	if (begins_with(copy, "migration "))
	{
		for (char *next = strstr(copy, ", statement "); next; next = strstr(next + 1, ", statement "))
			statement = next;
		if (statement)
			*statement = '\0';
		direction = strrchr(copy, '(');
		is_one = direction && (strcmp(direction, "(up)") == 0 || strcmp(direction, "(down)") == 0);
	}
	if (is_one)
	{
		const char *version = copy + strlen("migration ");
		const char *quote = strstr(version, " \"");

		place->is_up = direction[1] == 'u';
		place->migration = copy_bytes(version, (size_t) ((quote && quote < direction ? quote : direction - 1) - version));
		if (statement)
			sscanf(statement + 1, " statement %d at line %d", &place->statement, &place->line);
	}
	free(copy);
	return is_one;
}

static bool
find_in_files(const PGresult *error, Place *place, Found *found)
{
	Piece		pieces[2] = {piece_of_query(error), piece_of_context(error)};

	open_directory();
	for (size_t i = 0; i < lengthof(pieces); i++)
	{
		if (pieces[i].text && find_piece(place, &pieces[i], found))
			return name_place(place, found);
	}
	return place->line > 0 && find_line(place, found) && name_place(place, found);
}

static bool
name_place(Place *place, const Found *found)
{
	const char *shown = begins_with(options.directory, "./") ? options.directory + 2 : options.directory;

	place->path = format_string("%s/%s", shown, found->file->name);
	place->file_line = line_of(found->content, found->at);
	return true;
}

static void
open_directory(void)
{
	if (has_directory || options.registered)
		return;
	has_directory = true;
	directory.directory = options.directory;
	directory.root = open(options.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory.root >= 0)
		files_scan(&directory);
}

/* The statement as the parser saw it, with the place of the error; or what a function ran. */
static Piece
piece_of_query(const PGresult *error)
{
	const char *position = PQresultErrorField(error, PG_DIAG_INTERNAL_POSITION);
	Piece		piece = {.text = PQresultErrorField(error, PG_DIAG_INTERNAL_QUERY)};

	if (piece.text == NULL)
		return piece;
	piece.len = strlen(piece.text);
	if (position)
	{
		int			characters = atoi(position) - 1;

		piece.points = true;
		for (; characters > 0 && piece.at < piece.len; characters--)
		{
			size_t		one = utf8_length(piece.text + piece.at, piece.len - piece.at);

			piece.at += one ? one : 1;
		}
	}
	leave_out_cuts(&piece);
	return piece;
}

/* SQL statement "...", above the line of the migration. */
static Piece
piece_of_context(const PGresult *error)
{
	static const char introduction[] = "SQL statement \"";
	const char *context = PQresultErrorField(error, PG_DIAG_CONTEXT);
	const char *begin = NULL;
	const char *end = NULL;
	Piece		piece = {0};

	if (context == NULL)
		return piece;
	for (const char *next = strstr(context, "\"\nmigration "); next; next = strstr(next + 1, "\"\nmigration "))
		end = next;
	for (const char *next = strstr(context, introduction); next && end && next < end; next = strstr(next + 1, introduction))
		begin = begin == NULL || next == context || next[-1] == '\n' ? next + strlen(introduction) : begin;
	if (begin == NULL || begin > end)
		return piece;
	piece.text = begin;
	piece.len = (size_t) (end - begin);
	leave_out_cuts(&piece);
	return piece;
}

/* Of a long statement the server shows a part, with dots for what is not there. */
static void
leave_out_cuts(Piece *piece)
{
	size_t		cut = strlen(CUT) + 1;

	if (piece->len > 2 * cut && memcmp(piece->text, CUT " ", cut) == 0 && piece->at >= cut)
	{
		piece->text += cut;
		piece->len -= cut;
		piece->at -= cut;
	}
	if (piece->len > 2 * cut && memcmp(piece->text + piece->len - cut, " " CUT, cut) == 0 && piece->at <= piece->len - cut)
		piece->len -= cut;
}

/* In a file that its name allows.  Of both directions in one file, up comes first. */
static bool
find_piece(const Place *place, const Piece *piece, Found *found)
{
	for (size_t i = 0; i < directory.n; i++)
	{
		const File *file = &directory.file[i];
		const char *at;

		if (!file->is_text || !is_file_of(place, file->name) || is_of_other_direction(place, file->name))
			continue;
		found->content = files_content_if_same(&directory, file, &found->len);
		at = found->content ? find_text(found->content, found->len, piece, !place->is_up) : NULL;
		if (at)
		{
			found->file = file;
			found->at = (size_t) (at - found->content) + piece->at;
			return true;
		}
		free(found->content);
		found->content = NULL;
	}
	return false;
}

/*
 * By the line alone, where the server tells no text: the first section of a file
 * begins with it, the second one at its marker.
 */
static bool
find_line(const Place *place, Found *found)
{
	for (size_t i = 0; i < directory.n; i++)
	{
		const File *file = &directory.file[i];
		size_t		at;

		if (!file->is_text || !is_file_of(place, file->name) || is_of_other_direction(place, file->name))
			continue;
		found->content = files_content_if_same(&directory, file, &found->len);
		if (found->content == NULL)
			continue;
		found->file = file;
		at = section_start(place, found);
		for (int line = 1; line < place->line && at < found->len; at++)
			line += found->content[at] == '\n';
		at += strspn(found->content + at, " \t");
		if (at < found->len && found->content[at] != '\n' && !begins_with(found->content + at, "--"))
		{
			found->at = at;
			return true;
		}
		free(found->content);
		found->content = NULL;
	}
	return false;
}

/* Of a file with both directions, that of the other one is behind a comment with its name. */
static size_t
section_start(const Place *place, const Found *found)
{
	static const char *const markers[] = {"down", "Down", "drop below"};

	for (const char *line = found->content; !place->is_up && line; line = strchr(line, '\n'))
	{
		char	   *copy;
		bool		is_marker = false;

		line += *line == '\n';
		copy = copy_bytes(line, strcspn(line, "\n"));
		for (size_t i = 0; i < lengthof(markers); i++)
			is_marker |= begins_with(copy, "--") && strstr(copy, markers[i]) != NULL;
		free(copy);
		if (is_marker)
			return (size_t) (line - found->content);
	}
	return 0;
}

/* Does the file's name, or its folder's, begin with the version? */
static bool
is_file_of(const Place *place, const char *name)
{
	const char *base = base_name(name);
	const char *folder;

	if (begins_with(place->migration, "R__"))
		return begins_with(base, place->migration);
	if (has_version(base, place->migration))
		return true;
	if (base == name)
		return false;
	for (folder = base - 1; folder > name && folder[-1] != '/';)
		folder--;
	return has_version(folder, place->migration);
}

/* 001_x, V1_2__x; what is between the numbers may be written in several ways. */
static bool
has_version(const char *name, const char *version)
{
	if (begins_with(version, "B__"))
		version += 3;
	if (isalpha((unsigned char) *name) && isdigit((unsigned char) name[1]))
		name++;
	for (; *version; version++, name++)
	{
		if (isdigit((unsigned char) *version) ? *name != *version : strchr("._-", *name) == NULL || *name == '\0')
			return false;
	}
	return !isdigit((unsigned char) *name);
}

static bool
is_of_other_direction(const Place *place, const char *name)
{
	const char *base = base_name(name);
	bool		is_down = ends_with_nocase(base, ".down.sql") || equal_nocase(base, "down.sql") ||
		begins_with(name, "down/") || strstr(name, "/down/") || (*base == 'U' && isdigit((unsigned char) base[1]));
	bool		is_up = ends_with_nocase(base, ".up.sql") || equal_nocase(base, "up.sql") ||
		begins_with(name, "up/") || strstr(name, "/up/");

	return place->is_up ? is_down : is_up;
}

static const char *
base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash ? slash + 1 : name;
}

static const char *
find_text(const char *content, size_t len, const Piece *piece, bool last)
{
	const char *found = NULL;
	const char *end = content + len;

	for (const char *at = content; piece->len > 0 && (size_t) (end - at) >= piece->len; at++)
	{
		at = memchr(at, *piece->text, (size_t) (end - at) - piece->len + 1);
		if (at == NULL)
			break;
		if (memcmp(at, piece->text, piece->len) == 0)
		{
			found = at;
			if (!last)
				break;
		}
	}
	return found;
}

/* From 1. */
static int
line_of(const char *content, size_t at)
{
	int			line = 1;

	for (size_t i = 0; i < at; i++)
		line += content[i] == '\n';
	return line;
}

/* The line, or the part of it that has a place, and a caret below that. */
static void
show_source_line(const char *text, size_t len, size_t at)
{
	size_t		begin = at;
	size_t		end = at;
	char	   *before;
	char	   *line;

	while (begin > 0 && text[begin - 1] != '\n')
		begin--;
	while (end < len && text[end] != '\n')
		end++;
	if (end > at && text[end - 1] == '\r')
		end--;
	before = without_tabs(text + begin, at - begin);
	line = without_tabs(text + begin, end - begin);
	if (display_width(before) > MAX_SHOWN / 2)
	{
		size_t		skip = 0;

		while (display_width(before + skip) > MAX_SHOWN / 2)
			skip += utf8_length(before + skip, strlen(before + skip));
		line = format_string("%s%s", CUT, line + skip);
		before = format_string("%s%s", CUT, before + skip);
	}
	say("    %s", cut_to_width(line, MAX_SHOWN, CUT));
	say("    %*s^", display_width(before), "");
}

/* Harmless, and with a blank for each. */
static char *
without_tabs(const char *text, size_t len)
{
	char	   *copy = copy_bytes(text, len);
	char	   *result;

	for (char *c = copy; *c; c++)
		if (*c == '\t')
			*c = ' ';
	result = harmless_line(copy);
	free(copy);
	return result;
}
