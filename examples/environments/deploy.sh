#!/bin/sh
#
# deploy.sh development|staging|production [--yes]
#
# Brings the database of one environment up to date.  The databases come from
# DEV_DATABASE_URL, STAGING_DATABASE_URL and PROD_DATABASE_URL.  Production
# asks for confirmation; --yes is for where nobody can answer.
#
# Exit code: 0 up to date, 1 failure, 2 wrong usage.

set -eu

say() { printf 'deploy: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }
usage() { printf 'usage: deploy.sh development|staging|production [--yes]\n' >&2; exit 2; }

[ $# -eq 1 ] || { [ $# -eq 2 ] && [ "$2" = --yes ]; } || usage
environment=$1
shift

case $environment in
    development) variable=DEV_DATABASE_URL DATABASE_URL=${DEV_DATABASE_URL:-} ;;
    staging) variable=STAGING_DATABASE_URL DATABASE_URL=${STAGING_DATABASE_URL:-} ;;
    production) variable=PROD_DATABASE_URL DATABASE_URL=${PROD_DATABASE_URL:-} ;;
    *) usage ;;
esac
[ -n "$DATABASE_URL" ] || fail "$variable is not set: the database to deploy to"

# In the environment and not an argument, where every process could read the
# password.  The other two are nobody's business from here on.
export DATABASE_URL
unset DEV_DATABASE_URL STAGING_DATABASE_URL PROD_DATABASE_URL

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
# A URL in the wrong variable is the mistake that hurts: the database is asked
# what it is.  "$@" is --yes or nothing.
migrate() { dbmigrate --dir "$here/migrations" --environment "$environment" "$@"; }

status=0
migrate status --check || status=$?
case $status in
    0) say "$environment is up to date"; exit 0 ;;
    3) ;;
    *) fail "nothing was done to the database that $variable names" ;;
esac

migrate up "$@"
migrate status --check --quiet >/dev/null
say "$environment is up to date now"
