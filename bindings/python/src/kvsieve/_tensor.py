"""An array becomes a kvsieve_tensor: a view of the caller's memory, never a copy.

Taken are, in this order: Paged and Quantised, which hold arrays; numpy's and torch's own; __array_interface__ (read-only
arrays too), __dlpack__ (jax; bfloat16), the buffer protocol (memoryview, array.array). Strides are handed over as they are; only
that a row is contiguous is checked here, because a kvsieve_tensor cannot say otherwise, and that a table has as many entries
as its tokens need. All other checks are the library's.
"""

from __future__ import annotations

import ctypes
import functools
from typing import Any, NamedTuple

import numpy as np

from . import _dlpack, _torch
from ._abi import BYTES, DTYPES, QUANTISED, kvsieve_tensor
from ._memory import Memory
from ._numbers import whole
from ._rows import Paged, Quantised

MOST_DIM, MOST_STRIDE = 2**31 - 1, 2**63 - 1
MOVED = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float64")
"""Dtypes whose rows are gathered as bytes."""


class Tensor(NamedTuple):
    """A kvsieve_tensor and what keeps its memory alive: to be held until the call has returned."""

    struct: kvsieve_tensor
    memory: Memory
    blocks: Memory | None
    quantised: bool

    @property
    def pointer(self) -> Any:
        """For a `const kvsieve_tensor *` parameter."""
        return ctypes.byref(self.struct)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row's numbers."""
        return self.memory.shape[-1] * self.memory.itemsize


def tensor(argument: str, array: Any, *, writable: bool = False, moved: bool = False) -> Tensor:
    """A view of `array`, which has the shape (heads, tokens, dim), or 1 before these, or is Paged or Quantised.

    moved: its rows are moved, not read as numbers, so that dtypes of MOVED are taken too.

    TypeError: not an array, or a dtype that is not taken, or not in the machine's byte order.
    ValueError: not three dimensions; a batch; rows that are not contiguous; read-only memory where `writable` is asked for;
    memory of a device; a tensor of torch's with the negative or conjugate bit; a size or stride that does not fit its C
    integer; a table with too few entries.
    """
    paged = array if isinstance(array, Paged) else None
    memory, code, dim = _typed(argument, array if paged is None else paged.data, moved)
    axes = ("heads", "tokens", "dim") if paged is None else ("blocks", "heads", "tokens", "dim")
    if paged is None and len(memory.shape) == 4:
        memory = _only_sequence(argument, memory)
    if len(memory.shape) != len(axes):
        number = "three" if paged is None else "four"
        raise ValueError(f"{argument} has shape {memory.shape}: expected {number} dimensions ({', '.join(axes)})")
    if memory.shape[-1] > 1 and memory.strides[-1] != memory.itemsize:
        raise ValueError(
            f"{argument} has elements {memory.strides[-1]} bytes apart in a row: expected contiguous rows "
            f"({memory.itemsize} bytes); copy it first if that is what you want"
        )
    if writable and memory.readonly:
        raise ValueError(f"{argument} is read-only: expected memory that can be written")
    heads, tokens = memory.shape[-3:-1]
    if dim > MOST_DIM or abs(memory.strides[-3]) | abs(memory.strides[-2]) > MOST_STRIDE:
        whole(f"{argument}: dim", dim, 32)
        whole(f"{argument}: stride of heads", memory.strides[-3], 64)
        whole(f"{argument}: stride of tokens", memory.strides[-2], 64)
    # The fields in their order: by name it takes half as long again.
    struct = kvsieve_tensor(memory.address, heads, tokens, memory.strides[-3], memory.strides[-2], dim, code)
    data = array if paged is None else paged.data
    blocks = None if paged is None else _page(argument, paged, struct, memory)
    return Tensor(struct, memory, blocks, isinstance(data, Quantised))


def rows_like(view: Tensor, total: int, source: Any) -> tuple[Any, Any]:
    """A new array for `total` rows of a tensor like `view` of `source`, and the same for tensor() as one head.

    It is of torch if the source is, and of numpy otherwise.
    """
    memory = view.memory
    while isinstance(source, (Paged, Quantised)):
        source = source.data
    if hasattr(source, "new_empty"):
        rows = source.new_empty((total, memory.shape[-1]))
    else:
        rows = np.empty((total, memory.shape[-1]), np.uint8 if view.quantised else numpy_dtype(memory.dtype))
    head = rows[None]
    return rows, Quantised(head, memory.dtype) if view.quantised else head


def _only_sequence(argument: str, memory: Memory) -> Memory:
    """That of a batch of one."""
    if memory.shape[0] != 1:
        raise ValueError(
            f"{argument} has shape {memory.shape}: one plan is one sequence; expected (heads, tokens, dim), or 1 before "
            f"these; a batch has a plan for each sequence"
        )
    return memory._replace(shape=memory.shape[1:], strides=memory.strides[1:])


def _typed(argument: str, array: Any, moved: bool) -> tuple[Memory, int, int]:
    """The memory of an array, its KVSIEVE_ constant, and the dim of its rows."""
    quantised = array if isinstance(array, Quantised) else None
    memory = exported(argument, array if quantised is None else quantised.data)
    length = memory.shape[-1] if memory.shape else 0
    if quantised is not None:
        if memory.dtype != "uint8":
            raise TypeError(f"{argument} has dtype {memory.dtype}: expected uint8, the bytes of {quantised.dtype}")
        code, numbers, size = QUANTISED[quantised.dtype]
        if length % size != 0:
            raise ValueError(
                f"{argument} has {length} bytes in a row: expected a multiple of {size}, a block of {quantised.dtype}"
            )
        return memory._replace(dtype=quantised.dtype), code, length // size * numbers
    if memory.dtype in DTYPES:
        return memory, DTYPES[memory.dtype], length
    if moved and memory.dtype in MOVED:
        return memory, BYTES, length * memory.itemsize
    raise TypeError(f"{argument} has dtype {memory.dtype}: expected {', '.join(DTYPES)}")


def _page(argument: str, paged: Paged, struct: kvsieve_tensor, memory: Memory) -> Memory:
    """Fills in where the blocks are. Returns the table's memory."""
    table = exported(f"{argument}.blocks", paged.blocks)
    if table.dtype != "int32" or len(table.shape) != 1 or (table.shape[0] > 1 and table.strides[0] != 4):
        raise TypeError(
            f"{argument}.blocks is {table.dtype} of shape {table.shape}: expected contiguous int32 of shape (entries,)"
        )
    count, block, entries = memory.shape[0], memory.shape[2], table.shape[0]
    tokens = whole(f"{argument}: tokens", entries * block if paged.tokens is None else paged.tokens, 64)
    if count == 0 or block == 0 or entries * block < tokens:
        raise ValueError(
            f"{argument} has {count} blocks of {block} tokens and {entries} entries in its table: expected room for "
            f"{tokens} tokens"
        )
    struct.tokens = tokens
    struct.blocks = ctypes.cast(table.address, ctypes.POINTER(ctypes.c_int32))
    struct.block_tokens = whole(f"{argument}: tokens of a block", block, 32)
    struct.block_count = whole(f"{argument}: blocks", count, 32)
    # The stride of a single block is nobody's: any that is long enough will do.
    stride = memory.strides[0] if count > 1 else memory.shape[-1] * memory.itemsize
    struct.block_stride = whole(f"{argument}: stride of blocks", stride, 64)
    return table


def numpy_dtype(name: str) -> Any:
    """Numpy's dtype for one of DTYPES or MOVED. TypeError for what numpy lacks, where ml_dtypes is not installed."""
    if name != "bfloat16" and not name.startswith("float8"):
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(f"numpy has no {name}: install ml_dtypes, or pass an array as `out`") from None
    return np.dtype(getattr(ml_dtypes, name))


def exported(argument: str, array: Any) -> Memory:
    """The memory of an array of any shape and dtype. TypeError, ValueError: what tensor() says of arrays that cannot be read."""
    if isinstance(array, np.ndarray):
        return _of_numpy(np.asarray(array))
    if (memory := _torch.memory(array)) is not None:
        return memory
    _torch.refuse_unresolved(argument, array)
    if getattr(array, "requires_grad", False):
        array = array.detach()  # the same memory; torch exports no other
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
