#!/usr/bin/env bash
# The C programs of Tests/ABI on an emulated arm64.      abi.sh CACHE OUT [NAME ...]
#
# Prints a line a program and, at the end, "N passed, N failed". Not here: what looks at a package, not at the processor (header, symbols,
# install, languages), and embed, which needs a Python of the processor.
set -u
cache=$(realpath "$1") out=$(realpath "$2")
shift 2
cd "$(dirname "$0")/../.."
names=${*:-layout versions contract contract_lengths tiny paged dtypes misuse_pointers misuse_decoding_order misuse_inputs attention chunks
    rope ranges report mass shapes bounds protect align align_rounds join misuse_parameters misuse_tensors misuse_numbers misuse_order
    misuse_decoding misuse_extending threads misuse_memory misuse_memory_calls forks steady observe_steady join_steady}
work=$out/abi
mkdir -p "$work"
sed -nE 's/^size +(\S+) (\S+) (\S+)$/SIZE(\1, \2, \3)/p
    s/^field +([^.]+)\.(\S+) (\S+) (\S+)$/FIELD(\1, \2, \3, \4)/p
    s/^value +(\S+) (\S+)$/VALUE(\1, \2)/p' Tests/ABI/layout.txt >"$work/layout.inc"
passed=0 failed=0
cd Tests/ABI || exit 1
flags="-std=c99 -g -O2 -Wall -Wextra -I../../include -I$work"
# shellcheck disable=SC2086
"$cache/bin/clang" $flags -r -nostdlib harness.c registry.c fixture.c refusal.c snapshot.c room.c decoder.c blocks.c ranks.c \
    -o "$work/shared.o" || exit 1
for name in $names; do
    start=$SECONDS more=$work/shared.o
    case $name in
    layout) more="" ;;
    *steady) more="$more allocations.c" ;;
    esac
    good=0 bad=1
    # shellcheck disable=SC2086
    if "$cache/bin/clang" $flags $name.c $more -L"$out" -lkvsieve "-Wl,-rpath,$out" -lm -lpthread -ldl -o "$work/$name"; then
        output=$(KVSIEVE_TEST_SLOW=1 timeout 1800 "$cache/bin/qemu-aarch64" "$work/$name" 2>&1 </dev/null)
        status=$?
        if [[ $(tail -n 1 <<<"$output") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}; fi
        if [ $status != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
        if [ "$bad" != 0 ]; then tail -n 20 <<<"$output"; fi
    fi
    printf '%-28s %5s passed, %s failed, %s s\n' "$name" "$good" "$bad" $((SECONDS - start))
    passed=$((passed + good)) failed=$((failed + bad))
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
