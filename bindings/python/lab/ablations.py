"""Choosers for what no parameter of the library switches off: parts of AhaKV, and Task-KV's choice of heads and middle tokens.

With everything switched on each chooses as the library does (check.py), so that a row of the ablation table differs from the
method's own in the one thing that it names. Not here: which of them are run (ablation_settings.py).
Letters: H key/value heads, G query heads of each, T prompt tokens, D head size, R rows of attention, C budget of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from llama import Kept, Llama, Prefix

import kvsieve

SWITCHES: dict[str, dict[str, Any]] = {
    "ahakv": {"accumulate": "recent", "gain": True, "prior": True},
    "taskkv": {"heads": "far", "middle": True, "seed": 0},
}
"""What only these choosers know, with everything switched on."""

ROW_BLOCK = 256  # rows of attention at once: R may be T


def ahakv(llama: Llama, prefix: Prefix, share: float, parameters: Mapping[str, Any]) -> Kept:
    """AhaKV. accumulate: "recent", the last `window` rows, or "all"; gain, prior: whether they are there."""
    own = defaults("ahakv", parameters)
    tokens, window = prefix.tokens, int(own["window"])
    budget = max(1, share_of(share, tokens))
    if tokens <= budget:
        return everything(llama, prefix)
    rows = np.arange(0 if own["accumulate"] == "all" else tokens - window, tokens)
    gains = np.sqrt(2 * np.log(np.maximum((rows + 1) / budget, 1))) if own["gain"] else np.ones(len(rows))
    end = tokens - window  # candidates come before the window
    kept: Kept = []
    for layer in range(llama.layers):
        kept.append([])
        for head in range(llama.kv_heads):
            sums = columns(llama, prefix, layer, head, rows, gains)
            scores = pooled(sums[:end], int(own["score_kernel"]))
            if own["prior"]:
                norms = np.square(prefix.values[layer][head].astype(np.float64)).sum(axis=1)  # (T,)
                scores = scores * pooled(norms, int(own["pool_kernel"]))[:end]
            kept[-1].append(with_best(scores, budget - window, 0, tokens))
    return kept


def taskkv(llama: Llama, prefix: Prefix, share: float, parameters: Mapping[str, Any]) -> Kept:
    """Task-KV. heads: "far", or "random" ones in their number; middle: False gives their slots to recent tokens."""
    own = defaults("taskkv", parameters)
    tokens, heads = prefix.tokens, llama.kv_heads
    window, sinks, recent = int(own["window"]), int(own["sinks"]), int(own["recent"])
    if tokens <= max(1, sinks + recent, window):
        return everything(llama, prefix)
    random = np.random.default_rng(int(own["seed"]))
    rows = np.arange(max(0, tokens - window), tokens)
    kept: Kept = []
    for layer in range(llama.layers):
        whole, middle = whole_heads(own, layer, llama.layers, heads, tokens, share_of(share, heads * tokens))
        means = [columns(llama, prefix, layer, head, rows, np.ones(len(rows))) / len(rows) for head in range(heads)]
        vectors = np.stack([semantic(mean, prefix.values[layer][head], own) for head, mean in enumerate(means)])
        chosen = farthest(vectors, whole)
        if own["heads"] == "random":
            chosen = set(random.choice(heads, whole, replace=False).tolist())
        kept.append([])
        for head, mean in enumerate(means):
            if head in chosen or sinks + recent + middle >= tokens:
                kept[-1].append(np.arange(tokens, dtype=np.int32))
                continue
            scores = pooled(mean[sinks : tokens - recent], int(own["pool_kernel"]))
            if not own["middle"]:
                scores = np.arange(tokens - sinks - recent)
            kept[-1].append(with_best(scores, middle, sinks, tokens))
    return kept


ABLATIONS: dict[str, Callable[[Llama, Prefix, float, Mapping[str, Any]], Kept]] = {"ahakv": ahakv, "taskkv": taskkv}


def defaults(method: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The library's defaults of `method`, then the switches that are only ours, then `parameters`."""
    found = next(info for info in kvsieve.methods() if info.name == method)
    known = {parameter.name: parameter.initial for parameter in found.parameters} | SWITCHES[method]
    if unknown := set(parameters) - set(known):
        raise ValueError(f"{method} has no {sorted(unknown)}")
    return known | dict(parameters)


def share_of(share: float, count: int) -> int:
    """floor(share * count), of the decimal that was written."""
    return floor(Fraction(str(share)) * count)


def everything(llama: Llama, prefix: Prefix) -> Kept:
    return [[np.arange(prefix.tokens, dtype=np.int32)] * llama.kv_heads for _ in range(llama.layers)]


def columns(llama: Llama, prefix: Prefix, layer: int, head: int, rows: np.ndarray, gains: np.ndarray) -> np.ndarray:
    """(T,): softmax rows at positions `rows` (R,), logits times `gains` (R,), added; the mean over the head's G queries."""
    group = llama.query_heads // llama.kv_heads
    queries = prefix.queries[layer][head * group : (head + 1) * group]  # (G, T, D)
    keys, sums = prefix.keys[layer][head], np.zeros(prefix.tokens)
    for start in range(0, len(rows), ROW_BLOCK):
        some = rows[start : start + ROW_BLOCK]
        logits = queries[:, some] @ keys.T * np.float32(llama.head_dim**-0.5)  # (G, rows, T)
        logits *= gains[start : start + ROW_BLOCK, None].astype(np.float32)
        logits[:, np.arange(prefix.tokens) > some[:, None]] = -np.inf
        weights = np.exp(logits - logits.max(axis=2, keepdims=True))
        weights /= weights.sum(axis=2, keepdims=True)
        sums += weights.sum(axis=(0, 1), dtype=np.float64) / group
    return sums


def pooled(scores: np.ndarray, kernel: int) -> np.ndarray:
    """The mean over `kernel` neighbours, zeros beyond both ends."""
    padded = np.pad(scores, kernel // 2)
    mean: np.ndarray = np.lib.stride_tricks.sliding_window_view(padded, kernel).sum(axis=1) / kernel
    return mean


def with_best(scores: np.ndarray, count: int, first: int, tokens: int) -> np.ndarray:
    """Positions: the first `first`, the best `count` of the scored that follow them, all behind those; ties to the lower."""
    if count < 0:
        raise ValueError(f"the budget lacks {-count} rows of what is kept in any case")
    best = np.sort(np.argsort(-scores, kind="stable")[:count]) + first
    return np.concatenate([np.arange(first), best, np.arange(first + len(scores), tokens)]).astype(np.int32)


def whole_heads(
    own: Mapping[str, Any], layer: int, layers: int, heads: int, tokens: int, slots: int
) -> tuple[int, int]:
    """f and k of a layer with `slots` rows: how many heads keep everything, how many middle tokens the others (T3, T4)."""
    bottom, least = heads * Fraction(str(own["beta"])), max(1, int(own["sinks"] + own["recent"]))
    wanted = bottom
    if layers > 1:
        wanted = (bottom * (layers - 1 - layer) + int(own["top"]) * layer) / (layers - 1)
    whole = min(max(floor(wanted), 0), heads)
    if slots < tokens * whole or (whole < heads and (slots - tokens * whole) // (heads - whole) < least):
        whole = min(whole, (slots - heads * least) // (tokens - least))
    if whole == heads:
        return whole, 0
    return whole, (slots - tokens * whole) // (heads - whole) - int(own["sinks"] + own["recent"])


def semantic(mean: np.ndarray, values: np.ndarray, own: Mapping[str, Any]) -> np.ndarray:
    """A head's semantic vector (D,): its best tokens' values by their attention."""
    best = np.argsort(-mean, kind="stable")[: int(own["semantic"])]
    vector: np.ndarray = mean[best] @ values[best]
    return vector


def farthest(vectors: np.ndarray, count: int) -> set[int]:
    """The count - 1 heads farthest from the mean of vectors (H, D) and the nearest one; of one, the farthest (T2, T8)."""
    heads = len(vectors)
    distances = np.ones(heads) if heads == 2 else np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
    order = np.argsort(-distances, kind="stable").tolist()
    if count <= 1 or count == heads:
        return set(order[:count])
    rest = sorted(order[count - 1 :])
    return {*order[: count - 1], min(rest, key=lambda head: distances[head])}
