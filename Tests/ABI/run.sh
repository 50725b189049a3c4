#!/usr/bin/env bash
# The C ABI, as C, C++ and Python hosts see it.      run.sh LIBRARY ROOT [NAME ...]
#
# Every test program prints "N passed, N failed"; so does this script, with the sum, as its last line. With names only
# those programs are run. If a program fails, its output is above its line; VENV_PYTHON names a Python that
# has numpy (default ROOT/.venv/bin/python). KVSIEVE_ABI is plain (all, and the default), valgrind, valgrind-all, address
# (AddressSanitizer) or thread (ThreadSanitizer; for both LIBRARY must be built so too).
set -u
library=$(realpath "$1") root=$(realpath "$2")
shift 2
only=" $* "
here=$root/Tests/ABI include=$root/include
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export VENV_PYTHON=${VENV_PYTHON:-$root/.venv/bin/python}
passed=0 failed=0
c_flags="-std=c99 -g -O2 -Wall -Wextra -Wpedantic -Werror -I$include -I$work"
# Programs that read the caller's memory. valgrind, which is fifty times slower, runs those that call each function with each
# method between them, to see what was never written.
seen="contract contract_lengths tiny paged dtypes misuse_pointers misuse_decoding_order misuse_inputs attention chunks rope ranges
    report mass shapes bounds protect align align_rounds join"
checked="$seen misuse_parameters misuse_tensors misuse_numbers misuse_order misuse_decoding misuse_extending threads"

# Those that run on emulated processors: all kernels, each dtype, decoding, the rotation.
emulated="self_check contract dtypes rope misuse_decoding_order"

# What linker and loader look for, beside each other.
mkdir "$work/lib"
ln -s "$library" "$work/lib/libkvsieve.so.0"
ln -s libkvsieve.so.0 "$work/lib/libkvsieve.so"
# What test programs share.
shared="harness.c registry.c fixture.c refusal.c snapshot.c room.c decoder.c blocks.c ranks.c"
link="-L$work/lib -lkvsieve -Wl,-rpath,$work/lib -lm -lpthread -ldl"
sed -nE 's/^size +(\S+) (\S+) (\S+)$/SIZE(\1, \2, \3)/p
    s/^field +([^.]+)\.(\S+) (\S+) (\S+)$/FIELD(\1, \2, \3, \4)/p
    s/^value +(\S+) (\S+)$/VALUE(\1, \2)/p' "$here/layout.txt" >"$work/layout.inc"

wanted() { [ "$only" = "  " ] || [[ "$only" == *" $1 "* ]]; }

# Runs a command and adds up its last line. A command that counts nothing, or fails with no failed test, is one failure.
count() { # name, command
    local name=$1 output status last start=$SECONDS
    shift
    wanted "$(echo "${name%% *}" | tr -d :)" || return 0
    : >"$work/log"
    output=$(timeout 1800 "$@" 2>&1 </dev/null)
    status=$?
    last=$(tail -n 1 <<<"$output")
    if [[ $last =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        local good=${BASH_REMATCH[1]} bad=${BASH_REMATCH[2]}
    else
        local good=0 bad=1
    fi
    if [ $status != 0 ] && [ "$bad" = 0 ]; then bad=1; fi
    if [ "$bad" != 0 ]; then head -c 6000 -q "$work/log" - <<<"$output"; fi
    printf '%-40s %5s passed, %s failed, %s s\n' "$name" "$good" "$bad" $((SECONDS - start))
    passed=$((passed + good)) failed=$((failed + bad))
}

# Compiles Tests/ABI/NAME.c; a program that does not compile is a failure.
build() { # compiler, name, further sources and flags
    local compiler=$1 name=$2
    shift 2
    wanted "$name" || return 1
    # shellcheck disable=SC2086
    if output=$(cd "$here" && $compiler $c_flags "$name.c" "$@" 2>&1); then return 0; fi
    printf '%s\n' "$output" | head -40
    echo "$name does not compile with $compiler"
    failed=$((failed + 1))
    return 1
}

# NAME, with what programs share compiled once for all of them.
program() { # compiler, name, further sources
    local compiler=$1 name=$2
    shift 2
    # shellcheck disable=SC2086
    if [ ! -e "$work/shared.o" ] && ! (cd "$here" && $compiler $c_flags -r -nostdlib $shared -o "$work/shared.o"); then return 1; fi
    # shellcheck disable=SC2086
    build "$compiler" "$name" "$@" "$work/shared.o" -o "$work/$name" $link
}

plain() {
    count generator bash "$here/generator.sh" "$root"
    count header_modes bash "$here/header_modes.sh" "$include"
    for compiler in gcc clang; do
        if build $compiler layout -o "$work/layout"; then count layout "$work/layout"; fi
    done
    if wanted layout; then
        for compiler in g++ clang++; do
            $compiler -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$include" -I"$work" "$here/layout.cpp" -o "$work/layout_cpp"
            count "layout (C++, $compiler)" "$work/layout_cpp"
        done
    fi
    if wanted hpp; then
        for how in "" "-DKVSIEVE_EXPECTED -fno-exceptions"; do
            for compiler in g++ clang++; do
                # shellcheck disable=SC2086
                $compiler -std=c++17 -O1 -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Werror $how \
                    -I"$include" "$here/hpp.cpp" -o "$work/hpp" $link
                count "hpp ($compiler${how:+, expected})" "$work/hpp"
                rm -f "$work/hpp"
            done
        done
        # Units of both kinds in one program, and a result that nobody looks at.
        for unit in "-DKVSIEVE_EXPECTED -Dmain=unused" ""; do
            # shellcheck disable=SC2086
            g++ -std=c++17 -O1 $unit -I"$include" -c "$here/hpp.cpp" -o "$work/hpp${#unit}.o"
        done
        # shellcheck disable=SC2086
        g++ "$work"/hpp*.o -o "$work/hpp" $link
        count "hpp (both kinds)" "$work/hpp"
        printf '#define KVSIEVE_EXPECTED\n#include <kvsieve.hpp>\nvoid f(kvsieve::plan &p) { p.finish(); }\n' >"$work/ignored.cpp"
        g++ -std=c++17 -I"$include" -fsyntax-only -Werror "$work/ignored.cpp" 2>"$work/ignored"
        printf '#include <kvsieve.hpp>\n#define KVSIEVE_EXPECTED\n#include <kvsieve.hpp>\n' >"$work/late.cpp"
        if g++ -std=c++17 -I"$include" -fsyntax-only "$work/late.cpp" 2>"$work/late" || ! grep -q "is defined after" "$work/late"; then
            failed=$((failed + 1))
            echo "FAILED hpp: KVSIEVE_EXPECTED after the header is no error"
        else
            passed=$((passed + 1))
        fi
        if ! g++ -std=c++14 -I"$include" -fsyntax-only "$work/ignored.cpp" 2>"$work/early" && grep -q "needs C++17" "$work/early"; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "FAILED hpp: C++14 is not told that it is too old"
        fi
        if grep -q "nodiscard" "$work/ignored"; then passed=$((passed + 1)); else
            failed=$((failed + 1))
            echo "FAILED hpp: a result that nobody looks at is no warning"
        fi
    fi
    # Both compilers must accept a program; the one that is run is gcc's.
    for name in versions $checked misuse_memory misuse_memory_calls forks stack modes self_check beside looked_at first_plans; do
        build clang $name -fsyntax-only && program gcc $name && count $name "$work/$name"
    done
    if wanted versions && wanted symbols || [ "$only" = "  " ]; then
        "$work/versions" --constants >"$work/constants"
        count symbols bash "$here/symbols.sh" "$library" "$include" "$work/constants"
    fi
    # The narrowest instruction set, and the one whose products are the BLAS's.
    for isa in base v2; do
        for name in stack modes self_check contract paged misuse_numbers misuse_decoding misuse_decoding_order misuse_extending \
            misuse_memory attention threads; do
            count "$name (KVSIEVE_ISA=$isa)" env KVSIEVE_ISA=$isa "$work/$name"
        done
    done
    # Products of bfloat16, which Intel's processors use only if asked.
    for name in dtypes paged contract self_check; do
        count "$name (KVSIEVE_ISA=v4bf16)" env KVSIEVE_ISA=v4bf16 "$work/$name"
    done
    # shellcheck disable=SC2086
    if build gcc guest forward.c ${shared% decoder.c blocks.c ranks.c} -o "$work/guest" -Wl,--export-dynamic-symbol=cblas_sgemm -lm -lpthread -ldl; then
        count guest "$work/guest" "$library"
    fi
    for name in steady observe_steady join_steady; do
        if program gcc $name allocations.c; then
            count $name "$work/$name"
            for isa in base v2; do count "$name (KVSIEVE_ISA=$isa)" env KVSIEVE_ISA=$isa "$work/$name"; done
        fi
    done
    for name in denied denied_large; do
        if program gcc $name denials.c scenes.c; then count $name "$work/$name"; fi
    done
    if wanted denied; then count "denied (KVSIEVE_ISA=v2)" env KVSIEVE_ISA=v2 "$work/denied"; fi
    # Programs that between them make every call with every method, and calls that fail for each reason.
    if wanted watch_locks && (cd "$here" && gcc $c_flags -shared -fPIC watch_locks.c -o "$work/watch_locks.so" -ldl); then
        for name in contract attention join misuse_parameters misuse_tensors misuse_pointers misuse_inputs misuse_decoding rope report self_check; do
            if [ -e "$work/$name" ] || only="  " program gcc $name; then
                count "watch_locks: $name" env LD_PRELOAD="$work/watch_locks.so" "$work/$name"
            fi
        done
    fi
    if wanted embed; then
        # shellcheck disable=SC2046,SC2086
        c_flags="${c_flags/c99/gnu11} $(/usr/bin/python3-config --includes)" c_flags=${c_flags/-Wpedantic/}
        program gcc embed $(/usr/bin/python3-config --embed --ldflags) &&
            count embed env PYTHONPATH="$root/bindings/python/src" KVSIEVE_LIBRARY="$work/lib/libkvsieve.so.0" "$work/embed" "$VENV_PYTHON"
    fi
    count hardening python3 "$here/hardening.py" "$library"
    if wanted old_processors; then
        for name in $emulated; do [ -x "$work/$name" ] || (only="  " && program gcc "$name"); done
        # shellcheck disable=SC2086
        count old_processors bash "$here/old_processors.sh" "$work/lib/libkvsieve.so" "$include" "$work" $emulated
    fi
    count previous bash "$here/previous.sh" "$library" "$root"
    count version bash "$here/version.sh" "$library" "$root"
    count install bash "$here/install.sh" "$library" "$root"
    count languages bash "$here/languages.sh" "$work/lib" "$root"
    count extract python3 "$here/extract.py" "$work/lib" "$root"
}

# It reads the library when it is stripped (DWARF 5 of Swift is beyond it), as release builds are.
# Possibly lost: Swift keeps its metadata behind tagged pointers.
under_valgrind() { # names
    local tool=(valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=definite,indirect
        --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=yes --log-file="$work/log")
    for name in "$@"; do
        program gcc $name && count "$name (valgrind)" env KVSIEVE_TEST_SLOW=1 "${tool[@]}" "$work/$name"
    done
}

# Leaks are errors here too. The runtime is the one that Swift's own clang has.
under_address() {
    local clang runtime
    clang=$(dirname "$(command -v swift)")/clang
    runtime=$(dirname "$($clang -print-file-name="libclang_rt.asan-$(uname -m).so")")
    c_flags="$c_flags -fsanitize=address -shared-libasan -Wl,-rpath,$runtime"
    for name in $checked; do
        program "$clang" $name && count "$name (address)" env KVSIEVE_TEST_SLOW=1 "$work/$name"
    done
}

# The runtime of Swift's clang knows libdispatch, which nothing here uses.
under_thread() {
    local clang swift
    clang=$(dirname "$(command -v swift)")/clang
    swift=$(dirname "$(dirname "$clang")")/lib/swift/linux
    c_flags="$c_flags -fsanitize=thread"
    link="$link -L$swift -ldispatch -lBlocksRuntime -Wl,-rpath,$swift"
    for name in looked_at threads; do
        program "$clang" $name && count "$name (thread)" env KVSIEVE_TEST_SLOW=1 "$work/$name"
    done
}

case ${KVSIEVE_ABI:-plain} in
plain) plain ;;
valgrind) under_valgrind $seen ;;
valgrind-all) under_valgrind $checked ;;
address) under_address ;;
thread) under_thread ;;
*) echo "KVSIEVE_ABI is $KVSIEVE_ABI; there are plain, valgrind, valgrind-all, address, thread" && failed=1 ;;
esac
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
