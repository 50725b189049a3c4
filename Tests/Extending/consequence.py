"""What follows from E1 ... E6. While nothing was dropped, the cache is the sequence. If the last piece of a prompt has all W
queries (m >= W), the choice from a prompt in pieces is therefore that from the whole prompt. A method that reads the queries of
all tokens has those of the last piece alone.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

import kvsieve
import trials
from engine.engine import Engine, Kept
from engine.rows import Rows, Source
from Extending.rounds import VALUE_DIM, Manner
from reference.shares import Parameters


def in_pieces(
    method: str, model: kvsieve.Model, p: Parameters, rows: list[Rows], ends: list[int], manner: Manner
) -> tuple[Kept, bool, bool]:
    """What is kept in the end, whether all was kept before the last piece, and whether all queries are read."""
    with kvsieve.Plan(method, model, **p) as plan:
        engine = Engine(plan, manner.layout, manner.in_place, manner.sparing)
        whole = True
        for begin, end in zip([0, *ends], ends):
            whole = engine.whole
            if wrong := engine.go_on([each.part(begin, end) for each in rows]):
                raise AssertionError(wrong)
        return engine.books, whole, "all_queries" in plan.needs(0)


def consequence(
    method: str, model: kvsieve.Model, p: Parameters, fits: int, manner: Manner, rng: np.random.Generator
) -> trials.Outcome:
    """One sequence at once, in two pieces and in three."""
    count: Counter[str] = Counter()
    total = fits + max(1, int(p.get("window", 0))) + int(rng.integers(0, 2 * fits))
    rows = [Source(rng, model, VALUE_DIM, manner.dtype, True).rows(total) for _ in range(model.layers)]
    try:
        alone, _, otherwise = in_pieces(method, model, p, rows, [total], manner)
    except kvsieve.KVSieveError as error:
        count["prompts refused for their budget"] += 1
        return count, None if error.name == "KVSIEVE_ERR_BUDGET" else str(error)
    first = int(rng.integers(1, fits + 1))
    while first:
        wrong = pieces(method, model, p, rows, first, alone, otherwise, manner, rng, count)
        if wrong != "cut":
            return count, wrong
        first //= 2
    return count, "one token does not fit"


def pieces(
    method: str,
    model: kvsieve.Model,
    p: Parameters,
    rows: list[Rows],
    first: int,
    alone: Kept,
    otherwise: bool,
    manner: Manner,
    rng: np.random.Generator,
    count: Counter[str],
) -> str | None:
    """What was wrong; "cut" if something was dropped before the last piece: a layer may keep less than the others."""
    total = rows[0].keys.shape[1]
    for ends in ([first, total], [int(rng.integers(1, first + 1)), first, total]):
        if ends[0] == ends[1]:
            continue
        found, whole, _ = in_pieces(method, model, p, rows, ends, manner)
        if not whole:
            return "cut"
        count["prompts in pieces"] += 1
        if found != alone and not otherwise:
            return f"{p} in pieces {ends}: {found}, at once {alone}"
        count["of them chosen from otherwise"] += found != alone
    return None
