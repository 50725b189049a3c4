"""What follows from E1 ... E6: while nothing was dropped the cache is the sequence, so a prompt that came in pieces is chosen
from as if it had come at once, where the last piece brings all W queries (m >= W). H2O sums the rows of the last piece alone.
"""
from __future__ import annotations

from collections import Counter
from typing import Any, Optional

import numpy as np

import kvsieve
from caller import Caller, Kept
from engine import Rows, Source


def in_pieces(method: str, model: kvsieve.Model, p: dict[str, Any], rows: list[Rows], ends: list[int]) -> tuple[Kept, bool]:
    """What is kept in the end, and whether all was kept until the last piece came."""
    with kvsieve.Plan(method, model, **p) as plan:
        caller = Caller(plan, int(p.get("window", 0)), len(ends) > 1, False, False)
        whole = True
        for begin, end in zip([0, *ends], ends):
            whole = caller.whole
            if wrong := caller.go_on([Rows(*(array[:, begin:end] for array in each)) for each in rows]):
                raise AssertionError(wrong)
        return caller.books, whole


def consequence(
    method: str, model: kvsieve.Model, p: dict[str, Any], fits: int, sources: list[Source], rng: np.random.Generator
) -> tuple[Counter[str], Optional[str]]:
    """One sequence at once, in two pieces and in three: what was counted and what was wrong."""
    count: Counter[str] = Counter()
    total = fits + max(1, int(p.get("window", 0))) + int(rng.integers(0, 2 * fits))
    rows = [source.rows(total) for source in sources]
    try:
        alone, _ = in_pieces(method, model, p, rows, [total])
    except kvsieve.KVSieveError as error:
        count["prompts refused for their budget"] += 1
        return count, None if error.name == "KVSIEVE_ERR_BUDGET" else str(error)
    first = int(rng.integers(1, fits + 1))
    while first:
        for ends in ([first, total], [int(rng.integers(1, first + 1)), first, total]):
            if ends[0] == ends[1]:
                continue
            found, whole = in_pieces(method, model, p, rows, ends)
            if not whole:
                break  # some layer may keep less than `fits`
            count["prompts in pieces"] += 1
            if found != alone and method != "h2o":
                return count, f"in pieces {ends}: {found}, at once {alone}"
            count["of them chosen from otherwise"] += found != alone
        else:
            return count, None
        first //= 2
    return count, "one token does not fit"
