#!/usr/bin/env bash
#
# test/adoption/run.sh [case ...]
#
# For each tool: one database by the tool alone; in a second one the tool stops
# half way, dbmigrate adopts its history and does the rest.  Both must be equal,
# and so must what is left after rolling everything back, by either.
#
# Real tools: node-pg-migrate (SQL and JavaScript), dbmate, sql-migrate, Prisma.
# golang-migrate and Flyway cannot be had here: psql runs their files, and their
# tables are made as they document them.  Started by start.sh.

set -uo pipefail
cd "$(dirname "$0")" || exit 1
here=$PWD
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
passed=0 failed=0
. ./tools.sh

ok() {
    if [ "$2" = 0 ]; then
        passed=$((passed + 1))
        echo "ok - $tool: $1"
    else
        failed=$((failed + 1))
        echo "not ok - $tool: $1"
    fi
}
is() { # what, expected, found
    [ "$2" = "$3" ]
    local bad=$?
    ok "$1" "$bad"
    [ "$bad" = 0 ] || diff <(echo "$2") <(echo "$3") | sed 's/^/#   /' | head -40
}

sql() { PGOPTIONS="-c client_min_messages=warning -c dbmigrate.progress=off" psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$db" "$@"; }
fresh() {
    dropdb --if-exists -f "$1" 2>/dev/null
    createdb "$1"
}

# Everything but the extension and the tool's own table.  The key of the
# \restrict line is new each time.
dump() {
    pg_dump -d "$1" -e plpgsql -N migrate -T "$table*" --no-owner | sed '/^\\\(un\)\?restrict /d'
}
# The tool's table as it lies on disk.
old_table() {
    sql -c "SELECT ctid, xmin, t::text FROM $table t ORDER BY ctid"
    pg_dump -d "$db" -t "$table" | sed '/^\\\(un\)\?restrict /d'
}

register() { # directory
    node "$here/pack.mjs" "$1" >"$scratch/files.json"
    sql -F ' ' -v file="$scratch/files.json" <<'SQL'
\set files `cat :'file'`
SELECT result, count(*) FROM migrate.add_files(:'files') GROUP BY 1 ORDER BY 1;
SQL
}
states() { sql -F ' ' -c "SELECT state, count(*) FROM migrate.status() GROUP BY 1 ORDER BY 1"; }
adopt() { sql -F ' ' -c "SELECT result, count(*) FROM migrate.adopt(${1:-}) GROUP BY 1 ORDER BY 1"; }
recorded() { sql -c "SELECT (SELECT count(*) FROM migrate.applied) + (SELECT count(*) FROM migrate.history)"; }

adopt_it() { # directory, how many are registered, how many of these are adopted, how many are left
    sql -c "CREATE EXTENSION dbmigrate"
    is "the directory is registered as it is" "$2" "$(register "$1" | tee -a "$scratch/register.log" | awk '$1 == "added" {print $2}')"
    local before
    before=$(old_table)
    is "a dry run says what would be adopted" "adopted $3
pending $4" "$(adopt 'dry_run => true')"
    is "a dry run records nothing" 0 "$(recorded)"
    is "adopted" "adopted $3
pending $4" "$(adopt)"
    is "once more: nothing to do" "pending $4
unchanged $3" "$(adopt)"
    is "the rest is pending" "applied $3
pending $4" "$(states)"
    is "apply runs the rest" "$4" "$(sql -c "SELECT count(*) FROM migrate.apply()")"
    is "all applied" "applied $(($3 + $4))" "$(states)"
    is "the tool's table is untouched" "$before" "$(old_table)"
    is "the same database as by the tool alone" "$(dump "$alone")" "$(dump "$db")"
}

roll_back() { # how many
    is "rolled back by dbmigrate" "$1" "$(sql -c "SELECT count(*) FROM migrate.rollback_to('0')")"
    is "the same as after the tool's own way back" "$(dump "$alone")" "$(dump "$db")"
}

# A directory as it was at an older commit.
older() { # directory, pattern of what came later
    rm -rf "$scratch/older"
    cp -r "$1" "$scratch/older"
    find "$scratch/older" -mindepth 1 -maxdepth 1 | grep -E "$2" | xargs rm -r
}

begin() { # tool, its table
    tool=$1 table=$2 alone=tool_alone db=tool_half
    fresh "$alone"
    fresh "$db"
    cd "$here/${tool%% *}" || exit 1
}

[ $# != 0 ] || set -- node_pg_migrate node_pg_migrate_js node_pg_migrate_lock dbmate dbmate_at_work command sql_migrate \
    prisma golang_migrate flyway
for one; do
    "case_$one"
done
echo
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
