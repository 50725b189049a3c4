"""Ranges of tokens that stay, as a user names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._numbers import whole


def pairs(protect: Any) -> list[tuple[int, int]]:
    """(first, count) of each. TypeError if they are no pairs of whole numbers."""
    if not isinstance(protect, Iterable):
        raise TypeError(f"protect is {protect!r}: expected a list of pairs (first, count)")
    found = []
    for index, pair in enumerate(protect):
        try:
            first, count = pair
        except (TypeError, ValueError):
            raise TypeError(f"protect[{index}] is {pair!r}: expected a pair (first, count)") from None
        name = f"protect[{index}]"
        found.append((whole(f"{name}: first", first, 64), whole(f"{name}: count", count, 64)))
    return found
