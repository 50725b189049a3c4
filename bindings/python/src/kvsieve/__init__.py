"""kvsieve: keep the part of a KV cache that attention reads, drop the rest.

A thin binding of libkvsieve: no policy, no defaults and no list of methods of its own. The reference is include/kvsieve.h.
"""

from ._compress import compress
from ._compressed import Compressed, Layer
from ._kept import Kept, Slots
from ._library import build_info, version
from ._methods import MethodInfo, ParameterInfo, methods
from ._model import Model
from ._report import Report
from ._rope import Rope
from ._rows import Paged, Quantised
from .errors import KVSieveError
from .plan import Plan

__all__ = [
    "Compressed",
    "KVSieveError",
    "Kept",
    "Layer",
    "MethodInfo",
    "Model",
    "Paged",
    "ParameterInfo",
    "Plan",
    "Quantised",
    "Report",
    "Rope",
    "Slots",
    "build_info",
    "compress",
    "methods",
    "version",
]


def __getattr__(name: str) -> str:
    if name == "__version__":  # of the library, which is loaded when first needed
        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
