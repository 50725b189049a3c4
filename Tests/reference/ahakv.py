"""AhaKV (arXiv 2506.03762): the attention of the last W queries, flattened to a steady entropy, times the values' norms.

S is pooled (A12), then multiplied with the value prior.
"""

from __future__ import annotations

from math import log, sqrt

import numpy as np

from reference import drawing
from reference.caches import Head, Kept, Round, pool
from reference.decoding import Replay
from reference.ranking import F64, I64
from reference.shares import OverBudget, Parameters, budget_of

DEFAULTS: Parameters = dict(
    budget=1024,
    ratio=0,
    window=32,
    pool_kernel=7,
    pool=0,
    decoding=0,
    gain_floor=0,
    sinks=0,
    score_kernel=1,
    share=0,
    even=0,
    block=1,
)


def protected(p: Parameters) -> int:
    """The last r, and the sinks (A9)."""
    if p["window"] < p["pool_kernel"] // 2:  # A6
        raise OverBudget("a token could leave before its norm is known")
    return int(p["window"] + p["sinks"])


def gain(seen: int, budget: int, least: float) -> float:
    """Of a row that has seen so many tokens, its own included (A1); by the whole budget (A11); not below the floor (A2)."""
    return max(sqrt(2 * log(seen / budget)) if seen > budget else 0.0, least)


def choose(r: Round) -> Kept:
    protected(r.p)
    sinks = r.sinks(int(r.p["sinks"]))
    budget, recent = r.budget(r.window, sinks), r.recent(r.window)

    def rows(head: Head) -> list[int]:
        last = min(r.window, head.queries.shape[1])
        gains = [gain(r.seen - last + i + 1, budget, r.p["gain_floor"]) for i in range(last)]  # A3, E3
        sums = head.columns(r.scale, r.window, gains)[sinks : head.n - recent]
        sums = pool(sums, int(r.p["score_kernel"]), r.p["pool"] == 1)  # A12
        norms = pool((head.values**2).sum(axis=1), int(r.p["pool_kernel"]))  # A6; E6: of the rows that are there
        prior = norms[sinks : head.n - recent]
        prior = prior / (prior.max(initial=0) or 1)  # of the candidates: it tells heads apart that rank the mean
        return r.keep(head, prior * sums, budget - recent - sinks, sinks)

    return r.by_head(budget, rows)


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window = drawing.window(rng, tokens)
    kernel = int(drawing.pick(rng, *(kernel for kernel in (1, 3, 7) if window >= kernel // 2)))
    sinks = drawing.few(rng, tokens)
    own = dict(window=window, pool_kernel=kernel, pool=int(rng.integers(0, 2)), sinks=sinks)
    own["score_kernel"] = int(drawing.pick(rng, 1, 1, 3, 5))
    floor = drawing.pick(rng, 0, 0.5, 1)
    return {**DEFAULTS, **own, "gain_floor": floor, **drawing.budget(rng, tokens, window + sinks)}


class Decoding(Replay):
    """S is the sum of the last r rows (A3) over the positions in the cache."""

    def begin(self) -> None:
        self.recent, self.sinks = int(self.p["window"]), int(self.p["sinks"])
        self.budget = max(budget_of(self.p, self.tokens), protected(self.p) + self.held())

    def gain(self, seen: int) -> float:
        return gain(seen, self.budget, self.p["gain_floor"])

    def scores(self, head: int) -> F64:
        lives, n = self.seen[head][-1], self.tokens
        self.forget_rows(n - 2 * self.recent)
        total = np.zeros(len(lives))
        for i in range(max(0, n - self.recent), n):
            there = lives[lives <= i]  # positions in the cache now and no later than row i were in the cache then
            total[: len(there)] += self.row(head, i)[np.searchsorted(self.seen[head][i], there)]
        return self.norms(head, lives) * self.pooled(total, lives)

    def pooled(self, sums: F64, lives: I64) -> F64:
        """A12: over the slots whose positions are near; an evicted position counts 0 in the mean."""
        kernel = int(self.p["score_kernel"])
        near = abs(lives[:, None] - lives) <= kernel // 2
        if self.p["pool"] == 1:
            most: F64 = np.where(near, sums, -np.inf).max(axis=1)
            return most
        mean: F64 = np.where(near, sums, 0).sum(axis=1) / kernel
        return mean

    def norms(self, head: int, lives: I64) -> F64:
        """A6: pooled over all tokens of the sequence. The same order of additions for all, so that equals tie exactly."""
        kernel = int(self.p["pool_kernel"])
        at = lives[:, None] + np.arange(-(kernel // 2), kernel // 2 + 1)
        there = (at >= 0) & (at < self.tokens)
        squares = np.where(there, (self.v.there[head, np.where(there, at, 0)] ** 2).sum(-1), 0.0)
        total = np.zeros(len(lives))
        for near in squares.T:
            total += near
        return total / kernel
