"""What is kept of prompts: the library against the references of all its methods.

Methods x dtypes x 12 seeds: shapes, lengths, layouts and parameters are drawn; every third prompt has 1 ... 9 tokens. Numbers
worked by hand come first (by_hand.py), and tiny prompts under tiny budgets last (tiny.py). Rounds.py says what is excused.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import Decoding.by_hand
import Extending.by_hand
import kvsieve
import trials
from engine.rows import DTYPES, LAYOUTS
from Extending.rounds import Manner, Rounds
from Prompts.by_hand import CASES
from Prompts.tiny import tiny
from reference.by_name import reference

SEEDS = 12
HEADS = ((1, 1), (4, 2), (4, 4), (16, 1), (6, 3), (8, 2))
"""Hq : H."""
TINY = "tiny"
"""In a case's place for the dtype."""


def task(case: trials.Case) -> trials.Outcome:
    method, dtype, seed = case
    if dtype == TINY:
        return tiny(method, seed)
    rng = np.random.default_rng([seed, sum(method.encode()), list(DTYPES).index(dtype)])
    query_heads, heads = HEADS[int(rng.integers(0, len(HEADS)))]
    layers, dim = int(rng.choice([1, 2, 4, 5])), int(rng.choice([8, 33, 64]))
    tokens = int(rng.integers(1, 10)) if seed % 3 == 2 else int(rng.choice([90, 131, 260]))
    model = kvsieve.Model(layers, query_heads, heads, dim, float(rng.choice([0, 0.25])))
    manner = Manner(
        DTYPES[dtype],
        LAYOUTS[(seed + list(DTYPES).index(dtype)) % 3],
        bool(rng.integers(0, 2)),
        bool(rng.integers(0, 2)),
        True,
        1 + seed % 2,
    )
    rounds = Rounds(method, model, reference(method).draw(rng, tokens), [tokens], manner, rng)
    return rounds.count, rounds.run()


def every_method_is_worked_by_hand() -> None:
    """A method needs a case that begins with its name: of a prompt or a longer sequence, and of decoding if it decodes."""
    prompts, decoding = (
        {name.partition("_")[0] for name in (case.__name__ for case in cases)}
        for cases in ((*CASES, *Extending.by_hand.CASES), Decoding.by_hand.CASES)
    )
    lacking = [method.name for method in kvsieve.methods() if method.name not in prompts]
    lacking += [
        f"{method.name} (decoding)" for method in kvsieve.methods() if method.decodes and method.name not in decoding
    ]
    assert not lacking, f"no case worked by hand: {', '.join(lacking)}"


def main() -> int:
    methods = [method.name for method in kvsieve.methods()]
    cases = [
        case
        for method in methods
        for case in [
            *((method, dtype, seed) for dtype in DTYPES for seed in range(SEEDS)),
            *((method, TINY, tokens) for tokens in range(1, 10)),
        ]
    ]
    return trials.run(task, cases, before=trials.by_hand((every_method_is_worked_by_hand, *CASES)))


if __name__ == "__main__":
    sys.exit(main())
