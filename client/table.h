/*-------------------------------------------------------------------------
 *
 * table.h
 *	  Rows in columns, as psql shows them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TABLE_H
#define TABLE_H

#include <stddef.h>

/* Rows of so many cells, one after the other; the first one is the header. */
typedef struct Table
{
	int			columns;
	char	  **cells;
	size_t		n;				/* number of cells */
	size_t		room;
} Table;

/* Which colour a row (from 1) has, or "". */
typedef const char *(*RowColour) (const Table *table, size_t row);

extern void table_begin(Table *table, int columns, const char *const *headers);
extern void table_add(Table *table, const char *cell);
extern const char *table_cell(const Table *table, size_t row, int column);
extern size_t table_rows(const Table *table);
extern int	table_width(const Table *table);
extern void table_cut_column(Table *table, int column, int width, const char *mark);
extern void table_fit_last_column(Table *table, int limit, const char *mark);
extern void table_print(const Table *table, RowColour colour);
extern void table_free(Table *table);

#endif
