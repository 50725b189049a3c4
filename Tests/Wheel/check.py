"""`make wheel`, and what it made: its name, size and content; then installed and run in new environments.

The environments have the oldest and the newest CPython that is here, numpy beside, and neither Swift nor this folder's library on
any path. The first example of bindings/python prints what it prints in the others.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from Tools import named

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
EXAMPLE = ROOT / "bindings/python/examples/quickstart.py"
MOST_BYTES = 3_000_000
OLDEST = (3, 9)
INSIDE = ("kvsieve/libkvsieve.so.0", "kvsieve/LICENSE", "kvsieve/NOTICE", "kvsieve/py.typed", "kvsieve/plan.py")


def run(*command: str | Path, **settings: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KVSIEVE_", "PYTHON", "LD_", "MAKE", "VIRTUAL"))}
    done = subprocess.run(command, capture_output=True, text=True, env={**kept, **settings}, cwd=ROOT, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def interpreters() -> list[Path]:
    """The oldest and the newest that runs, of those on the PATH and pyenv's; this one is always there."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep) if "shims" not in folder]
    folders += sorted(Path.home().glob(".pyenv/versions/*/bin"))
    found = {sys.version_info[:2]: Path(sys.executable).resolve()}
    for folder in folders:
        for path in folder.glob("python3.*"):
            match = re.fullmatch(r"python3\.(\d+)", path.name)
            if match and (version := (3, int(match[1]))) >= OLDEST and version not in found:
                asked = subprocess.run([path, "-c", "import ensurepip"], capture_output=True, check=False)
                if asked.returncode == 0:
                    found[version] = path
    return [found[version] for version in sorted({min(found), max(found)})]


@functools.cache
def made() -> Path:
    """The wheel."""
    for old in DIST.glob("kvsieve-*.whl"):
        old.unlink()
    run("make", "--no-print-directory", "wheel")
    (wheel,) = DIST.glob("kvsieve-*.whl")
    return wheel


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
            run(python, "-m", "venv", folder)
            own = Path(folder, "bin/python")
            run(own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", made())
            outputs.add(run(own, EXAMPLE, PATH="/nowhere"))
            where = run(own, "-c", "import kvsieve._library as l; print(l.find())", PATH="/nowhere")
            assert where.startswith(folder), where
            print(f"{python}: {run(own, '--version').strip()}")
    (output,) = outputs
    assert re.search(r"^layer 3: \[\d+, \d+\] of 600 tokens a head", output, re.MULTILINE), output


def tests_without_a_library_a_sentence_says_how() -> None:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", "-w", folder]
            + [str(ROOT / "bindings/python")],
            capture_output=True,
            text=True,
            env={**os.environ, "KVSIEVE_LIBRARY": "/nowhere/libkvsieve.so"},
            check=False,
        )
        assert (
            done.returncode != 0
            and "/nowhere/libkvsieve.so is not there; run `make build`" in done.stdout + done.stderr
        )
        assert not any(Path(folder).iterdir())


if __name__ == "__main__":
    sys.exit(named.run(globals()))
