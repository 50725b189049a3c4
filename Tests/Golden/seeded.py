"""Seeded caches that any language can make bit for bit (Tests/TestSupport/SeededCache.swift does). Knows no method.

The rule. SplitMix64 from the seed; u is the top 24 bits of an output. A number takes the next four outputs:
    n = (u0 + u1 + u2 + u3) >> 2, less 2^23;   x = n / 2^22
so x is a float32 exactly, in [-2, 2), bell-shaped, standard deviation 0.577. Order: for each layer queries (Hq, R, D) with
R = min(W, T), keys (H, T, D), values (H, T, D), each row-major. Then, exactly:
    queries of layer l are multiplied by 2^(1 + l mod 3): layers differ in how peaked their attention is;
    needles: keys and values of token j in KV head h are doubled where (j + 5 h + 3 l) mod 61 = 7;
    a part named by the case's `zero` ("queries" or "values") is replaced by zeros;
    dtype f16 or bf16: rounded to nearest, ties to even.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

GAMMA = np.uint64(0x9E3779B97F4A7C15)


def splitmix64(seed: int, first: int, count: int) -> np.ndarray:
    """Outputs first .. first + count of the stream; the state before output 0 is the seed."""
    with np.errstate(over="ignore"):
        z = np.uint64(seed) + (np.arange(first, first + count, dtype=np.uint64) + np.uint64(1)) * GAMMA
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def rounded(x: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values as the dtype holds them, as float32 again."""
    if dtype == "f16":
        return x.astype(np.float16).astype(np.float32)
    if dtype == "bf16":
        bits = x.astype(np.float32).view(np.uint32)
        bits = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF0000)
        return bits.view(np.float32)
    return x


@dataclass
class Cache:
    """q (L, Hq, R, D), k and v (L, H, T, D) in float64, holding float32 values."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    scale: float

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """L, Hq, H, T, D"""
        return (*self.q.shape[:2], *self.k.shape[1:])


def make_cache(
    seed: int,
    layers: int,
    query_heads: int,
    heads: int,
    dim: int,
    tokens: int,
    rows: int,
    *,
    scale: float = 0,
    dtype: str = "f32",
    zero: str = "",
) -> Cache:
    drawn = 0

    def draw(*shape: int) -> np.ndarray:
        nonlocal drawn
        count = int(np.prod(shape))
        u = (splitmix64(seed, drawn, 4 * count) >> np.uint64(40)).astype(np.int64).reshape(count, 4)
        drawn += 4 * count
        numbers: np.ndarray = (((u.sum(axis=1) >> 2) - (1 << 23)) / 2.0**22).reshape(shape)
        return numbers

    parts: dict[str, list[np.ndarray]] = {"queries": [], "keys": [], "values": []}
    token, head = np.arange(tokens)[None, :, None], np.arange(heads)[:, None, None]
    for layer in range(layers):
        needle = np.where((token + 5 * head + 3 * layer) % 61 == 7, 2.0, 1.0)
        parts["queries"].append(draw(query_heads, rows, dim) * 2.0 ** (1 + layer % 3))
        parts["keys"].append(draw(heads, tokens, dim) * needle)
        parts["values"].append(draw(heads, tokens, dim) * needle)
    made = {}
    for name, arrays in parts.items():
        array = np.zeros_like(arrays) if name == zero else np.stack(arrays)
        single = array.astype(np.float32)
        assert (single == array).all(), "the rule is not exact"
        made[name] = rounded(single, dtype).astype(np.float64)
    return Cache(made["queries"], made["keys"], made["values"], scale or 1 / np.sqrt(dim))
