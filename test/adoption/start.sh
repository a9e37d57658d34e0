#!/usr/bin/env bash
#
# test/adoption/start.sh
#
# Puts the other migration tools into a throw-away folder (npm packages, and a
# Debian package that is unpacked, not installed) and runs run.sh with them on
# a private server.  For whoever may run test/private.sh; needs node and npm.

set -euo pipefail
cd "$(dirname "$0")/../.."

command -v npm >/dev/null || { echo "npm is missing: install Node.js and npm" >&2; exit 1; }

tools=$(mktemp -d /tmp/dbmigrate-tools.XXXXXX)
trap 'rm -rf "$tools"' EXIT
chmod 755 "$tools"

# Prisma 6 with a driver adapter runs migrations without downloading an engine;
# only the next release of its adapter knows all types that this needs.
echo "== node-pg-migrate, dbmate, Prisma" >&2
(cd "$tools" && npm init -y >/dev/null 2>&1 && npm install --silent --no-audit --no-fund \
    node-pg-migrate@9 pg@8 dbmate@2 prisma@6.19 @prisma/adapter-pg@7)

echo "== sql-migrate" >&2
if ! command -v sql-migrate >/dev/null; then
    chmod 777 "$tools"
    if ! (cd "$tools" && apt-get download -q sql-migrate >/dev/null 2>&1); then
        if [ "$(id -u)" = 0 ]; then apt-get update -qq; else sudo apt-get update -qq; fi
        (cd "$tools" && apt-get download -q sql-migrate >/dev/null)
    fi
    chmod 755 "$tools"
    dpkg -x "$tools"/sql-migrate_*.deb "$tools/debian"
fi

chmod -R a+rX "$tools"
ADOPTION_TOOLS=$tools PATH="$tools/node_modules/.bin:$PATH:$tools/debian/usr/bin" test/private.sh test/adoption/run.sh "$@"
