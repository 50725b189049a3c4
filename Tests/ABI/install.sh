#!/usr/bin/env bash
# `make install` in bindings/c, moved elsewhere afterwards: found by pkg-config and by CMake (where there is one), runs.
#     install.sh LIBRARY ROOT
set -u
library=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

check() { # name, command
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$output" | head -30
    fi
}

mkdir "$work/lib" && ln -s "$library" "$work/lib/libkvsieve.so"
check "make install" make --no-print-directory -C "$root/bindings/c" install LIB="$work/lib" PREFIX=/usr DESTDIR="$work/stage"
mv "$work/stage/usr" "$work/moved"
prefix=$work/moved
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$root/include/kvsieve.h")
check "the library is a file of its full version" test -f "$prefix/lib/libkvsieve.so.$version" -a ! -L "$prefix/lib/libkvsieve.so.$version"
check "libkvsieve.so.0 links to it" test "$(readlink "$prefix/lib/libkvsieve.so.0")" = "libkvsieve.so.$version"
check "libkvsieve.so links to libkvsieve.so.0" test "$(readlink "$prefix/lib/libkvsieve.so")" = libkvsieve.so.0
check "the header is the repository's" cmp "$prefix/include/kvsieve.h" "$root/include/kvsieve.h"

export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
check "pkg-config has the version" test "$(pkg-config --modversion kvsieve)" = "$version"
# shellcheck disable=SC2046
check "gcc with pkg-config" gcc -std=c99 -I"$root/bindings/c" "$root/bindings/c/methods.c" $(pkg-config --cflags --libs kvsieve) \
    -Wl,-rpath,"$prefix/lib" -o "$work/methods"
check "it runs" "$work/methods"

if command -v cmake >/dev/null; then
    cat >"$work/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.10)
project(user C)
find_package(kvsieve 0.1 REQUIRED)
add_executable(methods "$root/bindings/c/methods.c")
target_link_libraries(methods PRIVATE kvsieve::kvsieve)
END
    check "cmake finds the package" cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix"
    check "cmake builds with it" cmake --build "$work/build"
    check "what it built runs" "$work/build/methods"
    sed -i 's/kvsieve 0.1 REQUIRED/kvsieve 1.0 REQUIRED/' "$work/CMakeLists.txt"
    check "cmake refuses another major version" bash -c "! cmake -S '$work' -B '$work/other' -DCMAKE_PREFIX_PATH='$prefix'"
fi

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
