#!/usr/bin/env bash
#
# test/lint.sh [CHECK ...]: what can be said of the code without running it.
#
# So that nobody has to say it in a review: the layout of the files, what the
# compiler and other programs warn of, and which folder includes which.
# Installs nothing: a check without its program is skipped, or fails if
# DBMIGRATE_TEST_LINT=required.  Ends with "N passed, N failed".

set -uo pipefail
cd "$(dirname "$0")/.." || exit

passed=0
failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mapfile -t c_files < <(find src client -name '*.c' | sort)
mapfile -t shell_files < <(find . \( -name .git -o -name node_modules \) -prune -o -type f -exec \
    awk 'FNR == 1 && /^#!.*sh$/ { print FILENAME } { nextfile }' {} + | sort)
mapfile -t perl_files < <(find test bench -name '*.p[lm]' | sort)

missing() { echo "needs $1"; return 3; }

check_arrows() { test/arrows.sh; }

check_indent() { test/indent.sh check; }

# -isystem: what the server's headers do is not ours.  Parameters are unused
# where a server's hook or a callback has them, members without an initializer
# are zero, and an int compared with lengthof() is as the server has it.
check_warnings() {
    command -v gcc >/dev/null || missing gcc || return
    local include libpq
    include=$("${PG_CONFIG:-pg_config}" --includedir-server)
    libpq=$("${PG_CONFIG:-pg_config}" --includedir)
    printf '%s\n' "${c_files[@]}" | xargs -P "$(nproc)" -n 4 sh -c \
        'for file; do gcc -c -o /dev/null -std=gnu99 -O2 -fno-strict-aliasing -fwrapv -fPIC -Werror \
            -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare \
            -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wold-style-definition -Wpointer-arith \
            -Wvla -Wundef -Wcast-function-type -Wcast-qual -Wformat=2 \
            -Wmissing-format-attribute -Wimplicit-fallthrough -Wduplicated-cond -Wduplicated-branches \
            -Wlogical-op -Wnull-dereference -Wunused-macros -Wfloat-equal \
            -D_GNU_SOURCE -DDBMIGRATE_VERSION=\"\" -isystem '"$include"' -isystem '"$libpq"' -Isrc "$file" || bad=1; done
        exit ${bad:-0}' sh
}

# Not asked about: declarations further in (variableScope), const in a function
# that a server's hook takes (constParameter), and what the compiler knows
# better: cppcheck 2.10 takes ".callback =" for a variable (legacyUninitvar) and
# what a function makes from a pointer for the pointer (returnDanglingLifetime).
check_cppcheck() {
    command -v cppcheck >/dev/null || missing cppcheck || return
    cppcheck --quiet -j "$(nproc)" --std=c11 --enable=warning,style,performance,portability --max-configs=1 \
        --suppress=variableScope --suppress=constParameter --suppress=legacyUninitvar \
        --suppress=returnDanglingLifetime --include=test/cppcheck.h -Isrc --error-exitcode=1 \
        --template='{file}:{line}: {message} [{id}]' src client
}

# .shellcheckrc says what it is not asked about.
check_shellcheck() {
    command -v shellcheck >/dev/null || missing shellcheck || return
    shellcheck "${shell_files[@]}" test/adoption/tools.sh
}

# One version, since each has a taste of its own.
check_perltidy() {
    [[ $(perltidy --version 2>/dev/null) = *v20220613* ]] || missing 'perltidy 20220613' || return
    local file status=0
    for file in "${perl_files[@]}"; do
        perltidy --profile=.perltidyrc --standard-output "$file" >"$work/tidy" || status=1
        diff -u --label "$file" --label "$file, tidied" "$file" "$work/tidy" || status=1
    done
    return "$status"
}

run() {
    "check_$1" >"$work/said" 2>&1
    case $? in
        0) echo "ok - $1"; passed=$((passed + 1)) ;;
        3) skip "$1" ;;
        *) echo "not ok - $1"; sed 's/^/    /' "$work/said"; failed=$((failed + 1)) ;;
    esac
}

skip() {
    if [ "${DBMIGRATE_TEST_LINT:-}" = required ]; then
        echo "not ok - $1: $(cat "$work/said")"
        failed=$((failed + 1))
    else
        echo "skipped - $1: $(cat "$work/said")"
    fi
}

[ $# != 0 ] || set -- arrows indent warnings cppcheck shellcheck perltidy
for name; do run "$name"; done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
