"""Run by check_beside.py where the wheel is: kvsieve with a BLAS in the process.      beside.py numpy|torch first|after

Products of both are computed before, while and after kvsieve works, and must be right. Prints the rows that kvsieve keeps, which
must be the same whoever was first.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np

SIZE = 384
MOST_WRONG = 1e-3
"""A sum of 384 products of normal numbers is off by about 1e-5 in float32."""


def operands() -> Any:
    return np.random.default_rng(1).standard_normal((2, SIZE, SIZE), np.float32)


def product(library: str) -> Any:
    """By numpy's BLAS or torch's, in float32."""
    left, right = operands()
    if library == "numpy":
        return left @ right
    import torch

    return (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()


def is_right(library: str) -> bool:
    left, right = operands().astype(np.float64)
    return bool(np.abs(product(library) - left @ right).max() < MOST_WRONG)


def kept() -> str:
    import kvsieve

    random = np.random.default_rng(2)
    keys, values = random.standard_normal((2, 2, 4, 2000, 64), np.float32)
    queries = random.standard_normal((2, 8, 32, 64), np.float32)
    layers = kvsieve.compress("snapkv", queries, keys, values, budget=200, threads=2)
    return str([layer.kept.positions.tolist() for layer in layers])


def main(library: str, order: str) -> None:
    if order == "first":
        assert is_right(library)
    rows = kept()
    assert is_right(library)
    found: list[bool] = []
    other = threading.Thread(target=lambda: found.extend(is_right(library) for _ in range(10)))
    other.start()
    while other.is_alive():
        assert kept() == rows
    other.join()
    assert found == [True] * 10
    print(rows)


if __name__ == "__main__":
    main(*sys.argv[1:])
