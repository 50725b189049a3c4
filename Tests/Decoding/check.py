"""Which token is evicted while decoding: the library against the replay of every method that decodes, token by token.

    check.py          20 seeds x 3 dtypes, 1,000 generated tokens each; a test is one such sequence
    check.py --long   100,000 tokens, a test a method (long_run.py)

If a difference is excused (comparison.py), the replay takes the library's choice. These differences are counted and printed.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from collections import Counter

import numpy as np

import kvsieve
import trials
from Decoding.comparison import differs
from Decoding.long_run import long_run
from engine.attention import Given
from engine.decoder import MOST, Decoder
from engine.engine import Engine
from engine.rows import DTYPES, LAYOUTS, Rows, Source
from reference import drawing
from reference.by_name import decoding_reference, reference
from reference.decoding import Sizes
from reference.shares import OverBudget

TOKENS, SEEDS = 1000, 20
MODEL, VALUE_DIM = kvsieve.Model(layers=1, query_heads=4, kv_heads=2, head_dim=16), 12
SIZES = Sizes(MODEL.query_heads, MODEL.kv_heads, MODEL.head_dim, VALUE_DIM)


class Decoded:
    """One sequence through a plan and a replay."""

    def __init__(self, case: trials.Case, given: Given | None = None, tokens: int = TOKENS) -> None:
        method, dtype, seed = case
        self.wanted = tokens
        rng = self.rng = np.random.default_rng([seed, sum(method.encode()), list(DTYPES).index(dtype)])
        self.count: Counter[str] = Counter({"near-ties excused": 0})
        size = int(rng.integers(40, 160))
        self.p = {**reference(method).draw(rng, size), "decoding": 1}
        prompt = (3, size, 2 * size)[seed % 3]  # from which nothing is dropped, or much
        if self.p["ratio"] == 0:
            budget = int(self.p["budget"])
            prompt = (3, int(rng.integers(1, budget + 1)), int(rng.integers(budget + 1, 3 * budget + 2)))[seed % 3]
        protect = drawing.ranges(rng, 0, prompt) if seed % 2 else []
        protected = frozenset(first + i for first, count in protect for i in range(count))
        if self.p["ratio"] == 0 and seed % 8 > 1:  # else they are often too many
            self.p["budget"] += len(protected)
        self.count["protected tokens"] += len(protected)
        self.replay = decoding_reference(method, SIZES, self.p)
        self.replay.protected = protected
        self.plan = kvsieve.Plan(method, MODEL, **self.p, threads=1 + seed % 2)
        self.source = Source(rng, MODEL, VALUE_DIM, DTYPES[dtype], seed % 4 > 0)
        self.engine = Engine(self.plan, LAYOUTS[seed % 3], False, seed % 2 == 0, given)
        self.engine.protect = protect
        self.rows = self.source.rows(prompt)

    def refused(self) -> str | None:
        """A budget that is too small, or has no room for new tokens."""
        self.count["refused for their budget"] += 1
        try:
            self.engine.go_on([self.rows])
        except kvsieve.KVSieveError as error:
            return None if error.name == "KVSIEVE_ERR_BUDGET" else str(error)
        return "the budget is too small and was not refused"

    def prompt(self) -> str | None:
        if wrong := self.engine.go_on([self.rows]):
            return wrong
        self.decoder = Decoder(self.engine)
        kept = self.decoder.kept
        mine = self.replay.prefill(*self.rows.exact(0, self.rows.keys.shape[1]), kept=kept)
        if mine != kept and self.replay.prompt_gap >= 1e-5:
            return f"prompt: {kept}, not {mine}"
        self.count["near-ties excused"] += mine != kept
        return None

    def compare(self, new: Rows, left: list[list[int | None]]) -> str | None:
        """Each new token's victims with the replay's."""
        for i in range(len(left[0])):
            theirs = [gone[i : i + 1] for gone in left]
            mine = self.replay.step(*new.exact(i, i + 1), left=theirs)
            for head, ((own,), (gone,)) in enumerate(zip(mine, theirs)):
                if gone is None:
                    continue
                positions, _ = self.replay.last_candidates[head] or (np.zeros(0), None)
                self.count["evictions"] += 1
                self.count["of the newest candidate"] += bool(gone == positions.max())
                if own != gone and (wrong := differs(self.replay, head, gone, self.count)):
                    return f"token {self.replay.tokens - 1}, head {head}: {gone} left, not {own} ({wrong})"
        return None

    def chunk(self) -> tuple[int, str | None]:
        """Some new tokens; how many of them are accepted."""
        m = int(self.rng.integers(1, min(MOST, self.replay.recent) + 1))
        stay = int(self.rng.integers(0, m)) if self.rng.random() < 0.1 else m
        new = self.source.rows(m)
        evict = self.decoder.step(new, 0, m, by_logits=self.rng.random() < 0.2)
        wrong = self.compare(new, self.decoder.left(evict))
        if stay < m:
            self.count["tokens trimmed"] += m - stay
            self.replay.trim(m - stay)
        self.decoder.settle(evict, stay)
        return stay, wrong

    def run(self) -> str | None:
        """What was wrong."""
        try:
            self.replay.prefill(*self.rows.exact(0, self.rows.keys.shape[1]))
        except OverBudget:
            return self.refused()
        wrong = self.prompt()
        done = steps = 0
        while done < self.wanted and not wrong:
            stay, wrong = self.chunk()
            done += stay
            steps += 1
            if steps % 50 == 0 or done >= self.wanted:
                wrong = wrong or self.books()
        self.count["tokens"] = done
        return wrong and f"{self.p}: {wrong}"

    def books(self) -> str | None:
        if wrong := self.decoder.wrong_slots():
            return wrong
        for head, book in enumerate(self.decoder.books[:, : self.decoder.living]):
            mine, truth = sorted(book.tolist()), self.replay.living(head)
            if mine != truth:
                return f"head {head}: the replay has {truth}, the engine {mine}"
        return None


def task(case: trials.Case) -> trials.Outcome:
    decoded = Decoded(case)
    return decoded.count, decoded.run()


def main() -> int:
    methods = [method.name for method in kvsieve.methods() if method.decodes]
    if "--long" in sys.argv[1:]:
        return trials.run(long_run, [(method, "float32", 0) for method in methods])
    return trials.run(
        task, [(m, dtype, seed) for m in methods for dtype in DTYPES for seed in range(SEEDS)], by_dtype=True
    )


if __name__ == "__main__":
    sys.exit(main())
