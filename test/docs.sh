#!/usr/bin/env bash
#
# test/docs.sh
#
# Runs the SQL of the guides that is marked <!-- run -->, and psql's half of
# from-zero.md: a database for each guide, all its marked blocks one after the
# other.  Also: every file and heading that a guide links to exists.

set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0
script=$(mktemp)
trap 'rm -f "$script"' EXIT
export PGOPTIONS='-c client_min_messages=error'
ok() {
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "not ok - $1"; fi
}

marked() { awk '/^<!-- run -->$/ { next_one = 1; next }
                /^```sql$/ && next_one { inside = 1; next_one = 0; next }
                /^```$/ { inside = 0 }
                inside' "$1"; }

# As the hosting sites make them: lower case, no punctuation, - for a space.
anchors() { sed -n 's/^##* //p' "$1" | tr '[:upper:]' '[:lower:]' | sed 's/[^a-z0-9 _-]//g; s/ /-/g'; }

for guide in docs/*.md; do
    marked "$guide" >"$script"
    if [ -s "$script" ]; then
        createdb docs_check
        psql -X -q -d docs_check -c "CREATE EXTENSION dbmigrate"
        psql -X -q -v ON_ERROR_STOP=1 -d docs_check -f "$script" >/dev/null
        ok "$guide: its SQL runs" $?
        dropdb docs_check
    fi
    while read -r link; do
        file=${link%%#*}
        target=docs/$file
        [ -n "$file" ] || target=$guide
        [ -e "$target" ]
        ok "$guide: $link exists" $?
        case $link in *#*) anchors "$target" | grep -qxF -- "${link#*#}"; ok "$guide: the heading of $link exists" $? ;; esac
    done < <(grep -o '](\([^)]*\))' "$guide" | sed 's/^](//; s/)$//' | grep -v '^http')
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
