"""Finds libkvsieve and loads it once, at the first call that needs it (importing the package does not).

The first of these that exists is used:
    1. the file that the environment variable KVSIEVE_LIBRARY names;
    2. libkvsieve.so.0 or libkvsieve.so beside this file (package data of a wheel);
    3. libkvsieve.so.0 by the system's loader (LD_LIBRARY_PATH, ldconfig).
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path
from typing import Any

from ._abi import declare
from ._version import VERSION

SONAME = "libkvsieve.so.0"
VARIABLE = "KVSIEVE_LIBRARY"

_lock = threading.Lock()
_loaded: Any = None


def library() -> Any:
    """The library, loaded and declared. ImportError, with a sentence, if there is none or it is not the right one."""
    global _loaded
    if _loaded is None:
        with _lock:
            if _loaded is None:
                _loaded = load(find())
    return _loaded


def find() -> str:
    """What to load: a path, or the soname when only the system's loader is left."""
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return os.path.abspath(chosen)
    for name in (SONAME, "libkvsieve.so"):
        beside = Path(__file__).with_name(name)
        if beside.exists():
            return str(beside)
    return SONAME


def load(path: str) -> Any:
    """Loads `path`; refuses what is no file, another major version than this package's, an older library, and one that lacks a
    function."""
    if os.path.isabs(path) and os.path.exists(path) and not os.path.isfile(path):
        raise ImportError(
            f"{path} is not a regular file: expected libkvsieve.so"
        )  # the loader would wait for a pipe's writer
    try:
        found = ctypes.CDLL(path)
    except OSError as error:
        raise ImportError(
            f"libkvsieve could not be loaded ({error}): set {VARIABLE} to the path of libkvsieve.so, "
            f"or install it where the loader finds {SONAME}"
        ) from error
    try:
        found.kvsieve_version.restype = ctypes.c_int32
        number = found.kvsieve_version()
        major, minor, patch = map(int, VERSION.split("."))
        if number // 10000 != major or number < major * 10000 + minor * 100 + patch:
            raise ImportError(
                f"{path} is libkvsieve {version_text(number)}, but this package was written for {VERSION}: "
                f"it takes a library {major}.x that is not older"
            )
        declare(found)
    except AttributeError as error:
        raise ImportError(f"{path} is not a libkvsieve that this package ({VERSION}) can use: {error}") from error
    return found


def version_text(number: int) -> str:
    """100 -> "0.1.0": the composed KVSIEVE_VERSION in its usual form."""
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def version() -> str:
    """The version of the library that is running, "0.1.0"."""
    return version_text(library().kvsieve_version())


def build_info() -> str:
    """One line for a bug report: version, instruction set in use, compiler."""
    return str(library().kvsieve_build_info().decode())
