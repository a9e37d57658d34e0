#!/bin/sh
#
# entrypoint.sh COMMAND [ARGUMENT ...]
#
# What a container does before its application runs: waits for the database,
# applies what is pending, in development adds sample data, then becomes the
# application.
#
#   PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE   the database
#   APP_ENV        what this is: development, staging, production (the default)
#   WAIT_SECONDS   how long to wait for the server (60)
#   MIGRATIONS     the directory of the migrations (/app/migrations)
#   SEED           SQL that may run at every start in development (/app/seed.sql)
#
# libpq's variables and no URL, since a URL would be on psql's command line,
# and a password in it where every process can see it.

set -eu

app_env=${APP_ENV:-production}
wait_seconds=${WAIT_SECONDS:-60}
migrations=${MIGRATIONS:-/app/migrations}
seed=${SEED:-/app/seed.sql}
child=

say() { printf 'entrypoint: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# As process 1 of a container this shell would ignore signals without a trap,
# and while a command runs in the foreground the trap would wait for its end.
# Hence everything that may take long runs in the background.
run() {
    "$@" &
    child=$!
    status=0
    wait "$child" || status=$?
    child=
    return "$status"
}

stop() {
    trap '' HUP INT TERM
    if [ -n "$child" ]; then
        kill -TERM "$child" 2>/dev/null || :
        wait "$child" || :
    fi
    say 'stopped before the application was started'
    exit "$1"
}

check_settings() {
    [ $# -gt 0 ] || fail 'no application to start: entrypoint.sh COMMAND [ARGUMENT ...]'
    : "${PGHOST:?the name of the database server}" "${PGDATABASE:?the name of the database}"
    case $wait_seconds in
        '' | *[!0-9]* | ??????*) fail "WAIT_SECONDS is not a number of seconds: $wait_seconds" ;;
    esac
    for program in pg_isready psql dbmigrate; do
        command -v "$program" >/dev/null || fail "$program is not in PATH"
    done
}

# A server that does not listen yet, or not yet to us (a crash recovery, the
# first start of the database container), is worth waiting for.
wait_for_server() {
    end=$(($(date +%s) + wait_seconds))
    told=
    while :; do
        status=0
        run pg_isready -q -t 2 || status=$?
        case $status in
            0) return 0 ;;
            1 | 2) ;;
            *) fail "pg_isready cannot even try: look at PGHOST, PGPORT and PGDATABASE" ;;
        esac
        [ "$(date +%s)" -lt "$end" ] ||
            fail "no server at $PGHOST, port ${PGPORT:-5432}, within $wait_seconds s; gave up"
        [ -n "$told" ] || say "waiting for the server at $PGHOST, port ${PGPORT:-5432}"
        told=yes
        run sleep 1
    done
}

# A container of one environment never touches the database of another.
check_environment() {
    is=$(psql -X -w -A -t -c 'SELECT migrate.environment()') ||
        fail "cannot ask database $PGDATABASE what it is"
    case $is in
        "$app_env" | '') ;;
        *) fail "APP_ENV is $app_env, but database $PGDATABASE says that it is $is; nothing was done" ;;
    esac
}

# For run(), whose process this becomes.  DATABASE_URL may be there for the
# application; here it would win over PGHOST.
migrate() {
    unset DATABASE_URL
    exec dbmigrate up --yes --no-env --dir "$migrations"
}

add_sample_data() {
    [ "$app_env" = development ] && [ -f "$seed" ] || return 0
    say "development: running $seed"
    run psql -X -q -w -v ON_ERROR_STOP=1 -1 -f "$seed" >/dev/null || fail "$seed failed, nothing of it was kept"
}

trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM

check_settings "$@"
wait_for_server
check_environment
run migrate || fail 'the migrations failed, the application is not started'
add_sample_data
exec "$@"
