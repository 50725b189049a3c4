"""SnapKV (arXiv 2404.14469): the best by the pooled attention of the last W queries, and those W."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.shares import Parameters

DEFAULTS: Parameters = dict(budget=1024, ratio=0, window=32, pool_kernel=7, pool=0, share=0, even=0, block=1)


def protected(p: Parameters) -> int:
    return int(p["window"])


def choose(r: Round) -> Kept:
    budget = r.budget(protected(r.p))
    return r.by_head(budget, lambda head: r.keep(head, r.pooled(head), budget - r.recent(r.window)))


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window = drawing.window(rng, tokens)
    own = dict(window=window, pool_kernel=int(drawing.pick(rng, 1, 3, 7)), pool=int(rng.integers(0, 2)))
    return {**DEFAULTS, **own, **drawing.budget(rng, tokens, window)}
