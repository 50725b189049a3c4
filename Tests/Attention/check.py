"""What is kept when an engine hands over its attention in the place of queries and keys, or queries in chunks, with the
references, which read all of them at once.

Methods x kinds of numbers that they take x 8 seeds: a prompt and three rounds of new tokens (Extending/rounds.py); 8 seeds of 100
generated tokens behind a prompt (Decoding/check.py). What a method does not take is refused by name.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import kvsieve
import trials
from Decoding.check import Decoded
from engine.attention import KINDS, Given
from engine.rows import LAYOUTS
from Extending.check import fits_of, lengths_of, model_of
from Extending.rounds import Manner, Rounds
from reference.by_name import reference

SEEDS, DECODED, TOKENS = 8, 8, 100
"""Seeds from SEEDS on decode."""
NOT_TAKEN = {
    "ahakv": {"sums", "sums of groups"},
    "windowkv": {"sums of groups"},
    "keydiff": {"logits", "probabilities", "sums", "sums of groups"},
    "h2o": {"chunks"},
}


def task(case: trials.Case) -> trials.Outcome:
    method, kind, seed = case
    given = Given(kind, np.float32)
    if seed >= SEEDS:
        decoded = Decoded((method, "float32", seed), given, TOKENS)
        return decoded.count, decoded.run()
    rng = np.random.default_rng([seed, sum(method.encode()), KINDS.index(kind)])
    size = int(rng.integers(40, 70)) * (9 if seed == SEEDS - 1 else 1)
    model, p = model_of(rng), reference(method).draw(rng, size)
    manner = Manner(np.float32, LAYOUTS[seed % 3], False, True, seed % 3 > 0, 1 + seed % 2, given, seed // 4 % 2)
    lengths = lengths_of(seed, size, int(p.get("window", 8)), fits_of(p), rng)[:4]
    rounds = Rounds(method, model, p, lengths, manner, rng)
    return rounds.count, rounds.run()


def what_is_not_taken_is_refused() -> None:
    model = kvsieve.Model(1, 4, 2, 8)
    for method, kinds in NOT_TAKEN.items():
        for kind in kinds - {"chunks"}:
            shape = {"sums": (4, 1, 50), "sums of groups": (2, 1, 50)}.get(kind, (4, 8, 50))
            with kvsieve.Plan(method, model, budget=20) as plan:
                name = "sums" if kind.startswith("sums") else kind
                try:
                    plan.observe(
                        0, attention=np.ones(shape, np.float32), values=np.ones((2, 50, 8), np.float32), kind=name
                    )
                except kvsieve.KVSieveError as error:
                    assert any(word in error.message for word in ("it takes", "by itself", "pass it to")), error.message
                else:
                    raise AssertionError(f"{method} took {kind}")


def main() -> int:
    cases = [
        (method.name, kind, seed)
        for method in kvsieve.methods()
        for kind in KINDS
        if kind not in NOT_TAKEN.get(method.name, ())
        for seed in range(SEEDS + (DECODED if method.decodes else 0))
    ]
    return trials.run(task, cases, by_dtype=True, before=trials.by_hand((what_is_not_taken_is_refused,)))


if __name__ == "__main__":
    sys.exit(main())
