"""A prompt is added token by token to caches that never grow, and the same question is asked again and again.

Here: a cache of fixed slots, which slot a new token takes over, asking without a trace, the table.
Not here: the model's arithmetic (model.py), processes (demo.py).
Letters: L layers, H key/value heads, G query heads a key/value head, D head size, n rows of a head in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from model import Llama, PrefilledLayer, attention
from prompts import AGGREGATION, TOKENS, PromptMaker
from sieve import FULL, SINKS, SINKS_AND_RECENT

import kvsieve

BUDGET = int(0.12 * TOKENS)
PREFILLED = 512  # tokens before the stream begins
ASKED_AT = (*range(PREFILLED + 256, TOKENS - 1, 256), TOKENS - 1)  # tokens seen; the last: all but the question
METHOD = "ahakv"  # with the library's own defaults, its window too: no question is in one here
CACHES = (FULL, SINKS_AND_RECENT, METHOD)

EXPLANATION = (
    "Prompts come token by token; after so many tokens MOST is asked: right answers of those asked.\n"
    "It is asked where one marker is more than half of all so far. Prompts 0 to {last} of seed {seed}.\n"
    "rows a head: the most that lived at once. KB: arrays of keys and values, which do not grow: ahakv evicts.\n"
    "A single fact that nobody has asked about yet does not gain from it: attention says nothing of that fact."
)


@dataclass(frozen=True)
class Streamed:
    """One prompt through one cache."""

    cache: str  # of CACHES
    index: int  # of the prompt
    right: dict[int, bool]  # after so many tokens, whether the answer was right
    most: int  # rows of a head in use, after any token
    kilobytes: float  # of the arrays that hold keys and values
    positions: np.ndarray  # (L, H, n): the tokens whose rows were there in the end, slot by slot
    agrees: bool  # the library, where it was asked, says the same


class SlotCache:
    """A layer's rows in arrays (H, slots, D) that never grow: the first `length` slots are in use, the next is for a newcomer.

    `positions` has the token of each slot. A row keeps its rotation.
    """

    def __init__(self, heads: int, slots: int, dim: int) -> None:
        self.keys, self.values = np.zeros((2, heads, slots, dim), np.float32)
        self.positions = np.zeros((heads, slots), np.int32)
        self.queries = np.zeros((heads, 1, dim), np.float32)  # the newcomer's
        self.length = 0

    def append(self, keys: np.ndarray, values: np.ndarray) -> None:
        """A newcomer's keys (H, D) and values (H, D). If it does not settle, the next newcomer overwrites it."""
        self.keys[:, self.length] = keys
        self.values[:, self.length] = values

    def attend(self, queries: np.ndarray) -> np.ndarray:
        """The newcomer's attention over the rows in use and its own: queries (H, G, D) -> (H, G, D)."""
        self.queries = queries
        return attention(queries, *self.rows())

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values of the rows in use, then of the newcomer: views (H, n + 1, D)."""
        return self.keys[:, : self.length + 1], self.values[:, : self.length + 1]

    def settle(self, position: int, slots: np.ndarray) -> None:
        """The newcomer moves to slots[h] of head h, whose row is overwritten. If slots (H,) are -1, it is not moved."""
        self.positions[:, self.length] = position
        if slots[0] < 0:
            self.length += 1
            return
        heads = np.arange(len(slots))
        for rows in (self.keys, self.values, self.positions):
            rows[heads, slots] = rows[:, self.length]


class Choice(Protocol):
    """Which prefilled tokens are kept, and which slot each new token takes over."""

    def fill(self, prefilled: Sequence[PrefilledLayer], caches: Sequence[SlotCache]) -> None:
        """Puts prefilled rows and their positions into empty caches."""

    def leaves(self, layer: int, cache: SlotCache) -> np.ndarray:
        """The slots (H,) that the newcomer takes over, or -1. After its attention, for each layer in order."""

    def agrees(self, caches: Sequence[SlotCache], tokens: int) -> bool:
        """Whether the plan, if there is one, has the same token in every slot."""


class SinksAndRecent:
    """Overwrites the oldest, but none of the first SINKS: no attention is read. With room for all, the full cache."""

    def __init__(self, budget: int) -> None:
        self.budget = budget  # rows of a head

    def fill(self, prefilled: Sequence[PrefilledLayer], caches: Sequence[SlotCache]) -> None:
        tokens = prefilled[0].keys.shape[1]
        positions = np.r_[:SINKS, max(SINKS, tokens - self.budget + SINKS) : tokens]
        for layer, cache in zip(prefilled, caches):
            cache.length = len(positions)
            cache.keys[:, : cache.length] = layer.keys[:, positions]
            cache.values[:, : cache.length] = layer.values[:, positions]
            cache.positions[:, : cache.length] = positions

    def leaves(self, layer: int, cache: SlotCache) -> np.ndarray:
        if cache.length < self.budget:
            return np.full(len(cache.keys), -1)
        return np.asarray(SINKS + cache.positions[:, SINKS : cache.length].argmin(axis=1))

    def agrees(self, caches: Sequence[SlotCache], tokens: int) -> bool:
        return True


class ByPlan:
    """The library's choice."""

    def __init__(self, model: kvsieve.Model, budget: int) -> None:
        self.plan = kvsieve.Plan(METHOD, model, budget=budget, decoding=1)

    def fill(self, prefilled: Sequence[PrefilledLayer], caches: Sequence[SlotCache]) -> None:
        for number, layer in enumerate(prefilled):
            self.plan.observe(number, layer.queries[:, -self.plan["window"] :], layer.keys, layer.values)
        self.plan.finish()
        for number, (layer, cache) in enumerate(zip(prefilled, caches)):
            self.plan.gather(number, layer.keys, out=cache.keys)
            self.plan.gather(number, layer.values, out=cache.values)
            kept = self.plan.kept(number)
            cache.length = kept.longest
            cache.positions[:, : cache.length] = kept.positions.reshape(-1, cache.length)

    def leaves(self, layer: int, cache: SlotCache) -> np.ndarray:
        queries = cache.queries.reshape(-1, 1, cache.queries.shape[2])  # (Hq, 1, D)
        return np.asarray(self.plan.step(layer, queries, *cache.rows())[:, 0])

    def agrees(self, caches: Sequence[SlotCache], tokens: int) -> bool:
        for number, cache in enumerate(caches):
            for head, positions in enumerate(cache.positions[:, : cache.length]):
                slots = self.plan.slots(number, head)
                if slots.tokens != tokens or not np.array_equal(slots.positions, positions):
                    return False
        return True


def stream(
    name: str, llama: Llama, model: kvsieve.Model, maker: PromptMaker, index: int, asked_at: Sequence[int] = ASKED_AT
) -> Streamed:
    """Prompt `index` of the aggregation task through the cache `name`; MOST is asked after `asked_at` tokens of it.

    The question's row is in the newcomer's slot and never settles. The choice does not learn of it, so the next token
    finds the caches as if nothing had been asked.
    """
    tokens = maker.prompt(AGGREGATION, index).tokens[:-1]
    budget = len(tokens) if name == FULL else BUDGET
    caches = [SlotCache(llama.kv_heads, budget + 1, llama.head_dim) for _ in range(llama.layers)]
    choice: Choice = ByPlan(model, budget) if name == METHOD else SinksAndRecent(budget)
    choice.fill(llama.prefill(tokens[:PREFILLED], PREFILLED), caches)
    right, most = {}, caches[0].length
    for position in range(PREFILLED, len(tokens)):
        llama.next_token(int(tokens[position]), position, caches)
        for number, cache in enumerate(caches):
            cache.settle(position, choice.leaves(number, cache))
        seen = position + 1
        most = max(most, *(cache.length for cache in caches))
        answer = maker.majority(tokens[:seen]) if seen in asked_at else None
        if answer is not None:
            right[seen] = llama.next_token(maker.special["MOST"], seen, caches) == answer
    return Streamed(
        cache=name,
        index=index,
        right=right,
        most=most,
        kilobytes=sum(cache.keys.nbytes + cache.values.nbytes for cache in caches) / 1024,
        positions=np.stack([cache.positions[:, : cache.length] for cache in caches]),
        agrees=choice.agrees(caches, len(tokens)),
    )


def table(streams: Sequence[Streamed], seed: int) -> str:
    """A line a cache: right answers of those asked, after so many tokens and in all. The explanation last."""
    columns = "".join(f"{f'after {seen}':>12}" for seen in ASKED_AT)
    heading = f"{'cache':<18}{'rows a head':>12}{'KB':>7}{columns}{'all':>11}"
    lines = [heading, "-" * len(heading)]
    for name in CACHES:
        own = [one for one in streams if one.cache == name]
        answers = [[one.right[seen] for one in own if seen in one.right] for seen in ASKED_AT]
        answers.append([right for one in own for right in one.right.values()])
        counts = [f"{sum(asked)} of {len(asked)}" for asked in answers]
        columns = "".join(f"{count:>12}" for count in counts[:-1])
        rows = max(one.most for one in own)
        lines.append(f"{name:<18}{rows:>12}{own[0].kilobytes:>7.0f}{columns}{counts[-1]:>11}")
    last = max(one.index for one in streams)
    return "\n".join([*lines, "", EXPLANATION.format(last=last, seed=seed)])
