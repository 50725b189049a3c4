"""PyramidKV (arXiv 2406.02069): SnapKV with budgets that fall from layer to layer."""

from __future__ import annotations

from math import floor

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.shares import Parameters, exact, holding

DEFAULTS: Parameters = dict(budget=1024, ratio=0, window=8, pool_kernel=7, pool=0, beta=20, share=0, even=0, block=1)


def protected(p: Parameters) -> int:
    return int(p["window"])


def schedule(base: int, layers: int, seen: int, window: int, beta: float) -> list[int]:
    """Candidates that each layer keeps. E9: `seen` are the tokens seen. P1: the mean may exceed `base` by less than (L-1)/2."""
    if seen < 2 * base or layers == 1:
        return [base] * layers
    least = floor(base / exact(beta))
    most = 2 * base - least
    if most >= seen - window:
        most = seen - window
        least = 2 * base - most
    step = (most - least) // (layers - 1)
    return [most - layer * step for layer in range(layers)]


def most(p: Parameters, layers: int, heads: int, seen: int, extended: bool) -> float:
    """P1."""
    return layers * heads * (holding(p, seen, protected(p), extended) + (layers - 1) / 2)


def choose(r: Round) -> Kept:
    budget, layers = r.budget(protected(r.p)), len(r.layers)
    if r.rows_of_all() <= budget * r.caches():  # E4
        return [r.everything(layer) for layer in range(layers)]
    recent = r.recent(r.window)
    held = int(r.apart(r.layers[0][0], 0, recent).sum()) * r.block
    base = (budget - recent) // r.block * r.block - held
    counts = schedule(base, layers, r.seen, recent + held, r.p["beta"])
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        kept.append([r.keep(head, r.pooled(head), counts[layer] + held) for head in heads])
    return kept


def even(p: Parameters) -> tuple[str, Parameters]:
    """S2."""
    return "snapkv", p


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window = drawing.window(rng, tokens)
    own = dict(window=window, pool_kernel=int(drawing.pick(rng, 1, 3, 7)), pool=int(rng.integers(0, 2)))
    beta = drawing.pick(rng, 1, 1.5, 2, 3.7, 20)
    return {**DEFAULTS, **own, "beta": beta, **drawing.budget(rng, tokens, window)}
