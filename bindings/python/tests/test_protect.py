"""Plan.protect: tokens that every head keeps, for every method; what they are beside: Tests/Shapes."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import KV_HEADS, LAYERS, MODEL, TOKENS, Cache, fresh, parameters, refused
from decoding_engine import Engine as Decoder
from extending_engine import Engine as Extended

import kvsieve

METHODS = kvsieve.methods()
RANGES = ((30, 5), (33, 4), (101, 1))
POSITIONS = {*range(30, 37), 101}


def protected(plan: kvsieve.Plan) -> kvsieve.Plan:
    for first, count in RANGES:
        plan.protect(first, count)
    return plan


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_head_keeps_them(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with protected(kvsieve.Plan(method.name, MODEL, **parameters(method))) as plan:
        bounds = [plan.bound(layer, TOKENS) for layer in range(LAYERS)]
        cache.through(plan)
        for layer in range(LAYERS):
            heads = [plan.kept(layer).head(head) for head in range(KV_HEADS)]
            assert all(POSITIONS <= set(head.tolist()) for head in heads)
            assert all(len(head) <= bounds[layer] for head in heads)
            assert all((np.diff(head) > 0).all() for head in heads)


def test_they_count_against_the_budget(cache: Cache) -> None:
    with protected(fresh()) as plan:
        budget = int(plan["budget"])
        cache.through(plan)
        assert np.mean([plan.kept(layer).counts.mean() for layer in range(LAYERS)]) <= budget
        plan.reset()
        plan["budget"] = 10
        protected(plan)
        error = refused("KVSIEVE_ERR_BUDGET", plan.observe, 0, *cache.layer(0))
        assert "8 protected tokens" in error.message
        plan["budget"] = int(error.message.split()[-1])
        plan.observe(0, *cache.layer(0))


def test_reset_forgets_them(cache: Cache) -> None:
    with fresh() as plan, fresh() as plain:
        protected(plan).reset()
        cache.through(plan)
        cache.through(plain)
        for layer in range(LAYERS):
            assert np.array_equal(plan.kept(layer).positions, plain.kept(layer).positions)


def test_after_extend_new_tokens_only() -> None:
    engine = Extended(METHODS[0])
    plan = engine.plan
    seen = plan.kept(0).tokens
    plan.extend(6)
    refused("KVSIEVE_ERR_SHAPE", plan.protect, seen - 1, 2)
    refused("KVSIEVE_ERR_SHAPE", plan.protect, seen, 7)
    plan.protect(seen, 6)


@pytest.mark.parametrize("method", [method for method in METHODS if method.decodes], ids=lambda method: method.name)
def test_too_late(method: kvsieve.MethodInfo) -> None:
    decoder = Decoder(method)
    refused("KVSIEVE_ERR_STATE", decoder.plan.protect, 0, 1)
    decoder.step(1, 1)
    refused("KVSIEVE_ERR_STATE", decoder.plan.protect, decoder.tokens - 1, 1)


@pytest.mark.parametrize(
    ("first", "count"), [(-1, 1), (0, 0), (0, -1), (1 << 24, 1), (0, (1 << 24) + 1), (2**63 - 1, 2**63 - 1)]
)
def test_out_of_bounds(first: int, count: int) -> None:
    with fresh() as plan:
        refused("KVSIEVE_ERR_SHAPE", plan.protect, first, count)
        with pytest.raises(TypeError, match="first is 'a'"):
            plan.protect("a", count)  # type: ignore[arg-type]
