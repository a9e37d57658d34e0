/*-------------------------------------------------------------------------
 *
 * adopt.c
 *	  Continue from another tool's history table.
 *
 * The table is read as its owner and not changed.  Its rows are matched with
 * what is known here and recorded in the order in which they were applied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "adopt/adopt.h"

static void find_table(DbmAdoption *adoption, const DbmToolRequest *request);
static const char *other_owner(const DbmToolTable *table);
static void refuse_adopted_elsewhere(const DbmAdoption *adoption);
static void notice_found(const DbmAdoption *adoption, List *rows);
static void adopt_row(DbmAdoption *adoption, const DbmToolRow *row);
static DbmLookupEntry *match(const DbmAdoption *adoption, const DbmToolRow *row, bool *is_taken);
static bool has_same_name(const DbmToolRow *row, const DbmLookupEntry *known);
static DbmLookupEntry *new_known(const DbmToolRow *row);
static void adopt_known(DbmAdoption *adoption, const DbmToolRow *row, DbmLookupEntry *known);
static void adopt_older(DbmAdoption *adoption, const DbmToolRow *row);
static void record(DbmAdoption *adoption, const DbmToolRow *row, DbmLookupEntry *known);
static void describe_match(const DbmAdoption *adoption, const DbmToolRow *row,
						   const DbmLookupEntry *known, StringInfo detail);
static bool has_other_text(const DbmAdoption *adoption, const DbmToolRow *row,
						   const DbmLookupEntry *known);
static void note_in_force(DbmAdoption *adoption, const DbmLookupEntry *known);
static void add_detail(StringInfo detail, const char *format,...) pg_attribute_printf(2, 3);

PG_FUNCTION_INFO_V1(dbmigrate_adopt);

/*
 * SQL: migrate.adopt(history_table, dry_run, version_column, time_column,
 * name_column, schema, again, project)
 */
Datum
dbmigrate_adopt(PG_FUNCTION_ARGS)
{
	DbmAdoption adoption = {0};
	DbmToolRequest request;
	const char *schema;
	List	   *rows;
	ListCell   *lc;

	adoption.dry_run = !PG_ARGISNULL(1) && PG_GETARG_BOOL(1);
	if (adoption.dry_run)
		dbm_check_not_in_script("migrate.adopt()");
	else
		dbm_check_caller("migrate.adopt()");
	request.table = dbm_optional_argument(fcinfo, 0);
	request.version_column = dbm_optional_argument(fcinfo, 2);
	request.time_column = dbm_optional_argument(fcinfo, 3);
	request.name_column = dbm_optional_argument(fcinfo, 4);
	schema = dbm_text_argument(fcinfo, 5);
	dbm_target_check(schema);
	InitMaterializedSRF(fcinfo, 0);
	adoption.result = (ReturnSetInfo *) fcinfo->resultinfo;

	dbm_extension_open(&adoption.ext);
	dbm_extension_use(&adoption.ext, schema, dbm_text_argument(fcinfo, 7));
	dbm_extension_check_project(&adoption.ext);
	if (!adoption.dry_run)
		dbm_lock_for_run(&adoption.ext);
	find_table(&adoption, &request);
	if (PG_ARGISNULL(6) || !PG_GETARG_BOOL(6))
		refuse_adopted_elsewhere(&adoption);
	rows = dbm_tool_read(adoption.table);
	notice_found(&adoption, rows);

	adoption.known = dbm_lookup_load(&adoption.ext);
	foreach(lc, adoption.known->all)
		note_in_force(&adoption, lfirst(lc));
	foreach(lc, rows)
	{
		CHECK_FOR_INTERRUPTS();
		adopt_row(&adoption, lfirst(lc));
	}
	dbm_adoption_report_rest(&adoption);
	if (adoption.run > 0)
		dbm_run_finished();
	dbm_extension_close();
	return (Datum) 0;
}

/* Find the table and lock out its tool; then it is as it stays. */
static void
find_table(DbmAdoption *adoption, const DbmToolRequest *request)
{
	DbmToolTable *table = dbm_tool_find(request);

	if (!adoption->dry_run)
		dbm_tool_lock(&adoption->ext, table);
	dbm_tool_lock_table(&adoption->ext, table, adoption->dry_run);
	adoption->table = dbm_tool_look_again(request, table);
	adoption->reason = adoption->table->tool_name ?
		psprintf("adopted from %s (%s)", adoption->table->ref, adoption->table->tool_name) :
		psprintf("adopted from %s", adoption->table->ref);
}

/*
 * A history says what is in force once; read for another schema or project it
 * would count there as well, as a misspelt argument would have it.
 */
static void
refuse_adopted_elsewhere(const DbmAdoption *adoption)
{
	DbmExtension elsewhere = adoption->ext;

	if (dbm_known_adopted_elsewhere(&elsewhere, adoption->reason))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was adopted already, with other arguments", adoption->table->ref),
				 errdetail("What it says counts as applied for: %s.",
						   dbm_target_argument(&elsewhere, true)[0] ?
						   dbm_target_argument(&elsewhere, true) : "the database as it is"),
				 errhint("If it counts here, too: SELECT * FROM migrate.adopt(%s%s, again => true);",
						 dbm_literal(adoption->table->ref),
						 dbm_target_argument(&adoption->ext, false))));
}

/* Whoever can create a table could have planted one to be found. */
static const char *
other_owner(const DbmToolTable *table)
{
	return table->owner == GetUserId() || superuser_arg(table->owner) ? NULL :
		GetUserNameFromId(table->owner, true);
}

static void
notice_found(const DbmAdoption *adoption, List *rows)
{
	const DbmToolTable *table = adoption->table;
	const char *owner = other_owner(table);
	const char *what = table->tool_name ? psprintf("the history of %s", table->tool_name) :
		"a migration history";
	int			n = list_length(rows);

	if (n > 0 && ((DbmToolRow *) linitial(rows))->is_up_to && table->tool != DBM_TOOL_FLYWAY)
		ereport(NOTICE,
				(errmsg("found %s in table %s: version %s", what, table->ref,
						((DbmToolRow *) llast(rows))->version),
				 owner ? errdetail("The table belongs to \"%s\".", owner) : 0));
	else
		ereport(NOTICE,
				(errmsg_plural("found %s in table %s: %d migration",
							   "found %s in table %s: %d migrations",
							   n, what, table->ref, n),
				 owner ? errdetail("The table belongs to \"%s\".", owner) : 0));
}

static void
adopt_row(DbmAdoption *adoption, const DbmToolRow *row)
{
	bool		is_taken;
	DbmLookupEntry *known = match(adoption, row, &is_taken);

	if (row->is_up_to)
		adopt_older(adoption, row);
	if (known == NULL && !is_taken && (row->version || row->is_repeatable))
	{
		known = new_known(row);
		dbm_lookup_add(adoption->known, known);
	}
	if (known)
		adopt_known(adoption, row, known);
	else
		dbm_adoption_report_unusable(adoption, row, is_taken);
}

/*
 * What is known here of a row: by the file it came from, by version, then by
 * name.  "is_taken" if the version belongs to another row, with another name.
 */
static DbmLookupEntry *
match(const DbmAdoption *adoption, const DbmToolRow *row, bool *is_taken)
{
	DbmLookupEntry *known = NULL;

	*is_taken = false;
	/* some tools allow several files of one version */
	if (row->file)
		known = dbm_lookup_by_file(adoption->known, row->file);
	if (known && !known->is_seen)
		return known;
	known = NULL;
	if (row->canonical)
		known = dbm_lookup_by_version(adoption->known, row->canonical);
	if (known && known->is_seen && !has_same_name(row, known))
	{
		*is_taken = true;
		known = NULL;
	}
	if (known == NULL && row->file)
		known = dbm_lookup_by_name(adoption->known, row->file);
	if (known == NULL && row->canonical == NULL && row->text[0] != '\0')
		known = dbm_lookup_by_name(adoption->known, row->is_repeatable ?
								   psprintf("R__%s", row->name) : row->text);
	return known;
}

/* A name that one side does not have is no difference. */
static bool
has_same_name(const DbmToolRow *row, const DbmLookupEntry *known)
{
	return row->name[0] == '\0' || known->row.migration.name[0] == '\0' ||
		dbm_name_is_same(row->name, known->row.migration.name) ||
		(row->file && known->row.file_name &&
		 strcmp(row->file, dbm_name_base(known->row.file_name)) == 0);
}

/* A migration that only the other tool knows. */
static DbmLookupEntry *
new_known(const DbmToolRow *row)
{
	DbmLookupEntry *known = palloc0(sizeof(DbmLookupEntry));
	DbmMigration *migration = &known->row.migration;

	migration->name = row->name;
	if (row->is_repeatable)
	{
		if (row->file && strncmp(row->file, "R__", 3) == 0)
			migration->name = row->file + 3;
		migration->id = psprintf("R__%s", migration->name);
	}
	else
	{
		migration->id = migration->version = row->version;
		migration->version_key = PointerGetDatum(dbm_version_parse(row->version));
		known->canonical = row->canonical;
	}
	migration->state = DBM_STATE_MISSING;
	return known;
}

/* A row that is a migration known here. */
static void
adopt_known(DbmAdoption *adoption, const DbmToolRow *row, DbmLookupEntry *known)
{
	StringInfoData detail;
	bool		was_applied = known->row.migration.is_applied;
	bool		other_text = has_other_text(adoption, row, known);
	const TimestampTz *undone_at = dbm_lookup_undone_at(adoption->known, known);

	/* the other tool does not know that, unless it has run it again */
	if (undone_at && (row->applied_at == NULL || *row->applied_at < *undone_at))
	{
		known->is_seen = true;
		dbm_adoption_report_undone(adoption, known);
		return;
	}
	initStringInfo(&detail);
	if (other_text && row->is_repeatable && !was_applied)
	{
		known->is_seen = true;
		dbm_adoption_put(adoption, NULL, known->row.migration.name, "pending",
						 row->applied_at, row->applied_by,
						 psprintf("its text has changed since %s ran it; migrate.apply() will run it",
								  adoption->table->tool_name));
		return;
	}
	if (was_applied && known->is_seen)
		add_detail(&detail, "it is in the table more than once");
	if (other_text && !row->is_repeatable)
	{
		add_detail(&detail, "its text is not what %s ran", adoption->table->tool_name);
		if (!was_applied)
		{
			/* no script has this checksum: so the difference stays visible */
			known->row.migration.checksum = dbm_checksum_text(CStringGetTextDatum(row->checksum));
			add_detail(&detail, "accept the one registered: SELECT migrate.amend(%s, NULL, NULL, 'the reason'%s); or give the one that was run instead of the first NULL",
					   dbm_migration_literal(&known->row.migration), dbm_project_argument(&adoption->ext));
		}
	}
	describe_match(adoption, row, known, &detail);
	if (!was_applied)
		record(adoption, row, known);
	known->is_seen = true;
	dbm_adoption_put(adoption, known->row.migration.version, known->row.migration.name,
					 was_applied ? "unchanged" : "adopted", known->row.applied_at, known->row.applied_by,
					 detail.data);
}

/*
 * What a baseline, or a tool that keeps only the newest version, implies.  The
 * list is in version order, and what an earlier row implied is seen: so each
 * migration is looked at once, however many such rows there are.
 */
static void
adopt_older(DbmAdoption *adoption, const DbmToolRow *row)
{
	const List *all = adoption->known->all;
	DbmToolRow	older = *row;

	older.is_up_to = false;
	older.checksum = NULL;
	older.name = "";
	older.file = NULL;
	for (; adoption->nolder < list_length(all); adoption->nolder++)
	{
		DbmLookupEntry *known = list_nth(all, adoption->nolder);

		CHECK_FOR_INTERRUPTS();
		if (!known->canonical || (!known->row.migration.is_registered && !known->row.adopted_from))
			continue;
		if (dbm_version_compare(known->canonical, row->canonical) >= 0)
			break;
		if (!known->is_seen)
			adopt_known(adoption, &older, known);
	}
}

/* Record a migration as applied, and remember that. */
static void
record(DbmAdoption *adoption, const DbmToolRow *row, DbmLookupEntry *known)
{
	DbmHistoryEntry record = {
		.action = "adopt",
		.migration = &known->row.migration,
		.reason = adoption->reason,
		.baseline = row->is_up_to,
		.applied_at = row->applied_at,
		.applied_by = row->applied_by
	};

	if (!adoption->dry_run)
	{
		if (adoption->run == 0)
			adoption->run = dbm_history_next_run(&adoption->ext);
		record.run = adoption->run;
		dbm_applied_adopt(&adoption->ext, &record);
		if (dbm_migration_is_half_done(&known->row.migration))
			dbm_halfway_end(&adoption->ext, known->row.migration.id);
	}
	if (row->is_up_to)
		adoption->baseline = row->canonical;
	known->row.migration.is_applied = true;
	known->row.applied_at = row->applied_at;
	known->row.applied_by = row->applied_by ? row->applied_by : GetUserNameFromId(GetUserId(), false);
	note_in_force(adoption, known);
}

/* What somebody should know about a row and what it was taken for. */
static void
describe_match(const DbmAdoption *adoption, const DbmToolRow *row, const DbmLookupEntry *known,
			   StringInfo detail)
{
	const DbmMigration *migration = &known->row.migration;
	const DbmToolTable *table = adoption->table;

	if (row->applied_at == NULL && !migration->is_applied)
		add_detail(detail, "time not known");
	if (migration->is_registered)
	{
		if (row->file && row->canonical && known->canonical &&
			strcmp(row->canonical, known->canonical) != 0)
			add_detail(detail, "there it is called %s", row->text);
		else if (!has_same_name(row, known))
			add_detail(detail, "there it is called \"%s\"", row->name);
	}
	else if (row->is_up_to && table->tool == DBM_TOOL_FLYWAY)
		add_detail(detail, "everything older counts as applied");
	else
		add_detail(detail, "no script is registered for it: SELECT migrate.add(%s, %s, %s%s);",
				   migration->version ? dbm_literal(migration->version) : "NULL",
				   dbm_literal(migration->name),
				   table->tool != DBM_TOOL_SUPABASE ? "'its up script'" :
				   psprintf("(SELECT array_to_string(statements, E';\\n') FROM %s WHERE version = %s)",
							table->ref, dbm_literal(row->text)),
				   dbm_project_argument(&adoption->ext));
}

/* Does the tool's checksum say that the registered script is another one? */
static bool
has_other_text(const DbmAdoption *adoption, const DbmToolRow *row, const DbmLookupEntry *known)
{
	const DbmMigration *migration = &known->row.migration;
	MemoryContext context;
	MemoryContext caller;
	char	   *script;
	int			len;
	bool		result;

	/* a text that was changed here is told by its state */
	if (row->checksum == NULL || migration->checksum == 0 || migration->state == DBM_STATE_CHANGED)
		return false;
	context = AllocSetContextCreate(CurrentMemoryContext, "dbmigrate adoption", ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	script = dbm_state_read_script(&adoption->ext, migration, true, &len);
	result = !dbm_tool_same_text(adoption->table, row, script, len);
	/* Flyway counts a repeatable's after it has put in what it stands for */
	if (row->is_repeatable && strstr(script, "${"))
		result = false;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}

static void
note_in_force(DbmAdoption *adoption, const DbmLookupEntry *known)
{
	if (known->row.migration.is_applied && known->canonical &&
		(adoption->newest == NULL || dbm_version_compare(known->canonical, adoption->newest) > 0))
		adoption->newest = known->canonical;
}

static void
add_detail(StringInfo detail, const char *format,...)
{
	va_list		args;
	int			needed;

	if (detail->len > 0)
		appendStringInfoString(detail, detail->data[detail->len - 1] == ';' ? " " : "; ");
	for (;;)
	{
		va_start(args, format);
		needed = appendStringInfoVA(detail, format, args);
		va_end(args);
		if (needed == 0)
			break;
		enlargeStringInfo(detail, needed);
	}
}
