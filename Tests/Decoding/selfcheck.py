"""Checks of replay.py: cases worked by hand, a plain-loop second telling, and the laws of trim and m."""
from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import traceback
from typing import Any, Callable

import numpy as np

from by_hand import CASES, near
from replay import AhaReplay, H2OReplay, Replay
from retelling import naive_aha, naive_h2o

AHA = ((40, 16, 4, 7, 0.0, 0), (40, 16, 4, 7, 1.0, 2), (5, 16, 8, 5, 0.0, 0), (16, 16, 8, 3, 1.0, 1),
       (17, 16, 16, 7, 0.0, 0), (3, 12, 5, 1, 0.5, 7), (1, 10, 3, 7, 0.0, 0), (0, 8, 2, 3, 0.0, 1))
"""T, C, r, kernel, gain floor, sinks."""
H2O = ((40, 16, 0.5), (5, 16, 0.25), (16, 16, 0.01), (17, 9, 1.0), (0, 8, 0.5))
"""T, C, recent ratio."""


def data(seed: int, hq: int, h: int, n: int, d: int, dv: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(hq, n, d)) * 2, rng.normal(size=(h, n, d)), rng.normal(size=(h, n, dv))


def state(a: Replay) -> tuple[Any, ...]:
    """All that a replay holds, bit for bit."""
    return (a.tokens, repr((a.gaps, a.regrets)), *(x.tobytes() for x in (a.q, a.k, a.v)),
            *(tuple(y.tobytes() for y in x) for x in (*a.seen, *a.alive, *a.sums)))


def laws(make: Callable[[], Replay], t: int, seed: int) -> None:
    """m = 3 is three m = 1; trim and redo is never having done it; forcing its own choices changes nothing."""
    n = t + 60
    q, k, v = data(seed, 4, 2, n, 8, 6)

    def start() -> Replay:
        a = make()
        a.prefill(q[:, t - min(a.r, t):t], k[:, :t], v[:, :t])
        return a

    def go(a: Replay, i: int, m: int, left: Any = None, other: bool = False) -> list[list[int | None]]:
        qq, kk, vv = data(seed + 999, 4, 2, n, 8, 6) if other else (q, k, v)
        return a.step(qq[:, i:i + m], kk[:, i:i + m], vv[:, i:i + m], left)

    one, three, cut, forced = start(), start(), start(), start()
    a = [go(one, i, 1) for i in range(t, n)]
    b = [go(three, i, 3) for i in range(t, n, 3)]
    ones = [[x[h][0] for x in a] for h in range(2)]
    assert ones == [[y for x in b for y in x[h]] for h in range(2)] and state(one) == state(three)
    assert all(len(one.living(h)) == min(n, one.c) for h in range(2))
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
        assert go(cut, i, m) == [x[i - t:i - t + m] for x in ones]
        back = int(rng.integers(0, i + m - t + 1)) if rng.random() < 0.3 else 0  # now and then far back
        cut.trim(back)
        i += m - back
    assert state(cut) == state(one)
    cut.trim(n - t)
    assert state(cut) == state(start())
    own = go(forced, t, n - t, ones)
    assert own == ones and state(forced) == state(one)
    if one.c - one.recent - one.sinks > 0:
        forcing(start, go, t, ones)
    # The plain-loop second telling.
    s, h = one.s, 1
    qh = q[h * 2:h * 2 + 2]
    if isinstance(one, AhaReplay):
        kept, left = naive_aha(qh, k[h], v[h], t, one.c, one.r, one.kappa, one.floor, one.sinks, s)
    else:
        kept, left = naive_h2o(qh, k[h], t, one.c, one.recent, s)
    assert kept == start().living(h) and left == ones[h]


def forcing(start: Callable[[], Replay], go: Callable[..., Any], t: int, ones: list[list[int | None]]) -> None:
    """A forced drop that is not the lowest: regret is told, the replay goes on with it; broken ones are refused."""
    x = next(x for x, y in enumerate(ones[0]) if y is not None)  # the first step where one leaves

    def at(steps: int) -> Replay:
        a = start()
        if steps:
            go(a, t, steps)
        return a

    f = at(x + 1)
    cands, score = f.last_candidates[0]  # type: ignore[misc]
    low, other = (int(cands[y]) for y in np.argsort(score)[:2])
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


def checks() -> list[tuple[str, Callable[[], None]]]:
    found: list[tuple[str, Callable[[], None]]] = [(case.__name__, case) for case in CASES]
    for seed, (t, *aha) in enumerate(AHA):
        make = functools.partial(AhaReplay, 4, 2, 8, 6, *aha)
        found.append((f"laws of AhaKV, seed {seed}, T={t}", functools.partial(laws, make, t, seed)))
    for seed, (t, c, ratio) in enumerate(H2O):
        make = functools.partial(H2OReplay, 4, 2, 8, 6, c, ratio, check_every=7)  # type: ignore[assignment]
        found.append((f"laws of H2O, seed {seed}, T={t}", functools.partial(laws, make, t, seed)))
    return found


def run(index: int) -> str:
    """What was wrong, if anything."""
    name, check = checks()[index]
    try:
        check()
    except Exception:
        return f"FAILED {name}\n{traceback.format_exc()}"
    return ""


def main() -> int:
    with multiprocessing.Pool(os.cpu_count()) as pool:
        wrong = pool.map(run, range(len(checks())), chunksize=1)
    for report in filter(None, wrong):
        print(report)
    failed = sum(map(bool, wrong))
    print(f"{len(wrong) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
