#!/usr/bin/env bash
# A Python test with a library that AddressSanitizer watches.      under_address.sh LIBRARY TEST [ARGUMENT ...]
set -eu
export KVSIEVE_LIBRARY=$PWD/$1
shift
runtime=$("$(dirname "$(command -v swift)")/clang" -print-file-name="libclang_rt.asan-$(uname -m).so")
# Python leaves memory to the end of the process: the C programs look for what the library loses.
LD_PRELOAD=$runtime ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 exec "$VENV_PYTHON" "$@"
