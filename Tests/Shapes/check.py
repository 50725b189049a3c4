"""The set's shape: what is kept when heads or layers share a choice, blocks are whole and tokens are protected, with a plain model of the rules (reference/sharing.py, caches.Round).

Methods x dtypes x share x even x 6 seeds, blocks of 1, 2, 3 or 8 tokens, ranges of protected tokens two times in three: a prompt, then
rounds of new tokens. Methods without `share` take part with the protected tokens. Extending/rounds.py says what is excused.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import kvsieve
import trials
from engine.rows import DTYPES, LAYOUTS, Source
from Extending.rounds import Manner, Rounds
from reference import drawing
from reference.by_name import reference

SEEDS = 6
SHAPES = [(share, even) for share in (0, 1, 2) for even in (0, 1)]


def has_shape(method: kvsieve.MethodInfo) -> bool:
    return {"share", "even", "block"} <= {parameter.name for parameter in method.parameters}


def bounds_of(plan: kvsieve.Plan, tokens: int, protect: list[tuple[int, int]]) -> list[int]:
    """None if the budget is too small."""
    for first, count in protect:
        plan.protect(first, count)
    try:
        return [plan.bound(layer, tokens) for layer in range(plan.model.layers)]
    except kvsieve.KVSieveError as error:
        if error.name != "KVSIEVE_ERR_BUDGET":
            raise
        return []
    finally:
        plan.reset()


def task(case: trials.Case) -> trials.Outcome:
    method, name, number = case
    seed, (share, even) = number // len(SHAPES), SHAPES[number % len(SHAPES)]
    rng = np.random.default_rng([number, sum(method.encode()), list(DTYPES).index(name)])
    heads, group = int(rng.integers(1, 5)), int(rng.integers(1, 3))
    model = kvsieve.Model(int(rng.integers(1, 6)), heads * group, heads, 16, 0.0)
    tokens = int(rng.integers(40, 120))
    p = reference(method).draw(rng, tokens)
    if "share" in p:
        p = {**p, "share": share, "even": even, "block": int(rng.choice([1, 1, 2, 3, 8]))}
    else:
        share = even = 0
    if "size" in p:
        p["size"] = max(1, p["size"] // p["block"]) * p["block"]
    manner = Manner(DTYPES[name], LAYOUTS[seed % 3], bool(seed % 2), bool(seed % 2), seed % 3 > 0, 1 + seed % 2)
    lengths = [tokens, int(rng.integers(1, 9)), int(rng.integers(9, 60))]
    if seed % 3 == 0:
        del lengths[1:]
    protect = [drawing.ranges(rng, sum(lengths[:i]), length) if number % 3 else [] for i, length in enumerate(lengths)]
    if p["budget"] > 0 and rng.integers(0, 4):  # else they are often too many
        p["budget"] += sum(count + p.get("block", 1) for ranges in protect for _, count in ranges)
    rounds = Rounds(method, model, p, lengths, manner, rng, protect)
    bounds = bounds_of(rounds.plan, tokens, protect[0])
    wrong = rounds.run()
    if (wrong or rounds.over) and len(lengths) == 1 and rounds.over != (not bounds):
        wrong = f"{p}: bounds {bounds}, and the prompt was {'' if rounds.over else 'not '}refused"
    if wrong is None and not rounds.over:
        books = rounds.engine.books
        if share and any(book != layer[0] for layer in books for book in layer):
            wrong = f"{p}: heads of a layer keep different tokens"
        if share == 2 and any(layer != books[0] for layer in books):
            wrong = f"{p}: layers keep different tokens"
        if len(lengths) == 1 and any(len(book) > bound for bound, layer in zip(bounds, books) for book in layer):
            wrong = f"{p}: more rows than {bounds}"
        block = int(p.get("block", 1))
        for book in (book for layer in books for book in layer):
            whole = {position // block for position in book}
            rows = sum(min((b + 1) * block, rounds.engine.tokens) - b * block for b in whole)
            if rows != len(book):
                wrong = f"{p}: a block was cut"
            if block > 1 and (rounds.engine.tokens - 1) // block not in whole:
                wrong = f"{p}: the newest block was dropped"
        if even and len({len(book) for layer in books for book in layer}) > 1:
            wrong = f"{p}: layers keep different numbers of tokens"
    return rounds.count, wrong


def keeps_heads_apart(method: str, seed: int) -> bool:
    """Does it keep more rows in one head than in another of the layer?"""
    rng = np.random.default_rng(seed)
    model = kvsieve.Model(3, 8, 8, 16)
    source = Source(rng, model, 12, DTYPES["float32"], True)
    with kvsieve.Plan(method, model, **reference(method).draw(rng, 200)) as plan:
        for layer in range(model.layers):
            plan.observe(layer, *(np.ascontiguousarray(each) for each in source.rows(200)))
        plan.finish()
        return any(len(set(plan.kept(layer).counts)) > 1 for layer in range(model.layers))


def only_methods_that_keep_heads_apart_have_no_shape() -> None:
    for method in kvsieve.methods():
        assert has_shape(method) or any(keeps_heads_apart(method.name, seed) for seed in range(20)), method.name


def main() -> int:
    methods = [method.name for method in kvsieve.methods()]
    cases = [(method, dtype, n) for method in methods for dtype in DTYPES for n in range(SEEDS * len(SHAPES))]
    return trials.run(task, cases, before=trials.by_hand((only_methods_that_keep_heads_apart_have_no_shape,)))


if __name__ == "__main__":
    sys.exit(main())
