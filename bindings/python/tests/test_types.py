"""What type checkers say of a user's script: right ones are clean under mypy --strict and pyright's strict mode, wrong ones are not."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
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
batch = np.zeros((3, 2, 50, 16), np.float16)
class Other:  # as jax's
    def __dlpack__(self, *, stream: int | None = None) -> object:
        return None
class Tensor(Other):  # as torch's
    def new_empty(self, *size: Any) -> "Tensor":
        return self
tensor = Tensor()
"""

RIGHT = """
with kvsieve.Plan("snapkv", model, budget=64, ratio=0.0, pool="max", window=np.int64(8)) as plan:
    plan.observe(0, rows, rows)
    plan.finish()
    small: npt.NDArray[np.float16] = plan.gather(0, rows)
    mine = np.zeros((1, 128, 16), np.float16)
    also: npt.NDArray[np.float16] = plan.gather(0, rows, mine)
    tensors: Tensor = plan.gather(0, tensor)
    count: int = plan.kept(0).total
settings: dict[str, Any] = {"budget": 64, "task": "localization"}
kvsieve.Plan("windowkv", model, **settings).close()
layers: list[kvsieve.Layer] = kvsieve.compress("windowkv", [rows], [rows], [rows], budget=64, task="localization")
plan.report(0).mass_mean.is_integer()

def progress(done: int, total: int) -> None:
    print(done, total)

one = kvsieve.compress("snapkv", [rows], [rows], [rows], ratio=0.12, protect=[(0, 4)], threads=2, progress=progress)
keys: npt.NDArray[np.float16] = one[0].keys
saved: int = one.bytes_before - one[0].bytes_after
none: kvsieve.Compressed[npt.NDArray[np.float16]] = kvsieve.compress("keydiff", None, [rows], (rows,), scale=1)
several: list[kvsieve.Compressed[npt.NDArray[np.float16]]] = kvsieve.compress(
    "snapkv", [batch], [batch], [batch], padding=[0, 3, 1], progress=lambda done, total: None
)
of_torch: kvsieve.Compressed[Tensor] = kvsieve.compress("snapkv", [tensor], [tensor], [tensor], budget=64)
moved: Tensor = of_torch[0].values
sequences = kvsieve.compress("snapkv", [tensor], [tensor], [tensor], padding=np.zeros(3, np.int64))
last: Tensor = sequences[-1][0].keys
stacked: kvsieve.Compressed[npt.NDArray[np.float16]] = kvsieve.compress("snapkv", batch, batch, batch)
some: kvsieve.Compressed[npt.NDArray[np.float16]] = kvsieve.compress("snapkv", [rows, None], [rows] * 2, [rows] * 2)
unknown: Any = rows
kvsieve.compress("snapkv", unknown, unknown, [unknown], padding=unknown)
paged = kvsieve.Paged(rows, np.zeros(1, np.int32))
kvsieve.compress("keydiff", None, [paged], [kvsieve.Quantised(rows, "q8_0")])[0].kept
kvsieve.compress("snapkv", [Other()], [Other()], (Other(),), padding=np.int64(1))[0].bytes_after
kvsieve.compress("snapkv", [memoryview(b"")], [rows], [memoryview(b"")]).bytes_after
for number in (0, np.uint8(1), np.array(2), [np.int64(3)] * 3, (0, 1, np.int32(2))):
    kvsieve.compress("keydiff", None, [batch], [batch], padding=number)
mixed: kvsieve.Compressed = kvsieve.compress("snapkv", [tensor], [rows], [tensor])  # it runs: each of its own kind
"""

# The second: what each checker's words for it must have.
WRONG = [
    ('kvsieve.Plan("snapkv", model, bugdet=64)', "bugdet"),
    ('kvsieve.Plan("snapkv", model, budget="64")', "budget|SupportsFloat"),
    ('kvsieve.Plan("windowkv", model, pyramid=[1, 2])', "pyramid|SupportsFloat"),
    ('small: str = kvsieve.Plan("snapkv", model).gather(0, rows)', "str"),
    ('kvsieve.Plan("snapkv", model).finish(1)', "Too many arguments|positional"),
    ('text: str = kvsieve.compress("snapkv", [rows], [rows], [rows])', "str"),
    ('texts: list[str] = kvsieve.compress("snapkv", [batch], [batch], [batch], padding=0)', "str"),
    ('kvsieve.compress("snapkv", [rows], [rows], [rows], bugdet=64)', "overload|bugdet"),
    ('kvsieve.compress("snapkv", [rows], [rows], [rows], progress=1)', "overload|progress"),
    ('kvsieve.compress("snapkv", [rows], 1, [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding="abc")', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding=[0.5])', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding=0.5)', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding=True)', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding=[True, False])', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [batch], [batch], [batch], padding=np.True_)', "overload|padding|Count"),
    ('kvsieve.compress("snapkv", [rows], {0: rows}, [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", {0: rows}, [rows], [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", [rows], ["a"], [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", "a", [rows], [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", [[1.0]], [rows], [rows])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", [tensor], [tensor], [None])', "overload|PerLayer|incompatible type"),
    ('kvsieve.compress("snapkv", [tensor], [tensor], [1.0], padding=0)', "overload|PerLayer|incompatible type"),
    ('number: int = kvsieve.compress("snapkv", [tensor], [tensor], [tensor])[0].keys', "Tensor"),
]

SOURCE = str(ROOT / "bindings/python/src")


def run(folder: Path, command: list[str], **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), **environment},
        cwd=folder,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def mypy(folder: Path) -> tuple[int, str]:
    options = ["--strict", "--config-file=", "--cache-dir", str(folder / "cache")]
    return run(folder, ["mypy", *options, "."], MYPYPATH=SOURCE)


def pyright(folder: Path) -> tuple[int, str]:
    """With the node of its wheel, and without asking for a newer version."""
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict"}))
    apart = {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1", "PYRIGHT_PYTHON_GLOBAL_NODE": "0"}
    return run(folder, ["pyright", "--pythonpath", sys.executable], PYTHONPATH=SOURCE, **apart)


CHECKERS = pytest.mark.parametrize("checker", [mypy, pyright])


@CHECKERS
def test_right_scripts_are_clean(checker: Callable[[Path], tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(BEGINNING + RIGHT)
    shutil.copy(ROOT / "bindings/python/examples/quickstart.py", tmp_path)
    status, output = checker(tmp_path)
    assert status == 0, output
    assert re.search(r"no issues found in 2 source|^0 errors, 0 warnings", output, re.MULTILINE), output


@CHECKERS
def test_each_wrong_line_is_found(checker: Callable[[Path], tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(BEGINNING + "\n".join(line for line, _ in WRONG))
    _, output = checker(tmp_path)
    first = BEGINNING.count("\n") + 1
    for number, (_, words) in enumerate(WRONG, first):
        said = [line for line in output.splitlines() if f"user.py:{number}:" in line]
        assert said and re.search(words, said[0]), (number, output)


def test_keywords_are_the_library_s_parameters() -> None:
    known = {info.name for method in kvsieve.methods() for info in method.parameters}
    assert set(get_type_hints(_keywords.Keywords)) == known
