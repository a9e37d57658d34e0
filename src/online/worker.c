/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  A CALL that is done by a background worker, where this session cannot.
 *
 * Some extensions refuse a client's statement within another one's (pgaudit:
 * "stack is not empty").  Then a worker with the caller's users, libraries and
 * settings goes through the same loop, and the caller waits, without a snapshot
 * or anything else that somebody could wait for.  What happens is in the tables
 * of the extension; how it ended comes back through shared memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "online/online.h"

#define LOOK_INTERVAL 200		/* milliseconds */
#define TELL_INTERVAL 1000		/* milliseconds */
#define TIME_TO_STOP 5000		/* milliseconds, for a worker that is
								 * cancelled */
#define TEXT_SIZE 2000			/* bytes of a message, its detail, ... that
								 * come back */

/* What the two have in common. */
typedef struct Shared
{
	/* from the caller: */
	Oid			database;
	Oid			authenticated;
	Oid			session_user;
	Oid			role;
	bool		session_is_superuser;
	bool		role_is_superuser;
	bool		is_up;
	int64		steps;
	Size		strings;		/* offsets into "data" */
	Size		libraries;
	Size		settings;

	/* from the worker: */
	bool		is_done;
	int64		done;
	int64		number;
	char		newest[TEXT_SIZE];
	int			sqlerrcode;		/* 0 if there was no error */
	char		message[TEXT_SIZE];
	char		detail[TEXT_SIZE];
	char		hint[TEXT_SIZE];
	char		context[TEXT_SIZE];

	char		data[FLEXIBLE_ARRAY_MEMBER];
} Shared;

/* The caller's. */
typedef struct Work
{
	dsm_segment *segment;
	BackgroundWorkerHandle *worker; /* or NULL */
} Work;

/* The worker's. */
static Shared *shared = NULL;
static emit_log_hook_type next_log_hook = NULL;

PGDLLEXPORT void dbm_worker_main(Datum arg);

static Size strings_size(const DbmCall *call);
static void put_string(char **at, const char *string);
static char *get_string(char **at);
static dsm_segment *share(const DbmCall *call);
static BackgroundWorkerHandle *start_worker(dsm_segment *segment);
static void wait_for_worker(DbmCall *call, BackgroundWorkerHandle *worker);
static void tell_whom_it_waits_for(DbmCall *call, pid_t pid, char **told);
static void stop_worker(int code, Datum arg);
static void take_result(DbmCall *call, const Shared *of_worker);
static void become_caller(void);
static void stand_in_for_call(void);
static void read_call(DbmCall *call);
static void tell_error(const ErrorData *error);
static void put_text(char *to, const char *text);
static void see_error(ErrorData *error);

/* Does somebody watch utility statements who would refuse those of a CALL? */
bool
dbm_worker_is_wanted(void)
{
	return GetConfigOption("pgaudit.log", true, false) != NULL;
}

/*
 * Have a worker do what dbm_call_run() does here; in a transaction without
 * anything in it.  Errors are those of the migrations, and 53000 if there is no
 * slot for a worker.
 */
void
dbm_worker_run(DbmCall *call)
{
	Work		work = {.segment = share(call)};
	Shared	   *of_worker = palloc(sizeof(Shared));

	PG_ENSURE_ERROR_CLEANUP(stop_worker, PointerGetDatum(&work));
	{
		work.worker = start_worker(work.segment);
		dbm_transaction_next();
		dbm_transaction_rest();
		wait_for_worker(call, work.worker);
	}
	PG_END_ENSURE_ERROR_CLEANUP(stop_worker, PointerGetDatum(&work));
	memcpy(of_worker, dsm_segment_address(work.segment), sizeof(Shared));
	dsm_detach(work.segment);
	take_result(call, of_worker);
}

/* All that the worker has to know. */
static dsm_segment *
share(const DbmCall *call)
{
	Size		libraries = EstimateLibraryStateSpace();
	Size		settings = EstimateGUCStateSpace();
	Size		strings = MAXALIGN(strings_size(call));
	dsm_segment *segment = dsm_create(offsetof(Shared, data) + strings + MAXALIGN(libraries) + settings, 0);
	Shared	   *to = dsm_segment_address(segment);
	char	   *at;

	/* it goes with us, not with the transaction that we are going to end */
	dsm_pin_mapping(segment);
	memset(to, 0, offsetof(Shared, data));
	to->database = MyDatabaseId;
	to->authenticated = GetAuthenticatedUserId();
	to->session_user = GetSessionUserId();
	to->role = GetCurrentRoleId();
	to->session_is_superuser = superuser_arg(to->session_user);
	to->role_is_superuser = superuser_arg(GetUserId());
	to->is_up = call->is_up;
	to->steps = call->steps;
	to->strings = 0;
	to->libraries = strings;
	to->settings = strings + MAXALIGN(libraries);
	at = to->data;
	put_string(&at, call->procedure);
	put_string(&at, call->run.ext.target);
	put_string(&at, call->run.ext.project);
	put_string(&at, call->run.search_path);
	put_string(&at, call->version);
	put_string(&at, call->without);
	SerializeLibraryState(libraries, to->data + to->libraries);
	SerializeGUCState(settings, to->data + to->settings);
	return segment;
}

static Size
strings_size(const DbmCall *call)
{
	return 12 + strlen(call->procedure) + strlen(call->run.ext.target) + strlen(call->run.ext.project) +
		(call->run.search_path ? strlen(call->run.search_path) : 0) +
		(call->version ? strlen(call->version) : 0) +
		(call->without ? strlen(call->without) : 0);
}

/* A byte that says whether it is there, and the text with its end. */
static void
put_string(char **at, const char *string)
{
	*(*at)++ = string != NULL;
	if (string)
	{
		strcpy(*at, string);
		*at += strlen(string) + 1;
	}
}

static char *
get_string(char **at)
{
	char	   *string;

	if (*(*at)++ == 0)
		return NULL;
	string = pstrdup(*at);
	*at += strlen(string) + 1;
	return string;
}

static BackgroundWorkerHandle *
start_worker(dsm_segment *segment)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION,
		.bgw_start_time = BgWorkerStart_RecoveryFinished,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "dbmigrate",
		.bgw_function_name = "dbm_worker_main",
		.bgw_type = "dbmigrate",
		.bgw_main_arg = UInt32GetDatum(dsm_segment_handle(segment)),
		.bgw_notify_pid = MyProcPid
	};
	BackgroundWorkerHandle *handle;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	bool		has_slot;

	snprintf(worker.bgw_name, BGW_MAXLEN, "dbmigrate for process %d", MyProcPid);
	has_slot = RegisterDynamicBackgroundWorker(&worker, &handle);
	MemoryContextSwitchTo(caller);
	if (!has_slot)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg("there is no slot for a background worker, which has to run online migrations beside pgaudit"),
				 errhint("Try again later, or have more of them: max_worker_processes.")));
	return handle;
}

/*
 * A cancel is passed on, so that the worker records how its migration has
 * ended; the error comes back from it.
 */
static void
wait_for_worker(DbmCall *call, BackgroundWorkerHandle *worker)
{
	TimestampTz cancelled = 0;
	TimestampTz looked = GetCurrentTimestamp();
	char	   *told = NULL;
	BgwHandleStatus status;
	pid_t		pid;

	while ((status = GetBackgroundWorkerPid(worker, &pid)) != BGWH_STOPPED)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, LOOK_INTERVAL,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		if (QueryCancelPending && cancelled == 0 && status == BGWH_STARTED)
		{
			QueryCancelPending = false;
			cancelled = GetCurrentTimestamp();
			(void) kill(pid, SIGINT);
		}
		if (cancelled != 0 && TimestampDifferenceExceeds(cancelled, GetCurrentTimestamp(), TIME_TO_STOP))
			TerminateBackgroundWorker(worker);
		CHECK_FOR_INTERRUPTS();
		if (dbm_progress && status == BGWH_STARTED &&
			TimestampDifferenceExceeds(looked, GetCurrentTimestamp(), TELL_INTERVAL))
		{
			tell_whom_it_waits_for(call, pid, &told);
			looked = GetCurrentTimestamp();
		}
	}
}

/* Once for each; in a transaction of its own, so that nobody waits for us. */
static void
tell_whom_it_waits_for(DbmCall *call, pid_t pid, char **told)
{
	DbmBlockers blockers;

	dbm_online_open(&call->run);
	dbm_blockers_of(pid, &blockers);
	dbm_online_close();
	dbm_transaction_rest();
	if (blockers.who && (*told == NULL || strcmp(*told, blockers.who) != 0))
	{
		ereport(NOTICE,
				(errmsg("waiting for a lock"),
				 errdetail_internal("In the way: %s.", blockers.with_queries)));
		*told = blockers.who;
	}
}

/* The caller goes: so does the worker, and what they have in common. */
static void
stop_worker(int code, Datum arg)
{
	Work	   *work = (Work *) DatumGetPointer(arg);

	if (work->worker)
		TerminateBackgroundWorker(work->worker);
	dsm_detach(work->segment);
}

static void
take_result(DbmCall *call, const Shared *of_worker)
{
	if (of_worker->sqlerrcode != 0)
		ereport(ERROR,
				(errcode(of_worker->sqlerrcode),
				 errmsg_internal("%s", of_worker->message),
				 of_worker->detail[0] ? errdetail_internal("%s", of_worker->detail) : 0,
				 of_worker->hint[0] ? errhint("%s", of_worker->hint) : 0,
				 errcontext("%s", of_worker->context[0] ? of_worker->context : "background worker")));
	if (!of_worker->is_done)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the background worker that ran the migrations has gone"),
				 errhint("See the server's log, and: SELECT * FROM migrate.status();  To go on: CALL migrate.%s();",
						 call->procedure)));
	call->done = of_worker->done;
	call->run.number = of_worker->number;
	call->newest = of_worker->newest[0] ? pstrdup(of_worker->newest) : NULL;
}

/* The worker begins here. */
void
dbm_worker_main(Datum arg)
{
	dsm_segment *segment;
	DbmCall		call = {0};

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	CurrentResourceOwner = ResourceOwnerCreate(NULL, "dbmigrate worker");
	segment = dsm_attach(DatumGetUInt32(arg));
	if (segment == NULL)
		proc_exit(1);			/* whoever wanted it has gone */
	dsm_pin_mapping(segment);
	shared = dsm_segment_address(segment);
	/* an error that ends the process is told from there */
	next_log_hook = emit_log_hook;
	emit_log_hook = see_error;

	become_caller();
	call.context = AllocSetContextCreate(TopMemoryContext, "dbmigrate call", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(call.context);
	read_call(&call);
	debug_query_string = psprintf("CALL migrate.%s()", call.procedure);
	dbm_transaction_start();
	stand_in_for_call();
	PG_TRY();
	{
		dbm_call_run(&call);
		dbm_transaction_commit();
		shared->done = call.done;
		shared->number = call.run.number;
		put_text(shared->newest, call.newest);
		shared->is_done = true;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(call.context);
		tell_error(CopyErrorData());
		FlushErrorState();
		dbm_transaction_abort();
	}
	PG_END_TRY();
	proc_exit(0);
}

/* With the libraries, settings and users of the caller. */
static void
become_caller(void)
{
	BackgroundWorkerInitializeConnectionByOid(shared->database, shared->authenticated, 0);
	StartTransactionCommand();
	RestoreLibraryState(shared->data + shared->libraries);
	RestoreGUCState(shared->data + shared->settings);
	CommitTransactionCommand();
	SetSessionAuthorization(shared->session_user, shared->session_is_superuser);
	SetCurrentRoleId(shared->role, shared->role_is_superuser);
}

/*
 * SPI wants to be below a portal, which the CALL has in the caller's session:
 * so there is one here that runs nothing.
 */
static void
stand_in_for_call(void)
{
	Portal		portal = CreateNewPortal();

	portal->visible = false;
	PortalDefineQuery(portal, NULL, debug_query_string, CMDTAG_CALL, NIL, NULL);
	PortalStart(portal, NULL, 0, InvalidSnapshot);
	MarkPortalActive(portal);
	ActivePortal = portal;
	PortalContext = portal->portalContext;
}

static void
read_call(DbmCall *call)
{
	char	   *at = shared->data;

	call->is_up = shared->is_up;
	call->steps = shared->steps;
	call->procedure = get_string(&at);
	call->run.ext.target = get_string(&at);
	call->run.ext.project = get_string(&at);
	call->run.search_path = get_string(&at);
	call->version = get_string(&at);
	call->without = get_string(&at);
	call->key = call->version ? PointerGetDatum(dbm_version_parse(call->version)) : (Datum) 0;
	call->run.lock_timeout = dbm_lock_timeout;
}

static void
tell_error(const ErrorData *error)
{
	put_text(shared->message, error->message);
	put_text(shared->detail, error->detail);
	put_text(shared->hint, error->hint);
	put_text(shared->context, error->context);
	shared->sqlerrcode = error->sqlerrcode;
}

/* Cut where a character ends. */
static void
put_text(char *to, const char *text)
{
	int			len = text ? strlen(text) : 0;

	if (len >= TEXT_SIZE)
		len = pg_mbcliplen(text, len, TEXT_SIZE - 1);
	if (len > 0)
		memcpy(to, text, len);
	to[len] = '\0';
}

static void
see_error(ErrorData *error)
{
	if (error->elevel >= FATAL)
		tell_error(error);
	if (next_log_hook)
		next_log_hook(error);
}
