"""What each method keeps of caches that go on: float64, naive, from the formulas (Sources/KVSieveMethods/README.md).

A round is a prompt, or new tokens behind the rows that each head kept; a prompt is new tokens behind none. Of every layer and
head all keys and values that ever came are remembered, and the list of the absolute positions that are there.
"""
from __future__ import annotations

import sys
from math import ceil, floor, log, sqrt
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np

sys.path.append(str(Path(__file__).resolve().parent.parent / "Golden"))

from references import Gaps, divide, full_heads, pool, taskkv_counts, windowkv_budgets

Parameters = dict[str, float]
Kept = list[list[list[int]]]
"""[layer][head]: rows of the cache, ascending."""


class OverBudget(Exception):
    """The budget cannot hold what the method must keep."""


class Head(NamedTuple):
    """The cache of one key/value head, its new rows included."""

    queries: np.ndarray
    """(G, R, D): of the last R of the new tokens (E2)."""
    keys: np.ndarray
    """(n, D)"""
    values: np.ndarray
    """(n, Dv)"""

    @property
    def n(self) -> int:
        return len(self.keys)

    def attention(self, scale: float, gains: Optional[list[float]] = None) -> np.ndarray:
        """(G, R, n): each row a softmax over the rows of the cache up to its own (E1)."""
        group, rows, _ = self.queries.shape
        out = np.zeros((group, rows, self.n))
        for g in range(group):
            for i in range(rows):
                sees = self.n - rows + i + 1
                z = self.keys[:sees] @ self.queries[g, i] * scale * (1.0 if gains is None else gains[i])
                e = np.exp(z - z.max())
                out[g, i, :sees] = e / e.sum()
        return out


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

    def everything(self, layer: int) -> list[list[int]]:
        return [list(range(head.n)) for head in self.layers[layer]]


def ahakv(r: Round) -> Kept:
    budget, recent, sinks = int(r.p["budget"]), int(r.p["window"]), int(r.p["sinks"])
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        if heads[0].n <= max(budget, recent):
            kept.append(r.everything(layer))
            continue
        kept.append([])
        for head in heads:
            rows = head.queries.shape[1]
            seen = [r.seen - rows + i + 1 for i in range(rows)]  # A1 and E3: the row's own token included
            gains = [max(sqrt(2 * log(i / budget)) if i > budget else 0.0, r.p["gain_floor"]) for i in seen]
            sums = head.attention(r.scale, gains).sum(axis=1).mean(axis=0)
            norms = pool((head.values**2).sum(axis=1), int(r.p["pool_kernel"]))  # E6: of the rows that are there
            last = head.n - recent
            chosen = r.gaps.best((norms * sums)[sinks:last], budget - recent - sinks) + sinks
            kept[-1].append([*range(sinks), *map(int, chosen), *range(last, head.n)])
    return kept


def h2o(r: Round) -> Kept:
    budget = int(r.p["budget"])
    recent = max(1, floor(budget * r.p["recent_ratio"]))
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        if heads[0].n <= budget:
            kept.append(r.everything(layer))
            continue
        kept.append([])
        for head in heads:
            sums = head.attention(r.scale).sum(axis=1).mean(axis=0)  # E2: rows of all new tokens, of no others
            last = head.n - recent
            kept[-1].append([*map(int, r.gaps.best(sums[:last], budget - recent)), *range(last, head.n)])
    return kept


def taskkv(r: Round) -> Kept:
    first, last = int(r.p["sinks"]), int(r.p["recent"])
    slots = floor(r.p["ratio"] * (len(r.layers[0]) * r.seen))  # E3
    if r.seen <= max(first + last, int(r.p["window"])):  # E3: a cut cache of so few rows is not short
        return [r.everything(layer) for layer in range(len(r.layers))]
    if slots < len(r.layers[0]) * (first + last):
        if not r.extended:
            raise OverBudget  # T4
        return [[protected(head.n, first, last) for head in heads] for heads in r.layers]  # E8
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        means = [head.attention(r.scale).mean(axis=(0, 1)) for head in heads]
        vectors = []
        for head, mean in zip(heads, means):
            best = r.gaps.best(mean, min(int(r.p["tokens"]), head.n))
            vectors.append(mean[best] @ head.values[best])
        count, middle = taskkv_counts(layer, len(r.layers), len(heads), r.seen, slots, r.p)  # E3: N is the tokens seen
        full = full_heads(distances(np.stack(vectors)), count, r.gaps)  # E5: anew
        kept.append([])
        for h, (head, mean) in enumerate(zip(heads, means)):
            if h in full or head.n <= first + last + middle:
                kept[-1].append(list(range(head.n)))
                continue
            chosen = r.gaps.best(pool(mean[first : head.n - last], int(r.p["pool_kernel"])), middle) + first
            kept[-1].append([*range(first), *map(int, chosen), *range(head.n - last, head.n)])
    return kept


def protected(rows: int, first: int, last: int) -> list[int]:
    return sorted({*range(min(first, rows)), *range(max(0, rows - last), rows)})


def distances(vectors: np.ndarray) -> np.ndarray:
    """To their centre. T8: of two heads both are equally far, of three equal ones all at 0."""
    if len(vectors) == 2:
        return np.ones(2)
    return np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1))


def windowkv(r: Round) -> Kept:
    window, size, shared = int(r.p["window"]), int(r.p["size"]), int(r.p["shared"])
    budget = int(r.p["budget"]) - (window if r.p["charge"] == 1 else 0)
    budgets = windowkv_budgets(budget, len(r.layers), shared, r.p["pyramid"])
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        leader = layer - layer % shared
        n = heads[0].n
        assert all(head.n == n for head in heads) and n == r.layers[leader][0].n, "a group has one length"
        review = n - window
        if review <= max(0, budgets[layer // shared]):
            kept.append(r.everything(layer))
        elif layer != leader:
            kept.append(kept[leader])
        else:
            columns = np.concatenate([head.attention(r.scale).sum(axis=1) for head in heads])[:, :review]  # (Hq, review)
            scores = []
            for begin in range(0, review, size):  # E1: windows of the cache's rows
                part = columns[:, begin : begin + size]
                if r.p["task"] == 1:
                    part = -np.sort(-part, axis=1)[:, : max(size // 2, 1)]
                scores.append(part.mean(axis=1).mean())
            drop = ceil((review - budgets[layer // shared]) / size)
            chosen = r.gaps.best(np.array(scores), max(ceil(review / size) - drop, 0))
            rows = [row for w in chosen for row in range(w * size, min((w + 1) * size, review))]
            kept.append([[*map(int, rows), *range(review, n)] for _ in heads])
    return kept


def dynamickv(r: Round) -> Kept:
    budget, window, layers, heads = int(r.p["budget"]), int(r.p["window"]), len(r.layers), len(r.layers[0])
    lengths = [layer[0].n for layer in r.layers]
    assert all(head.n == n for n, layer in zip(lengths, r.layers) for head in layer), "a layer's heads have one length"
    if sum(lengths) <= budget * layers or max(lengths) <= window:  # E4
        return [r.everything(layer) for layer in range(layers)]
    base = budget - window
    candidates = [n - window for n in lengths]  # E4: P
    scores: list[np.ndarray] = []
    first: list[int] = []
    """What each layer held at first (E4)."""
    held: list[int] = []
    for layer in range(layers):
        sums = [head.attention(r.scale).sum(axis=1).mean(axis=0)[: candidates[layer]] for head in r.layers[layer]]
        scores.append(np.stack([pool(x, int(r.p["pool_kernel"]), r.p["pool"] == 1) for x in sums]))
        first.append(min(floor(r.p["cap"] * base), candidates[layer]))
        held.append(first[layer])
        seen = layer + 1
        if seen % int(r.p["every"]) == 0 or seen == layers:
            everyone = np.concatenate([x.reshape(-1) for x in scores])
            owner = np.repeat(np.arange(seen), [heads * p for p in candidates[:seen]])
            winners = r.gaps.best(everyone, min(base * heads * seen, len(everyone)))
            won = np.bincount(owner[winners], minlength=seen)
            shares = divide(won, base, heads, layers, max(first))  # E4: the largest of those seen scales them
            held = [min(max(share, 0), now) for share, now in zip(shares, held)]
    return [
        [[*map(int, r.gaps.best(scores[layer][h], held[layer])), *range(candidates[layer], lengths[layer])] for h in range(heads)]
        for layer in range(layers)
    ]


METHODS = {"ahakv": ahakv, "taskkv": taskkv, "windowkv": windowkv, "dynamickv": dynamickv, "h2o": h2o}


class Replay:
    """One sequence. Arrays may have any dtype; they are read as float64."""

    def __init__(self, method: str, layers: int, heads: int, scale: float, parameters: Parameters) -> None:
        self.method, self.scale, self.p = method, scale, parameters
        self.tokens = 0
        self.choices = 0
        self.positions: Kept = [[[] for _ in range(heads)] for _ in range(layers)]
        self.keys: list[np.ndarray] = []
        """[layer] (H, N, D): all that ever came."""
        self.values: list[np.ndarray] = []
        self.gap = float("inf")
        """Of the last round: the smallest relative gap at the edge of a choice."""

    def append(self, keys: list[np.ndarray], values: list[np.ndarray]) -> None:
        """New tokens: of each layer (H, m, D) and (H, m, Dv)."""
        new = range(self.tokens, self.tokens + keys[0].shape[1])
        for mine, given in ((self.keys, keys), (self.values, values)):
            wide = [array.astype(np.float64) for array in given]
            mine[:] = [np.concatenate(pair, axis=1) for pair in zip(mine, wide)] if mine else wide
        self.positions = [[head + list(new) for head in layer] for layer in self.positions]
        self.tokens = new.stop

    def choose(self, queries: list[np.ndarray]) -> Kept:
        """The rows kept of each cache; queries (Hq, R, D) a layer. Nothing changes until keep()."""
        caches = []
        for layer, heads in enumerate(self.positions):
            grouped = queries[layer].astype(np.float64).reshape(len(heads), -1, *queries[layer].shape[1:])
            caches.append([
                Head(grouped[h], self.keys[layer][h, there], self.values[layer][h, there]) for h, there in enumerate(heads)])
        gaps = Gaps()
        kept = METHODS[self.method](Round(caches, self.tokens, self.choices > 0, self.scale, self.p, gaps))
        self.gap = gaps.smallest
        return kept

    def keep(self, rows: Kept) -> None:
        self.choices += 1
        self.positions = [
            [[there[row] for row in chosen] for there, chosen in zip(*pair)] for pair in zip(self.positions, rows)]
