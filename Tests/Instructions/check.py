"""Instructions of three fixed sequences, counted by callgrind, within 3 % of the recorded counts: slower code shows on any
machine, however busy. `python Tests/Instructions/check.py [--record]`; needs the release library, a C compiler and valgrind.

valgrind knows AVX2 but not AVX-512, so it is the AVX2 kernels that are counted, the same on every x86-64 machine. The counts
belong to one compiler and one architecture: with another, `make counts` records them anew, in the change that moves to it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LIBRARY = ROOT / ".build/release/libkvsieve.so"
RECORD = HERE / "counts.json"
CASES = [
    "dynamickv, 4 layers, 1,500 tokens, f32",
    "taskkv, 2 layers, 2,000 tokens, bf16, token-major",
    "ahakv, 4,000 tokens, f32, token-major",
]
TOLERANCE = 0.03


def count(program: Path, case: int, folder: str) -> int:
    """Instructions between the program's toggles."""
    options = ["--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={folder}/out"]
    output = subprocess.run(
        ["valgrind", *options, str(program), str(case)],
        env=dict(os.environ, LD_LIBRARY_PATH=folder, KVSIEVE_ISA="v3"),
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    found = re.search(r"Collected : (\d+)", output)
    if not found:
        raise SystemExit(f"callgrind counted nothing:\n{output}")
    return int(found[1])


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "cases"
        (Path(folder) / "libkvsieve.so.0").symlink_to(LIBRARY)
        sources = ["-I", str(ROOT / "include"), str(HERE / "cases.c"), "-o", str(program), str(LIBRARY)]
        subprocess.run(["cc", "-std=gnu99", "-O1", "-Wall", "-Werror", *sources], check=True)
        counts = [count(program, case, folder) for case in range(len(CASES))]
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if "--record" in sys.argv:
        record[platform.machine()] = dict(zip(CASES, counts))
        RECORD.write_text(json.dumps(record, indent=2) + "\n")
        return 0
    recorded = record[platform.machine()]
    failed = 0
    for case, now in zip(CASES, counts):
        change = now / recorded[case] - 1
        fine = abs(change) <= TOLERANCE
        failed += not fine
        print(f"{'' if fine else 'FAILED '}{case}: {now:,} instructions, {change:+.1%} of {recorded[case]:,}")
    if failed:
        print("More than 3 %. If the change is meant, `make counts` records it; say why in the commit.")
    print(f"{len(CASES) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
