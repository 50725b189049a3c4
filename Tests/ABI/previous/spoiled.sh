#!/usr/bin/env bash
# What no longer is what it was is noticed: the library with one function replaced by another, or today's header with one other type.
#     spoiled.sh PROGRAM EXPECTED HEADER TYPES          (previous.sh makes all four)
set -u
program=$1 expected=$2 header=$3 types=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
noticed() { # name, 0 if nothing was
    if [ "$2" != 0 ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        echo "FAILED noticed: $1"
    fi
}

# It is loaded before the library, whose own function it calls by REAL.
cat >"$work/head.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <kvsieve.h>
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
END
replaced() { # name, C
    { cat "$work/head.c" && echo "$2"; } >"$work/other.c"
    gcc -shared -fPIC -w -I"$(dirname "$header")" "$work/other.c" -o "$work/other.so" || { noticed "$1" 0 && return; }
    LD_PRELOAD=$work/other.so "$program" >"$work/said"
    noticed "$1" "$(grep -cvxF -f "$work/said" "$expected")"
}
described="const kvsieve_plan *plan, int32_t layer"
LD_PRELOAD='' "$program" >"$work/said"
if grep -vxF -f "$work/said" "$expected"; then echo "FAILED the library as it is lacks these lines" && failed=1; fi
replaced "protect does nothing" 'kvsieve_status kvsieve_plan_protect(kvsieve_plan *plan, int64_t first, int64_t count) { return 0; }'
replaced "no method decodes" 'kvsieve_status kvsieve_method_at(int32_t index, kvsieve_method_info *info) {
    kvsieve_status done = REAL(kvsieve_method_at)(index, info); info->decodes = 0; return done; }'
replaced "a report has no mass" "kvsieve_status kvsieve_plan_report($described, kvsieve_report *report) {
    kvsieve_status done = REAL(kvsieve_plan_report)(plan, layer, report); report->mass = 0; return done; }"
replaced "the bound is 2^40" "kvsieve_status kvsieve_plan_bound($described, int64_t tokens, int64_t *rows) { *rows = 1LL << 40; return 0; }"
replaced "keys and values are needed in each other's place" "kvsieve_status kvsieve_plan_needs($described, int32_t *needs) {
    kvsieve_status done = REAL(kvsieve_plan_needs)(plan, layer, needs);
    *needs = (*needs & ~6) | (*needs & 2) << 1 | (*needs & 4) >> 1; return done; }"
replaced "f16 and bf16 in each other's place" 'kvsieve_status kvsieve_plan_observe(kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *q,
    const kvsieve_tensor *k, const kvsieve_tensor *v) { kvsieve_tensor keys; if (!k) return REAL(kvsieve_plan_observe)(plan, layer, q, k, v);
    keys = *k; if (keys.dtype == 1 || keys.dtype == 2) keys.dtype = 3 - keys.dtype; return REAL(kvsieve_plan_observe)(plan, layer, q, &keys, v); }'
replaced "a default is another" 'kvsieve_status kvsieve_parameter_at(int32_t method, int32_t index, kvsieve_parameter_info *info) {
    kvsieve_status done = REAL(kvsieve_parameter_at)(method, index, info); if (info->id == 303) info->initial += 1; return done; }'
replaced "a bound of a parameter is another" 'kvsieve_status kvsieve_parameter_at(int32_t method, int32_t index, kvsieve_parameter_info *info) {
    kvsieve_status done = REAL(kvsieve_parameter_at)(method, index, info); if (info->id == 102) info->highest -= 1; return done; }'
replaced "the slots of two heads in each other's place" 'kvsieve_status kvsieve_plan_step(kvsieve_plan *plan, int32_t layer, const kvsieve_tensor *q,
    const kvsieve_tensor *k, const kvsieve_tensor *v, int32_t *slot) { kvsieve_status done = REAL(kvsieve_plan_step)(plan, layer, q, k, v, slot);
    int32_t first = slot[0]; slot[0] = slot[1], slot[1] = first; return done; }'
replaced "another status" 'kvsieve_status kvsieve_plan_finish(kvsieve_plan *plan) {
    kvsieve_status done = REAL(kvsieve_plan_finish)(plan); return done == KVSIEVE_ERR_STATE ? KVSIEVE_ERR_SHAPE : done; }'

typed() { # name, sed script for today's header
    sed -E "$2" "$header" >"$work/kvsieve.h"
    cmp -s "$header" "$work/kvsieve.h" && echo "FAILED no change: $1" && failed=$((failed + 1))
    gcc -std=c11 -fsyntax-only -I"$work" -x c "$types" 2>"$work/said"
    noticed "$1" "$(grep -c "has another type" "$work/said")"
}
struct() { echo "/^typedef struct $1 /,/^\}/ s/$2/"; }
typed "kvsieve_model.scale is an integer" "$(struct kvsieve_model 'float  ( *scale;)/int32_t\1')"
typed "kvsieve_report.intact is a double" "$(struct kvsieve_report 'int64_t( +intact;)/double\1')"
typed "kvsieve_rope.by_row is a float" "$(struct kvsieve_rope 'int32_t( +by_row;)/float\1')"
typed "kvsieve_parameter_info.integral is a float" "$(struct kvsieve_parameter_info 'int32_t( +integral;)/float\1')"
typed "kvsieve_kept.positions is of unsigned numbers" "$(struct kvsieve_kept 'const int32_t( *\*positions;)/const uint32_t\1')"
typed "kvsieve_tensor.blocks may be written" "$(struct kvsieve_tensor 'const int32_t( *\*blocks;)/int32_t\1')"
typed "a status has 16 bits" 's/^typedef int32_t kvsieve_status;/typedef int16_t kvsieve_status;/'

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
