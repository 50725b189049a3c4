"""The kvsieve_tensor that the library would get for an array."""

from __future__ import annotations

from typing import Any

import numpy as np
from conftest import DIM, KV_HEADS, TOKENS, noise

from kvsieve import _tensor

KEYS = noise(2, KV_HEADS, TOKENS, DIM)


def described(array: Any) -> tuple[int, ...]:
    """The kvsieve_tensor that the library would get."""
    struct = _tensor.tensor("keys", array).struct
    assert list(struct.reserved) == [0, 0]
    return (
        struct.data, struct.heads, struct.tokens, struct.head_stride, struct.token_stride, struct.dim, struct.dtype,
    )  # fmt: skip


def head_major(array: np.ndarray, dtype: int = 0) -> tuple[int, ...]:
    heads, tokens, dim = array.shape
    row = dim * array.itemsize
    return (array.ctypes.data, heads, tokens, tokens * row, row, dim, dtype)
