#!/usr/bin/env bash
#
# test/private.sh test/corpus/run.sh DIRECTORY
#
# Compares the statements that dbm_script_scan() finds in every .sql file below
# DIRECTORY with those of the server's grammar, and prints the totals and each
# disagreement.  DIRECTORY is an absolute path that the server can read.
#
# Verdicts: agree; differ; refused (a statement behind COPY ... FROM stdin on
# its line); unparsed, unreadable (the grammar cannot parse the text, nothing
# to compare; the scanner could or could not read it either).  "stripped" counts
# files with something that is not for the grammar (psql commands, COPY data),
# "broken" the statements with syntax errors that were left out.
#
# Settings: FUZZ=n also compares n mutations of each file of up to 100 kB;
# SEED (default 1) chooses them; RESULT=file gets a line for each comparison.

set -euo pipefail

directory=$1
fuzz=${FUZZ:-0}
seed=${SEED:-1}
here=$PWD/test/corpus

make -s -C "$here" with_llvm=no PG_CONFIG="$PG_CONFIG"

psql -X -q -v ON_ERROR_STOP=1 <<SQL
CREATE FUNCTION corpus_compare(script text, OUT verdict text, OUT statements int,
                               OUT stripped boolean, OUT broken int, OUT detail text)
AS '$here/dbm_corpus' LANGUAGE C STRICT;
CREATE FUNCTION corpus_mutate(script text, seed bigint) RETURNS text
AS '$here/dbm_corpus' LANGUAGE C STRICT;

CREATE TABLE result (file text, seed bigint, verdict text, statements int, stripped boolean,
                     broken int, detail text, script text, ms int);

CREATE FUNCTION read(file text) RETURNS text LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN convert_from(pg_read_binary_file(file), 'UTF8');
EXCEPTION WHEN character_not_in_repertoire THEN
    RETURN convert_from(pg_read_binary_file(file), 'LATIN1');
END \$\$;

-- NULL as the seed: the file as it is
CREATE PROCEDURE check_one(file text, seed bigint, script text) LANGUAGE plpgsql AS \$\$
DECLARE
    began timestamptz := clock_timestamp();
    c record;
BEGIN
    c := corpus_compare(script);
    INSERT INTO result
    VALUES (file, seed, c.verdict, c.statements, c.stripped, c.broken, c.detail,
            CASE WHEN c.verdict = 'differ' AND seed IS NOT NULL THEN script END,
            extract(epoch FROM clock_timestamp() - began) * 1000);
END \$\$;

CREATE PROCEDURE check_file(file text, nmutations int, first bigint) LANGUAGE plpgsql AS \$\$
DECLARE
    script text := read(file);
BEGIN
    CALL check_one(file, NULL, script);
    IF length(script) <= 100000 THEN
        FOR seed IN first .. first + nmutations - 1 LOOP
            CALL check_one(file, seed, corpus_mutate(script, seed));
        END LOOP;
    END IF;
END \$\$;
SQL

cat >"$PRIVATE_DATA/settings.sql" <<'SQL'
SET standard_conforming_strings = on;
SET backslash_quote = on;
SET client_min_messages = error;
SET statement_timeout = '120s';
SET escape_string_warning = off;
SQL

# A file is one statement, so that the table says which one was not survived.
find -L "$directory" -name '*.sql' -type f -print0 | sort -z |
    while IFS= read -r -d '' file; do
        printf "SELECT set_config('application_name', right('%s', 60), false) \\gset\n" "${file//\'/\'\'}"
        printf "CALL check_file('%s', %d, %d);\n" "${file//\'/\'\'}" "$fuzz" "$seed"
    done | psql -X -q -o /dev/null -f "$PRIVATE_DATA/settings.sql" -f - 2>"$PRIVATE_DATA/errors" || true
rm -f "$PRIVATE_DATA/settings.sql"

psql -X -q <<'SQL'
\pset footer off
SELECT CASE WHEN seed IS NULL THEN 'files' ELSE 'mutations' END AS what, verdict, count(*),
       count(*) FILTER (WHERE stripped) AS stripped, sum(statements) AS statements,
       sum(broken) AS broken, max(ms) AS max_ms
  FROM result GROUP BY 1, 2 ORDER BY 1, 2;
\x on
SELECT file, seed, detail, script FROM result WHERE verdict = 'differ' ORDER BY seed NULLS FIRST, file LIMIT 200;
SQL

differences=$(psql -X -A -t -c "SELECT count(*) FROM result WHERE verdict = 'differ'")
if [ -s "$PRIVATE_DATA/errors" ]; then
    echo "not compared:"
    cat "$PRIVATE_DATA/errors"
fi
if grep -qE 'terminated by signal|TRAP:|AddressSanitizer|runtime error:' "$PRIVATE_LOG"; then
    echo "the server crashed:"
    grep -E 'terminated by signal|TRAP:|AddressSanitizer|runtime error:' "$PRIVATE_LOG"
    exit 1
fi
if [ -n "${RESULT:-}" ]; then psql -X -q -c "\\copy result TO '$RESULT'"; fi
[ "$differences" = 0 ]
