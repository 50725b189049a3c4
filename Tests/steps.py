"""What the parts of parts.py need built, as a table. run.py builds it, each once an invocation."""

from __future__ import annotations

from dataclasses import dataclass

ENVIRONMENT = "python bindings/python/engines/environment.py"


@dataclass(frozen=True)
class Step:
    """What parts need built. It runs once an invocation, before the parts that need it; if nothing changed it does nothing."""

    what: str
    command: str  # words; the first may be "python"
    shares: str = ""  # see Part


STEPS: dict[str, Step] = {
    "library": Step("the release library", "sh .ci/swift build -c release --product kvsieve", shares=".build"),
    "generator": Step(
        "the header's generator, and what Swift exports",
        "sh -c '.ci/swift build -c release --target KVSieveABI && .ci/swift build -c release --product kvsieve-header'",
        shares=".build",
    ),
    "tests": Step(
        "the Swift tests, optimised as the library is: three times as fast",
        "swift build --product kvsievePackageTests -c release -Xswiftc -enable-testing --scratch-path .build-tests",
    ),
    "address": Step(
        "the Swift tests under AddressSanitizer",
        "swift build --product kvsievePackageTests -c release -Xswiftc -enable-testing --scratch-path .build-asan"
        " --sanitize=address",
        shares=".build-asan",
    ),
    "address-library": Step(
        "the library under AddressSanitizer",
        "sh .ci/swift build --product kvsieve -c release --scratch-path .build-asan --sanitize=address",
        shares=".build-asan",
    ),
    "fuzz-library": Step(
        "the library for the fuzzer: with AddressSanitizer, UndefinedBehaviorSanitizer in its C, and coverage",
        "sh .ci/swift build --product kvsieve -c release --scratch-path .build-fuzz --sanitize=address -Xcc -fsanitize=undefined"
        " -Xcc -fno-sanitize-recover=undefined -Xswiftc -sanitize-coverage=edge,inline-8bit-counters,pc-table,trace-cmp",
        shares=".build-fuzz",
    ),
    "thread-library": Step(
        "the library under ThreadSanitizer",
        "sh .ci/swift build --product kvsieve -c release --scratch-path .build-tsan --sanitize=thread",
        shares=".build-tsan",
    ),
    "engines": Step("torch and the newest transformers", f"{ENVIRONMENT} newest", shares=".venv-engines"),
    "engines-oldest": Step("the oldest transformers beside it", f"{ENVIRONMENT} newest oldest", shares=".venv-engines"),
    "engines-onnxruntime": Step("ONNX Runtime", f"{ENVIRONMENT} onnxruntime", shares=".venv-engines"),
    "mpi-here": Step("whether MPI is here", f"{ENVIRONMENT} mpi", shares=".venv-engines"),
    "engines-mpi": Step("torch, transformers, MPI", f"{ENVIRONMENT} newest mpi", shares=".venv-engines"),
}
