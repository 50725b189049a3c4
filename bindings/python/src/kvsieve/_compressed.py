"""What compress returns: of each layer the kept rows, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic

from ._kept import Kept

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Array = TypeVar("Array", default=Any)
else:
    from typing import TypeVar

    Array = TypeVar("Array")


@dataclass(frozen=True, eq=False)
class Layer(Generic[Array]):
    """One layer after compression. `keys, values, kept = layer` unpacks it.

    keys          (total, D): head h has rows kept.offsets[h] to kept.offsets[h+1]. Of torch if compress got keys of torch,
                  else of numpy.
    values        (total, any), likewise
    kept          which tokens these are. In a batch they are counted from the sequence's first token, behind its padding.
    bytes_before  of all keys and values of the layer, without padding
    bytes_after   of those that are kept
    """

    keys: Array
    values: Array
    kept: Kept
    bytes_before: int
    bytes_after: int

    def __iter__(self) -> Iterator[Any]:
        return iter((self.keys, self.values, self.kept))


class Compressed(list[Layer[Array]], Generic[Array]):
    """One sequence after compression: a list with a Layer for each layer. compress makes it."""

    @property
    def bytes_before(self) -> int:
        """Of all keys and values, without padding."""
        return sum(layer.bytes_before for layer in self)

    @property
    def bytes_after(self) -> int:
        """Of those that are kept."""
        return sum(layer.bytes_after for layer in self)

    def __repr__(self) -> str:
        return f"<kvsieve.Compressed of {len(self)} layers: {self.bytes_before} -> {self.bytes_after} bytes>"
