#!/usr/bin/env bash
# Everything that has a version has the header's, and follows its rule (Versions).
#     version.sh LIBRARY ROOT
set -u
library=$(realpath "$1") root=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

is() { # what, found, expected
    if [ "$2" = "$3" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s: "%s" is not "%s"\n' "$1" "$2" "$3"
    fi
}

number() { sed -nE "s/^#define KVSIEVE_VERSION_$1 ([0-9]+)$/\1/p" "$root/include/kvsieve.h"; }
major=$(number MAJOR) minor=$(number MINOR) patch=$(number PATCH)
version=$major.$minor.$patch
ask() { /usr/bin/python3 -c "import ctypes, sys; f = ctypes.CDLL(sys.argv[1]).$2; f.restype = ctypes.$1; print(f())" "$library"; }
is "kvsieve_version()" "$(ask c_int kvsieve_version)" $((major * 10000 + minor * 100 + patch))
is "kvsieve_build_info()" "$(ask c_char_p kvsieve_build_info | sed -nE "s/^b'kvsieve ([^,]+),.*/\1/p")" "$version"
is "CHANGELOG.md, newest" "$(sed -nE 's/^## ([0-9.]+) \((unreleased|[0-9]{4}-[0-9]{2}-[0-9]{2})\)$/\1/p' "$root/CHANGELOG.md" | head -n 1)" "$version"

is "soname" "$(readelf -dW "$library" | sed -nE 's/.*\(SONAME\).*\[(.*)\]/\1/p')" "libkvsieve.so.$major"
nodes=$(readelf -VW "$library" | sed -nE 's/.*Name: KVSIEVE_([0-9.]+)$/\1/p' | sort -uV)
is "symbol versions begin with MAJOR" "$(grep -v "^$major\." <<<"$nodes")" ""
is "no symbol version is newer than the library" "$(printf '%s\n' "$nodes" "$major.$minor" | sort -V | tail -n 1)" "$major.$minor"

LIBRARY=$library PREFIX=$work LIBDIR=lib DESTDIR='' sh "$root/bindings/c/install.sh" install >"$work/list"
is "the installed library" "$(readlink "$work/lib/libkvsieve.so.$major")" "libkvsieve.so.$version"
is "pkg-config" "$(sed -nE 's/^Version: //p' "$work/lib/pkgconfig/kvsieve.pc")" "$version"
is "CMake" "$(sed -nE 's/^set\(PACKAGE_VERSION "(.*)"\)$/\1/p' "$work/lib/cmake/kvsieve/kvsieveConfigVersion.cmake")" "$version"
page=$root/bindings/c/README.md
is "bindings/c/README.md, file" "$(grep -oE 'libkvsieve\.so\.[0-9]+\.[0-9.]*[0-9]' "$page" | sort -u)" "libkvsieve.so.$version"
is "bindings/c/README.md, CMake" "$(sed -nE 's/^find_package\(kvsieve ([0-9.]+) .*/\1/p' "$page")" "$major.$minor"

package=$root/bindings/python
of_package() { PYTHONPATH="$package/src" "${VENV_PYTHON:-python3}" -c "from kvsieve import _library, _version; print($1)"; }
is "_version.py" "$(of_package _version.VERSION)" "$version"
is "what the package loads" "$(of_package _library.SONAME)" "libkvsieve.so.$major"
is "pyproject.toml takes the package's" "$(grep -cE '^version *= *\{ *attr *= *"kvsieve\._version\.VERSION" *\}$' "$package/pyproject.toml")" 1
is "and has none of its own" "$(grep -cE '^version *= *"' "$package/pyproject.toml")" 0

# CMake's check, as find_package calls it: the same MAJOR, and not older.
cmake=$(command -v cmake || echo "$root/.venv/bin/cmake") # make test puts it there
takes() { # a version that is asked for, in a library of another
    sed "s/\"$version\"/\"$2\"/" "$work/lib/cmake/kvsieve/kvsieveConfigVersion.cmake" >"$work/check.cmake"
    local count
    count=$(awk -F. '{ print NF }' <<<"$1")
    cat >"$work/ask.cmake" <<END
set(PACKAGE_FIND_VERSION $1)
set(PACKAGE_FIND_VERSION_MAJOR ${1%%.*})
set(PACKAGE_FIND_VERSION_COUNT $count)
include($work/check.cmake)
message("\${PACKAGE_VERSION_COMPATIBLE}")
END
    "$cmake" -P "$work/ask.cmake" 2>&1
}
for case in "0.1 0.1.0 TRUE" "0.1 0.2.0 TRUE" "0.1.0 0.1.1 TRUE" "0 0.1.0 TRUE" "0.2 0.1.9 FALSE" "0.1.1 0.1.0 FALSE" \
    "1.0 0.1.0 FALSE" "0.1 1.0.0 FALSE" "0 1.0.0 FALSE" "1.2 1.10.0 TRUE"; do
    read -r asked there expected <<<"$case"
    is "CMake: $asked of $there" "$(takes "$asked" "$there")" "$expected"
done

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
