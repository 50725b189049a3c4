"""What a type checker says of a user's script: right ones are clean under mypy --strict, wrong ones are not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

from conftest import ROOT

import kvsieve
from kvsieve import _keywords

BEGINNING = """
from typing import Any
import numpy as np
import numpy.typing as npt
import kvsieve
model = kvsieve.Model(2, 4, 2, 16)
rows = np.zeros((2, 50, 16), np.float16)
"""

RIGHT = """
with kvsieve.Plan("snapkv", model, budget=64, ratio=0.0, pool="max", window=np.int64(8)) as plan:
    plan.observe(0, rows, rows)
    plan.finish()
    small: npt.NDArray[np.float16] = plan.gather(0, rows)
    mine = np.zeros((1, 128, 16), np.float16)
    also: npt.NDArray[np.float16] = plan.gather(0, rows, mine)
    count: int = plan.kept(0).total
settings: dict[str, Any] = {"budget": 64, "task": "localization"}
layers: list[kvsieve.Layer] = kvsieve.compress("windowkv", [rows], [rows], [rows], **settings)
plan.report(0).mass_mean.is_integer()
"""

WRONG = [
    ('kvsieve.Plan("snapkv", model, bugdet=64)', '"bugdet"'),
    ('kvsieve.Plan("snapkv", model, budget="64")', '"budget"'),
    ('kvsieve.Plan("windowkv", model, pyramid=[1, 2])', '"pyramid"'),
    ('small: str = kvsieve.Plan("snapkv", model).gather(0, rows)', "Incompatible types"),
    ('kvsieve.Plan("snapkv", model).finish(1)', "Too many arguments"),
]


def mypy(script: str, folder: Path) -> str:
    path = folder / "user.py"
    path.write_text(BEGINNING + script)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file=",
        "--cache-dir",
        str(folder / "cache"),
        str(path),
    ]
    environment = {"MYPYPATH": str(ROOT / "bindings/python/src"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, check=False).stdout


def test_a_right_script_is_clean(tmp_path: Path) -> None:
    assert mypy(RIGHT, tmp_path).startswith("Success")


def test_each_wrong_line_is_found(tmp_path: Path) -> None:
    output = mypy("\n".join(line for line, _ in WRONG), tmp_path)
    first = BEGINNING.count("\n") + 1
    for number, (_, words) in enumerate(WRONG, first):
        said = [line for line in output.splitlines() if f"user.py:{number}:" in line]
        assert said and words in said[0], output


def test_keywords_are_the_library_s_parameters() -> None:
    known = {info.name for method in kvsieve.methods() for info in method.parameters}
    assert set(get_type_hints(_keywords.Keywords)) == known
