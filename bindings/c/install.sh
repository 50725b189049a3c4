#!/bin/sh
# What an installed KVSieve is: one list of files, which install writes and uninstall removes.
#     install.sh install | uninstall
# The environment has PREFIX; LIBDIR, in PREFIX; DESTDIR, which is put before PREFIX while a package is made; LIBRARY, a built
# libkvsieve.so. The files name each other by relative paths, so that PREFIX can be moved.
set -eu
refuse() {
    echo "$1" >&2
    exit 1
}

# A file: how it is made, of what, and its place in PREFIX. What is added to an installation is added here.
each_file() { # what is called with each
    "$1" program "$LIBRARY" "$lib/libkvsieve.so.$version"
    "$1" link "libkvsieve.so.$version" "$lib/$soname"
    "$1" link "$soname" "$lib/libkvsieve.so"
    "$1" copy "$root/include/kvsieve.h" include/kvsieve.h
    "$1" copy "$root/include/kvsieve.hpp" include/kvsieve.hpp
    "$1" copy "$root/include/kvsieve/outcome.hpp" include/kvsieve/outcome.hpp
    "$1" copy "$root/include/kvsieve/views.hpp" include/kvsieve/views.hpp
    "$1" copy "$root/include/kvsieve/module.modulemap" include/kvsieve/module.modulemap
    "$1" fill "$here/kvsieve.pc.in" "$lib/pkgconfig/kvsieve.pc"
    "$1" fill "$here/kvsieveConfig.cmake.in" "$lib/cmake/kvsieve/kvsieveConfig.cmake"
    "$1" fill "$here/kvsieveConfigVersion.cmake.in" "$lib/cmake/kvsieve/kvsieveConfigVersion.cmake"
    "$1" copy "$root/LICENSE" share/doc/kvsieve/LICENSE
    "$1" fill "$root/docs/NOTICE.in" share/doc/kvsieve/NOTICE
}
# The HTML manual, if `make manual` has made it. Its files are not listed: the folder is the manual's alone.
manual=share/doc/kvsieve/html
install_manual() {
    target=$DESTDIR$PREFIX/$manual
    rm -rf "$target" # an earlier version's, too
    [ -f "$root/.build/manual/index.html" ] || return 0
    (cd "$root/.build/manual" && find . -type f) | sort | while read -r page; do
        install -D -m 644 "$root/.build/manual/$page" "$target/$page"
    done
    find "$target" -type d -exec chmod 755 {} +
    echo "$target/index.html"
}
# Folders that are KVSieve's alone. Others may have been there before.
own_folders() {
    echo include/kvsieve
    echo "$lib/cmake/kvsieve"
    echo share/doc/kvsieve
}

write() { # how, of what, place
    target=$DESTDIR$PREFIX/$3
    folder=$(dirname "$target")
    [ -d "$folder" ] || install -d "$folder" # which would change the mode of a folder that is there
    # What was there is never written into: a process may have it open.
    case $1 in
    program) install -m 755 "$2" "$target" ;;
    copy) install -m 644 "$2" "$target" ;;
    link) ln -sf "$2" "$target" ;;
    fill)
        rm -f "$target"
        sed -e "s|@VERSION@|$version|; s|@SONAME@|$soname|; s|@LIBDIR@|$lib|; s|@UP@|$up|" \
            -e "s|@SWIFT@|$swift|" "$2" >"$target"
        chmod 644 "$target"
        ;;
    esac
    echo "$target"
}

remove() { # how, of what, place
    rm -f "$DESTDIR$PREFIX/$3"
}

# The version of the Swift runtime in the library is in a note of the build beside it. If several toolchains have left notes there,
# nothing says which was the last.
linked() {
    swift=$(sed -nE 's/.*(Swift version [0-9.]+).*/\1/p' "$(dirname "$(realpath "$LIBRARY")")"/swift-version-*.txt 2>/dev/null | sort -u)
    [ "$(echo "$swift" | wc -l)" = 1 ] || swift=""
    swift=${swift:-Swift, version unknown}
}

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$root/include/kvsieve.h")
soname=libkvsieve.so.${version%%.*}
DESTDIR=${DESTDIR-} PREFIX=${PREFIX%/} lib=${LIBDIR%/}
case $PREFIX in
/* | "") ;;
*) refuse "PREFIX is $PREFIX: it must be a path from / on." ;;
esac
lib=${lib#"$PREFIX/"}
case /$lib/ in
*[!A-Za-z0-9._+/-]* | *//* | */./* | */../*)
    refuse "LIBDIR is $LIBDIR: it must be a folder in PREFIX ($PREFIX/), of letters, digits and . _ + - as in lib/x86_64-linux-gnu."
    ;;
esac
up=$(echo "$lib" | sed 's|[^/]*|..|g') # from LIBDIR to PREFIX

case $1 in
install)
    [ -f "$LIBRARY" ] || refuse "No library is at $LIBRARY: make build, in the root of the repository, makes it."
    linked
    each_file write
    install_manual
    ;;
uninstall)
    each_file remove
    rm -rf "$DESTDIR$PREFIX/$manual"
    own_folders | while read -r folder; do
        rmdir "$DESTDIR$PREFIX/$folder" 2>/dev/null || true
    done
    ;;
*) refuse "install.sh install | uninstall" ;;
esac
