"""Numbers of the references that papers print or that were worked by hand: shares, schedules, counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from reference import adakv, dynamickv, h2o, pyramidkv, random, streamingllm, taskkv, windowkv
from reference.caches import pool
from reference.ranking import Gaps, best
from reference.shares import OverBudget, budget_of, holding, share


def same(got: Any, want: Any) -> None:
    assert got == want, f"{got}, not {want}"


def refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except OverBudget:
        return True
    return False


def shares() -> None:
    """As doubles 0.29 * 100 is 28.999..., 0.57 * 2400 is 1367.999..."""
    same(
        [share(0.29, 100), share(0.57, 8 * 300), share(0.1, 10), share(1, 7), share(1e-6, 1_000_000)],
        [29, 1368, 1, 7, 1],
    )
    same(budget_of(dict(budget=1024, ratio=0.29), 100), 29)
    same(budget_of(dict(budget=1024, ratio=0.01), 3), 1)  # C is one token at least
    same(budget_of(dict(budget=5, ratio=0), 100), 5)
    # 3 are protected. A budget of 2 is refused; half of 5 tokens too; of 3 all are kept; a sequence that grew to 5 keeps 3.
    assert refused(lambda: holding(dict(budget=2, ratio=0), 3, 3, False))
    assert refused(lambda: holding(dict(budget=9, ratio=0.5), 5, 3, False))
    same([holding(dict(budget=9, ratio=0.5), seen, 3, seen == 5) for seen in (3, 5, 6, 9)], [3, 3, 3, 4])


def pooling() -> None:
    same(pool(np.array([3.0, 0, 6, 9]), 3).tolist(), [1, 3, 5, 5])
    same(pool(np.array([3.0, 0, 6, 9]), 3, True).tolist(), [3, 6, 9, 9])


def rankings() -> None:
    """Ties to the lower place; of a plateau at the edge the distance to what is next counts."""
    gaps = Gaps()
    same(gaps.best(np.array([1.0, 4, 4, 4, 2]), 2).tolist(), [1, 2])
    same(gaps.smallest, 0.5)
    same(best(np.array([5, 7, 7, 1]), 3).tolist(), [0, 1, 2])


def windowkv_schedules() -> None:
    """W2: the authors' numbers. W8: one group."""
    same(windowkv.published(2048, 32, 8, 14), [2926, 2341, 1756, 1170])
    same(windowkv.published(512, 32, 8, 14), [732, 586, 440, 292])
    same(windowkv.published(2048, 28, 7, 14), [3072, 2390, 1708, 1024])
    same(windowkv.published(77, 4, 8, 14), [77])
    # 21 * 3 / 4.2 is 15 and 14.999... as doubles.
    same(windowkv.published(21, 6, 3, 4.2), [27, 15])


def windowkv_charged() -> None:
    """W4: 30 layers, shared 1, pyramid 2: weights (4 - 1) 29 - 2 g = 87 - 2 g, together 30 * 87 - 29 * 30 = 1740."""
    # C 33, W 3: 900 * 87/1740 = 45 review tokens at the bottom, 900 * 29/1740 = 15 at the top, 900 * 85/1740 = 43.9 after the first.
    budgets = windowkv.charged(30, 30, 1, 2)
    same([budgets[0], budgets[1], budgets[29]], [45, 43, 15])
    # Three layers in groups of two, lambda 3: weights (6 - 2) 1 = 4 and 4 - 2 = 2, twice and once: A = 3 * 10: 12 and 6.
    same(windowkv.charged(10, 3, 2, 3), [12, 6])
    same(windowkv.charged(10, 3, 8, 14), [10])  # W8
    for budget, window, size in ((33, 3, 8), (33, 16, 4), (65, 3, 8), (65, 16, 8)):
        for review in (500, 501, 507):  # the last window may be short, and good
            rows = [window * 30]
            for most in windowkv.charged(budget - window, 30, 1, 2):
                scores = np.arange(float(-(-review // size)))  # the last is the best
                chosen = windowkv.charged_windows(scores, review, most, size, Gaps())
                tokens = sum(min(size, review - w * size) for w in chosen)
                assert most - size < tokens <= most
                rows.append(tokens)
            assert budget - size < sum(rows) / 30 <= budget, (budget, window, size, review, sum(rows) / 30)


def taskkv_counts() -> None:
    """f(l) of the papers' models, k, and T4."""
    # Llama-2 (beta 0.25, m 4) and eight heads (beta 0.3, m 1): both ends.
    same([taskkv.full_count(layer, 32, 32, 0.25, 4) for layer in (0, 31)], [8, 4])
    same([taskkv.full_count(layer, 32, 8, 0.3, 1) for layer in (0, 31)], [2, 1])
    # T3: 32 * 0.35 * 45/63 is 8 and 7.999... as doubles.
    same(taskkv.full_count(18, 64, 32, 0.35, 0), 8)
    # 8 heads, N 1000, B 4000, f 2: (4000 - 2000) / 6 = 333, less 272.
    same(taskkv.counts(2, 8, 1000, 4000, 16 + 256), (2, 61))
    # T4, B 3000: f = 2 leaves 166 < 272; floor((3000 - 8 * 272) / 728) = 1; (3000 - 1000) / 7 - 272 = 13.
    same(taskkv.counts(2, 8, 1000, 3000, 16 + 256), (1, 13))
    # Nothing protected, 2 tokens, four heads, half: B 4; f = 1 leaves 2 for three heads: f = (4 - 4) / (2 - 1) = 0, a token each.
    same(taskkv.counts(1, 4, 2, 4, 0), (0, 1))
    # By ratio 0.57 * 8 * 300; by budget 10 each of 8.
    p = dict(taskkv.DEFAULTS, ratio=0.57)
    same([taskkv.slots_of(p, 8, 300), taskkv.slots_of(dict(p, budget=10), 8, 300)], [1368, 80])


def dynamickv_shares() -> None:
    """D3 and D14."""
    # Base 10, 2 heads, 4 layers, 2 seen: 30 and 10 of 40 places, c = 15, 5, x = 75, 25 of a cap of 100, r = 2.5.
    same(dynamickv.by_code([30, 10], 10, 2, 4, 100), [30, 10])
    # The last layer takes what the floors of c left: 4, 4, 4 places, base 4, 1 head: c = 1, 1, 1 + 1; x = 2, 2, 5; r = 9 / 12.
    same(dynamickv.by_code([4, 4, 4], 4, 1, 3, 10), [2, 2, 8])
    # D3: two layers with one place each of two: c = 0, 0, so 8 slots are split evenly; with three, the newest has the rest.
    same(dynamickv.by_code([1, 1], 1, 1, 8, 10), [4, 4])
    same(dynamickv.by_code([1, 1, 1], 1, 1, 8, 10), [2, 2, 4])
    # D14: x = 100, 33, together 133: 4000/133 = 30.08, 1320/133 = 9.9. No place at all: evenly, and no rest to anybody.
    same(dynamickv.by_paper([30, 10], 10, 4, 100), [30, 9])
    same(dynamickv.by_paper([0, 0, 0], 1, 8, 0), [2, 2, 2])


def pyramidkv_schedules() -> None:
    """Base 10, five layers, W 8."""
    same(pyramidkv.schedule(10, 5, 100, 8, 20), [20, 15, 10, 5, 0])  # floor(10 / 20) = 0 at the top
    same(
        pyramidkv.schedule(10, 5, 100, 8, 3), [17, 14, 11, 8, 5]
    )  # 3 by the formula: steps are whole, and 11 the mean (P1)
    same(pyramidkv.schedule(10, 5, 25, 8, 20), [17, 14, 11, 8, 5])  # 17 candidates are all there are
    same(pyramidkv.schedule(10, 5, 19, 8, 20), [10] * 5)
    same(pyramidkv.schedule(10, 1, 100, 8, 20), [10])
    # 33 / 1.1 is 30 and 29.999... as doubles.
    same(pyramidkv.schedule(33, 2, 100, 8, 1.1), [36, 30])


def adakv_counts() -> None:
    """Half to even: 2.5 + 1 and 1.5 + 1. floor(0.29 * 100) = 29."""
    same(
        [adakv.count(5, 3, 0.5), adakv.count(3, 3, 0.5), adakv.count(15, 10, 0.2), adakv.count(0, 100, 0.29)],
        [4, 2, 14, 29],
    )


def h2o_recent() -> None:
    """H1 and H4."""
    p = dict(h2o.DEFAULTS, recent_ratio=0.29)
    same([h2o.recent_of(p, budget) for budget in (100, 10, 3)], [29, 2, 1])
    # Beside 75 protected tokens 25 of 100 can be recent; beside 100, the newest.
    same([h2o.recent_of(p, 100, held) for held in (70, 75, 100)], [29, 25, 1])
    assert refused(lambda: h2o.recent_of(dict(p, decoding=1), 3))
    same(h2o.recent_of(dict(p, decoding=1), 4), 1)


def streamingllm_least() -> None:
    assert refused(lambda: holding(dict(streamingllm.DEFAULTS, budget=4), 100, 5, False))


def random_numbers() -> None:
    """R1. The first outputs of SplitMix64 as its author prints them, seeds 0 and 1234567."""
    same(random.mix(0), 0xE220A8397B1DCDAF)
    same(random.mix(1234567), 0x599ED017FB08FC85)
    same(random.mix(1234567 + 0x9E3779B97F4A7C15), 0x2C73F08458540FA5)
    # seed 0, layer 0, head 0, position 0: three times the finaliser of a finaliser.
    same(random.number(0, 0, 0, 0), random.mix(random.mix(random.mix(random.mix(0)))) >> 40)


CASES = (
    shares,
    pooling,
    rankings,
    windowkv_schedules,
    windowkv_charged,
    taskkv_counts,
    dynamickv_shares,
    pyramidkv_schedules,
    adakv_counts,
    h2o_recent,
    streamingllm_least,
    random_numbers,
)
