"""Rope: how the keys of a cache were rotated, for Plan.gather."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from ._abi import PAIRINGS, kvsieve_rope, sized
from ._numbers import whole


class Rope:
    """How keys were rotated: at position p, pair i of a row was turned by the angle p * frequencies[i].

        rope = kvsieve.Rope(10000.0 ** (-np.arange(0, 128, 2) / 128))
        plan.gather(0, keys, rope=rope)

    frequencies  one a pair, with any scaling of the positions (transformers: model.model.rotary_emb.inv_freq); finite. They
                 are copied, as float32.
    pairing      "halves": d and d + n (Llama in transformers), "neighbours": 2d and 2d + 1 (GPT-J, Llama in ggml)
    first        the first of the 2n numbers of a row that are rotated; the others are copied
    by_row       False: a row of the source is rotated by its absolute position. True: by its row in the cache, as an earlier
                 gather with a rope left it (after extend)
    ValueError for another pairing, or frequencies that are not of one dimension. The library checks the numbers when gather
    is called.
    """

    def __init__(self, frequencies: Any, pairing: str = "halves", *, first: int = 0, by_row: bool = False) -> None:
        if pairing not in PAIRINGS:
            raise ValueError(f"pairing is {pairing!r}: expected {' or '.join(map(repr, PAIRINGS))}")
        # Not np.array(): it asks for a copy, and of a torch tensor numpy then warns.
        numbers = np.asarray(frequencies, np.float32).copy(order="C")
        if numbers.ndim != 1:
            raise ValueError(f"frequencies has shape {numbers.shape}: expected one dimension, a number a pair")
        self.frequencies = numbers
        self.pairing = pairing
        self.first: int = whole("first", first)
        self.by_row: bool = bool(by_row)

    def _struct(self) -> kvsieve_rope:
        """Points to `frequencies`: to be used while this object lives."""
        struct: kvsieve_rope = sized(kvsieve_rope)
        struct.pairing = PAIRINGS[self.pairing]
        struct.dims = whole("dims", 2 * self.frequencies.size)
        struct.first = self.first
        struct.frequencies = self.frequencies.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        struct.by_row = int(self.by_row)
        return struct
