# The cases of run.sh, which reads this file and has the other ends of its variables.
# shellcheck shell=bash disable=SC2154,SC2034

url() { echo "postgres://$PGUSER@localhost/$1?host=$PGHOST&port=$PGPORT&sslmode=disable"; }
quietly() { "$@" >"$scratch/log" 2>&1 || { sed 's/^/#   /' "$scratch/log"; return 1; }; }

until_running() { # part of a query
    local i
    for i in $(seq 100); do
        [ "$(sql -v part="%$1%" <<<"SELECT count(*) FROM pg_stat_activity WHERE query LIKE :'part' AND state = 'active' AND pid <> pg_backend_pid()")" = 0 ] || return
        sleep 0.1
    done
}

npgm() { DATABASE_URL=$(url "$1") quietly node-pg-migrate "${@:2}"; }
case_node_pg_migrate() {
    begin node-pg-migrate pgmigrations
    npgm "$alone" up
    ok "its own full run" $?
    npgm "$db" up 7
    ok "stopped half way" $?
    adopt_it migrations 14 7 7

    fresh tool_back
    npgm tool_back up 7 && npgm tool_back up --fake
    is "back to the tool: up --fake" 14 "$(db=tool_back sql -c "SELECT count(*) FROM pgmigrations")"

    npgm "$alone" down 14
    ok "its own way back" $?
    roll_back 14
}

# JavaScript is turned into SQL by the tool's own dry run.
case_node_pg_migrate_js() {
    begin "node-pg-migrate-js" pgmigrations
    cp "$here/../../examples/from-node-pg-migrate/to-sql.mjs" "$scratch/"
    ln -sfn "$ADOPTION_TOOLS/node_modules" "$scratch/node_modules"
    npgm "$alone" up
    ok "its own full run" $?
    npgm "$db" up 4
    ok "stopped half way" $?
    fresh tool_scratch
    DATABASE_URL=$(url tool_scratch) quietly node "$scratch/to-sql.mjs" migrations "$scratch/sql"
    ok "turned into SQL" $?
    is "every file has its SQL" "$(ls migrations | sed 's/\.[a-z]*$//')" "$(ls "$scratch/sql" | sed 's/\.sql$//')"
    adopt_it "$scratch/sql" 7 4 3
    ! npgm "$alone" down 7 >/dev/null
    ok "it has one with down = false" $?
    is "which dbmigrate refuses, too" 55000 \
        "$(sql -c '\set ON_ERROR_STOP 0' -c "SELECT * FROM migrate.rollback_to('0')" -c '\echo :LAST_ERROR_SQLSTATE' 2>/dev/null)"
    npgm "$alone" down 1
    ok "one step back" $?
    is "rolled back by dbmigrate" 1700000006000 "$(sql -c "SELECT version FROM migrate.rollback()")"
    is "the same as after the tool's own way back" "$(dump "$alone")" "$(dump "$db")"
}

# The tool is at work while its history is adopted.
case_node_pg_migrate_lock() {
    begin node-pg-migrate pgmigrations
    tool="node-pg-migrate at work"
    mkdir -p "$scratch/slow"
    cp migrations/1704359200037_* "$scratch/slow/"
    printf -- '-- Up Migration\nSELECT pg_sleep(6);\n-- Down Migration\nSELECT 1;\n' >"$scratch/slow/1704359200038_sleep.sql"
    npgm "$db" up 1 -m "$scratch/slow"
    sql -c "CREATE EXTENSION dbmigrate"
    register "$scratch/slow" >/dev/null
    npgm "$db" up -m "$scratch/slow" &
    local runner=$!
    until_running 'pg_sleep(6)'
    is "adopt() does not wait longer than it may" 55P03 \
        "$(sql -c "SET dbmigrate.lock_wait = '500ms'" -c '\set ON_ERROR_STOP 0' -c "SELECT * FROM migrate.adopt()" -c '\echo :LAST_ERROR_SQLSTATE' 2>/dev/null)"
    is "and leaves nothing" 0 "$(recorded)"
    is "adopt() waits for the tool, then sees all of its work" "adopted 2" "$(adopt)"
    wait "$runner"
    ok "the tool was not disturbed" $?
}

dbm() { quietly dbmate --url "$(url "$1")" --no-dump-schema "${@:2}"; }
case_dbmate() {
    begin dbmate schema_migrations
    dbm "$alone" -d migrations migrate
    ok "its own full run" $?
    older migrations '/2024031[46]|/20240[45]'
    dbm "$db" -d "$scratch/older" migrate
    ok "stopped half way" $?
    adopt_it migrations 14 6 8
    local i
    for i in $(seq 14); do dbm "$alone" -d migrations rollback; done
    is "its own way back" 0 "$(db=$alone sql -c "SELECT count(*) FROM schema_migrations")"
    roll_back 14
}

# dbmate has no lock: what it records after the adoption, the next one sees.
case_dbmate_at_work() {
    begin dbmate schema_migrations
    tool="dbmate at work"
    mkdir -p "$scratch/working"
    cp migrations/20240102093000_* "$scratch/working/"
    dbm "$db" -d "$scratch/working" migrate
    printf -- '-- migrate:up\nSELECT pg_sleep(4);\n\n-- migrate:down\nSELECT 1;\n' >"$scratch/working/20240103093000_sleep.sql"
    sql -c "CREATE EXTENSION dbmigrate"
    register "$scratch/working" >/dev/null
    dbm "$db" -d "$scratch/working" migrate &
    local runner=$!
    until_running 'pg_sleep(4)'
    is "what it has not recorded is pending" "adopted 1
pending 1" "$(adopt)"
    wait "$runner"
    ok "the tool was not disturbed" $?
    is "the next adoption sees it" "adopted 1
unchanged 1" "$(adopt)"
}

# dbmate's history again, by the dbmigrate command.
case_command() {
    begin dbmate schema_migrations
    tool="dbmate, then the command"
    local command
    command=$("${PG_CONFIG:-pg_config}" --bindir)/dbmigrate
    dbm "$alone" -d migrations migrate
    older migrations '/2024031[46]|/20240[45]'
    dbm "$db" -d "$scratch/older" migrate
    local before
    before=$(old_table)
    export DATABASE_URL
    DATABASE_URL=$(url "$db" | sed 's/&sslmode=disable//')
    quietly "$command" init
    ok "init" $?
    is "adopt --dry-run" "6 8" "$("$command" -q adopt --dry-run 2>/dev/null | awk '/ adopted /{a++} / pending /{p++} END {print a, p}')"
    is "it records nothing" 0 "$(recorded)"
    quietly "$command" adopt
    ok "adopt" $?
    "$command" -q status --check >/dev/null 2>&1
    is "status --check: pending" 3 $?
    quietly "$command" up
    ok "up" $?
    quietly "$command" status --check
    ok "status --check: all applied" $?
    is "the tool's table is untouched" "$before" "$(old_table)"
    is "the same database as by the tool alone" "$(dump "$alone")" "$(dump "$db")"
    local i
    for i in $(seq 14); do dbm "$alone" -d migrations rollback; done
    quietly "$command" down --to 0
    ok "down --to 0" $?
    is "the same as after the tool's own way back" "$(dump "$alone")" "$(dump "$db")"
    unset DATABASE_URL
}

sqlm() { PGDATABASE=$1 quietly sql-migrate "${@:2}"; }
case_sql_migrate() {
    begin sql-migrate gorp_migrations
    sqlm "$alone" up
    ok "its own full run" $?
    sqlm "$db" up -limit=7
    ok "stopped half way" $?
    adopt_it migrations 14 7 7
    fresh tool_back
    sqlm tool_back up -limit=7 && sqlm tool_back skip
    is "back to the tool: skip" 14 "$(db=tool_back sql -c "SELECT count(*) FROM gorp_migrations")"
    sqlm "$alone" down -limit=0
    ok "its own way back" $?
    roll_back 14
}

# Prisma's engine is a download; here it runs without, the two settings keep it
# from trying.  Its adapter would split a script at every semicolon; the engine
# sends it as a whole, and so does the adapter in this configuration.
prisma_in() { # database, directory
    cp -r prisma/schema.prisma "$2/../schema.prisma"
    cat >"$2/../../prisma.config.mjs" <<'JS'
import { PrismaPg } from '@prisma/adapter-pg';
const factory = new PrismaPg({ connectionString: process.env.DATABASE_URL });
const connect = factory.connect.bind(factory);
factory.connect = async () => {
  const adapter = await connect();
  adapter.executeScript = async (script) => void (await adapter.client.query(script));
  return adapter;
};
export default {
  experimental: { adapter: true },
  engine: 'js',
  schema: 'prisma/schema.prisma',
  adapter: async () => factory,
};
JS
    ln -sfn "$ADOPTION_TOOLS/node_modules" "$2/../../node_modules"
    touch "$scratch/none"
    (cd "$2/../.." && DATABASE_URL=$(url "$1") PRISMA_QUERY_ENGINE_LIBRARY=$scratch/none PRISMA_SCHEMA_ENGINE_BINARY=/bin/true \
        CHECKPOINT_DISABLE=1 PRISMA_HIDE_UPDATE_MESSAGE=1 quietly prisma migrate deploy)
}
case_prisma() {
    begin prisma _prisma_migrations
    mkdir -p "$scratch/all" "$scratch/half/prisma"
    cp -r prisma "$scratch/all/"
    prisma_in "$alone" "$scratch/all/prisma/migrations"
    ok "its own full run" $?
    older prisma/migrations '/2024031[46]|/20240[45]'
    mv "$scratch/older" "$scratch/half/prisma/migrations"
    prisma_in "$db" "$scratch/half/prisma/migrations"
    ok "stopped half way" $?
    adopt_it prisma/migrations 14 6 8
}

# golang-migrate runs a file as one query and keeps one row.
golang_migrate_to() { # database, version
    local file version
    psql -X -q -d "$1" -c "CREATE TABLE IF NOT EXISTS schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)"
    for file in migrations/*.up.sql; do
        version=$((10#$(basename "$file" | cut -d_ -f1)))
        [ "$version" -gt "$2" ] && break
        psql -X -q -v ON_ERROR_STOP=1 -d "$1" -f "$file" >/dev/null || return 1
        psql -X -q -d "$1" -c "TRUNCATE schema_migrations" -c "INSERT INTO schema_migrations VALUES ($version, false)"
    done
}
case_golang_migrate() {
    begin golang-migrate schema_migrations
    golang_migrate_to "$alone" 14
    ok "all files" $?
    golang_migrate_to "$db" 7
    ok "stopped half way" $?
    sql -c "UPDATE schema_migrations SET dirty = true"
    sql -c "CREATE EXTENSION dbmigrate"
    is "dirty: refused" 55000 "$(sql -c '\set ON_ERROR_STOP 0' -c "SELECT * FROM migrate.adopt()" -c '\echo :LAST_ERROR_SQLSTATE' 2>/dev/null)"
    sql -c "UPDATE schema_migrations SET dirty = false" -c "DROP EXTENSION dbmigrate"
    adopt_it migrations 14 7 7
    local file
    for file in $(ls -r migrations/*.down.sql); do psql -X -q -v ON_ERROR_STOP=1 -d "$alone" -f "$file" >/dev/null || break; done
    roll_back 14
}

# Flyway: by version, then the repeatable ones; as psql runs the same files.
flyway_to() { # database, how many
    local file version name rank=0
    psql -X -q -d "$1" <<'SQL'
CREATE TABLE IF NOT EXISTS flyway_schema_history (
    installed_rank int NOT NULL CONSTRAINT flyway_schema_history_pk PRIMARY KEY,
    version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL,
    checksum int, installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(),
    execution_time int NOT NULL, success boolean NOT NULL);
CREATE INDEX IF NOT EXISTS flyway_schema_history_s_idx ON flyway_schema_history (success);
SQL
    for file in $(ls migrations/V* | sed 's/.*V\(.*\)__.*/\1 &/; s/^\([0-9]*\)_/\1./' | sort -t. -k1,1n -k2,2n -k3,3n | cut -d' ' -f2) \
        migrations/R__*; do
        rank=$((rank + 1))
        [ "$rank" -gt "$2" ] && break
        name=${file##*/}
        version=${name%%__*}
        version=${version#?}
        psql -X -q -1 -v ON_ERROR_STOP=1 -d "$1" -f "$file" >/dev/null || return 1
        psql -X -q -d "$1" -v rank=$rank -v version="${version//_/.}" -v name="$name" -v crc="$(node "$here/crc.mjs" "$file")" <<'SQL'
INSERT INTO flyway_schema_history VALUES (:rank, nullif(:'version', ''),
    translate(regexp_replace(:'name', '^.*?__|\.sql$', '', 'g'), '_', ' '), 'SQL', :'name', :crc, 'flyway', now(), 7, true);
SQL
    done
}
case_flyway() {
    begin flyway flyway_schema_history
    flyway_to "$alone" 14
    ok "all files" $?
    flyway_to "$db" 7
    ok "stopped half way" $?
    adopt_it migrations 14 7 7
    sql -c "UPDATE flyway_schema_history SET checksum = 1 WHERE installed_rank = 2" -c "DROP EXTENSION dbmigrate" -c "CREATE EXTENSION dbmigrate"
    register migrations >/dev/null
    is "a file that is not what Flyway ran is named" 1.1 \
        "$(sql -c "SELECT version FROM migrate.adopt(dry_run => true) WHERE detail LIKE 'its text is not what Flyway ran%'")"
}
