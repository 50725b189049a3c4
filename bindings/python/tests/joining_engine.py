"""A model of two layers and two heads on two ranks that are threads, and the calls that tests make of all ranks."""

from __future__ import annotations

from typing import Any

from conftest import noise
from ranks import Part, Threads, heads_of, joined, plan_of, tensor_parallel

import kvsieve

LAYERS, HEADS, DIM, TOKENS = 2, 2, 8, 60
MODEL = kvsieve.Model(LAYERS, 2 * HEADS, HEADS, DIM)
QUERIES, KEYS, VALUES = (noise(51 + i, LAYERS, n, TOKENS, DIM) for i, n in enumerate((2 * HEADS, HEADS, HEADS)))
PARTS = tensor_parallel(LAYERS, HEADS, 2)
WHOLE = Part(range(LAYERS), range(HEADS))
KEPT = {
    "dynamickv": {"budget": 20, "window": 4},
    "adakv": {"budget": 20, "window": 4},
    "snapkv": {"budget": 20, "window": 4},
}


def observe(plan: kvsieve.Plan, part: Part, tokens: int = TOKENS, layers: int = LAYERS) -> kvsieve.Plan:
    for index, layer in list(enumerate(part.layers))[:layers]:
        own = [heads_of(array[layer][:, :tokens], part, MODEL) for array in (QUERIES, KEYS, VALUES)]
        plan.observe(index, *own)
    return plan


def kept(plan: kvsieve.Plan, part: Part) -> list[list[int]]:
    return [plan.kept(index).positions.tolist() for index in range(len(part.layers))]


def one(method: str = "dynamickv", part: Part = PARTS[1], **parameters: Any) -> kvsieve.Plan:
    return plan_of(part, MODEL, method, **{**KEPT[method], **parameters})


def run(plans: list[kvsieve.Plan], group: Threads) -> list[Any]:
    return group.run(lambda rank: plans[rank].finish())


def pair(other: kvsieve.Plan, group: Threads | None = None, **place: Any) -> tuple[Threads, list[kvsieve.Plan]]:
    """Rank 0 as it should be, and another rank 1; nothing was observed."""
    group = group or Threads(2)
    plans = [one(part=PARTS[0]), other]
    joined(plans[0], PARTS, 0, group.all_gather(0))
    joined(plans[1], PARTS, 1, group.all_gather(1), **place)
    return group, plans


def expect(results: list[Any], name: str, words: str) -> None:
    """Every rank says the same."""
    assert [type(result) for result in results] == [kvsieve.KVSieveError] * len(results), results
    assert {(result.name, result.message) for result in results} == {(results[0].name, results[0].message)}, results
    assert results[0].name == f"KVSIEVE_ERR_{name}" and words in results[0].message, results[0]


def protected(plan: kvsieve.Plan, *ranges: tuple[int, int]) -> kvsieve.Plan:
    for first, count in ranges:
        plan.protect(first, count)
    return plan
