"""StreamingLLM (arXiv 2309.17453): the first tokens and the last."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.decoding import Replay
from reference.ranking import F64
from reference.shares import Parameters, holding

DEFAULTS: Parameters = dict(budget=1024, ratio=0, decoding=0, sinks=4, share=0, even=0, block=1)


def protected(p: Parameters) -> int:
    """The sinks, and the newest token."""
    return int(p["sinks"]) + 1


def choose(r: Round) -> Kept:
    sinks = r.sinks(int(r.p["sinks"]))
    budget = r.budget(sinks + 1)
    recent = r.recent(1)
    recent += (budget - sinks - recent) // r.block * r.block
    return r.by_head(budget, lambda head: [*range(sinks), *range(head.n - recent, head.n)])


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    sinks = drawing.few(rng, tokens, most=5)
    return {**DEFAULTS, "sinks": sinks, **drawing.budget(rng, tokens, sinks + 1)}


class Decoding(Replay):
    """The oldest outside the sinks is evicted."""

    def begin(self) -> None:
        self.sinks = int(self.p["sinks"])
        self.budget = holding(self.p, self.tokens, protected(self.p), extended=False)
        self.recent = self.budget - self.sinks

    def scores(self, head: int) -> F64:
        return self.seen[head][-1].astype(np.float64)
