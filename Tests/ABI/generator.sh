#!/usr/bin/env bash
# kvsieve-header: writes what is committed, says what is stale, and refuses what it does not understand.
#     generator.sh ROOT          (after a release build of both: .build/release has the tool and the compiler's header)
set -u
root=$1
tool=$root/.build/release/kvsieve-header
compiled=$root/.build/release/KVSieveABI.build/include/KVSieveABI-Swift.h
template=$root/Sources/CKVSieve/include/kvsieve.h.in
methods=Sources/KVSieveMethods
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

result() { # name, 0 or not, what was said
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$1" "$3"
    fi
}

# The tool must exit with 2 and a sentence that has the words. A script that changes nothing is a failure.
refuses() { # words, sed script for the template, sed script for the compiler's header
    local said status
    sed -E "$2" "$template" >"$work/kvsieve.h.in"
    sed -E "${3:-}" "$compiled" >"$work/compiled.h"
    said=$("$tool" "$work/compiled.h" "$work/kvsieve.h.in" "$work" --check 2>&1)
    status=$?
    [ $status = 2 ] && grep -qF -- "$1" <<<"$said" &&
        ! { cmp -s "$work/kvsieve.h.in" "$template" && cmp -s "$work/compiled.h" "$compiled"; }
    result "refuses: $1" $? "exit $status: $said"
}

[ -x "$tool" ] && [ -f "$compiled" ] || { echo "run swift build first: $tool, $compiled"; echo "0 passed, 1 failed"; exit 1; }

said=$("$tool" "$compiled" "$template" "$root" --check 2>&1)
result "what is committed is fresh" $? "$said"
mkdir -p "$work/$methods"
cp "$root/README.md" "$work"
cp "$root/$methods"/* "$work/$methods"
said=$("$tool" "$compiled" "$template" "$work" 2>&1) && diff "$work/include/kvsieve.h" "$root/include/kvsieve.h" >"$work/diff"
result "writes the header" $? "$said $(head -5 "$work/diff" 2>/dev/null)"
said=$("$tool" "$compiled" "$template" "$work" --check 2>&1)
result "is content with what it wrote" $? "$said"
diff "$template" "$work/include/kvsieve.h" | sed -n 's/^< //p' >"$work/replaced"
printf '/*@methods*/\n/*@parameters*/\n' | cmp -s - "$work/replaced"
result "the header is the template but for two markers" $? "$(cat "$work/replaced")"
for file in include/kvsieve.h Tests/ABI/functions.txt bindings/python/src/kvsieve/_prototypes.py \
    bindings/python/src/kvsieve/_keywords.py; do
    echo >>"$work/$file"
    said=$("$tool" "$compiled" "$template" "$work" --check 2>&1)
    [ $? = 1 ] && [ "$said" = "stale: $file" ]
    result "says what is stale: $file" $? "$said"
    "$tool" "$compiled" "$template" "$work" >"$work/log"
done
for file in README.md $methods/README.md; do
    sed -i 's/^| `h2o` .*/| `h2o` |/' "$work/$file"
    said=$("$tool" "$compiled" "$template" "$work" --check 2>&1)
    [ $? = 1 ] && [ "$said" = "stale: $file" ]
    result "says what is stale: $file" $? "$said"
    sed -i '/:end -->/d' "$work/$file"
    said=$("$tool" "$compiled" "$template" "$work" --check 2>&1)
    [ $? = 2 ] && grep -q ':end -->' <<<"$said"
    result "refuses a $file without its markers" $? "$said"
    cp "$root/$file" "$work/$file"
done
mv "$work/$methods/H2O.swift" "$work/$methods/HeavyHitters.swift"
said=$("$tool" "$compiled" "$template" "$work" --check 2>&1)
[ $? = 2 ] && grep -q 'has no file for h2o' <<<"$said"
result "refuses a method without a file of its name" $? "$said"
mv "$work/$methods/HeavyHitters.swift" "$work/$methods/H2O.swift"

# Functions: what the template says is what the compiler exports.
prototype='^KVSIEVE_API void kvsieve_plan_destroy\(kvsieve_plan \*plan\);'
swift='_plan_destroy\(kvsieve_plan \* _Nullable plan\)'
refuses "lacks a function that KVSieveABI exports: void kvsieve_plan_destroy(kvsieve_plan *plan);" "/$prototype/d"
refuses "does not export: kvsieve_plan_destroy" '' '/^SWIFT_EXTERN.*_plan_destroy/d'
refuses "void kvsieve_plan_destroy(const kvsieve_plan *plan);" 's/_plan_destroy\(kvsieve_plan/_plan_destroy(const kvsieve_plan/'
refuses "void kvsieve_plan_destroy(kvsieve_plan **plan);" 's/_plan_destroy\(kvsieve_plan \*/&*/'
refuses "kvsieve_status kvsieve_plan_destroy" 's/^KVSIEVE_API void /KVSIEVE_API KVSIEVE_CHECKED kvsieve_status /'
refuses "kvsieve_plan_destroy: KVSIEVE_CHECKED is for" 's/^KVSIEVE_API void /KVSIEVE_API KVSIEVE_CHECKED void /'
refuses "kvsieve_plan_finish: KVSIEVE_CHECKED is for" 's/KVSIEVE_CHECKED (kvsieve_status kvsieve_plan_finish)/\1/'
refuses "and KVSieveABI exports" 's/^( +)double \*value\);/\1float *value);/'
refuses "and KVSieveABI exports" 's/int32_t \*slot\);/int64_t *slot);/'
refuses "and KVSieveABI exports" '' 's/int32_t layer, int32_t head/int32_t head, int32_t layer/'
refuses "under Shapes there is no line that begins with 'sieve'" "s/$prototype/KVSIEVE_API void kvsieve_plan_destroy(kvsieve_plan *sieve);/"
refuses "void kvsieve_plan_destroy(kvsieve_plan *sieve);" '' "s/$swift/_plan_destroy(kvsieve_plan * _Nullable sieve)/"
refuses "declares kvsieve_plan_destroy twice" "/^\/\*\* Frees a plan/,/$prototype/ { H; /$prototype/ { p; x } }"
refuses "must have the lines Shapes, Cost, Memory, Errors" '/^\/\*\* Frees a plan/,/\*\// s/  Cost    /  Price   /'
refuses "must have the lines Shapes, Cost, Memory, Errors" "s/$prototype/\n&/"
refuses "a prototype has no end" 's/(kvsieve_self_check\(void\));$/\1/'

# The compiler's header: what is not understood.
refuses "inline function pointer" '' "s/$swift/_plan_destroy(void (* _Nonnull f)(int32_t))/"
refuses "a parameter needs a name" '' "s/$swift/_plan_destroy(kvsieve_plan * _Nullable)/"
refuses "neither of fixed width nor declared" '' "s/$swift/_plan_destroy(ptrdiff_t plan)/"
refuses "'volatile' in type" '' "s/$swift/_plan_destroy(kvsieve_plan volatile * plan)/"
refuses "is not understood in: SWIFT_EXTERN" '' 's/SWIFT_NOEXCEPT;/SWIFT_NOEXCEPT SWIFT_DEPRECATED;/'
refuses "no line that begins with SWIFT_EXTERN" '' 's/^SWIFT_EXTERN/EXTERN/'
refuses "only @_cdecl functions" '' 's/^SWIFT_EXTERN void.*/SWIFT_CLASS("x")/'
refuses "must be kvsieve_" '' 's/ kvsieve_plan_destroy/ plan_destroy/'

# The template: markers and lines.
refuses "'/*@method*/' is not understood" 's/@methods/@method/'
refuses "/*@parameters*/ is missing" '/@parameters/d'
refuses "or is there twice" 's/@parameters/@methods/'
refuses "or not ASCII" 's/Frees a plan/Frees a plän/'
refuses "over 110 columns" 's/^( \* Errors .*)$/\1 and so on and on and on and on and on and on and on and on and on/'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
