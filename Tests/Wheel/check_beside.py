"""The wheel beside numpy's and torch's BLAS in one process, loaded before and after it: each computes what it computes alone.

torch is too large to be installed for this. It is looked for in TORCH_PYTHON, an interpreter that has it, and in the environments
of this folder (`make bench-peers` makes one).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from environments import ROOT, begin, made, run

BESIDE = Path(__file__).with_name("beside.py")


def with_torch() -> Path | None:
    """An interpreter that has torch."""
    chosen = os.environ.get("TORCH_PYTHON")
    for python in [Path(chosen)] if chosen else sorted(ROOT.glob(".venv*/bin/python")):
        if begin(python, "-c", "import torch").returncode == 0:
            return python
    assert not chosen, f"TORCH_PYTHON is {chosen}, which has no torch"
    return None


def outputs(python: Path, library: str) -> Iterator[str]:
    """What is kept, with that library first and after."""
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        run(*pip, "--target", folder, made())
        for order in ("first", "after"):
            yield run(python, BESIDE, library, order, PYTHONPATH=folder)


def tests_beside_other_blas() -> None:
    found = {"numpy": Path(sys.executable), "torch": with_torch()}
    kept: list[str] = []
    for library, python in found.items():
        if python is None:
            print(f"no {library} here (TORCH_PYTHON may name an interpreter that has it): not beside its BLAS")
            continue
        kept += outputs(python, library)
        print(f"beside the BLAS of {library}: {python}")
    assert len(kept) >= 2 and len(set(kept)) == 1 and kept[0].startswith("[["), kept
