"""The best of some scores, and how clear the choice was."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

NOTHING = 1e-30


def best(scores: NDArray[Any], count: int) -> I64:
    """Indices of the `count` best, ascending; of equals the lower index."""
    return np.sort(np.argsort(-scores, kind="stable")[: max(count, 0)])


CERTAIN = 2.0**100
"""Stands for the score of a unit that is kept whatever its score. A power of two: the mean of some is the same."""


class Gaps:
    """The smallest relative gap between the last kept and the first dropped score, over all rankings that decided something.

    Where it is more than float32 can blur, any right implementation keeps the same. Exact ties at an edge are decided by
    order: there the plateau's distance to the next distinct scores counts. Scores below 1e-30 may be nothing in float32: those
    are as good as equal.
    """

    def __init__(self) -> None:
        self.smallest = float("inf")

    def best(self, scores: F64, count: int, size: float = 0.0) -> I64:
        """best(), noted. `size`: of the terms whose difference a score is; gaps are relative to no less."""
        if 0 < count < len(scores):
            falling = -np.sort(-scores)
            kept, dropped = falling[count - 1], falling[count]
            if kept != dropped:
                self.note(kept, dropped, size)
            else:
                for other in (scores[scores > kept].min(initial=np.inf), scores[scores < kept].max(initial=-np.inf)):
                    if np.isfinite(other):
                        self.note(kept, other, size)
        return best(scores, count)

    def told(self, rows: list[int], scores: F64, unit: int, first: int, end: int) -> None:
        """Of units of so many of the rows first ... end - 1 that have these scores, those in `rows` were chosen (mass.py)."""

    def note(self, a: float, b: float, size: float) -> None:
        most = max(abs(a), abs(b), size)
        self.smallest = min(self.smallest, abs(a - b) / most if most > NOTHING else 0.0)
