#!/usr/bin/env bash
#
# test/torture.sh [KILLS]       started by: make torture
#
# Online migrations up and down in turn, beside clients that write, and ended
# again and again by pg_terminate_backend() or kill -9 of the backend at a
# random moment.  The next run has to go on without a question; when it has
# come to its end all indexes are there and valid, and each ordinary statement
# was run once.  TORTURE_SEED=... repeats the moments.  The exit status is 1 if
# something was not so.

set -uo pipefail

[ -n "${PRIVATE_DATA:-}" ] || { echo "start this with: make torture" >&2; exit 2; }
kills=${1:-40}
seed=${TORTURE_SEED:-$((RANDOM * 32768 + RANDOM))}
RANDOM=$seed
work=$(mktemp -d)
load=
failures=0
declare -A ends=([up]=0 [down]=0)
declare -A call=([up]="CALL migrate.run()" [down]="CALL migrate.run_rollback_to('0')")
declare -A indexes=([up]="ab lower parts_b_idx parts_pkey u" [down]="a ab parts_pkey")

trap 'stop_load; rm -rf "$work"' EXIT

query() { psql -XAtq -v ON_ERROR_STOP=1 -c "$1"; }
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
is() { [ "$1" = "$2" ] || fail "$3: \"$1\", expected \"$2\""; }

start_load() {
    pgbench -n -c 2 -T 100000 -f "$work/load.sql" >/dev/null 2>&1 &
    load=$!
}

stop_load() {
    [ -z "$load" ] || { kill "$load"; wait "$load"; } 2>/dev/null
    load=
}

wait_for_server() {
    for ((i = 0; i < 600; i++)); do
        query 'SELECT 1' >/dev/null 2>&1 && return
        sleep 0.1
    done
    fail "the server did not come back"
    exit 1
}

# The first line that psql prints is the pid.
start_run() {
    : >"$work/said"
    psql -XAtq -v ON_ERROR_STOP=1 -c 'SELECT pg_backend_pid()' -c "${call[$1]}" >"$work/said" 2>&1 &
    run=$!
    until [ -s "$work/said" ]; do sleep 0.01; done
    pid=$(head -1 "$work/said")
}

# Kill it, unless it has ended.  False if it had come to its end before that.
kill_run() {
    if kill -0 "$run" 2>/dev/null; then
        killed=$((killed + 1))
        if [ $((RANDOM % 3)) = 0 ]; then
            stop_load
            kill -9 "$pid" 2>/dev/null
        else
            query "SELECT pg_terminate_backend($pid)" >/dev/null
        fi
    fi
    wait "$run"
    wait_for_server
    [ -n "$load" ] || start_load
    until [ "$(query "SELECT count(*) FROM pg_stat_activity WHERE pid = $pid")" = 0 ]; do sleep 0.01; done
    query 'SELECT state FROM migrate.status() WHERE version = $$2$$' >>"$work/states"
    check_killed
    [ "$(query 'SELECT count(*) FROM migrate.applied')" != "$([ "$direction" = up ] && echo 3 || echo 0)" ]
}

# What is left may be anything but recorded as done.
check_killed() {
    is "$(query 'SELECT count(*) FROM pg_locks WHERE locktype = $$object$$ AND classid = $$pg_extension$$::regclass AND objsubid > 0')" \
        0 "locks of a run that was killed"
    is "$(query "SELECT count(*) FROM pg_index WHERE NOT indisvalid AND NOT EXISTS (SELECT FROM migrate.progress)")" \
        0 "INVALID indexes, although nothing is half done"
    is "$(query "SELECT count(*) FROM migrate.status() WHERE state NOT IN ('applied', 'pending', 'interrupted', 'failed')")" \
        0 "states after a kill"
}

check_end() {
    local direction=$1
    ends[$direction]=$((ends[$direction] + 1))
    is "$(query "SELECT string_agg(CASE WHEN i.indisvalid THEN '' ELSE 'INVALID ' END || c.relname, ' ' ORDER BY c.relname)
                   FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 'parts'::regclass")" \
        "${indexes[$direction]}" "indexes after $direction"
    is "$(query 'SELECT count(*) FROM pg_index WHERE NOT indisvalid')" 0 "INVALID indexes after $direction"
    is "$(query 'SELECT count(*) FROM migrate.progress')" 0 "half done after $direction"
    is "$(query "SELECT string_agg(DISTINCT state, ' ') FROM migrate.status()")" \
        "$([ "$direction" = up ] && echo applied || echo pending)" "states after $direction"
    is "$(query "SELECT coalesce(string_agg(what, ' '), '') FROM (SELECT what FROM counted GROUP BY what
                 HAVING count(*) <> CASE WHEN what LIKE 'up%' THEN ${ends[up]} ELSE ${ends[down]} END) c")" \
        "" "ordinary statements that were not run once each"
}

cat >"$work/load.sql" <<'SQL'
\set id random(1, 100000)
UPDATE parts SET c = md5(c) WHERE id = :id;
\sleep 5 ms
SQL

cat >"$work/setup.sql" <<'SQL'
CREATE EXTENSION dbmigrate;
CREATE TABLE counted (what text);
CREATE TABLE parts (id int PRIMARY KEY, a int, b text, c text);
INSERT INTO parts SELECT g, g % 1000, md5(g::text), repeat(md5(g::text), 3) FROM generate_series(1, 100000) g;
CREATE INDEX a ON parts (a);
CREATE INDEX ab ON parts (a, b);
SELECT migrate.manage('torture');
SELECT migrate.add('1', 'ordinary', $$INSERT INTO counted VALUES ('up 1')$$, $$INSERT INTO counted VALUES ('down 1')$$);
SELECT migrate.add('2', 'online', $$
    CREATE UNIQUE INDEX CONCURRENTLY u ON parts (b, id);
    INSERT INTO counted VALUES ('up 2');
    CREATE INDEX CONCURRENTLY ON parts (b);
    DROP INDEX CONCURRENTLY a;
    BEGIN;
    INSERT INTO counted VALUES ('up 2, group');
    ALTER TABLE parts ALTER COLUMN c SET DEFAULT 'x';
    COMMIT;
    CREATE INDEX CONCURRENTLY IF NOT EXISTS lower ON parts (lower(c)) WHERE a > 500;
    VACUUM counted;
    REINDEX TABLE CONCURRENTLY parts$$, $$
    DROP INDEX CONCURRENTLY lower;
    INSERT INTO counted VALUES ('down 2');
    CREATE INDEX CONCURRENTLY a ON parts (a);
    DROP INDEX CONCURRENTLY parts_b_idx;
    REINDEX INDEX CONCURRENTLY ab;
    DROP INDEX CONCURRENTLY u$$);
SELECT migrate.add('3', 'ordinary', $$INSERT INTO counted VALUES ('up 3')$$, $$INSERT INTO counted VALUES ('down 3')$$);
SQL
psql -XAtq -v ON_ERROR_STOP=1 -f "$work/setup.sql" >/dev/null || exit 1

echo "TORTURE_SEED=$seed"
start_load
direction=up
killed=0
is_half=      # the last run was killed before its end
duration=0    # in milliseconds, of a run that was not killed
while [ "$killed" -lt "$kills" ] || [ "$is_half$direction" != up ]; do
    began=${EPOCHREALTIME/./}
    is_half=
    start_run "$direction"
    if [ "$duration" != 0 ] && [ "$killed" -lt "$kills" ]; then
        moment=$(((RANDOM * 32768 + RANDOM) % (duration * 8 / 10)))
        sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
        if kill_run; then is_half=half; fi
    else
        wait "$run" || fail "$direction: $(cat "$work/said")"
    fi
    ! grep -q '^ERROR' "$work/said" || fail "$direction: $(cat "$work/said")"
    [ -z "$is_half" ] || continue
    [ "$duration" != 0 ] || duration=$(((${EPOCHREALTIME/./} - began) / 1000))
    check_end "$direction"
    direction=$([ "$direction" = up ] && echo down || echo up)
done
stop_load

echo "$killed kills, after which version 2 was: $(sort "$work/states" | uniq -c | xargs)"
echo "${ends[up]} times up, ${ends[down]} times down, a run takes $duration ms; $failures failures"
[ "$failures" = 0 ]
