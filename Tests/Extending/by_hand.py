"""Two rounds of each method, worked by hand.

Keys are (ln a, ln b): with the query (1, 0) of the prompt the token has weight a, with the later query (0, 1) weight b.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import numpy as np

from reference import sequence
from reference.by_name import chooser, reference
from reference.caches import Kept

Numbers = Sequence[Sequence[Sequence[float]]]
"""[layer][head][token]."""


def play(
    method: str, prompt: int, a: Numbers, b: Numbers, v: Numbers | None = None, /, **p: float
) -> tuple[Kept, Kept]:
    """Positions kept after a prompt of `prompt` tokens, and after the others as one round. Every token has both weights and a
    value (of dimension 1; 1 if none is given)."""
    parameters = {**reference(method).DEFAULTS, "window": 1, "pool_kernel": 1, **p}
    values = np.array(v if v else np.ones_like(a), np.float64)[..., None]
    keys = np.stack([np.log(np.array(a, np.float64)), np.log(np.array(b, np.float64))], axis=-1)
    layers, heads, total, _ = keys.shape
    story = sequence.Sequence(chooser(method, parameters), layers, heads, 1.0, parameters)
    out = []
    for begin, end, query in ((0, prompt, [1.0, 0.0]), (prompt, total, [0.0, 1.0])):
        story.append(list(keys[:, :, begin:end]), list(values[:, :, begin:end]))
        story.keep(story.choose([np.tile(query, (heads, end - begin, 1))] * layers))
        out.append(story.positions)
    return out[0], out[1]


def same(got: Any, want: Any) -> None:
    assert got == want, f"{got}, not {want}"


def snapkv_shared() -> None:
    """S1. The heads give 0.4, 0.1, 0.3 and 0.1, 0.45, 0.3 to the first tokens; the mean is 0.25, 0.275, 0.3: neither's own best. The
    second layer has the heads the other way round."""
    first, second = [4.0, 1, 3, 0.5, 1.5, 1], [1, 4.5, 3, 0.5, 1, 1]
    weights = [[first, second], [second, first]]
    same(play("snapkv", 5, weights, weights, budget=2)[0], [[[0, 4], [1, 4]], [[1, 4], [0, 4]]])
    for share in (1, 2):
        same(play("snapkv", 5, weights, weights, budget=2, share=share)[0], [[[2, 4]] * 2] * 2)


def pyramidkv_even() -> None:
    """S2. C 3, W 1, beta 2: of base 2 the layers keep 3 and 1 (min 1, max 3), or 2 each."""
    weights = [[[9.0, 8, 7, 6, 5, 4, 1]]] * 2
    same(play("pyramidkv", 6, weights, weights, budget=3, beta=2)[0], [[[0, 1, 2, 5]], [[0, 5]]])
    same(play("pyramidkv", 6, weights, weights, budget=3, beta=2, even=1)[0], [[[0, 1, 5]]] * 2)


def streamingllm_in_blocks() -> None:
    """S3. C 10, two sinks, blocks of 4. Of 14 tokens: the first block, the short newest one, and one more before it, as 4 rows are
    left. Then 17 tokens: the newest block has one."""
    weights = [[[1.0] * 17]]
    kept = play("streamingllm", 14, weights, weights, budget=10, sinks=2, block=4)
    same(kept[0], [[[0, 1, 2, 3, *range(8, 14)]]])
    same(kept[1], [[[0, 1, 2, 3, *range(12, 17)]]])


def snapkv_in_blocks() -> None:
    """S3. Blocks of 2, C 4: the last token's block and the better of two. The best token is in the worse one: 9 + 1 against 6 + 5."""
    weights = [[[9.0, 1, 6, 5, 1, 1, 1]]]
    same(play("snapkv", 6, weights, weights, budget=4)[0], [[[0, 2, 3, 5]]])
    same(play("snapkv", 6, weights, weights, budget=4, block=2)[0], [[[2, 3, 4, 5]]])


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
    first, second = play("ahakv", 995, *given, budget=3)
    same((first, second), ([[[0, 2, 994]]], [[[0, 2, 999]]]))
    # C 4, W 1, kernel 3, all weights 1. Norms 12 0 0 9 6 0, then 9 9. Pooled, times 3: 12 12 9 15 15 6: 3, 4 and, of two
    #   alike, 0. Cache 0 3 4 5 6 7: 21 27 15 15 18: 0, 3 and 6. Over the true sequence, 12 15 15 15 18, it were 3, 4 and 6.
    flat = [[[1.0] * 8]]
    norms = [[[12**0.5, 0, 0, 9**0.5, 6**0.5, 0, 3, 3]]]
    first, second = play("ahakv", 6, flat, flat, norms, budget=4, pool_kernel=3, gain_floor=1)
    same((first, second), ([[[0, 3, 4, 5]]], [[[0, 3, 6, 7]]]))


def ahakv_pooled_by_hand() -> None:
    """A12: S of the candidates alone is pooled; the last token, whose weight is 90, adds no zero."""
    # C 4, W 1, T 7: gain sqrt(2 ln(7/4)) = 1.058. Weights 9 1 1 4 4 1 to that: 10.2 1 1 4.3 4.3 1.
    # Mean of 3, times 3: 11.2 12.2 6.3 9.6 9.6 5.3: 1, 0 and of two alike 3. Maximum: 10.2 10.2 10.2 4.3 4.3 4.3: 0 1 2.
    # Unpooled: 0 3 4. Cache of the mean 0 1 3 6 and 7; neighbours are those of the cache: N 8, gain 1.177, 1 1 1 8 -> 1 1 1 11.6:
    #   2 3 13.6 12.6: 3, 6 and 1. Weight 12 of 7 counts for none.
    a, b = [[[9, 1, 1, 4, 4, 1, 90, 1]]], [[[1, 1, 99, 1, 99, 99, 8, 12]]]
    same(play("ahakv", 7, a, b, budget=4, score_kernel=3), ([[[0, 1, 3, 6]]], [[[1, 3, 6, 7]]]))
    same(play("ahakv", 7, a, b, budget=4, score_kernel=3, pool=1)[0], [[[0, 1, 2, 6]]])
    same(play("ahakv", 7, a, b, budget=4)[0], [[[0, 3, 4, 6]]])


def windowkv_by_hand() -> None:
    """Windows of 2, W 1, C 4: the cache's rows, not the positions, are cut into windows."""
    # Review 7: windows (0 1) (2 3) (4 5) (6), 7 - 4 = 3 too many are 2 windows. Means 1 4 1 3.
    # Cache 2 3 6 7 8 9: review 5: (2 3) (6 7) (8), one too many is a window. Means 2, 3, 4: 2 and 3 go, with 3's weight of 3.
    a = [[[1, 1, 4, 4, 1, 1, 3, 1, 1, 1]]]
    b = [[[9, 9, 1, 3, 9, 9, 1, 5, 4, 1]]]
    given: dict[str, float] = {"budget": 4, "size": 2, "shared": 1, "pyramid": 2}
    same(play("windowkv", 8, a, b, **given), ([[[2, 3, 6, 7]]], [[[6, 7, 8, 9]]]))
    # Aggregation looks at each window's largest half, one token. With 6 for 3's 3: 6, 5, 4: (8) goes.
    b[0][0][3] = 6
    same(play("windowkv", 8, a, b, **given, task=1), ([[[2, 3, 6, 7]]], [[[2, 3, 6, 7, 9]]]))


def windowkv_charged_by_hand() -> None:
    """W4, the same weights. C 6 less W is 5 review tokens: two windows, and a third if the short one is among them."""
    # (2 3) and (6) are the best, 3 tokens; with (0 1), of two alike the first, 5. Cache 0 1 2 3 6 7 8 9: review 7, (0 1) (2 3)
    # (6 7) (8): 9 2 3 4: (0 1) and (8), 3 tokens, and (6 7), 5.
    a = [[[1, 1, 4, 4, 1, 1, 3, 1, 1, 1]]]
    b = [[[9, 9, 1, 3, 9, 9, 1, 5, 4, 1]]]
    given: dict[str, float] = {"size": 2, "shared": 1, "pyramid": 2, "charge": 1}
    same(play("windowkv", 8, a, b, **given, budget=6), ([[[0, 1, 2, 3, 6, 7]]], [[[0, 1, 6, 7, 8, 9]]]))
    # C 5: 4 review tokens; a third window would make 5.
    same(play("windowkv", 8, a, b, **given, budget=5)[0], [[[2, 3, 6, 7]]])


def taskkv_by_hand() -> None:
    """Three heads, one keeps everything: at first head 2, then head 0, which keeps the 6 rows that it still has."""
    # t 1, W 1, recent 1, ratio 0.67: N 6: B 12, k = (12 - 6) / 2 - 1 = 2. N 9: B 18, k = (18 - 9) / 2 - 1 = 3.
    # v: best weight times value. Prompt: all weights 2 1 1 1 1 1 but value of 0 in head 2 is 5: the farthest.
    plain = [4, 1, 2, 1, 1, 1]
    a = [[plain + [1] * 3] * 3]
    # Later the best is the last token (weight 20), of value 9 in head 0, 1 in the others. Row means of the others' caches
    # (0 2 5 6 7 8 and all): weights 1 2 3 4 5 20 on 0 2 5 6 7 8, and 9 on 3, which only head 2 still has: 3 6 7 and 8.
    b = [[[1, 1, 2, 9, 1, 3, 4, 5, 20]] * 3]
    v = [[[1.0] * 9 for _ in range(3)]]
    v[0][2][0], v[0][0][8] = 5, 9
    given: dict[str, float] = {"ratio": 0.67, "beta": 0.34, "top": 0, "sinks": 0, "recent": 1, "semantic": 1}
    first, second = play("taskkv", 6, a, b, v, **given)
    same(first, [[[0, 2, 5], [0, 2, 5], [0, 1, 2, 3, 4, 5]]])
    same(second, [[[0, 2, 5, 6, 7, 8], [5, 6, 7, 8], [3, 6, 7, 8]]])


def taskkv_least_by_hand() -> None:
    """Nothing is protected, and the ratio of a grown sequence is less than a slot: the best row of each head is kept (E8)."""
    # Four heads, one token, whole as it is the window. N 2, ratio 0.125: B 1, less than a row for each of four.
    a: Numbers = [[[1, 1]] * 4]
    b: Numbers = [[[5, 1], [1, 5], [5, 1], [1, 1]]]
    given: dict[str, float] = {"ratio": 0.125, "beta": 0.25, "top": 0, "sinks": 0, "recent": 0, "semantic": 1}
    same(play("taskkv", 1, a, b, **given), ([[[0]] * 4], [[[0], [1], [0], [0]]]))
    # By budget: a row a head, B 4; f = 1 would take 2 rows: f = 0.
    same(play("taskkv", 1, a, b, **{**given, "budget": 1, "ratio": 1})[1], [[[0], [1], [0], [0]]])


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
    # D14, the same: won 6 2, x 8 and floor(8 * 2/6) = 2, of 10: y floor(6.4) = 6, floor(1.6) = 1, a row less. 2 more: P 8 and 3;
    # all 3 of layer 1 win (9 each of 40, or of 28), and 5 of layer 0 by the lower position: x 8 4 of 12: y 5 2.
    first, second = play("dynamickv", 9, [[a0 + [1, 1]], [a1 + [1, 1]]], [[b0], [b1]], **given, normal=1)
    same(first, [[[0, 1, 2, 3, 4, 5, 8]], [[6, 8]]])
    same(second, [[[0, 1, 2, 3, 4, 10]], [[6, 8, 10]]])
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


def snapkv_by_hand() -> None:
    """C 3, W 1, mean of 3 (times 3): neighbours in the cache are neighbours."""
    # 5 1 1 3 1: 6 7 5 5 4: 1 and 0. Cache 0 1 5 6 7: 1 1 6 1: 2 8 8 7: 1 and 5.
    a, b = [[[5, 1, 1, 3, 1, 9, 1, 1]]], [[[1, 1, 9, 9, 9, 6, 1, 50]]]
    same(play("snapkv", 6, a, b, budget=3, pool_kernel=3), ([[[0, 1, 5]]], [[[1, 5, 7]]]))
    # Maximum of 3: 5 5 3 3 3: 0 and 1. Cache: 1 6 6 6: 1 and 5. Half of 6 tokens are the same C, half of 8 are 4: 1, 5 and 6.
    same(play("snapkv", 6, a, b, budget=3, pool_kernel=3, pool=1), ([[[0, 1, 5]]], [[[1, 5, 7]]]))
    same(play("snapkv", 6, a, b, ratio=0.5, pool_kernel=3, pool=1), ([[[0, 1, 5]]], [[[1, 5, 6, 7]]]))


def pyramidkv_by_hand() -> None:
    """L 3, W 1, C 3: base 2; beta 2: 1 at the top, 3 at the bottom, 2 between."""
    # 1 more: 5, 4 and 3 rows are more than 9. The same budgets by N 7; layer 0 has 4 candidates, layer 1 3, layer 2 2.
    a, b = [[[5, 4, 3, 2, 1, 9, 1]]] * 3, [[[1, 2, 3, 9, 9, 4, 9]]] * 3
    first, second = play("pyramidkv", 6, a, b, budget=3, beta=2)
    same(first, [[[0, 1, 2, 5]], [[0, 1, 5]], [[0, 5]]])
    same(second, [[[1, 2, 5, 6]], [[1, 5, 6]], [[5, 6]]])
    # E9: C 5, base 4, T 5 is whole. 1 more: 18 rows are more than 15; N 6 < 8: every layer 4.
    first, second = play("pyramidkv", 5, [[[1] * 6]] * 3, [[[5, 4, 3, 2, 1, 9]]] * 3, budget=5, beta=2)
    same((first, second), ([[[0, 1, 2, 3, 4]]] * 3, [[[0, 1, 2, 3, 5]]] * 3))


def adakv_by_hand() -> None:
    """Two heads, W 1, C 3: base 2, floor 0.5: one for certain."""
    # Of 18ths: head 0 6 5 4 1 1, head 1 five 1: the four best are of head 0, the last by its place. b = 4/2 + 1 and 0 + 1.
    # Cache 0 1 2 5 6: all 1/5. Cache 0 5 6: 0.1 and 0.8. The four best: 5 of head 1; 0 1 2 of head 0. b = 1.5 + 1, to even 2;
    #   0.5 + 1, to even 2.
    a: Numbers = [[[6, 5, 4, 1, 1, 1, 1], [1, 1, 1, 1, 1, 13, 1]]]
    b: Numbers = [[[1, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 8, 1]]]
    same(play("adakv", 6, a, b, budget=3, floor=0.5), ([[[0, 1, 2, 5], [0, 5]]], [[[0, 1, 6], [0, 5, 6]]]))


def streamingllm_by_hand() -> None:
    """Nothing but places: two sinks and three; then of half the tokens one sink and the rest."""
    a: Numbers = [[[1.0] * 11]]
    same(play("streamingllm", 9, a, a, budget=5, sinks=2), ([[[0, 1, 6, 7, 8]]], [[[0, 1, 8, 9, 10]]]))
    same(play("streamingllm", 9, a, a, ratio=0.5, sinks=1), ([[[0, 6, 7, 8]]], [[[0, 7, 8, 9, 10]]]))


def tova_by_hand() -> None:
    """C 3, two heads, one choice."""
    # Of 16ths: 4 1 1 1 1 and 1 1 1 4 1 together 5 2 2 5: 0 and 3. Cache 0 3 4 5 6: 1 1 1 4 1 and 1 1 2 3 1: 2 2 3 7: 4 and 5.
    a: Numbers = [[[4, 1, 1, 1, 1, 1, 1], [1, 1, 1, 4, 1, 1, 1]]]
    b: Numbers = [[[1, 9, 9, 1, 1, 4, 1], [1, 9, 9, 1, 2, 3, 1]]]
    same(play("tova", 5, a, b, budget=3), ([[[0, 3, 4]] * 2], [[[4, 5, 6]] * 2]))


def keydiff_by_hand() -> None:
    """C 3, the last is kept. Keys along two axes: those of the rarer axis differ most; their length does not matter."""
    # x y x x x: the mean is (4, 1) / 5: 1, and of three alike 0. Cache 0 1 4 and y y: (2, 3) / 5: 0 and 4.
    x, y = np.exp([2.0, 0, 1, 5, 1, 0, 0]).tolist(), np.exp([0.0, 3, 0, 0, 0, 1, 2]).tolist()
    same(play("keydiff", 5, [[x]], [[y]], budget=3, recent=1), ([[[0, 1, 4]]], [[[0, 4, 6]]]))
    # A key of nothing is at right angles to all: x 0 x -x x, mean 2/5 x: 3 is opposite, then 1.
    x = np.exp([1.0, 0, 1, -1, 1]).tolist()
    same(play("keydiff", 4, [[x]], [[[1] * 5]], budget=2, recent=0)[0], [[[1, 3]]])
    # The mean is nothing: all 0, the first.
    x = np.exp([1.0, -1, 3, -3, 1]).tolist()
    same(play("keydiff", 4, [[x]], [[[1] * 5]], budget=2, recent=0)[0], [[[0, 1]]])


CASES = (
    snapkv_shared,
    pyramidkv_even,
    streamingllm_in_blocks,
    snapkv_in_blocks,
    h2o_by_hand,
    ahakv_by_hand,
    ahakv_pooled_by_hand,
    windowkv_by_hand,
    windowkv_charged_by_hand,
    taskkv_by_hand,
    taskkv_least_by_hand,
    dynamickv_by_hand,
    snapkv_by_hand,
    pyramidkv_by_hand,
    adakv_by_hand,
    streamingllm_by_hand,
    tova_by_hand,
    keydiff_by_hand,
)
