"""Checks of the replays: cases worked by hand, and the laws of trim and m."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

import kvsieve
import trials
from Decoding.by_hand import CASES, near
from reference.by_name import decoding_reference, reference
from reference.decoding import Replay, Sizes
from reference.ranking import F64
from reference.shares import OverBudget

SIZES, SEEDS = Sizes(4, 2, 8, 6), 6


def data(seed: int, n: int) -> tuple[F64, F64, F64]:
    rng, (hq, h, d, dv) = np.random.default_rng(seed), SIZES
    return rng.normal(size=(hq, n, d)) * 2, rng.normal(size=(h, n, d)), rng.normal(size=(h, n, dv))


def state(a: Replay) -> tuple[Any, ...]:
    """All that a replay holds, bit for bit."""
    histories: list[list[Any]] = [*a.seen, *a.alive, *a.sums]
    return (
        a.tokens,
        repr((a.gaps, a.regrets)),
        *(x.there.tobytes() for x in (a.q, a.k, a.v)),
        *(tuple(y.tobytes() for y in x) for x in histories),
    )


def laws(make: Callable[[], Replay], t: int, seed: int) -> None:
    """m = 3 is three m = 1; trim and redo is never having done it; forcing its own choices changes nothing."""
    n = t + 60
    q, k, v = data(seed, n)

    def start() -> Replay:
        a = make()
        a.prefill(q[:, :t], k[:, :t], v[:, :t])
        return a

    def go(a: Replay, i: int, m: int, left: Any = None, other: bool = False) -> list[list[int | None]]:
        qq, kk, vv = data(seed + 999, n) if other else (q, k, v)
        return a.step(qq[:, i : i + m], kk[:, i : i + m], vv[:, i : i + m], left)

    one, three, cut, forced = start(), start(), start(), start()
    a = [go(one, i, 1) for i in range(t, n)]
    b = [go(three, i, 3) for i in range(t, n, 3)]
    ones = [[x[h][0] for x in a] for h in range(2)]
    assert ones == [[y for x in b for y in x[h]] for h in range(2)] and state(one) == state(three)
    assert all(len(one.living(h)) == min(n, one.budget) for h in range(2))
    rng, i = np.random.default_rng(seed), t
    while i < n:
        m = min(int(rng.integers(1, 6)), n - i)
        before, j = state(cut), int(rng.integers(0, 20))
        j = min(j, n - i)
        if j:
            go(cut, i, j, other=True)  # a rejected draft
            assert state(cut) != before
        cut.trim(j)
        assert state(cut) == before
        assert go(cut, i, m) == [x[i - t : i - t + m] for x in ones]
        back = int(rng.integers(0, i + m - t + 1)) if rng.random() < 0.1 else 0  # now and then far back
        cut.trim(back)
        i += m - back
    assert state(cut) == state(one)
    cut.trim(n - t)
    assert state(cut) == state(start())
    own = go(forced, t, n - t, ones)
    assert own == ones and state(forced) == state(one)
    if one.budget - one.recent - one.sinks > 0:
        forcing(start, go, t, ones)


def forcing(start: Callable[[], Replay], go: Callable[..., Any], t: int, ones: list[list[int | None]]) -> None:
    """A forced drop that is not the lowest has a regret, and the replay takes it over; broken ones are refused."""
    x = next(x for x, y in enumerate(ones[0]) if y is not None)  # the first step that evicts

    def at(steps: int) -> Replay:
        a = start()
        if steps:
            go(a, t, steps)
        return a

    f = at(x + 1)
    cands, score = f.last_candidates[0] or (np.zeros(0, np.int64), np.zeros(0))
    low, other = (int(cands[y]) for y in np.lexsort((-cands, score))[:2])
    f.trim(1)
    assert f.last_candidates == [None, None]
    assert go(f, t + x, 1, [[other], [ones[1][x]]]) == [[low], [ones[1][x]]]
    assert other not in f.living(0) and low in f.living(0)
    near(f.regrets[-1], [f.gaps[-1][0], 0.0])
    dead = [y for y in range(t + x) if y not in at(x).living(0)]
    for bad in (t + x, None, -1, t + x + 1 - f.recent, *dead[:1], *range(f.sinks)):
        try:
            go(at(x), t + x, 1, [[bad], [ones[1][x]]])
        except ValueError:
            continue
        raise AssertionError(bad)


def task(case: trials.Case) -> trials.Outcome:
    """The laws for parameters that are drawn; prompts of 1, of up to C and of more tokens."""
    method, _, seed = case
    rng = np.random.default_rng([seed, sum(method.encode())])
    while True:
        t = (1, int(rng.integers(3, 20)), int(rng.integers(20, 60)))[seed % 3]
        p = {**reference(method).draw(rng, 40), "decoding": 1}
        a = decoding_reference(method, SIZES, p)
        try:
            a.prefill(*data(seed, t))
        except OverBudget:
            continue
        if a.budget < t + 40:
            break
    laws(lambda: decoding_reference(method, SIZES, p), t, seed)
    return Counter({"of them of a prompt that was cut": int(a.budget < t)}), None


def main() -> int:
    methods = [method.name for method in kvsieve.methods() if method.decodes]
    return trials.run(
        task, [(method, "", seed) for method in methods for seed in range(SEEDS)], before=trials.by_hand(CASES)
    )


if __name__ == "__main__":
    sys.exit(main())
