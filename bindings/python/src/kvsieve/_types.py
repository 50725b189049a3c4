"""What a type checker is told: of arrays here, of parameters in the generated _keywords.py."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import numpy as np

from ._keywords import Keywords

__all__ = ["Keywords", "Number", "Out", "Torch", "TorchLike"]

Out = TypeVar("Out")
Number = TypeVar("Number", bound=np.generic)


class TorchLike(Protocol):
    """A torch tensor, without torch."""

    def new_empty(self, *size: Any) -> Any: ...


Torch = TypeVar("Torch", bound=TorchLike)
