"""The methods' prefill, naive, in float64, from the formulas (Sources/KVSieveMethods/README.md). No code is shared with the library.

A method takes a cache and its parameters by name and returns kept[layer][head], ascending. `Gaps` collects, for every
ranking that decided something, how far apart (relatively) the last kept and the first dropped score were: where that is more
than float32 can blur, any correct implementation must keep the same tokens. Numbers like D3 are the decisions.
"""

from __future__ import annotations

from math import ceil, floor, log, sqrt

import numpy as np

from seeded import Cache

Parameters = dict[str, float]
Kept = list[list[list[int]]]


class Gaps:
    """The smallest relative gap at the edge of a ranking. Exact ties at an edge are decided by order, so there the plateau's
    distance to the next distinct values counts."""

    def __init__(self) -> None:
        self.smallest = float("inf")

    def best(self, scores: np.ndarray, count: int) -> np.ndarray:
        """Indices of the `count` best, ascending; ties to the lower index."""
        order = np.argsort(-scores, kind="stable")
        if 0 < count < len(scores):
            kept, dropped = scores[order[count - 1]], scores[order[count]]
            if kept != dropped:
                self.note(kept, dropped)
            else:
                for other in (scores[scores > kept].min(initial=np.inf), scores[scores < kept].max(initial=-np.inf)):
                    if np.isfinite(other):
                        self.note(kept, other)
        return np.sort(order[: max(count, 0)])

    def note(self, a: float, b: float) -> None:
        self.smallest = min(self.smallest, abs(a - b) / max(abs(a), abs(b)))


def attention(cache: Cache, layer: int, gains: np.ndarray | None = None) -> np.ndarray:
    """P (Hq, W, T): softmax over all T keys, row i masked beyond position T - W + i."""
    q, k = cache.q[layer], np.repeat(cache.k[layer], cache.q.shape[1] // cache.k.shape[1], axis=0)
    z = np.einsum("hid,hjd->hij", q, k) * cache.scale
    if gains is not None:
        z = z * gains[None, :, None]
    rows, tokens = z.shape[1:]
    z = np.where(np.arange(tokens)[None, :] > tokens - rows + np.arange(rows)[:, None], -np.inf, z)
    e = np.exp(z - z.max(axis=2, keepdims=True))
    return e / e.sum(axis=2, keepdims=True)


def grouped(cache: Cache, per_query_head: np.ndarray) -> np.ndarray:
    """(Hq, T) -> (H, T): the mean over a group, before any pooling (D9, T1, A5)."""
    return per_query_head.reshape(cache.k.shape[1], -1, per_query_head.shape[-1]).mean(axis=1)


def pool(x: np.ndarray, kernel: int, use_max: bool = False) -> np.ndarray:
    """Stride 1, same length. The mean counts the zero padding; max pads with -inf."""
    padded = np.pad(x, kernel // 2, constant_values=-np.inf if use_max else 0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel)
    return windows.max(axis=1) if use_max else windows.sum(axis=1) / kernel


def everything(heads: int, tokens: int) -> list[list[int]]:
    return [list(range(tokens)) for _ in range(heads)]


def dynamickv(cache: Cache, p: Parameters, gaps: Gaps) -> Kept:
    layers, _, heads, tokens, _ = cache.shape
    budget, window = int(p["budget"]), int(p["window"])
    if tokens <= budget or tokens <= window:  # D2
        return [everything(heads, tokens) for _ in range(layers)]
    base, candidates = budget - window, tokens - window
    cap = min(floor(p["cap"] * base), candidates)
    scores = np.empty((layers, heads, candidates))
    held: list[int] = []
    for layer in range(layers):
        sums = grouped(cache, attention(cache, layer).sum(axis=1))[:, :candidates]  # D9
        scores[layer] = [pool(row, int(p["pool_kernel"]), p["pool"] == 1) for row in sums]
        held.append(cap)
        seen = layer + 1
        if seen % int(p["every"]) == 0 or seen == layers:  # D7: also after the last layer
            winners = gaps.best(scores[:seen].reshape(-1), min(base * heads * seen, seen * heads * candidates))  # D13
            shares = divide(np.bincount(winners // (heads * candidates), minlength=seen), base, heads, layers, cap)
            held = [min(max(share, 0), now) for share, now in zip(shares, held)]  # D1
    return [
        [list(map(int, gaps.best(scores[layer, head], held[layer]))) + list(range(candidates, tokens)) for head in range(heads)]
        for layer in range(layers)
    ]


def divide(won: np.ndarray, base: int, heads: int, layers: int, cap: int) -> list[int]:
    """D3: the model's budget over the layers seen so far, with the published roundings. `won`: places a layer."""
    seen = len(won)
    counts = [int(w) // seen for w in won]
    if seen == layers:
        counts[-1] += base * heads * seen // layers - sum(counts)
    scaled = [0] * seen
    if sum(counts) > 0:
        total = np.float32(sum(counts))
        scaled = [int(np.float32(cap) * (np.float32(count) / total)) for count in counts]
    if sum(scaled) == 0:
        shares = [base * layers // seen] * seen  # the even split
    else:
        ratio = sum(scaled) / (base * layers)
        shares = [int(float(x) // ratio) for x in scaled]
    shares[-1] += base * layers - sum(shares)
    return shares


def windowkv_budgets(budget: int, layers: int, shared: int, pyramid: float) -> list[int]:
    """W2: the schedule as the authors' code computes it."""
    groups = ceil(layers / shared)  # W8: a short last group
    if groups == 1:
        return [budget]  # W8: uniform
    top = floor(budget * shared / pyramid)
    bottom = 2 * budget - top
    step = (bottom - top) // (groups - 1)
    return [bottom - group * step for group in range(groups - 1)] + [top]


def windowkv(cache: Cache, p: Parameters, gaps: Gaps) -> Kept:
    layers, _, heads, tokens, _ = cache.shape
    window, size, shared = int(p["window"]), int(p["size"]), int(p["shared"])
    if tokens <= window:
        return [everything(heads, tokens) for _ in range(layers)]
    review = tokens - window
    budgets = windowkv_budgets(int(p["budget"]) - (window if p["charge"] == 1 else 0), layers, shared, p["pyramid"])  # W4
    kept: Kept = []
    for layer in range(layers):
        budget = budgets[layer // shared]
        if review <= budget:
            kept.append(everything(heads, tokens))
        elif layer % shared:  # a follower takes its leader's windows, also when there are none (W5)
            kept.append(kept[layer - layer % shared])
        else:
            columns = attention(cache, layer).sum(axis=1)[:, :review]  # W9: every query head's own
            scores = []
            for first in range(0, review, size):
                part = columns[:, first : first + size]  # the last may be short
                if p["task"] == 1:  # W1
                    part = np.sort(part, axis=1)[:, ::-1][:, : max(size // 2, 1)]
                scores.append(part.mean(axis=1).mean())
            chosen = gaps.best(np.array(scores), max(ceil(review / size) - ceil((review - budget) / size), 0))
            tokens_of = [j for w in chosen for j in range(w * size, min((w + 1) * size, review))]  # W12
            kept.append([tokens_of + list(range(review, tokens)) for _ in range(heads)])
    return kept


def taskkv(cache: Cache, p: Parameters, gaps: Gaps) -> Kept:
    layers, _, heads, tokens, _ = cache.shape
    first, last, window = int(p["sinks"]), int(p["recent"]), int(p["window"])
    if tokens <= first + last or tokens <= window:
        return [everything(heads, tokens) for _ in range(layers)]
    slots = floor(p["ratio"] * (heads * tokens))  # T6
    kept: Kept = []
    for layer in range(layers):
        mean = grouped(cache, attention(cache, layer).mean(axis=1))  # T1
        count, middle = taskkv_counts(layer, layers, heads, tokens, slots, p)
        full = full_heads(semantic_distances(mean, cache.v[layer], int(p["tokens"]), gaps), count, gaps)
        kept.append([])
        for head in range(heads):
            if head in full:
                kept[layer].append(list(range(tokens)))
                continue
            chosen = gaps.best(pool(mean[head, first : tokens - last], int(p["pool_kernel"])), middle)  # T7
            kept[layer].append([*range(first), *map(int, chosen + first), *range(tokens - last, tokens)])
    return kept


def taskkv_counts(layer: int, layers: int, heads: int, tokens: int, slots: int, p: Parameters) -> tuple[int, int]:
    """f(l) and k. T3: f is floored, then k. T4: where k < 0, f is lowered."""
    protected = int(p["sinks"]) + int(p["recent"])
    bottom = heads * p["beta"]
    f = floor(bottom) if layers == 1 else floor((bottom * (layers - 1 - layer) + p["top"] * layer) / (layers - 1))
    f = min(max(f, 0), heads)
    if slots < tokens * f or (f < heads and (slots - tokens * f) // (heads - f) < protected):
        f = min(f, (slots - heads * protected) // (tokens - protected))
        assert f >= 0, "a budget error, not a case"
    return f, 0 if f == heads else (slots - tokens * f) // (heads - f) - protected


def semantic_distances(mean: np.ndarray, values: np.ndarray, count: int, gaps: Gaps) -> np.ndarray:
    """Of each head's semantic vector from their centre: L2 (T5)."""
    chosen = [gaps.best(row, count) for row in mean]
    vectors = np.stack([mean[head, j] @ values[head, j] for head, j in enumerate(chosen)])
    return np.sqrt(((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1))


def full_heads(distances: np.ndarray, count: int, gaps: Gaps) -> set[int]:
    """T2: the count - 1 farthest and, of the others, the nearest; one: the farthest. T8: ties to the lower head, both ways."""
    heads = len(distances)
    if count in (0, heads):
        return set(range(count))
    far = set(map(int, gaps.best(distances, max(count - 1, 1))))
    if count > 1:
        others = np.array([head for head in range(heads) if head not in far])
        far.add(int(others[gaps.best(-distances[others], 1)[0]]))
    return far


def ahakv(cache: Cache, p: Parameters, gaps: Gaps) -> Kept:
    layers, _, heads, tokens, _ = cache.shape
    budget, recent, sinks = int(p["budget"]), int(p["window"]), int(p["sinks"])
    if tokens <= max(budget, recent):
        return [everything(heads, tokens) for _ in range(layers)]
    seen = [tokens - recent + row + 1 for row in range(recent)]  # A1: the row's own token included; A3: the last r rows
    gains = [sqrt(2 * log(i / budget)) if i > budget else 0.0 for i in seen]  # A11: the whole budget
    gains = np.maximum(gains, p["gain_floor"])  # A2
    kept: Kept = []
    for layer in range(layers):
        sums = grouped(cache, attention(cache, layer, gains).sum(axis=1))  # A5: the group's mean, then the prior
        kept.append([])
        for head in range(heads):
            norms = pool((cache.v[layer, head] ** 2).sum(axis=1), int(p["pool_kernel"]))  # A6: over all tokens
            most = norms.max()
            scores = (norms / most if most > 0 else 0 * norms) * sums[head]
            chosen = gaps.best(scores[sinks : tokens - recent], budget - recent - sinks)  # A9
            kept[layer].append([*range(sinks), *map(int, chosen + sinks), *range(tokens - recent, tokens)])
    return kept


def h2o(cache: Cache, p: Parameters, gaps: Gaps) -> Kept:
    layers, _, heads, tokens, _ = cache.shape
    budget = int(p["budget"])
    if tokens <= budget:
        return [everything(heads, tokens) for _ in range(layers)]
    recent = max(1, floor(budget * p["recent_ratio"]))  # H1
    kept: Kept = []
    for layer in range(layers):
        sums = grouped(cache, attention(cache, layer).sum(axis=1))  # H2: all rows, the group's mean
        kept.append([[*map(int, gaps.best(row[: tokens - recent], budget - recent)), *range(tokens - recent, tokens)] for row in sums])
    return kept


METHODS = {"ahakv": ahakv, "taskkv": taskkv, "windowkv": windowkv, "dynamickv": dynamickv, "h2o": h2o}
