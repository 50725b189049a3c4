"""What must be in a paged engine's blocks, without blocks: a request's positions, kept by a plan of its own over dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

import kvsieve
from engine.paged import BLOCK, Paged, Request
from engine.rows import Array, Exact, Rows
from engine.world import places


class Truth:
    """Of a request that is live. `books` [layer]: the positions of the rows that it must have."""

    def __init__(self, plan: kvsieve.Plan, world: list[Rows], request: Request) -> None:
        self.plan, self.world, self.request = plan, world, request
        self.books = [list(range(len(request.tokens))) for _ in world]
        self.losses: list[tuple[int, int]] = []
        self.seen = 0
        self.intact = 0

    def append(self, m: int) -> None:
        total = len(self.request.tokens)
        self.books = [book + list(range(total - m, total)) for book in self.books]

    def compress(self) -> str | None:
        """To be called before the engine's: what is kept of the same rows in one piece each."""
        total = len(self.request.tokens)
        at = places(self.request.tokens, self.losses)
        if self.seen:
            self.plan.extend(total - self.seen)
        for layer, (rows, book) in enumerate(zip(self.world, self.books)):
            own = at[book]
            self.plan.observe(layer, rows.queries[:, at[self.seen :]], rows.keys[:, own], rows.values[:, own])
        self.plan.finish()
        self.seen = total
        lost = 0
        for layer, book in enumerate(self.books):
            kept = self.plan.kept(layer)
            heads = [kept.head(head).tolist() for head in range(self.plan.model.kv_heads)]
            if any(head != heads[0] for head in heads):
                return f"layer {layer}: heads keep different positions"
            lost += total - len(heads[0])
            self.books[layer] = heads[0]
        if len(set(map(len, self.books))) > 1:
            return f"layers keep {list(map(len, self.books))} rows"
        if lost:
            self.losses.append((total, 1000 * self.request.number + len(self.losses)))
        return None

    def leading(self) -> int:
        """How many first positions every layer still has, counted."""
        return min(next((i for i, at in enumerate(book) if i != at), len(book)) for book in self.books)

    def rows(self, layer: int) -> tuple[Array, Array]:
        """(H, n, D), (H, n, Dv)."""
        own = places(self.request.tokens, self.losses)[self.books[layer]]
        _, keys, values = self.world[layer]
        return keys[:, own], values[:, own]


def in_blocks(engine: Paged, request: Request, layer: int) -> tuple[Array, Array]:
    """The rows that the request's table leads to."""
    group = next(group for group, layers in enumerate(engine.groups) if layer in layers)
    at, table = np.arange(request.rows[layer]), np.array(request.tables[group])
    keys, values = (cache[table[at // BLOCK], :, at % BLOCK].swapaxes(0, 1) for cache in engine.caches[layer])
    return keys, values


def attention(query: Exact, keys: Array, values: Array) -> Exact:
    """(Hq, Dv): dense, in double, of one query (Hq, D)."""
    out = []
    keys, values = keys.astype(np.float64), values.astype(np.float64)
    for query_head, row in enumerate(query):
        head = query_head // (len(query) // len(keys))
        weights = np.exp(keys[head] @ row / len(row) ** 0.5)
        out.append(weights / weights.sum() @ values[head])
    return np.array(out)


def paged_attention(query: Exact, engine: Paged, request: Request, layer: int) -> Exact:
    """The same as an engine computes it: block after block, with a running maximum and sum."""
    group = next(group for group, layers in enumerate(engine.groups) if layer in layers)
    keys, values = engine.caches[layer]
    out = []
    for query_head, row in enumerate(query):
        head = query_head // (len(query) // keys.shape[1])
        most, total, mean = -np.inf, 0.0, np.zeros(values.shape[3])
        for index, block in enumerate(request.tables[group]):
            used = min(BLOCK, request.rows[layer] - index * BLOCK)
            logits: Any = keys[block, head, :used].astype(np.float64) @ row / len(row) ** 0.5
            new = max(most, logits.max())
            weights = np.exp(logits - new)
            mean = mean * np.exp(most - new) + weights @ values[block, head, :used].astype(np.float64)
            total = total * np.exp(most - new) + weights.sum()
            most = new
        out.append(mean / total)
    return np.array(out)
