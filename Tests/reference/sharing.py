"""The set's shape: one choice for the heads of a layer (share 1) or for all layers (share 2), one budget for all layers (even).

A shared choice ranks the mean of the scores by which each head would have chosen. So a method's reference runs twice: once to
hear what it ranks, once to rank the means.
"""

from __future__ import annotations

import numpy as np

from reference.by_name import reference
from reference.caches import Head, Kept, Round
from reference.ranking import F64, I64, Gaps, best
from reference.shares import Parameters


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


class Together(Round):
    """Heads whose pooled attention is the mean over their layer: where the layers compete, by these numbers."""

    def pooled(self, head: Head) -> F64:
        (layer,) = (heads for heads in self.layers if any(head is own for own in heads))
        mean: F64 = np.mean([super(Together, self).pooled(own) for own in layer], axis=0)
        return mean


def even(method: str, p: Parameters) -> tuple[str, Parameters]:
    """The method and parameters of which this one, with the same budget in every layer, is another name."""
    if method in ("pyramidkv", "dynamickv"):
        return "snapkv", p
    return method, {**p, "pyramid": p["shared"]} if method == "windowkv" else p


def weighted_mean(method: str, r: Round, rows: list[F64]) -> F64:
    """Over all layers; a group's ranking counts once for each of its layers."""
    if method != "windowkv":
        mean: F64 = np.mean(rows, axis=0)
        return mean
    layers, shared = len(r.layers), int(r.p["shared"])
    leaders = [row for i, row in enumerate(rows) if i == 0 or row is not rows[i - 1]]
    sizes = [min(shared, layers - first) for first in range(0, layers, shared)]
    average: F64 = np.average(leaders, axis=0, weights=sizes)
    return average


def choose(method: str, r: Round) -> Kept:
    share, heads = int(r.p.get("share", 0)), len(r.layers[0])
    assert share == 0 or all(head.n == layer[0].n for layer in r.layers for head in layer), "heads of one length"
    if share == 2 or r.p.get("even"):
        method, p = even(method, r.p)
        r = r._replace(p=p)
    chosen = reference(method).choose
    if share == 0 or share == 1 and method in ("windowkv", "tova"):
        return chosen(r)
    if share == 1 and method == "dynamickv":
        return chosen(Together(*r))
    heard = Heard()
    kept = chosen(r._replace(gaps=heard))
    if not heard.rows:
        return kept
    rows = heard.rows
    means = (
        [weighted_mean(method, r, rows)]
        if share == 2
        else [np.mean(rows[first : first + heads], axis=0) for first in range(0, len(rows), heads)]
    )
    return chosen(r._replace(gaps=Means(r.gaps, means, heads)))
