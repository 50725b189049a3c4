"""The source distribution: what is in it, what it says without a library, and the wheel that it makes with one."""

from __future__ import annotations

import functools
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from check_wheel import ADDED, LIBRARY, inside
from environments import ROOT, begin, environment, run, tracked

PACKAGE = ROOT / "bindings/python"
BUILD = "import sys, setuptools.build_meta as backend; print(backend.build_sdist(sys.argv[1]))"
KEPT = tempfile.TemporaryDirectory()


@functools.cache
def sdist() -> Path:
    """As `python -m build --sdist` makes it: by the backend that pyproject.toml names, where PACKAGE is the current folder."""
    own = environment(Path(sys.executable), Path(KEPT.name, "environment"), "setuptools>=70.1")
    name = run("env", "-C", PACKAGE, own, "-c", BUILD, KEPT.name).splitlines()[-1]
    return Path(KEPT.name, name)


def wheel(folder: str, **settings: str) -> tuple[int, str]:
    """Made of it, as `pip install` makes one first."""
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--disable-pip-version-check", "-w", folder]
    done = begin(*pip, sdist(), **settings)
    return done.returncode, done.stdout + done.stderr


def tests_the_sdist_has_the_sources_and_the_licences() -> None:
    with tarfile.open(sdist()) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
        (notice,) = [name for name in archive.getnames() if name.endswith("/NOTICE")]
        file = archive.extractfile(notice)
        assert file is not None
        text = file.read().decode()
    sources = {str(path.relative_to(PACKAGE)) for path in PACKAGE.glob("src/kvsieve/**/*.py")}
    wanted = {"setup.py", "pyproject.toml", "README.md", "LICENSE", "NOTICE", "src/kvsieve/py.typed", *sources}
    assert wanted <= names, wanted - names
    assert not [name for name in names if name.startswith(("tests", "lab", "bench", "examples")) or ".so" in name], (
        names
    )
    assert "Swift" in text and "@" not in text.partition("Copyright")[0], text[:400]


def tests_the_sdist_without_a_library_says_what_it_needs() -> None:
    for settings, sentence in (
        ({}, "a source distribution has none; install a wheel of kvsieve, or set KVSIEVE_LIBRARY to the libkvsieve.so"),
        (
            {"KVSIEVE_LIBRARY": "/nowhere/libkvsieve.so"},
            "/nowhere/libkvsieve.so is not there; install a wheel of kvsieve",
        ),
    ):
        with tempfile.TemporaryDirectory() as folder:
            status, output = wheel(folder, **settings)
            assert status != 0 and f"no library to put into the package: {sentence}" in output, output
            assert not any(Path(folder).iterdir())


def tests_the_sdist_with_a_library_makes_a_wheel() -> None:
    with tempfile.TemporaryDirectory() as folder:
        status, output = wheel(folder, KVSIEVE_LIBRARY=str(LIBRARY))
        assert status == 0, output
        (found,) = Path(folder).iterdir()
        names = inside(found, "licenses/LICENSE", "licenses/NOTICE")
        assert names == tracked() | ADDED, names ^ (tracked() | ADDED)
        packed = zipfile.ZipFile(found).read("kvsieve/libkvsieve.so.0")
        assert packed == LIBRARY.read_bytes()
