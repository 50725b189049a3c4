"""Arrays of every kind that hold the rows of a plain one: right ones, which the package takes, and wrong ones, which it refuses.

A form makes of a contiguous array (heads, tokens, dim) the same numbers in another guise, or returns None where it is none of such
an array. Wrong forms say of what they are wrong in any place; what is wrong only for keys, or only for a target, is not here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import kvsieve

Numbers = npt.NDArray[Any]
Form = Callable[[Numbers, np.random.Generator], Any]


class Interface:
    """An array by __array_interface__ alone."""

    def __init__(self, array: Numbers) -> None:
        self.__array_interface__ = array.__array_interface__
        self.owner = array


class Capsules:
    """An array by DLPack alone."""

    def __init__(self, array: Numbers) -> None:
        self.array = array

    def __dlpack__(self, **keywords: Any) -> Any:
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


class Subclass(np.ndarray[Any, np.dtype[Any]]):
    """One that says something else of its own shape is not an array; this one only has another name."""


def _native(array: Numbers) -> bool:
    """Is its dtype one that numpy has without ml_dtypes?"""
    return array.dtype in (np.float32, np.float16)


def _in_larger(array: Numbers, rng: np.random.Generator) -> Any:
    heads, tokens, dim = array.shape
    larger = np.full((heads + 1, 2 * tokens + 3, dim + 5), np.nan).astype(array.dtype)
    view = larger[1:, 3 : 3 + 2 * tokens : 2, 2 : 2 + dim]
    view[...] = array
    return view


def _read_only(array: Numbers, rng: np.random.Generator) -> Any:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _token_major(array: Numbers, rng: np.random.Generator) -> Any:
    return np.ascontiguousarray(array.transpose(1, 0, 2)).transpose(1, 0, 2)


def _paged(array: Numbers, rng: np.random.Generator) -> Any:
    heads, tokens, dim = array.shape
    block = int(rng.integers(1, 9))
    entries = -(-tokens // block)
    table = rng.permutation(entries + 2)[:entries].astype(np.int32)
    data = np.full((entries + 2, heads, block, dim), np.nan).astype(array.dtype)
    for token in range(tokens):
        data[table[token // block], :, token % block] = array[:, token]
    return kvsieve.Paged(data, table, tokens)


def _odd_stride(array: Numbers, rng: np.random.Generator) -> Any:
    """The stride of one head is nobody's."""
    if array.shape[0] != 1:
        return None
    stride = int(rng.choice([0, -3, 1 << 40]))
    return np.lib.stride_tricks.as_strided(array, strides=(stride, *array.strides[1:]))


def _of_torch(array: Numbers, rng: np.random.Generator) -> Any:
    try:
        import torch
    except ImportError:
        return None
    return torch.from_numpy(array) if _native(array) else None


RIGHT: dict[str, Form] = {
    "plain": lambda array, rng: array,
    "copy": lambda array, rng: array.copy(),
    "view in a larger one": _in_larger,
    "read-only": _read_only,
    "token-major": _token_major,
    "batch of one": lambda array, rng: array[None],
    "memoryview": lambda array, rng: memoryview(array) if _native(array) else None,  # type: ignore[arg-type]
    "interface": lambda array, rng: Interface(array) if _native(array) else None,
    "DLPack": lambda array, rng: Capsules(array) if _native(array) else None,
    "subclass": lambda array, rng: array.view(Subclass),
    "paged": _paged,
    "odd stride of one head": _odd_stride,
    "torch": _of_torch,
}


def _reversed(axis: int) -> Form:
    def form(array: Numbers, rng: np.random.Generator) -> Any:
        return np.flip(array, axis) if array.shape[axis] > 1 else None

    return form


def _fortran(array: Numbers, rng: np.random.Generator) -> Any:
    made = np.asfortranarray(array)
    return made if made.shape[2] > 1 and made.strides[2] != made.itemsize else None


def _misaligned(array: Numbers, rng: np.random.Generator) -> Any:
    if array.itemsize == 1:
        return None
    memory = np.zeros(array.nbytes + 8, np.uint8)
    first = 1 + -memory.ctypes.data % 8
    view: Any = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    view[...] = array
    return view


def _over_each_other(array: Numbers, rng: np.random.Generator) -> Any:
    _, tokens, dim = array.shape
    if tokens == 1 or dim == 1:
        return None
    return np.lib.stride_tricks.as_strided(array, strides=(array.strides[0], array.itemsize, array.itemsize))


def _short_table(array: Numbers, rng: np.random.Generator) -> Any:
    paged = _paged(array, rng)
    kind = int(rng.integers(5))
    if kind == 0:
        paged.blocks = paged.blocks[:-1]
    elif kind == 1:
        paged.blocks = paged.blocks.astype(np.int64)
    elif kind == 2:
        paged.blocks[-1] = int(rng.choice([-1, len(paged.data), 2**31 - 1]))
    elif kind == 3:
        paged.tokens = int(rng.choice([-1, 0, 2**40]))
    else:
        paged.data = paged.data[0]
    return paged


def _broadcast(array: Numbers, rng: np.random.Generator) -> Any:
    shape = (array.shape[0], int(rng.choice([2**24 + 1, 2**40])), array.shape[2])
    return np.broadcast_to(array[:, :1], shape)


def _no_array(array: Numbers, rng: np.random.Generator) -> Any:
    choices: list[Any] = [
        array.tolist(),
        3,
        2.5,
        "keys",
        b"keys",
        {},
        object(),
        range(4),
        (array,),
        io.BytesIO(b"x"),
        np,
        int,
    ]
    return choices[int(rng.integers(len(choices)))]


def _other_dtype(array: Numbers, rng: np.random.Generator) -> Any:
    dtypes = ["float64", "complex64", "O", "V4", "U3", ">f4", ">f2", "datetime64[s]", "longdouble"]
    return np.zeros(array.shape, dtypes[int(rng.integers(len(dtypes)))])


def _other_rank(array: Numbers, rng: np.random.Generator) -> Any:
    made: list[Any] = [
        array[0],
        array[0, 0],
        array[0, 0, 0],
        array[..., None, None],
        np.stack([array, array]),
        array.reshape(-1),
    ]
    return made[int(rng.integers(len(made)))]


def _empty(array: Numbers, rng: np.random.Generator) -> Any:
    return [array[:0], array[:, :0], array[..., :0], array[None][:0]][int(rng.integers(4))]


def _quantised(array: Numbers, rng: np.random.Generator) -> Any:
    """Of bytes that are no whole blocks, or of what are no bytes."""
    if rng.integers(2):
        return kvsieve.Quantised(array, "q8_0")
    return kvsieve.Quantised(np.zeros((*array.shape[:2], 35), np.uint8), "q8_0")


WRONG: dict[str, Form] = {
    "heads in reverse": _reversed(0),
    "tokens in reverse": _reversed(1),
    "numbers in reverse": _reversed(2),
    "Fortran order": _fortran,
    "misaligned": _misaligned,
    "rows over each other": _over_each_other,
    "a table that is wrong": _short_table,
    "too many tokens": _broadcast,
    "one head in the place of all": lambda array, rng: (
        np.broadcast_to(array[:1], array.shape) if array.shape[0] > 1 and array.shape[1] > 0 else None
    ),
    "no array": _no_array,
    "another dtype": _other_dtype,
    "another rank": _other_rank,
    "of no size": _empty,
    "quantised": _quantised,
}
