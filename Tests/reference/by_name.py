"""The reference of a method, found by the method's name."""
from __future__ import annotations

import importlib
from pathlib import Path
from typing import Optional, Protocol, cast

import numpy as np

from reference.caches import Kept, Round
from reference.decoding import Replay, Sizes
from reference.shares import Parameters


class Reference(Protocol):
    """What every <method>.py has."""

    DEFAULTS: Parameters

    def choose(self, r: Round) -> Kept: ...

    def draw(self, rng: np.random.Generator, tokens: int) -> Parameters: ...


class DecodingReference(Reference, Protocol):
    """And what that of a method that decodes has."""

    Decoding: type[Replay]


def reference(method: str) -> Reference:
    if not (Path(__file__).parent / f"{method}.py").exists():
        raise LookupError(f"{method} has no reference: expected Tests/reference/{method}.py")
    return cast(Reference, importlib.import_module(f"reference.{method}"))


def decoding_reference(method: str, sizes: Sizes, p: Parameters, scale: Optional[float] = None) -> Replay:
    found = cast(DecodingReference, reference(method))
    return found.Decoding(found.choose, sizes, p, scale)
