"""H2O (arXiv 2306.14048): the column sums of all queries, and the last R."""

from __future__ import annotations

import sys

import numpy as np

from reference import drawing
from reference.caches import Head, Kept, Round
from reference.decoding import Replay
from reference.ranking import F64
from reference.shares import OverBudget, Parameters, budget_of, share

DEFAULTS: Parameters = dict(budget=1024, ratio=0, decoding=0, recent_ratio=0.5, share=0, even=0, block=1)

LOOKS_AT = sys.maxsize


def recent_of(p: Parameters, budget: int, held: int = 0) -> int:
    """R (H1), beside `held` protected tokens."""
    recent = share(p["recent_ratio"], budget)
    if recent == 0 and p["decoding"] == 1:
        raise OverBudget("H4: a set that no new token could enter")
    return max(1, min(recent, budget - held - (int(p["block"]) - 1)))


def protected(p: Parameters) -> int:
    return 1


def choose(r: Round) -> Kept:
    recent = recent_of(r.p, budget_of(r.p, r.seen), r.blocks_protected() * r.block)
    budget = r.budget(recent)
    recent = r.recent(recent)

    def rows(head: Head) -> list[int]:
        sums = head.columns(r.scale, sys.maxsize)  # H2; E2: rows of all new tokens, of no others
        return r.keep(head, sums[: head.n - recent], budget - recent)

    return r.by_head(budget, rows)


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    share_of_recent = drawing.pick(rng, 0, 0.125, 0.25, 0.29, 0.29, 0.5, 0.5, 1)
    return {**DEFAULTS, "recent_ratio": share_of_recent, **drawing.budget(rng, tokens)}


class Decoding(Replay):
    """H3: rows are added for ever."""

    def begin(self) -> None:
        budget, held = budget_of(self.p, self.tokens), len(self.protected)
        self.recent = recent_of(self.p, budget, held)
        self.budget = max(budget, self.recent + held)

    def prompt_over(self, head: int) -> None:
        total = np.zeros(self.tokens)
        for i in range(self.tokens):
            total[: i + 1] += self.row(head, i)
        self.sums[head].append(total[self.alive[head][0]])

    def scores(self, head: int) -> F64:
        before = self.alive[head][0] if len(self.sums[head]) == 1 else self.seen[head][-2]
        stayed = np.isin(before, self.seen[head][-1])
        self.sums[head].append(np.append(self.sums[head][-1][stayed], 0.0) + self.row(head, self.tokens - 1))
        self.forget_rows(self.tokens)
        return self.sums[head][-1]

    def check(self) -> None:
        """The sums by position from every row so far."""
        for head in self.every:
            total = np.zeros(self.tokens)
            for i in range(self.tokens):
                total[self.seen[head][i]] += self.fresh_row(head, i)
            np.testing.assert_allclose(self.sums[head][-1], total[self.seen[head][-1]], rtol=1e-12, atol=1e-15)
