"""Cases of replay.py worked by hand, and what a prompt must be: what Tests/Golden/references.py says of it.

Keys are (ln a, ln b): with the query (1, 0) of the prompt the token has weight a, with (0, 1) of what comes later weight b.
"""
from __future__ import annotations

from math import log
from typing import Any, Optional

import numpy as np

from replay import Kept, Replay  # first: it says where the next ones are

from references import METHODS, Gaps
from seeded import make_cache

Numbers = list[list[list[float]]]
"""[layer][head][token]."""


def play(method: str, prompt: int, a: Numbers, b: Numbers, v: Optional[Numbers] = None, **p: float) -> tuple[Kept, Kept]:
    """Positions after a prompt of `prompt` tokens, and after the rest came as one. All have a weight of either kind, and a
    value (of dimension 1; 1 where there is none)."""
    values = np.array(v if v else np.ones_like(a), np.float64)[..., None]
    keys = np.stack([np.log(np.array(a, np.float64)), np.log(np.array(b, np.float64))], axis=-1)
    layers, heads, total, _ = keys.shape
    replay = Replay(method, layers, heads, 1.0, {"window": 1, "pool_kernel": 1, **p})
    out = []
    for begin, end, query in ((0, prompt, [1.0, 0.0]), (prompt, total, [0.0, 1.0])):
        replay.append(list(keys[:, :, begin:end]), list(values[:, :, begin:end]))
        rows = end - begin if method == "h2o" else 1
        replay.keep(replay.choose([np.tile(query, (heads, rows, 1))] * layers))
        out.append(replay.positions)
    return out[0], out[1]


def same(got: Any, want: Any) -> None:
    assert got == want, f"{got}, not {want}"


def h2o_by_hand() -> None:
    """C 3: one recent, two heavy. The prompt's sums are gone: 0, its heaviest, goes."""
    # Prompt: rows over weights 4 1 1 1, each up to its own: S0 = 1 + 4/5 + 4/6 + 4/7, S1 = 1/5 + 1/6 + 1/7 > S2.
    # Cache 0 1 3 4 5: row of 4: 1 2 4 1 over 8; row of 5: 1 2 4 1 8 over 16. S = 3/16, 6/16, 12/16, 3/16: 1 and 3 stay.
    first, second = play("h2o", 4, [[[4, 1, 1, 1, 9, 9]]], [[[1, 2, 9, 4, 1, 8]]], budget=3, recent_ratio=0.34)
    same((first, second), ([[[0, 1, 3]]], [[[1, 3, 5]]]))


def ahakv_by_hand() -> None:
    """The gain counts tokens seen; norms are pooled over the cache."""
    # C 3, W 1, T 995: 0 (weight e, norm 1), 2 (e, 10) and the last. Then 5 more, 995 of them with weight 1 and norm 10.
    # Seen 1,000: gain sqrt(2 ln(1000/3)) = 3.41, e^3.41 = 30: 0 has 30, 995 has 10, 2 has 300. By the 8 rows, gain 1.40: 4 to 10.
    weights = [log(2)] * 1000
    values = [1.0] * 1000
    weights[0], weights[2], weights[995] = np.e, np.e, 1
    values[2] = values[995] = 10**0.5
    given = ([[weights]], [[weights]], [[values]])
    first, second = play("ahakv", 995, *given, budget=3, gain_floor=0, sinks=0)
    same((first, second), ([[[0, 2, 994]]], [[[0, 2, 999]]]))
    # C 4, W 1, kernel 3, all weights 1. Norms 12 0 0 9 6 0, then 9 9. Pooled, times 3: 12 12 9 15 15 6: 3, 4 and, of two
    #   alike, 0. Cache 0 3 4 5 6 7: 21 27 15 15 18: 0, 3 and 6. Over the true sequence, 12 15 15 15 18, it were 3, 4 and 6.
    flat = [[[1.0] * 8]]
    norms = [[[12**0.5, 0, 0, 9**0.5, 6**0.5, 0, 3, 3]]]
    first, second = play("ahakv", 6, flat, flat, norms, budget=4, pool_kernel=3, gain_floor=1, sinks=0)
    same((first, second), ([[[0, 3, 4, 5]]], [[[0, 3, 6, 7]]]))


def windowkv_by_hand() -> None:
    """Windows of 2, W 1, C 4: the cache's rows, not the positions, are cut into windows."""
    # Review 7: windows (0 1) (2 3) (4 5) (6), 7 - 4 = 3 too many are 2 windows. Means 1 4 1 3.
    # Cache 2 3 6 7 8 9: review 5: (2 3) (6 7) (8), one too many is a window. Means 2, 3, 4: 2 and 3 go, with 3's weight of 3.
    a = [[[1, 1, 4, 4, 1, 1, 3, 1, 1, 1]]]
    b = [[[9, 9, 1, 3, 9, 9, 1, 5, 4, 1]]]
    given: dict[str, float] = {"budget": 4, "size": 2, "shared": 1, "pyramid": 2, "charge": 0, "task": 0}
    same(play("windowkv", 8, a, b, **given), ([[[2, 3, 6, 7]]], [[[6, 7, 8, 9]]]))
    # Aggregation looks at each window's largest half, one token. With 6 for 3's 3: 6, 5, 4: (8) goes.
    b[0][0][3] = 6
    same(play("windowkv", 8, a, b, **{**given, "task": 1}), ([[[2, 3, 6, 7]]], [[[2, 3, 6, 7, 9]]]))


def taskkv_by_hand() -> None:
    """Three heads, one keeps everything: at first head 2, then head 0, which keeps the 6 rows that it still has."""
    # t 1, W 1, recent 1, ratio 2/3: N 6: B 12, k = (12 - 6) / 2 - 1 = 2. N 9: B 18, k = (18 - 9) / 2 - 1 = 3.
    # v: best weight times value. Prompt: all weights 2 1 1 1 1 1 but value of 0 in head 2 is 5: the farthest.
    plain = [4, 1, 2, 1, 1, 1]
    a = [[plain + [1] * 3] * 3]
    # Later the best is the last token (weight 20), of value 9 in head 0, 1 in the others. Row means of the others' caches
    # (0 2 5 6 7 8 and all): weights 1 2 3 4 5 20 on 0 2 5 6 7 8, and 9 on 3, which only head 2 still has: 3 6 7 and 8.
    b = [[[1, 1, 2, 9, 1, 3, 4, 5, 20]] * 3]
    v: Numbers = [[[1.0] * 9 for _ in range(3)]]
    v[0][2][0], v[0][0][8] = 5, 9
    given: dict[str, float] = {"ratio": 2 / 3, "beta": 1 / 3, "top": 0, "sinks": 0, "recent": 1, "tokens": 1}
    first, second = play("taskkv", 6, a, b, v, **given)
    same(first, [[[0, 2, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]]])
    same(second, [[[0, 2, 5, 6, 7, 8], [5, 6, 7, 8], [3, 6, 7, 8]]])


def dynamickv_by_hand() -> None:
    """L 2, W 1, C 5: base 4, 8 places for all."""
    given: dict[str, float] = {"budget": 5, "pool": 0, "every": 2, "cap": 2}
    # T 9: P 8 and 8, held 8. Winners: 6 of layer 0 and 2 of layer 1: c 3 1, x 6 2, y 6 2: 7 and 3 rows.
    # 2 more: 9 and 5 rows, P 8 and 4, held 8 and 4. Winners 4 and 4: c 2 2, x 4 4 of the larger 8: 5 and 5 rows.
    a0, a1 = [9, 9, 9, 9, 9, 9, 1, 1, 1], [1, 1, 1, 1, 1, 1, 30, 30, 1]
    b0, b1 = [8, 8, 8, 8, 1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1, 9, 9, 9, 9, 1]
    first, second = play("dynamickv", 9, [[a0 + [1, 1]], [a1 + [1, 1]]], [[b0], [b1]], **given)
    same(first, [[[0, 1, 2, 3, 4, 5, 8]], [[6, 7, 8]]])
    same(second, [[[0, 1, 2, 3, 10]], [[6, 7, 8, 9, 10]]])
    # cap 1.5: held 6. All 8 winners of layer 0: c 4 0, x 6 0, ratio 6/8, y 8 0, of which it holds 6: 7 and 1 rows.
    # 1 more: 8 and 2, together 10 = L C: all are kept. 2 more are too many: 9 and 3, P 8 and 2; all 2 of layer 1 win and
    # 6 of layer 0: c 3 1, x 4 1 (of 6), ratio 5/8, y 6 1 and the rest, 1: 6 and 2: 7 and 3 rows.
    a0, a1 = [9, 9, 9, 9, 9, 9, 9, 9, 1], [1] * 9
    for new in (1, 2):
        b0, b1 = [8, 8, 8, 8, 1, 1, 1, 1, 1, 8, 1], [1] * 11
        n = 9 + new
        a, b = [[(a0 + [1, 1])[:n]], [(a1 + [1, 1])[:n]]], [[b0[:n]], [b1[:n]]]
        first, second = play("dynamickv", 9, a, b, **{**given, "cap": 1.5})
        same(first, [[[0, 1, 2, 3, 4, 5, 8]], [[8]]])
        same(second, [[[0, 1, 2, 3, 4, 5, 8, 9]], [[8, 9]]] if new == 1 else [[[0, 1, 2, 3, 4, 9, 10]], [[8, 9, 10]]])


def a_prompt_is_what_the_references_say() -> None:
    """First rounds of all methods, tight parameters: the golden references, rows and all."""
    parameters: dict[str, dict[str, float]] = {
        "ahakv": dict(budget=30, window=5, pool_kernel=7, gain_floor=0, sinks=2),
        "taskkv": dict(ratio=0.5, window=6, pool_kernel=5, beta=0.5, top=1, sinks=2, recent=9, tokens=12),
        "windowkv": dict(budget=30, window=5, task=1, size=4, shared=2, pyramid=3, charge=1),
        "dynamickv": dict(budget=30, window=5, pool_kernel=3, pool=1, cap=2, every=2),
        "h2o": dict(budget=30, recent_ratio=0.25),
    }
    for method, p in parameters.items():
        for seed in range(4):
            tokens = (3, 28, 97, 120)[seed]
            rows = min(int(p.get("window", tokens)), tokens)
            cache = make_cache(seed, 3, 6, 3, 8, tokens, rows)
            if method == "taskkv" and tokens == 28:
                cache.k, cache.v = cache.k[:, :, :11], cache.v[:, :, :11]  # 2 + 9: kept whole; a little more is refused
            replay = Replay(method, 3, 3, cache.scale, p)
            replay.append(list(cache.k), list(cache.v))
            same(replay.choose(list(cache.q)), METHODS[method](cache, p, Gaps()))


CASES = (h2o_by_hand, ahakv_by_hand, windowkv_by_hand, taskkv_by_hand, dynamickv_by_hand, a_prompt_is_what_the_references_say)
