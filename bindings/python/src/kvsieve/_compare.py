"""What each method keeps of a cache, and what that does to the attention of the last queries: computed here, in numpy.

Letters: L layers, Hq query heads, H key/value heads, G = Hq / H, R last queries, T tokens, D head size.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._cache import Cache
from .errors import KVSieveError
from .plan import Plan

ROWS = 32
"""R, at most."""


@dataclass(frozen=True)
class Comparison:
    """One method on one cache."""

    method: str
    rows: float
    """Rows that a head keeps, in the mean."""
    share: float
    """The same as a share of T."""
    mass: float
    """The share of the attention of the last R queries that kept rows hold: mean over layers and query heads. NaN without queries."""
    mass_least: float
    """The least of any layer and query head. NaN without queries."""
    error: float
    """How far the attention's output over kept rows is from that over all: |kept - all| / |all| of a layer, mean over the
    layers. NaN without queries or values."""
    seconds: float
    """Of observe, finish and the gathers, all layers: the median of three."""


def compare(cache: Cache, method: str, parameters: dict[str, Any], scale: float = 0.0) -> Comparison:
    """ValueError, with the library's sentence, if it refuses."""
    try:
        seconds = float(np.median([_timed(cache, method, parameters, scale) for _ in range(3)]))
        with cache.through(method, parameters, scale) as plan:
            heads = [[plan.kept(layer).head(head) for head in range(cache.k.shape[1])] for layer in range(len(cache.k))]
    except KVSieveError as error:
        raise ValueError(error.message) from None
    masses, errors = [], []
    for layer, positions in enumerate(heads):
        if cache.q is None:
            masses.append(np.array([np.nan]))
            errors.append(np.nan)
            continue
        with np.errstate(all="ignore"):
            mass, moved = _lost(cache, cache.q[layer], layer, positions, scale)
        if not np.isfinite(mass).all() or (cache.v is not None and not np.isfinite(moved)):
            raise ValueError(f"the attention of layer {layer} has NaN or infinity, in float32")
        masses.append(mass)
        errors.append(moved)
    rows = float(np.mean([len(positions) for layer in heads for positions in layer]))
    return Comparison(
        method,
        rows,
        rows / cache.tokens,
        float(np.mean(masses)),
        float(np.min(masses)),
        float(np.mean(errors)),
        seconds,
    )


def _timed(cache: Cache, method: str, parameters: dict[str, Any], scale: float) -> float:
    begin = time.perf_counter()
    with cache.through(method, parameters, scale) as plan:
        _gather(plan, cache)
    return time.perf_counter() - begin


def _gather(plan: Plan, cache: Cache) -> None:
    for layer in range(len(cache.k)):
        plan.gather(layer, cache.k[layer])
        if cache.v is not None:
            plan.gather(layer, cache.v[layer])


def _lost(cache: Cache, q: np.ndarray, layer: int, kept: list[Any], scale: float) -> tuple[np.ndarray, float]:
    """(Hq,): the share of the attention that kept rows hold; and the output's error. q are the layer's queries."""
    queries = q[:, -ROWS:].astype(np.float32)
    group = len(queries) // len(kept)
    rows = queries.shape[1]
    factor = np.float32(scale) or np.float32(queries.shape[2] ** -0.5)
    ahead = np.arange(cache.tokens) > cache.tokens - rows + np.arange(rows)[:, None]
    masses: list[np.ndarray] = []
    difference = size = 0.0
    for head, positions in enumerate(kept):
        own = queries[head * group : (head + 1) * group]
        weights = own @ (factor * cache.k[layer, head].astype(np.float32).T)
        weights[:, ahead] = -np.inf
        weights = np.exp(weights - weights.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        some = weights[:, :, positions]
        held = some.sum(axis=2)
        masses.append(held.mean(axis=1))
        if cache.v is not None:
            values = cache.v[layer, head].astype(np.float32)
            output = weights @ values
            # A row that sees no kept row has no output.
            part = some @ values[positions] / np.maximum(held, np.finfo(np.float32).tiny)[:, :, None]
            difference += float(((part - output).astype(np.float64) ** 2).sum())
            size += float((output.astype(np.float64) ** 2).sum())
    if cache.v is None:
        return np.concatenate(masses), float("nan")
    # Values that are all 0 are moved nowhere.
    return np.concatenate(masses), (difference / size) ** 0.5 if size > 0 else difference
