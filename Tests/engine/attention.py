"""What an engine's softmax saw and said, in double: logits, probabilities, column sums."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from engine.rows import Array, Exact

CHUNKS = "chunks"
"""No attention: queries in pieces."""
KINDS = ("logits", "probabilities", "sums", "sums of groups", CHUNKS)


class Given(NamedTuple):
    """What is handed over in the place of queries and keys."""

    kind: str
    dtype: Any


def attention(kind: str, queries: Array, keys: Array, own: list[slice], rows: int, scale: float) -> Exact:
    """Of the last `rows` of the new tokens' queries (Hq, m, D) over keys (H, n, D), of which head h has the rows own[h].

    logits and probabilities (Hq, R, n); sums (Hq, 1, n); sums of groups (H, 1, n), their means. For each kind what must not be
    read is NaN. Logits and probabilities have one row more than must be given, of NaN, if there is a token more.
    """
    query_heads, m, dim = queries.shape
    heads, n, _ = keys.shape
    scale = float(np.float32(scale or dim**-0.5))
    group = query_heads // heads
    more = 1 if m > rows and not kind.startswith("sums") else 0
    found = np.full((query_heads, rows + more, n), np.nan)
    sums = np.full((query_heads, 1, n), np.nan)
    for query_head in range(query_heads):
        has = own[query_head // group]
        wide = keys[query_head // group, has].astype(np.float64)
        sums[query_head, 0, has] = 0
        for row in range(rows):
            visible = len(wide) - rows + row + 1
            columns = slice(has.start, has.start + visible)
            z = scale * (wide[:visible] @ queries[query_head, m - rows + row].astype(np.float64))
            p = np.exp(z - z.max())
            p /= p.sum()
            found[query_head, more + row, columns] = z if kind == "logits" else p
            sums[query_head, 0, columns] += p
    if kind == "sums of groups":
        means: Exact = sums.reshape(heads, group, n).mean(axis=1, keepdims=True)
        return means
    return sums if kind == "sums" else found
