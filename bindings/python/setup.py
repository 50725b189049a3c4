"""Puts the library that `make build` has made into the wheel, whose tag then names the platform. All else is in pyproject.toml."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(os.environ.get("KVSIEVE_LIBRARY") or ROOT / ".build/release/libkvsieve.so")
HOW = f"no library to put into the package: {LIBRARY} is not there; run `make build` in {ROOT} first"


class WithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        if not LIBRARY.exists():
            raise SystemExit(HOW)
        package = Path(self.build_lib) / "kvsieve"
        shutil.copyfile(LIBRARY, package / "libkvsieve.so.0")
        with tempfile.TemporaryDirectory() as folder:
            where = {"LIBRARY": str(LIBRARY), "PREFIX": "/usr", "LIBDIR": "lib", "DESTDIR": folder}
            install = ["sh", str(ROOT / "bindings/c/install.sh"), "install"]
            subprocess.run(install, check=True, env={**os.environ, **where}, stdout=subprocess.DEVNULL)
            for licence in Path(folder, "usr/share/doc/kvsieve").iterdir():
                shutil.copyfile(licence, package / licence.name)


class HasMachineCode(Distribution):
    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        # ctypes: any Python 3 of the platform.
        return "py3", "none", super().get_tag()[2]


setup(distclass=HasMachineCode, cmdclass={"build_py": WithLibrary, "bdist_wheel": PlatformWheel})
