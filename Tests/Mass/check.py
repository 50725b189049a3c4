"""What a plan reports of its attention, and what the parameter `mass` keeps, with attention in double (reference/mass.py).

Methods that read queries x kinds of numbers that they take x 6 seeds, half of them with `mass`: a prompt, then rounds of new
tokens (Extending/rounds.py says what is excused); heads that share a choice, blocks, protected tokens, both alignments. Of methods that read none, the counts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import kvsieve
import trials
from Attention.check import NOT_TAKEN
from engine.attention import KINDS, Given
from engine.rows import DTYPES, LAYOUTS, Rows
from Extending.check import model_of
from Extending.rounds import Manner, Rounds
from Mass.by_hand import CASES
from reference import drawing, mass
from reference.by_name import looks_at, reference
from reference.caches import Kept, Round

SEEDS = 6
NEAR = 2e-5
"""By how much a share in float32 may differ: column sums of up to 1,000 rows."""


class Reported(Rounds):
    """Every round's report is compared with the caches as they were before the choice."""

    def hear(self) -> Reported:
        choose: Callable[[Round], Kept] = self.sequence.chooser

        def heard(r: Round) -> Kept:
            self.before = r
            return choose(r)

        self.sequence.chooser = heard
        return self

    def round(self, new: list[Rows]) -> str | None:
        wrong = super().round(new)
        return wrong or (None if self.over else self.differs())

    def differs(self) -> str | None:
        engine, rows = self.engine, looks_at(self.method, self.p)
        everything = []
        for layer, heads in enumerate(self.before.layers):
            report, books = self.plan.report(layer), engine.books[layer]
            kept = sum(map(len, books))
            intact = min(next((i for i, at in enumerate(book) if i != at), len(book)) for book in books)
            counts = (report.kept, report.dropped, report.intact)
            if counts != (kept, engine.tokens * len(books) - kept, intact):
                return f"layer {layer}: {counts}, not {kept} kept and {intact} intact of {engine.tokens} tokens"
            if not self.p.get("report") or not rows or "queries" not in self.plan.needs(layer):
                if report.mass is not None or not np.isnan([report.mass_mean, report.mass_least]).all():
                    return f"layer {layer}: {report.mass} where nothing is looked at, or nothing is asked for"
                continue
            expected = [
                mass.shares(head, self.before.scale, rows)[np.isin(head.positions, book)].sum()
                for head, book in zip(heads, books)
            ]
            if report.mass is None or np.abs(report.mass - expected).max() > NEAR:
                return f"layer {layer}: mass {report.mass}, not {expected}"
            if not np.isclose([report.mass_mean, report.mass_least], [np.mean(report.mass), report.mass.min()]).all():
                return f"layer {layer}: {report}"
            self.count["shares"] += len(books)
            self.count["shares below 1"] += int(np.sum(report.mass < 1))
            everything.append(report.mass)
        total = self.plan.report()
        if everything and (total.mass is None or total.mass_least != np.min(everything)):
            return f"all layers: {total}"
        return None


def task(case: trials.Case) -> trials.Outcome:
    method, kind, seed = case
    rng = np.random.default_rng([seed, sum(method.encode()), len(kind)])
    has = {parameter.name for parameter in kvsieve.Plan(method, kvsieve.Model(1, 1, 1, 8)).method.parameters}
    size = int(rng.integers(40, 70)) * (9 if seed == SEEDS - 1 else 1)
    model, p = model_of(rng), reference(method).draw(rng, size)
    if "report" in has:
        p["report"] = int(seed != 4)
    if "mass" in has and seed % 2:
        p |= mass.draw(rng)
    if "share" in has and seed % 3 == 0:
        p |= {"share": int(rng.integers(0, 2 if "mass" in p else 3)), "block": int(rng.choice([1, 2, 3, 8]))}
    if "size" in p:
        p["size"] = max(1, p["size"] // p["block"]) * p["block"]
    given = None if kind in DTYPES else Given(kind, np.float32)
    dtype = DTYPES.get(kind, np.float32)
    manner = Manner(
        dtype, LAYOUTS[seed % 3], bool(seed % 2) and not given, True, seed % 3 > 0, 1 + seed % 3, given, seed // 2 % 2
    )
    lengths = [size + int(rng.integers(0, size)), int(rng.integers(1, 9)), int(rng.integers(9, 60))]
    protect = [drawing.ranges(rng, sum(lengths[:i]), n) if seed in (1, 2, 3) else [] for i, n in enumerate(lengths)]
    if p["budget"]:
        p["budget"] += sum(count + p.get("block", 1) for ranges in protect for _, count in ranges)
    rounds = Reported(method, model, p, lengths, manner, rng, protect).hear()
    wrong = rounds.run()
    rounds.count["sequences with a share to hold"] += "mass" in p
    return rounds.count, wrong


def main() -> int:
    cases = [
        (method.name, kind, seed)
        for method in kvsieve.methods()
        for kind in (*DTYPES, *KINDS)
        if kind not in NOT_TAKEN.get(method.name, ())
        for seed in range(SEEDS)
    ]
    return trials.run(task, cases, before=trials.by_hand(CASES))


if __name__ == "__main__":
    sys.exit(main())
