"""Random: what any method has to beat. A number a (seed, layer, head, absolute position), so that no order of calls matters (R1)."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.ranking import best
from reference.shares import Parameters

DEFAULTS: Parameters = dict(budget=1024, ratio=0, seed=0, recent=32, share=0, even=0, block=1)

WORD = (1 << 64) - 1


def mix(x: int) -> int:
    """The finaliser of SplitMix64."""
    z = (x + 0x9E3779B97F4A7C15) & WORD
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & WORD
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & WORD
    return z ^ z >> 31


def number(seed: int, layer: int, head: int, position: int) -> int:
    """24 bits."""
    return mix(mix(mix(mix(seed) ^ layer) ^ head) ^ position) >> 40


def protected(p: Parameters) -> int:
    return int(p["recent"])


def choose(r: Round) -> Kept:
    seed, budget = int(r.p["seed"]), r.budget(protected(r.p))
    recent = r.recent(int(r.p["recent"]))
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        if r.longest(layer) <= budget:
            kept.append(r.everything(layer))
            continue
        kept.append([])
        for h, head in enumerate(heads):
            last = head.n - recent
            numbers = np.array([number(seed, layer, h, position) for position in head.positions[:last].tolist()])
            if r.p["share"] or r.block > 1:  # means are ranked
                kept[-1].append(r.keep(head, numbers / (1 << 24), budget - recent))
            else:  # exact: no near-ties
                apart = r.apart(head, 0, recent)
                others = np.flatnonzero(~apart)
                chosen = others[best(numbers[others], budget - recent - int(apart.sum()))]
                kept[-1].append([*np.union1d(np.flatnonzero(apart), chosen).tolist(), *range(last, head.n)])
    return kept


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    recent = drawing.few(rng, tokens, most=12)
    seed = drawing.pick(rng, 0, 1, 2**31 - 1, int(rng.integers(0, 2**31)))
    return {**DEFAULTS, "seed": seed, "recent": recent, **drawing.budget(rng, tokens, recent)}
