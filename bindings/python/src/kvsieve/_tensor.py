"""An array becomes a kvsieve_tensor: a view of the caller's memory, never a copy.

Taken are, in this order: __array_interface__ (numpy, read-only arrays too), __dlpack__ (torch, jax; bfloat16), the
buffer protocol (memoryview, array.array). Strides are handed over as they are; only that a row is contiguous is checked
here, because a kvsieve_tensor cannot say otherwise. All other checks are the library's.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import numpy as np

from . import _dlpack
from ._abi import DTYPES, kvsieve_tensor
from ._memory import Memory
from ._numbers import whole


class Tensor(NamedTuple):
    """A kvsieve_tensor and what keeps its memory alive: to be held until the call has returned."""

    struct: kvsieve_tensor
    memory: Memory

    @property
    def pointer(self) -> Any:
        """For a `const kvsieve_tensor *` parameter."""
        return ctypes.byref(self.struct)


def tensor(argument: str, array: Any, *, writable: bool = False) -> Tensor:
    """A view of `array`, which has the shape (heads, tokens, dim).

    TypeError: not an array, or a dtype other than float32, float16, bfloat16 in the machine's byte order.
    ValueError: not three dimensions; rows that are not contiguous; read-only memory where `writable` is asked for;
    memory of a device; a size or stride that does not fit its C integer.
    """
    memory = _exported(argument, array)
    if memory.dtype not in DTYPES:
        raise TypeError(f"{argument} has dtype {memory.dtype}: expected {', '.join(DTYPES)}")
    if len(memory.shape) != 3:
        raise ValueError(f"{argument} has shape {memory.shape}: expected three dimensions (heads, tokens, dim)")
    heads, tokens, dim = memory.shape
    if dim > 1 and memory.strides[2] != memory.itemsize:
        raise ValueError(
            f"{argument} has elements {memory.strides[2]} bytes apart in a row: expected contiguous rows "
            f"({memory.itemsize} bytes); copy it first if that is what you want"
        )
    if writable and memory.readonly:
        raise ValueError(f"{argument} is read-only: expected memory that can be written")
    struct = kvsieve_tensor(
        data=memory.address,
        heads=whole(f"{argument}: heads", heads, 64),
        tokens=whole(f"{argument}: tokens", tokens, 64),
        head_stride=whole(f"{argument}: stride of heads", memory.strides[0], 64),
        token_stride=whole(f"{argument}: stride of tokens", memory.strides[1], 64),
        dim=whole(f"{argument}: dim", dim, 32),
        dtype=DTYPES[memory.dtype],
    )
    return Tensor(struct, memory)


def numpy_dtype(name: str) -> Any:
    """Numpy's dtype for one of DTYPES. TypeError for bfloat16 where ml_dtypes is not installed."""
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError("numpy has no bfloat16: install ml_dtypes, or pass an array as `out`") from None
    return np.dtype(ml_dtypes.bfloat16)


def _exported(argument: str, array: Any) -> Memory:
    if hasattr(array, "__array_interface__"):
        return _of_numpy(np.asarray(array))
    refusal = None
    if hasattr(array, "__dlpack__"):
        try:
            return _dlpack.memory(argument, array)
        except ValueError as error:
            refusal = error
    try:
        buffer = memoryview(array)
    except (TypeError, BufferError):
        if refusal is not None:
            raise refusal from refusal.__cause__
        raise TypeError(
            f"{argument} is a {type(array).__name__}: expected an array with __array_interface__, __dlpack__ "
            f"or the buffer protocol"
        ) from None
    return _of_numpy(np.asarray(buffer))


@functools.lru_cache(maxsize=64)
def _name(dtype: Any) -> str:
    """`str(dtype)` and not `dtype.name`: big-endian numbers are ">f4" to the first, "float32" to the second. Slow to make."""
    return str(dtype)


def _of_numpy(array: Any) -> Memory:
    return Memory(
        address=array.ctypes.data,
        shape=array.shape,
        strides=array.strides,
        dtype=_name(array.dtype),
        itemsize=array.dtype.itemsize,
        readonly=not array.flags.writeable,
        owner=array,
    )
