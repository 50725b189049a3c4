"""The decoder of examples/small_decoder.py in double, with a cache of all tokens in which a head's rows can be masked or moved.

What an engine computes from compressed caches is compared with this: nothing here is ever dropped. KVSIEVE_LIBRARY names the
library; the default is this repository's release build.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "bindings/python/examples"))
os.environ.setdefault("KVSIEVE_LIBRARY", str(ROOT / ".build/release/libkvsieve.so"))

from small_decoder import Config, Weights

import kvsieve

Exact = NDArray[np.float64]


class FullCache:
    """`keys` [layer] (H, t, D) before rotation; `positions` and `seen` [layer] (H, t): where each row is, and whether it is seen."""

    def __init__(self, config: Config, weights: Weights) -> None:
        self.config, self.weights = config, {name: array.astype(np.float64) for name, array in weights.items()}
        shape = (config.kv_heads, 0)
        self.keys = [np.zeros((*shape, config.head_dim)) for _ in range(config.layers)]
        self.values = [np.zeros((*shape, config.head_dim)) for _ in range(config.layers)]
        self.queries = [np.zeros((config.query_heads, 0, config.head_dim)) for _ in range(config.layers)]
        """Of the tokens of the last run, rotated."""
        self.positions = [np.zeros(shape, int) for _ in range(config.layers)]
        self.seen = [np.zeros(shape, bool) for _ in range(config.layers)]

    def run(self, ids: list[int], first: int) -> Exact:
        """(n, V): logits of new tokens at positions first, first + 1, ..."""
        w, c = self.weights, self.config
        x = w["embed"][ids]
        for layer in range(c.layers):
            y = self.norm(x, w[f"{layer}.norm1"])
            x = x + self.attention(layer, y, first) @ w[f"{layer}.o"]
            y = self.norm(x, w[f"{layer}.norm2"])
            gate = y @ w[f"{layer}.gate"]
            x = x + (gate / (1 + np.exp(-gate)) * (y @ w[f"{layer}.up"])) @ w[f"{layer}.down"]
        logits: Exact = self.norm(x, w["norm"]) @ w["head"]
        return logits

    def norm(self, x: Exact, weight: Exact) -> Exact:
        normed: Exact = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.config.epsilon) * weight
        return normed

    def rotated(self, rows: Exact, positions: NDArray[Any]) -> Exact:
        """(..., D) by (...) positions."""
        angles = positions[..., None] * self.config.frequencies.astype(np.float64)
        a, b = np.split(rows, 2, axis=-1)
        cosine, sine = np.cos(angles), np.sin(angles)
        return np.concatenate([a * cosine - b * sine, b * cosine + a * sine], axis=-1)

    def attention(self, layer: int, x: Exact, first: int) -> Exact:
        c, n = self.config, len(x)
        q, k, v = (x @ self.weights[f"{layer}.{name}"] for name in "qkv")
        at = np.arange(first, first + n)
        for cache, new in ((self.keys, k), (self.values, v)):
            cache[layer] = np.concatenate([cache[layer], new.reshape(n, c.kv_heads, -1).swapaxes(0, 1)], axis=1)
        news = [np.broadcast_to(at, (c.kv_heads, n)), np.ones((c.kv_heads, n), bool)]
        self.positions[layer], self.seen[layer] = (
            np.concatenate(pair, axis=1) for pair in zip((self.positions[layer], self.seen[layer]), news)
        )
        keys = self.rotated(self.keys[layer], self.positions[layer])
        self.queries[layer] = self.rotated(
            q.reshape(n, c.query_heads, -1).swapaxes(0, 1), np.tile(at, (c.query_heads, 1))
        )
        total, out = keys.shape[1], np.empty((n, c.query_heads, c.head_dim))
        for query_head in range(c.query_heads):
            head = query_head // (c.query_heads // c.kv_heads)
            logits = self.queries[layer][query_head] @ keys[head].T / c.head_dim**0.5
            visible = np.tril(np.ones((n, total), bool), total - n) & self.seen[layer][head]
            logits = np.where(visible, logits, -np.inf)
            weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
            out[:, query_head] = weights / weights.sum(axis=-1, keepdims=True) @ self.values[layer][head]
        return out.reshape(n, -1)

    def mask(self, plan: kvsieve.Plan, moved: bool = False) -> None:
        """What a finished plan drops is not seen any more. If `moved`, what it keeps is at positions 0, 1, 2, ..."""
        for layer in range(self.config.layers):
            self.seen[layer][:] = False
            for head in range(self.config.kv_heads):
                kept = plan.kept(layer).head(head)
                self.seen[layer][head, kept] = True
                if moved:
                    self.positions[layer][head, kept] = np.arange(len(kept))
