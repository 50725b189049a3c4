#!/usr/bin/env bash
# A program of an earlier release runs with this library (the header's *Versions*): previous/ has what it was compiled against.
#     previous.sh LIBRARY ROOT
#
# The program is compiled against previous/kvsieve.h, and against today's header: both print the same, and what the library of then
# printed (expected.txt). Layouts, types, prototypes and symbol versions of then are among today's. Last, what no longer fits is
# made, and must be noticed; spoiled.sh does it with functions and types.
set -u
library=$(realpath "$1") root=$(realpath "$2")
then=$root/Tests/ABI/previous now=$root/Tests/ABI
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
flags="-std=c99 -O1 -Wall -Wextra -Wpedantic -Werror"
link="-L$work -lkvsieve -Wl,-rpath,$work"
ln -s "$library" "$work/libkvsieve.so.0"
ln -s libkvsieve.so.0 "$work/libkvsieve.so"

check() { # name, command
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$output" | head -40
    fi
}
none() { ! grep . "$1"; } # the file has no line
fails() { ! "$@" >/dev/null 2>&1; }
# shellcheck disable=SC2086
compile() { gcc $flags -I"$1" "$then/program.c" "$then/answers.c" $link -o "$2"; } # folder of the header, program

# "A program runs with every library that has the MAJOR of its header and is not older than its header."
check "a program compiles against the previous header" compile "$then" "$work/then"
check "and runs with this library" "$work/then"
check "it compiles against today's header" compile "$root/include" "$work/now"
check "and runs" "$work/now"
check "both print the same" diff <("$work/then") <("$work/now")
"$work/now" | grep -vxF -f - "$then/expected.txt" >"$work/gone"
check "parameters, choices, slots, reports and statuses are what they were, or CHANGELOG.md says so (CONTRIBUTING.md, Versions)" none "$work/gone"
awk -f "$then/types.awk" "$then/kvsieve.h" >"$work/claims"
printf '#include <kvsieve.h>\n' | cat - "$work/claims" >"$work/types.c"
check "every field has the type that it had" gcc -std=c11 -Wall -Wextra -Werror -fsyntax-only -I"$root/include" "$work/types.c"
check "each field was asked for" test "$(grep -c . "$work/claims")" = $(($(grep -c '^field' "$then/layout.txt") + 1))
sed -nE 's/^.*[ *](kvsieve_[a-z_]+)\(.*/\1/p' "$then/functions.txt" | sort >"$work/functions"
nm -D --undefined-only "$work/then" | grep -oE 'kvsieve_[a-z_]+' | sort >"$work/called"
check "the program calls every function that there was" diff "$work/called" "$work/functions"
for type in $(sed -nE 's/^size +(\S+) .*/\1/p' "$then/layout.txt"); do
    check "the program uses $type" grep -qw "$type" "$then/program.c" "$then/answers.c"
done

# "Each other number, place and prototype stays." A struct that the library writes has struct_size, and may grow.
gone() { # layout.txt of today: what of the previous one is not in it
    awk -v grows="$(sed -nE 's/^field +([^.]+)\.struct_size .*/\1/p' "$then/layout.txt" | grep -v kvsieve_rope | xargs)" '
        BEGIN { n = split(grows, names); for (i = 1; i <= n; ++i) may_grow[names[i]] = 1 }
        /^#/ { next }
        NR == FNR { today[$1, $2] = $3 " " $4; bytes[$1, $2] = $3; aligned[$1, $2] = $4; next }
        $1 == "size" && $2 in may_grow && bytes[$1, $2] >= $3 && aligned[$1, $2] == $4 { next }
        today[$1, $2] != $3 " " $4 { print }' "$1" "$then/layout.txt"
}
gone "$now/layout.txt" >"$work/gone"
check "every size, field and number is what it was" none "$work/gone"
grep -vxF -f "$now/functions.txt" "$then/functions.txt" >"$work/gone"
check "every function has the prototype that it had" none "$work/gone"
bound() { awk '/^KVSIEVE_/ { node = $1 } /^ +kvsieve_/ { sub(/;/, ""); print $1 "@@" node }' "$1" | sort; }
nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported"
comm -23 <(bound "$then/exports.map") "$work/exported" >"$work/gone"
check "every function has the symbol version that it had" none "$work/gone"
check "and each of them had one" diff <(bound "$then/exports.map" | sed 's/@@.*//') "$work/functions"

# What was frozen belongs together: the numbers of its layout are those of its header.
gcc -E -P "$then/kvsieve.h" | grep -oE 'KVSIEVE_[A-Z0-9_]+ += -?[0-9]+' | tr -s ' =' '  ' | sort >"$work/numbers"
check "the frozen layout is the frozen header's" diff <(awk '$1 == "value" { print $2, $3 }' "$then/layout.txt" | sort) "$work/numbers"

# "The loader refuses the program and names the release that has it."
printf 'int kvsieve_newer(void); int kvsieve_newer(void) { return 0; }\n' >"$work/newer.c"
printf 'KVSIEVE_0.999 { global: kvsieve_newer; local: *; };\n' >"$work/newer.map"
printf 'int kvsieve_newer(void); int main(void) { return kvsieve_newer(); }\n' >"$work/caller.c"
mkdir "$work/newer"
gcc -shared -fPIC "$work/newer.c" -Wl,--version-script="$work/newer.map",-soname=libkvsieve.so.0 -o "$work/newer/libkvsieve.so" &&
    gcc "$work/caller.c" -L"$work/newer" -lkvsieve -Wl,-rpath,"$work" -o "$work/caller"
"$work/caller" 2>"$work/said"
check "a program that calls a newer function is refused by name" grep -F "version \`KVSIEVE_0.999' not found" "$work/said"

# What would be a break is noticed: a header of then that had other places or numbers; other numbers today.
moved() { # name, sed script for the header of then
    mkdir -p "$work/moved"
    sed -E "$2" "$then/kvsieve.h" >"$work/moved/kvsieve.h"
    rm -f "$work/moved/program"
    check "$1: it compiles" compile "$work/moved" "$work/moved/program"
    "$work/moved/program" >"$work/moved/said"
    check "noticed: $1" grep FAILED "$work/moved/said"
}
moved "two fields of kvsieve_kept change places" '/^typedef struct kvsieve_kept/,/^\}/ { s/int64_t total;/int64_t swapped;/; s/int64_t longest;/int64_t total;/; s/swapped/longest/ }'
moved "two fields of kvsieve_tensor change places" '/^typedef struct kvsieve_tensor/,/^\}/ { s/t heads;/t swapped;/; s/t tokens;/t heads;/; s/swapped/tokens/ }'
moved "kvsieve_report has one field more" 's/^( +int64_t) dropped;/\1 more;\n\1 dropped;/'
moved "a method has another id" 's/KVSIEVE_TOVA = 10/KVSIEVE_TOVA = 11/; s/KVSIEVE_KEYDIFF = 11/KVSIEVE_KEYDIFF = 10/'
moved "a parameter has another id" 's/KVSIEVE_BUDGET = 100/KVSIEVE_BUDGET = 102/; s/KVSIEVE_WINDOW = 102/KVSIEVE_WINDOW = 100/'
spoiled=$(bash "$then/spoiled.sh" "$work/now" "$then/expected.txt" "$root/include/kvsieve.h" "$work/types.c")
grep -v ' passed, ' <<<"$spoiled"
read -r good _ bad _ < <(tail -n 1 <<<"$spoiled")
passed=$((passed + ${good:-0})) failed=$((failed + ${bad:-1}))
changed() { # name, sed script for layout.txt of today
    sed -E "$2" "$now/layout.txt" >"$work/changed.txt"
    check "noticed: $1" grep . <(gone "$work/changed.txt")
}
changed "a field is gone" '/kvsieve_kept.rows/d'
changed "a field is elsewhere" 's/^(field +kvsieve_slots.tokens) 16/\1 8/'
changed "a number is another" 's/^(value +KVSIEVE_ERR_STATE) -7/\1 -8/'
changed "a struct that callers fill in has grown" 's/^(size +kvsieve_model) 32/\1 40/'
sed -E 's/^(size +kvsieve_kept) 56/\1 64/' "$now/layout.txt" >"$work/changed.txt"
gone "$work/changed.txt" >"$work/gone"
check "a struct that the library writes may grow" none "$work/gone"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
