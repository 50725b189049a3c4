"""What is kept when sequences go on: the library against the references of all its methods, round by round (rounds.py).

Methods x dtypes x 40 seeds, of which each tenth is nine times as long: its caches take several tiles of 384 keys. The
cases of by_hand.py are first; prompts in pieces (consequence.py, 10 seeds) are last.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import kvsieve
import trials
from engine.rows import DTYPES, LAYOUTS
from Extending.by_hand import CASES
from Extending.consequence import consequence
from Extending.rounds import Manner, Rounds
from reference.by_name import reference
from reference.shares import Parameters

SEEDS, PIECES = 40, 10
"""Seeds from SEEDS on are prompts in pieces."""


def model_of(rng: np.random.Generator) -> kvsieve.Model:
    heads = 1 if rng.integers(0, 4) == 0 else int(rng.choice([2, 3, 4, 5]))
    layers, group = int(rng.choice([1, 2, 3, 5, 7])), int(rng.choice([1, 2]))
    return kvsieve.Model(layers, heads * group, heads, 16, float(rng.choice([0, 0.4])))


def fits_of(p: Parameters) -> int:
    """Tokens that are kept whole, or about so many."""
    return max(1, int(p["budget"] if p["ratio"] == 0 or p["budget"] < p.get("window", 1) else p.get("window", 1)))


def lengths_of(seed: int, size: int, window: int, fits: int, rng: np.random.Generator) -> list[int]:
    """The prompt, then new tokens: one, fewer than the window, more than it, many more."""
    new = [
        1,
        int(rng.integers(1, max(2, window))),
        window + int(rng.integers(1, 12)),
        size + int(rng.integers(0, size)),
    ]
    if seed % 4 == 0:  # a prompt within the window; new tokens until something is dropped
        return [int(rng.integers(1, window + 1)), *new[:3], new[2], new[3]]
    if seed % 4 == 1:  # a prompt that fits, and so do some tokens after it
        return [max(1, fits - new[1] - 1), *new]
    return [size + int(rng.integers(0, 2 * size)), *rng.permutation(new).tolist(), new[1]]


def task(case: trials.Case) -> trials.Outcome:
    method, dtype, seed = case
    rng = np.random.default_rng([seed, sum(method.encode()), list(DTYPES).index(dtype)])
    size = int(rng.integers(40, 70)) * (9 if seed % 10 == 9 and seed < SEEDS else 1)
    model, p = model_of(rng), reference(method).draw(rng, size)
    manner = Manner(
        DTYPES[dtype],
        LAYOUTS[int(rng.integers(0, 3))],
        bool(rng.integers(0, 2)),
        bool(rng.integers(0, 2)),
        seed % 3 > 0,
        1 + seed % 2,
        align=seed // 4 % 2,
    )
    if seed >= SEEDS:
        return consequence(method, model, p, fits_of(p), manner, rng)
    rounds = Rounds(method, model, p, lengths_of(seed, size, int(p.get("window", 8)), fits_of(p), rng), manner, rng)
    return rounds.count, rounds.run()


def main() -> int:
    seeds = range(SEEDS + PIECES)
    cases = [(method.name, dtype, seed) for method in kvsieve.methods() for dtype in DTYPES for seed in seeds]
    return trials.run(task, cases, before=trials.by_hand(CASES))


if __name__ == "__main__":
    sys.exit(main())
