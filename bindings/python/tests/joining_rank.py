"""A model of five layers and four heads: the engine of one rank, or of all, and what the ranks keep together."""

from __future__ import annotations

from typing import Any

import numpy as np
from conftest import noise
from ranks import Part, Threads, both, heads_of, joined, pipeline_parallel, plan_of, tensor_parallel
from registry import settings

import kvsieve

LAYERS, GROUP, HEADS, DIM, TOKENS, STREAM = 5, 2, 4, 16, 160, 220
MODEL = kvsieve.Model(LAYERS, GROUP * HEADS, HEADS, DIM)
QUERIES = noise(31, LAYERS, GROUP * HEADS, STREAM, DIM)
KEYS = noise(32, LAYERS, HEADS, STREAM, DIM)
VALUES = noise(33, LAYERS, HEADS, STREAM, DIM)
DIVISIONS = {
    "tensor 4": tensor_parallel(LAYERS, HEADS, 4),
    "tensor 3": tensor_parallel(LAYERS, HEADS, 3),
    "pipeline 2": pipeline_parallel(LAYERS, HEADS, 2),
    "pipeline 5": pipeline_parallel(LAYERS, HEADS, 5),
    "both": both(LAYERS, HEADS),
    "one": [Part(range(LAYERS), range(HEADS))],
}
SMALL = {
    "window": 8,
    "sinks": 3,
    "recent": 7,
    "semantic": 16,
    "size": 4,
    "shared": 2,
    "pyramid": 4,
    "every": 2,
    "charge": 1,
}
WHOLE = Part(range(LAYERS), range(HEADS))


def chosen(method: kvsieve.MethodInfo, **more: Any) -> dict[str, Any]:
    return settings(method, 40, 0.5, **{**SMALL, **more})


class Rank:
    """The engine of one rank, or of the whole model: `kept` [layer][head] of its own."""

    def __init__(self, part: Part, method: kvsieve.MethodInfo, **more: Any) -> None:
        self.part = part
        self.plan = plan_of(part, MODEL, method.name, **chosen(method, **more))
        self.tokens = 0
        self.kept: list[list[list[int]]] = [[[] for _ in part.heads] for _ in part.layers]

    def cut(self, index: int, source: np.ndarray, new: int) -> np.ndarray:
        """Each head's kept rows and its new ones, then NaN."""
        rows = [kept + list(range(self.tokens, self.tokens + new)) for kept in self.kept[index]]
        own = heads_of(source[self.part.layers[index]], self.part, MODEL)
        cache = np.full((len(rows), max(map(len, rows)), DIM), np.nan, np.float32)
        for head, positions in enumerate(rows):
            cache[head, : len(positions)] = own[head, positions]
        return cache

    def observe(self, new: int) -> None:
        if self.tokens:
            self.plan.extend(new)
        for index, layer in enumerate(self.part.layers):
            queries = heads_of(QUERIES[layer], self.part, MODEL)[:, self.tokens : self.tokens + new]
            self.plan.observe(index, queries, self.cut(index, KEYS, new), self.cut(index, VALUES, new))

    def go(self, new: int) -> list[list[list[int]]]:
        self.observe(new)
        return self.finish(new)

    def finish(self, new: int) -> list[list[list[int]]]:
        self.plan.finish()
        self.tokens += new
        layers, heads = range(len(self.part.layers)), range(len(self.part.heads))
        self.kept = [[self.plan.kept(layer).head(head).tolist() for head in heads] for layer in layers]
        return self.kept


def together(parts: list[Part], results: list[Any]) -> list[list[list[int]]]:
    for result in results:
        if isinstance(result, Exception):
            raise result
    kept: list[list[list[int]]] = [[[] for _ in range(HEADS)] for _ in range(LAYERS)]
    for part, result in zip(parts, results):
        for layer, heads in zip(part.layers, result):
            for head, rows in zip(part.heads, heads):
                kept[layer][head] = rows
    return kept


def by_threads(parts: list[Part], method: kvsieve.MethodInfo, **more: Any) -> tuple[Threads, list[Rank]]:
    group = Threads(len(parts))
    ranks = [Rank(part, method, **more) for part in parts]
    for number, rank in enumerate(ranks):
        joined(rank.plan, parts, number, group.all_gather(number))
    return group, ranks
