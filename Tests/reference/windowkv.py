"""WindowKV (arXiv 2503.17922): whole windows of tokens, one choice for a group of layers."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, inf

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.ranking import CERTAIN, F64, Gaps
from reference.shares import Parameters, by_ratio, exact, holding

DEFAULTS: Parameters = dict(
    budget=1024, ratio=0, window=16, task=0, size=8, shared=8, pyramid=14, charge=0, share=0, even=0, block=1
)


def published(budget: int, layers: int, shared: int, pyramid: float) -> list[int]:
    """W2: review tokens of each group, as the authors' code computes them."""
    groups = ceil(layers / shared)  # W8: a short last group
    if groups == 1:
        return [budget]  # W8: uniform
    top = floor(budget * shared / exact(pyramid))
    bottom = 2 * budget - top
    step = (bottom - top) // (groups - 1)
    return [bottom - group * step for group in range(groups - 1)] + [top]


def charged(budget: int, layers: int, shared: int, pyramid: float) -> list[int]:
    """W4: the same slope, but the layers together have `budget` each and no more."""
    groups = ceil(layers / shared)
    steep = exact(pyramid)
    weights = [(2 * steep - shared) * (groups - 1) - 2 * group * (steep - shared) for group in range(groups)]
    if groups == 1:
        weights = [Fraction(1)]
    total = sum(weights[layer // shared] for layer in range(layers))
    return [floor(layers * budget * weight / total) for weight in weights]


def window_scores(columns: F64, size: int, task: int) -> F64:
    """Of each window of the (Hq, review) columns; every query head's own (W9); the last window may be short."""
    scores = []
    for begin in range(0, columns.shape[1], size):  # E1: windows of the cache's rows
        part = columns[:, begin : begin + size]
        if task == 1:  # W1
            part = -np.sort(-part, axis=1)[:, : max(size // 2, 1)]
        scores.append(part.mean(axis=1).mean())
    return np.array(scores)


def published_windows(scores: F64, review: int, budget: int, size: int, gaps: Gaps) -> list[int]:
    drop = ceil((review - budget) / size)
    chosen: list[int] = gaps.best(scores, max(len(scores) - drop, 0)).tolist()  # W5: none is no error
    return chosen


def charged_windows(scores: F64, review: int, budget: int, size: int, gaps: Gaps) -> list[int]:
    """W4: as many of the best windows as fit: those that fit if all are full, or one more if the short one is among them."""
    fit = budget // size
    short = review - (len(scores) - 1) * size
    if fit * size + short <= budget:
        one_more: list[int] = gaps.best(scores, fit + 1).tolist()
        if len(scores) - 1 in one_more:
            return one_more
    chosen: list[int] = gaps.best(scores, fit).tolist()
    return chosen


def protected(p: Parameters) -> int:
    """W, if it counts against the budget."""
    return int(p["window"]) if p["charge"] == 1 else 1


def most(p: Parameters, layers: int, heads: int, seen: int, extended: bool) -> float:
    """W4: as published no budget holds."""
    return layers * heads * holding(p, seen, protected(p), extended) if p["charge"] == 1 else inf


def windows_protected(r: Round, size: int, multiple: int) -> int:
    """Rows of windows with a protected token, in any round: a range of c tokens meets ceil((c - 1) / w) + 1 of them at most.

    Where windows begin at multiples of w they do so in every round.
    """
    if size == multiple:
        return size * len({position // size for position in r.protected})
    positions = sorted(r.protected)
    ends = [i + 1 for i, position in enumerate(positions) if position + 1 not in r.protected]
    counts = [end - begin for begin, end in zip([0, *ends], ends)]
    return size * sum(ceil((count - 1) / size) + 1 for count in counts)


def choose(r: Round) -> Kept:
    size, shared, charge = int(r.p["size"]), int(r.p["shared"]), r.p["charge"] == 1
    # Where all layers keep as many rows, a short last window is always kept.
    is_even = bool(r.p["even"]) or r.p["share"] == 2
    multiple = size if is_even else r.block
    spare = r.recent(r.window, multiple) - r.window
    later = windows_protected(r, size, multiple)
    kept: Kept = []
    for layer, heads in enumerate(r.layers):
        leader, n = layer - layer % shared, heads[0].n
        assert all(head.n == n for head in heads) and n == r.layers[leader][0].n, "a group has one length"
        review = n - r.window - spare
        apart = r.apart(heads[0], 0, r.window + spare, size)
        starts = np.arange(len(apart)) * size
        lengths = np.minimum(size, review - starts)
        rows = int(lengths[apart].sum())
        # The window is charged, or nothing is.
        certain = r.window + multiple - 1 if charge else 0
        if by_ratio(r.p) and n <= certain + rows:
            kept.append(r.everything(layer))
            continue
        budget = holding(r.p, r.seen, certain + (rows if by_ratio(r.p) else later), r.extended)
        # All layers pay as much for what is protected, and have back what it is not.
        paid = max(rows, min(budget - certain, later))
        recent = r.window + (spare if charge else 0)
        own = budget - paid - (recent if charge else 0)
        own = (charged if charge else published)(max(0, own), len(r.layers), shared, r.p["pyramid"])[layer // shared]
        own += paid - rows
        if n - recent - rows <= own:
            kept.append(r.everything(layer))
        elif layer != leader:
            kept.append(kept[leader])
        else:
            attention = [head.attention(r.scale, r.window).sum(axis=1)[:, :review] for head in heads]
            scores = window_scores(np.concatenate(attention), size, int(r.p["task"]))
            choice = charged_windows if charge else published_windows
            others = np.flatnonzero(~apart)
            best = choice(scores[others], review - rows, own, size, r.gaps)
            chosen = np.union1d(np.flatnonzero(apart), others[best]).tolist()
            mine = [row for w in chosen for row in range(w * size, min((w + 1) * size, review))]  # W12
            own_rows = [*mine, *range(review, n)]
            r.gaps.told(own_rows, np.where(apart, CERTAIN, scores), size, 0, review)
            kept.append([own_rows] * len(heads))
    return kept


def even(p: Parameters) -> tuple[str, Parameters]:
    """S2: the pyramid whose last group keeps what the first does."""
    return "windowkv", {**p, "pyramid": p["shared"]}


def ranked_layers(layers: int, p: Parameters) -> list[int]:
    shared = int(p["shared"])
    return [min(shared, layers - first) for first in range(0, layers, shared)]


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window, shared = drawing.window(rng, tokens), int(rng.integers(1, 4))
    own = dict(window=window, shared=shared, size=int(rng.integers(1, 9)), task=int(rng.integers(0, 2)))
    own["charge"] = int(rng.integers(0, 2))
    pyramid = drawing.pick(rng, shared, shared + 1, shared + 0.7, 2 * shared, 14)
    return {**DEFAULTS, **own, "pyramid": pyramid, **drawing.budget(rng, tokens, window if own["charge"] else 1)}
