"""A Llama in numpy: one prefill of a prompt, then a short suffix over many choices of what is kept of it.

Here: the blocks, blocked causal attention over a prompt, attention of suffix tokens over gathered rows. Not here: where the
weights come from (weights.py), what to keep (choices.py), what is asked and judged (tasks, judge.py).
Letters: L layers, Hq query heads, H key/value heads, G = Hq / H, D head size, E hidden size, T prompt tokens, S suffix
tokens, P tokens of earlier suffixes, B variants (choices of rows of the same prompt). Everything is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

QUERY_BLOCK = 64  # queries of a head that attend at once: G * 64 * T logits stay in the processor's cache
ROW_BLOCK = 256  # rows of an MLP at once, for the same reason

Kept = list[list[np.ndarray]]
"""Of every layer and key/value head the positions that are kept, ascending."""

Attend = Callable[[int, np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""(layer, queries (B, Hq, S, D), keys (B, H, S, D), values (B, H, S, D)) -> (B * S, Hq * D). Queries and keys are rotated and not
scaled. Called for each layer in order; it owns the caches."""


@dataclass(frozen=True)
class Prefix:
    """What an engine holds after the prompt; rotary embedding applied to queries and keys."""

    queries: list[np.ndarray]  # L of (Hq, T, D)
    keys: list[np.ndarray]  # L of (H, T, D)
    values: list[np.ndarray]  # L of (H, T, D)
    logits: np.ndarray  # (vocabulary,), of the token after the prompt

    @property
    def tokens(self) -> int:
        """T."""
        return len(self.keys[0][0])


@dataclass(frozen=True)
class Suffix:
    """What B variants hold and say after S more tokens."""

    hidden: np.ndarray  # (B, S, E), normalized: ready for logits()
    keys: list[np.ndarray]  # L of (B, H, P + S, D)
    values: list[np.ndarray]  # likewise


class Llama:
    """transformers' LlamaForCausalLM: RMSNorm, half-split RoPE, grouped heads, SwiGLU, tied or untied output."""

    def __init__(self, config: Mapping[str, Any], weights: Mapping[str, np.ndarray]) -> None:
        """config: LlamaConfig's names. weights: transformers' names, matrices (out, in)."""
        self.layers: int = config["num_hidden_layers"]
        self.query_heads: int = config["num_attention_heads"]
        self.kv_heads: int = config["num_key_value_heads"]
        self.head_dim: int = config["head_dim"]
        self.scale = np.float32(self.head_dim**-0.5)  # of logits
        self.epsilon = np.float32(config["rms_norm_eps"])
        self.embedding = weights["model.embed_tokens.weight"]  # (vocabulary, E)
        self.output = weights.get("lm_head.weight", self.embedding)
        self.final_norm = weights["model.norm.weight"]  # (E,)
        self.blocks = [_Block(weights, f"model.layers.{layer}.") for layer in range(self.layers)]
        half = self.head_dim // 2
        self.frequencies = config["rope_parameters"]["rope_theta"] ** -(np.arange(half) / half)

    def prefill(self, tokens: Sequence[int]) -> Prefix:
        """Runs the prompt (T,) from position 0."""
        hidden = self.embedding[np.asarray(tokens)]  # (T, E)
        angles = self._angles(np.arange(len(hidden)))
        prefix = Prefix([], [], [], np.empty(0, np.float32))
        for block in self.blocks:
            queries, keys, values = self._project(block, hidden, angles)
            prefix.queries.append(queries)
            prefix.keys.append(keys)
            prefix.values.append(values)
            if block is self.blocks[-1]:  # nobody asks what the last layer says of tokens before the last
                mixed = _attention(queries[:, -1:] * self.scale, keys, values)
                hidden = hidden[-1:]
            else:
                mixed = _causal_attention(queries * self.scale, keys, values)
            hidden = self._finish_block(block, hidden, mixed)
        logits = self.logits(self._normalize(hidden, self.final_norm))[0]
        return Prefix(prefix.queries, prefix.keys, prefix.values, logits)

    def run(self, tokens: np.ndarray, first: int, attend: Attend) -> np.ndarray:
        """The next tokens (B, S) of B variants, from position `first` -> (B, S, E), normalized: ready for logits()."""
        count, length = tokens.shape
        hidden = self.embedding[tokens.reshape(-1)]  # (B * S, E)
        cosine, sine = self._angles(np.arange(first, first + length))
        angles = np.tile(cosine, (count, 1)), np.tile(sine, (count, 1))
        for layer, block in enumerate(self.blocks):
            rows = self._project(block, hidden, angles)
            queries, keys, values = (each.reshape(-1, count, length, self.head_dim).swapaxes(0, 1) for each in rows)
            hidden = self._finish_block(block, hidden, attend(layer, queries, keys, values))
        return self._normalize(hidden, self.final_norm).reshape(count, length, -1)

    def suffix(
        self,
        prefix: Prefix,
        variants: Sequence[Kept | None],
        tokens: Sequence[int] | np.ndarray,
        past: Suffix | None = None,
    ) -> Suffix:
        """Runs tokens, (S,) for all or (B, S), after the prompt and `past` over every variant; None is the whole cache.

        Cost of attention follows the rows that are kept. A token sees the kept rows of the prompt and what came after
        the prompt before it, itself included; positions are absolute.
        """
        already = past.keys[0].shape[2] if past else 0
        grown = Suffix(np.empty(0, np.float32), [], [])

        def attend(layer: int, queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
            if past:
                keys = np.concatenate([past.keys[layer], keys], axis=2)
                values = np.concatenate([past.values[layer], values], axis=2)
            grown.keys.append(keys)
            grown.values.append(values)
            kept = [variant[layer] if variant else None for variant in variants]
            return self._mix(queries * self.scale, prefix, layer, kept, keys, values)

        each = np.asarray(tokens)
        hidden = self.run(np.broadcast_to(each, (len(variants), each.shape[-1])), prefix.tokens + already, attend)
        return Suffix(hidden, grown.keys, grown.values)

    def logits(self, normalized: np.ndarray) -> np.ndarray:
        """(..., E) -> (..., vocabulary)."""
        rows = normalized.reshape(-1, normalized.shape[-1])  # one product: by variants it would be five times as slow
        said: np.ndarray = (rows @ self.output.T).reshape(*normalized.shape[:-1], -1)
        return said

    def _mix(
        self,
        queries: np.ndarray,
        prefix: Prefix,
        layer: int,
        kept: Sequence[list[np.ndarray] | None],
        keys: np.ndarray,
        values: np.ndarray,
    ) -> np.ndarray:
        """Scaled queries (B, Hq, S, D) over kept rows and the suffix's keys (B, H, P + S, D) -> (B * S, Hq * D)."""
        count, _, length, dim = queries.shape
        group, later = self.query_heads // self.kv_heads, keys.shape[2]
        mask = np.triu(np.full((length, later), -np.inf, np.float32), later - length + 1)
        mixed = np.empty((count, length, self.kv_heads, group, dim), np.float32)
        for head in range(self.kv_heads):
            own = np.ascontiguousarray(queries[:, head * group : (head + 1) * group])  # (B, G, S, D)
            near = own.reshape(count, group * length, dim) @ keys[:, head].swapaxes(1, 2)  # (B, G * S, P + S)
            near += np.tile(mask, (group, 1))
            for variant in range(count):
                rows = kept[variant]
                old_keys, old_values = prefix.keys[layer][head], prefix.values[layer][head]
                if rows is not None and len(rows[head]) < prefix.tokens:
                    old_keys, old_values = old_keys[rows[head]], old_values[rows[head]]
                asking = own[variant].reshape(group * length, dim)
                weights = np.concatenate([asking @ old_keys.T, near[variant]], axis=1)
                weights -= weights.max(axis=1, keepdims=True)
                np.exp(weights, out=weights)
                held = len(old_keys)
                found = weights[:, :held] @ old_values + weights[:, held:] @ values[variant, head]
                found /= weights.sum(axis=1, keepdims=True)
                mixed[variant, :, head] = found.reshape(group, length, dim).swapaxes(0, 1)
        return mixed.reshape(count * length, -1)

    def _project(
        self, block: _Block, hidden: np.ndarray, angles: tuple[np.ndarray, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """hidden (N, E) -> queries (Hq, N, D) and keys (H, N, D), both rotated, and values (H, N, D)."""
        normalized = self._normalize(hidden, block.attention_norm)

        def heads(weight: np.ndarray) -> np.ndarray:
            rows: np.ndarray = normalized @ weight.T
            return rows.reshape(len(hidden), -1, self.head_dim).swapaxes(0, 1)

        queries, keys = (rotate(heads(weight), *angles) for weight in (block.query, block.key))
        return queries, keys, np.ascontiguousarray(heads(block.value))

    def _finish_block(self, block: _Block, hidden: np.ndarray, mixed: np.ndarray) -> np.ndarray:
        """hidden (N, E) and what attention mixed (N, Hq * D) -> the block's output (N, E)."""
        finished: np.ndarray = hidden + mixed @ block.attention_output.T
        for start in range(0, len(finished), ROW_BLOCK):
            rows = finished[start : start + ROW_BLOCK]
            normalized = self._normalize(rows, block.mlp_norm)
            gate = normalized @ block.gate.T
            up = normalized @ block.up.T
            up *= gate
            np.negative(gate, out=gate)
            np.exp(gate, out=gate)
            gate += 1
            up /= gate
            rows += up @ block.down.T
        return finished

    def _normalize(self, hidden: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """RMSNorm over the last axis: (N, E), (E,) -> (N, E)."""
        squares = np.einsum("ne,ne->n", hidden, hidden)[:, None] / np.float32(hidden.shape[1])
        normalized: np.ndarray = hidden / np.sqrt(squares + self.epsilon) * weight
        return normalized

    def _angles(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cosine and sine of positions (N,): two arrays (N, D / 2)."""
        angles = positions[:, None] * self.frequencies
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class _Block:
    """One layer's weights, matrices (out, in)."""

    def __init__(self, weights: Mapping[str, np.ndarray], prefix: str) -> None:
        def of(name: str) -> np.ndarray:
            return weights[f"{prefix}{name}.weight"]

        self.attention_norm, self.mlp_norm = of("input_layernorm"), of("post_attention_layernorm")
        self.query, self.key, self.value = of("self_attn.q_proj"), of("self_attn.k_proj"), of("self_attn.v_proj")
        self.attention_output = of("self_attn.o_proj")
        self.gate, self.up, self.down = of("mlp.gate_proj"), of("mlp.up_proj"), of("mlp.down_proj")


def rotate(rows: np.ndarray, cosine: np.ndarray, sine: np.ndarray) -> np.ndarray:
    """RoPE, half-split as in transformers: rows (heads, N, D), angles (N, D / 2) -> (heads, N, D)."""
    half = rows.shape[2] // 2
    low, high = rows[:, :, :half], rows[:, :, half:]
    rotated = np.empty(rows.shape, np.float32)
    rotated[:, :, :half] = low * cosine - high * sine
    rotated[:, :, half:] = high * cosine + low * sine
    return rotated


def _attention(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """One token over all rows: scaled queries (Hq, 1, D), keys and values (H, T, D) -> (1, Hq * D)."""
    asking = queries.reshape(len(keys), -1, queries.shape[2])  # (H, G, D)
    weights = asking @ keys.swapaxes(1, 2)
    weights = np.exp(weights - weights.max(axis=2, keepdims=True))
    mixed: np.ndarray = weights @ values / weights.sum(axis=2, keepdims=True)
    return mixed.reshape(1, -1)


def _causal_attention(queries: np.ndarray, keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Scaled queries (Hq, T, D), keys and values (H, T, D) -> (T, Hq * D).

    A block of queries sees the keys up to its own end; only its last columns need a mask.
    """
    kv_heads, tokens, dim = keys.shape
    group = len(queries) // kv_heads
    mixed = np.empty((tokens, kv_heads, group, dim), np.float32)
    later = np.triu(np.full((QUERY_BLOCK, QUERY_BLOCK), -np.inf, np.float32), 1)
    for head in range(kv_heads):
        for first in range(0, tokens, QUERY_BLOCK):
            end = min(first + QUERY_BLOCK, tokens)
            block = end - first
            asking = queries[head * group : (head + 1) * group, first:end].reshape(group * block, dim)
            weights = asking @ keys[head, :end].T
            weights.reshape(group, block, end)[:, :, first:] += later[:block, :block]
            weights -= weights.max(axis=1, keepdims=True)
            np.exp(weights, out=weights)
            found = weights @ values[head, :end]
            found /= weights.sum(axis=1, keepdims=True)
            mixed[first:end, head] = found.reshape(group, block, dim).swapaxes(0, 1)
    return mixed.reshape(tokens, -1)
