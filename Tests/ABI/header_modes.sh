#!/usr/bin/env bash
# The header alone: every standard, both compilers, as C and as C++, twice in one file, and in two files of one program.
#     header_modes.sh INCLUDE
set -u
include=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
warnings="-Wall -Wextra -Wpedantic -Werror"

check() { # name, command
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$output" | head -20
    fi
}

printf '#include <kvsieve.h>\n#include <kvsieve.h>\nint one(void);\nint one(void) { return KVSIEVE_OK; }\n' >"$work/one.c"
printf '#include <kvsieve.h>\nint one(void);\nint main(void) { kvsieve_tensor t; t.dim = KVSIEVE_F32; return one() + t.dim; }\n' >"$work/two.c"
cp "$work/one.c" "$work/one.cpp"
cp "$work/two.c" "$work/two.cpp"
printf '#include "one.c"\n#include "two.c"\n' >"$work/both.c"

for compiler in gcc clang; do
    for standard in c99 c11 c17 c2x gnu99 gnu17; do
        for file in one two; do
            check "$compiler -std=$standard $file.c" $compiler -std=$standard $warnings -Wstrict-prototypes -I"$include" -c "$work/$file.c" -o "$work/$file.o"
        done
        check "$compiler -std=$standard, two files of one program" $compiler "$work/one.o" "$work/two.o" -o "$work/program"
        check "$compiler -std=$standard, the program runs" "$work/program"
        check "$compiler -std=$standard, one file that includes both" $compiler -std=$standard $warnings -I"$include" -fsyntax-only "$work/both.c"
    done
done
for compiler in g++ clang++; do
    for standard in c++98 c++11 c++17 c++20; do
        for file in one two; do
            check "$compiler -std=$standard $file.cpp" $compiler -std=$standard $warnings -I"$include" -c "$work/$file.cpp" -o "$work/$file.o"
        done
        check "$compiler -std=$standard, two files of one program" $compiler "$work/one.o" "$work/two.o" -o "$work/program"
    done
done
# A status that nobody looks at is a warning; where there is no __GNUC__ by [[nodiscard]].
printf '#include <kvsieve.h>\nint main(void) { kvsieve_plan_reset(0); return 0; }\n' >"$work/unchecked.c"
cp "$work/unchecked.c" "$work/unchecked.cpp"
for mode in "gcc -std=c99" "clang -std=c99" "g++ -std=c++98" "clang++ -std=c++17" "g++ -std=c++17 -U__GNUC__" "g++ -std=c++98 -U__GNUC__"; do
    suffix=c expected=0
    case $mode in *++*) suffix=cpp ;; esac
    case $mode in *++98*-U*) expected=1 ;; esac
    $mode -I"$include" -c "$work/unchecked.$suffix" -o "$work/unchecked.o" 2>"$work/said"
    grep -qE 'Wunused-(result|value)' "$work/said"
    check "$mode: a status that is ignored" [ $? = $expected ]
done
check "clang -Weverything" clang -std=c99 -Weverything -Werror -Wno-declaration-after-statement -I"$include" -fsyntax-only "$work/one.c"
check "C and C++ in one program" bash -c "gcc -std=c99 -I'$include' -c '$work/two.c' -o '$work/two.o' && echo 'extern \"C\" int one(void); int one(void) { return 0; }' >'$work/c.cpp' && g++ -std=c++17 -I'$include' -include kvsieve.h '$work/c.cpp' '$work/two.o' -o '$work/mixed' && '$work/mixed'"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
