"""The parts of `make test` and `make test-long`, as a table: what each compares, its command, and what it needs. run.py reads it.

To add a part, add a row to PARTS. As many parts run at once as there are cores, in the order of the table; a part starts as
soon as its steps are done. Some parts use more than one core: that costs no time, as no part measures time. The parts that say
most are first, then the longest: a long part that starts last would keep only one core busy.
"""

from __future__ import annotations

from part import Part

# The test program itself: `swift test` would lock the folder, so that two could not run at once.
SWIFT_TESTS = "kvsievePackageTests.xctest --testing-library swift-testing"
# A third of the processor's time of all Swift tests. What a method holds does not depend on the instructions, and what the
# products hold not on the method: the other MemoryTests run again, at the same lengths.
NOT_EVERY_METHOD_S_MEMORY = "--skip 'theWorkspaceIsBounded\\('"
AGAIN = f".build-tests/release/{SWIFT_TESTS} --skip KernelTests {NOT_EVERY_METHOD_S_MEMORY}"
GENERATED = ".build/release/KVSieveABI.build/include/KVSieveABI-Swift.h Sources/CKVSieve/include/kvsieve.h.in ."
EXAMPLES = "make --no-print-directory -C bindings/c clean check"
ABI = "bash Tests/ABI/run.sh .build/release/libkvsieve.so ."
FUZZ = "bash Tests/Fuzz/run.sh"
LIBRARY = ("library",)
NO_ENGINES = ".build/no-engines"
NO_ONNX_RUNTIME = ".build/no-onnxruntime"
NO_MPI = ".build/no-mpi"
ENGINES = ".venv-engines/bin/python -m pytest -q bindings/python/engines"

PARTS: dict[str, Part] = {
    "sources": Part("the house rules that no compiler holds", "python Tests/check_sources.py", check=True),
    "tools": Part("this runner and the checkers, on crafted input", "python Tests/Tools/check.py", check=True),
    "format": Part(
        "Swift as swift-format writes it",
        "swift format lint --recursive --strict Sources Tests Package.swift",
        check=True,
    ),
    "lint": Part("Python and C by ruff, mypy --strict, pyright and clang-format", "python Tests/lint.py", check=True),
    "golden": Part(
        "the committed golden files with the references, computed again",
        "python Tests/Golden/make_golden.py --check",
        needs=LIBRARY,
        check=True,
    ),
    "header": Part(
        "the committed header, prototypes and tables with what the sources generate",
        f".build/release/kvsieve-header {GENERATED} --check",
        needs=("generator",),
        check=True,
    ),
    "swift": Part(
        "kernels, rooms and methods with double loops, brute force and tables worked by hand",
        f".build-tests/release/{SWIFT_TESTS}",
        needs=("tests",),
        check=True,
    ),
    "abi-valgrind": Part(
        "each function with each method under valgrind: no wrong read, write or branch, nothing lost",
        f"env KVSIEVE_ABI=valgrind {ABI}",
        needs=LIBRARY,
        limit=3600,  # on two cores that other parts share
    ),
    "abi-address": Part(
        "the programs of abi with AddressSanitizer: no wrong read or write, nothing lost",
        "env KVSIEVE_ABI=address bash Tests/ABI/run.sh .build-asan/release/libkvsieve.so .",
        needs=("address-library",),
    ),
    "shapes-address": Part(
        "shapes again with AddressSanitizer: prompts of several tiles, blocks, rounds, decoding",
        "bash Tests/under_address.sh .build-asan/release/libkvsieve.so Tests/Shapes/check.py",
        needs=("address-library",),
    ),
    "decoding": Part("who leaves at each token with the references", "python Tests/Decoding/check.py", needs=LIBRARY),
    "abi": Part(
        "what C and C++ see, with the header's sentences",
        f"env KVSIEVE_ABI=plain {ABI}",
        needs=("library", "generator"),
        limit=3600,
    ),
    "instructions": Part(
        "instructions of three sequences under callgrind with counts.json, within 3 %",
        "python Tests/Instructions/check.py",
        needs=LIBRARY,
        instructions="v3",
    ),
    "swift-v3": Part(
        "rooms and methods again with AVX2",
        AGAIN,
        needs=("tests", "library"),
        instructions="v3",
        repeats="swift",
    ),
    "swift-base": Part(
        "rooms and methods again on the narrowest instructions",
        AGAIN,
        needs=("tests", "library"),
        instructions="base",
        repeats="swift",
    ),
    "swift-v2": Part(
        "rooms and methods again with products of BLAS",
        AGAIN,
        needs=("tests", "library"),
        instructions="v2",
        repeats="swift",
    ),
    "extending": Part(
        "what is kept when sequences go on with the references", "python Tests/Extending/check.py", needs=LIBRARY
    ),
    "attention": Part(
        "what is kept from an engine's own attention with the references",
        "python Tests/Attention/check.py",
        needs=LIBRARY,
        check=True,
    ),
    "prompts": Part(
        "what is kept of drawn prompts with the references", "python Tests/Prompts/check.py", needs=LIBRARY
    ),
    "mass": Part(
        "which share of the attention is kept, as reported and as asked for, with attention in double",
        "python Tests/Mass/check.py",
        needs=LIBRARY,
        check=True,
    ),
    "shapes": Part(
        "what is kept where heads or layers share a choice with a plain model of the rules",
        "python Tests/Shapes/check.py",
        needs=LIBRARY,
        check=True,
    ),
    "paged": Part(
        "a paged engine's block tables, free lists and prefix cache with dense arrays, through 200 streams of requests",
        "python Tests/Paged/check.py",
        needs=LIBRARY,
        check=True,
    ),
    "fuzz": Part(
        "two plans in lockstep, one with wrong calls in between; statuses, caches and gathers with a model; planted faults are found",
        f"{FUZZ} .build/release/libkvsieve.so . 300000",
        needs=LIBRARY,
        check=True,
    ),
    "fuzz-python": Part(
        "arrays of every kind, wrong and right, with contiguous copies",
        "python Tests/Fuzz/arrays.py 8",
        needs=LIBRARY,
        check=True,
    ),
    "replay": Part(
        "the references while decoding with cases worked by hand", "python Tests/Decoding/selfcheck.py", LIBRARY
    ),
    "python": Part(
        "the binding with the C layout and the C result",
        "python -m pytest -q bindings/python/tests",
        needs=LIBRARY,
        check=True,
    ),
    "recall": Part(
        "a trained model's answers from what is kept",
        "python bindings/python/examples/recall/check.py",
        needs=LIBRARY,
    ),
    "lab": Part(
        "the lab's model with double arithmetic, its choosers with the library, its intervals with tables worked by hand",
        "python bindings/python/lab/check.py",
        needs=LIBRARY,
        check=True,
    ),
    "lab-small": Part(
        "the small models' questions, training batches and answers with what they must be",
        "python bindings/python/lab/small/check.py",
        needs=LIBRARY,
    ),
    "c-gcc": Part(
        "the C and C++ examples", f"{EXAMPLES} CC=gcc CXX=g++", LIBRARY, check=True, shares="bindings/c/build"
    ),
    "c-clang": Part("the same with clang", f"{EXAMPLES} CC=clang CXX=clang++", LIBRARY, shares="bindings/c/build"),
    "manual": Part(
        "the HTML manual: made without a warning, an entry for everything public; links there and in all Markdown files",
        "python Tests/Manual/check.py",
        check=True,
    ),
    "quickstart": Part("that the first example runs", "python bindings/python/examples/quickstart.py", LIBRARY),
    "transformers": Part(
        "caches that generate() compresses with full passes in which what was dropped is masked; newest release",
        f"{ENGINES} -k 'not compiled'",
        needs=("library", "engines"),
        unless=NO_ENGINES,
    ),
    "onnxruntime": Part(
        "what ONNX Runtime says from compressed caches with a full cache in double, in which what was dropped is masked",
        ".venv-engines/bin/python -m pytest -q -c bindings/python/pyproject.toml bindings/python/runtimes/test_onnxruntime.py",
        needs=("library", "engines-onnxruntime"),
        unless=NO_ONNX_RUNTIME,
    ),
    "transformers-oldest": Part(
        "the same with the oldest release",
        f"env PYTHONPATH=.venv-engines/oldest:bindings/python/src {ENGINES}",
        needs=("library", "engines-oldest"),
        unless=NO_ENGINES,
        long=True,
    ),
    "mpi": Part(
        "the C example over MPI, in 2 and 4 processes, with one plan of the whole model",
        "make --no-print-directory -C bindings/c check-mpi",
        needs=("library", "mpi-here"),
        check=True,
        unless=NO_MPI,
        shares="bindings/c/build",
    ),
    "ranks": Part(
        "what 2 and 4 processes keep over gloo and MPI, every method, with one; a split model's logits; ranks that fail",
        ".venv-engines/bin/python -m pytest -q bindings/python/processes",
        needs=("library", "engines-mpi"),
        unless=NO_MPI,
        long=True,
    ),
    "wheel": Part(
        "the wheel: its tag, size, content; that it runs on the oldest and the newest Python here, beside other BLAS; the sdist",
        "python Tests/Wheel/check.py",
        needs=LIBRARY,
        shares=".build",
    ),
    "release": Part(
        "what make release refuses; that its packages are of one time, and run the README's programs in empty folders",
        "bash Tests/Release/check.sh .build/release/libkvsieve.so .",
        needs=LIBRARY,
        shares=".build",
    ),
    "sanitizer": Part(
        "all Swift tests again, under AddressSanitizer",
        f".build-asan/release/{SWIFT_TESTS} --skip ObjectTests {NOT_EVERY_METHOD_S_MEMORY}",
        needs=("address",),
        long=True,
    ),
    "valgrind-all": Part(
        "all programs of abi-address under valgrind",
        f"env KVSIEVE_ABI=valgrind-all {ABI}",
        LIBRARY,
        long=True,
        limit=3600,
    ),
    "long-run": Part(
        "decoding for 100,000 tokens, and the memory",
        "python Tests/Decoding/check.py --long",
        needs=LIBRARY,
        long=True,
    ),
    "fuzz-address": Part(
        "fuzz again with AddressSanitizer, and UndefinedBehaviorSanitizer in the library's C",
        f"env KVSIEVE_FUZZ=address {FUZZ} .build-fuzz/release/libkvsieve.so . 300000 2",
        needs=("fuzz-library",),
        long=True,
    ),
    "abi-threads": Part(
        "plans on several threads, and const functions side by side, with ThreadSanitizer",
        "env KVSIEVE_ABI=thread bash Tests/ABI/run.sh .build-tsan/release/libkvsieve.so .",
        needs=("thread-library",),
        long=True,
    ),
    "fuzz-threads": Part(
        "fuzz again with ThreadSanitizer",
        f"env KVSIEVE_FUZZ=thread {FUZZ} .build-tsan/release/libkvsieve.so . 300000 3",
        needs=("thread-library",),
        long=True,
    ),
    "swift-v4": Part(
        "rooms and methods again with AVX-512 without bfloat16; swift has all kernels",
        AGAIN,
        needs=("tests", "library"),
        instructions="v4",
        repeats="swift",
        long=True,
    ),
    "swift-v4bf16": Part(
        "likewise with products of bfloat16, which the library does not use on Intel's processors unless asked",
        AGAIN,
        needs=("tests", "library"),
        instructions="v4bf16",
        repeats="swift",
        long=True,
    ),
}
