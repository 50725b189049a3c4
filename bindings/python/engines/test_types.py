"""What a type checker says of kvsieve.transformers where torch and transformers are; Tests/lint.py checks the rest of the package.

By the newest release's types, whichever release the other tests run with: releases name parameters of one method differently.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "bindings/python/src/kvsieve/transformers"


def test_pyright_finds_nothing() -> None:
    checker = ROOT / ".venv/bin/pyright"
    found = dict(
        os.environ,
        PYTHONPATH=str(PACKAGE.parents[1]),
        PYRIGHT_PYTHON_GLOBAL_NODE="0",
        PYRIGHT_PYTHON_IGNORE_WARNINGS="1",
    )
    command = [str(checker), "--pythonpath", sys.executable, str(PACKAGE)]
    done = subprocess.run(command, capture_output=True, text=True, env=found, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
