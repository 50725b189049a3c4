"""The set's shape: one choice for the heads of a layer (share 1) or for all layers (share 2), one budget for all layers (even).

A shared choice ranks the mean of the scores by which each head would have chosen. So a method's reference runs twice: once to
hear what it ranks, once to rank the means. What a method must say of itself for that (by_name.Shared) is in its own file.
"""

from __future__ import annotations

import numpy as np

from reference.by_name import reference
from reference.caches import Head, Kept, Round
from reference.ranking import F64, I64, Gaps, best


class Heard(Gaps):
    """Remembers what is ranked."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[F64] = []

    def best(self, scores: F64, count: int, size: float = 0.0) -> I64:
        self.rows.append(scores)
        return best(scores, count)


class Means(Gaps):
    """Ranks the means in the place of what it is given, each `times` times; notes in `gaps` how near they are."""

    def __init__(self, gaps: Gaps, means: list[F64], times: int) -> None:
        super().__init__()
        self.gaps, self.means, self.times, self.calls = gaps, means, times, 0

    def best(self, scores: F64, count: int, size: float = 0.0) -> I64:
        mean = self.means[0 if len(self.means) == 1 else self.calls // self.times]
        assert mean.shape == scores.shape
        self.calls += 1
        return self.gaps.best(mean, count, size)

    def told(self, rows: list[int], scores: F64, unit: int, first: int, end: int) -> None:
        self.gaps.told(rows, scores, unit, first, end)


class Together(Round):
    """Heads whose pooled attention is the mean over their layer: where the layers compete, by these numbers."""

    def pooled(self, head: Head) -> F64:
        (layer,) = (heads for heads in self.layers if any(head is own for own in heads))
        mean: F64 = np.mean([super(Together, self).pooled(own) for own in layer], axis=0)
        return mean


def leaders(r: Round, rows: list[F64], layers: list[int]) -> F64:
    """The mean over all layers, where each ranking is that of so many of them; one may have been made twice."""
    own = [row for i, row in enumerate(rows) if i == 0 or row is not rows[i - 1]]
    mean: F64 = np.average(own, axis=0, weights=layers)
    return mean


def choose(method: str, r: Round) -> Kept:
    share, heads = int(r.p.get("share", 0)), len(r.layers[0])
    assert share == 0 or all(head.n == layer[0].n for layer in r.layers for head in layer), "heads of one length"
    found = reference(method)
    if (share == 2 or r.p.get("even")) and hasattr(found, "even"):
        method, p = found.even(r.p)
        r, found = r._replace(p=p), reference(method)
    of_layers = found.ranked_layers(len(r.layers), r.p) if hasattr(found, "ranked_layers") else None
    if share == 0 or share == 1 and of_layers is not None:
        return found.choose(r)
    if share == 1 and getattr(found, "LAYERS_COMPETE", False):
        return found.choose(Together(*r))
    heard = Heard()
    kept = found.choose(r._replace(gaps=heard))
    if not heard.rows:
        return kept
    rows = heard.rows
    if share == 1:
        means = [np.mean(rows[first : first + heads], axis=0) for first in range(0, len(rows), heads)]
    else:
        means = [np.mean(rows, axis=0) if of_layers is None else leaders(r, rows, of_layers)]
    return found.choose(r._replace(gaps=Means(r.gaps, means, heads)))
