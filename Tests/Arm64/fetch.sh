#!/usr/bin/env bash
# Makes CACHE: a compiler of Swift for x86-64 that compiles for arm64, qemu, and the libraries of arm64.      fetch.sh CACHE
#
# Debian's packages of the same version for both processors go together: the compiler of one reads the modules of the other. Nothing is
# installed: programs are started by Debian 13's own loader. 0.9 GB are fetched and 1.6 GB kept. Needs apt-get, dpkg-deb and Debian's
# keys; no root.
set -eu
mkdir -p "$1"
cache=$(realpath "$1")
packages=$(cd "$(dirname "$0")" && pwd)/packages
if cmp -s "$packages" "$cache/fetched"; then exit 0; fi

rm -rf "$cache"/{fetched,bin,host,target,apt}
mkdir -p "$cache"/{apt/lists/partial,apt/archives/partial,deb,bin}
: >"$cache/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$cache/apt/sources.list"
cat >"$cache/apt/apt.conf" <<CONF
Dir::Etc::sourcelist "$cache/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$cache/apt/lists";
Dir::State::status "$cache/apt/status";
Dir::Cache "$cache/apt";
APT::Architecture "amd64";
APT::Architectures { "amd64"; "arm64"; };
Acquire::Languages "none";
APT::Sandbox::User "";
CONF
export APT_CONFIG=$cache/apt/apt.conf
cd "$cache/deb"
updated=""
while read -r sum package; do
    case $sum in "#"* | "") continue ;; esac
    name=${package%%:*} version=${package#*=} architecture=${package#*:}
    architecture=${architecture%%=*}
    file=${name}_${version//:/%3a}_$architecture.deb
    if ! echo "$sum  $file" | sha256sum --check --quiet 2>/dev/null; then
        [ -n "$updated" ] || apt-get update -qq
        updated=yes
        apt-get download -qq "$package"
        echo "$sum  $file" | sha256sum --check --quiet
    fi
    root=$cache/target
    [ "$architecture" != amd64 ] || root=$cache/host
    if [ ! -e "$root/lib" ]; then
        mkdir -p "$root/usr/lib" "$root/usr/lib64"
        ln -s usr/lib "$root/lib"
        ln -s usr/lib64 "$root/lib64"
    fi
    case $name:$architecture in # of Swift, what a compile needs
    swiftlang:amd64)
        dpkg-deb --fsys-tarfile "$file" | tar x -C "$root" --wildcards './usr/libexec/swift/bin/swift-frontend' \
            './usr/libexec/swift/lib/clang/*' './usr/libexec/swift/lib/swift/clang*' './usr/libexec/swift/lib/swift/host/*.so'
        ;;
    swiftlang:arm64)
        dpkg-deb --fsys-tarfile "$file" | tar x -C "$root" --wildcards --exclude='*/embedded/*' --exclude='*/host/*' \
            './usr/libexec/swift/lib/swift/*' './usr/libexec/swift/lib/swift_static/*' './usr/libexec/swift/lib/clang/*'
        ;;
    *) dpkg-deb -x "$file" "$root" ;;
    esac
done <"$packages"

starter() { # name, program, its first arguments
    cat >"$cache/bin/$1" <<SCRIPT
#!/bin/sh
h='$cache/host'
exec "\$h/lib64/ld-linux-x86-64.so.2" --library-path \\
    "\$h/usr/lib/x86_64-linux-gnu:\$h/usr/libexec/swift/lib/swift/linux:\$h/usr/libexec/swift/lib/swift/host" \\
    --argv0 "\$h/$2" "\$h/$2" $3 "\$@"
SCRIPT
    chmod +x "$cache/bin/$1"
}
starter swift-frontend usr/libexec/swift/bin/swift-frontend ""
starter qemu-aarch64 usr/bin/qemu-aarch64 "-L '$cache/target'"
# C is compiled and linked by the clang and lld of this machine's Swift.
cat >"$cache/bin/clang" <<SCRIPT
#!/bin/sh
exec "\$(dirname "\$(command -v swift)")/clang" --target=aarch64-unknown-linux-gnu --sysroot='$cache/target' -fuse-ld=lld \\
    -Wno-unused-command-line-argument "\$@"
SCRIPT
chmod +x "$cache/bin/clang"
cp "$packages" "$cache/fetched"
