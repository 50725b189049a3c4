"""The memory of a torch tensor by what it says of itself: DLPack's capsules take ten times as long. torch is not imported."""

from __future__ import annotations

import functools
import sys
from typing import Any

from ._memory import Memory


def memory(array: Any) -> Memory | None:
    """None for what is no plain tensor in the CPU's memory: _dlpack reads it, or says what is wrong with it."""
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


@functools.lru_cache(maxsize=64)
def _name(dtype: Any) -> str:
    """numpy's name: torch's after "torch."."""
    return str(dtype).rpartition(".")[2]
