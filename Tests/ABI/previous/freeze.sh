#!/usr/bin/env bash
# Freezes what callers have been compiled against: run it when a version has been released (CONTRIBUTING.md, "Release").
#     freeze.sh            writes kvsieve.h (without its comments), layout.txt, functions.txt, exports.map and expected.txt beside itself
#     freeze.sh expected   only expected.txt, what program.c prints with the library that make build has made: if a default or a choice
#                          has changed, and CHANGELOG.md says so
#
# While the version that they have is not released, a change of the ABI may be frozen again. Afterwards a difference that
# ../previous.sh finds is a break, and MAJOR's.
set -eu
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../../.." && pwd)
header=$root/include/kvsieve.h
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$header")
expected() {
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    gcc -std=c99 -I"$here" "$here/program.c" "$here/answers.c" -L"$root/.build/release" -lkvsieve -Wl,-rpath,"$root/.build/release" \
        -o "$work/program"
    "$work/program" >"$work/expected.txt" # which fails if a call does
    cp "$work/expected.txt" "$here"
}
if [ "${1-}" = expected ]; then
    expected
    exit
fi
{
    echo "/* kvsieve.h $version as of $(date -u +%F), without its comments: written by freeze.sh. */"
    gcc -w -fpreprocessed -dD -E -P -x c "$header" | sed 's/ *$//'
    echo
} >"$here/kvsieve.h"
cp "$root/Tests/ABI/layout.txt" "$root/Tests/ABI/functions.txt" "$root/Sources/KVSieve/exports.map" "$here"
expected
