"""StreamingLLM (arXiv 2309.17453): the first tokens and the last."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Head, Kept, Round
from reference.decoding import Replay
from reference.ranking import F64, Gaps
from reference.shares import Parameters, budget_of

DEFAULTS: Parameters = dict(budget=1024, ratio=0, decoding=0, sinks=4, share=0, even=0, block=1)


def protected(p: Parameters) -> int:
    """The sinks, and the newest token."""
    return int(p["sinks"]) + 1


def choose(r: Round) -> Kept:
    sinks = r.sinks(int(r.p["sinks"]))
    budget = r.budget(1, sinks)
    recent = r.recent(1)

    def rows(head: Head) -> list[int]:
        # The later, the better: nothing is near.
        return r._replace(gaps=Gaps()).keep(
            head, np.arange(head.n - recent - sinks, dtype=np.float64), budget - sinks - recent, sinks
        )

    return r.by_head(budget, rows)


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    sinks = drawing.few(rng, tokens, most=5)
    return {**DEFAULTS, "sinks": sinks, **drawing.budget(rng, tokens, sinks + 1)}


class Decoding(Replay):
    """The oldest outside the sinks is evicted."""

    def begin(self) -> None:
        self.sinks = int(self.p["sinks"])
        self.budget = max(budget_of(self.p, self.tokens), protected(self.p) + self.held())
        self.recent = self.budget - self.sinks - self.held()

    def scores(self, head: int) -> F64:
        return self.seen[head][-1].astype(np.float64)
