"""Puts a built library into the wheel, whose tag then names the platform, and the licences beside it. All else is in pyproject.toml.

In a checkout the library is the one that `make build` has made. A source distribution has none: it takes the one that
KVSIEVE_LIBRARY names.
"""

from __future__ import annotations

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


def library() -> Path:
    """That goes into the package. SystemExit, with a sentence, if there is none."""
    chosen = os.environ.get("KVSIEVE_LIBRARY") or (ROOT / ".build/release/libkvsieve.so" if CHECKOUT else None)
    if chosen and Path(chosen).is_file():
        return Path(chosen)
    lacks = f"{chosen} is not there" if chosen else "a source distribution has none"
    how = f"run `make build` in {ROOT} first" if CHECKOUT else WITHOUT_CHECKOUT
    raise SystemExit(f"no library to put into the package: {lacks}; {how}")


class WithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        found = library()
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
            for licence in Path(folder, "usr/share/doc/kvsieve").iterdir():
                shutil.copyfile(licence, package / licence.name)


class WithLicences(sdist):
    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        if not CHECKOUT:
            return  # they are among its files
        shutil.copyfile(ROOT / "LICENSE", Path(base_dir, "LICENSE"))
        # Which versions a library has linked is not known before there is one.
        words = {"VERSION": self.distribution.get_version(), "OPENBLAS": "OpenBLAS", "SWIFT": "Swift"}
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
