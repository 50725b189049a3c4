"""KeyDiff (arXiv 2504.15364): keys that differ most from the mean direction, and the last. No query is read."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.ranking import F64
from reference.shares import Parameters

DEFAULTS: Parameters = dict(budget=1024, ratio=0, recent=32, share=0, even=0, block=1)


def unit(vectors: F64) -> F64:
    """To length 1; zero stays zero."""
    lengths = np.sqrt((vectors**2).sum(axis=-1, keepdims=True))
    units: F64 = np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0)
    return units


def difference(keys: F64) -> F64:
    """-cos of each key with the mean of all their directions; 0 of a zero key, and if that mean is 0."""
    directions = unit(keys)
    scores: F64 = -(directions @ unit(directions.mean(axis=0)))
    return scores


def protected(p: Parameters) -> int:
    return int(p["recent"])


def choose(r: Round) -> Kept:
    budget = r.budget(protected(r.p))
    recent = r.recent(int(r.p["recent"]))
    return r.by_head(
        budget, lambda head: r.keep(head, difference(head.keys)[: head.n - recent], budget - recent, size=1)
    )


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    recent = drawing.few(rng, tokens, most=12)
    return {**DEFAULTS, "recent": recent, **drawing.budget(rng, tokens, recent)}
