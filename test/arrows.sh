#!/usr/bin/env bash
#
# test/arrows.sh: does every include in src/ go the way it may?
#
# The first word is a folder, the others are those whose header it may include.
# A folder's internal.h is for its own files.  See src/README.md.

set -euo pipefail
cd "$(dirname "$0")/../src"

declare -A may
while read -r folder others; do may[$folder]=" $folder $others "; done <<'ARROWS'
dbmigrate base script
base
script    base
tables    base script
register  base script tables
files     base script tables register
run       base script tables
adopt     base script tables files
online    base script tables run
ARROWS

status=0
while IFS=: read -r file include; do
    folder=${file%%/*}
    folder=${folder%.[ch]}
    target=${include%%/*}
    [ -d "$target" ] || continue # a header of the server
    if [[ ${may[$folder]:-} != *" $target "* ]] ||
        { [[ $include = */internal.h ]] && [ "$folder" != "$target" ]; }; then
        echo "src/$file may not include \"$include\""
        status=1
    fi
done < <(grep -r --include='*.[ch]' -oE '^#include "[a-z]+/[a-z_]+\.h"' . | sed -E 's|^\./||; s/#include "(.*)"/\1/')
exit "$status"
