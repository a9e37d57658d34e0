/*-------------------------------------------------------------------------
 *
 * filesjson.c
 *	  The files of a set, given as a JSON document.
 *
 * {"name": "content", ...} or [{"name": ..., "content": ...}, ...].  In place of
 * the content there may be {"sha256": "hex"}, or that member beside the name,
 * where the content is known; and null for a file that is no migration.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "files/internal.h"

static DbmFile *read_member(const JsonbValue *name, JsonbValue *value);
static DbmFile *read_element(JsonbValue *object);
static DbmFile *make_file(const JsonbValue *name, const JsonbValue *content, const JsonbValue *sha256);
static void read_sha256(DbmFile *file, const JsonbValue *hex);
static JsonbValue member(JsonbValue *object, const char *name);
static bool is_object(const JsonbValue *value);

/* A list of DbmFile; 22023 if the document is not made as it has to be. */
List *
dbm_files_from_json(Jsonb *json)
{
	JsonbIterator *iterator = JsonbIteratorInit(&json->root);
	JsonbValue	value;
	JsonbValue	name;
	List	   *files = NIL;
	bool		is_array = JB_ROOT_IS_ARRAY(json) && !JB_ROOT_IS_SCALAR(json);
	JsonbIteratorToken token = JsonbIteratorNext(&iterator, &value, true);

	if (!is_array && token != WJB_BEGIN_OBJECT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("files must be a JSON object or an array"),
				 errhint("Write {\"001_name.sql\": \"CREATE TABLE ...\", ...}.")));
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			name = value;
		else if (token == WJB_VALUE)
			files = lappend(files, read_member(&name, &value));
		else if (token == WJB_ELEM)
			files = lappend(files, read_element(&value));
	}
	return files;
}

/* "name": "content" */
static DbmFile *
read_member(const JsonbValue *name, JsonbValue *value)
{
	JsonbValue	none = {.type = jbvNull};
	JsonbValue	content;
	JsonbValue	sha256;

	if (!is_object(value))
		return make_file(name, value, &none);
	content = member(value, "content");
	sha256 = member(value, "sha256");
	return make_file(name, &content, &sha256);
}

/* {"name": ..., "content": ...} */
static DbmFile *
read_element(JsonbValue *object)
{
	JsonbValue	name = {.type = jbvNull};
	JsonbValue	content;
	JsonbValue	sha256;

	if (is_object(object))
		name = member(object, "name");
	if (name.type != jbvString)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("each element of files must be an object with a name and a content"),
				 errhint("Write [{\"name\": \"001_name.sql\", \"content\": \"CREATE TABLE ...\"}, ...].")));
	content = member(object, "content");
	sha256 = member(object, "sha256");
	return make_file(&name, &content, &sha256);
}

static DbmFile *
make_file(const JsonbValue *name, const JsonbValue *content, const JsonbValue *sha256)
{
	DbmFile    *file = palloc0(sizeof(DbmFile));

	file->path = pnstrdup(name->val.string.val, name->val.string.len);
	if (content->type == jbvString)
	{
		file->content = pnstrdup(content->val.string.val, content->val.string.len);
		file->len = content->val.string.len;
	}
	else if (content->type != jbvNull)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the content of file \"%s\" is not a string", dbm_without_control(file->path))));
	if (sha256->type != jbvNull)
		read_sha256(file, sha256);
	return file;
}

static void
read_sha256(DbmFile *file, const JsonbValue *hex)
{
	bool		is_valid = hex->type == jbvString && hex->val.string.len == 2 * PG_SHA256_DIGEST_LENGTH;

	for (int i = 0; is_valid && i < hex->val.string.len; i++)
		is_valid = isxdigit((unsigned char) hex->val.string.val[i]);
	if (!is_valid)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the sha256 of file \"%s\" is not a string of %d hexadecimal digits",
						dbm_without_control(file->path), 2 * PG_SHA256_DIGEST_LENGTH)));
	(void) hex_decode(hex->val.string.val, hex->val.string.len, (char *) file->sha256);
	file->has_sha256 = true;
}

/* A member of an object, jbvNull if it has none of that name. */
static JsonbValue
member(JsonbValue *object, const char *name)
{
	JsonbValue	value = {.type = jbvNull};

	(void) getKeyJsonValueFromContainer(object->val.binary.data, name, strlen(name), &value);
	return value;
}

static bool
is_object(const JsonbValue *value)
{
	return value->type == jbvBinary && JsonContainerIsObject(value->val.binary.data);
}
