#!/usr/bin/env bash
# Freezes what callers have been compiled against: run it when a version has been released (CONTRIBUTING.md, "Release").
#     freeze.sh          writes kvsieve.h (without its comments), layout.txt, functions.txt and exports.map beside itself
#
# While the version that they have is not released, a change of the ABI may be frozen again. Afterwards a difference that
# ../previous.sh finds is a break, and MAJOR's.
set -eu
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../../.." && pwd)
header=$root/include/kvsieve.h
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$header")
{
    echo "/* kvsieve.h $version as of $(date -u +%F), without its comments: written by freeze.sh. */"
    gcc -w -fpreprocessed -dD -E -P -x c "$header" | sed 's/ *$//'
    echo
} >"$here/kvsieve.h"
cp "$root/Tests/ABI/layout.txt" "$root/Tests/ABI/functions.txt" "$root/Sources/KVSieve/exports.map" "$here"
