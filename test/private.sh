#!/usr/bin/env bash
#
# test/private.sh SCRIPT [ARGUMENT ...]
#
# Runs SCRIPT with a throw-away PostgreSQL of its own: installs the packages
# that are missing, copies the server's files and this source tree to a new
# folder, builds and installs the extension there, starts a server on a socket
# in that folder, runs SCRIPT as an unprivileged user, and removes it all.
# The system's clusters, configuration and extension directories are not used.
#
# For root, or a user with sudo.  Settings: PGVERSION (default: the newest
# server version that the distribution has), COPT (compiler options).
#
# SCRIPT finds: PATH with the private server's programs, PG_CONFIG, PGHOST,
# PGPORT, PGUSER, PGDATABASE, PG_REGRESS, and the source tree as its directory.

set -euo pipefail

script=$1
shift
source_dir=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '\n== %s\n' "$*" >&2; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# The version to use: the wish, or what is installed, or what could be.
find_version() {
    if [ -n "${PGVERSION:-}" ]; then echo "$PGVERSION"; return; fi
    local config
    for config in $(ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -rV); do
        basename "$(dirname "$(dirname "$config")")"
        return
    done
    apt-cache search --names-only '^postgresql-server-dev-[0-9]+$' |
        sed -n 's/^postgresql-server-dev-\([0-9]*\) .*/\1/p' | sort -rn | head -1
}

missing_packages() {
    local package
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || echo "$package"
    done
}

install_packages() {
    local wanted
    mapfile -t wanted < <(missing_packages make gcc libc6-dev libpq-dev libssl-dev libipc-run-perl libio-pty-perl \
        "postgresql-$1" "postgresql-server-dev-$1")
    [ "${#wanted[@]}" = 0 ] || install_server "${wanted[@]}"
}

# A newly installed server must not bring a cluster with it.
install_server() {
    say "installing" "$@"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get install -y --no-install-recommends postgresql-common >/dev/null
    local no_cluster=/etc/postgresql-common/createcluster.d/dbmigrate-test.conf
    as_root sh -c "mkdir -p ${no_cluster%/*} && echo 'create_main_cluster = false' > $no_cluster"
    as_root apt-get install -y --no-install-recommends "$@" >/dev/null || {
        as_root rm -f "$no_cluster"
        echo "could not install: $*" >&2
        return 1
    }
    as_root rm -f "$no_cluster"
}

# A test of other extensions needs it; without it that test is skipped.
install_optional() {
    local wanted
    wanted=$(missing_packages "postgresql-$1-pgaudit")
    [ -n "$wanted" ] && apt-cache show "$wanted" >/dev/null 2>&1 || return 0
    say "installing" "$wanted"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$wanted" >/dev/null ||
        echo "could not install: $wanted" >&2
}

if [ -z "${PGVERSION:-}" ] && ! ls /usr/lib/postgresql/*/bin/pg_config >/dev/null 2>&1; then
    say "updating the list of packages"
    as_root apt-get update -qq
fi
version=$(find_version)
[ -n "$version" ] || { echo "no PostgreSQL server package found" >&2; exit 1; }
install_packages "$version" || { as_root apt-get update -qq; install_packages "$version"; }
install_optional "$version"

# Servers and their tests refuse to run as root.
if [ "$(id -u)" = 0 ]; then
    user=postgres
    run() { runuser -u "$user" -- "$@"; }
else
    user=$(id -un)
    run() { "$@"; }
fi

work=$(mktemp -d /tmp/dbmigrate.XXXXXX)
tree=$work/pg
bin=$tree/usr/lib/postgresql/$version/bin

clean_up() {
    local status=$?
    trap - EXIT INT TERM
    if [ -f "$work/data/postmaster.pid" ]; then
        run "$bin/pg_ctl" -D "$work/data" -m immediate stop >/dev/null 2>&1 || true
    fi
    if [ -n "${KEEP:-}" ]; then echo "kept: $work" >&2; else rm -rf "$work"; fi
    exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "PostgreSQL $version in a private copy"
mkdir -p "$tree/usr/lib/postgresql" "$tree/usr/share/postgresql" "$work/src" "$work/socket"
cp -a "/usr/lib/postgresql/$version" "$tree/usr/lib/postgresql/"
cp -a "/usr/share/postgresql/$version" "$tree/usr/share/postgresql/"
ln -s /usr/include "$tree/usr/include"
tar -C "$source_dir" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' -cf - . |
    tar -C "$work/src" -xf -
if [ "$(id -u)" = 0 ]; then chown -R "$user" "$work"; fi
chmod 755 "$work"

export PATH="$bin:$PATH" PG_CONFIG="$bin/pg_config"
export PGHOST="$work/socket" PGPORT=${PGPORT_PRIVATE:-54990} PGUSER=postgres PGDATABASE=postgres
export PG_REGRESS="$tree/usr/lib/postgresql/$version/lib/pgxs/src/test/regress/pg_regress"
export DBMIGRATE_VERSION_UNDER_TEST=$version LANG=C.UTF-8 LC_ALL=C.UTF-8 TZ=UTC
unset PGDATA PGSERVICE PGPASSFILE PGOPTIONS PGTZ PGDATESTYLE MAKEFLAGS MAKELEVEL || true

cd "$work/src"
say "building"
run make -s with_llvm=no PG_CONFIG="$PG_CONFIG" COPT="${COPT:-}" all
run make -s with_llvm=no PG_CONFIG="$PG_CONFIG" install

run initdb -D "$work/data" -U postgres -A trust --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$work/initdb.log" 2>&1 ||
    { cat "$work/initdb.log" >&2; exit 1; }
cat >>"$work/data/postgresql.conf" <<CONF
listen_addresses = ''
unix_socket_directories = '$work/socket'
port = $PGPORT
fsync = off
log_line_prefix = '%m [%p] %q%a '
${PRIVATE_CONF:-}
CONF
run pg_ctl -D "$work/data" -l "$work/server.log" -w start >/dev/null ||
    { cat "$work/server.log" >&2; exit 1; }
export PRIVATE_DATA="$work/data" PRIVATE_LOG="$work/server.log"

status=0
run "$script" "$@" || status=$?
exit "$status"
