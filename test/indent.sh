#!/usr/bin/env bash
#
# test/indent.sh [check]
#
# Puts the C files into the layout of PostgreSQL's own; with "check" it leaves
# them alone, prints what would change and fails if anything would.
#
# pg_bsd_indent has to know which names are types.  The list is not kept by
# hand: the debug information of a compilation has them all.  Around it goes
# what it takes for its 2.1.1 to leave this code in order; each has its reason
# below.  Other versions differ, so there is no check with them (exit code 3).
#
# Setting: PG_CONFIG.

set -euo pipefail
cd "$(dirname "$0")/.."

if [[ $(pg_bsd_indent --version 2>&1 || true) != *' 2.1.1 '* ]]; then
    echo "needs pg_bsd_indent 2.1.1 (Debian's package pg-bsd-indent)" >&2
    exit 3
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mapfile -t sources < <(find src client test/corpus -name '*.c' | sort)
mapfile -t files < <(find src client test/corpus -name '*.[ch]' | sort)

# Also of types that only get a name, and a name that compat.h gives to a type
# is one.  "bool" is a macro.  "text" is what most variables of that name are.
make_typedefs() {
    local include libpq alias type
    include=$("${PG_CONFIG:-pg_config}" --includedir-server)
    libpq=$("${PG_CONFIG:-pg_config}" --includedir)
    printf '%s\n' "${sources[@]}" | xargs -P "$(nproc)" -I{} sh -c \
        'gcc -g -O0 -w -fno-eliminate-unused-debug-types -D_GNU_SOURCE -DDBMIGRATE_VERSION=\"\" \
            -isystem "$1" -isystem "$2" -Isrc -c "$4" -o "$3/$(echo "$4" | tr / _).o"' sh "$include" "$libpq" "$work" {}
    objdump --dwarf=info "$work"/*.o | grep -A4 DW_TAG_typedef |
        sed -n 's/.*DW_AT_name.*: \(\w*\)[[:space:]]*$/\1/p' | sort -u >"$work/all"
    sed -n 's/^#define \(\w*\) \(\w*\)$/\1 \2/p' src/compat.h |
        while read -r alias type; do if grep -qx "$type" "$work/all"; then echo "$alias"; fi; done >"$work/aliases"
    { cat "$work/all" "$work/aliases" && echo bool; } | grep -vx text >"$work/typedefs"
}

# Comments that begin with dashes are not to be filled; foreach is a loop, and
# what is below it one deeper.
before() { perl -pe 's{/\* +(?=---)}{/*-X-}; s{\bforeach\(}{for (X_X}g'; }

# What is put right behind it, one by one: those two; two comments run
# together; "text *" where text is no known type; ", .member"; the line it puts
# before the values of an array of an unnamed struct; the type of a function;
# and the value of a declaration that goes on in the next line: one further in.
after() {
    perl -0pe '
        s{/\*-X-}{/* }g;
        s{\bfor \(X_X}{foreach(}g;
        s{\*/(/\*.*\*/)$}{*/\t$1}gm;
        s{\btext \* (?=\w)}{text *}g;
        s{,\.(?=\w+ = )}{, .}g;
        s{( =\n)\n(?=\{)}{$1}g;
        s{^([A-Za-z_]\w*)[ \t]+\*$}{$1 *}gm;
        my ($out, $deep) = ("", undef);
        my @lines = split /\n/;
        for my $i (0 .. $#lines) {
            my $line = $lines[$i];
            $out .= (defined $deep ? "\t" : "") . "$line\n";
            if (defined $deep) { undef $deep if $line =~ m{;(\s*/\*.*\*/)?$}; next }
            my ($tabs) = $line =~ m{^(\t*)[\w\}].* =(?: .*[^;,\{])?$} or next;
            $deep = $tabs if ($lines[$i + 1] // "") =~ m{^$tabs[^\s\{\}/#]} && $line !~ m{;\s*/\*.*\*/$};
        }
        $_ = $out;'
}

make_typedefs
status=0
for file in "${files[@]}"; do
    before <"$file" >"$work/in.c"
    if ! pg_bsd_indent -bad -bap -bbb -bc -bl -cli1 -cp33 -cdb -nce -d0 -di12 -nfc1 -i4 -l79 -lp -lpl \
        -nip -npro -sac -tpg -ts4 "-U$work/typedefs" "$work/in.c" "$work/out.c" >"$work/said" 2>&1 ||
        [ -s "$work/said" ]; then
        echo "pg_bsd_indent cannot read $file:"
        cat "$work/said"
        status=1
        continue
    fi
    after <"$work/out.c" >"$work/done.c"
    if [ "${1:-}" = check ]; then
        diff -u --label "$file" --label "$file, indented" "$file" "$work/done.c" || status=1
    elif ! cmp -s "$work/done.c" "$file"; then
        cat "$work/done.c" >"$file"
        echo "$file"
    fi
done
exit "$status"
