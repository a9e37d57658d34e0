/*-------------------------------------------------------------------------
 *
 * directive.c
 *	  What a file says about itself: "-- dbmigrate: environments=development".
 *
 * Directives are comments at top level before the first statement and before
 * the first section, so that they are read alike in the formats of all tools,
 * and the tools themselves pass over them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "files/internal.h"

#define PREFIX "dbmigrate:"

#define KNOWN_WORDS "Known are environments=NAME,NAME and name=NAME, without blanks in them, and online."

/* The reading of one text. */
typedef struct Reader
{
	const char *text;
	MemoryContext context;		/* of what is found */
	List	   *found;
} Reader;

/* A comment that is a directive. */
typedef struct Found
{
	int			start;
	int			len;
	int			open_end;		/* as DbmCommentHook has it */
} Found;

static const char *read_directives(const char *text, int len, int end, DbmDirectives *result,
								   const char **hint);
static bool may_have_directives(const char *text);
static bool take_comment(void *arg, int start, int len, int open_statement_end);
static bool is_directive(const char *comment, const char **words);
static const char *read_words(const char *words, int line, DbmDirectives *result, const char **hint);
static const char *read_word(char *word, int line, DbmDirectives *result, const char **hint);
static const char *read_environments(char *list, Datum *environments);
static const char *value_of(const char *word, const char *name);
static const char *check_role(const DbmFile *file, const DbmDirectives *said, const char **hint);

/*
 * A file of a migration says what holds for the migration.  Its first section
 * begins at "end".
 */
void
dbm_directives_take(DbmFileMigration *migration, DbmFile *file, int end, DbmFileSet *set)
{
	DbmRegistration *registration = &migration->registration;
	DbmDirectives *said = &file->directives;
	const char *hint;
	const char *problem = read_directives(file->content, file->len, end, said, &hint);

	if (problem == NULL)
		problem = check_role(file, said, &hint);
	if (problem)
	{
		dbm_fileset_trouble(set, file, ERRCODE_SYNTAX_ERROR, problem, hint);
		return;
	}
	if (said->name)
		registration->name = said->name;
	if (said->environments)
		registration->environments = said->environments;
	migration->up_no_transaction |= said->online && migration->up_file == file;
	migration->down_no_transaction |= said->online && migration->down_file == file;
}

/*
 * Does the limit of a registered migration come from its file, and not from
 * migrate.add()?  A file that does not say it any more takes that back.
 */
bool
dbm_directives_limit(const DbmExtension *ext, const char *id)
{
	DbmRegistration registered;
	Datum		scripts[2];

	if (!dbm_migrations_load(ext, id, &registered))
		return false;
	scripts[0] = registered.up;
	scripts[1] = registered.down;	/* it may have been the first section */
	for (int i = 0; i < lengthof(scripts); i++)
	{
		DbmDirectives said;
		const char *hint;
		char	   *script = scripts[i] ? TextDatumGetCString(scripts[i]) : pstrdup("");
		int			len = strlen(script);

		if (read_directives(script, len, len, &said, &hint) == NULL && said.environments)
			return true;
	}
	return false;
}

/*
 * Read the directives of a text, whose first section begins at "end".
 * Returns NULL, or what is wrong with them; then *hint may be set, too.
 */
static const char *
read_directives(const char *text, int len, int end, DbmDirectives *result, const char **hint)
{
	Reader		reader = {.text = text, .context = CurrentMemoryContext};
	DbmScript  *script;
	ListCell   *lc;

	memset(result, 0, sizeof(DbmDirectives));
	*hint = NULL;
	if (!may_have_directives(text))
		return NULL;
	script = dbm_script_scan_comments(pnstrdup(text, len), len, take_comment, &reader);
	if (script->nstatements > 0)
		end = Min(end, script->statements[0].start);
	dbm_script_free(script);

	foreach(lc, reader.found)
	{
		const Found *found = lfirst(lc);
		int			line = 1 + dbm_lines_count(text, 0, found->start);
		const char *comment = pnstrdup(text + found->start, found->len);
		const char *words;
		const char *problem;

		if (found->open_end >= 0 || found->start > end)
		{
			*hint = "It is about the whole file: write it above the first statement, and above the first section.";
			return psprintf("directive \"%s\" (line %d) does not stand at the top of the file",
							dbm_without_control(comment), line);
		}
		(void) is_directive(comment, &words);
		problem = read_words(words, line, result, hint);
		if (problem)
			return problem;
	}
	return NULL;
}

/* Most texts have none, and need not be scanned for them. */
static bool
may_have_directives(const char *text)
{
	int			before = strlen(PREFIX) - 1;

	for (const char *colon = strchr(text, ':'); colon; colon = strchr(colon + 1, ':'))
		if (colon - text >= before && pg_strncasecmp(colon - before, PREFIX, before) == 0)
			return true;
	return false;
}

/* DbmCommentHook: keep what is a directive. */
static bool
take_comment(void *arg, int start, int len, int open_statement_end)
{
	Reader	   *reader = arg;
	const char *words;

	if (is_directive(reader->text + start, &words))
	{
		MemoryContext caller = MemoryContextSwitchTo(reader->context);
		Found	   *found = palloc(sizeof(Found));

		found->start = start;
		found->len = len;
		found->open_end = open_statement_end;
		reader->found = lappend(reader->found, found);
		MemoryContextSwitchTo(caller);
	}
	return false;
}

/* "comment" need not end with the comment: the prefix fits into its line. */
static bool
is_directive(const char *comment, const char **words)
{
	const char *p = comment + strspn(comment, "- \t");

	*words = p + strlen(PREFIX);
	return pg_strncasecmp(p, PREFIX, strlen(PREFIX)) == 0;
}

/* What stands behind the prefix: words with blanks between them. */
static const char *
read_words(const char *words, int line, DbmDirectives *result, const char **hint)
{
	bool		is_empty = true;

	for (const char *p = words + strspn(words, " \t"); *p; p += strspn(p, " \t"))
	{
		size_t		len = strcspn(p, " \t");
		const char *problem = read_word(pnstrdup(p, len), line, result, hint);

		if (problem)
			return problem;
		is_empty = false;
		p += len;
	}
	if (!is_empty)
		return NULL;
	*hint = KNOWN_WORDS;
	return psprintf("a directive that says nothing (line %d)", line);
}

static const char *
read_word(char *word, int line, DbmDirectives *result, const char **hint)
{
	const char *value;
	const char *problem = NULL;
	bool		is_again = false;

	*hint = KNOWN_WORDS;
	if (dbm_has_control(word))
		return psprintf("control characters in directive \"%s\" (line %d)", dbm_without_control(word), line);
	if (strcmp(word, "online") == 0)
	{
		is_again = result->online;
		result->online = true;
	}
	else if ((value = value_of(word, "name=")) != NULL)
	{
		is_again = result->name != NULL;
		result->name = value;
		if (*value == '\0')
			problem = "names nothing";
	}
	else if ((value = value_of(word, "environments=")) != NULL)
	{
		is_again = result->environments != (Datum) 0;
		problem = read_environments(pstrdup(value), &result->environments);
	}
	else
		problem = "is not known";
	if (is_again)
		problem = "is there a second time";
	if (problem == NULL)
		*hint = NULL;
	return problem ? psprintf("directive \"%s\" (line %d) %s", word, line, problem) : NULL;
}

/* development,test */
static const char *
read_environments(char *list, Datum *environments)
{
	ArrayBuildState *state = NULL;

	for (char *name = list; name;)
	{
		char	   *comma = strchr(name, ',');

		if (comma)
			*comma = '\0';
		if (*name == '\0')
			return "has an environment without a name";
		state = accumArrayResult(state, CStringGetTextDatum(name), false, TEXTOID, CurrentMemoryContext);
		name = comma ? comma + 1 : NULL;
	}
	*environments = makeArrayResult(state, CurrentMemoryContext);
	return NULL;
}

/* What is behind "name", or NULL if the word is another one. */
static const char *
value_of(const char *word, const char *name)
{
	size_t		len = strlen(name);

	return strncmp(word, name, len) == 0 ? word + len : NULL;
}

/* Not every file can say everything. */
static const char *
check_role(const DbmFile *file, const DbmDirectives *said, const char **hint)
{
	if (file->name.role == DBM_FILE_DOWN && (said->name || said->environments))
	{
		*hint = "Write it in the file of the up script; this one may say online.";
		return psprintf("directive %s= is in the file of a down script", said->name ? "name" : "environments");
	}
	if (file->name.version == NULL && said->name)
	{
		*hint = "It is known by that name: rename the file.";
		return "directive name= is in the file of a repeatable migration";
	}
	return NULL;
}
