/*-------------------------------------------------------------------------
 *
 * table.c
 *	  Rows in columns, as psql shows them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include "say.h"
#include "table.h"
#include "text.h"
#include "utf8.h"

static int	column_width(const Table *table, int column);
static void add_row(Text *line, const Table *table, size_t row, const int *widths);
static void add_rule(Text *line, const Table *table, const int *widths);
static void put_row(Text *out, Text *line, const char *colour);

void
table_begin(Table *table, int columns, const char *const *headers)
{
	memset(table, 0, sizeof(Table));
	table->columns = columns;
	for (int i = 0; i < columns; i++)
		table_add(table, headers[i]);
}

/* The next cell; what steers a terminal is taken out of it. */
void
table_add(Table *table, const char *cell)
{
	if (table->n == table->room)
	{
		table->room = 2 * table->room + 64;
		table->cells = reallocate(table->cells, table->room * sizeof(char *));
	}
	table->cells[table->n++] = harmless_line(cell);
}

/* Row 0 is the header. */
const char *
table_cell(const Table *table, size_t row, int column)
{
	return table->cells[row * (size_t) table->columns + (size_t) column];
}

/* The header among them. */
size_t
table_rows(const Table *table)
{
	return table->n / (size_t) table->columns;
}

/* Of the widest row, in columns of a terminal. */
int
table_width(const Table *table)
{
	int			width = 3 * (table->columns - 1) + 1;

	for (int i = 0; i < table->columns; i++)
		width += column_width(table, i);
	return width;
}

static int
column_width(const Table *table, int column)
{
	int			widest = 0;

	for (size_t row = 0; row < table_rows(table); row++)
	{
		int			width = display_width(table_cell(table, row, column));

		if (width > widest)
			widest = width;
	}
	return widest;
}

/* Below the header, cells are no wider than that; "mark" is the end of one that was. */
void
table_cut_column(Table *table, int column, int width, const char *mark)
{
	for (size_t row = 1; row < table_rows(table); row++)
	{
		char	  **cell = &table->cells[row * (size_t) table->columns + (size_t) column];
		char	   *cut = cut_to_width(*cell, width, mark);

		free(*cell);
		*cell = cut;
	}
}

/* Cuts the last column so that a row has no more than so many columns of a terminal. */
void
table_fit_last_column(Table *table, int limit, const char *mark)
{
	int			last = table->columns - 1;
	int			width = column_width(table, last);
	int			wanted = width - (table_width(table) - limit);

	if (wanted < width)
		table_cut_column(table, last, wanted > 8 ? wanted : 8, mark);
}

void
table_print(const Table *table, RowColour colour)
{
	int		   *widths = allocate((size_t) table->columns * sizeof(int));
	Text		out = {0};
	Text		line = {0};

	for (int i = 0; i < table->columns; i++)
		widths[i] = column_width(table, i);
	add_row(&line, table, 0, widths);
	put_row(&out, &line, display.dim);
	add_rule(&line, table, widths);
	put_row(&out, &line, display.dim);
	for (size_t row = 1; row < table_rows(table); row++)
	{
		add_row(&line, table, row, widths);
		put_row(&out, &line, colour ? colour(table, row) : "");
	}
	tell_raw(text_string(&out));
	text_free(&out);
	text_free(&line);
	free(widths);
}

static void
add_row(Text *line, const Table *table, size_t row, const int *widths)
{
	for (int i = 0; i < table->columns; i++)
	{
		const char *cell = table_cell(table, row, i);

		text_format(line, "%s %s%*s", i > 0 ? " |" : "", cell, widths[i] - display_width(cell), "");
	}
	while (line->len > 0 && line->data[line->len - 1] == ' ')
		line->data[--line->len] = '\0';
}

static void
add_rule(Text *line, const Table *table, const int *widths)
{
	for (int i = 0; i < table->columns; i++)
	{
		if (i > 0)
			text_append_char(line, '+');
		for (int j = 0; j < widths[i] + 2; j++)
			text_append_char(line, '-');
	}
}

static void
put_row(Text *out, Text *line, const char *colour)
{
	text_format(out, "%s%s%s\n", colour, text_string(line), *colour ? display.off : "");
	text_clear(line);
}

void
table_free(Table *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->cells[i]);
	free(table->cells);
	memset(table, 0, sizeof(Table));
}
