#!/usr/bin/env bash
# "KVSIEVE_ISA ... hold the library to that instruction set": it runs on emulated processors that have no more.
#     old_processors.sh LIBRARY INCLUDE PROGRAMS NAME ...
#
# QEMU ends a program with SIGILL at an instruction that its processor lacks; two programs that have one show that it does. PROGRAMS
# is a folder with test programs of those names. The last line is "N passed, N failed".
set -u
library=$1 include=$2 programs=$3
shift 3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
expect() { # name, 0 if it holds
    if [ "$2" = 0 ]; then passed=$((passed + 1)); else failed=$((failed + 1)) && echo "FAILED $1"; fi
}
# Early processors of x86-64 had no more than SSE2; the first with AVX2 was Haswell, of 2013. The very first, until 2005, also lacked
# CMPXCHG16B, without which Swift's runtime does not run.
sse2=qemu64,-pni,-ssse3,-sse4.1,-sse4.2,-popcnt,-lahf_lm,-abm,-sse4a,-svm
sse42=Nehalem # 2008
avx2=Haswell-noTSX

cat >"$work/info.c" <<'C'
#include <kvsieve.h>
#include <stdio.h>
int main(void) { return puts(kvsieve_build_info()) < 0; }
C
gcc -O1 -I"$include" "$work/info.c" -o "$work/info" -L"$(dirname "$library")" -lkvsieve -Wl,-rpath,"$(dirname "$library")"
says() { # processor, KVSIEVE_ISA, what kvsieve_build_info names
    local output
    output=$(KVSIEVE_ISA=$2 timeout 300 qemu-x86_64 -cpu "$1" "$work/info" 2>&1)
    [[ $output == *", $3, "* ]]
    expect "on $1 with KVSIEVE_ISA=$2 it uses $3: $output" $?
}
lacks() { # processor, instruction
    printf 'int main(void) { __asm__ volatile("%s"); return 0; }\n' "$2" >"$work/control.c"
    gcc -O1 "$work/control.c" -o "$work/control"
    (qemu-x86_64 -cpu "$1" "$work/control"; exit $?) 2>/dev/null
    [ $? = 132 ]
    expect "$1 ends at $2" $?
}
lacks $sse2 "haddps %xmm0, %xmm0"
lacks $sse2 "pshufb %xmm0, %xmm0"
lacks $sse2 "vaddps %ymm0, %ymm0, %ymm0"
lacks $sse42 "vaddps %ymm0, %ymm0, %ymm0"
lacks $avx2 "vaddps %zmm0, %zmm0, %zmm0"
says $sse2 "" sse2
says $sse2 v2 sse2
says $sse2 v3 sse2
says $sse42 "" sse4.2
says $sse42 base sse2
says $sse42 v3 sse4.2
says $avx2 "" avx2
says $avx2 base sse2
says $avx2 v2 sse4.2
says $avx2 v4 avx2
for name in "$@"; do
    for processor in $sse2 $sse42 $avx2; do
        output=$(KVSIEVE_TEST_SLOW=1 timeout 900 qemu-x86_64 -cpu "$processor" "$programs/$name" 2>&1)
        status=$?
        expect "$name on $processor: $(tail -n 3 <<<"$output")" $status
    done
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
