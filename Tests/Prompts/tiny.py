"""Prompts of 1 ... 9 tokens under budgets of 1, 2, 3 and the smallest ratios: no head ends empty, budgets hold, and where the
library refuses, the number that it proposes is accepted, and a smaller one is not.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter

import numpy as np

import kvsieve
import trials
from engine.engine import Engine
from engine.rows import LAYOUTS, Rows, Source
from Extending.rounds import VALUE_DIM
from reference.by_name import reference, rows_at_most
from reference.sequence import Sequence
from reference.shares import OverBudget, Parameters

MODELS = (kvsieve.Model(1, 1, 1, 8), kvsieve.Model(3, 8, 4, 8), kvsieve.Model(4, 4, 2, 8))
SMALL: tuple[tuple[float, float], ...] = ((1, 0), (2, 0), (3, 0), (0, 0.01), (0, 0.125), (0, 0.3), (0, 0.5), (0, 1))
"""Budget, ratio."""
PROPOSED = re.compile(r"the smallest (\w+) is ([0-9.e+-]*[0-9])")


def lengths(method: str, model: kvsieve.Model, p: Parameters, rows: list[Rows]) -> list[list[int]]:
    """Rows that each head keeps."""
    with kvsieve.Plan(method, model, **p) as plan:
        engine = Engine(plan, LAYOUTS[0], False, True)
        if wrong := engine.go_on(rows):
            raise AssertionError(wrong)
        return [[len(book) for book in layer] for layer in engine.books]


def refusal(method: str, model: kvsieve.Model, p: Parameters, rows: list[Rows]) -> str:
    """The sentence of the budget's error, or nothing."""
    try:
        lengths(method, model, p, rows)
    except kvsieve.KVSieveError as error:
        if error.name != "KVSIEVE_ERR_BUDGET":
            raise
        return error.message
    return ""


def mended(method: str, model: kvsieve.Model, p: Parameters, rows: list[Rows]) -> str | None:
    """Does what the library proposes; what was wrong with that."""
    mended, named = dict(p), set()
    while message := refusal(method, model, mended, rows):
        found = PROPOSED.search(message)
        if not found:
            return f"{mended}: no number is proposed: {message}"
        name, number = found[1], float(found[2])
        if name in named:
            return f"{mended}: {name} was what was proposed, and is refused: {message}"
        named.add(name)
        whole = kvsieve.Plan(method, model).method.parameter(name).integral
        less = {**mended, name: number - 1 if whole else number * 0.999}
        if not refusal(method, model, less, rows):
            return f"{less}: a smaller {name} than the smallest is accepted: {message}"
        mended[name] = number
    return None


def tiny(method: str, tokens: int) -> trials.Outcome:
    """All budgets, models and some draws of the method's other parameters."""
    count: Counter[str] = Counter()
    rng = np.random.default_rng([tokens, sum(method.encode())])
    known = reference(method)
    ways: list[Parameters] = [dict(known.DEFAULTS), *(known.draw(rng, tokens) for _ in range(3))]
    if "decoding" in known.DEFAULTS:
        ways += [{**way, "decoding": 1} for way in ways]
    for number, (model, drawn, (budget, ratio)) in enumerate(itertools.product(MODELS, ways, SMALL)):
        p = {**drawn, "budget": budget or known.DEFAULTS["budget"], "ratio": ratio}
        rows = [Source(rng, model, VALUE_DIM, np.float32, number % 2 == 0).rows(tokens) for _ in range(model.layers)]
        sequence = Sequence(known.choose, model.layers, model.kv_heads, model.head_dim**-0.5, p)
        sequence.append([each.keys for each in rows], [each.values for each in rows])
        try:
            expected = [[len(own) for own in layer] for layer in sequence.choose([each.queries for each in rows])]
        except OverBudget:
            count["prompts refused for their budget"] += 1
            if not refusal(method, model, p, rows):
                return count, f"{model}, {p}: the budget is too small and was not refused"
            if wrong := mended(method, model, p, rows):
                return count, f"{model}: {wrong}"
            continue
        found = lengths(method, model, p, rows)
        count["prompts"] += 1
        most = rows_at_most(method, p, model.layers, model.kv_heads, tokens, False)
        if sum(map(sum, found)) > most or found != expected and sequence.gap > 1e-5 or min(map(min, found)) < 1:
            return count, f"{model}, {p}: {found} rows, not {expected}; at most {most}"
    return count, None
