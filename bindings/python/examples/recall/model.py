"""A small Llama in numpy: prefill once, then answer from whatever rows of the cache were kept.

Here: weights, the blocks, blocked causal attention over a prompt, ragged attention over packed rows.
Not here: what to keep (sieve.py, stream.py), what to ask (prompts.py).
Letters: L layers, Hq query heads, H key/value heads, G = Hq / H, D head size, T prompt tokens, W last queries,
E hidden size, N rows that a layer keeps over all its heads. Everything is float32.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

QUERY_BLOCK = 128  # queries of a head that attend at once: G * 128 * T logits fit in the CPU's cache


@dataclass(frozen=True)
class PrefilledLayer:
    """What an engine holds of a layer after the prompt; rotary embedding applied to queries and keys."""

    queries: np.ndarray  # (Hq, W, D), the last W
    keys: np.ndarray  # (H, T, D)
    values: np.ndarray  # (H, T, D)


class Cache(Protocol):
    """A layer's rows, as a new token needs them."""

    def append(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Adds one row to every head: keys (H, D) and values (H, D)."""

    def attend(self, queries: np.ndarray) -> np.ndarray:
        """One token's attention: queries (H, G, D) -> (H, G, D)."""


class RaggedCache:
    """A layer's rows, head after head without gaps: head h owns rows offsets[h] .. offsets[h+1] - 1."""

    def __init__(self, keys: np.ndarray, values: np.ndarray, offsets: np.ndarray) -> None:
        """Owns keys (N, D), values (N, D) and offsets (H+1,) from now on."""
        self.keys, self.values, self.offsets = keys, values, offsets

    def drop_last(self) -> None:
        """Removes every head's last row."""
        lasts = self.offsets[1:] - 1
        self.keys = np.delete(self.keys, lasts, axis=0)
        self.values = np.delete(self.values, lasts, axis=0)
        self.offsets = self.offsets - np.arange(len(self.offsets))

    def append(self, keys: np.ndarray, values: np.ndarray) -> None:
        """Adds one row, keys (H, D) and values (H, D), at the end of every head."""
        ends = self.offsets[1:]
        self.keys = np.insert(self.keys, ends, keys, axis=0)
        self.values = np.insert(self.values, ends, values, axis=0)
        self.offsets = self.offsets + np.arange(len(self.offsets))

    def attend(self, queries: np.ndarray) -> np.ndarray:
        """One token's attention: queries (H, G, D) -> (H, G, D)."""
        mixed = np.empty_like(queries)
        for head, (first, end) in enumerate(zip(self.offsets, self.offsets[1:])):
            mixed[head] = attention(queries[head], self.keys[first:end], self.values[first:end])
        return mixed


class Llama:
    """transformers' LlamaForCausalLM for one sequence: RMSNorm, half-split RoPE, grouped heads, SwiGLU."""

    def __init__(self, folder: Path) -> None:
        """Reads config.json and model.safetensors of `folder`."""
        config = json.loads((folder / "config.json").read_text())
        self.layers: int = config["num_hidden_layers"]
        self.query_heads: int = config["num_attention_heads"]
        self.kv_heads: int = config["num_key_value_heads"]
        self.head_dim: int = config["head_dim"]
        self.epsilon: float = config["rms_norm_eps"]
        weights = read_safetensors(folder / "model.safetensors")
        self.embedding = weights["model.embed_tokens.weight"]  # (vocabulary, E)
        self.final_norm = weights["model.norm.weight"]  # (E,)
        self.output = weights["lm_head.weight"].T  # (E, vocabulary)
        self.blocks = [_Block(weights, f"model.layers.{layer}.") for layer in range(self.layers)]
        exponents = np.arange(self.head_dim // 2) / (self.head_dim // 2)
        self.frequencies = config["rope_parameters"]["rope_theta"] ** -exponents

    def prefill(self, tokens: np.ndarray, window: int) -> list[PrefilledLayer]:
        """Runs the prompt (T,) and returns every layer's keys, values and its last `window` queries."""
        cosine, sine = self._angles(np.arange(len(tokens)))
        hidden = self.embedding[tokens]  # (T, E)
        prefilled = []
        for block in self.blocks:
            queries, keys, values = self._project(block, hidden, cosine, sine)
            prefilled.append(PrefilledLayer(queries[:, -window:].copy(), keys, values))
            if block is not self.blocks[-1]:  # the last layer's output: see answer()
                mixed = _causal_attention(_scaled(queries), keys, values)
                hidden = self._finish_block(block, hidden, mixed)
        return prefilled

    def answer(self, caches: Sequence[RaggedCache], last_token: int, position: int, length: int) -> list[int]:
        """Decodes `length` tokens greedily from `caches` (one a layer; they grow).

        `last_token` is the prompt's, at `position` = T - 1, whose rows end every head. It is run again and its rows
        are replaced: those of the prefill have seen the whole prompt, and would hand the answer on past the sieve.
        Positions are absolute: the next token is at T.
        """
        for cache in caches:
            cache.drop_last()
        token, answer = last_token, []
        for step in range(length):
            token = self.next_token(token, position + step, caches)
            answer.append(token)
        return answer

    def next_token(self, token: int, position: int, caches: Sequence[Cache]) -> int:
        """Runs `token` at `position` over `caches` (one a layer), which get its rows; the likeliest token after it."""
        cosine, sine = self._angles(np.array([position]))
        hidden = self.embedding[[token]]  # (1, E)
        for block, cache in zip(self.blocks, caches):
            queries, keys, values = self._project(block, hidden, cosine, sine)
            cache.append(keys[:, 0], values[:, 0])
            grouped = queries.reshape(self.kv_heads, -1, self.head_dim)
            hidden = self._finish_block(block, hidden, cache.attend(grouped).reshape(1, -1))
        return int(np.argmax(self._normalize(hidden, self.final_norm) @ self.output))

    def _project(
        self, block: _Block, hidden: np.ndarray, cosine: np.ndarray, sine: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """hidden (T, E) -> queries (Hq, T, D) and keys (H, T, D), both rotated, and values (H, T, D)."""
        rows = self._normalize(hidden, block.attention_norm) @ block.query_key_value
        heads = rows.reshape(len(hidden), -1, self.head_dim).transpose(1, 0, 2)
        rotated = _rotate(heads[: -self.kv_heads], cosine, sine)
        values = np.ascontiguousarray(heads[-self.kv_heads :])
        return rotated[: self.query_heads], rotated[self.query_heads :], values

    def _finish_block(self, block: _Block, hidden: np.ndarray, mixed: np.ndarray) -> np.ndarray:
        """hidden (T, E) and what attention mixed (T, Hq * D) -> the block's output (T, E)."""
        hidden = hidden + mixed @ block.attention_output
        gate_up = self._normalize(hidden, block.mlp_norm) @ block.gate_up
        gate, up = gate_up[:, : len(block.down)], gate_up[:, len(block.down) :]
        finished: np.ndarray = hidden + (gate / (1 + np.exp(-gate)) * up) @ block.down
        return finished

    def _normalize(self, hidden: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """RMSNorm over the last axis: (T, E), (E,) -> (T, E)."""
        mean_square = np.mean(hidden * hidden, axis=-1, keepdims=True)
        normalized: np.ndarray = hidden / np.sqrt(mean_square + np.float32(self.epsilon)) * weight
        return normalized

    def _angles(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cosine and sine of positions (T,): two arrays (T, D / 2)."""
        angles = positions[:, None] * self.frequencies
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class _Block:
    """One layer's weights, transposed to (in, out); projections that read the same rows are one matrix."""

    def __init__(self, weights: dict[str, np.ndarray], prefix: str) -> None:
        def joined(*names: str) -> np.ndarray:
            return np.concatenate([weights[f"{prefix}{name}.weight"] for name in names]).T.copy()

        self.attention_norm = weights[prefix + "input_layernorm.weight"]
        self.query_key_value = joined("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.attention_output = joined("self_attn.o_proj")
        self.mlp_norm = weights[prefix + "post_attention_layernorm.weight"]
        self.gate_up = joined("mlp.gate_proj", "mlp.up_proj")
        self.down = joined("mlp.down_proj")


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Every tensor of a float32 safetensors file: 8 bytes of header length, JSON, then the numbers."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            assert entry["dtype"] == "F32", f"{name} is {entry['dtype']}, expected F32"
            first, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[start + first : start + end], "<f4").reshape(entry["shape"])
    return tensors


def attention(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One token over n rows: queries (..., G, D), keys and values (..., n, D) -> (..., G, D)."""
    logits = _scaled(queries) @ keys.swapaxes(-1, -2)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    mixed: np.ndarray = weights @ values / weights.sum(axis=-1, keepdims=True)
    return mixed


def _scaled(queries: np.ndarray) -> np.ndarray:
    return queries * np.float32(queries.shape[-1] ** -0.5)


def _rotate(rows: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    """RoPE, half-split as in transformers: rows (heads, T, D), angles (T, D / 2) -> (heads, T, D)."""
    half = rows.shape[2] // 2
    low, high = rows[:, :, :half], rows[:, :, half:]
    return np.concatenate([low * cosine - high * sine, high * cosine + low * sine], axis=2)


def _causal_attention(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scaled queries (Hq, T, D), keys and values (H, T, D) -> (T, Hq * D).

    A block of queries sees the keys up to its own end; only its diagonal corner needs a mask. A column of ones beside
    the values lets the product that mixes them sum the weights too.
    """
    kv_heads, tokens, dim = keys.shape
    group = len(queries) // kv_heads
    mixed = np.empty((tokens, len(queries), dim), np.float32)
    later = np.triu(np.full((QUERY_BLOCK, QUERY_BLOCK), -np.inf, np.float32), 1)
    for head in range(kv_heads):
        own = slice(head * group, (head + 1) * group)
        with_ones = np.concatenate([values[head], np.ones((tokens, 1), np.float32)], axis=1)
        for first in range(0, tokens, QUERY_BLOCK):
            end = min(first + QUERY_BLOCK, tokens)
            block = end - first
            logits = queries[own, first:end].reshape(-1, dim) @ keys[head, :end].T
            logits.reshape(group, block, end)[:, :, first:] += later[:block, :block]
            logits -= logits.max(axis=1, keepdims=True)
            sums = (np.exp(logits, out=logits) @ with_ones[:end]).reshape(group, block, dim + 1)
            mixed[first:end, own] = (sums[:, :, :dim] / sums[:, :, dim:]).transpose(1, 0, 2)
    return mixed.reshape(tokens, -1)
