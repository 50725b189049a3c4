"""What is kept when sequences go on: the library against the float64 replay, round by round.

A test is a sequence: a prompt, some rounds of new tokens, each compared in every layer and head. Methods x dtypes x 40 seeds,
of which each tenth is nine times as long: its caches take several tiles of 384 keys.
A difference is excused where float32 cannot know better: some choice of that round was closer than 1e-5 (relative). The replay
goes on with the library's choice. Such differences are counted and printed. First come the cases of by_hand.py, last (10 seeds)
what consequence.py says of prompts in pieces.
"""
from __future__ import annotations

import multiprocessing
import os
import sys
import traceback
from collections import Counter
from typing import Any, Optional

import ml_dtypes
import numpy as np

import kvsieve
from by_hand import CASES
from caller import Caller
from consequence import consequence
from engine import Rows, Source
from replay import OverBudget, Replay

SEEDS, PIECES, VALUE_DIM, TIE = 40, 10, 12, 1e-5
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}

Case = tuple[str, str, int]
"""Method, dtype, seed; seeds from SEEDS on are prompts in pieces."""


def drawing(case: Case) -> np.random.Generator:
    method, dtype, seed = case
    return np.random.default_rng([seed, sum(method.encode()), list(DTYPES).index(dtype)])


def drawn(method: str, large: int, rng: np.random.Generator) -> tuple[kvsieve.Model, dict[str, Any], int]:
    """A model, the method's parameters, and how many tokens fit without a choice. `large`: that many times the budget."""
    one = rng.integers(0, 4) == 0
    heads = 1 if one else int(rng.choice([2, 3, 4]))
    layers, group = int(rng.integers(1, 4)), int(rng.choice([1, 2]))
    scale, window, kernel = float(rng.choice([0, 0.4])), int(rng.integers(2, 13)), int(rng.choice([1, 3, 7]))
    p: dict[str, Any] = {"budget": large * int(rng.integers(20, 49)), "window": window}
    if method == "ahakv":
        window = p["window"] = max(window, kernel // 2, 1)
        p.update(pool_kernel=kernel, gain_floor=float(rng.choice([0, 0.5, 1])), sinks=int(rng.integers(0, 4)))
    elif method == "h2o":
        p = {"budget": p["budget"], "recent_ratio": float(rng.choice([0, 0.125, 0.25, 0.5, 1]))}
    elif method == "taskkv":
        heads = 1 if one else int(rng.choice([2, 4, 5]))
        p = {"window": window, "pool_kernel": kernel, "ratio": float(rng.choice([0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 1]))}
        p.update(beta=float(rng.choice([0.25, 0.4, 0.5, 0.6, 1])), top=int(rng.integers(0, 3)), sinks=int(rng.integers(0, 4)))
        p.update(recent=int(rng.integers(1, 9)), tokens=large * int(rng.integers(4, 40)))
        return kvsieve.Model(layers, heads * group, heads, 16, scale), p, max(p["sinks"] + p["recent"], window)
    elif method == "windowkv":
        layers, shared = int(rng.integers(1, 8)), int(rng.integers(1, 4))
        p.update(shared=shared, size=int(rng.integers(1, 9)), task=int(rng.integers(0, 2)), charge=int(rng.integers(0, 2)))
        p["pyramid"] = float(rng.choice([shared, shared + 1, 2 * shared, 14]))
    else:
        layers = int(rng.integers(1, 8))
        p.update(pool_kernel=kernel, pool=int(rng.integers(0, 2)), every=int(rng.integers(2, 5)))
        p["cap"] = float(rng.choice([1, 1.3, 2, 10]))
    if rng.integers(0, 8) == 0:  # the least that the method must keep, or next to it
        p["budget"] = (0 if method == "h2o" else window) + p.get("sinks", 0) + int(rng.integers(method == "h2o", 3))
    return kvsieve.Model(layers, heads * group, heads, 16, scale), p, p["budget"]


def lengths(seed: int, large: int, window: int, fits: int, rng: np.random.Generator) -> list[int]:
    """The prompt, then new tokens: one, fewer than the window, more than it, many more."""
    new = [1, int(rng.integers(1, max(2, window))), window + int(rng.integers(1, 12)), large * int(rng.integers(40, 90))]
    if seed % 4 == 0:  # a prompt within the window; new tokens until something has to leave
        return [int(rng.integers(1, window + 1)), *new[:3], new[2], new[3]]
    if seed % 4 == 1:  # a prompt that fits, and so do some tokens after it
        return [max(1, fits - new[1] - 1), *new]
    return [large * int(rng.integers(fits // large + 1, 150)), *rng.permutation(new).tolist(), new[1]]


class Sequence:
    """One sequence through a plan and a replay."""

    def __init__(self, case: Case) -> None:
        method, dtype, seed = case
        rng = drawing(case)
        self.count: Counter[str] = Counter()
        large = 9 if seed % 10 == 9 else 1
        model, self.p, fits = drawn(method, large, rng)
        window = int(self.p.get("window", 8))
        self.lengths = lengths(seed, large, window, fits, rng)
        self.plan = kvsieve.Plan(method, model, **self.p, threads=1 + seed % 2)
        self.over = False
        self.what = f"{model}, {self.p}, tokens {self.lengths}"
        self.caller = Caller(self.plan, window, *(bool(rng.integers(0, 2)) for _ in range(3)))
        scale = model.scale or model.head_dim**-0.5
        self.replay = Replay(method, model.layers, model.kv_heads, np.float64(np.float32(scale)), self.p)
        self.sources = [Source(rng, model, VALUE_DIM, DTYPES[dtype], seed % 3 > 0) for _ in range(model.layers)]

    def run(self) -> Optional[str]:
        """What was wrong."""
        for number, m in enumerate(self.lengths):
            if self.over:
                break
            if wrong := self.round([self.sharpened(layer, source.rows(m)) for layer, source in enumerate(self.sources)]):
                return f"{self.what}: round {number}: {wrong}"
        return None

    def sharpened(self, layer: int, rows: Rows) -> Rows:
        """Layers differ in how peaked their attention is; exact in any dtype."""
        return rows._replace(queries=rows.queries * rows.queries.dtype.type((0.5, 2, 1)[layer % 3]))

    def refused(self, new: list[Rows]) -> Optional[str]:
        """The last round of a sequence whose budget is too small."""
        self.over = True
        self.count["rounds refused for their budget"] += 1
        try:
            self.caller.go_on(new)
        except kvsieve.KVSieveError as error:
            return None if error.name == "KVSIEVE_ERR_BUDGET" else str(error)
        return "the budget is too small and was not refused"

    def round(self, new: list[Rows]) -> Optional[str]:
        whole, before = self.caller.whole, self.caller.books
        full = [[len(book) == self.caller.tokens for book in layer] for layer in before]
        self.replay.append([rows.keys for rows in new], [rows.values for rows in new])
        try:
            expected = self.replay.choose([self.caller.queries(rows) for rows in new])
        except OverBudget:
            return self.refused(new)
        if wrong := self.caller.go_on(new):
            return wrong
        there = self.replay.positions
        found = self.caller.rows_of(self.caller.books, there)
        self.replay.keep(found)
        self.count["rounds"] += 1
        self.count["rounds kept whole"] += all(len(book) == self.caller.tokens for layer in self.caller.books for book in layer)
        self.count["rounds with heads of different length"] += any(len(set(map(len, layer))) > 1 for layer in there)
        for (layer, heads), now in zip(enumerate(self.caller.books), full):
            for h, book in enumerate(heads):
                self.count["heads that kept all they had after a cut"] += (
                    not now[h] and not whole and len(book) == len(there[layer][h]))
        near = self.replay.gap < TIE
        self.count["rounds with a near-tie"] += near
        differs = [(layer, h) for layer, heads in enumerate(expected) for h, own in enumerate(heads) if own != found[layer][h]]
        self.count["choices"] += sum(map(len, expected))
        if not differs:
            return None
        if near:
            self.count["differences excused"] += len(differs)
            return None
        layer, h = differs[0]
        mine, theirs = set(expected[layer][h]), set(found[layer][h])
        return (f"(layer, head) {differs} differ, gap {self.replay.gap:.1e}; the first keeps {sorted(theirs - mine)} "
                f"and not {sorted(mine - theirs)} of {len(there[layer][h])} rows")


def run(case: Case) -> tuple[Case, Counter[str], Optional[str]]:
    """What was counted, and what was wrong."""
    count: Counter[str] = Counter()
    try:
        method, dtype, seed = case
        if seed >= SEEDS:
            rng = drawing(case)
            model, p, fits = drawn(method, 1, rng)
            sources = [Source(rng, model, VALUE_DIM, DTYPES[dtype], True) for _ in range(model.layers)]
            return case, *consequence(method, model, p, fits, sources, rng)
        sequence = Sequence(case)
        count = sequence.count
        return case, count, sequence.run()
    except Exception:
        return case, count, traceback.format_exc()


def worked_by_hand() -> int:
    """How many of the cases fail."""
    failed = 0
    for check in CASES:
        try:
            check()
        except Exception:
            failed += 1
            print(f"FAILED {check.__name__}: {traceback.format_exc()}", flush=True)
    return failed


def main() -> int:
    failed = worked_by_hand()
    cases = [(method.name, dtype, seed) for method in kvsieve.methods() for dtype in DTYPES for seed in range(SEEDS + PIECES)]
    groups: dict[str, Counter[str]] = {}
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for (method, dtype, seed), count, wrong in pool.imap(run, cases):
            if wrong:
                failed += 1
                print(f"FAILED {method} {dtype} seed {seed}: {wrong}", flush=True)
            group = groups.setdefault(method, Counter())
            group["sequences"] += seed < SEEDS
            group.update(count)
            if (dtype, seed) == ([*DTYPES][-1], SEEDS + PIECES - 1):
                what = ", ".join(f"{number} {name}" for name, number in group.items())
                print(f"{method:9} seeds 0 ... {seed}: {what}", flush=True)
    print(f"{len(CASES) + len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
