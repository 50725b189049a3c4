"""One sequence as a method chooses from it: a prompt, then rounds of new tokens after the kept rows of each head.

A prompt is new tokens after no rows. All keys and values of every layer and head are remembered, and the list of the absolute
positions in each cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from reference.caches import Choose, Head, Kept, Round
from reference.ranking import F64, Gaps
from reference.shares import Parameters


class Sequence:
    """Arrays may have any dtype; they are read as float64."""

    def __init__(
        self,
        choose: Choose,
        layers: int,
        heads: int,
        scale: float,
        parameters: Parameters,
        protected: frozenset[int] = frozenset(),
    ) -> None:
        self.chooser, self.scale, self.p = choose, scale, parameters
        self.protected = protected
        """Positions; more may come with new tokens."""
        self.tokens = 0
        self.choices = 0
        self.positions: Kept = [[[] for _ in range(heads)] for _ in range(layers)]
        self.keys: list[F64] = []
        """[layer] (H, N, D): those of all tokens so far."""
        self.values: list[F64] = []
        self.gap = float("inf")
        """Of the last round: the smallest relative gap at the edge of a choice."""

    def append(self, keys: list[NDArray[Any]], values: list[NDArray[Any]]) -> None:
        """New tokens: of each layer (H, m, D) and (H, m, Dv)."""
        new = range(self.tokens, self.tokens + keys[0].shape[1])
        for mine, given in ((self.keys, keys), (self.values, values)):
            wide = [array.astype(np.float64) for array in given]
            mine[:] = [np.concatenate(pair, axis=1) for pair in zip(mine, wide)] if mine else wide
        self.positions = [[head + list(new) for head in layer] for layer in self.positions]
        self.tokens = new.stop

    def choose(self, queries: list[NDArray[Any]]) -> Kept:
        """The rows kept of each cache; queries (Hq, m, D) a layer, or the last of them. Nothing changes until keep()."""
        caches = []
        for layer, heads in enumerate(self.positions):
            grouped = queries[layer].astype(np.float64).reshape(len(heads), -1, *queries[layer].shape[1:])
            caches.append(
                [
                    Head(grouped[h], self.keys[layer][h, there], self.values[layer][h, there], np.array(there))
                    for h, there in enumerate(heads)
                ]
            )
        gaps = Gaps()
        kept = self.chooser(Round(caches, self.tokens, self.choices > 0, self.scale, self.p, gaps, self.protected))
        self.gap = gaps.smallest
        return kept

    def keep(self, rows: Kept) -> None:
        self.choices += 1
        self.positions = [
            [[there[row] for row in chosen] for there, chosen in zip(*pair)] for pair in zip(self.positions, rows)
        ]
