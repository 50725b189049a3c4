"""Python by ruff, mypy --strict and pyright, C and C++ by clang-format. A test is a tool and a file, or a tool and a folder.

    lint.py          says what is not so, then `N passed, N failed`
    lint.py --fix    rewrites what ruff and clang-format can (`make format`)

.ruff.toml, .mypy.ini and .clang-format are the configuration; .ci/setup pins the versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = Path(sys.executable).parent
PACKAGE = "bindings/python/src/kvsieve"
# The node of pyright's wheel and no other; the network is not asked for a newer version.
PYRIGHT = {
    "PYRIGHT_PYTHON_GLOBAL_NODE": "0",
    "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    "PYTHONPATH": "bindings/python/src",
}
# mypy looks a module up beside the file that imports it, and here.
MODULES = (
    "bindings/python/src",
    "bindings/python/examples",
    "bindings/python/bench",
    "Tests",
    "docs/manual",
    "bindings/python/tests",
    "bindings/python/engines",
)
# The header and what it is generated from are laid out by hand: their comments are the manual. An earlier one is as it was.
NOT_C = ("include/", "Sources/CKVSieve/", "Tests/ABI/previous/kvsieve.h")


def tracked(*patterns: str) -> list[str]:
    """Files that git knows, or would take in."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in sorted(set(names)) if (ROOT / name).is_file() and not (ROOT / name).is_symlink()]


def tool(name: str, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, **PYRIGHT, "MYPYPATH": os.pathsep.join(MODULES)}
    command = [str(TOOLS / name), *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def ruff(fix: bool) -> list[tuple[str, int, str]]:
    check = tool("ruff", "check", "--output-format=concise", "--quiet", *(["--fix"] if fix else []), ".")
    form = tool("ruff", "format", *([] if fix else ["--check"]), ".")
    return [("ruff check", *check), ("ruff format", *form)]


def mypy() -> list[tuple[str, int, str]]:
    """A run a folder: modules of different folders have the same names."""
    folders: dict[str, list[str]] = {}
    for name in tracked("*.py"):
        folders.setdefault(str(Path(name).parent), []).append(name)
    found = []
    for folder, names in folders.items():
        found.append((f"mypy {folder}", *tool("mypy", "--no-error-summary", *names)))
    return found


def pyright() -> list[tuple[str, int, str]]:
    """The package, and whether a user's checker is told the type of every public name. kvsieve.transformers and distributed need torch's types:
    bindings/python/engines/test_types.py checks it where torch is."""
    python = ("--pythonpath", sys.executable)
    other = (f"{PACKAGE}/transformers/", f"{PACKAGE}/distributed.py")
    files = [name for name in tracked(f"{PACKAGE}/*.py") if not name.startswith(other)]
    _, said = tool("pyright", *python, "--verifytypes", "kvsieve", "--ignoreexternal", "--outputjson")
    try:
        symbols = json.loads(said)["typeCompleteness"]["symbols"]
    except (ValueError, KeyError):
        return [("pyright --verifytypes", 1, said)]
    unknown = [
        symbol["name"]
        for symbol in symbols
        if symbol["isExported"] and not symbol["isTypeKnown"] and not symbol["name"].startswith("kvsieve.transformers.")
    ]
    return [
        ("pyright", *tool("pyright", *python, *files)),
        ("pyright --verifytypes", int(bool(unknown) or len(symbols) < 100), f"no type, or not all of it: {unknown}"),
    ]


def clang_format(fix: bool) -> list[tuple[str, int, str]]:
    names = [name for name in tracked("*.c", "*.h", "*.cpp") if not name.startswith(NOT_C)]
    if fix:
        return [("clang-format", *tool("clang-format", "-i", *names))]
    return [
        (f"clang-format {name}", *tool("clang-format", "--dry-run", "--Werror", "--ferror-limit=1", name))
        for name in names
    ]


def main() -> int:
    fix = sys.argv[1:] == ["--fix"]
    results = [*ruff(fix), *clang_format(fix), *([] if fix else [*mypy(), *pyright()])]
    failed = 0
    for name, status, output in results:
        if status != 0:
            failed += 1
            print(f"{output.rstrip()}\nFAILED {name}")
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
