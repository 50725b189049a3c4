"""The memory of a torch tensor by what it says of itself: DLPack's capsules take ten times as long. torch is not imported."""

from __future__ import annotations

import functools
import sys
from typing import Any

from ._memory import Memory


def memory(array: Any) -> Memory | None:
    """None for what is no plain tensor in the CPU's memory: refuse_unresolved and _dlpack say what is wrong with it."""
    torch = sys.modules.get("torch")
    if torch is None or type(array) not in (torch.Tensor, torch.nn.Parameter):
        return None
    if array.device.type != "cpu" or array.layout != torch.strided or array.is_neg() or array.is_conj():
        return None
    size = array.element_size()
    try:
        address = array.data_ptr()
    except RuntimeError:  # a tensor without memory of its own, as inside torch.func.vmap
        return None
    return Memory(
        address=address,
        shape=tuple(array.shape),
        strides=tuple(stride * size for stride in array.stride()),
        dtype=_name(array.dtype),
        itemsize=size,
        readonly=False,
        owner=array,
    )


def refuse_unresolved(argument: str, array: Any) -> None:
    """ValueError for a view whose numbers are not what is in memory: torch's __dlpack__ exports the memory all the same."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(array, torch.Tensor):
        return
    for is_set, bit, name in ((array.is_neg, "negative", "neg"), (array.is_conj, "conjugate", "conj")):
        if is_set():
            raise ValueError(
                f"{argument} is a tensor with the {bit} bit, whose memory has other numbers: expected the numbers in memory; "
                f"use tensor.resolve_{name}()"
            )


@functools.lru_cache(maxsize=64)
def _name(dtype: Any) -> str:
    """numpy's name: torch's after "torch."."""
    return str(dtype).rpartition(".")[2]
