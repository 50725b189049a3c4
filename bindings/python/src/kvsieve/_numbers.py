"""Python numbers on their way to C: what C cannot hold is refused with a sentence, where ctypes would wrap it."""

from __future__ import annotations

import operator
from typing import Any


def whole(argument: str, value: Any, bits: int = 32) -> int:
    """`value` as a signed C integer. TypeError if it is not a whole number, ValueError if it needs more bits."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{argument} is {value!r}: expected a whole number") from None
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f"{argument} is {number}: expected an integer of {bits} bits")
    return number


def real(argument: str, value: Any) -> float:
    """`value` as a C double. TypeError if it is not a number, ValueError if it is an integer beyond doubles."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__") and not hasattr(value, "__index__"):
        raise TypeError(f"{argument} is {value!r}: expected a number")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{argument} is {value}: expected a number that a double can hold") from None
    except TypeError:
        raise TypeError(f"{argument} is {value!r}: expected a number") from None
