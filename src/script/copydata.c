/*-------------------------------------------------------------------------
 *
 * copydata.c
 *	  The data in a script that follow a COPY ... FROM stdin.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "script/internal.h"

/*
 * Where the data of a COPY that begin at "from" end: before a line with \.
 * alone, or at the end of the text, as psql -f has it.  *behind is the place
 * behind that line.
 */
int
dbm_copy_data_end(const DbmScript *script, int from, int *behind)
{
	const char *text = script->text;

	*behind = script->len;
	for (int end = from; end < script->len; end = dbm_lines_next(script, end))
	{
		int			after = end + 2;

		if (text[end] != '\\' || text[end + 1] != '.')
			continue;
		if (text[after] == '\r')
			after++;
		if (after >= script->len || text[after] == '\n')
		{
			*behind = Min(after + 1, script->len);
			return end;
		}
	}
	return script->len;
}
