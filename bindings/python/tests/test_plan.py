"""Plan and Kept from observe to reset: each sentence of their docstrings."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, WINDOW, Cache, fresh, noise, parameters, refused
from registry import looked_at, read, sparing

import kvsieve


def test_needs_says_what_may_be_none(method: kvsieve.MethodInfo, cache: Cache) -> None:
    """Only what needs() names is given, and the choice is that of a plan that was given everything."""
    chosen = []
    for only in (True, False):
        with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
            for layer in range(LAYERS):
                given = dict(zip(("queries", "keys", "values"), cache.layer(layer)))
                needs = plan.needs(layer)
                assert isinstance(needs, frozenset) and needs <= {*given, "all_queries", "length"}
                assert "queries" in needs or "all_queries" not in needs
                assert "length" not in needs or not read(needs)
                plan.observe(layer, **(sparing(needs, given) if only else given))
            plan.finish()
            chosen.append([plan.kept(layer).positions.tolist() for layer in range(LAYERS)])
    assert chosen[0] == chosen[1]


def test_the_last_queries_are_enough_unless_all_are_needed(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        if "all_queries" in plan.needs(0):
            queries, keys, values = cache.layer(0)
            error = refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, queries[:, -WINDOW:], keys, values)
            assert "all tokens" in error.message
            return
        chosen = []
        for rows in (TOKENS, WINDOW + 1, WINDOW):
            cache.queries = cache.queries[:, :, -rows:]
            cache.through(plan)
            chosen.append([plan.kept(layer).positions.tolist() for layer in range(LAYERS)])
            plan.reset()
        assert chosen[0] == chosen[1] == chosen[2]


def test_a_layer_that_borrows_needs_nothing() -> None:
    with kvsieve.Plan("windowkv", MODEL, **parameters(kvsieve.Plan("windowkv", MODEL).method)) as plan:
        assert plan.needs(1) == frozenset()
        assert plan.needs(0) == {"queries", "keys"}


def test_none_where_the_library_needs_something(method: kvsieve.MethodInfo, cache: Cache) -> None:
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        given = dict(zip(("queries", "keys", "values"), cache.layer(0)))
        for name in looked_at(plan.needs(0)):
            assert name in refused("KVSIEVE_ERR_NULL", plan.observe, 0, **{**given, name: None}).message
        refused("KVSIEVE_ERR_NULL", plan.observe, 0)


def test_of_a_shape_heads_and_tokens_count(method: kvsieve.MethodInfo, cache: Cache) -> None:
    """Where keys are not read: their memory may be anything, their shape may not."""
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        given: dict[str, Any] = dict(zip(("queries", "keys", "values"), cache.layer(0)))
        for name in looked_at(plan.needs(0)):
            refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, **{**given, name: given[name][:1]})
        plan.observe(0, **given)
        plan.observe(1, **given)
        assert "keys" in looked_at(plan.needs(2))
        fewer = {**given, "keys": given["keys"][:, 1:]}  # another T
        assert "keys" in refused("KVSIEVE_ERR_SHAPE", plan.observe, 2, **fewer).message


def test_order_of_life(cache: Cache) -> None:
    with fresh() as plan:
        refused("KVSIEVE_ERR_STATE", plan.finish)
        refused("KVSIEVE_ERR_STATE", plan.kept, 0)
        refused("KVSIEVE_ERR_STATE", plan.observe, 1, *cache.layer(1))
        for layer in range(LAYERS):
            plan.observe(layer, *cache.layer(layer))
            assert plan.kept(layer).tokens == TOKENS  # what may still shrink
        refused("KVSIEVE_ERR_STATE", plan.gather, 0, cache.keys[0])
        plan.finish()
        refused("KVSIEVE_ERR_STATE", plan.finish)


def test_shapes_are_the_library_s_business(cache: Cache) -> None:
    with fresh() as plan:
        error = refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, cache.queries[0], cache.keys[0][:1], cache.values[0])
        assert "keys" in error.message
        for rows in (WINDOW - 1, TOKENS + 1):
            refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, noise(1, QUERY_HEADS, rows, DIM), *cache.layer(0)[1:])
        cache.through(plan)  # a failure leaves the plan as it was


@pytest.mark.parametrize("layer", [-1, LAYERS, 2**31 - 1])
def test_layer_out_of_range(layer: int, plan: kvsieve.Plan, cache: Cache) -> None:
    for call in (plan.kept, plan.needs, lambda number: plan.gather(number, cache.keys[0])):
        refused("KVSIEVE_ERR_SHAPE", call, layer)


@pytest.mark.parametrize("layer", [2**31, -(2**31) - 1, 2**32])
def test_layer_beyond_a_c_integer_is_refused_not_wrapped(layer: int, plan: kvsieve.Plan, cache: Cache) -> None:
    for call in (plan.kept, plan.needs, plan.observe, lambda number: plan.gather(number, cache.keys[0])):
        with pytest.raises(ValueError, match=f"layer is {layer}: expected an integer of 32 bits"):
            call(layer)


@pytest.mark.parametrize("layer", [0.0, "0", None])
def test_layer_of_another_type(layer: Any, plan: kvsieve.Plan) -> None:
    with pytest.raises(TypeError, match=f"layer is {layer!r}: expected a whole number"):
        plan.kept(layer)


def test_a_fault_of_an_array_names_the_argument(cache: Cache) -> None:
    plan, good = fresh(), cache.layer(0)
    for index, name in enumerate(("queries", "keys", "values")):
        bad: list[Any] = list(good)
        bad[index] = good[index].astype(np.float64)
        with pytest.raises(TypeError, match=f"{name} has dtype float64"):
            plan.observe(0, *bad)


def test_reset_makes_ready_for_the_next_sequence(cache: Cache) -> None:
    with fresh() as plan:
        first = cache.through(plan).kept(0).positions
        plan.reset()
        assert plan["budget"] == 64
        refused("KVSIEVE_ERR_STATE", plan.kept, 0)
        again = cache.through(plan).kept(0).positions
    assert np.array_equal(first, again)


def test_kept(plan: kvsieve.Plan) -> None:
    kept = plan.kept(0)
    assert kept.offsets.dtype == np.int64 and kept.offsets.shape == (KV_HEADS + 1,) and kept.offsets[0] == 0
    assert kept.positions.dtype == np.int32 and kept.positions.shape == (kept.total,)
    assert kept.counts.tolist() == [len(kept.head(head)) for head in range(KV_HEADS)]
    assert kept.longest == max(kept.counts) and kept.total == sum(kept.counts)
    assert kept.tokens == TOKENS
    for head in range(KV_HEADS):
        positions = kept.head(head)
        assert np.shares_memory(positions, kept.positions)
        assert np.all(np.diff(positions) > 0) and 0 <= positions[0] <= positions[-1] == TOKENS - 1


@pytest.mark.parametrize("head", [-1, KV_HEADS])
def test_no_such_head(head: int, plan: kvsieve.Plan) -> None:
    with pytest.raises(IndexError, match=f"head is {head}: expected 0 to {KV_HEADS - 1}"):
        plan.kept(0).head(head)


def test_kept_is_a_copy(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    before = (kept.offsets.tolist(), kept.positions.tolist())
    plan.reset()
    Cache(tokens=40).through(plan)
    plan.close()
    gc.collect()
    assert (kept.offsets.tolist(), kept.positions.tolist(), kept.tokens) == (*before, TOKENS)
    assert kept.positions.flags.owndata and kept.offsets.flags.owndata


def test_numbers_agree_with_the_library_s(plan: kvsieve.Plan) -> None:
    with plan._use() as handle:
        raw = plan._kept(handle, 0)
    kept = plan.kept(0)
    assert (raw.heads, raw.total, raw.longest, raw.tokens) == (KV_HEADS, kept.total, kept.longest, kept.tokens)
