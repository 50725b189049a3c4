"""Plan.gather: each sentence of its docstring."""

from __future__ import annotations

import tracemalloc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, TOKENS, WINDOW, Cache, noise, refused
from dlpack_producer import Legacy

import kvsieve


def expected_rows(kept: kvsieve.Kept, source: np.ndarray) -> np.ndarray:
    return np.concatenate([source[head][kept.head(head)] for head in range(KV_HEADS)])


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_gather_into_a_new_array(dtype: Any, plan: kvsieve.Plan, cache: Cache) -> None:
    source = cache.values[0].astype(dtype)
    small = plan.gather(0, source)
    assert small.dtype == source.dtype and small.shape == (plan.kept(0).total, DIM)
    assert np.array_equal(small, expected_rows(plan.kept(0), source))


def test_gather_of_values_of_another_width(plan: kvsieve.Plan) -> None:
    wide = noise(5, KV_HEADS, TOKENS, 24)
    assert np.array_equal(plan.gather(0, wide), expected_rows(plan.kept(0), wide))


def test_gather_packed(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.zeros((1, kept.total, DIM), np.float32)
    assert plan.gather(0, cache.keys[0], out=out) is out
    assert np.array_equal(out[0], expected_rows(kept, cache.keys[0]))


def test_gather_padded_leaves_the_rest_alone(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.full((KV_HEADS, kept.longest + 3, DIM), 7, np.float32)
    assert plan.gather(0, cache.keys[0], out=out) is out
    for head, count in enumerate(kept.counts):
        assert np.array_equal(out[head, :count], cache.keys[0][head][kept.head(head)])
        assert np.all(out[head, count:] == 7)


def test_gather_into_a_token_major_view(plan: kvsieve.Plan, cache: Cache) -> None:
    kept = plan.kept(0)
    out = np.zeros((kept.longest, KV_HEADS, DIM), np.float32).transpose(1, 0, 2)
    plan.gather(0, cache.keys[0], out=out)
    assert np.array_equal(out[1, : kept.counts[1]], cache.keys[0][1][kept.head(1)])


@pytest.mark.parametrize("wrap", [lambda array: array, Legacy])
def test_gather_in_place(wrap: Any, plan: kvsieve.Plan, cache: Cache) -> None:
    kept, before = plan.kept(0), cache.keys[0].copy()
    array = wrap(cache.keys[0])
    assert plan.gather(0, array, out=array) is array
    for head, count in enumerate(kept.counts):
        assert np.array_equal(cache.keys[0][head, :count], before[head][kept.head(head)])
        assert np.array_equal(cache.keys[0][head, count:], before[head, count:])


def test_gather_from_dlpack_gives_numpy(plan: kvsieve.Plan, cache: Cache) -> None:
    source = Legacy(cache.keys[0].astype(ml_dtypes.bfloat16))
    small = plan.gather(0, source)
    assert type(small) is np.ndarray and np.array_equal(small, expected_rows(plan.kept(0), source.array))


def test_gather_refuses_a_target_of_another_kind(plan: kvsieve.Plan, cache: Cache) -> None:
    source, total = cache.keys[0], plan.kept(0).total
    refused("KVSIEVE_ERR_DTYPE", plan.gather, 0, source, np.zeros((1, total, DIM), np.float16))
    refused("KVSIEVE_ERR_SHAPE", plan.gather, 0, source, np.zeros((1, total - 1, DIM), np.float32))
    with pytest.raises(ValueError, match=r"out has shape \(\d+, 16\): expected three dimensions"):
        plan.gather(0, source, np.zeros((total, DIM), np.float32))
    locked = np.zeros((1, total, DIM), np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="out is read-only: expected memory that can be written"):
        plan.gather(0, source, locked)
    assert not locked.any()


def test_nothing_is_copied() -> None:
    """16 MB of tensors go through observe and gather; what Python and numpy allocate meanwhile is nothing beside it."""
    tokens, dim = 16384, 64
    model = kvsieve.Model(1, KV_HEADS, KV_HEADS, dim)
    queries, keys = noise(1, KV_HEADS, WINDOW, dim), noise(2, KV_HEADS, tokens, dim)
    token_major = keys.transpose(1, 0, 2).copy().transpose(1, 0, 2)
    with kvsieve.Plan("dynamickv", model, budget=64, window=WINDOW) as plan:
        out = np.zeros((KV_HEADS, tokens, dim), np.float32)
        tracemalloc.start()
        try:
            plan.observe(0, queries, token_major, keys)
            plan.finish()
            plan.gather(0, Legacy(keys), out=out)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 100_000 < keys.nbytes
