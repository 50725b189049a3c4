#!/usr/bin/env bash
# `make install` with no swift on the PATH, under a strict umask, moved elsewhere afterwards: found by pkg-config, by CMake (if there
# is one) and by cc alone, runs. `make uninstall`, `help`, `clean`, and what `make build` says if something is missing.
#     install.sh LIBRARY ROOT
set -u
library=$(realpath "$1") root=$(realpath "$2")
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
same() { diff <(echo "$1") <(echo "$2"); }
has() { grep -qF -e "$2" <<<"$1" || { echo "$1" && false; }; }
has_not() { if grep -F -e "$2" <<<"$1"; then false; fi; }
files() { (cd "$1" && find . -type f -o -type l | sed 's|^\./||' | LC_ALL=C sort); }

# The repository again, with the built library, and a PATH without swift.
mkdir -p "$work/repository/.build/release" "$work/tools" "$work/home" "$work/fresh"
git -C "$root" ls-files --cached --others --exclude-standard -z |
    tar -c -C "$root" --null -T - --ignore-failed-read 2>/dev/null | tar -x -C "$work/repository"
sources=$(files "$work/repository")
mkdir -p "$work/repository/.build/manual/python" # what make manual leaves
echo one >"$work/repository/.build/manual/index.html"
echo two >"$work/repository/.build/manual/python/kvsieve.html"
ln -s "$library" "$work/repository/.build/release/libkvsieve.so"
with_swift=$PATH cmake=$(command -v cmake || echo "$root/.venv/bin/cmake") # make test puts it there
swift_version=$(swift --version 2>&1 | sed -nE 's/.*(Swift version [0-9.]+).*/\1/p')
ln -s /usr/bin/* "$work/tools"
rm -f "$work/tools"/swift*
export PATH=$work/tools
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$root/include/kvsieve.h")
cp "$root/bindings/c/methods.c" "$root/bindings/c/example.h" "$work/fresh"
cat >"$work/fresh/info.c" <<'END'
#include <kvsieve.h>
#include <stdio.h>
int main(void) {
    puts(kvsieve_build_info());
    return kvsieve_version() == KVSIEVE_VERSION_MAJOR * 10000 + KVSIEVE_VERSION_MINOR * 100 + KVSIEVE_VERSION_PATCH ? 0 : 1;
}
END
cat >"$work/fresh/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.10)
project(user C)
find_package(kvsieve ${wanted} REQUIRED)
add_executable(methods methods.c)
target_link_libraries(methods PRIVATE kvsieve::kvsieve)
END

make_() { (umask 077 && make --no-print-directory "$@"); }

installed() { # which Makefile, LIBDIR, LIBDIR as it is passed, pages of the manual
    local name="LIBDIR=$3, " stage="$work/stage of $2" prefix=$work/moved/$2 lib=$2 pages=${4-}
    local to=(PREFIX=/opt/sieve LIBDIR="$3" DESTDIR="$stage")
    mkdir -p "$stage/opt/sieve/share/doc/other" "$prefix"
    touch "$stage/opt/sieve/share/doc/other/NOTICE"
    check "${name}make install" make_ -C "$1" install LIB="$work/repository/.build/release" "${to[@]}"
    check "${name}these files, and no other" same "$(files "$stage/opt/sieve")" "$(printf '%s\n' include/kvsieve.h \
        include/kvsieve.hpp include/kvsieve/module.modulemap include/kvsieve/outcome.hpp include/kvsieve/views.hpp \
        "$lib/cmake/kvsieve/kvsieveConfig.cmake" "$lib/cmake/kvsieve/kvsieveConfigVersion.cmake" "$lib/libkvsieve.so" \
        "$lib/libkvsieve.so.0" "$lib/libkvsieve.so.$version" "$lib/pkgconfig/kvsieve.pc" share/doc/kvsieve/LICENSE \
        share/doc/kvsieve/NOTICE $pages share/doc/other/NOTICE)"
    check "${name}all may read them" same "$(find "$stage/opt/sieve/$lib" "$stage/opt/sieve/include" "$stage/opt/sieve/share/doc/kvsieve" \
        \( -type d -not -perm 755 \) -o \( -type f -name 'lib*' -not -perm 755 \) -o \( -type f -not -name 'lib*' -not -perm 644 \))" ""
    cp -a "$stage/opt/sieve/." "$prefix"
    mkdir -p "$stage/opt/sieve/share/doc/kvsieve/html" # of an earlier version, which had a manual
    touch "$stage/opt/sieve/share/doc/kvsieve/html/old.html"
    check "${name}make install again" make_ -C "$1" install LIB="$work/repository/.build/release" "${to[@]}"
    check "${name}a page that the manual has no more is gone" test ! -e "$stage/opt/sieve/share/doc/kvsieve/html/old.html"
    [ -n "$pages" ] || check "${name}nor is there an empty folder" test ! -e "$stage/opt/sieve/share/doc/kvsieve/html"
    check "${name}make uninstall" make_ -C "$1" uninstall "${to[@]}"
    check "${name}what was there before is left" same "$(files "$stage")" opt/sieve/share/doc/other/NOTICE
    check "${name}no folder of its own is left" same "$(find "$stage/opt" -name '*kvsieve*')" ""

    check "${name}the library is a file of its full version" same "$(stat -c %F "$prefix/$lib/libkvsieve.so.$version")" "regular file"
    check "${name}libkvsieve.so.0 links to it" test "$(readlink "$prefix/$lib/libkvsieve.so.0")" = "libkvsieve.so.$version"
    check "${name}libkvsieve.so links to libkvsieve.so.0" test "$(readlink "$prefix/$lib/libkvsieve.so")" = libkvsieve.so.0
    check "${name}the header is the repository's" cmp "$prefix/include/kvsieve.h" "$root/include/kvsieve.h"
    check "${name}no file has a path of the machine that built it" has_not "$(cat "$prefix/$lib"/*/*.pc "$prefix/$lib"/*/*/*.cmake)" /opt/
    check "${name}no Swift and no BLAS is loaded" same "$(ldd "$prefix/$lib/libkvsieve.so" | grep -iE 'swift|blas')" ""

    cd "$work/fresh" || exit 1
    check "${name}cc alone" cc -std=c99 info.c -I"$prefix/include" -L"$prefix/$lib" -lkvsieve -Wl,-rpath,"$prefix/$lib" -o info
    check "${name}it runs" env -i ./info
    local notice
    notice=$(cat "$prefix/share/doc/kvsieve/NOTICE")
    check "${name}NOTICE has the Swift that built it" has "$notice" "$swift_version"
    check "${name}NOTICE is filled in" has_not "$notice" @
    check "${name}no BLAS is in the library" has_not "$(strings -n 6 "$prefix/$lib/libkvsieve.so")" sgemm
    check "${name}NOTICE has what Swift and LLVM except" same "$(grep -c 'As an exception, if' <<<"$notice")" 2
    check "${name}LICENSE is the repository's" cmp "$prefix/share/doc/kvsieve/LICENSE" "$root/LICENSE"

    export PKG_CONFIG_PATH=$prefix/$lib/pkgconfig
    check "${name}pkg-config has the version" test "$(pkg-config --modversion kvsieve)" = "$version"
    # shellcheck disable=SC2046
    check "${name}cc with pkg-config" cc -std=c99 methods.c $(pkg-config --cflags --libs kvsieve) -Wl,-rpath,"$prefix/$lib" -o methods
    check "${name}it runs" env -i ./methods
    rm -rf build
    check "${name}cmake finds the package" "$cmake" -S . -B build -Dwanted="${version%.*}" -Dkvsieve_DIR="$prefix/$lib/cmake/kvsieve"
    check "${name}cmake builds with it" "$cmake" --build build
    check "${name}what it built runs" env -i build/methods
    check "${name}cmake refuses another major version" has \
        "$("$cmake" -S . -B other -Dwanted=$((${version%%.*} + 1)).0 -Dkvsieve_DIR="$prefix/$lib/cmake/kvsieve" 2>&1)" "kvsieveConfig.cmake, version: $version"
    rm -rf other
}

manual="share/doc/kvsieve/html/index.html share/doc/kvsieve/html/python/kvsieve.html"
installed "$work/repository/bindings/c" lib lib "$manual"
installed "$work/repository" lib64 /opt/sieve/lib64/ "$manual"
rm -r "$work/repository/.build/manual"
installed "$work/repository" lib/x86_64-linux-gnu lib/x86_64-linux-gnu
cd "$work" || exit 1

# Two toolchains have built in the library's folder: nothing says whose the library is.
mkdir "$work/two" && cp "$library" "$work/two/libkvsieve.so"
echo "Swift version 6.1 (one)" >"$work/two/swift-version-1.txt"
echo "Swift version 6.2 (another)" >"$work/two/swift-version-2.txt"
make_ -C "$root/bindings/c" install LIB="$work/two" PREFIX="$work/two" >/dev/null
check "NOTICE does not guess which Swift" has "$(cat "$work/two/share/doc/kvsieve/NOTICE")" "Swift, version unknown"

refused() { # text that the message has, variables
    local text=$1 output
    shift
    output=$(make_ -C "$work/repository" install DESTDIR="$work/refused" "$@" 2>&1) && return 1
    has "$output" "$text" && test ! -e "$work/refused"
}
check "PREFIX must be absolute" refused "PREFIX is out: it must be a path from / on" PREFIX=out
check "LIBDIR must be in PREFIX" refused "LIBDIR is /opt/lib: it must be a folder in PREFIX" LIBDIR=/opt/lib
check "LIBDIR must not leave PREFIX" refused "LIBDIR is ../lib: it must be a folder in PREFIX" LIBDIR=../lib
check "LIBDIR must not be empty" refused "LIBDIR is : it must be a folder in PREFIX" LIBDIR=
check "a library must be there" refused "No library is at" -C bindings/c LIB="$work/home"

# What is missing, in one sentence. some_swift has a swift that does nothing.
mkdir "$work/some_swift" && ln -s /bin/true "$work/some_swift/swift"
cp -a "$work/tools" "$work/no_cc" && rm "$work/no_cc/cc"
missing() { # PATH, texts that the sentence has
    local output path=$1
    shift
    if output=$(cd "$work/repository" && PATH=$path sh .ci/needs 2>&1); then return 1; fi
    [ "$(wc -l <<<"$output")" = 1 ] || { echo "$output" && return 1; }
    for text in "$@"; do has "$output" "$text" || return 1; done
}
check "without swift" missing "$PATH" "The build needs swift 6 on the PATH; " "swiftly init"
check "without a C compiler" missing "$work/no_cc:$work/some_swift" \
    "The build needs a C compiler (cc); " "apt-get install -y build-essential"
check "without both" missing "$work/no_cc" "swift 6 on the PATH and a C compiler (cc)" build-essential "swiftly init"
check "the packages of a machine without cc" same "$(cd "$root" && PATH=$work/no_cc sh .ci/needs --packages)" build-essential
check "nothing is missing" same "$(cd "$root" && PATH=$with_swift sh .ci/needs 2>&1 || echo failed)" ""
said=$(make_ -C "$work/repository" build 2>&1)
check "make build says so and stops" has "$said" "The build needs swift 6 on the PATH; "
check "and has installed nothing" same "$(files "$work/repository")" "$(printf '%s\n.build/release/libkvsieve.so\n' "$sources" | LC_ALL=C sort)"

mkdir -p "$work/a place" && cp -a "$work/repository" "$work/a place"
said=$(make_ -C "$work/a place/repository" build 2>&1)
check "a folder whose path has a space is refused by a sentence" has "$said" "The path of this folder has a space ($work/a place/repository)"
check "and by that alone" test "$(grep -vc '^make' <<<"$said")" = 1
check "setup says it before it installs" has "$(make_ -C "$work/a place/repository" setup 2>&1)" "The path of this folder has a space"
check "a built library is installed from there" make_ -C "$work/a place/repository" install DESTDIR="$work/spaced" PREFIX=/usr

# Where swift writes: Package.swift is compiled, and a target that is one line.
mkdir "$work/temporary"
at_home() {
    cd "$work/repository" &&
        env -u XDG_CACHE_HOME -u XDG_DATA_HOME HOME="$work/home" TMPDIR="$work/temporary" PATH="$with_swift" "$@"
}
check "swift builds" at_home .ci/swift build --target CKVSieve
check "and writes nothing outside the folder" same "$(find "$work/home" "$work/temporary" -mindepth 1)" ""

targets=$(grep -oE '^[a-z-]+:' "$root/Makefile" | sort)
check "make help has every target" same "$(make_ -C "$root" help | awk '{ print $2 ":" }' | sort)" "$targets"
check "and a line says what it is" same "$(make_ -C "$root" help | grep -vE '^make [a-z-]+ +[^ ].{3,125}$')" ""

for made in .build/release/x .build-tests/x .build-asan/x .venv/bin/python .venv-lab/x .venv-peers/x .mypy_cache/x .ruff_cache/x \
    .pytest_cache/x Package.resolved bindings/c/build/x bindings/python/build/x dist/x Tests/__pycache__/x.pyc \
    bindings/python/src/kvsieve.egg-info/x bindings/python/tests/.pytest_cache/x bindings/python/lab/__pycache__/x.pyc docs/manual/__pycache__/x.pyc; do
    mkdir -p "$work/repository/$(dirname $made)"
    touch "$work/repository/$made"
done
check "make clean" make_ -C "$work/repository" clean
check "leaves the sources" same "$(files "$work/repository")" "$sources"

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
