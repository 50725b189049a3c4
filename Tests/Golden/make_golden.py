"""Golden selections: what each method keeps of seeded caches, by numpy in float64, written from the papers' formulas.

`python make_golden.py` writes one JSON file a method; `--check` computes them again and fails when they differ.
Numbered decisions (D1, W5, ...) are those of Sources/KVSieveMethods/README.md. Nothing here calls the library.

Caches. SplitMix64 with the case's seed; a number is the sum of (next >> 44) - 2^19 over four outputs, times 2^-19: exact in
float32. Layer after layer: queries (Hq, rows, D) times 4, keys (H, T, D), values (H, T, D); rows = min(window, T).
A case's seed is the first from its start whose rankings have no two scores nearer than MARGIN at the edge of what is kept.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
MARGIN = 2e-5


class Stream:
    """SplitMix64; its state is an arithmetic progression, so any number of outputs comes at once."""

    def __init__(self, seed: int) -> None:
        self.state = np.uint64(seed)

    def numbers(self, *shape: int) -> np.ndarray:
        count = 4 * math.prod(shape)
        with np.errstate(over="ignore"):
            z = self.state + np.uint64(0x9E3779B97F4A7C15) * np.arange(1, count + 1, dtype=np.uint64)
            self.state = z[-1]
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
        whole = (z >> np.uint64(44)).astype(np.int64) - (1 << 19)
        return whole.reshape(*shape, 4).sum(-1) / float(1 << 19)


class Edge:
    """Ranks rows and remembers how near the nearest pair of scores at an edge was."""

    def __init__(self) -> None:
        self.margin = math.inf

    def best(self, scores: np.ndarray, count: int) -> np.ndarray:
        """Indices of the best `count`, ascending; of equals the lower index."""
        order = np.argsort(-scores, kind="stable")
        if 0 < count < len(scores):
            last, out = scores[order[count - 1]], scores[order[count]]
            if last != out:
                self.margin = min(self.margin, abs(last - out) / max(abs(last), abs(out)))
        return np.sort(order[: max(count, 0)])


def softmax_window(case: dict, queries: np.ndarray, keys: np.ndarray, gains: np.ndarray | None = None) -> np.ndarray:
    """P (Hq, W, T): softmax over all T keys, causal inside the last W columns."""
    heads, rows, dim = queries.shape
    tokens = keys.shape[1]
    scale = case["scale"] or 1 / math.sqrt(dim)
    z = np.einsum("hid,hjd->hij", queries, np.repeat(keys, heads // len(keys), 0)) * scale
    if gains is not None:
        z = z * gains[None, :, None]
    z[:, np.arange(tokens) > (tokens - rows + np.arange(rows))[:, None]] = -np.inf
    p = np.exp(z - z.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


def group_mean(columns: np.ndarray, heads: int) -> np.ndarray:
    """(Hq, T) to (H, T): query heads of a group averaged."""
    return columns.reshape(heads, -1, columns.shape[-1]).mean(1)


def pool(row: np.ndarray, kernel: int, mode: int = 0) -> np.ndarray:
    """Stride 1, same length: mean counts the zeros beyond the ends, max does not."""
    padded = np.pad(row, kernel // 2, constant_values=-np.inf if mode else 0.0)
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel)
    return windows.max(-1) if mode else windows.sum(-1) / kernel


def ahakv(case: dict, p: dict, cache: list, edge: Edge) -> list:
    C, r, T, H = p["budget"], p["window"], case["tokens"], case["kv_heads"]
    kept = []
    for queries, keys, values in cache:
        if T <= max(C, r):
            kept.append([np.arange(T)] * H)
            continue
        seen = T - r + 1 + np.arange(r)  # A1: tokens seen, the row's own included
        gains = np.sqrt(2 * np.log(np.maximum(seen, C) / C))  # A11: the whole budget; at most C: 0
        gains = np.maximum(gains, p["gain_floor"])  # A2
        sums = group_mean(softmax_window(case, queries, keys, gains).sum(1), H)  # A3, A5
        layer = []
        for head in range(H):
            gamma = pool((values[head] ** 2).sum(-1), p["pool_kernel"])  # A6: over all tokens
            inner = np.arange(p["sinks"], T - r)
            prior = gamma[inner] / gamma[inner].max() if gamma[inner].max() > 0 else 0 * gamma[inner]
            best = inner[edge.best(prior * sums[head, inner], C - r - p["sinks"])]
            layer.append(np.concatenate([np.arange(p["sinks"]), best, np.arange(T - r, T)]))  # A9
        kept.append(layer)
    return kept


def taskkv(case: dict, p: dict, cache: list, edge: Edge) -> list:
    N, H, L = case["tokens"], case["kv_heads"], case["layers"]
    s1, s2 = p["sinks"], p["recent"]
    B = math.floor(p["ratio"] * (H * N))  # T6
    kept = []
    for l, (queries, keys, values) in enumerate(cache):
        if N <= max(s1 + s2, p["window"]):
            kept.append([np.arange(N)] * H)
            continue
        Cm = group_mean(softmax_window(case, queries, keys).mean(1), H)  # T1
        vectors = np.stack([Cm[h, I] @ values[h, I] for h in range(H) for I in [edge.best(Cm[h], p["tokens"])]])
        distance = np.linalg.norm(vectors - vectors.mean(0), axis=1)  # T5
        Hb, m = H * p["beta"], p["top"]
        f = math.floor(Hb) if L == 1 else math.floor((Hb * (L - 1 - l) + m * l) / (L - 1))  # T3
        f = min(max(f, 0), H)

        def middle(f: int) -> int:
            if f == H:
                return 0 if B >= N * H else -1
            return (B - N * f) // (H - f) - s1 - s2

        if middle(f) < 0:
            f = min(f, (B - H * (s1 + s2)) // (N - s1 - s2))  # T4
        far = sorted(range(H), key=lambda h: (-distance[h], h))  # T8
        whole = set(far[: f - 1]) if 1 < f < H else set(far[:f])
        if 1 < f < H:  # T2
            whole.add(min(far[f - 1 :], key=lambda h: (distance[h], h)))
        gaps = np.diff(np.sort(distance)) / np.sort(distance)[1:] if H > 2 else [1.0]  # two heads: always equal
        edge.margin = min(edge.margin, *gaps)
        layer = []
        for h in range(H):
            if h in whole:
                layer.append(np.arange(N))
                continue
            best = s1 + edge.best(pool(Cm[h, s1 : N - s2], p["pool_kernel"]), middle(f))  # T7
            layer.append(np.concatenate([np.arange(s1), best, np.arange(N - s2, N)]))
        kept.append(layer)
    return kept


def windowkv_budgets(C: int, layers: int, shared: int, pyramid: float) -> list[int]:
    """B of each group, W2; one group: C, W8."""
    groups = -(-layers // shared)
    if groups == 1:
        return [C]
    top = math.floor(C * shared / pyramid)
    bottom = 2 * C - top
    step = (bottom - top) // (groups - 1)
    return [bottom - g * step for g in range(groups - 1)] + [top]


def windowkv(case: dict, p: dict, cache: list, edge: Edge) -> list:
    T, W, size, H = case["tokens"], p["window"], p["size"], case["kv_heads"]
    budgets = windowkv_budgets(p["budget"] - p["charge"] * W, case["layers"], p["shared"], p["pyramid"])  # W4
    n = T - W
    kept: list = []
    for l, (queries, keys, _) in enumerate(cache):
        B = budgets[l // p["shared"]]
        if n <= B or T <= W:
            kept.append([np.arange(T)] * H)
        elif l % p["shared"]:
            kept.append(kept[l - l % p["shared"]])  # W5: followers
        else:
            columns = softmax_window(case, queries, keys).sum(1)[:, :n]
            windows = [columns[:, i : i + size] for i in range(0, n, size)]
            if p["task"]:  # W1: aggregation
                half = max(1, size // 2)
                scores = np.array([np.sort(w, -1)[:, ::-1][:, :half].mean(-1).mean() for w in windows])
            else:
                scores = np.array([w.mean() for w in windows])
            best = edge.best(scores, len(windows) - -(-(n - B) // size))
            chosen = [np.arange(w * size, min((w + 1) * size, n)) for w in best]
            kept.append([np.concatenate([*chosen, np.arange(n, T)])] * H)  # W9, W12
    return kept


def dynamickv(case: dict, p: dict, cache: list, edge: Edge) -> list:
    L, H, T = case["layers"], case["kv_heads"], case["tokens"]
    base, P = p["budget"] - p["window"], T - p["window"]
    if T <= max(p["budget"], p["window"]):  # D2
        return [[np.arange(T)] * H] * L
    first = min(math.floor(p["cap"] * base), P)
    scores: list[np.ndarray] = []
    held: list[int] = []
    for l, (queries, keys, _) in enumerate(cache):
        sums = group_mean(softmax_window(case, queries, keys).sum(1), H)[:, :P]  # D9
        scores.append(np.stack([pool(row, p["pool_kernel"], p["pool"]) for row in sums]))
        held.append(first)
        n = l + 1
        if n % p["every"] and n != L:  # D7
            continue
        winners = edge.best(np.concatenate([s.ravel() for s in scores]), min(base * H * n, n * H * P))
        c = [int(np.count_nonzero(winners // (H * P) == i)) // n for i in range(n)]
        if n == L:
            c[-1] += base * H * n // L - sum(c)
        x = [int(np.float32(first) * (np.float32(share) / np.float32(sum(c)))) if sum(c) else 0 for share in c]  # D3
        if sum(x):
            ratio = sum(x) / (base * L)
            y = [int(float(part) // ratio) for part in x]
        else:
            y = [base * L // n] * n
        y[-1] += base * L - sum(y)
        held = [min(have, max(part, 0)) for have, part in zip(held, y)]  # D1
    return [
        [np.concatenate([edge.best(scores[l][h], held[l]), np.arange(P, T)]) for h in range(H)] for l in range(L)
    ]


METHODS = {"ahakv": ahakv, "taskkv": taskkv, "windowkv": windowkv, "dynamickv": dynamickv}


def evaluate(method: str, case: dict, seed: int) -> dict:
    p = case["parameters"]
    rows = min(p["window"], case["tokens"])
    stream, cache = Stream(seed), []
    for _ in range(case["layers"]):
        queries = 4 * stream.numbers(case["query_heads"], rows, case["head_dim"])
        keys = stream.numbers(case["kv_heads"], case["tokens"], case["head_dim"])
        cache.append((queries, keys, stream.numbers(case["kv_heads"], case["tokens"], case["head_dim"])))
    edge = Edge()
    kept = METHODS[method](case, p, cache, edge)
    return {"seed": seed, **case, "kept": [[runs(h) for h in layer] for layer in kept], "margin": edge.margin}


def runs(positions: np.ndarray) -> list[list[int]]:
    """[start, count] of each run of neighbours."""
    breaks = np.flatnonzero(np.diff(positions) != 1) + 1
    return [[int(part[0]), len(part)] for part in np.split(positions, breaks) if len(part)]


def case(name: str, shape: tuple[int, int, int, int], length: int, scale: float, parameters: dict[str, float]) -> dict:
    layers, query_heads, kv_heads, head_dim = shape
    return {
        "name": name, "layers": layers, "query_heads": query_heads, "kv_heads": kv_heads, "head_dim": head_dim,
        "scale": scale, "tokens": length, "parameters": parameters,
    }  # fmt: skip


def cases() -> dict[str, list[dict]]:
    def aha(name, shape, length, scale=0.0, **p):
        return case(name, shape, length, scale, {"budget": 64, "window": 16, "pool_kernel": 7, "gain_floor": 0, "sinks": 0, **p})

    def task(name, shape, length, scale=0.0, **p):
        base = {"ratio": 0.5, "window": 16, "pool_kernel": 7, "beta": 0.25, "top": 1, "sinks": 4, "recent": 20, "tokens": 32}
        return case(name, shape, length, scale, {**base, **p})

    def window(name, shape, length, scale=0.0, **p):
        base = {"budget": 96, "window": 16, "task": 0, "size": 8, "shared": 2, "pyramid": 4, "charge": 0}
        return case(name, shape, length, scale, {**base, **p})

    def dynamic(name, shape, length, scale=0.0, **p):
        return case(name, shape, length, scale, {"budget": 40, "window": 8, "pool_kernel": 7, "pool": 0, "cap": 10, "every": 4, **p})

    return {
        "ahakv": [
            aha("one head", (1, 1, 1, 8), 200), aha("groups", (3, 4, 2, 33), 300), aha("one group", (2, 16, 1, 64), 257),
            aha("gain floor", (2, 4, 4, 33), 220, gain_floor=1), aha("half a floor", (2, 6, 3, 8), 90, gain_floor=0.5),
            aha("sinks", (2, 4, 2, 64), 300, sinks=4), aha("kernel 1", (2, 4, 2, 64), 190, pool_kernel=1),
            aha("kernel 31", (1, 4, 2, 33), 210, pool_kernel=31), aha("scale", (1, 4, 2, 64), 400, scale=0.3),
            aha("rows at most C", (2, 2, 1, 8), 70), aha("T is C", (2, 2, 1, 8), 64), aha("T below W", (2, 2, 1, 8), 9),
            aha("long", (1, 4, 2, 8), 1500, budget=150),
        ],
        "taskkv": [
            task("one layer", (1, 4, 4, 33), 200), task("groups", (4, 8, 4, 33), 300), task("one head", (2, 4, 1, 64), 150),
            task("two heads", (3, 4, 2, 8), 130), task("top", (5, 6, 6, 16), 160, top=3, beta=0.7),
            task("f is lowered", (3, 8, 8, 8), 200, ratio=0.25, beta=0.5), task("all of them", (2, 4, 4, 8), 90, ratio=1, beta=1, top=4),
            task("no head", (2, 4, 4, 33), 180, beta=0, top=0), task("kernel 1", (2, 6, 3, 16), 250, pool_kernel=1),
            task("scale", (2, 3, 3, 64), 220, scale=0.25), task("short", (2, 4, 4, 8), 24),
        ],
        "windowkv": [
            window("localization", (4, 4, 2, 33), 300), window("aggregation", (4, 4, 2, 33), 300, task=1),
            window("one group", (3, 6, 3, 16), 250, shared=8, pyramid=14), window("short last group", (5, 4, 4, 8), 333, shared=2),
            window("short last window", (2, 16, 1, 64), 401, size=10, shared=1), window("charge", (3, 4, 2, 64), 280, charge=1),
            window("odd size", (2, 4, 4, 16), 222, size=5, task=1, shared=1), window("size 1", (2, 4, 2, 8), 150, size=1, task=1),
            window("nothing but W", (4, 2, 2, 8), 200, budget=12, size=16, shared=1, pyramid=8),
            window("real pyramid", (4, 4, 2, 16), 260, shared=1, pyramid=1.75), window("some whole", (4, 2, 1, 8), 130, shared=1, pyramid=14),
            window("scale", (2, 2, 2, 64), 260, scale=0.2, shared=1), window("T below W", (2, 2, 2, 8), 11),
            window("long", (2, 4, 2, 8), 1500, shared=1, budget=300),
        ],
        "dynamickv": [
            dynamic("mean", (8, 4, 2, 33), 200), dynamic("max", (8, 4, 2, 33), 200, pool=1), dynamic("one layer", (1, 4, 4, 8), 150),
            dynamic("every does not divide", (7, 4, 2, 16), 180, every=3), dynamic("every layer", (4, 16, 1, 64), 160, every=1),
            dynamic("cap 1", (6, 4, 2, 8), 170, cap=1, every=2), dynamic("cap 2.5", (6, 6, 3, 16), 190, cap=2.5, every=2),
            dynamic("kernel 1", (5, 4, 4, 33), 140, pool_kernel=1), dynamic("kernel 15, max", (4, 4, 2, 8), 210, pool_kernel=15, pool=1),
            dynamic("tiny base", (8, 4, 1, 8), 120, budget=9, every=8), dynamic("budget is W", (3, 2, 1, 8), 90, budget=8),
            dynamic("scale", (4, 2, 2, 64), 220, scale=0.3), dynamic("T is C", (3, 4, 2, 8), 40), dynamic("long", (4, 4, 2, 8), 1500, budget=200),
        ],
    }  # fmt: skip


def rendered(method: str, wanted: list[dict]) -> str:
    lines = []
    for number, one in enumerate(wanted):
        seed = 1000 * (number + 1)
        while (result := evaluate(method, one, seed))["margin"] < MARGIN:
            seed += 1
        result["margin"] = "none" if math.isinf(result["margin"]) else float(f"{result['margin']:.3g}")
        lines.append(json.dumps(result, separators=(",", ":")))
    return '{"cases":[\n' + ",\n".join(lines) + "\n]}\n"


def check_schedules() -> None:
    """WindowKV's budgets as the paper's appendix has them."""
    assert windowkv_budgets(2048, 32, 8, 14) == [2926, 2341, 1756, 1170]
    assert windowkv_budgets(512, 32, 8, 14) == [732, 586, 440, 292]
    assert windowkv_budgets(2048, 28, 7, 14) == [3072, 2390, 1708, 1024]


def main() -> int:
    check_schedules()
    failed = total = 0
    for method, wanted in cases().items():
        text, file = rendered(method, wanted), HERE / f"{method}.json"
        total += len(wanted)
        if "--check" not in sys.argv[1:]:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            print(f"stale: {file.name}")
            failed += 1
    print(f"{total - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
