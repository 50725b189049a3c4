#!/usr/bin/env bash
# The fuzzer of the C ABI.      run.sh LIBRARY ROOT [CALLS [SEED [PROCESSES]]]
#
# Plays the committed corpus, then sequences of SEED until CALLS calls were made, and prints "N passed, N failed". LIBRARY is built
# as KVSIEVE_FUZZ says: plain (the default), address (AddressSanitizer, and UndefinedBehaviorSanitizer in its C) or thread
# (ThreadSanitizer). Or, with KVSIEVE_FUZZ=guided, as for address and with coverage: libFuzzer plays for CALLS seconds, and what it
# has found new is merged into the corpus. KVSIEVE_FUZZ_KEEP is a folder to leave the program in, which plays a failed seed again.
set -eu
library=$(realpath "$1") root=$(realpath "$2")
calls=${3:-100000} seed=${4:-1} processes=${5:-1}
here=$root/Tests/Fuzz
work=${KVSIEVE_FUZZ_KEEP:-$(mktemp -d)}
if [ -z "${KVSIEVE_FUZZ_KEEP:-}" ]; then trap 'rm -rf "$work"' EXIT; else rm -rf "$work" && mkdir -p "$work"; fi
work=$(realpath "$work")
shared="choices.c guarded.c numbers.c tensors.c calls.c state.c faults_tensor.c faults_argument.c pair.c observing.c gathering.c times.c
    stepping.c play.c"

mkdir -p "$work/lib"
ln -sf "$library" "$work/lib/libkvsieve.so.0"
ln -sf libkvsieve.so.0 "$work/lib/libkvsieve.so"
flags="-std=gnu11 -g -O1 -Wall -Wextra -Wpedantic -Werror -I$root/include"
link="-L$work/lib -lkvsieve -Wl,-rpath,$work/lib -lm -lpthread"
clang=$(dirname "$(command -v swift)")/clang

compile() { # compiler, the file with the beginning, name, flags
    local compiler=$1 main=$2 name=$3
    shift 3
    # shellcheck disable=SC2086
    (cd "$here" && $compiler $flags "$@" $shared "$main" -o "$work/$name" $link)
}

# Every function of the header is called: the program would not run without it.
check_functions() { # name
    local function missing=""
    nm --dynamic --undefined-only "$work/$1" >"$work/undefined"
    for function in $(grep -oE 'kvsieve_[a-z_]+\(' "$root/Tests/ABI/functions.txt" | tr -d '('); do
        grep -qwE "$function" "$work/undefined" || missing="$missing $function"
    done
    [ -z "$missing" ] && return 0
    echo "the fuzzer does not call:$missing"
    echo "FAILED every function is called"
    echo "0 passed, 1 failed"
    exit 1
}

runtime() { realpath "$("$clang" -print-file-name="libclang_rt.$1-$(uname -m).so")"; }

case ${KVSIEVE_FUZZ:-plain} in
plain) compile cc main.c fuzz ;;
address)
    compile "$clang" main.c fuzz -fsanitize=address,undefined -fno-sanitize-recover=undefined -shared-libasan \
        "-Wl,-rpath,$(dirname "$(runtime asan)")"
    ;;
thread)
    # The runtime of Swift's clang knows libdispatch, which nothing here uses.
    swift=$(dirname "$(dirname "$clang")")/lib/swift/linux
    link="$link -L$swift -ldispatch -lBlocksRuntime -Wl,-rpath,$swift"
    compile "$clang" main.c fuzz -fsanitize=thread
    ;;
guided)
    compile "$clang" target.c guided -fsanitize=address,undefined,fuzzer -fno-sanitize-recover=undefined -shared-libasan \
        -Wl,--export-dynamic "-Wl,-rpath,$(dirname "$(runtime asan)")"
    check_functions guided
    export ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0"
    mkdir "$work/found"
    # A file that ends it is left in this folder: crash-..., to be played by `fuzz --files`.
    LD_PRELOAD=$(runtime asan) "$work/guided" -max_len=8192 -len_control=0 -timeout=120 -seed="$seed" -max_total_time="$calls" \
        "$work/found" "$here/corpus"
    LD_PRELOAD=$(runtime asan) "$work/guided" -merge=1 "$here/corpus" "$work/found"
    exit 0
    ;;
*) echo "KVSIEVE_FUZZ is $KVSIEVE_FUZZ; there are plain, address, thread, guided" && exit 1 ;;
esac
check_functions fuzz
status=0
found=0
if [ "${KVSIEVE_FUZZ:-plain}" = plain ]; then
    # The fuzzer itself: it finds what is planted.
    # shellcheck disable=SC2086
    (cd "$here" && cc ${flags/-Wpedantic/} -shared -fPIC planted.c -o "$work/planted.so" -ldl)
    faults=$(grep -oE 'planted\([0-9]+\)' "$here/planted.c" | wc -l)
    for fault in $(seq "$faults"); do
        if KVSIEVE_PLANTED=$fault LD_PRELOAD=$work/planted.so "$work/fuzz" 1 50000 >"$work/planted" 2>&1; then
            echo "FAILED planted fault $fault was not found"
            status=1
        else
            found=$((found + 1))
        fi
    done
    echo "$found of $faults planted faults found"
fi
"$work/fuzz" --files "$here"/corpus/* >"$work/corpus" || status=1
grep -vE ' done .* refused$| passed, ' "$work/corpus" || true
"$work/fuzz" "$seed" "$calls" "$processes" >"$work/seeds" || status=1
grep -v ' passed, ' "$work/seeds"
# The last lines of both, added up; a program that has no such line has failed.
missed=$((${faults:-0} - found))
cat "$work/corpus" "$work/seeds" | awk -v passed=$found -v failed=$missed '/^[0-9]+ passed, [0-9]+ failed$/ { lines++; passed += $1; failed += $3 }
    END { failed += 2 - lines; print passed + 0 " passed, " failed " failed" }'
exit $status
