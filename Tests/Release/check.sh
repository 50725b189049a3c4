#!/usr/bin/env bash
# What a release refuses; what it makes of the built library, into a folder that is thrown away, and once more from a checkout that
# differs in all that must not matter; then try.sh with that.
#     check.sh LIBRARY ROOT          (VENV_PYTHON names the environment's Python, default ROOT/.venv/bin/python)
set -u
library=$(realpath "$1") root=$(realpath "$2")
python=$(realpath -s "${VENV_PYTHON:-$root/.venv/bin/python}")
(cd "$root" && sh .ci/setup $(grep == .ci/packers | grep -v ^setuptools)) || exit 1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# A repository of its own, as after a commit.
mkdir "$work/tree"
git -C "$root" ls-files --cached --others --exclude-standard -z |
    tar -c -C "$root" --null -T - --ignore-failed-read 2>/dev/null | tar -x -C "$work/tree"
version=$(awk '/define KVSIEVE_VERSION_(MAJOR|MINOR|PATCH)/ { v = v dot $3; dot = "." } END { print v }' "$root/include/kvsieve.h")
cd "$work/tree" || exit 1
commit() { git add -A && git -c user.name=test -c user.email=test@localhost commit -q -m "$1"; }
git init -q && sed -i "s/^## $version (.*)/## $version (unreleased)/" CHANGELOG.md && commit tree

refuses() { # words, VERSION, ALLOW_DIRTY: nothing is made
    local said
    if said=$(VERSION=$2 ALLOW_DIRTY=${3-} sh .ci/release "$python" "$library" "$work/made" 2>&1); then said="it was not refused"; fi
    if [[ "$said" == *"$1"* ]] && [ "$(wc -l <<<"$said")" = 1 ] && [ -z "$(ls "$work/made")" ]; then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED refuses: %s\n%s\n' "$1" "$said"
    fi
}
refuses "VERSION is not given, but this tree is $version" "" 1
refuses "VERSION is 9.9.9, but this tree is $version" 9.9.9 1
refuses "CHANGELOG.md has no date for $version" "$version"
sed -i "s/^## $version (.*)/## $version (2026-12-01)/" CHANGELOG.md
refuses "not committed (CHANGELOG.md)" "$version"
commit date
touch "it's new" && git config status.showUntrackedFiles no
refuses "not committed (\"it's new\")" "$version"
rm "it's new"
built=$library library=$work/none
refuses "No library is at" "$version"
library=$built

check() { # name, command
    local name=$1 said
    shift
    if said=$("$@" 2>&1); then passed=$((passed + 1)); else
        failed=$((failed + 1))
        printf 'FAILED %s\n%s\n' "$name" "$said"
    fi
}
release() { (cd "$1" && VERSION=$version sh .ci/release "$python" "$library" "$2"); }
has_manual() { tar -tzf "$work/made/kvsieve-$version-linux-$(uname -m).tar.gz" | grep -qx '.*/html/python/kvsieve.html'; }

# Committed, with a date, and with a manual: it is made.
mkdir -p .build/manual/python
echo page | tee .build/manual/index.html >.build/manual/python/kvsieve.html
check "release" release "$work/tree" "$work/made"
check "the manual is in the tarball" has_manual

# "The same commit, toolchain and packers give the same bytes": whatever earlier builds left, in another folder, umask and time zone.
(umask 077 && git clone -q "$work/tree" "$work/a clone" && cp -r .build "$work/a clone")
stale="$work/a clone/bindings/python"
mkdir -p "$stale/build/lib/kvsieve" "$stale/build/lib.linux-x86_64-cpython-311/kvsieve" "$stale/src/kvsieve.egg-info"
echo "stale = 1" | tee "$stale/build/lib/kvsieve/stale.py" >"$stale/build/lib.linux-x86_64-cpython-311/kvsieve/stale.py"
echo bindings/python/src/kvsieve/stale.py >"$stale/src/kvsieve.egg-info/SOURCES.txt"
again() { (umask 077 && TZ=Asia/Tokyo release "$work/a clone" "$work/again"); }
check "again" again
check "it has the same bytes" diff "$work/made/SHA256SUMS" "$work/again/SHA256SUMS"

# What fails half-way leaves what was there.
fails() { ! ALLOW_DIRTY=1 release "$work/a clone" "$work/again"; }
echo 'raise SystemExit("broken")' >"$stale/setup.py"
check "a release that cannot make the wheel fails" fails
check "and leaves the one before" diff -r "$work/made" "$work/again"

bash "$root/Tests/Release/try.sh" "$work/made" "$root" >"$work/tried"
grep -v ' passed, ' "$work/tried"
read -r good _ bad _ < <(tail -n 1 "$work/tried")
echo "$((passed + ${good:-0})) passed, $((failed + ${bad:-1})) failed"
[ "$((failed + ${bad:-1}))" = 0 ]
