"""The parts of `make test`, as a table: what each compares, its command, and what it needs. run.py reads it.

To add a part, add a row to PARTS. A part starts as soon as its steps are done and its cores are free, in the order of the
table. Long parts stand first: a long part that starts last leaves the other core idle.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / ".build/release/libkvsieve.so"
PYTHON = sys.executable

INSTRUCTION_SETS = {"base": ("sse2", "neon"), "v3": ("avx2",), "v4": ("avx512",)}
"""What kvsieve_build_info() names if KVSIEVE_ISA has this value and the processor has these instructions."""


@dataclass(frozen=True)
class Step:
    """What parts need built. It runs once an invocation, before the parts that need it; if nothing changed it does nothing."""

    what: str
    command: list[str]
    cores: int = 2
    shares: str = ""  # see Part


@dataclass(frozen=True)
class Part:
    what: str  # one line for --list: what is compared with what
    command: list[str]
    needs: tuple[str, ...] = ()  # steps
    cores: int = 1  # how many it keeps busy
    check: bool = False  # is also in `make check`
    instructions: str = ""  # the value of KVSIEVE_ISA; "not on this processor" if the library cannot follow it
    repeats: str = ""  # this part has done the same if the processor's own instructions are these
    shares: str = ""  # two that share a word never run at once
    limit: int = 1800  # seconds until it is ended and has failed


def swift_tests(folder: str, skip: str = "") -> list[str]:
    """The test program itself: `swift test` would lock the folder, so that two could not run at once."""
    return [
        f"{folder}/debug/kvsievePackageTests.xctest",
        "--testing-library",
        "swift-testing",
        *(["--skip", skip] if skip else []),
    ]


def c_examples(c: str, cpp: str) -> list[str]:
    return ["make", "--no-print-directory", "-C", "bindings/c", "clean", "check", f"CC={c}", f"CXX={cpp}"]


STEPS: dict[str, Step] = {
    "library": Step(
        "the release library", ["swift", "build", "-c", "release", "--product", "kvsieve"], shares=".build"
    ),
    "debug": Step("the Swift tests and the header's generator", ["swift", "build", "--build-tests"], shares=".build"),
    "address": Step(
        "the Swift tests under AddressSanitizer",
        ["swift", "build", "--build-tests", "--scratch-path", ".build-asan", "--sanitize=address"],
    ),
}

PARTS: dict[str, Part] = {
    "sources": Part("the house rules that no compiler holds", [PYTHON, "Tests/check_sources.py"], check=True),
    "tools": Part("this runner and the checkers, on crafted input", [PYTHON, "Tests/Tools/check.py"], check=True),
    "format": Part(
        "Swift as swift-format writes it",
        ["swift", "format", "lint", "--recursive", "--strict", "Sources", "Tests", "Package.swift"],
        check=True,
    ),
    "lint": Part("Python and C by ruff, mypy --strict and clang-format", [PYTHON, "Tests/lint.py"], check=True),
    "header": Part(
        "the committed header, prototypes and tables with what the sources generate",
        [
            ".build/debug/kvsieve-header",
            ".build/debug/KVSieveABI.build/include/KVSieveABI-Swift.h",
            "Sources/CKVSieve/include/kvsieve.h.in",
            ".",
            "--check",
        ],
        needs=("debug",),
        check=True,
    ),
    "swift": Part(
        "kernels, rooms and methods with double loops, brute force and references in double",
        swift_tests(".build"),
        needs=("debug",),
        cores=2,
        check=True,
    ),
    "instructions": Part(
        "instructions of three sequences under callgrind with counts.json, within 3 %",
        [PYTHON, "Tests/Instructions/check.py"],
        needs=("library",),
        instructions="v3",
    ),
    "abi": Part(
        "what C and C++ see, with the header's sentences; some under valgrind",
        ["bash", "Tests/ABI/run.sh", str(LIBRARY), str(ROOT)],
        needs=("library",),
    ),
    "python": Part(
        "the binding with the C layout and the C result",
        [PYTHON, "-m", "pytest", "-q", "bindings/python/tests"],
        needs=("library",),
        check=True,
    ),
    "golden": Part(
        "the committed golden files with numpy, computed again",
        [PYTHON, "Tests/Golden/make_golden.py", "--check"],
        check=True,
    ),
    "c-gcc": Part(
        "the C and C++ examples", c_examples("gcc", "g++"), needs=("library",), check=True, shares="bindings/c/build"
    ),
    "c-clang": Part(
        "the same with clang", c_examples("clang", "clang++"), needs=("library",), shares="bindings/c/build"
    ),
    "wheel": Part(
        "that the Python package builds",
        [
            PYTHON,
            "-m",
            "pip",
            "wheel",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "-w",
            ".build/wheel",
            "bindings/python",
        ],
    ),
    "quickstart": Part(
        "that the first example runs", [PYTHON, "bindings/python/examples/quickstart.py"], needs=("library",)
    ),
    "recall": Part(
        "a trained model's answers from what is kept",
        [PYTHON, "bindings/python/examples/recall/check.py"],
        needs=("library",),
        cores=2,
    ),
    "swift-base": Part(
        "rooms and methods again on the narrowest instructions",
        swift_tests(".build", "KernelTests"),
        needs=("debug", "library"),
        cores=2,
        instructions="base",
        repeats="swift",
    ),
    "swift-v3": Part(
        "rooms and methods again with AVX2",
        swift_tests(".build", "KernelTests"),
        needs=("debug", "library"),
        cores=2,
        instructions="v3",
        repeats="swift",
    ),
    "swift-v4": Part(
        "rooms and methods again with AVX-512 without bfloat16",
        swift_tests(".build", "KernelTests"),
        needs=("debug", "library"),
        cores=2,
        instructions="v4",
        repeats="swift",
    ),
    "replay": Part(
        "the replays with cases worked by hand and a second telling", [PYTHON, "Tests/Decoding/selfcheck.py"], cores=2
    ),
    "decoding": Part(
        "who leaves at each of 120 x 1,000 tokens with a float64 replay",
        [PYTHON, "Tests/Decoding/check.py"],
        needs=("library",),
        cores=2,
    ),
    "endless": Part(
        "the same for 100,000 tokens, and the memory",
        [PYTHON, "Tests/Decoding/check.py", "--long"],
        needs=("library",),
        cores=2,
    ),
    "extending": Part(
        "what each head keeps when sequences go on with a float64 replay",
        [PYTHON, "Tests/Extending/check.py"],
        needs=("library",),
        cores=2,
    ),
    "sanitizer": Part(
        "all Swift tests again, under AddressSanitizer",
        swift_tests(".build-asan", "ObjectTests"),
        needs=("address",),
        cores=2,
    ),
}
