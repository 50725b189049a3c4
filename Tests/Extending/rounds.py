"""One sequence through a plan and its method's reference: a prompt, then rounds of new tokens, each compared in every layer
and head.

A difference is excused if float32 cannot tell scores apart: some choice of that round was closer than 1e-5 (relative). The
reference then takes the library's choice. Such differences are counted.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

import kvsieve
from engine.attention import Given
from engine.engine import Engine
from engine.rows import Rows, Source
from reference.by_name import chooser, rows_at_most
from reference.sequence import Sequence
from reference.shares import OverBudget, Parameters

TIE, VALUE_DIM = 1e-5, 12


class Manner(NamedTuple):
    """How a sequence is handed over."""

    dtype: Any
    layout: str
    in_place: bool
    sparing: bool
    topics: bool
    threads: int
    given: Given | None = None
    """Attention in the place of queries and keys."""
    align: int = 0


class Rounds:
    def __init__(
        self,
        method: str,
        model: kvsieve.Model,
        p: Parameters,
        lengths: list[int],
        manner: Manner,
        rng: np.random.Generator,
        protect: list[list[tuple[int, int]]] | None = None,
    ) -> None:
        """`protect`: of each round, first and count of the ranges that every head keeps."""
        self.count: Counter[str] = Counter()
        self.method, self.p, self.lengths, self.manner = method, p, lengths, manner
        self.what = f"{model}, {p}, tokens {lengths}, {manner.layout}, align {manner.align}"
        self.plan = kvsieve.Plan(method, model, **p, threads=manner.threads, align=manner.align)
        self.engine = Engine(self.plan, manner.layout, manner.in_place, manner.sparing, manner.given)
        scale = float(np.float32(model.scale or model.head_dim**-0.5))
        self.sequence = Sequence(chooser(method, p), model.layers, model.kv_heads, scale, p)
        self.sources = [Source(rng, model, VALUE_DIM, manner.dtype, manner.topics) for _ in range(model.layers)]
        self.over = False
        self.protect = protect or [[] for _ in lengths]
        self.protected = 0
        """The most rows that they take, with the blocks or windows at both ends of each range."""
        if protect:
            self.what += f", protected {protect}"

    def run(self) -> str | None:
        """What was wrong."""
        for number, m in enumerate(self.lengths):
            if self.over:
                break
            # Layers differ in how peaked their attention is.
            new = [source.rows(m, (0.5, 2, 1)[layer % 3]) for layer, source in enumerate(self.sources)]
            self.protect_some(self.protect[number])
            if wrong := self.round(new):
                return f"{self.what}: round {number}: {wrong}"
        return None

    def protect_some(self, ranges: list[tuple[int, int]]) -> None:
        unit = int(max(self.p.get("block", 1), self.p.get("size", 1)))
        self.engine.protect = ranges
        self.protected += sum(count + 2 * (unit - 1) for _, count in ranges)
        self.sequence.protected |= {first + i for first, count in ranges for i in range(count)}
        self.count["rounds with protected tokens"] += bool(self.sequence.protected)

    def refused(self, new: list[Rows]) -> str | None:
        """The last round of a sequence whose budget is too small."""
        self.over = True
        self.count["rounds refused for their budget"] += 1
        try:
            self.engine.go_on(new)
        except kvsieve.KVSieveError as error:
            return None if error.name == "KVSIEVE_ERR_BUDGET" else str(error)
        return f"the budget is too small and was not refused: {self.engine.books}"

    def round(self, new: list[Rows]) -> str | None:
        engine = self.engine
        whole, full = engine.whole, [[len(book) == engine.tokens for book in layer] for layer in engine.books]
        self.sequence.append([rows.keys for rows in new], [rows.values for rows in new])
        try:
            expected = self.sequence.choose([rows.queries for rows in new])
        except OverBudget:
            return self.refused(new)
        if wrong := engine.go_on(new):
            return wrong
        there = self.sequence.positions
        found = engine.rows_of(engine.books, there)
        self.sequence.keep(found)
        self.count["rounds"] += 1
        self.count["rounds kept whole"] += all(len(book) == engine.tokens for layer in engine.books for book in layer)
        is_ragged = any(len(set(map(len, layer))) > 1 for layer in there)
        self.count[f"rounds with heads of different length, align {self.manner.align}"] += is_ragged
        for (layer, heads), now in zip(enumerate(engine.books), full):
            for h, book in enumerate(heads):
                self.count["heads that kept all they had after a cut"] += (
                    not now[h] and not whole and len(book) == len(there[layer][h])
                )
        model = self.plan.model
        most = rows_at_most(
            self.method, self.p, model.layers, model.kv_heads, engine.tokens, self.sequence.choices > 1, self.protected
        )
        if (rows := sum(len(book) for layer in engine.books for book in layer)) > most:
            return f"{rows} rows, more than {most}"
        if any(not self.sequence.protected <= set(book) for layer in engine.books for book in layer):
            return "a protected token was dropped"
        near = self.sequence.gap < TIE
        self.count["rounds with a near-tie"] += near
        self.count["choices"] += sum(map(len, expected))
        differs = [
            (layer, h) for layer, heads in enumerate(expected) for h, own in enumerate(heads) if own != found[layer][h]
        ]
        if not differs:
            return None
        if near:
            self.count["differences excused"] += len(differs)
            return None
        layer, h = differs[0]
        mine, theirs = set(expected[layer][h]), set(found[layer][h])
        return (
            f"(layer, head) {differs} differ, gap {self.sequence.gap:.1e}; the first keeps {sorted(theirs - mine)} "
            f"and not {sorted(mine - theirs)} of {len(there[layer][h])} rows"
        )
