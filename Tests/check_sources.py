"""Rules of the house that no compiler holds: which module imports which, which room of Core uses names of which other room, no
words that end the process, short files.

    check_sources.py            a failure a line, then `N passed, N failed`
    check_sources.py --arrows   which room of Core uses which names of which other room
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from Tools.rooms import Table, drawing, room_faults

ROOT = Path(__file__).resolve().parent.parent

# What each room may import (Sources/README.md). Everything else is refused, also where the compiler would let it pass.
IMPORTS: dict[str, set[str]] = {
    "KVSieveKernels": {"CSupport"},
    "KVSieveCore": {
        "CSupport",
        "KVSieveKernels",
        "KVSieveKernelsAVX2",
        "KVSieveKernelsAVX512",
        "KVSieveKernelsAVX512BF16",
        "COpenBLAS",
        "Glibc",
        "Musl",
        "Darwin",
    },
    "KVSieveMethods": {"KVSieveCore"},
    "KVSieveSelfCheck": {"CSupport", "KVSieveCore", "KVSieveMethods"},
    "KVSieveABI": {"CKVSieve", "CSupport", "KVSieveCore", "KVSieveMethods", "KVSieveSelfCheck"},
}
ONLY_IN = {
    "COpenBLAS": "Sources/KVSieveCore/Numerics/MatrixProduct.swift",
    "Glibc": "Sources/KVSieveCore/Numerics/Elementary.swift",
}
# The rooms of Core from top to bottom, each with the rooms whose names it may use. Arrows go down: an arrow up would make
# a circle, and a room could no longer be read without the others. "." are the files in no room.
CORE = ROOT / "Sources/KVSieveCore"
ROOMS: Table = {
    "Plan": {
        "Method",
        "Decoding",
        "Attention",
        "Compaction",
        "Selection",
        "Tables",
        "Ranks",
        "Views",
        "Threads",
        "Memory",
        ".",
    },
    "Method": {"Decoding", "Attention", "Selection", "Tables", "Views", "Numerics", "."},
    "Decoding": {"Attention", "Selection", "Tables", "Views", "Threads", "Memory", "Numerics", "."},
    "Attention": {"Selection", "Tables", "Views", "Threads", "Memory", "Numerics", "."},
    "Compaction": {"Selection", "Views", "Threads", "Memory", "Numerics", "."},
    "Selection": {"Tables", "Ranks", "Views", "Threads", "Memory", "Numerics", "."},
    "Tables": {"Views", "Threads", "Memory", "Numerics", "."},
    "Ranks": {"Views", "Memory", "."},
    "Views": {"Numerics", "."},
    "Threads": {"Memory", "."},
    "Memory": {"."},
    "Numerics": {"."},
    ".": set(),
}
# In what is linked into the library: each of these can end the host's process.
TRAPS = re.compile(
    r"\bfatalError\b|\bpreconditionFailure\b|\bprecondition\(|\bassert\(|\bassertionFailure\b|\btry!|\bas!|[\w)\]]!(?![=\w])"
)
UNSAFE_POINTER = re.compile(r"\bUnsafe\w*Pointer\b")
LONGEST_FILE = 300
# Generated, or a copy of what was.
AS_LONG_AS_IT_IS = ("include/", "Tests/ABI/previous/kvsieve.h")


def main() -> int:
    if sys.argv[1:] == ["--arrows"]:
        print(drawing(CORE))
        return 0
    passed, failures = 0, room_faults(CORE, ROOMS)
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split(
        "\n"
    )
    top = {name.split("/")[0] for name in tracked if name}
    allowed = {
        "Package.swift",
        "Sources",
        "include",
        "bindings",
        "Tests",
        "docs",
        "Makefile",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    }
    if extra := {name for name in top if not name.startswith(".")} - allowed:
        failures.append(f"top level: {sorted(extra)}")
    for name in tracked:
        path = ROOT / name
        if path.suffix not in {".swift", ".c", ".h", ".py", ".cpp"} or not path.is_file() or path.is_symlink():
            continue
        text = path.read_text()
        passed += 1
        if text.count("\n") > LONGEST_FILE and not name.startswith(AS_LONG_AS_IT_IS):
            failures.append(f"{name}: {text.count(chr(10))} lines, more than {LONGEST_FILE}")
        module = name.split("/")[1] if name.startswith("Sources/") else ""
        if module not in IMPORTS or path.suffix != ".swift":
            continue
        for imported in re.findall(r"^(?:@\w+ )?import (\w+)", text, re.MULTILINE):
            if imported not in IMPORTS[module]:
                failures.append(f"{name}: imports {imported}, which {module} may not")
            if imported in ONLY_IN and name != ONLY_IN[imported]:
                failures.append(f"{name}: only {ONLY_IN[imported]} imports {imported}")
        for number, line in enumerate(text.split("\n"), 1):
            code = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line.split("//")[0])
            if TRAPS.search(code):
                failures.append(f"{name}:{number}: can end the host's process: {line.strip()}")
            if module == "KVSieveMethods" and UNSAFE_POINTER.search(code):
                failures.append(f"{name}:{number}: a method sees no pointer: {line.strip()}")
    for failure in failures:
        print(f"FAILED {failure}")
    print(f"{passed} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
