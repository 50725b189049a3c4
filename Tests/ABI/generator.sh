#!/usr/bin/env bash
# kvsieve-header: writes what is committed, says what is stale, and refuses what it does not understand.
#     generator.sh ROOT          (after `swift build`: .build/debug has the tool and the compiler's header)
set -u
root=$1
tool=$root/.build/debug/kvsieve-header
compiled=$root/.build/debug/KVSieveABI.build/include/KVSieveABI-Swift.h
types=$root/Sources/CKVSieve/include/kvsieve_types.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

result() { # name, 0 or not, what was said
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$1" "$3"
    fi
}

# The tool must exit with 2 and a sentence that has the words.
refuses() { # words, sed script for the compiler's header, sed script for the types header
    local said status
    sed -E "$2" "$compiled" >"$work/compiled.h"
    sed -E "${3:-}" "$types" >"$work/types.h"
    said=$("$tool" "$work/compiled.h" "$work/types.h" "$work" --check 2>&1)
    status=$?
    [ $status = 2 ] && grep -qF -- "$1" <<<"$said"
    result "refuses: $1" $? "exit $status: $said"
}

[ -x "$tool" ] && [ -f "$compiled" ] || { echo "run swift build first: $tool, $compiled"; echo "0 passed, 1 failed"; exit 1; }

said=$("$tool" "$compiled" "$types" "$root" --check 2>&1)
result "what is committed is fresh" $? "$said"
mkdir -p "$work/include"
cp "$root/README.md" "$work"
said=$("$tool" "$compiled" "$types" "$work" 2>&1) && diff -r "$work/include" "$root/include" >"$work/diff"
result "writes the header" $? "$said $(head -5 "$work/diff" 2>/dev/null)"
said=$("$tool" "$compiled" "$types" "$work" --check 2>&1)
result "is content with what it wrote" $? "$said"
echo >>"$work/include/kvsieve.h"
said=$("$tool" "$compiled" "$types" "$work" --check 2>&1)
[ $? = 1 ] && [ "$said" = "stale: include/kvsieve.h" ]
result "says what is stale" $? "$said"
grep -v 'methods:end' "$root/README.md" >"$work/README.md"
said=$("$tool" "$compiled" "$types" "$work" --check 2>&1)
[ $? = 2 ] && grep -q 'methods:end' <<<"$said"
result "refuses a README without its markers" $? "$said"
cp "$root/README.md" "$work"

destroy='_plan_destroy\(kvsieve_plan \* _Nullable plan\)'
refuses "the types header has no /*@functions Nowhere*/" 's/Section: Plan 8/Section: Nowhere 8/'
refuses "needs a line 'Section: Plan 3'" 's/Section: Plan 8//'
refuses "both have place 1" 's/Section: Plan 8/Section: Plan 1/'
refuses "expected one line 'Section: Plan 3'" 's/Section: Plan 8/Section: Plan eight/'
refuses "inline function pointer" "s/$destroy/_plan_destroy(void (* _Nonnull f)(int32_t))/"
refuses "a parameter needs a name" "s/$destroy/_plan_destroy(kvsieve_plan * _Nullable)/"
refuses "neither of fixed width nor declared" "s/$destroy/_plan_destroy(ptrdiff_t plan)/"
refuses "'volatile' in type" "s/$destroy/_plan_destroy(kvsieve_plan volatile * plan)/"
refuses "'SWIFT_DEPRECATED' is not understood" 's/SWIFT_NOEXCEPT;/SWIFT_NOEXCEPT SWIFT_DEPRECATED;/'
refuses "a tag that is not understood" 's/Frees the plan/Frees <b>the<\/b> plan/'
refuses "plain ASCII" 's/Frees the plan/Frees the plän/'
refuses "would end the C comment" 's/Frees the plan/Frees *\/ the plan/'
refuses "which is no parameter" 's/param model/param modell/'
refuses "has no sentence" 's/^\/\/\/ Frees the plan.*$//'
refuses "declares no function" 's/^SWIFT_EXTERN/EXTERN/'
refuses "only @_cdecl functions" 's/^SWIFT_EXTERN void.*/SWIFT_CLASS("x")/'
refuses "must be kvsieve_" 's/ kvsieve_plan_destroy/ plan_destroy/'
refuses "no /*@functions Plan*/" '' 's/^.*@functions Plan.*$//'
refuses "'/*@method*/' is not understood" '' 's/@methods/@method/'
refuses "/*@methods*/ or /*@parameters*/ is missing" '' 's/^.*@parameters.*$//'
refuses "stands twice" '' 's/@functions Status/@functions Plan/'
refuses "no function has the line 'Section: Empty'" '' 's/@methods\*\//&\n\/*@functions Empty*\//'
refuses "#ifdef __swift__ without #endif" '' '/^#ifdef __swift__/,$ { /__swift__/!s/^#.*// }'
refuses "inside of #ifdef __swift__" '' 's/^#ifdef __swift__/&\n#define X/'
refuses "as its first lines" '' '1s/kvsieve.h/kv.h/'
refuses "over 110 columns" '' 's/^( \* Errors .*)$/\1 and so on and on and on and on and on and on and on and on and on/'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
