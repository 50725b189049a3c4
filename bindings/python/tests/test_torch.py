"""Tensors of torch are read by what they say of themselves. torch is not installed here: a stand-in with its names."""

from __future__ import annotations

import sys
import types
from typing import Any

import numpy as np
import pytest
from dlpack_producer import Versioned

import kvsieve
from kvsieve import _torch
from kvsieve._tensor import tensor

STRIDED, SPARSE = object(), object()
BITS = {"neg": "negative", "conj": "conjugate"}


class Device(types.SimpleNamespace):
    type = "cpu"


class Tensor:
    """As torch.Tensor is, around an array; `why` is what is special about it."""

    def __init__(self, array: np.ndarray[Any, Any], why: str = "") -> None:
        self.array, self.why, self.asked = array, why, 0
        self.shape = array.shape
        self.dtype = "torch.bfloat16" if why == "bfloat16" else f"torch.{array.dtype}"
        self.device = Device(type="cuda" if why == "cuda" else "cpu")
        self.layout = SPARSE if why == "sparse" else STRIDED

    def element_size(self) -> int:
        return self.array.itemsize

    def stride(self) -> tuple[int, ...]:
        return tuple(stride // self.array.itemsize for stride in self.array.strides)

    def is_neg(self) -> bool:
        return self.why == "neg"

    def is_conj(self) -> bool:
        return self.why == "conj"

    def data_ptr(self) -> int:
        if self.why == "vmap":
            raise RuntimeError("Cannot access data pointer of Tensor that doesn't have storage")
        return self.array.ctypes.data

    def __dlpack__(self, **_: object) -> object:
        if self.why in BITS:  # torch exports the memory, without a word of the bit
            return Versioned(self.array).__dlpack__()
        raise BufferError(f"{self.why}: asked by DLPack")


class Parameter(Tensor):
    pass


class FakeTensor(Tensor):
    """A subclass may have no memory: it is not read."""


@pytest.fixture(autouse=True)
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = types.SimpleNamespace(Tensor=Tensor, nn=types.SimpleNamespace(Parameter=Parameter), strided=STRIDED)
    monkeypatch.setitem(sys.modules, "torch", stand_in)


def array() -> np.ndarray[Any, Any]:
    return np.arange(2 * 5 * 8, dtype=np.float32).reshape(2, 5, 8)[:, 1:, 2:6]


@pytest.mark.parametrize("kind", [Tensor, Parameter])
def test_the_struct_is_that_of_the_same_array(kind: type[Tensor]) -> None:
    rows = array()
    own, same = tensor("keys", kind(rows)), tensor("keys", rows)
    for field in ("data", "heads", "tokens", "head_stride", "token_stride", "dim", "dtype"):
        assert getattr(own.struct, field) == getattr(same.struct, field)
    assert own.memory.owner is not None and not own.memory.readonly


def test_bfloat16_has_torch_s_name() -> None:
    rows = np.zeros((2, 5, 8), np.uint16)
    assert tensor("keys", Tensor(rows, "bfloat16")).memory.dtype == "bfloat16"


@pytest.mark.parametrize("why", ["cuda", "sparse", "vmap"])
def test_what_has_no_such_memory_is_left_to_dlpack(why: str) -> None:
    special = Tensor(array(), why)
    assert _torch.memory(special) is None
    with pytest.raises(ValueError, match="keys"):
        tensor("keys", special)


@pytest.mark.parametrize("bit", BITS)
@pytest.mark.parametrize("kind", [Tensor, Parameter, FakeTensor])
def test_a_tensor_whose_numbers_are_not_in_memory_is_refused(kind: type[Tensor], bit: str) -> None:
    special: Any = kind(array(), bit)
    wanted = rf"with the {BITS[bit]} bit, .*: expected the numbers in memory; use tensor.resolve_{bit}\(\)"
    with pytest.raises(ValueError, match=f"keys is a tensor {wanted}"):
        tensor("keys", special)
    with pytest.raises(ValueError, match=f"values is a tensor {wanted}"):
        tensor("values", kvsieve.Paged(special, np.zeros(1, np.int32)), moved=True)
    with pytest.raises(ValueError, match=f"keys.blocks is a tensor {wanted}"):
        tensor("keys", kvsieve.Paged(np.zeros((2, 2, 4, 8), np.float32), special))
    with pytest.raises(ValueError, match=f"out is a tensor {wanted}"):
        tensor("out", special, writable=True)


def test_subclasses_are_left_to_dlpack() -> None:
    assert _torch.memory(FakeTensor(array())) is None


def test_without_torch_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    assert _torch.memory(Tensor(array())) is None
