"""TOVA (arXiv 2401.06104): what the last query looks at, one choice for all heads of a layer."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.decoding import Replay
from reference.ranking import F64
from reference.shares import Parameters, budget_of

DEFAULTS: Parameters = dict(budget=1024, ratio=0, decoding=0, share=0, even=0, block=1)

LOOKS_AT = 1


def protected(p: Parameters) -> int:
    """The newest token."""
    return 1


def choose(r: Round) -> Kept:
    budget = r.budget(protected(r.p))
    recent = r.recent(1)
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        n = heads[0].n
        assert all(head.n == n for head in heads), "one choice for all heads"
        if n <= budget:
            kept.append(r.everything(layer))
            continue
        scores = np.mean([head.columns(r.scale, 1) for head in heads], axis=0)
        kept.append([r.keep(heads[0], scores[: n - recent], budget - recent)] * len(heads))
    return kept


def ranked_layers(layers: int, p: Parameters) -> list[int]:
    return [1] * layers


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    return {**DEFAULTS, **drawing.budget(rng, tokens)}


class Decoding(Replay):
    """The newest row, its own slot included; all heads have the same slots, and lose the same."""

    recent = 1

    def begin(self) -> None:
        self.budget = max(budget_of(self.p, self.tokens), 1 + len(self.protected))

    def scores(self, head: int) -> F64:
        mean: F64 = np.mean([self.row(other, self.tokens - 1) for other in self.every], axis=0)
        self.forget_rows(self.tokens - 1)
        return mean
