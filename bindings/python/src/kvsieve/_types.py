"""What a type checker is told: of arrays here, of parameters in the generated _keywords.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, SupportsIndex, TypeVar, Union

import numpy as np

from ._keywords import Keywords

__all__ = ["Keywords", "Number", "Numbers", "Numpy", "Options", "Out", "PerLayer", "Rows", "Torch", "TorchLike"]

Out = TypeVar("Out")
Item_co = TypeVar("Item_co", covariant=True)
Number = TypeVar("Number", bound=np.generic)
Numpy = np.ndarray[Any, np.dtype[Number]]
Rows = np.ndarray[tuple[int, int], np.dtype[Number]]


class TorchLike(Protocol):
    """A torch tensor, without torch."""

    def new_empty(self, *size: Any) -> Any: ...


Torch = TypeVar("Torch", bound=TorchLike)


class PerLayer(Protocol[Item_co]):
    """A list of arrays, or one array whose first axis is the layer."""

    def __len__(self) -> int: ...

    def __getitem__(self, layer: int, /) -> Item_co: ...


Numbers = Union[SupportsIndex, PerLayer[Any]]
"""A whole number, or a list or an array of them."""


class Options(Keywords, total=False):
    """What compress takes beside its arrays and padding, which say what it returns."""

    scale: float
    protect: Iterable[tuple[int, int]]
    progress: Callable[[int, int], object] | None
