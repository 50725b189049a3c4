"""Each status of attention that is given, of chunks, of bounds, ranges and rotated gathers, as Python gets it; the plan is as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, Cache, fresh, refused

import kvsieve

CACHE = Cache()
LOGITS = np.einsum("hrd,hnd->hrn", CACHE.queries[0], np.repeat(CACHE.keys[0], QUERY_HEADS // KV_HEADS, axis=0))
ROPE = kvsieve.Rope(np.ones(DIM // 2))
HALVES = np.zeros((KV_HEADS, TOKENS, DIM), np.float16)
Call = Callable[[kvsieve.Plan], Any]


def spoiled(array: np.ndarray, place: tuple[int, ...], value: float) -> np.ndarray:
    copy = array.copy()
    copy[place] = value
    return copy


def overlapping(array: np.ndarray) -> np.ndarray:
    """A row begins within the one before."""
    view: np.ndarray = np.lib.stride_tricks.as_strided(array, strides=(array.strides[0], 4, 4))
    return view


def plan_of(method: str, **parameters: Any) -> kvsieve.Plan:
    return kvsieve.Plan(method, MODEL, **parameters)


def given(plan: kvsieve.Plan, attention: Any, kind: str = "logits", layer: int = 0) -> None:
    plan.observe(layer, attention=attention, values=CACHE.values[0], kind=kind)


OF_ATTENTION: list[tuple[str, str, Call]] = [
    ("NULL", "reads keys and no attention", lambda _: given(plan_of("keydiff"), LOGITS)),
    ("NULL", "values is NULL", lambda _: plan_of("ahakv", budget=64).observe(0, attention=LOGITS)),
    ("SHAPE", "attention.heads is 3", lambda plan: given(plan, LOGITS[:3])),
    ("SHAPE", "attention.tokens is 3", lambda plan: given(plan, LOGITS[:, :3])),
    ("SHAPE", "layer is 9", lambda plan: given(plan, LOGITS, layer=9)),
    ("SHAPE", "column sums over all rows", lambda plan: given(plan, LOGITS, "sums")),
    ("LAYOUT", "attention.token_stride is 4", lambda plan: given(plan, overlapping(LOGITS))),
    ("STATE", "layer 1 was observed before layer 0", lambda plan: given(plan, LOGITS, layer=1)),
    ("BUDGET", "smallest budget is 32", lambda _: given(plan_of("snapkv", budget=3), LOGITS)),
    ("PARAMETER", "looks at each row", lambda _: given(plan_of("ahakv", budget=64), LOGITS[:, :1], "sums")),
    ("PARAMETER", "share is 2", lambda _: given(plan_of("h2o", budget=64, decoding=1, share=2), LOGITS)),
    ("NONFINITE", "row 7 has NaN", lambda plan: given(plan, spoiled(LOGITS[:, -8:], (1, 7, 0), np.nan))),
    ("NONFINITE", "below 0", lambda plan: given(plan, spoiled(LOGITS[:, -8:], (0, 0, 0), -1.0), "probabilities")),
]
OF_CHUNKS: list[tuple[str, str, Call]] = [
    ("SHAPE", "queries.heads is 3", lambda plan: plan.queries(0, CACHE.queries[0][:3])),
    ("SHAPE", "queries.dim is 15", lambda plan: plan.queries(0, np.ascontiguousarray(CACHE.queries[0][:, :, :15]))),
    ("SHAPE", "layer is -1", lambda plan: plan.queries(-1, CACHE.queries[0])),
    ("LAYOUT", "queries.token_stride is 4", lambda plan: plan.queries(0, overlapping(CACHE.queries[0]))),
    ("STATE", "queries of all tokens", lambda _: plan_of("h2o").queries(0, CACHE.queries[0])),
    ("PARAMETER", "size is 6", lambda _: plan_of("windowkv", size=6, block=4).queries(0, CACHE.queries[0])),
]
OF_BOUNDS: list[tuple[str, str, Call]] = [
    ("SHAPE", "layer is 4", lambda plan: plan.bound(LAYERS, 5)),
    ("SHAPE", "tokens is 0", lambda plan: plan.bound(0, 0)),
    ("SHAPE", "tokens is 16777217", lambda plan: plan.bound(0, 2**24 + 1)),
    ("PARAMETER", "size is 6", lambda _: plan_of("windowkv", size=6, block=4).bound(0, TOKENS)),
    ("BUDGET", "smallest budget is 32", lambda _: plan_of("snapkv", budget=3).bound(0, TOKENS)),
]


@pytest.mark.parametrize(("status", "words", "call"), OF_ATTENTION + OF_CHUNKS + OF_BOUNDS)
def test_before_a_layer_was_observed(status: str, words: str, call: Call, cache: Cache) -> None:
    with fresh() as plan:
        assert words in refused(f"KVSIEVE_ERR_{status}", call, plan).message
        found = cache.through(plan).kept(0).positions.tolist()
    with fresh() as other:
        assert found == cache.through(other).kept(0).positions.tolist()


def test_chunks_that_do_not_fit_each_other(cache: Cache) -> None:
    queries = cache.queries[0]
    with fresh() as plan:
        plan.queries(0, queries[:, :150])
        error = refused("KVSIEVE_ERR_DTYPE", plan.queries, 0, queries[:, 150:].astype(np.float16))
        assert "F16; expected F32" in error.message
        assert "expected NULL" in refused("KVSIEVE_ERR_STATE", plan.observe, 0, *cache.layer(0)).message
        assert "expected NULL" in refused("KVSIEVE_ERR_STATE", given, plan, LOGITS).message
        refused("KVSIEVE_ERR_STATE", plan.__setitem__, "budget", 9)
        plan.queries(0, queries[:, 150:])
        plan.queries(0, queries[:, :1])
        error = refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, None, cache.keys[0], cache.values[0])
        assert "201 queries" in error.message and "at most 200" in error.message
        plan.reset()
        plan.observe(0, *cache.layer(0))
        assert "after it was observed" in refused("KVSIEVE_ERR_STATE", plan.queries, 0, queries).message


AFTER: list[tuple[str, str, Call]] = [
    ("SHAPE", "layer is 4", lambda plan: plan.ranges(LAYERS, 0)),
    ("SHAPE", "head is 2", lambda plan: plan.ranges(0, KV_HEADS, True)),
    ("SHAPE", "source.tokens is 199", lambda plan: plan.gather(0, CACHE.keys[0][:, 1:], rope=ROPE)),
    ("SHAPE", "rope.dims is 18", lambda plan: plan.gather(0, CACHE.keys[0], rope=kvsieve.Rope(np.ones(9)))),
    ("LAYOUT", "source.token_stride is 4", lambda plan: plan.gather(0, overlapping(CACHE.keys[0]), rope=ROPE)),
    ("LAYOUT", "overlaps", lambda plan: plan.gather(0, CACHE.keys[0], CACHE.keys[0][:, 1:], rope=ROPE)),
    ("DTYPE", "target.dtype is F16", lambda plan: plan.gather(0, CACHE.keys[0], HALVES, rope=ROPE)),
    (
        "NONFINITE",
        "frequencies[0]",
        lambda plan: plan.gather(0, CACHE.keys[0], rope=kvsieve.Rope(np.full(8, np.inf, np.float32))),
    ),
    ("STATE", "after finish", lambda plan: given(plan, LOGITS)),
    ("STATE", "after it was observed", lambda plan: plan.queries(0, CACHE.queries[0])),
]


@pytest.mark.parametrize(("status", "words", "call"), AFTER)
def test_after_finish(status: str, words: str, call: Call, plan: kvsieve.Plan) -> None:
    before, keys = plan.kept(0).positions.tolist(), CACHE.keys[0].copy()
    assert words in refused(f"KVSIEVE_ERR_{status}", call, plan).message
    assert plan.kept(0).positions.tolist() == before and np.array_equal(CACHE.keys[0], keys) and not HALVES.any()


@pytest.mark.parametrize(("dtype", "poison"), [("float8_e4m3fn", 0x7F), ("float8_e5m2", 0xFC), ("q8_0", 0x7C)])
def test_narrow_numbers_that_are_not_finite(dtype: str, poison: int) -> None:
    """A number, or the upper byte of the scale of a block."""
    dim = 32
    row = 34 if dtype == "q8_0" else dim
    rows = np.full((1, 60, row), 0x11, np.uint8)
    rows[0, 40, 1] = poison
    with kvsieve.Plan("keydiff", kvsieve.Model(1, 1, 1, dim), budget=40) as plan:
        error = refused("KVSIEVE_ERR_NONFINITE", plan.observe, 0, None, kvsieve.Quantised(rows, dtype))
        assert "token 40" in error.message
        rows[0, 40, 1] = 0x11
        plan.observe(0, None, kvsieve.Quantised(rows, dtype))
        plan.finish()
        assert plan.kept(0).total == 40
