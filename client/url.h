/*-------------------------------------------------------------------------
 *
 * url.h
 *	  A database URL, as libpq is to have it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef URL_H
#define URL_H

/* Result of url_read(). */
typedef struct Url
{
	char	   *for_libpq;
	char	   *ignored;		/* names of parameters that another tool has
								 * there, or "" */
	char	   *problem;		/* NULL, or why it cannot be read */
	const char *secrets[8];		/* what must not be shown, up to a NULL */
} Url;

extern Url	url_read(const char *url);
extern char *url_without_secrets(const Url *url, const char *text);

#endif
