"""Plan.ranges: against numpy's differences of what kept() and slots() say, for every method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import KV_HEADS, LAYERS, MODEL, TOKENS, Cache, fresh, noise, parameters, refused
from decoding_engine import Engine as Decoder
from extending_engine import ROUNDS
from extending_engine import Engine as Extended

import kvsieve


def ranges_of(positions: Any) -> np.ndarray:
    """Runs of a set of positions, by numpy."""
    ascending = np.sort(np.asarray(positions, np.int64))
    breaks = np.flatnonzero(np.diff(ascending) != 1) + 1
    runs = [run for run in np.split(ascending, breaks) if run.size]
    return np.array([[run[0], run[-1] + 1] for run in runs], np.int64).reshape(-1, 2)


def agrees(plan: kvsieve.Plan, layer: int, head: int, positions: Any, seen: int) -> None:
    for dropped, expected in ((False, positions), (True, np.setdiff1d(np.arange(seen), positions))):
        found = plan.ranges(layer, head, dropped)
        assert found.dtype == np.int32 and np.array_equal(found, ranges_of(expected)), (layer, head, dropped)


def all_agree(plan: kvsieve.Plan) -> None:
    for layer in range(LAYERS):
        kept = plan.kept(layer)
        for head in range(KV_HEADS):
            agrees(plan, layer, head, kept.head(head), kept.tokens)


def test_of_a_prompt(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        for layer in range(LAYERS):
            plan.observe(layer, *cache.layer(layer))
            for below in range(layer + 1):
                agrees(plan, below, 1, plan.kept(below).head(1), TOKENS)
        plan.finish()
        all_agree(plan)
        assert any(len(plan.ranges(layer, 0, True)) for layer in range(LAYERS)), "nothing was dropped"


def test_when_the_sequence_goes_on(method: kvsieve.MethodInfo) -> None:
    engine = Extended(method)
    all_agree(engine.plan)
    for m in ROUNDS:
        engine.go_on(m)
        all_agree(engine.plan)
    dropped = engine.plan.ranges(0, 0, True)
    kept = engine.plan.ranges(0, 0)
    assert np.sum(dropped[:, 1] - dropped[:, 0]) + np.sum(kept[:, 1] - kept[:, 0]) == engine.tokens


@pytest.mark.parametrize("name", [method.name for method in kvsieve.methods() if method.decodes])
def test_while_decoding(name: str) -> None:
    decoder = Decoder(next(method for method in kvsieve.methods() if method.name == name))
    for m, accepted in ((1, 1), (3, 1), (2, 2), (1, 1), (4, 0), (5, 5)) * 4:
        m = decoder.few(m)
        decoder.step(m, min(m, accepted))
        for layer in range(LAYERS):
            for head in range(KV_HEADS):
                agrees(decoder.plan, layer, head, decoder.books[layer][head], decoder.tokens)


@pytest.mark.parametrize("name", [method.name for method in kvsieve.methods() if method.decodes])
def test_gather_is_refused_in_a_layer_that_has_stepped(name: str) -> None:
    """Its slots hold other tokens than the prompt's selection; if every step is taken back they are the prompt's again."""
    decoder = Decoder(next(method for method in kvsieve.methods() if method.name == name))
    plan, source = decoder.plan, noise(31, KV_HEADS, decoder.tokens, 4)
    before = plan.gather(0, source)
    for layer in range(LAYERS):
        plan.gather(layer, source)
        plan.step(layer, **decoder.given(layer))
        for rope in (None, kvsieve.Rope([1.0])):
            error = refused("KVSIEVE_ERR_STATE", plan.gather, layer, source, np.zeros_like(source), rope=rope)
            assert error.message.startswith(f"gather of layer {layer} came after step")
    plan.trim(1)
    assert np.array_equal(plan.gather(0, source), before)


def test_the_result_is_a_copy(cache: Cache) -> None:
    with fresh() as plan:
        cache.through(plan)
        found = plan.ranges(0, 0)
        before = found.copy()
        plan.reset()
        plan.observe(0, *cache.layer(1))
        plan.ranges(0, 0)
        assert np.array_equal(found, before)


def test_what_is_refused(plan: kvsieve.Plan) -> None:
    refused("KVSIEVE_ERR_SHAPE", plan.ranges, LAYERS, 0)
    refused("KVSIEVE_ERR_SHAPE", plan.ranges, 0, -1)
    with pytest.raises(TypeError, match="head is 'a'"):
        plan.ranges(0, "a")  # type: ignore[arg-type]
    plan.reset()
    refused("KVSIEVE_ERR_STATE", plan.ranges, 0, 0)
