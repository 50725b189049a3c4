"""AhaKV and H2O told a second time, in plain loops and other structures than replay.py's."""
from __future__ import annotations

import math

import numpy as np


def naive_aha(q: np.ndarray, k: np.ndarray, v: np.ndarray, t: int, c: int, r: int, kappa: int, floor: float,
              sinks: int, s: float) -> tuple[list[int], list[int | None]]:
    """Plain Python, one KV head, a ring of dicts (another structure than the replay's). q (G, n, D) from 0."""
    n, half = k.shape[0], kappa // 2
    nu = [sum(float(x) ** 2 for x in v[j]) for j in range(n)]
    ring: list[dict[int, float]] = []

    def score(i: int, live: list[int]) -> None:
        gain = max(math.sqrt(2 * math.log((i + 1) / c)) if i + 1 > c else 0.0, floor)
        out = dict.fromkeys(live, 0.0)
        for qg in q[:, i]:
            e = {j: math.exp(gain * s * float(np.dot(qg, k[j]))) for j in live}
            total = math.fsum(e.values())
            for j in live:
                out[j] += e[j] / total / q.shape[0]
        ring.append(out)
        del ring[:-r]

    def worst(cands: list[int], upto: int) -> int:
        def hat(j: int) -> float:
            gamma = sum(nu[x] for x in range(max(0, j - half), min(upto, j + half + 1))) / kappa
            return gamma * sum(p.get(j, 0.0) for p in ring)
        return min(cands, key=lambda j: (hat(j), -j))

    for i in range(max(0, t - r), t):
        score(i, list(range(i + 1)))
    live = list(range(t))
    while len(live) > c:
        live.remove(worst([j for j in live if sinks <= j < t - r], t))
    kept, left = list(live), []
    for i in range(t, n):
        live.append(i)
        score(i, live)
        gone = worst([j for j in live if sinks <= j <= i - r], i + 1) if len(live) > c else None
        left.append(gone)
        if gone is not None:
            live.remove(gone)
    return kept, left


def naive_h2o(q: np.ndarray, k: np.ndarray, t: int, c: int, recent: int,
              s: float) -> tuple[list[int], list[int | None]]:
    """Plain Python, one KV head, running sums in a dict."""
    n = k.shape[0]
    acc: dict[int, float] = {}

    def score(i: int) -> None:
        acc[i] = 0.0
        for qg in q[:, i]:
            e = {j: math.exp(s * float(np.dot(qg, k[j]))) for j in acc}
            total = math.fsum(e.values())
            for j in acc:
                acc[j] += e[j] / total / q.shape[0]

    def drop(upto: int) -> int:
        gone = min((j for j in acc if j < upto - recent), key=lambda j: (acc[j], -j))
        del acc[gone]
        return gone

    for i in range(t):
        score(i)
    while len(acc) > c:
        drop(t)
    kept, left = sorted(acc), []
    for i in range(t, n):
        score(i)
        left.append(drop(i + 1) if len(acc) > c else None)
    return kept, left
