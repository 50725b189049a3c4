#!/usr/bin/env bash
# The programs of bindings/README.md, taken from the page: those whose compiler is here print what a C program prints.
#     languages.sh LIBRARY_FOLDER ROOT          (LIBRARY_FOLDER has libkvsieve.so and libkvsieve.so.0)
set -u
libraries=$1 root=$2
page=$root/bindings/README.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
export LD_LIBRARY_PATH=$libraries

block() { awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { inside = 0 } inside' "$page"; }

same() { # name, command
    local name=$1 output
    shift
    output=$("$@" 2>&1)
    if [ "$output" = "$expected" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s: expected "%s"\n%s\n' "$name" "$expected" "$output" | head -20
    fi
}

compiled() { # name, command
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then return 0; fi
    failed=$((failed + 1))
    printf 'FAILED %s does not compile\n%s\n' "$name" "$output" | head -20
    return 1
}

cat >"$work/plain.c" <<'END'
#include <kvsieve.h>
#include <stdio.h>
static float q[4 * 8 * 64], k[2 * 1000 * 64];
int main(void) {
    unsigned seed = 1;
    for (int i = 0; i < 4 * 8 * 64; ++i) seed = seed * 1664525u + 1013904223u, q[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    for (int i = 0; i < 2 * 1000 * 64; ++i) seed = seed * 1664525u + 1013904223u, k[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    kvsieve_model model = { 1, 4, 2, 64, 0, { 0 } };
    kvsieve_tensor queries = { q, 4, 8, 8 * 256, 256, 64, KVSIEVE_F32, 0, 0, 0, 0, { 0 } };
    kvsieve_tensor keys = { k, 2, 1000, 1000 * 256, 256, 64, KVSIEVE_F32, 0, 0, 0, 0, { 0 } };
    kvsieve_plan *plan;
    kvsieve_kept kept = { 0 };
    kept.struct_size = sizeof kept;
    if (kvsieve_plan_create(KVSIEVE_DYNAMICKV, &model, &plan) || kvsieve_plan_set(plan, KVSIEVE_BUDGET, 128)
        || kvsieve_plan_set(plan, KVSIEVE_WINDOW, 8) || kvsieve_plan_observe(plan, 0, &queries, &keys, NULL)
        || kvsieve_plan_finish(plan) || kvsieve_plan_kept(plan, 0, &kept))
        return 1;
    printf("kept %d rows, first %d %d %d\n", (int)kept.total, kept.positions[0], kept.positions[1], kept.positions[2]);
    kvsieve_plan_destroy(plan);
    return 0;
}
END
cc -I"$root/include" "$work/plain.c" -L"$libraries" -lkvsieve -o "$work/plain" || exit 1
expected=$("$work/plain")
[[ $expected == "kept 256 rows, first "* ]] || { echo "FAILED plain: $expected" && failed=1; }

block swift >"$work/main.swift"
compiled "swift" swiftc -O "$work/main.swift" -I "$root/include/kvsieve" -L "$libraries" -o "$work/swift" && same "swift" "$work/swift"
if command -v rustc >/dev/null; then
    block rust >"$work/main.rs"
    compiled "rust" rustc -O -L "$libraries" "$work/main.rs" -o "$work/rust" && same "rust" "$work/rust"
fi
if command -v go >/dev/null; then
    block go >"$work/main.go"
    same "go" env CGO_CFLAGS="-I$root/include" CGO_LDFLAGS="-L$libraries" go run "$work/main.go"
fi
jna=/usr/share/java/jna.jar # libjna-java of Debian
if command -v javac >/dev/null && [ -e "$jna" ]; then
    mkdir "$work/java" && block java >"$work/java/Main.java"
    compiled "java" javac -Xlint:all -Werror -cp "$jna" -d "$work/java" "$work/java/Main.java" &&
        same "java" java -cp "$work/java:$jna" Main
fi
node=$(command -v node) && headers=$(dirname "$(dirname "$(realpath "$node")")")/include/node
if [ -n "$node" ] && [ -e "$headers/node_api.h" ]; then
    block c >"$work/addon.c" && block js >"$work/main.js"
    compiled "node" cc -shared -fPIC -I"$headers" -I"$root/include" "$work/addon.c" -L"$libraries" -lkvsieve -o "$work/addon.node" &&
        same "node" node "$work/main.js"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
