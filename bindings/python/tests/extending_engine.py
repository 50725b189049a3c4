"""A small engine whose sequence goes on: new rows after the kept rows of each head, all observed again."""

from __future__ import annotations

from typing import Any

import numpy as np
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, WINDOW, noise
from registry import settings

import kvsieve

PROMPT, STREAM = 90, 1200
ROUNDS = (1, WINDOW - 3, 30, 2 * WINDOW, 60)
"""New tokens, a round each."""
BUDGET, RATIO = 40, 0.75
SETTINGS = {
    "window": WINDOW,
    "pool_kernel": 5,
    "recent_ratio": 0.25,
    "size": 4,
    "shared": 2,
    "pyramid": 4,
    "top": 1,
    "sinks": 1,
    "recent": 5,
    "semantic": 16,
    "every": 3,
    "cap": 1.5,
}
"""Heads of Task-KV differ in length, layers of WindowKV and DynamicKV do."""
QUERIES = noise(21, LAYERS, QUERY_HEADS, STREAM, DIM)
KEYS = noise(22, LAYERS, KV_HEADS, STREAM, DIM)
VALUES = noise(23, LAYERS, KV_HEADS, STREAM, DIM - 4)
HEADS = [(layer, head) for layer in range(LAYERS) for head in range(KV_HEADS)]


class Engine:
    """`books` [layer][head]: absolute positions, row by row; `new` more follow while a sequence is extended."""

    def __init__(self, method: kvsieve.MethodInfo | str, prompt: int = PROMPT, **more: Any) -> None:
        name = method if isinstance(method, str) else method.name
        self.plan = kvsieve.Plan(name, MODEL)
        for parameter, value in settings(self.plan.method, BUDGET, RATIO, **{**SETTINGS, **more}).items():
            self.plan[parameter] = value
        self.begin(prompt)

    def begin(self, prompt: int = PROMPT) -> None:
        """A prompt, finished."""
        self.tokens, self.new = 0, prompt
        self.books: list[list[list[int]]] = [[[] for _ in range(KV_HEADS)] for _ in range(LAYERS)]
        self.finish(0)

    def extend(self, m: int) -> None:
        """Nothing is observed yet."""
        self.plan.extend(m)
        self.new = m

    def rows(self, layer: int) -> list[list[int]]:
        """Positions of each head's rows, the new ones included."""
        return [book + list(range(self.tokens, self.tokens + self.new)) for book in self.books[layer]]

    def cut(self, layer: int, source: np.ndarray) -> np.ndarray:
        """(H, n, D) of (L, H, STREAM, D): each head's own rows, then NaN."""
        rows = self.rows(layer)
        cache = np.full((KV_HEADS, max(map(len, rows)), source.shape[3]), np.nan, source.dtype)
        for head, own in enumerate(rows):
            cache[head, : len(own)] = source[layer, head, own]
        return cache

    def given(self, layer: int) -> dict[str, Any]:
        queries = QUERIES[layer][:, self.tokens : self.tokens + self.new]
        return {"queries": queries, "keys": self.cut(layer, KEYS), "values": self.cut(layer, VALUES)}

    def observe(self, layer: int) -> None:
        self.plan.observe(layer, **self.given(layer))

    def finish(self, first: int) -> None:
        """Observes the layers from `first` on and finishes the plan; then updates `books`."""
        for layer in range(first, LAYERS):
            self.observe(layer)
        self.plan.finish()
        self.tokens, self.new = self.tokens + self.new, 0
        self.books = [[kept.head(head).tolist() for head in range(KV_HEADS)] for kept in self.kept()]

    def go_on(self, m: int) -> list[Any]:
        self.extend(m)
        self.finish(0)
        return self.state()

    def kept(self) -> list[kvsieve.Kept]:
        return [self.plan.kept(layer) for layer in range(LAYERS)]

    def state(self) -> list[Any]:
        """All that a finished plan says."""
        all_kept, slots = self.kept(), [self.plan.slots(layer, head) for layer, head in HEADS]
        arrays = [[kept.offsets.tolist(), kept.positions.tolist(), kept.rows.tolist()] for kept in all_kept]
        numbers = [kept.tokens for kept in all_kept] + [entry.tokens for entry in slots]
        return [arrays, numbers, [entry.positions.tolist() for entry in slots]]
