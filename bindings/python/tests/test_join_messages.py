"""messages.py, the formula of what finish() sends, against what a collective counts: cuts, lengths and shares that run here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import noise
from messages import Cut, Sizes, messages, recursive_doubling, ring
from ranks import Part, Threads, heads_of, joined, plan_of
from registry import has, settings

import kvsieve

LAYERS, HEADS, GROUP, DIM, BUDGET = 6, 4, 2, 8, 24
MODEL = kvsieve.Model(LAYERS, GROUP * HEADS, HEADS, DIM)
SMALL = {"window": 5, "sinks": 2, "recent": 7, "semantic": 8, "size": 4, "shared": 2, "pyramid": 4, "every": 4}
APART = {"ahakv": 7, "taskkv": 0, "windowkv": 5, "dynamickv": 5, "h2o": 12, "snapkv": 5, "pyramidkv": 5, "adakv": 5}
APART |= {"streamingllm": 0, "tova": 1, "keydiff": 7, "random": 7}
"""Tokens of a head that do not compete, by method, with these parameters."""


def grid(stages: tuple[int, ...], heads: tuple[int, ...]) -> tuple[list[Part], Cut]:
    """Every stage's layers by every part of the heads; stages and heads are where they begin."""
    layers = [range(first, end) for first, end in zip(stages, (*stages[1:], LAYERS))]
    parts = [range(first, end) for first, end in zip(heads, (*heads[1:], HEADS))]
    cut = Cut(LAYERS, HEADS, max(map(len, layers)), max(map(len, parts)), stages)
    return [Part(layer, part) for layer in layers for part in parts], cut


CUTS = {
    "tensor 4": grid((0,), (0, 1, 2, 3)),
    "tensor, uneven": grid((0,), (0, 1)),
    "pipeline, uneven": grid((0, 1, 3), (0,)),
    "both": grid((0, 2, 4), (0, 2)),
    "both, uneven": grid((0, 5), (0, 3)),
}


def counted(method: kvsieve.MethodInfo, parts: list[Part], tokens: int, **chosen: Any) -> list[int]:
    """Bytes of each message, the same of all ranks."""
    group = Threads(len(parts))
    arrays = [noise(61 + i, n, tokens, DIM) for i, n in enumerate((GROUP * HEADS, HEADS, HEADS))]
    plans = []
    for rank, part in enumerate(parts):
        plan = joined(plan_of(part, MODEL, method.name, **chosen), parts, rank, group.all_gather(rank))
        plan.protect(9, 2)
        for layer in range(len(part.layers)):
            plan.observe(layer, *[heads_of(array, part, MODEL) for array in arrays])
        plans.append(plan)
    assert group.run(lambda rank: plans[rank].finish()) == [None] * len(parts)
    assert all(sent == group.sent[0] for sent in group.sent)
    return group.sent[0]


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("share", [0, 1, 2])
@pytest.mark.parametrize("tokens", [120, 333])
def test_the_formula_is_what_is_counted(method: kvsieve.MethodInfo, tokens: int, share: int, name: str) -> None:
    if share and not has(method, "share"):
        return
    parts, cut = CUTS[name]
    chosen = settings(method, BUDGET, 0.5, **SMALL, share=share)
    sizes = Sizes(tokens, GROUP, DIM, APART[method.name], every=4, size=4, shared=2, share=share, ranges=1)
    assert messages(method.name, cut, sizes) == counted(method, parts, tokens, **chosen)


def test_networks() -> None:
    """By hand: 1 us a message, 2 ns a byte."""
    assert np.isclose(ring(1000, 4, 1e-6, 2e-9), 3 * 3e-6)
    assert np.isclose(recursive_doubling(1000, 4, 1e-6, 2e-9), 2e-6 + 6e-6)
    assert np.isclose(recursive_doubling(1000, 64, 1e-6, 0), 6e-6)
    assert ring(1000, 1, 1e-6, 2e-9) == recursive_doubling(1000, 1, 1e-6, 2e-9) == 0
