#!/usr/bin/env bash
# What `make release` has made, each in an empty folder: the README's programs with the tarball (cc, pkg-config, CMake if there is
# one) and with the wheel; the sdist's sentence, and the sdist with the tarball's library.
#     try.sh FOLDER ROOT
set -u
folder=$(realpath "$1") root=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
unset KVSIEVE_LIBRARY KVSIEVE_ISA PYTHONPATH LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH

check() { # name, command
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$output" | tail -n 40
    fi
}
empty() { mkdir "$work/$1" && cd "$work/$1" || exit 1; }
block() { awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; next } /^```$/ { if (inside) exit } inside' "$root/README.md"; }
# 2 layers of 2 heads keep 128 rows in the mean.
sums() { awk '/^layer [01] keeps / { sum += $4 } END { print sum; exit sum != 512 }' <<<"$("$@")"; }
of_python() { "$@" >said 2>&1 && tr -d '[]' <said | awk '{ for (i = 1; i <= NF; ++i) sum += $i } END { print sum; exit sum != 512 }' || { cat said && false; }; }
unzip_times() { /usr/bin/python3 -c "import sys, zipfile; print(len({i.date_time for i in zipfile.ZipFile(sys.argv[1]).infolist()}))" "$1"; }
says() { # text, command that must fail
    local text=$1 output
    shift
    if output=$("$@" 2>&1); then return 1; fi
    grep -qF -- "$text" <<<"$output" || { echo "$output" && false; }
}

version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$root/include/kvsieve.h")
tree=kvsieve-$version-linux-$(uname -m) source=kvsieve-$version
cd "$folder" || exit 1
wheel=$(echo "$folder/$source"-*.whl)
check "SHA256SUMS has three files" test "$(wc -l <SHA256SUMS)" = 3
check "and they are as it says" sha256sum --check --strict SHA256SUMS

empty tarball
check "the tarball" tar -xzf "$folder/$tree.tar.gz"
check "is one folder" test "$(ls)" = "$tree"
for file in LICENSE NOTICE; do check "it has $file" test -s "$tree/share/doc/kvsieve/$file"; done
check "of nobody, and of one time" test "$(tar -tvzf "$folder/$tree.tar.gz" --numeric-owner | awk '{ print $2, $4, $5 }' | sort -u | wc -l)" = 1
block c >program.c
check "cc alone" cc -std=c99 program.c -I"$tree/include" -L"$tree/lib" -lkvsieve -Wl,-rpath,"$PWD/$tree/lib" -o alone
check "the program runs" sums ./alone
export PKG_CONFIG_PATH=$PWD/$tree/lib/pkgconfig
# shellcheck disable=SC2046
check "cc with pkg-config" cc -std=c99 program.c $(pkg-config --cflags --libs kvsieve) -Wl,-rpath,"$PWD/$tree/lib" -o configured
check "the program runs" sums ./configured
unset PKG_CONFIG_PATH
cmake=$(command -v cmake || echo "$root/.venv/bin/cmake") # make test puts it there; a release alone may have none
if [ -x "$cmake" ]; then
    printf '%s\n' 'cmake_minimum_required(VERSION 3.10)' 'project(user C)' "find_package(kvsieve ${version%.*} REQUIRED)" \
        'add_executable(user program.c)' 'target_link_libraries(user PRIVATE kvsieve::kvsieve)' >CMakeLists.txt
    check "cmake" "$cmake" -S . -B build -DCMAKE_PREFIX_PATH="$PWD/$tree"
    check "cmake builds" "$cmake" --build build
    check "the program runs" sums build/user
fi

empty wheel
check "a Python environment" /usr/bin/python3 -m venv environment
check "the wheel" environment/bin/python -m pip install --quiet --disable-pip-version-check "$wheel"
check "its files are of one time" test "$(unzip_times "$wheel")" = 1
block python >program.py
check "the program runs" of_python env PATH=/nowhere environment/bin/python program.py
check "with the wheel's library" of_python env PATH=/nowhere environment/bin/python -c \
    "import kvsieve._library as l; assert l.find().startswith('$PWD/'), l.find(); assert l.version() == '$version'; print(512)"

empty sdist
check "the sdist" tar -xzf "$folder/$source.tar.gz"
check "is one folder" test "$(ls)" = "$source"
check "without a library it says how to get one" says "/nowhere/libkvsieve.so is not there" env KVSIEVE_LIBRARY=/nowhere/libkvsieve.so \
    ../wheel/environment/bin/python -m pip wheel --no-deps --disable-pip-version-check -w made "$folder/$source.tar.gz"
check "and makes nothing" test -z "$(ls -A made 2>/dev/null)"

check "with the tarball's library it installs" env KVSIEVE_LIBRARY="$work/tarball/$tree/lib/libkvsieve.so" ../wheel/environment/bin/python \
    -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall "$folder/$source.tar.gz"
check "the program runs" of_python env PATH=/nowhere ../wheel/environment/bin/python ../wheel/program.py

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
