"""The rows that one variant holds in one layer: arrays with room, to which tokens are appended and from which rows leave.

Here: appending, attention over what is held, moving rows into slots. Not here: who decides what leaves (decoding.py, followups.py).
Letters: Hq query heads, H key/value heads, G = Hq / H, D head size, m new tokens, n rows of the longest head.
"""

from __future__ import annotations

import numpy as np


class Held:
    """Keys and values (H, capacity, D) of which head h uses the first counts[h] rows. A row keeps its rotation."""

    def __init__(self, heads: int, capacity: int, dim: int) -> None:
        self.keys, self.values = np.zeros((2, heads, capacity, dim), np.float32)
        self.counts = np.zeros(heads, np.int64)

    @property
    def longest(self) -> int:
        return int(self.counts.max())

    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """Keys and values: views (H, n, D). Rows past a shorter head's count mean nothing."""
        return self.keys[:, : self.longest], self.values[:, : self.longest]

    def append(self, keys: np.ndarray, values: np.ndarray) -> None:
        """New rows (H, m, D) behind those of each head."""
        at = self.counts[:, None] + np.arange(keys.shape[1])  # (H, m)
        heads = np.arange(len(at))[:, None]
        self.keys[heads, at], self.values[heads, at] = keys, values
        self.counts += keys.shape[1]

    def attend(self, queries: np.ndarray, slots: np.ndarray | None = None) -> np.ndarray:
        """The newest m tokens, already appended, look at what is held: scaled queries (Hq, m, D) -> (m, Hq * D).

        A token sees no later one. slots (H, m), as Plan.step returns them: it does not see a row either that an earlier new
        token takes over, as if tokens came one by one.
        """
        heads, (length, dim) = len(self.counts), queries.shape[1:]
        keys, values = self.rows()
        weights = queries.reshape(heads, -1, dim) @ keys.swapaxes(1, 2)  # (H, G * m, n)
        by_token = weights.reshape(heads, -1, length, self.longest)
        by_token += self._mask(length, slots)[:, None]
        weights -= weights.max(axis=2, keepdims=True)
        np.exp(weights, out=weights)
        mixed = weights @ values
        mixed /= weights.sum(axis=2, keepdims=True)
        found: np.ndarray = mixed.reshape(-1, length, dim).swapaxes(0, 1).reshape(length, -1)
        return found

    def settle(self, slots: np.ndarray) -> None:
        """The newest m rows move where slots (H, m) say, in order; a row whose slot is -1 stays."""
        first = self.counts - slots.shape[1]
        for token, taken in enumerate(slots.T):  # (H,)
            heads = np.flatnonzero(taken >= 0)
            for rows in (self.keys, self.values):
                rows[heads, taken[heads]] = rows[heads, first[heads] + token]
        self.counts -= (slots >= 0).sum(axis=1)

    def _mask(self, length: int, slots: np.ndarray | None) -> np.ndarray:
        """0 or minus infinity, (H, m, n)."""
        columns = np.arange(self.longest)
        end = self.counts[:, None] - length + 1 + np.arange(length)  # (H, m): behind a token's own row
        mask = np.where(columns < end[:, :, None], np.float32(0), np.float32(-np.inf))
        if slots is not None:
            for head, token in zip(*np.nonzero(slots >= 0)):
                mask[head, token + 1 :, slots[head, token]] = -np.inf
        return mask
