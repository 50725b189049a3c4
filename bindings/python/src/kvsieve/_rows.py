"""Rows that no array says by itself: in the blocks of a table, or quantised."""

from __future__ import annotations

from typing import Any

from ._abi import QUANTISED


class Paged:
    """Rows in blocks, in the order of a table: a layer's keys or values as a paged cache holds them. Never copied.

    data    (blocks, heads, tokens of a block, dim), a view with any strides. Of a cache (blocks, block, H, D) it is
            cache.transpose(0, 2, 1, 3) in numpy, cache.permute(0, 2, 1, 3) in torch. Of keys and values in one block,
            (blocks, 2, block, H, D), the keys are that of cache[:, 0]. May be Quantised.
    blocks  (entries,) int32: token t is in block blocks[t // block]
    tokens  how many tokens there are; all that the table has room for if None
    """

    def __init__(self, data: Any, blocks: Any, tokens: int | None = None) -> None:
        self.data = data
        self.blocks = blocks
        self.tokens = tokens


class Quantised:
    """Rows of bytes that are numbers: "q8_0" or "q4_0" as ggml has them, "float8_e4m3fn" or "float8_e5m2". Never copied.

    data   (heads, tokens, bytes of a row) uint8; a row of dim numbers has dim / 32 * 34 bytes for q8_0, 18 for q4_0
    dtype  one of the four names. ValueError if it is another.
    """

    def __init__(self, data: Any, dtype: str) -> None:
        known = dtype.lower() if isinstance(dtype, str) else dtype
        if known not in QUANTISED:
            raise ValueError(f"dtype is {dtype!r}: expected {', '.join(QUANTISED)}")
        self.data = data
        self.dtype = known
