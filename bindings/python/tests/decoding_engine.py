"""A small inference engine: it has its own cache, knows the position of each row, and makes the moves of step."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, noise
from registry import looked_at, read, settings

import kvsieve

BUDGET, PROMPT, STREAM = 24, 40, 400
SETTINGS = {"window": 6, "recent_ratio": 0.25, "sinks": 1, "recent": 6, "pool_kernel": 5}
DRAFT = 200
"""Rejected tokens are taken from so much later in the stream."""
QUERIES = noise(11, LAYERS, QUERY_HEADS, STREAM, DIM)
KEYS = noise(12, LAYERS, KV_HEADS, STREAM, DIM)
VALUES = noise(13, LAYERS, KV_HEADS, STREAM, DIM - 4)
HEADS = [(layer, head) for layer in range(LAYERS) for head in range(KV_HEADS)]


@functools.cache
def most(method: str) -> int:
    """The most tokens that one step takes: as many as are never evicted, says the header."""
    engine = Engine(next(info for info in kvsieve.methods() if info.name == method))
    for m in range(BUDGET + 1, 0, -1):
        try:
            engine.plan.step(0, **engine.given(0, m))
            return m
        except kvsieve.KVSieveError as error:
            assert error.name == "KVSIEVE_ERR_SHAPE"
    raise AssertionError(f"{method} takes no token")


class Engine:
    """Holds rows as an inference engine would: append, step, move. `books` are the positions of its rows."""

    def __init__(self, method: kvsieve.MethodInfo, prompt: int = PROMPT, **more: Any) -> None:
        given = settings(method, BUDGET, 0.5, **{**SETTINGS, "decoding": 1, **more})
        self.plan = kvsieve.Plan(method.id, MODEL, **given)
        self.observe(prompt)
        self.plan.finish()
        self.after_the_prompt()

    def observe(self, prompt: int) -> None:
        self.tokens = prompt
        for layer in range(LAYERS):
            self.plan.observe(layer, *(array[layer, :, :prompt] for array in (QUERIES, KEYS, VALUES)))

    def after_the_prompt(self) -> None:
        kept = [self.plan.kept(layer) for layer in range(LAYERS)]
        self.books = [[entry.head(head).tolist() for head in range(KV_HEADS)] for entry in kept]

    @property
    def most(self) -> int:
        return most(self.plan.method.name)

    def few(self, m: int) -> int:
        """m tokens, or as many as a step takes."""
        return min(m, self.most)

    def reads(self, name: str) -> bool:
        """Whether a step reads the numbers of "queries", "keys", "values", or "logits" in place of the first two."""
        return ("keys" if name == "logits" else name) in read(self.plan.needs(0))

    def looks_at(self, name: str) -> bool:
        """Whether it reads them or their shape."""
        return ("keys" if name == "logits" else name) in looked_at(self.plan.needs(0))

    def given(self, layer: int, m: int = 1, ahead: int = 0) -> dict[str, np.ndarray]:
        """Arguments of step for the next m tokens: the rows of the slots, then the new ones."""
        at = self.tokens + ahead
        new = list(range(at, at + m))
        rows = [book + new for book in self.books[layer]]
        keys, values = (np.stack([all[layer, h, rows[h]] for h in range(KV_HEADS)]) for all in (KEYS, VALUES))
        return {"queries": QUERIES[layer][:, new], "keys": keys, "values": values}

    def logits(self, layer: int, m: int = 1) -> dict[str, np.ndarray]:
        """Likewise with logits; NaN where nothing may be read, past a token's own row."""
        given = self.given(layer, m)
        keys = np.repeat(given["keys"], QUERY_HEADS // KV_HEADS, axis=0)
        logits = np.einsum("hmd,hnd->hmn", given["queries"], keys) / np.float32(DIM**0.5)
        n = logits.shape[2]
        for i in range(m):
            logits[:, i, n - m + i + 1 :] = np.nan
        return {"logits": logits, "values": given["values"]}

    def step(self, m: int = 1, accepted: int | None = None, **how: Any) -> np.ndarray:
        """m tokens through all layers, (L, H, m); those after the `accepted` first are trimmed before rows move."""
        give = self.logits if how.pop("logits", False) else self.given
        result = np.stack([self.plan.step(layer, **give(layer, m, **how)) for layer in range(LAYERS)])
        stay = m if accepted is None else accepted
        self.plan.trim(m - stay)
        for layer, head in HEADS:
            book = self.books[layer][head]
            living = len(book)
            book += range(self.tokens, self.tokens + stay)
            for i, slot in enumerate(result[layer, head, :stay]):
                if slot >= 0:
                    book[slot] = book[living + i]
            del book[min(living + stay, BUDGET) :]
        self.tokens += stay
        return result

    def slots(self) -> list[Any]:
        slots = [self.plan.slots(layer, head) for layer, head in HEADS]
        return [(entry.positions.tolist(), entry.tokens) for entry in slots]

    def agrees(self) -> bool:
        return self.slots() == [(self.books[layer][head], self.tokens) for layer, head in HEADS]
