"""An inference engine in small: it keeps its own cache and its own books, and does what step tells it."""

from __future__ import annotations

from typing import Any

import numpy as np
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, noise

import kvsieve

BUDGET, RECENT, PROMPT, STREAM = 24, 6, 40, 400
SETTINGS = {"budget": BUDGET, "window": RECENT, "recent_ratio": RECENT / BUDGET, "sinks": 1, "pool_kernel": 5}
DRAFT = 200
"""Tokens that are rejected come from so much later in the stream."""
QUERIES = noise(11, LAYERS, QUERY_HEADS, STREAM, DIM)
KEYS = noise(12, LAYERS, KV_HEADS, STREAM, DIM)
VALUES = noise(13, LAYERS, KV_HEADS, STREAM, DIM - 4)
HEADS = [(layer, head) for layer in range(LAYERS) for head in range(KV_HEADS)]


class Engine:
    """Holds rows as an inference engine would: append, step, move. `books` are the positions it believes to hold."""

    def __init__(self, method: kvsieve.MethodInfo, prompt: int = PROMPT, **more: Any) -> None:
        settings = {info.name: SETTINGS[info.name] for info in method.parameters if info.name in SETTINGS}
        self.plan = kvsieve.Plan(method.id, MODEL, **{**settings, "decoding": 1, **more})
        self.observe(prompt)
        self.plan.finish()
        self.after_the_prompt()

    def observe(self, prompt: int) -> None:
        self.tokens = prompt
        for layer in range(LAYERS):
            needs = self.plan.needs(layer)
            rows = prompt if "all_queries" in needs else min(self.plan["window"], prompt)
            given = (QUERIES[layer, :, prompt - rows : prompt], KEYS[layer, :, :prompt], VALUES[layer, :, :prompt])
            self.plan.observe(layer, *given)

    def after_the_prompt(self) -> None:
        kept = [self.plan.kept(layer) for layer in range(LAYERS)]
        self.books = [[entry.head(head).tolist() for head in range(KV_HEADS)] for entry in kept]

    @property
    def reads_values(self) -> bool:
        return "values" in self.plan.needs(0)

    def given(self, layer: int, m: int = 1, ahead: int = 0) -> dict[str, np.ndarray]:
        """What step takes for the next m tokens: the rows that live, and the new ones behind them."""
        at = self.tokens + ahead
        new = list(range(at, at + m))
        rows = [book + new for book in self.books[layer]]
        keys, values = (np.stack([all[layer, h, rows[h]] for h in range(KV_HEADS)]) for all in (KEYS, VALUES))
        return {"queries": QUERIES[layer][:, new], "keys": keys, "values": values}

    def logits(self, layer: int, m: int = 1) -> dict[str, np.ndarray]:
        """Likewise with logits, and NaN where nobody may look: behind a token's own row."""
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
