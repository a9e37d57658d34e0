/*
 * test/cppcheck.h
 *	  What cppcheck has to know about the server's macros.
 *
 * With the server's own headers it takes minutes, and finds hardly more.
 */
#define PG_VERSION_NUM 150000
#define DBMIGRATE_VERSION ""
#define ERROR 21
#define elog(level, ...) do { say(__VA_ARGS__); if ((level) >= ERROR) abort(); } while (0)
#define ereport(level, ...) elog(level, __VA_ARGS__)
#define Assert(condition) assert(condition)
#define Datum unsigned long
#define FunctionCallInfo void *
#define PG_FUNCTION_ARGS FunctionCallInfo fcinfo
#define PG_FUNCTION_INFO_V1(name) extern Datum name(PG_FUNCTION_ARGS)
#define PG_MODULE_MAGIC extern int module_magic
#define PGDLLEXPORT
#define pg_attribute_noreturn() __attribute__((noreturn))
#define unconstify(type, value) ((type) (value))
#define pg_attribute_printf(format, arguments)
#define UINT64_FORMAT "%lu"
#define INT64_FORMAT "%ld"
#define PG_TRY() do { if (may_throw())
#define PG_CATCH() else
#define PG_FINALLY()
#define PG_END_TRY() } while (0)
#define foreach(cell, list) for ((cell) = list_first(list); (cell) != NULL; (cell) = list_next(list, cell))
#define HASH_ELEM 0x0008
