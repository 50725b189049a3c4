"""What the checks of this folder share: the wheel, the interpreters that are here, and commands that see nothing of this folder."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KEPT = tempfile.TemporaryDirectory()  # what is published stays as it is
OLDEST = (3, 9)
OURS = ("KVSIEVE_", "PYTHON", "LD_", "MAKE", "VIRTUAL")


def begin(*command: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Without what this folder's build and tests have set."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return subprocess.run(command, capture_output=True, text=True, env={**kept, **settings}, cwd=ROOT, check=False)


def run(*command: str | Path, **settings: str) -> str:
    done = begin(*command, **settings)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{done.stdout}{done.stderr}"
    return done.stdout


def environment(python: Path, folder: str | Path, *packages: str | Path) -> Path:
    """A new one's interpreter."""
    run(python, "-m", "venv", folder)
    own = Path(folder, "bin/python")
    run(own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages)
    return own


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
    run("make", "--no-print-directory", "wheel", f"DIST={KEPT.name}")
    (wheel,) = Path(KEPT.name).iterdir()
    return wheel


def tracked() -> set[str]:
    """The package's files, as a wheel names them."""
    source = "bindings/python/src/"
    return {name.removeprefix(source) for name in run("git", "ls-files", source).splitlines()}
