"""What a type checker is told: of arrays here, of parameters in the generated _keywords.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, Union

import numpy as np

from ._keywords import Keywords
from ._rows import Paged, Quantised

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "Array",
    "Keywords",
    "Number",
    "Numbers",
    "Numpy",
    "Options",
    "Out",
    "PerLayer",
    "Rows",
    "Torch",
    "TorchLike",
]

Out = TypeVar("Out")
Item_co = TypeVar("Item_co", covariant=True)
Number = TypeVar("Number", bound=np.generic)
Numpy = np.ndarray[Any, np.dtype[Number]]
Rows = np.ndarray[tuple[int, int], np.dtype[Number]]


class TorchLike(Protocol):
    """A torch tensor, without torch."""

    def new_empty(self, *size: Any) -> Any: ...


Torch = TypeVar("Torch", bound=TorchLike)


class Exporting(Protocol):
    """An array of jax, mlx, tensorflow, and those of numpy and torch."""

    def __dlpack__(self) -> Any: ...


class Described(Protocol):
    """An array by numpy's older protocol."""

    @property
    def __array_interface__(self) -> Any: ...


Array = Union[Exporting, Described, memoryview, Paged, Quantised]
"""What is read as a tensor."""


class PerLayer(Protocol[Item_co]):
    """A list of arrays, or one array whose first axis is the layer. Not a dict, which iterates over its keys."""

    def __len__(self) -> int: ...

    def __getitem__(self, layer: int, /) -> Item_co: ...

    def __iter__(self) -> Iterator[Item_co]: ...


class Count(Protocol):
    """A whole number. Not a bool: +True is an int."""

    def __index__(self) -> int: ...

    def __pos__(self) -> Self: ...


Numbers = Union[Count, PerLayer[Count]]
"""A whole number, or a list or an array of them."""


class Options(Keywords, total=False):
    """What compress takes beside its arrays and padding, which say what it returns."""

    scale: float
    protect: Iterable[tuple[int, int]]
    progress: Callable[[int, int], object] | None
