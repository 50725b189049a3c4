"""Task-KV (arXiv 2501.15113): heads far from the semantic centre keep everything, others sinks, recent and middle tokens."""

from __future__ import annotations

from math import floor

import numpy as np

from reference import drawing
from reference.caches import Head, Kept, Round, pool
from reference.ranking import F64, Gaps
from reference.shares import OverBudget, Parameters, exact, share

DEFAULTS: Parameters = dict(
    budget=0, ratio=0.5, window=32, pool_kernel=7, beta=0.25, top=1, sinks=16, recent=256, semantic=256
)


def slots_of(p: Parameters, heads: int, seen: int) -> int:
    """B, the same in every layer (T6, E3)."""
    return int(p["budget"]) * heads if p["budget"] > 0 else share(p["ratio"], heads * seen)


def full_count(layer: int, layers: int, heads: int, beta: float, top: float) -> int:
    """f(l), before the budget is looked at. T3: floored before k is known."""
    bottom = heads * exact(beta)
    wanted = bottom if layers == 1 else (bottom * (layers - 1 - layer) + int(top) * layer) / (layers - 1)
    return min(max(floor(wanted), 0), heads)


def counts(full: int, heads: int, seen: int, slots: int, certain: int) -> tuple[int, int]:
    """f and k. T4: f is lowered until each of the others has room for the certain tokens, for one token at least."""
    least = max(1, certain)
    if slots < seen * full or (full < heads and (slots - seen * full) // (heads - full) < least):
        full = min(full, (slots - heads * least) // (seen - least))
    return full, 0 if full == heads else (slots - seen * full) // (heads - full) - certain


def distances(vectors: F64) -> F64:
    """To their centre (T5). T8: of two heads both are equally far, of three equal ones all at 0."""
    if len(vectors) == 2:
        return np.ones(2)
    lengths: F64 = np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1))
    return lengths


def full_heads(far: F64, count: int, gaps: Gaps) -> set[int]:
    """T2: the count - 1 farthest and, of the others, the nearest; one: the farthest. T8: ties to the lower head, both ways."""
    if count in (0, len(far)):
        return set(range(count))
    full = set(gaps.best(far, max(count - 1, 1)).tolist())
    if count > 1:
        others = [head for head in range(len(far)) if head not in full]
        full.add(others[gaps.best(-far[others], 1)[0]])
    return full


def semantic(r: Round, head: Head, mean: F64) -> F64:
    chosen = r.gaps.best(mean, int(r.p["semantic"]))
    vector: F64 = mean[chosen] @ head.values[chosen]
    return vector


def protected(p: Parameters) -> int:
    """One token at least."""
    return max(1, int(p["sinks"] + p["recent"]))


def most(p: Parameters, layers: int, heads: int, seen: int, extended: bool) -> float:
    """Of a prompt within the window everything is kept, and E8."""
    if seen <= max(protected(p), p["window"]):
        return layers * heads * seen
    return layers * max(slots_of(p, heads, seen), heads * protected(p) if extended else 0)


def choose(r: Round) -> Kept:
    first, last, heads = int(r.p["sinks"]), int(r.p["recent"]), len(r.layers[0])
    held = int(r.apart(r.layers[0][0], first, last).sum())
    certain = first + last + held
    least = max(1, certain)
    short = r.seen <= max(certain, r.window)  # E3: a cut cache of so few rows is not short
    by_share = r.p["budget"] == 0
    if short and (by_share or not r.blocks_protected(first)):
        return [r.everything(layer) for layer in range(len(r.layers))]
    slots = slots_of(r.p, heads, r.seen)
    later = least if by_share else max(1, first + last + r.blocks_protected(first))
    if slots < heads * later and not (r.extended and by_share):
        raise OverBudget("T4")
    if short:
        return [r.everything(layer) for layer in range(len(r.layers))]
    kept: Kept = []
    for layer, caches in enumerate(r.layers):
        rows = min(r.window, caches[0].queries.shape[1])
        means = [head.columns(r.scale, r.window) / rows for head in caches]  # T1
        full, middle = 0, least - certain  # E8
        if slots >= heads * least:
            wanted = full_count(layer, len(r.layers), heads, r.p["beta"], r.p["top"])
            full, middle = counts(wanted, heads, r.seen, slots, certain)
        vectors = np.stack([semantic(r, head, mean) for head, mean in zip(caches, means)])
        chosen = full_heads(distances(vectors), full, r.gaps)  # E5: anew
        kept.append([])
        for h, (head, mean) in enumerate(zip(caches, means)):
            if head.n <= first + last:
                kept[-1].append(list(range(head.n)))
            else:
                scores = pool(mean[first : head.n - last], int(r.p["pool_kernel"]))  # T7
                kept[-1].append(r.keep(head, scores, len(scores) if h in chosen else middle + held, first))
    return kept


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window, sinks, recent = drawing.window(rng, tokens), drawing.few(rng, tokens), drawing.few(rng, tokens, most=9)
    own = dict(window=window, sinks=sinks, recent=recent, pool_kernel=int(drawing.pick(rng, 1, 3, 7)))
    own.update(semantic=int(rng.integers(1, tokens)) if tokens > 1 else 1, top=int(rng.integers(0, 3)))
    beta = drawing.pick(rng, 0, 0.25, 0.35, 0.5, 0.6, 1)
    drawn = drawing.budget(rng, tokens, sinks + recent)
    if drawn["ratio"] > 0:
        drawn["budget"] = 0
    elif rng.integers(0, 2) == 0:
        drawn = {"budget": 0, "ratio": drawing.pick(rng, 0.4, 0.55, 0.57, 0.7, 0.8, 1)}
    return {**DEFAULTS, **own, "beta": beta, **drawn}
