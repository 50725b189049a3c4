#!/usr/bin/env bash
# Compiles the library and its Swift tests for arm64 on x86-64, module by module.      build.sh CACHE OUT
#
# CACHE is what fetch.sh made. SwiftPM is not asked: it would need a toolchain of its own for the other processor. The flags are
# those of Package.swift for arm64, in release; internal names can be tested. A module is compiled again if it or one before it changed.
set -eu
cache=$(realpath "$1")
mkdir -p "$2"
out=$(realpath "$2")
cd "$(dirname "$0")/../.."
root=$PWD
target=$cache/target
swift=$target/usr/libexec/swift/lib
gnu=usr/lib/aarch64-linux-gnu
mkdir -p "$out/modules" "$out/objects"
changed="" # from the first module that is compiled on, all are

newer() { # object, sources
    local object=$1
    shift
    [ -n "$changed" ] || [ ! -e "$object" ] || [ -n "$(find -L "$@" -newer "$object" -type f)" ]
}

printf 'module CSupport { header "%s" export * }\n' "$root/Sources/CSupport/include/csupport.h" >"$out/modules/CSupport.modulemap"
swift_flags=(-frontend -c -O -whole-module-optimization -swift-version 6 -package-name kvsieve -enable-testing
    -solver-expression-time-threshold=60
    -target aarch64-unknown-linux-gnu -sdk "$target" -module-cache-path "$out/cache" -I "$out/modules"
    -plugin-path "$cache/host/usr/libexec/swift/lib/swift/host/plugins"
    -Xcc "--sysroot=$target" -Xcc "-I$target/usr/include/aarch64-linux-gnu/openblas-pthread"
    -Xcc "-fmodule-map-file=$out/modules/CSupport.modulemap"
    -Xcc "-fmodule-map-file=$root/Sources/CKVSieve/include/module.modulemap"
    -Xcc "-fmodule-map-file=$root/Sources/COpenBLAS/module.modulemap")

module() { # name, folder, its resources, further flags
    local name=$1 folder=$2 resources=$3 object=$out/objects/$1.o start=$SECONDS
    shift 3
    newer "$object" "$folder" || return 0
    changed=yes
    # shellcheck disable=SC2046
    "$cache/bin/swift-frontend" "${swift_flags[@]}" -resource-dir "$swift/$resources" -module-name "$name" "$@" \
        -emit-module-path "$out/modules/$name.swiftmodule" -o "$object" $(find -L "$folder" -name '*.swift' | LC_ALL=C sort)
    touch "$object" "$out/modules/$name.swiftmodule" # which the compiler leaves as they are where nothing changed
    echo "$name: $((SECONDS - start)) s"
}

for source in Sources/CSupport/*.c Sources/CKVSieve/types.c Sources/KVSieve/*.c; do
    name=$(basename "$(dirname "$source")")-$(basename "$source" .c)
    "$cache/bin/clang" -c -O2 -fPIC -ISources/CSupport/include -ISources/CKVSieve/include "$source" -o "$out/objects/$name.o"
done
for name in KVSieveKernels KVSieveCore KVSieveMethods KVSieveSelfCheck KVSieveABI; do module $name Sources/$name swift_static -parse-as-library; done

# The library, with the flags of Package.swift's KVSieve.
core=("$out"/objects/{CSupport-*,CKVSieve-*,KVSieveKernels,KVSieveCore,KVSieveMethods,KVSieveSelfCheck}.o)
wraps=() libraries=(-lTesting -lFoundation -lFoundationEssentials -ldispatch -lBlocksRuntime)
for module in Core Dispatch Glibc Synchronization _Concurrency _StringProcessing _RegexParser _Builtin_float; do
    libraries+=("-lswift$module")
done
for name in getenv openblas_num_threads_env openblas_read_env blas_memory_alloc blas_memory_free; do wraps+=("-Wl,--wrap=$name"); done
allocators=()
for name in malloc calloc realloc free posix_memalign aligned_alloc malloc_usable_size _Znwm _ZnwmSt11align_val_t _ZdlPvm \
    _ZdlPvmSt11align_val_t; do allocators+=("-Wl,--wrap=$name"); done
"$cache/bin/clang" -shared "${core[@]}" "$out"/objects/{KVSieveABI,KVSieve-environment,KVSieve-allocators}.o \
    "$swift/swift_static/linux/aarch64/swiftrt.o" -L"$swift/swift_static/linux" @"$swift/swift_static/linux/static-stdlib-args.lnk" \
    -lswiftSynchronization "${wraps[@]}" "${allocators[@]}" "$target/$gnu/openblas-pthread/libopenblas.a" -lm -lpthread -ldl -lstdc++ \
    "-Wl,--version-script=Sources/KVSieve/exports.map" -Wl,-soname=libkvsieve.so.0 -Wl,-z,nodelete -Wl,-z,now \
    "-Wl,--script=Sources/KVSieve/sections.lds" "-Wl,--wrap=_ZN5swift7runtime11environment10initializeEPv" -Wl,-s -Wl,--gc-sections \
    -o "$out/libkvsieve.so"
ln -sf libkvsieve.so "$out/libkvsieve.so.0"
[ "${3-}" = tests ] || exit 0

# The Swift tests, each target a program: the runtime is the shared one, which has Swift Testing.
module TestSupport Tests/TestSupport swift -parse-as-library
for name in KernelTests CoreTests MethodTests; do
    module $name Tests/$name swift -parse-as-library
    module Run$name Tests/Arm64/main swift -parse-as-library
    "$cache/bin/clang" "$out/objects/Run$name.o" "$out/objects/$name.o" "$out/objects/TestSupport.o" "${core[@]}" \
        "$swift/swift/linux/aarch64/swiftrt.o" -L"$target/usr/libexec/swift/lib/swift/linux" "${libraries[@]}" "${wraps[@]}" \
        "$target/$gnu/openblas-pthread/libopenblas.a" -lm -lpthread -ldl -lstdc++ -Wl,-rpath,/usr/libexec/swift/lib/swift/linux -o "$out/$name"
done
