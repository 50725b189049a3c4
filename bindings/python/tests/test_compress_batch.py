"""compress of a batch: left-padded sequences, each as it would be alone, and nothing of the padding.

Letters: B sequences, Hq query heads, H key/value heads, T tokens, D head size.
"""

from __future__ import annotations

from collections import UserDict
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, QUERY_HEADS, TOKENS, WINDOW, noise, parameters
from dlpack_producer import Legacy

import kvsieve

PADDING = [0, 60, 133]
BATCH = len(PADDING)
HEADS = {"queries": QUERY_HEADS, "keys": KV_HEADS, "values": KV_HEADS}
SHAPE = (BATCH, KV_HEADS, TOKENS, DIM)
SETTINGS: dict[str, Any] = {"budget": 64, "window": WINDOW}
Arrays = dict[str, Any]


def batch(dtype: Any = np.float32) -> Arrays:
    """An array (B, heads, T, D) a layer; NaN where padding is."""
    arrays: Arrays = {}
    for stream, (name, heads) in enumerate(HEADS.items()):
        whole = noise(stream, LAYERS, BATCH, heads, TOKENS, DIM).astype(dtype)
        for sequence, padded in enumerate(PADDING):
            whole[:, sequence, :, :padded] = np.nan
        arrays[name] = list(whole)
    return arrays


def alone(arrays: Arrays, sequence: int, rows: int = TOKENS) -> Arrays:
    """One sequence's own tokens, copied; of queries the last `rows`."""
    padded = PADDING[sequence]
    cut = {name: [layer[sequence, :, padded:].copy() for layer in layers] for name, layers in arrays.items()}
    return {**cut, "queries": [layer[:, -rows:].copy() for layer in cut["queries"]]}


def same(one: kvsieve.Compressed[Any], other: kvsieve.Compressed[Any]) -> None:
    assert len(one) == len(other) == LAYERS
    for (keys, values, kept), expected in zip(one, other):
        assert np.array_equal(kept.positions, expected.kept.positions)
        assert np.array_equal(kept.offsets, expected.kept.offsets) and kept.tokens == expected.kept.tokens
        assert np.array_equal(keys, expected.keys) and np.array_equal(values, expected.values)


def test_each_sequence_is_as_it_is_alone(method: kvsieve.MethodInfo) -> None:
    arrays, settings = batch(), parameters(method)
    results = kvsieve.compress(method.name, **arrays, padding=PADDING, **settings)
    assert len(results) == BATCH
    for sequence, result in enumerate(results):
        same(result, kvsieve.compress(method.name, **alone(arrays, sequence), **settings))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_rows_are_those_behind_the_padding(dtype: Any) -> None:
    arrays = batch(dtype)
    results = kvsieve.compress("keydiff", None, arrays["keys"], arrays["values"], padding=PADDING, budget=40)
    for sequence, result in enumerate(results):
        for layer, one in enumerate(result):
            assert one.kept.tokens == TOKENS - PADDING[sequence]
            for name, rows in (("keys", one.keys), ("values", one.values)):
                source = arrays[name][layer][sequence]
                heads = [source[head][PADDING[sequence] + one.kept.head(head)] for head in range(KV_HEADS)]
                assert rows.dtype == dtype and np.array_equal(rows, np.concatenate(heads))


@pytest.mark.parametrize("rows", [WINDOW, 100])
def test_the_last_queries_are_enough(rows: int) -> None:
    """100 reach into the padding of the third, which has 67 tokens."""
    arrays, settings = batch(), SETTINGS
    last = {**arrays, "queries": [layer[:, :, -rows:] for layer in arrays["queries"]]}
    results = kvsieve.compress("snapkv", **last, padding=PADDING, **settings)
    for sequence, result in enumerate(results):
        same(result, kvsieve.compress("snapkv", **alone(arrays, sequence, rows), **settings))


@pytest.mark.parametrize(
    "padding", [60, np.int32(60), np.array(60), [60] * BATCH, np.full(BATCH, 60), (60, np.int64(60), np.uint8(60))]
)
def test_padding_is_one_number_or_one_a_sequence(padding: Any) -> None:
    keys = [noise(layer, *SHAPE) for layer in range(2)]
    results = kvsieve.compress("keydiff", None, keys, keys, padding=padding, budget=40)
    assert [result[1].kept.tokens for result in results] == [TOKENS - 60] * BATCH


def test_the_layer_may_be_the_first_axis() -> None:
    arrays = batch()
    stacked: Arrays = {name: np.stack(layers) for name, layers in arrays.items()}
    results = kvsieve.compress("snapkv", **stacked, padding=PADDING, budget=40)
    for one, other in zip(results, kvsieve.compress("snapkv", **arrays, padding=PADDING, budget=40)):
        same(one, other)


def test_protected_tokens_are_so_in_each_sequence() -> None:
    arrays = batch()
    results = kvsieve.compress(
        "streamingllm", None, arrays["keys"], arrays["values"], padding=PADDING, protect=[(30, 3), (40, 1)], budget=20
    )
    for result in results:
        for layer in result:
            assert all({30, 31, 32, 40} <= set(layer.kept.head(head).tolist()) for head in range(KV_HEADS))


def test_a_batch_of_one_is_a_list_if_padding_is_given() -> None:
    keys = [noise(1, 1, *SHAPE[1:])]
    (result,) = kvsieve.compress("keydiff", None, keys, keys, padding=0, budget=40)
    same_as = kvsieve.compress("keydiff", None, keys, keys, budget=40)
    assert np.array_equal(result[0].keys, same_as[0].keys)


def test_bytes_are_those_of_the_sequence_s_own_tokens() -> None:
    arrays = batch(np.float16)
    results = kvsieve.compress("keydiff", None, arrays["keys"], arrays["values"], padding=PADDING, budget=40)
    for sequence, result in enumerate(results):
        own = alone(arrays, sequence)
        assert result.bytes_before == sum(rows.nbytes for rows in own["keys"] + own["values"])
        assert result.bytes_after == LAYERS * KV_HEADS * 40 * 2 * 2 * DIM


class Bool:
    """A number of torch's: it is an index, too."""

    dtype = "torch.bool"

    def __index__(self) -> int:
        return 1

    def __repr__(self) -> str:
        return "tensor(True)"


MASKS: list[Any] = [True, np.True_, np.array(True), Bool(), [0, True, 1], (True,) * 3, np.ones(3, bool), [Bool()] * 3]
KEYS = [noise(1, *SHAPE)] * 2
REFUSED: list[tuple[Any, Any, Any, str]] = [
    (KEYS, KEYS, None, r"keys\[0\] has shape \(3, 2, 200, 16\), a batch of 3: expected padding= with it"),
    (KEYS, KEYS, "left", "padding is a str: expected how many tokens each sequence is padded with in front"),
    (KEYS, KEYS, b"\0\1\2", "padding is a bytes: expected how many"),
    (KEYS, KEYS, bytearray(3), "padding is a bytearray: expected how many"),
    (KEYS, KEYS, {0: 0, 1: 1, 2: 2}, "padding is a dict: expected how many"),
    (KEYS, KEYS, UserDict({0: 0, 1: 1, 2: 2}), "padding is a UserDict: expected how many"),
    *((KEYS, KEYS, mask, "padding is (True|.*True.*), or has it: expected how many .*, not a mask") for mask in MASKS),
    (KEYS, KEYS, [0, 1], "padding has 2 numbers: expected 3, one a sequence"),
    (KEYS, KEYS, [0, 1, -1], r"padding\[2\] is -1: expected 0 to 199, as there are 200 tokens"),
    (KEYS, KEYS, [200, 1, 1], r"padding\[0\] is 200: expected 0 to 199"),
    (KEYS, KEYS, [0, 1.5, 1], r"padding\[1\] is 1.5: expected a whole number"),
    (
        KEYS,
        KEYS,
        np.ones((3, 200), np.int64),
        r"padding has shape \(3, 200\): expected one number a sequence, not a mask",
    ),
    (KEYS, KEYS, 1 << 70, r"padding\[0\] is 1180591620717411303424: expected an integer of 64 bits"),
    ([KEYS[0][0]], [KEYS[0]], 0, r"keys\[0\] has shape \(2, 200, 16\), and padding is given: expected \(batch, heads"),
    ([KEYS[0][:0]], [KEYS[0]], 0, r"keys\[0\] has shape \(0, .*: expected \(batch, .* a batch of at least 1"),
    ([KEYS[0], KEYS[0][:2]], KEYS, 0, r"keys\[1\] has shape \(2, 2, 200, 16\): expected \(batch, .*, a batch of 3"),
    (KEYS, [KEYS[0], KEYS[0][0]], 0, r"values\[1\] has shape \(2, 200, 16\): expected \(batch"),
    (KEYS, [KEYS[0], KEYS[0][:, :, 1:]], 0, r"values\[1\] has 2 heads and 199 tokens: expected 2 and 200"),
    ([KEYS[0].astype(int)], [KEYS[0]], 0, r"keys\[0\] has dtype int64: expected float32"),
    ([Legacy(KEYS[0])], [KEYS[0]], 0, r"keys\[0\] is a Legacy: expected a batch as an array of numpy, torch or jax"),
    ([kvsieve.Paged(KEYS[0], np.zeros(3, np.int32))], [KEYS[0]], 0, r"keys\[0\] is a Paged: expected an array"),
    ([KEYS[0].tolist()], [KEYS[0]], 0, r"keys\[0\] is a list: expected an array"),
]


@pytest.mark.parametrize(("keys", "values", "padding", "sentence"), REFUSED, ids=[row[3][:40] for row in REFUSED])
def test_what_is_no_batch(keys: Any, values: Any, padding: Any, sentence: str) -> None:
    with pytest.raises((TypeError, ValueError), match=sentence):
        kvsieve.compress("keydiff", None, keys, values, padding=padding, budget=20)


def test_more_queries_than_tokens_are_refused_as_of_one_sequence() -> None:
    """146 rows of 96 tokens; 3 or 93 of them would be in the padding."""

    def sentence(rows: int, tokens: int) -> str:
        return f"queries.tokens is {rows}; expected at least 8, min(window 8, tokens {tokens}), and at most {tokens}"

    arrays: Arrays = {
        name: [noise(number, BATCH, heads, 146, DIM)] for number, (name, heads) in enumerate(HEADS.items())
    }
    short: Arrays = {
        name: [layer[:, :, :96] for layer in layers] if name != "queries" else layers for name, layers in arrays.items()
    }
    one: Arrays = {name: [layer[0] for layer in layers] for name, layers in short.items()}
    with pytest.raises(kvsieve.KVSieveError) as alone:
        kvsieve.compress("snapkv", **one, **SETTINGS)
    assert alone.value.message == sentence(146, 96)
    paddings: list[Any] = [0, 3, [0, 60, 93]]
    for padding in paddings:
        with pytest.raises(kvsieve.KVSieveError) as batched:
            kvsieve.compress("snapkv", **short, padding=padding, **SETTINGS)
        first = padding if isinstance(padding, int) else 0
        assert batched.value.message == f"sequence 0: {sentence(146 - first, 96 - first)}"
        assert (batched.value.status, batched.value.name) == (alone.value.status, alone.value.name)


def test_an_error_names_the_sequence() -> None:
    """Position 100 is none of the third's, which has 67 tokens; the second's key of token 150 is NaN."""
    arrays = batch()
    with pytest.raises(kvsieve.KVSieveError, match="^KVSIEVE_ERR_.*: sequence 2: .* position 100"):
        kvsieve.compress("snapkv", **arrays, padding=PADDING, protect=[(100, 1)], **SETTINGS)
    arrays["keys"][1][1, :, 150] = np.nan
    with pytest.raises(kvsieve.KVSieveError, match="^KVSIEVE_ERR_NONFINITE: sequence 1: .* of layer 1"):
        kvsieve.compress("snapkv", **arrays, padding=PADDING, **SETTINGS)


def test_what_progress_raises_is_not_of_the_batch() -> None:
    raised = kvsieve.KVSieveError(-1, "KVSIEVE_ERR_NULL", "another plan's")

    def progress(_: int, __: int) -> None:
        raise raised

    with pytest.raises(kvsieve.KVSieveError) as caught:
        kvsieve.compress("snapkv", **batch(), padding=PADDING, progress=progress, **SETTINGS)
    assert caught.value is raised and caught.value.message == "another plan's"
