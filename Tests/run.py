"""Runs every kind of test and adds up what passed: `make test`. The last line is `N passed, N failed`.

A kind is a command. Those whose output counts tests (swift test, pytest, `N passed, N failed`) add their counts; a command
that fails without naming a failed test counts as one failure. `python Tests/run.py KIND ...` runs some of them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / ".build/release/libkvsieve.so"
PYTHON = sys.executable
COMPILER_HEADER = ".build/debug/KVSieveABI.build/include/KVSieveABI-Swift.h"
TYPES_HEADER = "Sources/CKVSieve/include/kvsieve.h.in"

KINDS: dict[str, list[str]] = {
    "sources": [PYTHON, "Tests/check_sources.py"],
    "format": ["swift", "format", "lint", "--recursive", "--strict", "Sources", "Tests", "Package.swift"],
    "library": ["swift", "build", "-c", "release", "--product", "kvsieve"],
    "swift": ["swift", "test"],
    # The rooms and the methods again on the narrower instruction sets that a CPU may offer.
    "swift base": ["env", "KVSIEVE_ISA=base", "swift", "test", "--skip-build", "--skip", "KernelTests"],
    "swift v4": ["env", "KVSIEVE_ISA=v4", "swift", "test", "--skip-build", "--skip", "KernelTests"],
    "swift v3": ["env", "KVSIEVE_ISA=v3", "swift", "test", "--skip-build", "--skip", "KernelTests"],
    "header": [".build/debug/kvsieve-header", COMPILER_HEADER, TYPES_HEADER, ".", "--check"],
    "instructions": [PYTHON, "Tests/Instructions/check.py"],
    "golden": [PYTHON, "Tests/Golden/make_golden.py", "--check"],
    "replay": [PYTHON, "Tests/Decoding/selfcheck.py"],
    "decoding": [PYTHON, "Tests/Decoding/check.py"],
    "endless": [PYTHON, "Tests/Decoding/check.py", "--long"],
    "extending": [PYTHON, "Tests/Extending/check.py"],
    "abi": ["bash", "Tests/ABI/run.sh", str(LIBRARY), str(ROOT)],
    "c gcc": ["make", "--no-print-directory", "-C", "bindings/c", "clean", "check", "CC=gcc", "CXX=g++"],
    "c clang": ["make", "--no-print-directory", "-C", "bindings/c", "clean", "check", "CC=clang", "CXX=clang++"],
    "wheel": [PYTHON, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps", "-w", ".build/wheel", "bindings/python"],
    "python": [PYTHON, "-m", "pytest", "-q", "bindings/python/tests"],
    "quickstart": [PYTHON, "bindings/python/examples/quickstart.py"],
    "recall": [PYTHON, "bindings/python/examples/recall/check.py"],
    "sanitizer": ["swift", "test", "--scratch-path", ".build-asan", "--sanitize=address", "--skip", "ObjectTests"],
}

COUNTERS = [
    # swift test (Swift Testing): "Test run with 93 tests in 9 suites passed after ..." / "... failed after ... with 2 issues"
    (re.compile(r"Test run with (\d+) tests?.* passed"), lambda m: (int(m[1]), 0)),
    (re.compile(r"Test run with (\d+) tests?.* failed .* (\d+) issues?"), lambda m: (max(int(m[1]) - int(m[2]), 0), int(m[2]))),
    # pytest: "3 failed, 89 passed in 4.2s"
    (re.compile(r"^(?:(\d+) failed, )?(\d+) passed.* in [\d.]+"), lambda m: (int(m[2]), int(m[1] or 0))),
    # our own scripts
    (re.compile(r"^(\d+) passed, (\d+) failed$"), lambda m: (int(m[1]), int(m[2]))),
]


def count(output: str) -> tuple[int, int] | None:
    """Tests passed and failed according to the output; None where it counts none."""
    found = None
    for line in output.splitlines():
        for pattern, read in COUNTERS:
            if match := pattern.search(line):
                found = read(match)
    return found


def run(name: str, command: list[str]) -> tuple[int, int]:
    """Runs one kind with its output shown; returns tests passed and failed."""
    print(f"== {name}: {' '.join(command)}", flush=True)
    environment = dict(
        os.environ,
        KVSIEVE_LIBRARY=str(LIBRARY),
        PYTHONPATH=str(ROOT / "bindings/python/src"),
        VENV_PYTHON=PYTHON,
        SWIFT_BACKTRACE="enable=no",
        # A request beyond all bounds is refused as malloc refuses it.
        ASAN_OPTIONS="allocator_may_return_null=1",
        # The test runner's own leaks are not ours.
        LSAN_OPTIONS=f"suppressions={ROOT / 'Tests/lsan.supp'}:print_suppressions=0",
    )
    begin = time.monotonic()
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    lines = []
    assert process.stdout
    for line in process.stdout:
        lines.append(line)
        print(line, end="", flush=True)
    status = process.wait()
    passed, failed = count("".join(lines)) or (1 if status == 0 else 0, 0)
    if status != 0 and failed == 0:
        failed = 1
    print(f"-- {name}: {passed} passed, {failed} failed, {time.monotonic() - begin:.0f} s", flush=True)
    return passed, failed


def main() -> int:
    names = sys.argv[1:] or list(KINDS)
    results = {name: run(name, KINDS[name]) for name in names}
    print("\n== all")
    for name, (passed, failed) in results.items():
        print(f"{name:12} {passed:5} passed {failed:5} failed")
    passed = sum(result[0] for result in results.values())
    failed = sum(result[1] for result in results.values())
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
