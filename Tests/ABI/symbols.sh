#!/usr/bin/env bash
# Exported functions of the library == prototypes of the header, both ways; symbol versions, soname, needs and constants.
#     symbols.sh LIBRARY INCLUDE CONSTANTS          (CONSTANTS: what `versions --constants` prints)
set -u
library=$1 header=$2/kvsieve.h constants=$3
here=$(cd "$(dirname "$0")" && pwd) root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

same() { # name, file found, file expected
    if diff "$2" "$3" >"$work/diff"; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED $1 (< found, > expected)"
        cat "$work/diff"
    fi
}

# Prototypes as the compiler sees them, so that a comment cannot look like one.
gcc -E -P "$header" | tr '\n' ' ' | grep -oE 'kvsieve_[a-z_]+ ?\(' | tr -d ' (' | sort -u >"$work/header"
# All that dynsym defines, local symbols too.
nm -D --defined-only "$library" >"$work/symbols"
awk '{ sub(/@.*/, "", $3); print $3 }' "$work/symbols" | sort -u >"$work/exports"
same "exported symbols are the functions of the header, no more and no less" "$work/exports" "$work/header"
sed -E 's/^.*[ *](kvsieve_[a-z_]+)\(.*/\1/' "$here/functions.txt" | sort >"$work/listed"
same "Tests/ABI/functions.txt lists the functions of the header" "$work/listed" "$work/header"
# Two that a C++ program calls as they are.
grep -ohE 'kvsieve_[a-z_]+\(' "$2"/kvsieve.hpp "$2"/kvsieve/*.hpp | tr -d '(' | cat - <(echo kvsieve_build_info && echo kvsieve_version) | sort -u |
    grep -vE '^kvsieve_(kept|ranges|report|slots|rope|model|tensor|status)$' >"$work/wrapped"
same "kvsieve.hpp has every function" "$work/wrapped" "$work/header"
awk '$2 != "T"' "$work/symbols" >"$work/others"
same "nothing but functions is exported" "$work/others" /dev/null
readelf --dyn-syms -W "$library" | awk '$5 == "LOCAL" && $7 != "UND"' >"$work/local"
same "dynsym has no local symbol" "$work/local" /dev/null
# "Name@@node" of each, against the map that the linker was given.
awk '{ print $3 }' "$work/symbols" | sort >"$work/bound"
awk '/^KVSIEVE_/ { node = $1 } /^ +kvsieve_/ { sub(/;/, ""); print $1 "@@" node }' "$root/Sources/KVSieve/exports.map" | sort >"$work/mapped"
same "every function has the version that exports.map gives it" "$work/bound" "$work/mapped"

readelf -dW "$library" | sed -nE 's/.*\(SONAME\).*\[(.*)\]/\1/p' >"$work/soname"
echo libkvsieve.so.0 >"$work/expected"
same "soname" "$work/soname" "$work/expected"
readelf -dW "$library" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p' |
    grep -vE '^(libc|libm|libstdc\+\+|libgcc_s|ld-linux-x86-64|ld-linux-aarch64)\.so\.[0-9]+$' >"$work/needed"
same "needs nothing but libc, libm, libstdc++, libgcc_s and the loader" "$work/needed" /dev/null
readelf -SW "$library" | grep -o swift_modhash >"$work/notes"
same "no notes that differ from build to build" "$work/notes" /dev/null

# Of OpenBLAS only one processor's sgemm comes in (Sources/COpenBLAS/one-kernel.sh): with all it has 32 MB.
if [ "$(uname -m)" = x86_64 ]; then
    stat -Lc %s "$library" | awk '$1 > 8000000 { print "has", $1, "bytes" }' >"$work/size"
    same "the library has at most 8 MB" "$work/size" /dev/null
fi

# The enums of methods and parameters in the header are what the library itself says.
sed -n '/^\/\* == Methods/,/^\/\* == Plan/p' "$header" | sed -nE 's/^ +(KVSIEVE_[A-Z0-9_]+) += ([0-9]+).*/\1 \2/p' | sort -u >"$work/macros"
sort -u "$constants" >"$work/asked"
same "constants of the header are those of introspection" "$work/asked" "$work/macros"

gcc -E -P "$header" | grep -oE 'KVSIEVE_[A-Z0-9_]+ += -?[0-9]+' | tr -s ' =' '  ' | sort >"$work/numbers"
awk '$1 == "value" { print $2, $3 }' "$here/layout.txt" | sort >"$work/pinned"
same "layout.txt pins every constant of the header" "$work/pinned" "$work/numbers"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
