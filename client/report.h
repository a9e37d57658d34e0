/*-------------------------------------------------------------------------
 *
 * report.h
 *	  The result as one JSON document (--json).
 *
 *-------------------------------------------------------------------------
 */
#ifndef REPORT_H
#define REPORT_H

#include <stdbool.h>

#include <libpq-fe.h>

#include "text.h"

extern void json_string(Text *out, const char *string, size_t len);
extern void json_member(Text *object, const char *key, const char *value);
extern char *json_harmless(const char *json);

extern void report_text(const char *key, const char *value);
extern void report_number(const char *key, double value, int digits);
extern void report_json(const char *key, const char *json);
extern void report_add(const char *key, const Text *object);
extern void report_forget(const char *key);
extern void report_document(const char *json);
extern void report_error(const PGresult *error);
extern void report_error_text(const char *message);
extern void report_outcome(const char *what);
extern void report_failure(const char *message, const char *hint);
extern void report_end(bool success);

#endif
