"""Who leaves while decoding: the library against the float64 replay, token by token.

    check.py          both methods x 20 seeds x 3 dtypes, 1,000 generated tokens each; a test is one such sequence
    check.py --long   100,000 tokens, a test a method (endless.py)

A difference is excused where float32 cannot know better: the one that left scores less than 1e-5 (relative) above the
lowest, or below 1e-30. The replay goes on with the library's choice. Excused differences are counted and printed.
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
from endless import endless
from engine import MOST, Engine, Rows, Source
from replay import AhaReplay, H2OReplay, Replay

TOKENS, SEEDS = 1000, 20
TIE, NOTHING = 1e-5, 1e-30
METHODS = ("ahakv", "h2o")
DTYPES = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
MODEL, VALUE_DIM = kvsieve.Model(layers=1, query_heads=4, kv_heads=2, head_dim=16), 12
SIZES = (MODEL.query_heads, MODEL.kv_heads, MODEL.head_dim, VALUE_DIM)

Case = tuple[str, str, int]


def drawn(method: str, seed: int, rng: np.random.Generator) -> tuple[dict[str, Any], Replay, int]:
    """The method's parameters, a replay that has them, and the prompt's length."""
    budget = int(rng.integers(24, 97))
    prompt = (3, int(rng.integers(4, budget + 1)), int(rng.integers(budget + 1, 3 * budget)))[seed % 3]
    settings: dict[str, Any] = {"budget": budget, "decoding": 1, "threads": 1 + seed % 2}
    replay: Replay
    if method == "h2o":
        ratio = float(rng.choice([0.25, 0.5]))
        settings["recent_ratio"] = ratio
        replay = H2OReplay(*SIZES, budget, ratio, check_every=200)
    else:
        window = int(rng.integers(4, 17))
        kernel = int(rng.choice([k for k in (1, 3, 7) if window >= k // 2]))
        floor, sinks = float(rng.choice([0, 0.5, 1])), int(rng.integers(0, 4))
        settings.update(window=window, pool_kernel=kernel, gain_floor=floor, sinks=sinks)
        replay = AhaReplay(*SIZES, budget, window, kernel, floor, sinks)
    return settings, replay, prompt


class Sequence:
    """One sequence through a plan and a replay."""

    def __init__(self, case: Case) -> None:
        method, dtype, seed = case
        self.rng = np.random.default_rng([seed, METHODS.index(method), list(DTYPES).index(dtype)])
        self.settings, self.replay, prompt = drawn(method, seed, self.rng)
        self.wrong: list[str] = []
        self.count: Counter[str] = Counter()
        self.plan = kvsieve.Plan(method, MODEL, **self.settings)
        self.source = Source(self.rng, MODEL, VALUE_DIM, DTYPES[dtype], seed % 4 > 0)
        rows = self.source.rows(prompt)
        self.engine = Engine(self.plan, rows)
        queries, keys, values = rows.exact(0, prompt)
        mine = self.replay.prefill(queries[:, prompt - min(prompt, self.replay.r) :], keys, values, self.engine.kept)
        for head, (own, kept) in enumerate(zip(mine, self.engine.kept)):
            if own != kept:
                self.differs(self.replay.prefill_gap[head], 1, f"prompt of {prompt}, head {head}: {kept}, not {own}")

    def differs(self, regret: float, score: float, what: str) -> None:
        if regret < TIE or score < NOTHING:
            self.count["near-ties excused"] += 1
        else:
            self.wrong.append(f"{what} (regret {regret:.2e}, score {score:.2e})")

    def compare(self, new: Rows, left: list[list[Optional[int]]]) -> None:
        """Each new token's victims with the replay's."""
        for i in range(len(left[0])):
            theirs = [gone[i : i + 1] for gone in left]
            mine = self.replay.step(*new.exact(i, i + 1), left=theirs)
            for head, ((own,), (gone,)) in enumerate(zip(mine, theirs)):
                if gone is None:
                    continue
                positions, scores = self.replay.last_candidates[head] or (np.zeros(0), np.zeros(0))
                self.count["evictions"] += 1
                self.count["of the newest candidate"] += gone == positions.max()
                if own != gone:
                    score = float(scores[positions == gone][0])
                    what = f"token {self.replay.tokens - 1}, head {head}: {gone} left, not {own}"
                    self.differs(self.replay.regrets[-1][head], score, what)

    def chunk(self) -> int:
        """Some new tokens; returns how many of them stay."""
        m = int(self.rng.integers(1, MOST + 1))
        stay = int(self.rng.integers(0, m)) if self.rng.random() < 0.1 else m
        new = self.source.rows(m)
        evict = self.engine.step(new, 0, m, by_logits=self.rng.random() < 0.2)
        self.compare(new, self.engine.left(evict))
        if stay < m:
            self.count["tokens trimmed"] += m - stay
            self.replay.trim(m - stay)
        self.engine.settle(evict, stay)
        return stay

    def run(self) -> None:
        done = steps = 0
        while done < TOKENS and not self.wrong:
            done += self.chunk()
            steps += 1
            if steps % 50 == 0 or done >= TOKENS:
                self.books()
        self.count["tokens"] = done

    def books(self) -> None:
        if wrong := self.engine.wrong_slots():
            self.wrong.append(wrong)
        for head, book in enumerate(self.engine.books[:, : self.engine.living]):
            mine, truth = sorted(book.tolist()), self.replay.living(head)
            if mine != truth:
                self.wrong.append(f"head {head}: the replay has {truth}, the caller {mine}")


def run(case: Case) -> tuple[Case, Counter[str], str]:
    """What was counted, and what was wrong."""
    count: Counter[str] = Counter()
    try:
        sequence = Sequence(case)
        count = sequence.count
        sequence.run()
    except Exception:
        return case, count, traceback.format_exc()
    wrong = sequence.wrong
    return case, count, f"{sequence.settings}: {len(wrong)} wrong; first {wrong[0]}" if wrong else ""


def main() -> int:
    cases = [(method, dtype, seed) for method in METHODS for dtype in DTYPES for seed in range(SEEDS)]
    task, failed, groups = run, 0, {}
    if "--long" in sys.argv[1:]:
        task, cases = endless, [(method, "float32", 0) for method in METHODS]
    kvsieve.build_info()
    with multiprocessing.Pool(os.cpu_count()) as pool:
        for case, count, wrong in pool.imap(task, cases):
            method, dtype, seed = case
            if wrong:
                failed += 1
                print(f"FAILED {method} {dtype} seed {seed}: {wrong}", flush=True)
            group = groups.setdefault((method, dtype), Counter())
            group["sequences"] += 1
            group["near-ties excused"] += 0
            group.update(count)
            if (method, dtype, seed + 1) not in cases:
                what = ", ".join(f"{number} {name}" for name, number in group.items())
                print(f"{method:5} {dtype:8} {what}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
