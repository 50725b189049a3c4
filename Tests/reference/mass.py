"""Attention mass: the share of the attention looked at that the kept rows of a head hold; and the parameter `mass`, with which a
head keeps the fewest of its best units that hold such a share.

A method chooses by its budget first; what it ranked is heard, and what is not needed is taken off again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from reference.by_name import looks_at, reference
from reference.caches import Choose, Head, Kept, Round
from reference.ranking import CERTAIN, F64, I64, Gaps
from reference.shares import Parameters


class Ranked(NamedTuple):
    """What was told of a choice."""

    rows: list[int]
    scores: F64
    unit: int
    first: int
    end: int

    def units(self) -> list[range]:
        return [range(a, min(a + self.unit, self.end)) for a in range(self.first, self.end, self.unit)]


class Listening(Gaps):
    """Remembers what was chosen, by the list that the method returns."""

    def __init__(self, gaps: Gaps) -> None:
        super().__init__()
        self.gaps = gaps
        self.heard: dict[int, Ranked] = {}

    def best(self, scores: F64, count: int, size: float = 0.0) -> I64:
        return self.gaps.best(scores, count, size)

    def told(self, rows: list[int], scores: F64, unit: int, first: int, end: int) -> None:
        self.heard[id(rows)] = Ranked(rows, scores, unit, first, end)


def shares(head: Head, scale: float, rows: int) -> F64:
    """(n,): of each row, its share of the attention of the last `rows` queries, the mean over the group."""
    sums = head.columns(scale, rows)
    whole: F64 = sums / sums.sum()
    return whole


def needed(ranked: Ranked, scores: F64, own: F64, mass: float, gaps: Gaps) -> list[int]:
    """Of the chosen units as many of the best as it takes, all if they do not."""
    there = set(ranked.rows)
    units = ranked.units()
    chosen = sum(unit[0] in there for unit in units)
    protected = own[: ranked.first].sum() + own[ranked.end :].sum()
    falling = np.argsort(-scores, kind="stable")[:chosen]
    held = protected + np.cumsum([0.0, *(own[list(units[i])].sum() for i in falling)])
    certain = int((scores == CERTAIN).sum())
    fewest = certain if certain or ranked.first > 0 or ranked.end < len(own) else 1
    enough = [
        count for count in range(fewest, chosen + 1) if np.float32(held[count]) >= np.float32(mass)
    ]  # as reported
    count = enough[0] if enough else chosen
    for near in held[max(0, count - 1) : count + 1]:
        gaps.note(near, mass, size=2)  # a share in float32 may be off by 2e-5
    best = gaps.best(scores, count)
    rows = [row for i in best for row in units[i]]
    return [*range(ranked.first), *rows, *range(ranked.end, len(own))]


def choose(method: str, chooser: Choose, r: Round) -> Kept:
    listening = Listening(r.gaps)
    by_budget = chooser(r._replace(gaps=listening))
    one_choice = r.p.get("share") or hasattr(reference(method), "ranked_layers")
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        # A layer that takes over an earlier one's choice.
        leader = next(i for i, chosen in enumerate(by_budget) if chosen is by_budget[layer])
        if leader < layer:
            kept.append(kept[leader])
            continue
        own = [shares(head, r.scale, looks_at(method, r.p)) for head in heads]
        kept.append([])
        for h, rows in enumerate(by_budget[layer]):
            if id(rows) not in listening.heard:
                kept[-1].append(rows)
                continue
            ranked = [listening.heard[id(each)] for each in (by_budget[layer] if one_choice else [rows])]
            scores = np.mean([each.scores for each in ranked], axis=0)
            mean = np.mean(own, axis=0) if one_choice else own[h]
            kept[-1].append(
                needed(ranked[0], scores, mean, r.p["mass"], r.gaps if h == 0 or not one_choice else Gaps())
            )
    return kept


def draw(rng: np.random.Generator) -> Parameters:
    return {"mass": float(rng.choice([0.05, 0.3, 0.5, 0.75, 0.9, 0.99, 1]))}
