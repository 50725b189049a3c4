"""What compress takes and refuses of one sequence: layers, protected tokens, progress, bytes. Batches: test_compress_batch.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, TOKENS, WINDOW, Cache, noise

import kvsieve
from kvsieve import _compress

SETTINGS: dict[str, Any] = {"budget": 64, "window": WINDOW}


def test_a_layer_can_be_unpacked_and_indexed(cache: Cache) -> None:
    result = kvsieve.compress("snapkv", cache.queries, cache.keys, cache.values, **SETTINGS)
    assert isinstance(result, list) and len(result[1:]) == LAYERS - 1
    keys, values, kept = result[2]
    assert keys is result[2].keys and values is result[2].values and kept is result[2].kept


def test_bytes_before_and_after(cache: Cache) -> None:
    """Values of another width and dtype: 16 float32 and 24 float16 are 112 bytes."""
    values = noise(5, LAYERS, KV_HEADS, TOKENS, 24).astype(np.float16)
    result = kvsieve.compress("snapkv", cache.queries, cache.keys, values, **SETTINGS)
    assert result.bytes_before == cache.keys.nbytes + values.nbytes == LAYERS * KV_HEADS * TOKENS * 112
    assert result.bytes_after == sum(layer.keys.nbytes + layer.values.nbytes for layer in result)
    assert result[0].bytes_after == KV_HEADS * 64 * 112
    assert repr(result) == f"<kvsieve.Compressed of 4 layers: {LAYERS * KV_HEADS * TOKENS * 112} -> 57344 bytes>"


def test_bytes_of_paged_and_quantised_rows() -> None:
    """Of 100 tokens in 7 blocks of 16; a row of 32 numbers in q8_0 has 34 bytes."""
    rows = np.zeros((2, 100, 34), np.uint8)
    paged = kvsieve.Paged(noise(1, 9, 2, 16, 32), np.arange(7, dtype=np.int32), tokens=100)
    result = kvsieve.compress("streamingllm", None, [paged], [kvsieve.Quantised(rows, "q8_0")], budget=20)
    assert (result.bytes_before, result.bytes_after) == (2 * 100 * (128 + 34), 2 * 20 * (128 + 34))
    assert result[0].keys.nbytes + result[0].values.nbytes == result.bytes_after


@pytest.mark.parametrize("rows", [WINDOW, 50, TOKENS])
def test_all_queries_or_the_last(rows: int, cache: Cache) -> None:
    some = kvsieve.compress("snapkv", cache.queries[:, :, -rows:], cache.keys, cache.values, **SETTINGS)
    every = kvsieve.compress("snapkv", cache.queries, cache.keys, cache.values, **SETTINGS)
    for layer in range(LAYERS):
        assert np.array_equal(some[layer].kept.positions, every[layer].kept.positions)


def test_without_queries_where_none_are_read(cache: Cache) -> None:
    one = kvsieve.compress("keydiff", None, cache.keys, cache.values, budget=64)
    other = kvsieve.compress("keydiff", cache.queries, cache.keys, cache.values, budget=64)
    assert np.array_equal(one[3].kept.positions, other[3].kept.positions)
    with pytest.raises(kvsieve.KVSieveError, match="queries is NULL, but layer 0 reads it"):
        kvsieve.compress("snapkv", None, cache.keys, cache.values, **SETTINGS)


def test_protected_tokens_are_kept(cache: Cache) -> None:
    ranges = ((30, 5), (101, 1))
    result = kvsieve.compress("snapkv", cache.queries, cache.keys, cache.values, protect=ranges, **SETTINGS)
    plain = kvsieve.compress("snapkv", cache.queries, cache.keys, cache.values, **SETTINGS)
    wanted = {*range(30, 35), 101}
    heads = [(layer, head) for layer in range(LAYERS) for head in range(KV_HEADS)]
    assert all(wanted <= set(result[layer].kept.head(head).tolist()) for layer, head in heads)
    assert not all(wanted <= set(plain[layer].kept.head(head).tolist()) for layer, head in heads)
    assert result.bytes_after == plain.bytes_after


def test_a_ratio_and_threads(cache: Cache) -> None:
    """12 % of 200 tokens."""
    result = kvsieve.compress("ahakv", cache.queries, cache.keys, cache.values, ratio=0.12, window=WINDOW, threads=2)
    assert [layer.kept.counts.tolist() for layer in result] == [[24] * KV_HEADS] * LAYERS


def test_progress_is_told_after_each_layer(cache: Cache) -> None:
    told: list[tuple[int, int]] = []
    arrays: Any = [list(array[:, None]) for array in (cache.queries, cache.keys, cache.values)]
    kvsieve.compress("snapkv", *arrays, progress=lambda done, total: told.append((done, total)), **SETTINGS)
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    told.clear()
    two = [[np.repeat(layer, 2, axis=0) for layer in layers] for layers in arrays]
    kvsieve.compress("snapkv", *two, padding=0, progress=lambda *pair: told.append(pair), **SETTINGS)
    assert told == [(number, 8) for number in range(1, 9)]


class Stopped(BaseException):
    """As KeyboardInterrupt is."""


@pytest.mark.parametrize("raised", [Stopped, RuntimeError])
def test_a_progress_that_raises_leaves_no_plan(
    raised: type[BaseException], cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[kvsieve.Plan] = []

    class Noted(kvsieve.Plan):
        def __init__(self, *arguments: Any, **parameters: Any) -> None:
            super().__init__(*arguments, **parameters)
            made.append(self)

    def progress(done: int, _: int) -> None:
        if done == 2:
            raise raised("enough")

    monkeypatch.setattr(_compress, "Plan", Noted)
    with pytest.raises(raised, match="enough"):
        kvsieve.compress("snapkv", cache.queries, cache.keys, cache.values, progress=progress, **SETTINGS)
    assert [plan.closed for plan in made] == [True]


ROWS = noise(1, KV_HEADS, TOKENS, DIM)
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"keys": iter([ROWS])}, "keys is a .*iterator: expected a list of arrays, one a layer"),
    ({"keys": None}, "keys is a NoneType: expected a list of arrays, one a layer"),
    ({"values": None}, "values is a NoneType: expected a list"),
    ({"queries": "snapkv"}, "queries is a str: expected a list"),
    ({"values": {0: ROWS, 1: ROWS}}, "values is a dict: expected a list"),
    ({"values": [ROWS]}, "queries, keys, values have 2, 2, 1 layers: expected the same number, at least 1"),
    ({"queries": None, "values": [ROWS]}, "^keys, values have 2, 1 layers: expected the same number"),
    ({"values": [ROWS, None]}, r"values\[1\] is a NoneType: expected an array with"),
    ({"keys": [ROWS, ROWS[:, 1:]]}, r"keys\[1\] has 2 heads and 199 tokens: expected 2 and 200, as keys\[0\] has"),
    ({"values": [ROWS[:1], ROWS]}, r"values\[0\] has 1 heads and 200 tokens: expected 2 and 200, as keys\[0\] has"),
    ({"keys": ROWS}, r"keys\[0\] has shape \(200, 16\): expected three dimensions \(heads, tokens, dim\)"),
    ({"queries": [ROWS, [[1.0]]]}, r"queries\[1\] is a list: expected an array with"),
    ({"queries": [ROWS, np.stack([ROWS] * 2)]}, r"queries\[1\] has shape .*, a batch of 2: expected padding= with it"),
    ({"keys": [ROWS, ROWS.astype(np.int32)]}, r"keys\[1\] has dtype int32: expected float32"),
    ({"protect": (0, 120)}, r"protect\[0\] is 0: expected a pair \(first, count\)"),
    ({"protect": 120}, "protect is 120: expected a list of pairs"),
    ({"protect": [(0, 3), (5, 2, 1)]}, r"protect\[1\] is \(5, 2, 1\): expected a pair \(first, count\)"),
    ({"protect": [(0, 0.5)]}, r"protect\[0\]: count is 0.5: expected a whole number"),
    ({"progress": 1}, "progress is 1: expected a function of two numbers, done and total"),
    ({"progress": True}, "progress is True: expected a function"),
    ({"method": "slimkv"}, "method is 'slimkv': expected one of"),
    ({"bugdet": 64}, "snapkv has no parameter 'bugdet': it has budget"),
    ({"threads": "all"}, "threads is 'all': expected a number"),
    ({"scale": "big"}, "scale is 'big': expected a number"),
]


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED, ids=[row[1][:40] for row in REFUSED])
def test_what_is_refused_is_named(wrong: dict[str, Any], sentence: str) -> None:
    right: dict[str, Any] = {"method": "snapkv", "queries": [ROWS] * 2, "keys": [ROWS] * 2, "values": [ROWS] * 2}
    with pytest.raises((TypeError, ValueError), match=sentence):
        kvsieve.compress(**{**right, **SETTINGS, **wrong})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"protect": [(199, 2)]}, "tokens up to position 200 are protected; expected at most 199"),
        ({"protect": [(-1, 2)]}, "first is -1; expected 0"),
        ({"ratio": 7}, "ratio is 7; expected 0 ... 1"),
        ({"queries": [ROWS[:, :1]] * 2}, "queries.tokens is 1; expected at least 8"),
    ],
)
def test_what_the_library_refuses_is_named(wrong: dict[str, Any], sentence: str) -> None:
    right: dict[str, Any] = {"method": "snapkv", "queries": [ROWS] * 2, "keys": [ROWS] * 2, "values": [ROWS] * 2}
    with pytest.raises(kvsieve.KVSieveError, match=sentence):
        kvsieve.compress(**{**right, **SETTINGS, **wrong})
