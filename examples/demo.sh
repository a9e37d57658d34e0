#!/usr/bin/env bash
#
# examples/demo.sh
#
# A tour of dbmigrate in plain psql: three releases of a small application,
# from its first table to production.  `make demo` runs it on a throw-away
# server.  Elsewhere it needs a superuser and a server where dbmigrate is
# installed; it creates the databases demo and demo_production and leaves
# them there, to be looked at.
#
# Exits non-zero if anything did not do what the tour says.

set -euo pipefail
cd "$(dirname "$0")"

export PGCLIENTENCODING=UTF8
unset PGOPTIONS PG_COLOR
db=${PGDATABASE:-postgres}

die() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }

# What the reader sees: what happens, what to type, what psql answers.  The SQL
# goes to psql's standard input, where :'variables' and \commands work, and
# errors come without a file name in front.
step() { printf '\n-- %s\n' "$*"; }
type_in() { printf '%s=# %s\n' "$db" "${1//$'\n'/$'\n'$db-# }"; }
answer() { psql -X -q -P pager=off -v ON_ERROR_STOP=1 -d "$db" "${@:2}" 2>&1 <<<"$1"; }

sql() {
    local output
    type_in "$1"
    output=$(answer "$1") || die "this should have worked: $output"
    [ -z "$output" ] || printf '%s\n' "$output"
}

# Each call of answer() is a session of its own.  Who types along has one, and
# needs a new one for another database or after ALTER DATABASE ... SET.
connect() { type_in "\\c $1"; db=$1; }

# SQL that has to fail, in these words.
sql_fails() {
    local output
    type_in "$2"
    if output=$(answer "$2"); then die "this should have failed"; fi
    printf '%s\n' "$output"
    [[ $output == *"$1"* ]] || die "this should have said: $1"
}

# A condition that has to hold; silent if it does.
check() {
    local result
    result=$(answer "SELECT $1" -At) || true
    [ "$result" = t ] || die "not true in $db: $1 ($result)"
}

# The exact bytes of a file: $(...) drops newlines at the end, so something
# else has to be the end.
read_file() {
    content=$(cat "$1" && printf x) || die "could not read $1"
    content=${content%x}
}

# register MORE-ARGUMENTS FILE.up.sql ...: each with its .down.sql.  psql quotes
# the scripts; a single argument can have 128 kB on Linux.
register() {
    local add="migrate.add(:'version', :'name', :'up', :'down'$1)" path file up
    type_in "SELECT $add;"
    for path in "${@:2}"; do
        file=$(basename "$path" .up.sql)
        read_file "$path"
        up=$content
        read_file "migrations/$file.down.sql"
        answer "SELECT $add" -At -v version="${file%%_*}" -v name="${file#*_}" -v up="$up" -v down="$content" |
            sed "s/^/$file: /" || die "could not register $file"
    done
}

step 'A new database for developers, and the extension in it'
sql "CREATE DATABASE demo;"
connect demo
sql "CREATE EXTENSION dbmigrate;"
sql "ALTER DATABASE demo SET dbmigrate.environment = 'development';"
connect demo

step 'Release 1: register the scripts NNN_name.up.sql and .down.sql; nothing is run yet'
register "" migrations/00[1-5]_*.up.sql
register ", environments => '{development}'" migrations/006_*.up.sql

step 'Apply what is pending: one call, one transaction'
sql "SELECT * FROM migrate.apply();"
check "migrate.version() = '006' AND (SELECT count(*) = 14 FROM countries) AND (SELECT count(*) = 4 FROM users)"
check "(SELECT name = 'Côte d''Ivoire' FROM countries WHERE code = 'CI')"

step 'What is where, since when, and whether there is a way back'
sql "SELECT * FROM migrate.status();"

step 'Release 2: three more; one of them splits a column that has data in it'
register "" migrations/00[7-9]_*.up.sql
# the rows that apply() returns say the same as its notices
sql "ALTER DATABASE demo SET dbmigrate.progress = off;"
connect demo
sql "SELECT * FROM migrate.apply();"
sql "SELECT first_name, last_name FROM users ORDER BY email;"
check "(SELECT (first_name, last_name) = ('José', 'García de la Cruz') FROM users WHERE email ~ '^jose')"

step 'Second thoughts: roll back the last two; the names are whole again'
sql "SELECT * FROM migrate.rollback(2);"
sql "SELECT full_name FROM users ORDER BY email;"
check "migrate.version() = '007' AND (SELECT full_name = 'José García de la Cruz' FROM users WHERE email ~ '^jose')"

step 'And forward again; redo() rolls back and applies in one go, which tests a down script'
sql "SELECT * FROM migrate.apply();"
sql "SELECT * FROM migrate.redo();"
check "migrate.version() = '009' AND (SELECT count(*) = 0 FROM migrate.pending())"

step 'Release 3: row level security, a view, and a unique index that does not fit the data'
register "" migrations/01[01]_*.up.sql first-try/012_*.up.sql
sql_fails 'migration 012 "unique_partners" (up), statement 2 at line 6' "SELECT * FROM migrate.apply();"

step 'Statement 2 of 012 failed, so nothing of this call is left: neither 010 and 011 nor the new column'
sql "SELECT * FROM migrate.pending();"
sql_fails 'column "code" does not exist' "SELECT code FROM partners;"
check "to_regclass('pipeline') IS NULL AND NOT EXISTS (SELECT FROM pg_policies)"
check "(SELECT array_agg(version) = '{010,011,012}' FROM migrate.pending())"

step 'What an application asks when it starts: is all there?  Is there what I need?'
sql_fails "3 migrations are not applied" "SELECT migrate.require();"
sql "SELECT migrate.require('009');"

step 'The corrected 012 merges duplicates first; a pending migration may be registered again'
register "" migrations/012_*.up.sql
sql "SELECT * FROM migrate.apply();"
check "migrate.require() IS NOT NULL AND (SELECT count(*) = 3 FROM pipeline)"
sql "SELECT migrate.status_json() #- '{status,appliedMigrations}' AS status_json;"
check "(migrate.status_json() #>> '{status,isUpToDate}')::boolean"
check "(SELECT count(*) = 1 FROM partners WHERE lower(name) = 'škoda tools')"

step 'Do all the down scripts work?  All the way back to an empty schema, and forward again'
sql "SELECT count(*), sum(statements) AS statements, sum(rows) AS rows FROM migrate.rollback_to('0');"
check "NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
check "NOT EXISTS (SELECT FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
check "NOT EXISTS (SELECT FROM pg_type WHERE typnamespace = 'public'::regnamespace)"
sql "SELECT count(*), sum(statements) AS statements, sum(rows) AS rows FROM migrate.apply();"

step 'In production a rollback has to name the database'
sql "ALTER DATABASE demo SET dbmigrate.environment = 'production';"
connect demo
sql_fails "confirm => 'demo'" "SELECT * FROM migrate.rollback();"
sql "SELECT * FROM migrate.rollback(confirm => 'demo');"
sql "SELECT * FROM migrate.apply();"
check "migrate.version() = '012'"

step 'What happened in this database, run by run; 6 was the one that failed'
sql "SELECT run, session_username AS who, action, count(*), min(version) AS first, max(version) AS last,
       sum(statements) AS statements, sum(rows) AS rows, pg_size_pretty(sum(wal_bytes)) AS wal,
       sum(duration) AS duration
  FROM migrate.history
 GROUP BY run, who, action
 ORDER BY min(id);"
check "(SELECT count(*) = 44 FROM migrate.history)"

step 'The real production database: the same files registered in the same way; the development data is skipped'
sql "CREATE DATABASE demo_production;"
connect demo_production
sql "CREATE EXTENSION dbmigrate;"
sql "ALTER DATABASE demo_production SET dbmigrate.environment = 'production';"
sql "ALTER DATABASE demo_production SET dbmigrate.progress = off;"
connect demo_production
output=$(
    register "" migrations/00[!6]_*.up.sql migrations/01*.up.sql
    register ", environments => '{development}'" migrations/006_*.up.sql
) || die "$output"
sql "SELECT count(*), sum(statements) AS statements, sum(rows) AS rows FROM migrate.apply();"
sql "SELECT version, name, state FROM migrate.status() WHERE state <> 'applied';"
check "(SELECT state = 'skipped' FROM migrate.status() WHERE version = '006')"
check "(SELECT count(*) = 11 FROM migrate.status() WHERE state = 'applied')"
check "(SELECT count(*) = 0 FROM users) AND (SELECT count(*) = 14 FROM countries)"

for db in demo demo_production; do
    check "(migrate.status_json() #>> '{status,isUpToDate}')::boolean AND migrate.version() = '012'"
done
printf '\nShown: register, apply, roll back, redo, a failed release, production.  Both databases are up to date.\n'
