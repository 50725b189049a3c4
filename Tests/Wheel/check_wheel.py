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

from environments import ROOT, begin, environment, interpreters, made, run, tracked

LIBRARY = ROOT / ".build/release/libkvsieve.so"
EXAMPLE = ROOT / "bindings/python/examples/quickstart.py"
MOST_BYTES = 3_000_000
HELP = "import doctest, kvsieve; print(f'failed={doctest.testmod(kvsieve).failed}', end='')"
ADDED = {"kvsieve/libkvsieve.so.0", "kvsieve/LICENSE", "kvsieve/NOTICE"}
METADATA = {"METADATA", "RECORD", "WHEEL", "top_level.txt"}


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


def inside(wheel: Path, *described_too: str) -> set[str]:
    """The names of its files but those that describe it, which are METADATA and these."""
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    described = {name for name in names if ".dist-info/" in name}
    assert {name.partition(".dist-info/")[2] for name in described} == {*METADATA, *described_too}, described
    return names - described


def tests_what_is_inside() -> None:
    assert inside(made()) == tracked() | ADDED, inside(made()) ^ (tracked() | ADDED)


def tests_what_is_around_does_not_get_in() -> None:
    """What an earlier build left, and a manual, if `pip` makes the wheel of the checkout itself."""
    with tempfile.TemporaryDirectory() as folder:
        run("sh", ".ci/tree", f"{folder}/tree")
        package = Path(folder, "tree/bindings/python")
        for left in ("build/lib", f"build/lib.linux-{platform.machine()}-{sys.implementation.cache_tag}"):
            (package / left / "kvsieve").mkdir(parents=True)
            (package / left / "kvsieve/stale.py").write_text("stale = 1")
        manual = Path(folder, "tree/.build/manual/python")
        manual.mkdir(parents=True)
        (manual.parent / "index.html").write_text("page")
        (manual / "kvsieve.html").write_text("page")
        pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--disable-pip-version-check", "-w", folder]
        run(*pip, package, KVSIEVE_LIBRARY=str(LIBRARY))
        (wheel,) = Path(folder).glob("*.whl")
        assert inside(wheel) == tracked() | ADDED, inside(wheel) ^ (tracked() | ADDED)


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


def compiled(folder: str, name: str, source: str) -> str:
    path = Path(folder, name)
    path.with_suffix(".c").write_text(source)
    run("cc", "-shared", "-fPIC", "-o", path, path.with_suffix(".c"))
    return str(path)


def tests_a_library_that_does_not_fit_is_refused_by_a_sentence() -> None:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder, "text.so")
        text.write_text("no library")
        older = 'const char *kvsieve_build_info(void) { return "kvsieve 0.0.99, base"; }'
        for named, why in (
            ("/nowhere/libkvsieve.so", "/nowhere/libkvsieve.so is not there"),
            (str(text), f"{text} cannot be loaded ("),
            (compiled(folder, "other.so", "int other = 1;"), "other.so is another library"),
            (compiled(folder, "older.so", older), "older.so is kvsieve 0.0.99, the package "),
            (".build/release/libkvsieve.so", ".build/release/libkvsieve.so, but must be an absolute path"),
        ):
            made_in = Path(folder, "made")
            pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", "-w", str(made_in)]
            done = begin(*pip, ROOT / "bindings/python", KVSIEVE_LIBRARY=named)
            said = done.stdout + done.stderr
            assert done.returncode != 0 and why in said and "; run `make build`" in said, said
            assert not list(made_in.glob("*")), named
