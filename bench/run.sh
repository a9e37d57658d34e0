#!/usr/bin/env bash
#
# bench/run.sh              started by: make bench
#
# Measures the extension against its budgets, on the private server that
# test/private.sh makes, and prints a table.  A missed budget is reported and
# is no failure: the exit status says only whether everything was measured.
#
# Where the measure is psql, psql runs the same SQL in the same round, in turns
# first and second, each time in a fresh copy of the same database.  What is
# shown is the median of the rounds' ratios, so that a machine that is slower
# for a while counts in no one's favour.
#
# Settings: BENCH_ROUNDS, BENCH_BIG_ROUNDS (for the scripts of 100 MB),
# BENCH_ONLY (a regular expression over: small bookkeeping growth pending
# status copy inserts), BENCH_BIG_BYTES.

set -euo pipefail

rounds=${BENCH_ROUNDS:-21}
big_rounds=${BENCH_BIG_ROUNDS:-3}
only=${BENCH_ONLY:-.}
big_bytes=${BENCH_BIG_BYTES:-100000000}

[ -n "${PRIVATE_DATA:-}" ] || { echo "start this with: make bench" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
export SCRATCH
SCRATCH=$(mktemp -d "${TMPDIR:-/tmp}/dbmigrate-bench.XXXXXX")
trap 'rm -rf "$SCRATCH"' EXIT
table=$SCRATCH/table

say() { printf '%s\n' "$*" >&2; }
wanted() { [[ $1 =~ $only ]]; }
now() { echo "${EPOCHREALTIME/./}"; }    # microseconds
calculate() { awk "BEGIN { printf \"%.${2:-3}f\\n\", $1 }"; }
median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }

# sql DATABASE [ARGUMENT ...]: what is not measured; loud if it fails
sql() { local database=$1; shift; psql -XqAt -v ON_ERROR_STOP=1 -d "$database" "$@" </dev/null; }

# row WHAT MEASURED UNIT BUDGET; the last may be empty: for information only
row() {
    local verdict=''
    if [ -n "$4" ]; then
        verdict=$(awk "BEGIN { print ($2 <= $4) ? \"ok\" : \"over\" }")
    fi
    printf '%s|%s|%s|%s\n' "$1" "$2 $3" "${4:+$4 $3}" "$verdict" >>"$table"
    say "   $1: $2 $3"
}

drop_database() { sql postgres -c 'SET client_min_messages = warning' -c "DROP DATABASE IF EXISTS $1"; }

# A database with the extension, to copy from.
new_template() {
    say "-- preparing $1"
    drop_database "$1"
    sql postgres -c "CREATE DATABASE $1"
    sql "$1" -c 'CREATE EXTENSION dbmigrate'
}

# A fresh "bench".  As files, with the checkpoint that this brings, so that
# everyone begins with the same clean buffers; the first connection to a
# database writes a cache of the system catalogs, which is not to be measured.
fresh() {
    drop_database bench
    sql postgres -c "CREATE DATABASE bench TEMPLATE $1 STRATEGY file_copy"
    sql bench -c ''
}

# run PSQL_ARGUMENT ...: one session in "bench".  Sets wall (microseconds),
# cpu (microseconds of backend and client together) and, if asked to watch,
# peak (kB of the backend's own memory).
#
# The CPU times are the kernel's own counts in nanoseconds, read by psql itself
# when all is done: both processes are then idle, and started for this alone.
watch=''
run() {
    local start
    rm -f "$SCRATCH/cpu" "$SCRATCH/peak"
    start=$(now)
    psql -X -v ON_ERROR_STOP=1 -d bench -f "$SCRATCH/begin$watch.psql" "$@" \
        -c '\! cat /proc/$BACKEND/schedstat /proc/$PPID/schedstat >$SCRATCH/cpu' \
        </dev/null >/dev/null 2>"$SCRATCH/errors" ||
        { say "failed: psql $*"; head -5 "$SCRATCH/errors" >&2; exit 1; }
    wall=$(($(now) - start))
    cpu=$(awk '{ ns += $1 } END { printf "%d", ns / 1000 }' "$SCRATCH/cpu")
    [ -n "$watch" ] || return 0
    while [ ! -f "$SCRATCH/peak" ]; do sleep 0.02; done
    peak=$(cat "$SCRATCH/peak")
}

cat >"$SCRATCH/begin.psql" <<'PSQL'
SELECT pg_backend_pid() AS backend \gset
\setenv BACKEND :backend
PSQL
{
    cat "$SCRATCH/begin.psql"
    echo "\\! perl '$here/peak.pl' \$BACKEND \$SCRATCH/peak </dev/null >/dev/null 2>&1 &"
} >"$SCRATCH/begin-watched.psql"

# server_time DATABASE QUERY: microseconds of its first execution in a session,
# without the way to the client
server_time() {
    sql "$1" -c "DO \$do\$
        DECLARE start timestamptz := clock_timestamp();
        BEGIN
            PERFORM * FROM ($2) q;
            PERFORM set_config('bench.time',
                (extract(epoch FROM clock_timestamp() - start) * 1e6)::bigint::text, false);
        END \$do\$" -c "SELECT current_setting('bench.time')" 2>"$SCRATCH/errors" ||
        { say "failed: $2"; head -5 "$SCRATCH/errors" >&2; exit 1; }
}

APPLY='SELECT * FROM migrate.apply()'

# Register N migrations that do next to nothing.
register_trivial() {
    sql "$1" -c "SELECT count(migrate.add(to_char(i, 'FM00000'), 'step_' || i, 'SELECT 1'))
                   FROM generate_series(1, $2) i" >/dev/null
}

# compare TEMPLATE SCRIPT IN_ONE NAME ROUNDS: both ways in turns; for each round
# the ratio of ours to psql's goes to rounds-NAME.wall and rounds-NAME.cpu, our peak
# memory to rounds-NAME.peak.  IN_ONE is -1 or nothing, as for psql.
compare() {
    local template=$1 script=$2 in_one=$3 name=$SCRATCH/rounds-$4 total=$5
    local round turn psql_wall psql_cpu our_wall our_cpu
    local theirs=(-f "$script")

    # What psql -1 does, with a place behind the COMMIT where CPU can be read.
    if [ -n "$in_one" ]; then theirs=(-c BEGIN -f "$script" -c COMMIT); fi
    rm -f "$name".*
    for ((round = 1; round <= total; round++)); do
        for turn in $(((round - 1) % 2)) $((round % 2)); do
            fresh "$template"
            if [ "$turn" = 0 ]; then
                run "${theirs[@]}"
                psql_wall=$wall psql_cpu=$cpu
            else
                run -c "$APPLY"
                our_wall=$wall our_cpu=$cpu
                echo "${peak:-0}" >>"$name.peak"
            fi
        done
        calculate "$our_wall / $psql_wall" >>"$name.wall"
        calculate "$our_cpu / $psql_cpu" >>"$name.cpu"
        say "   round $round of $total: wall $((our_wall / 1000)) ms, psql $((psql_wall / 1000)) ms;" \
            "CPU $((our_cpu / 1000)) ms, psql $((psql_cpu / 1000)) ms"
    done
}

# A registered script of 100 MB, and its rows of the table.
big() {
    local what=$1 budget=$2 in_one=$3
    local script=$SCRATCH/big.sql size
    perl "$here/generate.pl" "${@:4}" >"$script"
    chmod 644 "$script"
    size=$(stat -c %s "$script")
    new_template bench_big
    sql bench_big -c "SELECT migrate.add('1', 'big', pg_read_file('$script'))" >/dev/null
    watch=-watched
    compare bench_big "$script" "$in_one" big "$big_rounds"
    watch=''
    row "$what, wall time" "$(calculate "$(median "$SCRATCH/rounds-big.wall")")" "x psql" "$budget"
    row "$what, memory" "$(calculate "$(median "$SCRATCH/rounds-big.peak") * 1024 / $size" 2)" "x script" 4
    drop_database bench_big
    rm -f "$script"
}

: >"$table"
# Its workers would fall into some rounds and not into others.
sql postgres -c 'ALTER SYSTEM SET autovacuum = off' -c 'SELECT pg_reload_conf()' >/dev/null

if wanted small; then
    new_template bench_small
    perl "$here/generate.pl" small 1000 >"$SCRATCH/small.sql"
    perl "$here/generate.pl" register 1000 >"$SCRATCH/register.sql"
    sql bench_small -1 -f "$SCRATCH/register.sql" >/dev/null
    compare bench_small "$SCRATCH/small.sql" -1 small "$rounds"
    row "1,000 small migrations, CPU time" "$(calculate "$(median "$SCRATCH/rounds-small.cpu")")" "x psql" 0.95
    row "1,000 small migrations, wall time" "$(calculate "$(median "$SCRATCH/rounds-small.wall")")" "x psql" 0.95
fi

if wanted bookkeeping || wanted growth; then
    new_template bench_1000
    register_trivial bench_1000 1000
fi

# A thousand migrations of one statement, less one migration of a thousand.
if wanted bookkeeping; then
    new_template bench_single
    sql bench_single -c "SELECT migrate.add('1', 'single', repeat('SELECT 1;', 1000))" >/dev/null
    rm -f "$SCRATCH/bookkeeping"
    for ((round = 1; round <= rounds; round++)); do
        fresh bench_1000
        many=$(server_time bench "$APPLY")
        fresh bench_single
        single=$(server_time bench "$APPLY")
        echo $(((many - single) / 1000)) >>"$SCRATCH/bookkeeping"
        say "   round $round of $rounds: many $many us, single $single us"
    done
    row "bookkeeping per migration" "$(calculate "$(median "$SCRATCH/bookkeeping")" 0)" us 60
fi

if wanted growth || wanted pending || wanted status; then
    new_template bench_10000
    register_trivial bench_10000 10000
fi

# Once: ten times the migrations, in one transaction.
if wanted growth; then
    watch=-watched
    fresh bench_1000
    run -c "$APPLY"
    wall_1000=$wall peak_1000=$peak
    fresh bench_10000
    run -c "$APPLY"
    watch=''
    row "10,000 migrations against 1,000, function form, time" "$(calculate "$wall / $wall_1000" 1)" x ''
    row "10,000 migrations against 1,000, function form, memory" \
        "$(calculate "($peak - $peak_1000) / 1024" 1)" "MB more" ''
fi

if wanted pending || wanted status; then
    sql bench_10000 -c 'SET dbmigrate.progress = off' -c "$APPLY" >/dev/null
    for statistics in without with; do
        if [ "$statistics" = with ]; then sql bench_10000 -c 'VACUUM ANALYZE'; fi
        rm -f "$SCRATCH/pending" "$SCRATCH/status"
        for ((round = 1; round <= rounds; round++)); do
            server_time bench_10000 "$APPLY" >>"$SCRATCH/pending"
            server_time bench_10000 'SELECT * FROM migrate.status()' >>"$SCRATCH/status"
        done
        if wanted pending; then
            row "nothing pending, 10,000 applied, $statistics statistics" \
                "$(calculate "$(median "$SCRATCH/pending") / 1000" 1)" ms 8
        fi
        if wanted status; then
            row "status() of 10,000, $statistics statistics" \
                "$(calculate "$(median "$SCRATCH/status") / 1000" 1)" ms 50
        fi
    done
fi

if wanted copy; then
    big "100 MB of COPY data in 1 block" 1.1 '' copy "$big_bytes" 1
    big "100 MB of COPY data in 1,000 blocks" 1.1 '' copy "$big_bytes" 1000
fi
if wanted inserts; then
    big "100 MB of one-row INSERTs" 0.3 -1 inserts "$big_bytes"
fi

awk -F'|' '
    BEGIN { printf "\n%-58s %16s %13s  %s\n", "what", "measured", "budget", "" }
    { printf "%-58s %16s %13s  %s\n", $1, $2, $3, $4 }' "$table"
