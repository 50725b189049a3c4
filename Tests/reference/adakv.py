"""Ada-KV (arXiv 2407.11550): the heads of a layer compete for its budget; each has a floor."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.shares import Parameters, exact, holding, share

DEFAULTS: Parameters = dict(budget=1024, ratio=0, window=32, pool_kernel=7, pool=1, floor=0.2)


def protected(p: Parameters) -> int:
    return int(p["window"])


def count(won: int, base: int, least: float) -> int:
    """b_h, half to even."""
    return round(won * (1 - exact(least)) + share(least, base))


def most(p: Parameters, layers: int, heads: int, seen: int, extended: bool) -> float:
    """Each head's count is rounded, some of them up."""
    return layers * heads * (holding(p, seen, protected(p), extended) + 0.5)


def choose(r: Round) -> Kept:
    budget = r.budget(protected(r.p))
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        if r.longest(layer) <= budget:
            kept.append(r.everything(layer))
            continue
        scores, apart = [r.pooled(head) for head in heads], [r.apart(head, 0, r.window) for head in heads]
        held = int(apart[0].sum())
        base = budget - r.window - held
        owner = np.repeat(np.arange(len(heads)), [len(each) - held for each in scores])
        winners = r.gaps.best(np.concatenate([each[~own] for each, own in zip(scores, apart)]), len(heads) * base)
        won = np.bincount(owner[winners], minlength=len(heads)).tolist()
        kept.append(
            [
                r.keep(head, each, count(places, base, r.p["floor"]) + held)
                for head, each, places in zip(heads, scores, won)
            ]
        )
    return kept


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window = drawing.window(rng, tokens)
    own = dict(window=window, pool_kernel=int(drawing.pick(rng, 1, 3, 7)), pool=int(rng.integers(0, 2)))
    floor = drawing.pick(rng, 0, 0.2, 0.29, 0.5, 1)
    return {**DEFAULTS, **own, "floor": floor, **drawing.budget(rng, tokens, window)}
