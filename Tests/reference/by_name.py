"""The reference of a method, found by the method's name."""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from reference.caches import Choose, Kept, Round
from reference.decoding import Replay, Sizes
from reference.shares import Parameters, budget_of, by_ratio, holding


class Reference(Protocol):
    """What every <method>.py has."""

    DEFAULTS: Parameters

    def protected(self, p: Parameters) -> int: ...

    def choose(self, r: Round) -> Kept: ...

    def draw(self, rng: np.random.Generator, tokens: int) -> Parameters: ...


class Exceeding(Protocol):
    """What the reference of a method has that may keep more than C rows a head."""

    def most(self, p: Parameters, layers: int, heads: int, seen: int, extended: bool) -> float: ...


class Shared(Protocol):
    """What a reference has besides, if `share` and `even` mean more to it than means of what its heads rank."""

    LAYERS_COMPETE: bool
    """By the pooled attention of all heads (DynamicKV)."""

    def even(self, p: Parameters) -> tuple[str, Parameters]:
        """Layers have budgets of their own: the method and parameters of which this one with one budget is another name."""
        ...

    def ranked_layers(self, layers: int, p: Parameters) -> list[int]:
        """The heads of a layer have one ranking: of how many layers each ranking is."""
        ...


class Looking(Protocol):
    """What a reference has that reads other queries than the last `window`."""

    LOOKS_AT: int
    """How many of the last queries."""


class DecodingReference(Reference, Protocol):
    """And what that of a method that decodes has."""

    Decoding: type[Replay]


def reference(method: str) -> Reference:
    if not (Path(__file__).parent / f"{method}.py").exists():
        raise LookupError(f"{method} has no reference: expected Tests/reference/{method}.py")
    return cast(Reference, importlib.import_module(f"reference.{method}"))


def chooser(method: str, p: Parameters) -> Choose:
    """The method's choice, with the set's shape and the mass that the parameters ask for."""
    from reference import mass, sharing

    choose: Choose = reference(method).choose
    if p.get("share") or p.get("even"):
        choose = functools.partial(sharing.choose, method)
    return functools.partial(mass.choose, method, choose) if p.get("mass") else choose


def looks_at(method: str, p: Parameters) -> int:
    """Of how many of the last queries it reads the attention; 0 if it reads none."""
    found = reference(method)
    if hasattr(found, "LOOKS_AT"):
        return cast(Looking, found).LOOKS_AT
    return int(p.get("window", 0))


def rows_at_most(
    method: str, p: Parameters, layers: int, heads: int, seen: int, extended: bool, protected: int = 0
) -> float:
    """Rows that all caches together may have after a choice: C a head, unless the method says otherwise.

    `protected`: the most rows that the caller's protected tokens take, with those of their blocks.
    """
    found = reference(method)
    if protected > 0:  # certain tokens, where a share cannot hold them
        certain = found.protected(p) + protected + 2 * (int(p.get("block", 1)) - 1) + int(p.get("size", 1))
        return max(rows_at_most(method, p, layers, heads, seen, True), layers * heads * certain * by_ratio(p))
    if hasattr(found, "most"):
        return cast(Exceeding, found).most(p, layers, heads, seen, extended)
    if (block := int(p.get("block", 1))) > 1:
        # Blocks that begin before the protected tokens, or end after them, are protected too.
        return layers * heads * max(budget_of(p, seen), found.protected(p) + 2 * (block - 1))
    return layers * heads * holding(p, seen, found.protected(p), extended)


def decoding_reference(method: str, sizes: Sizes, p: Parameters, scale: float | None = None) -> Replay:
    found = cast(DecodingReference, reference(method))
    return found.Decoding(found.choose, sizes, p, scale)
