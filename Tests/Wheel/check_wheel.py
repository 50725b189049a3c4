"""`make wheel`, and what it made: its name, size and content; then installed and run in new environments.

The environments have the oldest and the newest CPython that is here, numpy beside, and neither Swift nor this folder's library on
any path. The first example of bindings/python, the README's lines and those of help(kvsieve) say there what they say in the others.
"""

from __future__ import annotations

import platform
import re
import sys
import tempfile
import zipfile
from pathlib import Path

from environments import ROOT, begin, environment, interpreters, made, run

EXAMPLE = ROOT / "bindings/python/examples/quickstart.py"
MOST_BYTES = 3_000_000
HELP = "import doctest, kvsieve; print(f'failed={doctest.testmod(kvsieve).failed}', end='')"
INSIDE = ("kvsieve/libkvsieve.so.0", "kvsieve/LICENSE", "kvsieve/NOTICE", "kvsieve/py.typed", "kvsieve/plan.py")


def readme() -> str:
    """Its lines of Python."""
    (block, *_) = (ROOT / "README.md").read_text().split("```python\n")[1:]
    return block.partition("```")[0]


def tests_the_name_says_the_platform() -> None:
    name = made().name
    assert re.fullmatch(rf"kvsieve-[\d.]+-py3-none-manylinux_2_\d+_{platform.machine()}\.whl", name), name


def tests_it_is_small() -> None:
    size = made().stat().st_size
    assert size <= MOST_BYTES, f"{size} bytes"


def tests_what_is_inside() -> None:
    names = zipfile.ZipFile(made()).namelist()
    assert set(INSIDE) <= set(names), names
    assert all(name.startswith(("kvsieve/", "kvsieve-")) for name in names), names


def tests_it_runs() -> None:
    outputs = set()
    for python in interpreters():
        with tempfile.TemporaryDirectory() as folder:
            own = environment(python, folder, made())
            said = [run(own, *lines, PATH="/nowhere") for lines in ([EXAMPLE], ["-c", readme()], ["-c", HELP])]
            assert said[2].endswith("failed=0"), said[2]
            outputs.add("".join(said))
            where = run(own, "-c", "import kvsieve._library as l; print(l.find())", PATH="/nowhere")
            assert where.startswith(folder), where
            print(f"{python}: {run(own, '--version').strip()}")
    (output,) = outputs
    assert re.search(r"^layer 3: \[\d+, \d+\] of 600 tokens a head", output, re.MULTILINE), output


def tests_without_a_library_a_sentence_says_how() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", "-w", folder]
        done = begin(*pip, ROOT / "bindings/python", KVSIEVE_LIBRARY="/nowhere/libkvsieve.so")
        said = done.stdout + done.stderr
        assert done.returncode != 0 and "/nowhere/libkvsieve.so is not there; run `make build`" in said, said
        assert not any(Path(folder).iterdir())
