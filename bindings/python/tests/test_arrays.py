"""What may be handed over as an array, and that it is taken as it is."""

from __future__ import annotations

import ctypes
import mmap
import sys
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, TOKENS, Cache, fresh, noise
from described import KEYS, described, head_major
from dlpack_producer import Legacy, Versioned

import kvsieve
from kvsieve import _tensor

# -- Ways to hand over the same memory -------------------------------------------------------------------------------


class Interface:
    """Nothing but __array_interface__."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.__array_interface__ = array.__array_interface__


@pytest.mark.parametrize("wrap", [lambda a: a, Interface, Legacy, Versioned, memoryview])
@pytest.mark.parametrize(("dtype", "code"), [("float32", 0), ("float16", 1)])
def test_every_protocol_gives_the_same_view(wrap: Any, dtype: str, code: int) -> None:
    array = KEYS.astype(dtype)
    assert described(wrap(array)) == head_major(array, code)


def test_bfloat16_of_ml_dtypes() -> None:
    array = KEYS.astype(ml_dtypes.bfloat16)
    assert described(array) == head_major(array, 2)


@pytest.mark.parametrize("producer", [Legacy, Versioned])
def test_bfloat16_by_dlpack(producer: Any) -> None:
    array = KEYS.astype(ml_dtypes.bfloat16)
    assert described(producer(array)) == head_major(array, 2)


def test_buffer_of_something_that_is_not_numpy() -> None:
    raw = mmap.mmap(-1, KEYS.nbytes)
    raw.write(KEYS.tobytes())
    view = memoryview(raw).cast("f", KEYS.shape)
    array = np.asarray(view)
    assert described(view) == head_major(array)
    assert np.array_equal(array, KEYS)


# -- Strides ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda a: a, Interface, Legacy, Versioned, memoryview])
def test_token_major_view_is_taken_as_it_is(wrap: Any) -> None:
    token_major = noise(2, TOKENS, KV_HEADS, DIM).transpose(1, 0, 2)
    expected = (token_major.ctypes.data, KV_HEADS, TOKENS, DIM * 4, KV_HEADS * DIM * 4, DIM, 0)
    assert described(wrap(token_major)) == expected


@pytest.mark.parametrize("wrap", [lambda a: a, Interface, Legacy, Versioned, memoryview])
def test_slices_are_taken_as_they_are(wrap: Any) -> None:
    whole = noise(2, 4, 300, 2 * DIM)
    part = whole[1::2, 10:210:2, DIM:]
    address = whole.ctypes.data + 1 * 300 * 2 * DIM * 4 + 10 * 2 * DIM * 4 + DIM * 4
    assert described(wrap(part)) == (address, 2, 100, 2 * 300 * 2 * DIM * 4, 2 * 2 * DIM * 4, DIM, 0)


@pytest.mark.parametrize(
    "view", [KEYS[:, ::-1], KEYS[::-1], np.broadcast_to(KEYS[:1], KEYS.shape)], ids=["tokens", "heads", "broadcast"]
)
def test_strides_that_the_library_refuses_reach_it(view: np.ndarray) -> None:
    assert described(view)[3:5] == view.strides[:2]
    plan = fresh()
    with pytest.raises(kvsieve.KVSieveError) as caught:
        plan.observe(0, *[Cache().queries[0], view, KEYS])
    assert caught.value.name == "KVSIEVE_ERR_LAYOUT"


def test_rows_that_are_not_contiguous_are_refused_and_not_copied() -> None:
    with pytest.raises(ValueError, match=r"keys has elements 8 bytes apart in a row: expected contiguous rows \(4 byt"):
        described(KEYS[:, :, ::2])
    with pytest.raises(ValueError, match="keys has elements -4 bytes apart in a row"):
        described(KEYS[:, :, ::-1])
    with pytest.raises(ValueError, match="contiguous rows"):
        described(Legacy(KEYS[:, :, ::2]))
    with pytest.raises(ValueError, match="contiguous rows"):
        described(np.asfortranarray(KEYS))


def test_a_row_of_one_element_is_contiguous_whatever_its_stride() -> None:
    column = KEYS[:, :, 3:4]
    assert described(column) == (KEYS.ctypes.data + 12, KV_HEADS, TOKENS, TOKENS * DIM * 4, DIM * 4, 1, 0)


def test_dlpack_without_strides_is_c_order() -> None:
    producer = Legacy(KEYS)
    producer.tensor.strides = None
    assert described(producer) == head_major(KEYS)


def test_dlpack_byte_offset_is_added() -> None:
    assert described(Legacy(KEYS, offset=64)) == head_major(KEYS)


def test_same_choice_by_every_layout() -> None:
    """One cache as numpy head-major, token-major and DLPack: the positions are the same."""
    cache, chosen = Cache(), []
    wraps: tuple[Any, ...] = (
        np.asarray,
        lambda a: a.transpose(1, 0, 2).copy().transpose(1, 0, 2),
        Legacy,
        Versioned,
        memoryview,
    )
    for wrap in wraps:
        with fresh() as plan:
            for layer in range(LAYERS):
                plan.observe(layer, *map(wrap, cache.layer(layer)))
            plan.finish()
            chosen.append([plan.kept(layer).positions.tolist() for layer in range(LAYERS)])
    assert all(one == chosen[0] for one in chosen)


def test_same_choice_by_bfloat16_of_either_kind_and_float32_of_the_same_numbers() -> None:
    cache, chosen = Cache(), []
    wraps: tuple[Any, ...] = (np.asarray, lambda a: a.astype(np.float32), Legacy, Versioned)
    for wrap in wraps:
        with fresh() as plan:
            for layer in range(LAYERS):
                plan.observe(layer, *(wrap(array.astype(ml_dtypes.bfloat16)) for array in cache.layer(layer)))
            plan.finish()
            chosen.append([plan.kept(layer).positions.tolist() for layer in range(LAYERS)])
    assert all(one == chosen[0] for one in chosen)


# -- Read-only, and who owns what ------------------------------------------------------------------------------------


def read_only(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


@pytest.mark.parametrize(
    "wrap", [lambda a: a, Interface, memoryview, lambda a: Versioned(a, flags=1), lambda a: memoryview(a.tobytes())]
)
def test_read_only_memory_is_a_source_but_no_target(wrap: Any) -> None:
    array = wrap(read_only(KEYS))
    if isinstance(array, memoryview) and array.format == "B":
        array = array.cast("f", KEYS.shape)
    assert described(array)[1:] == head_major(KEYS)[1:]
    with pytest.raises(ValueError, match="keys is read-only: expected memory that can be written"):
        _tensor.tensor("keys", array, writable=True)


@pytest.mark.parametrize("producer", [Legacy, Versioned])
def test_a_capsule_is_held_during_the_call_and_freed_by_its_own_destructor(producer: Any) -> None:
    array = producer(KEYS)
    held = _tensor.tensor("keys", array)
    assert (array.made, array.freed) == (1, 0)
    del held
    assert (array.made, array.freed) == (1, 1)


@pytest.mark.parametrize("producer", [Legacy, Versioned])
def test_nothing_is_held_after_a_call_or_a_failed_call(producer: Any, cache: Cache) -> None:
    queries, keys, values = map(producer, cache.layer(0))
    plan = fresh()
    plan.observe(0, queries, keys, values)
    with pytest.raises(kvsieve.KVSieveError):
        plan.observe(0, queries, keys, values)  # out of order
    for array in (queries, keys, values):
        assert (array.made, array.freed) == (2, 2)


def test_numpy_arrays_are_not_held_after_a_call(cache: Cache) -> None:
    keys = cache.keys[0].copy()
    before = sys.getrefcount(keys)
    fresh().observe(0, cache.queries[0], keys, cache.values[0])
    assert sys.getrefcount(keys) == before


def test_newer_producers_are_asked_for_a_view() -> None:
    producer = Versioned(KEYS)
    described(producer)
    assert producer.asked == {"max_version": (1, 0), "copy": False}


# -- The structure ---------------------------------------------------------------------------------------------------


def test_null_data_reaches_the_library_as_null() -> None:
    nothing = Legacy(KEYS)
    nothing.tensor.data = None
    assert _tensor.tensor("keys", nothing).struct.data is None


def test_dtype_of_a_new_array(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _tensor.numpy_dtype("float16") == np.float16
    assert _tensor.numpy_dtype("bfloat16") == ml_dtypes.bfloat16
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(TypeError, match="numpy has no bfloat16: install ml_dtypes, or pass an array as `out`"):
        _tensor.numpy_dtype("bfloat16")


def test_pointer_is_to_the_structure() -> None:
    view = _tensor.tensor("keys", KEYS)
    assert ctypes.cast(view.pointer, ctypes.c_void_p).value == ctypes.addressof(view.struct)


def test_a_batch_of_one_is_its_sequence() -> None:
    for wrap in (np.asarray, Legacy):
        assert described(wrap(KEYS[np.newaxis])) == head_major(KEYS)
        assert described(wrap(KEYS[np.newaxis, :, 1:])) == (KEYS[:, 1:].ctypes.data, *described(KEYS[:, 1:])[1:])


class Gradient:
    """As torch's tensors with requires_grad: they are exported once they are detached, which copies nothing."""

    requires_grad = True

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **_: object) -> Any:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")

    def detach(self) -> Legacy:
        return Legacy(self.array)


def test_tensors_that_require_a_gradient_are_read() -> None:
    assert described(Gradient(KEYS)) == head_major(KEYS)


class Making(Legacy):
    """As torch's: it can make another of its kind and dtype."""

    def new_empty(self, shape: tuple[int, ...]) -> Making:
        return Making(np.empty(shape, self.array.dtype))

    def __getitem__(self, key: None) -> Making:
        return Making(self.array[key])


def test_what_torch_hands_in_torch_gets_back(cache: Cache) -> None:
    with cache.through(fresh()) as plan:
        expected = plan.gather(0, cache.keys[0])
        found = plan.gather(0, Making(cache.keys[0]))
        assert isinstance(found, Making)
        np.testing.assert_array_equal(found.array, expected)
        assert isinstance(plan.gather(0, Making(cache.keys[0][np.newaxis])), Making)
