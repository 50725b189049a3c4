"""step if only the shape of keys counts: the shape says how many tokens are new, and no number is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, QUERY_HEADS, refused
from decoding_engine import BUDGET, Engine
from registry import read

import kvsieve


@pytest.fixture(params=[method.name for method in kvsieve.methods() if method.decodes])
def engine(request: pytest.FixtureRequest) -> Engine:
    return Engine(next(method for method in kvsieve.methods() if method.name == request.param))


def unread(*shape: int) -> Any:
    return np.full(shape, np.nan, np.float32)


@pytest.mark.parametrize("rows", [0, 1, 2, BUDGET])
@pytest.mark.parametrize("m", [1, 3, BUDGET])
def test_keys_say_how_many_tokens_come(m: int, rows: int, engine: Engine) -> None:
    """`rows` of queries, 0: None. If there are some, they agree with the keys, read or not."""
    m = engine.few(m)
    queries, given = unread(QUERY_HEADS, rows, DIM) if rows else None, engine.given(0, m)
    reads = read(engine.plan.needs(0))
    if rows != m and (rows or reads):
        refused(
            "KVSIEVE_ERR_SHAPE" if rows else "KVSIEVE_ERR_NULL", engine.plan.step, 0, **{**given, "queries": queries}
        )
    if reads or rows not in (0, m):
        assert engine.plan.step(0, **given).shape == (KV_HEADS, m)
        return
    for keys in (unread(KV_HEADS, BUDGET + m, DIM), np.empty((KV_HEADS, BUDGET + m, 1), np.float16)):
        other = Engine(engine.plan.method)
        assert np.array_equal(other.plan.step(0, queries, keys), Engine(engine.plan.method).plan.step(0, **given))
    logits = unread(QUERY_HEADS, m, BUDGET + m)
    assert np.array_equal(engine.plan.step(0, logits=logits), Engine(engine.plan.method).plan.step(0, **given))


@pytest.mark.parametrize("rows", [1, BUDGET - 1, BUDGET, 2 * BUDGET + 2, 1 << 20])
def test_keys_of_another_length(rows: int, engine: Engine) -> None:
    """Fewer rows than slots in use, no new row, more than a step takes: nothing is written."""
    before, given = engine.slots(), engine.given(0)
    keys = np.empty((KV_HEADS, rows, DIM), np.float32)
    refused("KVSIEVE_ERR_SHAPE", engine.plan.step, 0, **{**given, "keys": keys})
    assert engine.slots() == before
    assert np.array_equal(engine.step(), Engine(engine.plan.method).step()) and engine.agrees()
