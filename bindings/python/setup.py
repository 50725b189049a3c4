"""Puts a built library into the wheel, whose tag then names the platform, and the licences beside it. All else is in pyproject.toml.

In a checkout the library is the one that `make build` has made. A source distribution has none: it takes the one that
KVSIEVE_LIBRARY names.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
INSTALL = ROOT / "bindings/c/install.sh"
CHECKOUT = INSTALL.exists()
LICENCES = ("LICENSE", "NOTICE")
WITHOUT_CHECKOUT = "install a wheel of kvsieve, or set KVSIEVE_LIBRARY to the libkvsieve.so that `make build` makes in a checkout of KVSieve"


def fault(chosen: Path | None, version: str) -> str:
    """Why this is no library for a package of this version; "" if it is one."""
    if not chosen:
        return "a source distribution has none"
    if not chosen.is_absolute():
        return f"KVSIEVE_LIBRARY is {chosen}, but must be an absolute path: this runs in another folder than pip"
    if not chosen.is_file():
        return f"{chosen} is not there"
    try:
        build_info = ctypes.CDLL(str(chosen)).kvsieve_build_info
    except OSError as error:
        return f"{chosen} cannot be loaded ({error})"
    except AttributeError:
        return f"{chosen} is another library"
    build_info.restype = ctypes.c_char_p
    said = build_info().decode()
    return "" if said.startswith(f"kvsieve {version},") else f"{chosen} is {said.split(',')[0]}, the package {version}"


def library(version: str) -> Path:
    """That goes into the package. SystemExit, with a sentence, if there is none that fits."""
    named = os.environ.get("KVSIEVE_LIBRARY")
    chosen = Path(named) if named else ROOT / ".build/release/libkvsieve.so" if CHECKOUT else None
    why = fault(chosen, version)
    if chosen and not why:
        return chosen
    how = f"run `make build` in {ROOT} first" if CHECKOUT else WITHOUT_CHECKOUT
    raise SystemExit(f"no library to put into the package: {why}; {how}")


class WithLibrary(build_py):
    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)  # files that an earlier build left
        super().run()
        if self.editable_mode:
            return
        found = library(self.distribution.get_version())
        package = Path(self.build_lib) / "kvsieve"
        shutil.copyfile(found, package / "libkvsieve.so.0")
        if not CHECKOUT:
            for name in LICENCES:
                shutil.copyfile(HERE / name, package / name)
            return
        with tempfile.TemporaryDirectory() as folder:
            where = {"LIBRARY": str(found), "PREFIX": "/usr", "LIBDIR": "lib", "DESTDIR": folder}
            command = ["sh", str(INSTALL), "install"]
            subprocess.run(command, check=True, env={**os.environ, **where}, stdout=subprocess.DEVNULL)
            for name in LICENCES:
                shutil.copyfile(Path(folder, "usr/share/doc/kvsieve", name), package / name)


class WithLicences(sdist):
    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        if not CHECKOUT:
            return  # they are among its files
        shutil.copyfile(ROOT / "LICENSE", Path(base_dir, "LICENSE"))
        # Which version a library has linked is not known before there is one.
        words = {"VERSION": self.distribution.get_version(), "SWIFT": "Swift"}
        text = (ROOT / "docs/NOTICE.in").read_text(encoding="utf-8")
        notice = re.sub(r"@(\w+)@", lambda match: words[match[1]], text)
        Path(base_dir, "NOTICE").write_text(notice, encoding="utf-8")


class HasMachineCode(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        # ctypes: any Python 3 of the platform.
        return "py3", "none", super().get_tag()[2]


setup(
    distclass=HasMachineCode,
    cmdclass={"build_py": WithLibrary, "bdist_wheel": PlatformWheel, "sdist": WithLicences},
)
