"""Cases of the replays worked by hand. t: position of the new token; i: tokens seen; "4 leaves": position 4 is evicted."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from reference.by_name import decoding_reference, reference
from reference.decoding import Replay, Sizes
from reference.ranking import F64
from reference.shares import Parameters

LN2 = math.log(2.0)


def row(*xs: float) -> F64:
    """Scalars as (1, n, 1): one head, D = 1."""
    return np.array(xs, dtype=np.float64).reshape(1, -1, 1)


def g(i: int, c: int) -> float:
    return math.sqrt(2 * math.log(i / c))


def near(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-12)


def replay(method: str, query_heads: int = 1, heads: int = 1, **p: float) -> Replay:
    """D = 1, s = 1; AhaKV with its plainest parameters."""
    plain: Parameters = {name: 1 for name in ("window", "pool_kernel") if name in reference(method).DEFAULTS}
    given: Parameters = {**reference(method).DEFAULTS, **plain, "decoding": 1, **p}
    return decoding_reference(method, Sizes(query_heads, heads, 1, 1), given, 1.0)


def prompt(a: Replay, q: F64, k: F64, v: F64) -> list[list[int]]:
    """Queries of the last tokens; those before have 0."""
    return a.prefill(np.pad(q, ((0, 0), (k.shape[1] - q.shape[1], 0), (0, 0))), k, v)


def ahakv_by_hand_plain() -> None:
    """T=5, C=4, r=1, kappa=1, D=1, s=1. Queries ln2/g_i make every weight 2^k."""
    a = replay("ahakv", budget=4)
    # i=5 > C: factor g5, q = ln2/g5 -> weights 2^k = 4 1 2 8 2 over 17. nu = V^2 = 1 9 1 1 1.
    # gamma*S*17 of the candidates 0..3: 4 9 2 8. Kept 3 of them: 2 goes (S alone: 1 would go).
    kept = prompt(a, row(LN2 / g(5, 4)), row(2, 0, 1, 3, 1), row(1, 3, 1, 1, 1))
    assert kept == [[0, 1, 3, 4]], kept
    near(a.prompt_gap, 0.5)  # worst kept 4, best dropped 2
    # t=5, i=6: k5=0; living 0 1 3 4 5: weights 4 1 8 2 1 over 16; r=1: this row alone counts.
    # candidates 0 1 3 4: 4 9 8 2 -> 4 leaves, gap (4-2)/4.
    assert a.step(row(LN2 / g(6, 4)), row(0), row(1)) == [[4]]
    # t=6, i=7: q = -ln2/g7: weights 2^-k: 0: 1/4, 1: 1, 3: 1/8, 5: 1, 6: 1.
    # candidates 0 1 3 5 with nu: 1/4 9 1/8 1 -> 3 leaves, gap (1/4-1/8)/(1/4).
    assert a.step(row(-LN2 / g(7, 4)), row(0), row(1)) == [[3]]
    near(a.gaps, [[0.5], [0.5]])
    assert a.living(0) == [0, 1, 5, 6]
    # t=7: q = 0, all flat, nu 1 9 1 1: candidates 0 1 5 6 tie at 0, 5, 6 -> highest, 6; gap exactly 0.
    assert a.step(row(0), row(9), row(1)) == [[6]] and a.gaps[-1] == [0.0]


def ahakv_by_hand_pool() -> None:
    """r=2, kappa=3, G=2: group mean, a flat row at i=C, norms pooled over the evicted too."""
    a = replay("ahakv", 2, budget=4, window=2, pool_kernel=3)
    # Row 3 (i=4=C): gain 0, flat, 1/4 = 65/260 on 0..3 whatever its query (7 here).
    # Row 4 (i=5): heads with q = +-ln2/g5, k = 0 1 2 0 1: (1 2 4 1 2)/10 and (4 2 1 4 2)/13; mean*260:
    #   53 46 62 53 46. S*260 of candidates 0..2: 118 111 127. nu = 3 3 3 0 6.
    #   gamma = (0+3+3)/3 (3+3+3)/3 (3+3+0)/3 = 2 3 2 -> 236 333 254: 0 goes.
    v = np.sqrt(row(3, 3, 3, 0, 6))
    q = np.array([7, LN2 / g(5, 4), 7, -LN2 / g(5, 4)]).reshape(2, 2, 1)
    kept = prompt(a, q, row(0, 1, 2, 0, 1), v)
    assert kept == [[1, 2, 3, 4]], kept
    near(a.prompt_gap, (254 - 236) / 254)
    # t=5 (i=6): q=0, flat 1/5 = 52/260 over 1..5. Last r positions: 4, 5. Candidates 1 2 3, rows 4 and 5:
    #   S*260 = 46+52, 62+52, 53+52 = 98 114 105; nu5 = 0: gamma1 = (3+3+3)/3 = 3 (0 left, but counts),
    #   gamma2 = (3+3+0)/3 = 2, gamma3 = (3+0+6)/3 = 3 -> 294 228 315: 2 leaves. (gamma1 over survivors: 2 -> 196: 1.)
    assert a.step(np.zeros((2, 1, 1)), row(0), row(0)) == [[2]]
    near(a.gaps, [[(294 - 228) / 294]])
    # t=6 (i=7): q=0, k6, V6=0: flat 1/5 over 1 3 4 5 6. Rows 5, 6: S = 2/5 all. Candidates 1 3 4 (5, 6 recent):
    #   gamma1 = 3, gamma3 = (3+0+6)/3 = 3, gamma4 = (0+6+0)/3 = 2 -> 4 leaves, gap 1/3.
    assert a.step(np.zeros((2, 1, 1)), row(0), row(0)) == [[4]]
    near(a.gaps[-1], [1 / 3])


def ahakv_by_hand_pooled_scores() -> None:
    """A12: S is pooled over the slots whose positions are near; C=4, r=1, values 1, T=4 (whole)."""
    # t=4, i=5, weights 4 1 1 2 4 over 12. Mean of 3, times 36: 5 6 4 7 of 0 1 2 3 (the newest, 4, counts for 3): 2 leaves.
    #   Maximum, times 12: 4 4 2 4: 2 leaves.
    # t=5, i=6, q = -ln2/g6, living 0 1 3 4 5: weights 1/4 1 1/2 1/4 1. Mean, times 3: 0: 1/4+1, 1: 1/4+1 (2 has left, and is
    #   0), 3: 1/2+1/4, 4: 1/2+1/4+1: 3 leaves. Maximum: 1 1 1/2 1: 3 leaves. Over the ranks 3 would have 1+1/2+1/4, and of 0
    #   and 4, that are 5/4 and 7/4, 0 would leave; unpooled 4 would.
    for pool, gaps in ((0, (0.2, 0.4)), (1, (0.5, 0.5))):
        a = replay("ahakv", budget=4, score_kernel=3, pool=pool)
        assert prompt(a, row(0), row(2, 0, 0, 1), row(1, 1, 1, 1)) == [[0, 1, 2, 3]]
        assert a.step(row(LN2 / g(5, 4)), row(2), row(1)) == [[2]]
        assert a.step(row(-LN2 / g(6, 4)), row(0), row(1)) == [[3]]
        near(a.gaps, [[gaps[0]], [gaps[1]]])
    # C=3, r=1, T=4, all flat. The prompt's candidates 0 1 2 have 2 3 2: 1, and of two alike 0. t=4: 0 and 1 have each other, 3
    #   has 4: all tie, 3 leaves. t=5: living 0 1 4 5, the same: 4 leaves.
    a = replay("ahakv", budget=3, score_kernel=3)
    assert prompt(a, row(0), row(0, 0, 0, 0), row(1, 1, 1, 1)) == [[0, 1, 3]]
    assert a.step(row(0, 0), row(0, 0), row(1, 1)) == [[3, 4]] and a.gaps == [[0.0], [0.0]]


def ahakv_by_hand_sinks_floor_short() -> None:
    # Sinks: the plain case with sinks=2 (0, 1 safe): candidates 2 3 with 2 8, C-r-sinks = 1 -> 2 goes;
    # t=5: candidates 3 4 with 8 2 -> 4; t=6: 3 5 with 1/8 1 -> 3; gaps 3/4, 7/8.
    a = replay("ahakv", budget=4, sinks=2)
    assert prompt(a, row(LN2 / g(5, 4)), row(2, 0, 1, 3, 1), row(1, 3, 1, 1, 1)) == [[0, 1, 3, 4]]
    assert a.step(row(LN2 / g(6, 4), -LN2 / g(7, 4)), row(0, 0), row(1, 1)) == [[4, 3]]
    near(a.gaps, [[0.75], [0.875]])
    # A sink at 0 with the lowest score of all stays: k0 = -5 -> 2^-5; 1 2 3 have 1 2 8 -> without V, 1 goes.
    a = replay("ahakv", budget=4, sinks=1)
    assert prompt(a, row(LN2 / g(5, 4)), row(-5, 0, 1, 3, 1), row(1, 1, 1, 1, 1)) == [[0, 2, 3, 4]]
    # No room but the sinks and the window (C = r + sinks): the one candidate, t - r, always goes; gap inf.
    a = replay("ahakv", budget=4, window=2, sinks=2)
    assert prompt(a, row(1, 1), row(0, 1, 2, 3, 4, 5), row(1, 1, 1, 1, 1, 1)) == [[0, 1, 4, 5]]
    assert a.step(row(1, 1), row(0, 0), row(1, 1)) == [[4, 5]] and a.gaps == [[math.inf]] * 2
    # gain_floor=1: T=3, C=4 (kept whole), r=2, kappa=1. i<=C so g=0; the floor makes it 1: q=ln2, weights 2^k.
    #   k = 1 0 0 | 0 (t=3, i=4, nothing leaves) | 0 (t=4, i=5: g5 = 0.668 < 1 -> 1).
    #   t=4, rows 3 and 4: row 3 over 0..3: 2 1 1 1 /5; row 4 over 0..4: 2 1 1 1 1 /6, V0^2 = 1/4:
    #   cand 0 1 2 (3, 4 recent): S = 11/15 11/30 11/30, gamma*S = 11/60 11/30 11/30 -> 0 leaves, gap 1/2.
    f = replay("ahakv", budget=4, window=2, gain_floor=1)
    assert prompt(f, row(LN2, LN2), row(1, 0, 0), row(0.5, 1, 1)) == [[0, 1, 2]] and f.prompt_gap == math.inf
    assert f.step(row(LN2), row(0), row(1)) == [[None]] and f.gaps == [[math.inf]]
    assert f.step(row(LN2), row(0), row(1)) == [[0]]
    near(f.gaps[-1], [0.5])
    # The same with V0^2 = 0.6. Floor 1: .6*11/15 = .44 vs 11/30 = .3667 twice -> the tie 1, 2: 2 leaves.
    # Floor 0: row 3 flat 1/4; row 4 at g5, weights w=2^g5=1.589 1 1 1 1: S0 = 1/4 + w/(w+4) = .5343 -> .3206;
    #   S1 = S2 = 1/4 + 1/(w+4) = .4289 -> 0 leaves.
    for floor, want in ((1.0, 2), (0.0, 0)):
        f = replay("ahakv", budget=4, window=2, gain_floor=floor)
        prompt(f, row(LN2, LN2), row(1, 0, 0), row(math.sqrt(0.6), 1, 1))
        assert f.step(row(LN2, LN2), row(0, 0), row(1, 1)) == [[None, want]]
    # T < r: one prompt row for T=1; r=3, C=3; flat everywhere; nu = 1 4 9 16. t=3 (i=4): candidate 0 alone.
    a = replay("ahakv", budget=3, window=3, pool_kernel=3)
    assert prompt(a, row(5), row(1), row(1)) == [[0]]
    assert a.step(row(5, 5, 5), row(1, 1, 1), row(2, 3, 4)) == [[None, None, 0]]


def h2o_by_hand() -> None:
    """T=5, C=4, ratio .5 -> recent 2, heavy 2; D=1, s=1; k = 1 0 2 0 0; q = 0 0 0 0 ln2."""
    h = replay("h2o", budget=4)
    h.check_every = 1
    # Rows 0..3 flat: 1/(i+1) each; row 4: 2 1 4 1 1 over 9.
    #   S0 = 1+1/2+1/3+1/4+2/9, S1 = 1/2+1/3+1/4+1/9 = 1.1944, S2 = 1/3+1/4+4/9 = 1.0278 -> 2 goes.
    s1, s2 = 1 / 2 + 1 / 3 + 1 / 4 + 1 / 9, 1 / 3 + 1 / 4 + 4 / 9
    assert prompt(h, row(0, 0, 0, 0, LN2), row(1, 0, 2, 0, 0), row(1, 1, 1, 1, 1)) == [[0, 1, 3, 4]]
    near(h.prompt_gap, (s1 - s2) / s1)
    # t=5: q=0: 1/5 over 0 1 3 4 5. Recent 4, 5. S3 = 1/4+1/9+1/5 = .5611, S1 = 1.3944 -> 3 leaves.
    assert h.step(row(0), row(0), row(1)) == [[3]]
    near(h.gaps, [[(s1 + 1 / 5 - (1 / 4 + 1 / 9 + 1 / 5)) / (s1 + 1 / 5)]])
    # t=6: q=ln2, k6=3: living 0 1 4 5 6: 2 1 1 1 8 over 13. Recent 5, 6. S4 = 1/9+1/5+1/13 -> 4 leaves.
    assert h.step(row(LN2), row(3), row(1)) == [[4]]
    near(
        h.sums[0][-1],
        [
            1 + 1 / 2 + 1 / 3 + 1 / 4 + 2 / 9 + 1 / 5 + 2 / 13,
            s1 + 1 / 5 + 1 / 13,
            1 / 9 + 1 / 5 + 1 / 13,
            1 / 5 + 1 / 13,
            8 / 13,
        ],
    )  # of 0 1 4 5 6
    # Ties: all flat, recent_ratio 1 -> recent 4, heavy 0: the one candidate t-4 goes each time.
    h = replay("h2o", budget=4, recent_ratio=1)
    assert prompt(h, np.zeros((1, 5, 1)), np.zeros((1, 5, 1)), np.zeros((1, 5, 1))) == [[1, 2, 3, 4]]
    assert h.step(row(0, 0), row(0, 0), row(0, 0)) == [[1, 2]]
    # Exact tie in decoding: C=3, recent_ratio 0.4 -> recent 1. T=1, then three tokens, the first two rows'
    #   queries send everything to k=0 ones: q very large on k: row 1: k 100 0 -> P = 1, 0 ; row 2: 1 0 0;
    #   row 3 flat 1/4: S = 3.25 .25 .25 .25 : candidates 0 1 2 tie at 1, 2 -> 2 leaves, gap 0.
    h = replay("h2o", budget=3, recent_ratio=0.4)
    prompt(h, row(0), row(100), row(1))
    assert h.step(row(100, 100, 0), row(0, 0, 0), row(1, 1, 1)) == [[None, None, 2]] and h.gaps[-1] == [0.0]


def streamingllm_by_hand() -> None:
    """C=4, one sink: the oldest after it is evicted, whatever the tensors. By half of 8 tokens C does not change later."""
    for p in (dict(budget=4), dict(ratio=0.5)):
        s = replay("streamingllm", sinks=1, **p)
        assert prompt(s, row(9), row(*range(8)), row(*range(8))) == [[0, 5, 6, 7]]
        assert s.step(row(9, 9, 9), row(5, 0, 0), row(0, 0, 0)) == [[5, 6, 7]]
        assert s.recent == 3 and s.living(0) == [0, 8, 9, 10] and s.gaps == [[math.inf]] * 3
    # Shorter than C: nothing leaves until it is full.
    s = replay("streamingllm", sinks=1, budget=3)
    assert prompt(s, row(0), row(0), row(0)) == [[0]]
    assert s.step(row(0, 0, 0, 0), row(0, 0, 0, 0), row(0, 0, 0, 0)) == [[None, None, 1, 2]]


def tova_by_hand() -> None:
    """C=3, two heads: one row decides for both."""
    t = replay("tova", 2, 2, budget=3)
    # T=4: query ln2 in both: weights 2^k: 4 1 2 1 / 8 and 1 1 1 1 / 4: sixteenths 8+4, 2+4, 4+4: 1 goes, gap 2/8.
    q, v = np.full((2, 1, 1), LN2), np.ones((2, 1, 1))
    k = np.array([[2, 0, 1, 0], [3, 3, 3, 3]], dtype=np.float64)[..., None]
    assert t.prefill(np.full((2, 4, 1), LN2), k, np.ones((2, 4, 1))) == [[0, 2, 3]] * 2
    near(t.prompt_gap, 0.25)
    # t=4: keys 0 and 4: living 0 2 3 4: 4 2 1 1 / 8 and 8 8 8 16 / 40: .5+.2 .25+.2 .125+.2: 3 leaves, gap .125/.45.
    assert t.step(q, np.array([[[0]], [[4]]]), v) == [[3], [3]]
    near(t.gaps[-1], [0.125 / 0.45] * 2)
    # t=5: query 0: all flat: 0 2 4 tie: the highest leaves.
    assert t.step(0 * q, np.array([[[9]], [[9]]]), v) == [[4], [4]] and t.gaps[-1] == [0.0, 0.0]
    # C=1: the newest alone.
    t = replay("tova", budget=1)
    assert prompt(t, row(0), row(1, 2), row(1, 1)) == [[1]] and t.step(row(0, 0), row(1, 2), row(1, 1)) == [[1, 2]]


def prompt_ties_by_hand() -> None:
    # AhaKV r=1, q=0, all norms 1: candidates 0..3 tie (1/5 each) -> the highest goes: 3.
    a = replay("ahakv", budget=4)
    assert prompt(a, row(0), row(5, 6, 7, 8, 9), row(1, -1, 1, -1, 1)) == [[0, 1, 2, 4]] and a.prompt_gap == math.inf
    # H2O C=3, recent 1: rows 1, 2 all to key 0 (e^-10000 = 0), row 3 flat: S = 3.25 .25 .25 -> of 1, 2: 2 goes.
    h = replay("h2o", budget=3, recent_ratio=0.4)
    assert prompt(h, row(0, 100, 100, 0), row(100, 0, 0, 0), row(1, 1, 1, 1)) == [[0, 1, 3]]
    near(h.prompt_gap, 3 / 3.25)  # of a tie the distance to what is next
    # A forced prompt choice: [0, 2, 3] goes on; one without the last position is refused.
    h.prefill(row(0, 100, 100, 0), row(100, 0, 0, 0), row(1, 1, 1, 1), kept=[[0, 2, 3]])
    assert h.living(0) == [0, 2, 3]
    try:
        h.prefill(row(0, 100, 100, 0), row(100, 0, 0, 0), row(1, 1, 1, 1), kept=[[0, 1, 2]])
    except ValueError:
        return
    raise AssertionError("a forced choice without the recent")


CASES = (
    ahakv_by_hand_plain,
    ahakv_by_hand_pool,
    ahakv_by_hand_pooled_scores,
    ahakv_by_hand_sinks_floor_short,
    h2o_by_hand,
    streamingllm_by_hand,
    tova_by_hand,
    prompt_ties_by_hand,
)
