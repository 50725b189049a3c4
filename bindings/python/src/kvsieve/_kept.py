"""What one layer keeps, as numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ._abi import kvsieve_kept, kvsieve_ranges, kvsieve_slots


@dataclass(frozen=True, eq=False)
class Kept:
    """What one layer keeps. A copy: later calls of the plan do not change it.

    offsets    (H+1,) int64: head h keeps positions[offsets[h]:offsets[h+1]]. Attention kernels call it cu_seqlens_k.
    positions  (total,) int32: absolute positions, ascending within a head
    rows       (total,) int32: the row of each in the observed cache, which align=1 pads in front; the same as positions until
               Plan.extend
    tokens     logical length: tokens seen, T. The next token's position, however few rows are kept.

    Letters: H key/value heads, T tokens of the prompt.
    """

    offsets: np.ndarray[Any, np.dtype[np.int64]]
    positions: np.ndarray[Any, np.dtype[np.int32]]
    rows: np.ndarray[Any, np.dtype[np.int32]]
    tokens: int

    @property
    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(H,): rows that each head keeps."""
        return np.diff(self.offsets)

    @property
    def total(self) -> int:
        """Physical length: rows kept by all heads together."""
        return int(self.offsets[-1])

    @property
    def longest(self) -> int:
        """The most rows that one head keeps: the least n of a padded (H, n, D)."""
        return int(self.counts.max())

    def head(self, head: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        """Positions that `head` keeps, ascending; a view. IndexError if there is no such head."""
        heads = len(self.offsets) - 1
        if not 0 <= head < heads:
            raise IndexError(f"head is {head}: expected 0 to {heads - 1}")
        return self.positions[self.offsets[head] : self.offsets[head + 1]]


@dataclass(frozen=True, eq=False)
class Slots:
    """The tokens in the slots of one head. A copy.

    positions  (length,) int32: the absolute position in each slot, in the order of the slots
    tokens     logical length: tokens seen. The next token's position.
    """

    positions: np.ndarray[Any, np.dtype[np.int32]]
    tokens: int


def copied_slots(slots: kvsieve_slots) -> Slots:
    """A copy of what the plan still owns."""
    return Slots(np.ctypeslib.as_array(slots.positions, (slots.length,)).copy(), slots.tokens)


def copied_ranges(ranges: kvsieve_ranges) -> np.ndarray[Any, np.dtype[np.int32]]:
    """A copy of what the plan still owns."""
    return _copy(ranges.bounds, 2 * ranges.count).reshape(-1, 2)


def copied(kept: kvsieve_kept) -> Kept:
    """A copy of what the plan still owns; to be made before anybody else may use the plan."""
    return Kept(
        offsets=np.ctypeslib.as_array(kept.offsets, (kept.heads + 1,)).copy(),
        positions=_copy(kept.positions, kept.total),
        rows=_copy(kept.rows, kept.total),
        tokens=kept.tokens,
    )


def _copy(numbers: Any, count: int) -> np.ndarray[Any, np.dtype[np.int32]]:
    return np.ctypeslib.as_array(numbers, (count,)).copy() if count else np.empty(0, np.int32)
