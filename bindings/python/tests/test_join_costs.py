"""What finish() sends to other ranks: the header's section Several ranks, Costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from joining_engine import DIM, HEADS, LAYERS, MODEL, PARTS, TOKENS, observe, run
from ranks import Threads, joined, pipeline_parallel, plan_of, tensor_parallel
from registry import has, settings

import kvsieve


def finished(method: kvsieve.MethodInfo, parts: Any, **chosen: Any) -> Threads:
    """The group of two ranks that have observed their parts and finished."""
    group = Threads(2)
    plans = [
        joined(plan_of(part, MODEL, method.name, **chosen), parts, r, group.all_gather(r))
        for r, part in enumerate(parts)
    ]
    for plan, part in zip(plans, parts):
        observe(plan, part)
    assert run(plans, group) == [None, None]
    return group


@pytest.mark.parametrize("divide", [tensor_parallel, pipeline_parallel])
def test_what_is_sent(method: kvsieve.MethodInfo, divide: Any) -> None:
    """ "Costs of finish(), of a rank: 256 bytes a message beside what is here\""""
    parts = divide(LAYERS, HEADS, 2)
    chosen = settings(method, 20, 0.6, window=4, recent=5, sinks=2, every=1, shared=1, size=4, charge=1)
    group = finished(method, parts, **chosen)
    heads, layers = len(parts[0].heads), len(parts[0].layers)
    division = [2048, 512, 4096, 4096]
    rows = [16 + 4 * TOKENS * (heads if heads < HEADS else 1)] * layers
    more = {
        "dynamickv": [*division, 16 * layers] * LAYERS,
        "adakv": [*division, 16 * heads] * LAYERS if heads < HEADS else [],
        "taskkv": [4 * heads * layers * (DIM if heads < HEADS else 1)],
        "tova": rows if heads < HEADS else [],
    }.get(method.name, [])
    sent = [size - 256 for size in group.sent[0]]
    assert sent[:2] == [544, 0] and sent[-1] == 4 * heads * layers
    assert group.sent[0] == group.sent[1]
    middle = sent[2:-1]
    if method.name == "windowkv":
        # Each layer chooses; of the windows of 56 tokens there is a row for each query head, or their mean.
        means = [16 + 4 * 14 * (2 * heads if heads < HEADS else 1)] * layers
        assert middle[: len(means)] == means and set(middle[len(means) :]) <= {8}
    else:
        assert middle == more


def test_dynamickv_sends_counters() -> None:
    """ "dynamickv with 32 layers, 8 heads and 32,768 tokens sends less than 128 KiB a rank, in 43 rounds\""""
    layers, heads, tokens = 32, 8, 32_768
    model = kvsieve.Model(layers, heads, heads, 128)
    parts = tensor_parallel(layers, heads, 8)
    group = Threads(8)
    plans = [
        joined(plan_of(part, model, "dynamickv", budget=512), parts, r, group.all_gather(r))
        for r, part in enumerate(parts)
    ]
    whole = kvsieve.Plan("dynamickv", model, budget=512)
    generator = np.random.default_rng(4)
    for layer in range(layers):
        sums = generator.standard_gamma(0.2, (heads, 1, tokens)).astype(np.float32)
        whole.observe(layer, attention=sums, kind="sums")
        for plan, part in zip(plans, parts):
            plan.observe(layer, attention=sums[part.heads.start : part.heads.stop], kind="sums")
    whole.finish()
    assert run(plans, group) == [None] * 8
    for layer in range(layers):
        kept = whole.kept(layer)
        assert [plan.kept(layer).head(0).tolist() for plan in plans] == [
            kept.head(head).tolist() for head in range(heads)
        ]
    assert len(group.sent[0]) == 43
    assert sum(group.sent[0]) < 128 * 1024


def test_shares_send_a_row_a_head(method: kvsieve.MethodInfo) -> None:
    if not has(method, "share"):
        return
    chosen = settings(method, 20, 0.6, window=4, recent=5, sinks=2, shared=1, size=1, pyramid=2, share=2)
    for parts, heads in ((PARTS, 1), (pipeline_parallel(LAYERS, HEADS, 2), HEADS)):
        group = finished(method, parts, **chosen)
        if method.name != "streamingllm":
            rows = 2 if method.name == "windowkv" else 1
            most = 16 + 4 * TOKENS * (rows if heads < HEADS else 1)
            middle = [size - 256 for size in group.sent[0]][2:-1]
            assert len(middle) == len(parts[0].layers) and all(0 < size <= most for size in middle), middle
