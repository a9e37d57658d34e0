/*-------------------------------------------------------------------------
 *
 * url.c
 *	  A database URL, as libpq is to have it.
 *
 * libpq reads it.  Here is what must be done before: leave out the parameters of
 * another tool, which libpq refuses, and find what libpq would complain of in
 * words that have the password in them.
 *
 *-------------------------------------------------------------------------
 */
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "text.h"
#include "url.h"

#define MIN_SECRET 3			/* a shorter one cannot be told from other
								 * text */

/* What Prisma writes into its URLs. */
static const char *const foreign_parameters[] = {
	"schema", "connection_limit", "pool_timeout", "pgbouncer", "socket_timeout", "statement_cache_size"
};

static const char *const secret_keywords[] = {
	"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"
};

static char *find_problem(const char *url, const char *authority);
static bool has_bad_percent(const char *text);
static int	hex_digit(char c);
static void read_authority(Text *result, const char *authority, const char *end);
static void read_parameters(Url *result, Text *out, const char *query);
static bool is_foreign(const char *key, size_t len);
static void find_secrets(Url *url, const char *authority, size_t len);
static void add_secret(Url *url, char *secret);
static void let_libpq_read(Url *result);
static char *decode(const char *text);

/* Never fails: what is wrong is in "problem". */
Url
url_read(const char *url)
{
	Url			result = {0};
	Text		out = {0};
	const char *authority = strstr(url, "://");
	const char *end;
	const char *query;

	authority = authority ? authority + 3 : "";
	result.ignored = copy_string("");
	find_secrets(&result, authority, strcspn(authority, "/?"));
	result.problem = find_problem(url, authority);
	if (result.problem)
		return result;
	end = authority + strcspn(authority, "/?");
	text_append_bytes(&out, url, (size_t) (authority - url));
	read_authority(&out, authority, end);
	query = strchr(end, '?');
	text_append_bytes(&out, end, query ? (size_t) (query - end) : strlen(end));
	if (query)
		read_parameters(&result, &out, query + 1);
	result.for_libpq = out.data;
	let_libpq_read(&result);
	return result;
}

/* NULL if there is none that we know. */
static char *
find_problem(const char *url, const char *authority)
{
	size_t		len = strcspn(authority, "/?");
	const char *at = memchr(authority, '@', len);
	const char *colon;

	for (const char *c = url; *c; c++)
		if ((unsigned char) *c < 0x20 || *c == 0x7f)
			return copy_string("it has a control character in it, perhaps a newline at its end");
	if (!begins_with(url, "postgres://") && !begins_with(url, "postgresql://"))
		return copy_string("it does not begin with postgres:// or postgresql://");
	if (has_bad_percent(url))
		return copy_string("a % in it is not followed by two hex digits");
	if (at)
		return NULL;
	/* without a user; an address in brackets has colons of its own */
	colon = memchr(authority, '[', len) ? NULL : memchr(authority, ':', len);
	if (colon && strchr(authority + len, '@'))
		return copy_string("write / in a password as %2F, and @ behind the host as %40");
	if (colon && colon + 1 < authority + len && colon[1 + strspn(colon + 1, "0123456789")] != ',' &&
		colon + 1 + strspn(colon + 1, "0123456789") < authority + len)
		return copy_string("behind the host and : there is no number of a port; a password wants @ and the host behind it");
	return NULL;
}

static bool
has_bad_percent(const char *text)
{
	for (const char *c = strchr(text, '%'); c; c = strchr(c + 1, '%'))
		if (hex_digit(c[1]) < 2 || hex_digit(c[2]) < 0)
			return true;
	return false;
}

/* -1 if it is none.  Codes below 0x20 are none of a URL's business. */
static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* An @ in the password: the last one ends it. */
static void
read_authority(Text *result, const char *authority, const char *end)
{
	const char *last = NULL;

	for (const char *c = authority; c < end; c++)
		if (*c == '@')
			last = c;
	for (const char *c = authority; c < end; c++)
	{
		if (*c == '@' && c != last)
			text_append(result, "%40");
		else
			text_append_char(result, *c);
	}
}

static void
read_parameters(Url *result, Text *out, const char *query)
{
	Text		ignored = {0};
	char		separator = '?';

	while (*query)
	{
		size_t		len = strcspn(query, "&");
		size_t		key_len = strcspn(query, "=&");

		if (is_foreign(query, key_len))
			text_format(&ignored, " %.*s", (int) key_len, query);
		else if (key_len == len)
		{
			result->problem = copy_string("a parameter behind its ? has no =");
			break;
		}
		else
		{
			text_append_char(out, separator);
			text_append_bytes(out, query, len);
			separator = '&';
		}
		query += len + (query[len] == '&' ? 1 : 0);
	}
	if (ignored.data)
	{
		free(result->ignored);
		result->ignored = ignored.data;
	}
}

static bool
is_foreign(const char *key, size_t len)
{
	for (size_t i = 0; i < lengthof(foreign_parameters); i++)
		if (strlen(foreign_parameters[i]) == len && strncmp(key, foreign_parameters[i], len) == 0)
			return true;
	return false;
}

/* The password between : and the last @, as it is written and as it is meant. */
static void
find_secrets(Url *url, const char *authority, size_t len)
{
	const char *colon = memchr(authority, ':', len);
	const char *last = NULL;

	for (const char *c = authority; c < authority + len; c++)
		if (*c == '@')
			last = c;
	if (colon && last && colon < last)
	{
		char	   *password = copy_bytes(colon + 1, (size_t) (last - colon - 1));

		add_secret(url, decode(password));
		add_secret(url, password);
	}
}

static void
add_secret(Url *url, char *secret)
{
	size_t		n = 0;

	while (n < lengthof(url->secrets) - 1 && url->secrets[n])
		n++;
	if (n < lengthof(url->secrets) - 1 && strlen(secret) >= MIN_SECRET)
		url->secrets[n] = secret;
	else
		free(secret);
}

static void
let_libpq_read(Url *result)
{
	char	   *message = NULL;
	PQconninfoOption *parsed;

	if (result->problem)
		return;
	parsed = PQconninfoParse(result->for_libpq, &message);
	if (parsed == NULL)
	{
		size_t		len = message ? strlen(message) : 0;

		while (len > 0 && message[len - 1] == '\n')
			len--;
		if (message)
			message[len] = '\0';
		result->problem = message ? url_without_secrets(result, message) : copy_string("out of memory");
		PQfreemem(message);
		return;
	}
	for (const PQconninfoOption *option = parsed; option->keyword; option++)
		for (size_t i = 0; i < lengthof(secret_keywords); i++)
			if (option->val && strcmp(option->keyword, secret_keywords[i]) == 0)
				add_secret(result, copy_string(option->val));
	PQconninfoFree(parsed);
}

/* Of a text that was found good. */
static char *
decode(const char *text)
{
	Text		result = {0};

	for (; *text; text++)
	{
		if (*text == '%' && hex_digit(text[1]) >= 0 && hex_digit(text[2]) >= 0)
		{
			text_append_char(&result, (char) (16 * hex_digit(text[1]) + hex_digit(text[2])));
			text += 2;
		}
		else
			text_append_char(&result, *text);
	}
	text_append(&result, "");
	return result.data;
}

/* A message of libpq, which may quote the URL. */
char *
url_without_secrets(const Url *url, const char *text)
{
	char	   *result = copy_string(text);
	const char *quoted[lengthof(url->secrets) + 1] = {url->for_libpq};

	memcpy(quoted + 1, url->secrets, sizeof(url->secrets));
	for (size_t i = 0; i < lengthof(quoted); i++)
	{
		const char *secret = quoted[i];
		char	   *found = secret ? strstr(result, secret) : NULL;

		while (found)
		{
			size_t		at = (size_t) (found - result);
			char	   *replaced = format_string("%.*s...%s", (int) at, result, found + strlen(secret));

			free(result);
			result = replaced;
			found = strstr(result + at + 3, secret);
		}
	}
	return result;
}
