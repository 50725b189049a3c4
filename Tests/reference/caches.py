"""What a choice is made from: the caches of all layers and heads, their attention, and its pooling.

Letters: H key/value heads, G query heads of each, n rows of a head's cache, m new tokens, D head size, W window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from reference.ranking import CERTAIN, F64, I64, Gaps
from reference.shares import Parameters, by_ratio, holding

Kept = list[list[list[int]]]
"""[layer][head]: rows of the cache, ascending."""


def pool(x: F64, kernel: int, use_max: bool = False) -> F64:
    """Stride 1, same length. The mean counts zeros beyond both ends; max takes nothing from there."""
    padded = np.pad(x, kernel // 2, constant_values=-np.inf if use_max else 0)
    windows: F64 = np.lib.stride_tricks.sliding_window_view(padded, kernel)
    pooled: F64 = windows.max(axis=1) if use_max else windows.sum(axis=1) / kernel
    return pooled


class Head(NamedTuple):
    """The cache of one key/value head, its new rows included."""

    queries: F64
    """(G, m, D), of the new tokens."""
    keys: F64
    """(n, D)"""
    values: F64
    """(n, Dv)"""
    positions: I64
    """(n,), absolute."""

    @property
    def n(self) -> int:
        return len(self.keys)

    def attention(self, scale: float, rows: int, gains: list[float] | None = None) -> F64:
        """(G, R, n), R = min(rows, m) last rows: each a softmax over the rows of the cache up to its own (E1, E2)."""
        queries = self.queries[:, max(0, self.queries.shape[1] - rows) :]
        z = queries @ self.keys.T * scale
        if gains is not None:
            z = z * np.array(gains)[:, None]
        sees = self.n - queries.shape[1] + 1 + np.arange(queries.shape[1])
        z = np.where(np.arange(self.n) < sees[:, None], z, -np.inf)
        e = np.exp(z - z.max(axis=2, keepdims=True))
        weights: F64 = e / e.sum(axis=2, keepdims=True)
        return weights

    def columns(self, scale: float, rows: int, gains: list[float] | None = None) -> F64:
        """(n,) column sums, the mean over the group before anything is pooled (D9, T1, A5)."""
        sums: F64 = self.attention(scale, rows, gains).sum(axis=1).mean(axis=0)
        return sums


class Round(NamedTuple):
    """Before a choice."""

    layers: list[list[Head]]
    seen: int
    """N: tokens of the sequence so far, whether they are there or not."""
    extended: bool
    """Has an earlier choice been made?"""
    scale: float
    p: Parameters
    gaps: Gaps
    protected: frozenset[int] = frozenset()
    """Positions that every head keeps: they are in every cache."""

    @property
    def window(self) -> int:
        """W, of a method that has one."""
        return int(self.p["window"])

    @property
    def block(self) -> int:
        """Tokens of a block that is kept or dropped whole."""
        return int(self.p.get("block", 1))

    def recent(self, recent: int, multiple: int | None = None) -> int:
        """So many last tokens, and those before them in the same block."""
        multiple = multiple or self.block
        if multiple > 1:
            recent = max(recent, 1)
        return recent + max(0, self.seen - recent) % multiple

    def sinks(self, sinks: int) -> int:
        """Whole blocks of first tokens."""
        return -(-sinks // self.block) * self.block

    def blocks(self, scores: F64) -> F64:
        """The mean of each block."""
        means: F64 = scores.reshape(-1, self.block).mean(axis=1)
        return means

    def budget(self, recent: int, sinks: int = 0) -> int:
        """C(N), of a method that always keeps so many tokens; with blocks, wherever in one the sequence ends.

        Protected tokens are held beside them. A share must hold those that are not recent now.
        """
        least = sinks + recent
        if self.block > 1:
            least = max(least + self.block - 1, self.block)
        if by_ratio(self.p):
            last = self.recent(recent)
            least += self.block * max(
                int(self.apart(head, sinks, last).sum()) for heads in self.layers for head in heads
            )
        else:
            least += self.block * self.blocks_protected(sinks)
        return holding(self.p, self.seen, least, self.extended)

    def blocks_protected(self, sinks: int = 0) -> int:
        """Blocks after the sinks that have a protected token, recent ones too."""
        return len({position // self.block for position in self.protected if position >= sinks})

    def apart(self, head: Head, sinks: int, recent: int, unit: int | None = None) -> NDArray[np.bool_]:
        """Of each block of a head between its first and last rows: has it a protected token, and does not compete?"""
        unit = unit or self.block
        rows = [position in self.protected for position in head.positions[sinks : max(sinks, head.n - recent)].tolist()]
        return np.array([any(rows[first : first + unit]) for first in range(0, len(rows), unit)], bool)

    def everything(self, layer: int) -> list[list[int]]:
        return [list(range(head.n)) for head in self.layers[layer]]

    def by_head(self, budget: int, rows: Callable[[Head], list[int]]) -> Kept:
        """`rows` of each head by itself. If no head of a layer has more rows than the budget, the layer keeps everything."""
        return [
            self.everything(layer) if self.longest(layer) <= budget else [rows(head) for head in heads]
            for layer, heads in enumerate(self.layers)
        ]

    def longest(self, layer: int) -> int:
        return max(head.n for head in self.layers[layer])

    def rows_of_all(self) -> int:
        return sum(head.n for heads in self.layers for head in heads)

    def caches(self) -> int:
        """L * H"""
        return sum(map(len, self.layers))

    def pooled(self, head: Head) -> F64:
        """(n - W,): column sums of the last W queries, cut to the candidates, then pooled."""
        sums = head.columns(self.scale, self.window)[: head.n - self.recent(self.window)]
        return pool(sums, int(self.p["pool_kernel"]), self.p.get("pool") == 1)

    def keep(self, head: Head, scores: F64, count: int, first: int = 0, size: float = 0.0) -> list[int]:
        """The rows of a cache: the `first`, `count` of those that have scores, and all after those.

        Those that have scores are whole blocks, which go by their means: as many as fit, the protected ones among them.
        """
        blocks, end = self.blocks(scores), first + len(scores)
        apart = self.apart(head, first, head.n - end)
        others = np.flatnonzero(~apart)
        best = self.gaps.best(blocks[others], count // self.block - int(apart.sum()), size)
        chosen = np.union1d(np.flatnonzero(apart), others[best])
        mine = (chosen[:, None] * self.block + np.arange(self.block)).ravel() + first
        rows = [*range(first), *mine.tolist(), *range(end, head.n)]
        self.gaps.told(rows, np.where(apart, CERTAIN, blocks), self.block, first, end)
        return rows


Choose = Callable[[Round], Kept]
