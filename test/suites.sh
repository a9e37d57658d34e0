#!/usr/bin/env bash
#
# test/suites.sh: every suite, against the server of test/private.sh.
#
# Ends with the line "N passed, N failed", which counts test files for
# pg_regress and isolation and single tests for TAP, the guides and lint.  Exits
# non-zero if a test failed or if a suite ran none.

set -uo pipefail

passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Both forms of pg_regress output: "test x ... ok" and, from 16, TAP.
count_regress() {
    local ok bad
    ok=$(grep -cE '^(test .*\.\.\. ok|ok [0-9]+ )' "$log")
    bad=$(grep -cE '^(test .*\.\.\. FAILED|not ok [0-9]+ )' "$log")
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$1" != 0 ] && [ "$bad" = 0 ] || [ "$((ok + bad))" = 0 ]; then failed=$((failed + 1)); fi
}

count_tap() {
    local all bad died
    all=$(sed -n 's/^Files=[0-9]*, Tests=\([0-9]*\),.*/\1/p' "$log" | tail -1)
    bad=$(grep -cE '^not ok ' "$log")
    died=$(grep -c '^  Parse errors:' "$log")
    all=${all:-0}
    passed=$((passed + all - bad))
    failed=$((failed + bad + died))
    if [ "$1" != 0 ] && [ "$((bad + died))" = 0 ] || [ "$all" = 0 ]; then failed=$((failed + 1)); fi
}

run_suite() {
    echo "== $1"
    shift
    "$@" 2>&1 | tee "$log" | grep -vE '^ok |^\(using postmaster|^#? ?=+ (creating|dropping|running) |^(ALTER|CREATE|DROP) DATABASE|^SET$|^$'
    return "${PIPESTATUS[0]}"
}

regress() { make -s with_llvm=no PG_CONFIG="$PG_CONFIG" installcheck ISOLATION= TAP_TESTS= PROVE_TESTS=; }
isolation() { make -s with_llvm=no PG_CONFIG="$PG_CONFIG" installcheck REGRESS= TAP_TESTS= PROVE_TESTS=; }
tap() {
    local pgxs
    pgxs=$(dirname "$(dirname "$(dirname "$(pg_config --pgxs)")")")
    rm -rf tmp_check && mkdir tmp_check
    # shellcheck disable=SC2086 # the patterns are to be expanded
    env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE TESTDIR="$PWD" TESTDATADIR="$PWD/tmp_check" \
        TESTLOGDIR="$PWD/tmp_check/log" \
        prove -v -I "$pgxs/src/test/perl" ${PROVE_TESTS:-test/t/*.pl}
}

# What a TAP test dies of, and the programs it runs say, is in its log alone.
show_logs() {
    local file
    sed -n 's/^\(.*\.pl\) *(Wstat: .*/\1/p' "$log" | while read -r file; do
        file=tmp_check/log/regress_log_$(basename "$file" .pl)
        if [ -f "$file" ]; then echo "== the end of $file" && tail -n 30 "$file"; fi
    done
}

guides() { test/docs.pl; }
lint() { test/lint.sh; }
count_lines() {
    local ok bad
    read -r ok bad < <(sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log")
    passed=$((passed + ${ok:-0}))
    failed=$((failed + ${bad:-1}))
}

want=${SUITES:-lint regress isolation tap guides}
for suite in $want; do
    run_suite "$suite" "$suite"
    status=$?
    case $suite in
        tap) count_tap "$status"; show_logs ;;
        guides | lint) count_lines ;;
        *) count_regress "$status" ;;
    esac
    for diffs in regression.diffs output_iso/regression.diffs; do
        if [ "$status" != 0 ] && [ -s "$diffs" ]; then cat "$diffs"; rm -f "$diffs"; fi
    done
done

if grep -qE 'terminated by signal|TRAP:|AddressSanitizer|runtime error:' "$PRIVATE_LOG"; then
    echo "the server crashed:"
    grep -E 'terminated by signal|TRAP:|AddressSanitizer|runtime error:' "$PRIVATE_LOG"
    failed=$((failed + 1))
fi
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
