"""Prompts, and sequences that go on: appended, observed and gathered as kvsieve.h says of kvsieve_plan_extend.

Rows that hold no token are NaN, in tensors for the plan and in targets of gather.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import kvsieve
from engine.attention import CHUNKS, Given, attention
from engine.rows import Array, Rows, blank, laid_out

Kept = list[list[list[int]]]


class Engine:
    """`books` [layer][head]: the absolute position of each row of its caches. `came` [layer]: the rows of all tokens so far."""

    def __init__(
        self, plan: kvsieve.Plan, layout: str, in_place: bool, sparing: bool, given: Given | None = None
    ) -> None:
        self.plan, self.layout, self.in_place, self.given = plan, layout, in_place, given
        self.sparing = sparing
        """Pass only what the plan says it needs."""
        self.protect: list[tuple[int, int]] = []
        """First and count of each range of the next tokens that is protected."""
        self.tokens = 0
        layers, heads = plan.model.layers, plan.model.kv_heads
        self.books: Kept = [[[] for _ in range(heads)] for _ in range(layers)]
        self.caches: list[list[Array]] = [[] for _ in range(layers)]
        """[layer]: keys and values, (H, the longest head's rows, D)."""
        self.came: list[Rows] = []
        self.whole = True
        """Nothing was ever dropped."""
        self.at_end = plan["align"] == 1
        """Short heads end where the longest does."""

    def longest(self, layer: int) -> int:
        return max(map(len, self.books[layer]))

    def own(self, layer: int, head: int) -> slice:
        """The rows of a head in its layer's tensors."""
        count = len(self.books[layer][head])
        first = self.longest(layer) - count if self.at_end else 0
        return slice(first, first + count)

    def go_on(self, new: list[Rows]) -> str | None:
        """A prompt, or new tokens; afterwards the caches are compressed. Says what was wrong."""
        m = new[0].keys.shape[1]
        if self.tokens:
            self.plan.extend(m)
        for first, count in self.protect:
            self.plan.protect(first, count)
        self.protect = []
        for layer, rows in enumerate(new):
            self.append(layer, rows)
            keys, values = self.caches[layer]
            if self.given:
                self.observe_attention(layer, rows, self.given)
                continue
            given: dict[str, Any] = {"queries": laid_out(rows.queries, self.layout), "keys": keys, "values": values}
            if self.sparing:
                needs = self.plan.needs(layer)
                if "length" in needs:  # the shape alone
                    given["length"] = blank(keys.shape, keys.dtype, self.layout)
                given = {"keys" if name == "length" else name: given[name] for name in given if name in needs}
            self.plan.observe(layer, **given)
        self.tokens += m
        self.came = [
            Rows(*(np.concatenate(pair, axis=1) for pair in zip(*both))) for both in zip(self.came, new)
        ] or new
        self.plan.finish()
        return next(filter(None, map(self.compress, range(len(new)))), None)

    def observe_attention(self, layer: int, new: Rows, given: Given) -> None:
        """What the engine's own softmax has, in the place of queries and keys."""
        keys, values = self.caches[layer]
        needs = self.plan.needs(layer)
        if given.kind == CHUNKS:
            m = new.queries.shape[1]
            cuts = sorted({0, m, *np.random.default_rng([m, layer]).integers(0, m, 3).tolist()})
            for begin, end in pairwise(cuts):
                self.plan.queries(layer, laid_out(new.queries[:, begin:end], self.layout))
            self.plan.observe(layer, None, keys, values)
            return
        own = [self.own(layer, head) for head in range(len(keys))]
        has_window = any(parameter.name == "window" for parameter in self.plan.method.parameters)
        window = int(self.plan["window"]) if has_window else 1
        rows = new.queries.shape[1] if "all_queries" in needs else min(window, new.queries.shape[1])
        numbers = attention(given.kind, new.queries, keys, own, rows, float(self.plan.model.scale))
        self.plan.observe(
            layer,
            attention=laid_out(numbers.astype(given.dtype), self.layout),
            values=values if "values" in needs else None,
            kind="sums" if given.kind.startswith("sums") else given.kind,
        )

    def append(self, layer: int, new: Rows) -> None:
        """After the rows that each head has."""
        m, n = new.keys.shape[1], self.longest(layer) + new.keys.shape[1]
        grown = []
        for i, rows in enumerate(new[1:]):
            cache = blank((len(rows), n, rows.shape[2]), rows.dtype, self.layout)
            for head, book in enumerate(self.books[layer]):
                had = self.own(layer, head)
                if book:
                    cache[head, had] = self.caches[layer][i][head, had]
                cache[head, had.stop : had.stop + m] = rows[head]
            grown.append(cache)
        self.caches[layer] = grown
        self.books[layer] = [book + list(range(self.tokens, self.tokens + m)) for book in self.books[layer]]

    def compress(self, layer: int) -> str | None:
        """Gathers a layer and writes its books; what disagrees with the plan, or None."""
        kept, heads = self.plan.kept(layer), range(self.plan.model.kv_heads)
        if kept.tokens != self.tokens:
            return f"layer {layer}: {kept.tokens} tokens, not {self.tokens}"
        firsts = [self.own(layer, head).start for head in heads]
        rows = [kept.rows[kept.offsets[head] : kept.offsets[head + 1]] - firsts[head] for head in heads]
        for head, book in enumerate(self.books[layer]):
            own = rows[head].tolist()
            if not own or own != sorted(set(own)) or own[0] < 0 or own[-1] >= len(book):
                return f"layer {layer} head {head}: rows {own} of {len(book)}"
            if [book[row] for row in own] != kept.head(head).tolist():
                return f"layer {layer} head {head}: positions {kept.head(head).tolist()} are not those of rows {own}"
            self.whole &= len(own) == len(book)
            self.books[layer][head] = kept.head(head).tolist()
            slots = self.plan.slots(layer, head)
            if slots.positions.tolist() != self.books[layer][head] or slots.tokens != self.tokens:
                return f"layer {layer} head {head}: slots {slots}"
        for i, source in enumerate(self.caches[layer]):
            target = source
            if not self.in_place:
                target = blank((len(source), kept.longest, source.shape[2]), source.dtype, self.layout)
            self.plan.gather(layer, source, target)
            truth = self.came[layer][1 + i]
            for head, book in enumerate(self.books[layer]):
                has = self.own(layer, head)
                if not np.array_equal(target[head, has], truth[head, book]):
                    return f"layer {layer} head {head}: gather gave other rows"
                for padding in (slice(has.start), slice(has.stop, None)):
                    if not self.in_place and not np.isnan(target[head, padding].astype(np.float32)).all():
                        return f"layer {layer} head {head}: gather wrote beside the rows"
                    target[head, padding] = np.nan
            self.caches[layer][i] = target[:, : self.longest(layer)]
        return None

    def rows_of(self, positions: Kept, before: Kept) -> Kept:
        """Positions as rows of the caches that had the positions `before`."""
        places = [[{position: row for row, position in enumerate(book)} for book in layer] for layer in before]
        return [[[place[it] for it in chosen] for place, chosen in zip(*pair)] for pair in zip(places, positions)]
