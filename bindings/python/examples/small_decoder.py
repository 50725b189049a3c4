"""Random weights of a small decoder of Llama's kind, for the examples of engines: onnx_decoder.py and jax_decoder.py.

Letters: L layers, Hq query heads, H key/value heads, D head size, C width of the model, V words.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import kvsieve

Weights = dict[str, np.ndarray[Any, np.dtype[np.float32]]]


class Config(NamedTuple):
    layers: int = 3
    query_heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    width: int = 64
    hidden: int = 96
    words: int = 200
    positions: int = 1024
    theta: float = 10000.0
    epsilon: float = 1e-5

    @property
    def frequencies(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(D / 2,): the rotation of a pair a position."""
        exponents = np.arange(0, self.head_dim, 2) / self.head_dim
        return np.asarray(self.theta**-exponents, np.float32)

    @property
    def model(self) -> kvsieve.Model:
        return kvsieve.Model(self.layers, self.query_heads, self.kv_heads, self.head_dim)


def random_weights(config: Config, seed: int = 0) -> Weights:
    """Matrices are (in, out). Queries and keys are large enough for attention that prefers some tokens."""
    rng = np.random.default_rng(seed)

    def matrix(rows: int, columns: int, size: float = 1.0) -> Any:
        return (size * rng.standard_normal((rows, columns)) / rows**0.5).astype(np.float32)

    width, queries, keys = config.width, config.query_heads * config.head_dim, config.kv_heads * config.head_dim
    weights = {"embed": matrix(config.words, width, config.words**0.5), "norm": np.ones(width, np.float32)}
    weights["head"] = matrix(width, config.words)
    for layer in range(config.layers):
        weights |= {
            f"{layer}.norm1": 1 + 0.1 * rng.standard_normal(width).astype(np.float32),
            f"{layer}.q": matrix(width, queries, 1.5),
            f"{layer}.k": matrix(width, keys, 1.5),
            f"{layer}.v": matrix(width, keys),
            f"{layer}.o": matrix(queries, width),
            f"{layer}.norm2": 1 + 0.1 * rng.standard_normal(width).astype(np.float32),
            f"{layer}.gate": matrix(width, config.hidden),
            f"{layer}.up": matrix(width, config.hidden),
            f"{layer}.down": matrix(config.hidden, width),
        }
    return weights
