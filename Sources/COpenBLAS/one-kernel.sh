#!/bin/sh
# Writes one-kernel.args: what the linker is told so that of OpenBLAS, which has kernels for twenty processors in a dozen number
# types, the product of float32 matrices for the oldest of them (SSE3) is all that comes in.      one-kernel.sh LIBOPENBLAS.A
#
# On x86-64 the library's own kernels make the products from AVX2 on; BLAS makes them on processors that have less.
set -eu
archive=$(realpath "$1")
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && ar x "$archive" setparam_PRESCOTT.o)
{
    # The table of any processor is that of Prescott. SAPPHIRERAPIDS came with 0.3.22.
    for processor in CORE2 PENRYN DUNNINGTON NEHALEM OPTERON OPTERON_SSE3 BARCELONA BOBCAT ATOM NANO SANDYBRIDGE BULLDOZER \
        PILEDRIVER STEAMROLLER EXCAVATOR HASWELL ZEN SKYLAKEX COOPERLAKE SAPPHIRERAPIDS; do
        echo "gotoblas_$processor=gotoblas_PRESCOTT"
    done
    # What sgemm does not call. A new OpenBLAS may have more: they come in, and the library is larger.
    nm "$work/setparam_PRESCOTT.o" | sed -n 's/^ *U \([a-z].*_PRESCOTT\)$/\1/p' | grep -vE '^(sgemm|sgemv|sscal)_' | LC_ALL=C sort |
        sed 's/$/=support_no_kernel/'
} | sed 's/^/-Xlinker --defsym=/' >one-kernel.args
