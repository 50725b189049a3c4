"""What an array says of itself, in one form for all the ways in which arrays can be handed over."""

from __future__ import annotations

from typing import NamedTuple


class Memory(NamedTuple):
    """An array of the caller's, before any check."""

    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In bytes."""
    dtype: str
    """Numpy's name of the element type, in the machine's byte order: "float32"."""
    itemsize: int
    readonly: bool
    owner: object
    """Keeps the memory alive for as long as this is held."""
