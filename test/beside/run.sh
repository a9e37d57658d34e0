#!/usr/bin/env bash
#
# test/beside/run.sh
#
# The tests of this folder on the server of PG_CONFIG, which has dbmigrate, and
# Citus, TimescaleDB or both.  Nothing is installed; for any user but root, in a
# source tree that he may write to.  Started by: make beside PG_CONFIG=...

set -euo pipefail
cd "$(dirname "$0")/../.."

PG_CONFIG=$(command -v "${PG_CONFIG:-pg_config}")
pgxs=$(dirname "$("$PG_CONFIG" --pgxs)")
bin=$("$PG_CONFIG" --bindir)
export PG_CONFIG PG_REGRESS=$pgxs/../test/regress/pg_regress PATH="$bin:$PATH"
export SUITES=tap PROVE_TESTS='test/beside/*.pl' PRIVATE_LOG=/dev/null
unset PGDATA PGSERVICE PGOPTIONS MAKEFLAGS MAKELEVEL

test/suites.sh
