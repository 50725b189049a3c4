"""An inference engine in small, one layer: a cache of its own, appended, stepped and moved as kvsieve.h says."""
from __future__ import annotations

from typing import Any, NamedTuple, Optional

import numpy as np

import kvsieve

MOST = 3
"""New tokens of one call, at most."""


class Rows(NamedTuple):
    """Of n tokens, rounded to a dtype."""

    queries: np.ndarray
    """(Hq, n, D)"""
    keys: np.ndarray
    """(H, n, D)"""
    values: np.ndarray
    """(H, n, Dv)"""

    def exact(self, begin: int, end: int) -> list[np.ndarray]:
        """The rounded numbers as float64."""
        return [array[:, begin:end].astype(np.float64) for array in self]


class Source:
    """Tokens without end: queries 2 N(0, 1), keys and values N(0, 1).

    With `topics` queries and keys lean towards a direction that changes every 50 tokens or so: more heavy hitters of
    yesterday are none today, and H2O drops another than the newest that it may 4 times in 100, not once in 200.
    """

    def __init__(
        self, rng: np.random.Generator, model: kvsieve.Model, value_dim: int, dtype: Any, topics: bool
    ) -> None:
        self.rng, self.model, self.value_dim, self.dtype, self.topics = rng, model, value_dim, dtype, topics
        self.topic = rng.standard_normal(model.head_dim)

    def rows(self, tokens: int) -> Rows:
        model, normal = self.model, self.rng.standard_normal
        queries = normal((model.query_heads, tokens, model.head_dim))
        keys = normal((model.kv_heads, tokens, model.head_dim))
        values = normal((model.kv_heads, tokens, self.value_dim))
        if self.topics:
            lean = np.empty((tokens, model.head_dim))
            for row in lean:
                if self.rng.random() < 1 / 50:
                    self.topic = normal(model.head_dim)
                row[:] = self.topic
            queries, keys = 0.6 * queries + 0.8 * lean, 0.8 * keys + 0.6 * lean
        return Rows(*(array.astype(self.dtype) for array in (2 * queries, keys, values)))


class Engine:
    """`books` (H, C + MOST): the position in every row of its cache; the first `living` of them live."""

    def __init__(self, plan: kvsieve.Plan, prompt: Rows) -> None:
        self.plan, self.budget = plan, int(plan["budget"])
        self.tokens = prompt.keys.shape[1]
        rows = self.tokens if "all_queries" in plan.needs(0) else min(self.tokens, int(plan["window"]))
        plan.observe(0, prompt.queries[:, self.tokens - rows :], prompt.keys, prompt.values)
        plan.finish()
        kept = plan.kept(0)
        self.kept = [kept.head(head).tolist() for head in range(plan.model.kv_heads)]
        self.heads, self.living = len(self.kept), kept.longest
        self.reads_values = "values" in plan.needs(0)
        room = self.budget + MOST
        self.keys, self.values = (
            np.zeros((self.heads, room, array.shape[2]), array.dtype) for array in (prompt.keys, prompt.values))
        plan.gather(0, prompt.keys, self.keys)
        plan.gather(0, prompt.values, self.values)
        self.books = np.full((self.heads, room), -1)
        for head, positions in enumerate(self.kept):
            self.books[head, : len(positions)] = positions

    def step(self, new: Rows, begin: int, m: int, by_logits: bool = False) -> np.ndarray:
        """Tokens begin ..< begin + m of `new` are appended and the plan is asked: what step returns, (H, m)."""
        n = self.living + m
        self.keys[:, self.living : n] = new.keys[:, begin : begin + m]
        self.values[:, self.living : n] = new.values[:, begin : begin + m]
        self.books[:, self.living : n] = range(self.tokens, self.tokens + m)
        queries, keys = new.queries[:, begin : begin + m], self.keys[:, :n]
        values = self.values[:, :n] if self.reads_values else None
        if not by_logits:
            return self.plan.step(0, queries, keys, values)
        group = len(queries) // self.heads
        wide = np.repeat(keys.astype(np.float32), group, axis=0)
        logits = np.einsum("hmd,hnd->hmn", queries.astype(np.float32), wide) / np.float32(keys.shape[2] ** 0.5)
        for i in range(m):  # nobody may look behind a token's own row
            logits[:, i, self.living + i + 1 :] = np.nan
        return self.plan.step(0, logits=logits, values=values)

    def left(self, evict: np.ndarray) -> list[list[Optional[int]]]:
        """Whom each new token drives out, (H, m): the one in its slot when the moves are made in order."""
        out = []
        for head, slots in enumerate(evict.tolist()):
            book = self.books[head].copy()
            gone: list[Optional[int]] = []
            for i, slot in enumerate(slots):
                gone.append(int(book[slot]) if slot >= 0 else None)
                if slot >= 0:
                    book[slot] = book[self.living + i]
            out.append(gone)
        return out

    def settle(self, evict: np.ndarray, stay: int) -> None:
        """The first `stay` new tokens stay and are moved, the others are trimmed."""
        m = evict.shape[1]
        if stay < m:
            self.plan.trim(m - stay)
        for head in range(self.heads):
            for i in range(stay):
                slot = evict[head, i]
                if slot >= 0:
                    for rows in (self.keys, self.values, self.books):
                        rows[head, slot] = rows[head, self.living + i]
        self.living = min(self.living + stay, self.budget)
        self.tokens += stay

    def wrong_slots(self) -> Optional[str]:
        """How the plan's books differ from these; None where they do not."""
        for head in range(self.heads):
            slots, book = self.plan.slots(0, head), self.books[head, : self.living].tolist()
            if slots.positions.tolist() != book or slots.tokens != self.tokens:
                return f"slots of head {head} after {self.tokens} tokens: {slots}; the caller's books: {book}"
        return None
