#!/usr/bin/env bash
# `make arm64`: the library and its tests compiled for arm64 and run on an emulated one.      run.sh [kernels|abi|core|methods ...]
#
# The cache is KVSIEVE_ARM64_CACHE, else ~/.cache/kvsieve-arm64; what is compiled is in .build-arm64. KVSIEVE_ARM64_CPU names a
# processor of qemu's (neoverse-n1, cortex-a53; default max). The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.."
here=Tests/Arm64
cache=${KVSIEVE_ARM64_CACHE:-$HOME/.cache/kvsieve-arm64}
out=.build-arm64
parts=" ${*:-kernels abi core methods} "
export QEMU_CPU=${KVSIEVE_ARM64_CPU:-max}
passed=0 failed=0

bash $here/fetch.sh "$cache" && bash $here/build.sh "$cache" $out tests || exit 1
count() { # name, good, bad
    printf '%-36s %5s passed, %s failed\n' "$1" "$2" "$3"
    passed=$((passed + $2)) failed=$((failed + $3))
}
swift_tests() { # program, further arguments
    local name=$1 log=$out/$1.log status=0
    shift
    timeout 3600 "$cache/bin/qemu-aarch64" "$out/$name" --testing-library swift-testing "$@" >"$log" 2>&1 </dev/null || status=1
    local last good bad
    last=$(grep -oE 'Test run with [0-9]+ tests (passed|failed)' "$log" | grep -oE '[0-9]+' || echo 0)
    # A suite that fails repeats the failure of its test.
    bad=$(grep -cE '✘ Test [A-Za-z0-9_]+\(.*\) failed after' "$log")
    # Tests of what arm64 has not (a second table of kernels, products of pairs and of bytes) find no case.
    good=$((last - bad - $(grep -c 'skipped: "No test cases found."' "$log")))
    if [ $status != 0 ] || [ "$last" = 0 ]; then
        [ "$bad" != 0 ] || bad=1
        grep -E '✘|error' "$log" | grep -v 'No test cases' | tail -n 40
    fi
    count "$name" "$good" "$bad"
}
own_objects() { # what KernelTests asks of SwiftPM's objects
    local tools object=$out/objects/KVSieveKernels.o good=0
    tools=$(dirname "$(command -v swift)")
    [ -n "$("$tools/llvm-nm" --undefined-only "$object" 2>&1 | grep -v 'no symbols')" ] || good=$((good + 1))
    [ "$("$tools/llvm-objdump" -d "$object" | grep -cE '[[:space:]]brk[[:space:]]')" != 0 ] || good=$((good + 1))
    [ "$("$tools/llvm-objdump" -d "$object" | grep -cE '[[:space:]]fmla[.0-9a-z]*[[:space:]]')" = 0 ] || good=$((good + 1))
    count "kernels: no call outside, no trap, FMA" $good $((3 - good))
}
case $parts in *" kernels "*)
    own_objects
    swift_tests KernelTests --skip ObjectTests
    ;;
esac
case $parts in *" abi "*)
    abi=$(bash $here/abi.sh "$cache" $out | tee /dev/stderr | tail -n 1)
    count "C programs" "$(cut -d' ' -f1 <<<"$abi")" "$(cut -d' ' -f3 <<<"$abi")"
    ;;
esac
case $parts in *" core "*) swift_tests CoreTests ;; esac
case $parts in *" methods "*) swift_tests MethodTests ;; esac
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
