#!/bin/sh
# Builds llama.cpp as the sdist of llama-cpp-python carries it, once, and then sieve.cpp with it. Prints the path of the program.
#
#     sh build.sh LIBRARY PROGRAM     LIBRARY: libkvsieve.so; PROGRAM: the file to write
#
# The sdist (77 MB), cmake, ninja and what they make are kept in KVSIEVE_ENGINES_CACHE, else in ~/.cache/kvsieve-engines. llama.cpp
# is compiled for this processor. A folder whose name has the sdist's hash is whole if it has the file `made`.
set -eu
library=$(realpath "$1")
program=$2
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)

package=llama-cpp-python
version=0.3.36
sdist=llama_cpp_python-$version.tar.gz
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
cache=${KVSIEVE_ENGINES_CACHE:-$HOME/.cache/kvsieve-engines}
folder=$cache/llama-$version-$(printf %.8s "$sha256")
build=$folder/build

if [ ! -f "$folder/made" ]; then
    echo "building llama.cpp of $package $version in $folder, once: 77 MB to download, 5 minutes or more" >&2
    mkdir -p "$folder"
    [ -x "$folder/tools/bin/ninja" ] || {
        /usr/bin/python3 -m venv "$folder/tools"
        "$folder/tools/bin/pip" install -q --disable-pip-version-check cmake==4.4.5 ninja==1.13.2
    }
    [ -f "$folder/$sdist" ] || "$folder/tools/bin/pip" download -q --disable-pip-version-check --no-deps \
        --no-binary "$package" --dest "$folder" "$package==$version"
    if ! echo "$sha256  $folder/$sdist" | sha256sum -c --quiet - >&2; then
        rm -f "$folder/$sdist"
        echo "the sdist is not the one that was tried: it was deleted" >&2
        exit 1
    fi
    tar -xzf "$folder/$sdist" -C "$folder" --strip-components=1 "llama_cpp_python-$version/vendor/llama.cpp"
    # Only the library: its default target needs what is switched off here.
    "$folder/tools/bin/cmake" -S "$folder/vendor/llama.cpp" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
        -DCMAKE_MAKE_PROGRAM="$folder/tools/bin/ninja" -DGGML_NATIVE=ON -DLLAMA_CURL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_COMMON=OFF >"$folder/cmake.log" 2>&1
    nice -n 10 "$folder/tools/bin/cmake" --build "$build" --target llama >"$folder/build.log"
    touch "$folder/made"
fi

mkdir -p "$(dirname "$program")"
c++ -O2 -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$root/include" -isystem "$folder/vendor/llama.cpp/include" \
    -isystem "$folder/vendor/llama.cpp/ggml/include" "$here/sieve.cpp" -o "$program" \
    -L"$build/bin" -lllama -lggml -lggml-base "$library" -Wl,-rpath,"$build/bin" -Wl,-rpath,"$(dirname "$library")"
echo "$program"
