/*-------------------------------------------------------------------------
 *
 * sqltext.h
 *	  Values as SQL text: for people to copy, and for parameters of array types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef SQLTEXT_H
#define SQLTEXT_H

#include "text.h"

extern char *sql_literal(const char *string);
extern char *sql_identifier(const char *name);
extern void sql_array_add(Text *array, const char *element);
extern const char *sql_array_end(Text *array);

#endif
