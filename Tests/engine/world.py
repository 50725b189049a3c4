"""What a model would make of tokens: queries, keys and values that depend on all tokens before, and on what was dropped of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import kvsieve
from engine.rows import DTYPES, Array, Rows

PLACES = 8192
Places = NDArray[np.int64]
"""For each token: where its rows are in the world's tables."""


@functools.lru_cache(maxsize=4)
def world(model: kvsieve.Model, value_dim: int, dtype: str) -> list[Rows]:
    """Of each layer: queries, keys and values in PLACES places."""
    rng = np.random.default_rng(7)
    kind: Any = DTYPES[dtype]

    def rows(heads: int, dim: int, factor: float = 1) -> Array:
        drawn: Array = (factor * rng.standard_normal((heads, PLACES, dim))).astype(kind)
        return drawn

    q, h, d = model.query_heads, model.kv_heads, model.head_dim
    return [Rows(rows(q, d, 2), rows(h, d), rows(h, value_dim)) for _ in range(model.layers)]


def places(tokens: Sequence[int], losses: Sequence[tuple[int, int]] = ()) -> Places:
    """`losses`: from which token on the cache before was another, and a number that no other sequence has."""
    return _places(tuple(tokens), tuple(losses))


@functools.lru_cache(maxsize=1024)
def _places(tokens: tuple[int, ...], losses: tuple[tuple[int, int], ...]) -> Places:
    state, found = 0, []
    at = dict(losses)
    for i, token in enumerate(tokens):
        state = (state * 1000003 + token + 1) & 0xFFFFFFFF
        if i in at:
            state = (state * 69069 + 0x9E3779B9 + at[i]) & 0xFFFFFFFF
        found.append((state >> 9) % PLACES)
    return np.array(found)
