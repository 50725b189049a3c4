"""Decoding of one layer: a cache of slots, stepped and moved as kvsieve.h says of kvsieve_plan_step."""

from __future__ import annotations

import numpy as np

from engine.engine import Engine
from engine.rows import Array, Rows

MOST = 3
"""New tokens of one call, at most."""


class Decoder:
    """Continues an engine of one layer that has finished its prompt.

    `books` (H, room): the position in every row of its cache; the first `living` rows are in use.
    """

    def __init__(self, engine: Engine) -> None:
        self.plan, self.tokens = engine.plan, engine.tokens
        self.kept = [list(book) for book in engine.books[0]]
        self.heads, self.living = len(self.kept), engine.longest(0)
        needs = self.plan.needs(0)
        self.reads_values, self.reads_keys = "values" in needs, "length" not in needs
        self.keys, self.values = (np.zeros((self.heads, 0, array.shape[2]), array.dtype) for array in engine.caches[0])
        self.books = np.full((self.heads, 0), -1)
        self.make_room()
        self.keys[:, : self.living], self.values[:, : self.living] = engine.caches[0]
        self.books[:, : self.living] = self.kept

    def make_room(self) -> None:
        """For new tokens."""
        more = self.living + MOST - self.books.shape[1]
        if more > 0:
            more += self.living  # seldom
            self.keys, self.values = (np.pad(array, ((0, 0), (0, more), (0, 0))) for array in (self.keys, self.values))
            self.books = np.pad(self.books, ((0, 0), (0, more)), constant_values=-1)

    def step(self, new: Rows, begin: int, m: int, by_logits: bool = False) -> Array:
        """Tokens begin ..< begin + m of `new` are appended and the plan is asked: what step returns, (H, m)."""
        self.make_room()
        n = self.living + m
        self.keys[:, self.living : n] = new.keys[:, begin : begin + m]
        self.values[:, self.living : n] = new.values[:, begin : begin + m]
        self.books[:, self.living : n] = range(self.tokens, self.tokens + m)
        queries, keys = new.queries[:, begin : begin + m], self.keys[:, :n]
        values = self.values[:, :n] if self.reads_values else None
        evict: Array
        if not by_logits:
            evict = self.plan.step(0, queries, keys if self.reads_keys else np.full_like(keys, np.nan), values)
            return evict
        group = len(queries) // self.heads
        wide = np.repeat(keys.astype(np.float32), group, axis=0)
        logits = np.einsum("hmd,hnd->hmn", queries.astype(np.float32), wide) / np.float32(keys.shape[2] ** 0.5)
        for i in range(m):  # nothing past a token's own row may be read
            logits[:, i, self.living + i + 1 if self.reads_keys else 0 :] = np.nan
        evict = self.plan.step(0, logits=logits, values=values)
        return evict

    def left(self, evict: Array) -> list[list[int | None]]:
        """The position evicted for each new token, (H, m): the one in its slot when the moves are made in order."""
        out = []
        for head, slots in enumerate(evict.tolist()):
            book = self.books[head].copy()
            gone: list[int | None] = []
            for i, slot in enumerate(slots):
                gone.append(int(book[slot]) if slot >= 0 else None)
                if slot >= 0:
                    book[slot] = book[self.living + i]
            out.append(gone)
        return out

    def settle(self, evict: Array, stay: int) -> None:
        """The first `stay` new tokens are accepted and moved, the others are trimmed."""
        m = evict.shape[1]
        if stay < m:
            self.plan.trim(m - stay)
        for head in range(self.heads):
            for i in range(stay):
                slot = evict[head, i]
                if slot >= 0:
                    for rows in (self.keys, self.values, self.books):
                        rows[head, slot] = rows[head, self.living + i]
        self.living += int((evict[0, :stay] < 0).sum())
        self.tokens += stay

    def wrong_slots(self) -> str | None:
        """How the plan's slots differ from `books`; None if they do not."""
        for head in range(self.heads):
            slots, book = self.plan.slots(0, head), self.books[head, : self.living].tolist()
            if slots.positions.tolist() != book or slots.tokens != self.tokens:
                return f"slots of head {head} after {self.tokens} tokens: {slots}; the engine's books: {book}"
        return None
