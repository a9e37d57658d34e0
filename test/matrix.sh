#!/usr/bin/env bash
#
# test/matrix.sh [VERSION ...]
#
# Builds the extension without a warning and runs every suite on other server
# versions than the system's: 17, 18 and 19, or those given.  Each version has
# a Debian of its own in a folder, made at the first run (some minutes) and kept
# (about 1.5 GB each); remove a folder to have it made anew.  Ends with a line
# for each version, and exits non-zero unless all suites of all versions passed.
#
# For root, or a user with sudo.  Settings: MATRIX_DIR (where the folders are),
# MATRIX_MIRROR (where Debian comes from; default: as the system's own), SUITES
# and PROVE_TESTS (see test/suites.sh).
#
# All work is done in mount and process namespaces of its own: when this script
# ends, however it ends, nothing stays mounted and nothing runs on.

set -euo pipefail

# Not /var/tmp, where files of this age are tidied away one by one.
base=${MATRIX_DIR:-/var/cache/dbmigrate-matrix}
source_dir=$(cd "$(dirname "$0")/.." && pwd)
self=$source_dir/test/matrix.sh

say() { printf '\n== %s\n' "$*" >&2; }

debian_with() {
    case $1 in
        17) echo trixie ;;
        18) echo sid ;;
        19) echo experimental ;;
        *) echo "no distribution known for PostgreSQL $1" >&2; return 1 ;;
    esac
}

install_debootstrap() {
    if command -v debootstrap >/dev/null && [ -e /usr/share/keyrings/debian-archive-keyring.gpg ]; then
        return
    fi
    say "installing debootstrap"
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -y debootstrap debian-archive-keyring >/dev/null ||
        { apt-get update -qq; apt-get install -y debootstrap debian-archive-keyring >/dev/null; }
}

# Other archives have addresses that look the same, so ask apt whose they are.
find_mirror() {
    local mirror=${MATRIX_MIRROR:-}
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' |
        sed -n 's|^Debian Debian \(https\{0,1\}://\)|\1|p' | sort -u | sed -n 1p)
    echo "${mirror:-http://deb.debian.org/debian}"
}

# What the system needs to reach its mirror, the folder needs too.
apt_settings() {
    apt-config dump | grep -E '^Acquire::((https?::)?Proxy|Check-(Valid-Until|Date)) ' || true
}

make_folder() {
    local debian=$1 root=$2 mirror=$3
    [ -n "${http_proxy:-}" ] || eval "$(apt-config shell http_proxy Acquire::http::Proxy)"
    export http_proxy
    rm -rf --one-file-system "$root.new"
    mkdir -p "$root.new"
    # The script is named for releases that are newer than debootstrap.
    debootstrap --variant=minbase --include=ca-certificates \
        "${debian/experimental/sid}" "$root.new" "$mirror" /usr/share/debootstrap/scripts/sid
    [ "$debian" != experimental ] || add_experimental "$root.new" "$mirror"
    mv "$root.new" "$root"
}

# experimental is no distribution of its own but packages to add to sid; take
# the server's and no other's.
add_experimental() {
    local root=$1 mirror=$2
    echo "deb $mirror experimental main" >"$root/etc/apt/sources.list.d/experimental.list"
    cat >"$root/etc/apt/preferences.d/dbmigrate-test" <<PIN
Package: src:postgresql-* libpq*
Pin: release a=experimental
Pin-Priority: 990
PIN
}

mount_folder() {
    local root=$1
    mount -t proc proc "$root/proc"
    mount --bind /dev "$root/dev"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount --bind /dev/pts "$root/dev/pts"
}

in_folder() {
    local root=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        ${SUITES:+SUITES="$SUITES"} ${PROVE_TESTS:+PROVE_TESTS="$PROVE_TESTS"} \
        chroot "$root" "$@"
}

all_installed() {
    local root=$1
    shift
    [ "$(in_folder "$root" dpkg-query -W -f '${Status}\n' "$@" 2>/dev/null |
        grep -c 'ok installed')" = "$#" ]
}

# The servers' packages, but no cluster and no service.
install_packages() {
    local root=$1
    shift
    mkdir -p "$root/etc/postgresql-common/createcluster.d"
    echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.d/dbmigrate-test.conf"
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/dbmigrate-test"
    apt_settings >"$root/etc/apt/apt.conf.d/dbmigrate-test"
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"

    # An interrupted run may have left something half done; apt does the rest.
    in_folder "$root" dpkg --configure -a || true
    in_folder "$root" apt-get update -qq
    in_folder "$root" apt-get install -y --no-install-recommends --fix-broken "$@"
    in_folder "$root" apt-get clean
}

copy_source() {
    local root=$1
    find "$root/tmp" "$root/srv" -mindepth 1 -delete
    tar -C "$source_dir" --exclude=./.git --exclude='*.o' --exclude='*.so' --exclude='*.bc' \
        --exclude=./results --exclude=./output_iso --exclude=./tmp_check --exclude='./regression.*' \
        -cf - . | tar -C "$root/srv" -xf -
}

# In the namespaces: one version, with its output also in the file "log".
run_version() {
    local version=$1 debian=$2 root=$base/$2 mirror
    local packages=(make gcc libc6-dev libipc-run-perl libio-pty-perl "postgresql-$version" "postgresql-server-dev-$version")
    exec 9>"$root.lock"
    flock -n 9 || { say "waiting for another run in $root"; flock 9; }

    trap 'tail -20 "$log" >&2' EXIT
    if [ ! -d "$root" ]; then
        mirror=$(find_mirror)
        say "Debian $debian in $root, from $mirror"
        make_folder "$debian" "$root" "$mirror" >"$log" 2>&1
    fi
    mount_folder "$root"
    if ! all_installed "$root" "${packages[@]}"; then
        say "installing ${packages[*]}"
        install_packages "$root" "${packages[@]}" >"$log" 2>&1
    fi
    trap - EXIT

    copy_source "$root"
    in_folder "$root" env PGVERSION="$version" COPT=-Werror \
        /srv/test/private.sh test/suites.sh 2>&1 | tee "$log"
}

if [ "$(id -u)" != 0 ]; then
    exec sudo --preserve-env=MATRIX_DIR,MATRIX_MIRROR,SUITES,PROVE_TESTS,http_proxy,https_proxy "$self" "$@"
fi
umask 022
if [ "${1:-}" = --run ]; then
    log=$4
    run_version "$2" "$3"
    exit
fi

[ "$#" -gt 0 ] || set -- 17 18 19
for version in "$@"; do debian_with "$version" >/dev/null; done
unshare --mount --pid --ipc --fork true ||
    { echo "namespaces are needed, and not permitted here" >&2; exit 1; }
install_debootstrap
base=$(realpath -m "$base")
mkdir -p "$base"
export MATRIX_DIR=$base

# In a process group of its own, so that a signal to us ends it at once.
set -m
child=
log=$(mktemp)
trap 'rm -f "$log"' EXIT
stop() { [ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true; exit "$1"; }
trap 'stop 130' INT
trap 'stop 143' TERM HUP

summary=
failed=0
for version in "$@"; do
    debian=$(debian_with "$version")
    say "PostgreSQL $version on Debian $debian"
    : >"$log"
    status=0
    unshare --mount --pid --ipc --fork --kill-child "$self" --run "$version" "$debian" "$log" </dev/null &
    child=$!
    wait "$child" || status=$?
    child=
    counts=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | tail -1 || true)
    if [ "$status" != 0 ] || [ -z "$counts" ]; then failed=1; fi
    summary+="PostgreSQL $version: ${counts:-did not run}"$'\n'
done
printf '\n%s' "$summary"
exit "$failed"
