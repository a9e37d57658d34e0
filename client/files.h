/*-------------------------------------------------------------------------
 *
 * files.h
 *	  The files of a directory.
 *
 *-------------------------------------------------------------------------
 */
#ifndef FILES_H
#define FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "text.h"

#define SHA256_LENGTH 32

/* One of them; the content is read again when it is wanted. */
typedef struct File
{
	char	   *name;			/* relative, with / between folders */
	bool		is_text;		/* *.sql, *.toml, *.conf: only of these the
								 * content counts */
	size_t		len;
	unsigned char sha256[SHA256_LENGTH];	/* zeroes if it is no text */
} File;

/* In the order of the bytes of their names. */
typedef struct Files
{
	const char *directory;
	int			root;			/* the directory's descriptor, -1 if there is
								 * none */
	File	   *file;
	size_t		n;
	size_t		room;
	Text		problems;		/* a line each */
	Text		links;			/* to directories */
	Text		templates;		/* what "create" wrote and nobody has filled
								 * in */
} Files;

extern bool files_find_directory(Files *files, bool required);
extern void files_read(Files *files, bool required);
extern void files_scan(Files *files);
extern void files_refuse_templates(const Files *files);
extern char *files_content(const Files *files, const File *file, size_t *len);
extern char *files_content_if_same(const Files *files, const File *file, size_t *len);
extern const File *files_find(const Files *files, const char *name);
extern void files_digest(const Files *files, unsigned char *digest);
extern char *hex_string(const unsigned char *bytes, size_t len);

#endif
