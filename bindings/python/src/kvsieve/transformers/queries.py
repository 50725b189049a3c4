"""The queries of a layer's newest columns, as they come by forward pass: what a round looks at.

Letters: B sequences, Hq query heads, D head size. Columns are counted as in layer.py.
"""

from __future__ import annotations

from typing import Any

import torch


class Queries:
    """Parts (B, Hq, columns, D) in the order of the columns, each with its first column."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, Any]] = []

    def add(self, first: int, queries: Any, most: int | None) -> None:
        """Takes the queries of the columns from `first` on. Of all that it has, the last `most` stay; all if None."""
        if most is None:
            self.parts.append((first, queries))
            return
        count = queries.shape[2]
        if count > most:  # a copy: a view would keep the whole part in memory
            first, queries, count = first + count - most, queries[:, :, count - most :].clone(), most
        if count:
            self.parts.append((first, queries))
        end = first + count
        while self.parts and self.parts[0][0] + self.parts[0][1].shape[2] <= end - most:
            self.parts.pop(0)

    def clear(self) -> None:
        self.parts.clear()

    def crop(self, end: int) -> None:
        """Forgets columns from `end` on."""
        left = [(first, part[:, :, : max(end - first, 0)]) for first, part in self.parts]
        self.parts = [(first, part) for first, part in left if part.shape[2]]

    def reorder(self, index: Any) -> None:
        self.parts = [(first, part.index_select(0, index)) for first, part in self.parts]

    def last(self, sequence: int, begin: int, valid: Any, wanted: int) -> Any:
        """(Hq, wanted, D): those of a sequence's last `wanted` tokens.

        begin is the first column since the last round, valid (columns since,) says which are tokens of the sequence; None:
        all. If fewer queries are at hand (columns that were tokens are padding now), the oldest is there several times.
        """
        found = []
        for first, part in self.parts:
            one = part[sequence]
            if valid is not None:
                one = one[:, torch.nonzero(valid[first - begin : first - begin + one.shape[1]])[:, 0].to(one.device)]
            found.append(one)
        rows = found[0] if len(found) == 1 else torch.cat(found, 1)
        rows = rows[:, max(rows.shape[1] - wanted, 0) :]
        if rows.shape[1] < wanted:
            rows = torch.cat([rows[:, :1].expand(-1, wanted - rows.shape[1], -1), rows], 1)
        return rows
