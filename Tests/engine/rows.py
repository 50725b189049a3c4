"""Tokens, and arrays to keep them in."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

import kvsieve

Array = NDArray[Any]
Exact = NDArray[np.float64]
DTYPES: dict[str, Any] = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
LAYOUTS = ("head-major", "token-major", "padded")


class Rows(NamedTuple):
    """Of n tokens, rounded to a dtype."""

    queries: Array
    """(Hq, n, D)"""
    keys: Array
    """(H, n, D)"""
    values: Array
    """(H, n, Dv)"""

    def part(self, begin: int, end: int) -> Rows:
        return Rows(*(array[:, begin:end] for array in self))

    def exact(self, begin: int, end: int) -> tuple[Exact, Exact, Exact]:
        """The rounded numbers as float64."""
        queries, keys, values = (array[:, begin:end].astype(np.float64) for array in self)
        return queries, keys, values


class Source:
    """Tokens without end: queries 2 N(0, 1), keys and values N(0, 1).

    With `topics` queries and keys lean towards a direction that changes every 50 tokens or so: more heavy hitters of
    yesterday are none today, and H2O drops another than the newest that it may 4 times in 100, not once in 200.
    """

    def __init__(
        self, rng: np.random.Generator, model: kvsieve.Model, value_dim: int, dtype: Any, topics: bool
    ) -> None:
        self.rng, self.model, self.value_dim, self.dtype, self.topics = rng, model, value_dim, dtype, topics
        self.topic = rng.standard_normal(model.head_dim)

    def rows(self, tokens: int, sharpness: float = 1) -> Rows:
        model, normal = self.model, self.rng.standard_normal
        queries = normal((model.query_heads, tokens, model.head_dim))
        keys = normal((model.kv_heads, tokens, model.head_dim))
        values = normal((model.kv_heads, tokens, self.value_dim))
        if self.topics:
            lean = np.empty((tokens, model.head_dim))
            for row in lean:
                if self.rng.random() < 1 / 50:
                    self.topic = normal(model.head_dim)
                row[:] = self.topic
            queries, keys = 0.6 * queries + 0.8 * lean, 0.8 * keys + 0.6 * lean
        return Rows(*(array.astype(self.dtype) for array in (2 * sharpness * queries, keys, values)))


def blank(shape: tuple[int, ...], dtype: Any, layout: str) -> Array:
    """(heads, tokens, dim) of NaN; what is between padded rows is NaN too."""
    heads, tokens, dim = shape
    if layout == "token-major":
        return np.full((tokens, heads, dim), np.nan, dtype).transpose(1, 0, 2)
    if layout == "padded":
        return np.full((heads, tokens + 2, dim + 3), np.nan, dtype)[:, 1 : 1 + tokens, 1 : 1 + dim]
    return np.full((heads, tokens, dim), np.nan, dtype)


def laid_out(array: Array, layout: str) -> Array:
    """A copy."""
    copy = blank(array.shape, array.dtype, layout)
    copy[:] = array
    return copy
