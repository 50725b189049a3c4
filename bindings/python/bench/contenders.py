"""Who is measured: each function takes a layer, allocates what it may reuse, and returns the work of one compression."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from kvpress import SnapKVPress
from layer import BUDGET, DIM, GROUP, KERNEL, KV_HEADS, QUERY_HEADS, ROWS, WINDOW, Compress, Layer
from torch.nn.functional import avg_pool1d

import kvsieve

SCALE = DIM**-0.5
FUTURE = torch.full((WINDOW, WINDOW), float("-inf")).triu(1)
"""Added to the last WINDOW columns of logits: no query sees a later key."""


def ours(layer: Layer) -> Compress:
    """One plan, reset each time; cap=1 leaves DynamicKV with one layer SnapKV's choice."""
    model = kvsieve.Model(1, QUERY_HEADS, KV_HEADS, DIM)
    plan = kvsieve.Plan("dynamickv", model, window=WINDOW, budget=BUDGET, cap=1, pool_kernel=KERNEL)
    keys, values = layer.empty(), layer.empty()

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        plan.reset()
        plan.observe(0, layer.queries, layer.keys)
        plan.finish()
        return plan.gather(0, layer.keys, out=keys), plan.gather(0, layer.values, out=values)

    return compress


def kvpress_snapkv(layer: Layer) -> Compress:
    """The installed package's own SnapKVPress.compress.

    It takes an attention module and hidden states, and projects the window's queries itself. The module handed to it has
    a `q_proj` that returns the queries, laid out as a projection leaves them, and the rotary embedding is the identity
    (cos 1, sin 0), so projection costs nothing and rotation 32 * 32 * 128 products. Everything after that is as installed.
    """
    projected = layer.queries.transpose(0, 1).reshape(1, WINDOW, QUERY_HEADS * DIM)

    class Attention(torch.nn.Module):  # type: ignore[misc,unused-ignore] # Any, where torch is not installed
        config = SimpleNamespace(num_attention_heads=QUERY_HEADS, num_key_value_heads=KV_HEADS)
        head_dim = DIM

        def q_proj(self, hidden_states: torch.Tensor) -> torch.Tensor:
            return projected

    cos, sin = (make(1, WINDOW, DIM, dtype=layer.keys.dtype) for make in (torch.ones, torch.zeros))
    hidden = torch.zeros(1, layer.tokens, 1, dtype=layer.keys.dtype)
    keys, values, module = layer.keys[None], layer.values[None], Attention()
    press = SnapKVPress(compression_ratio=1 - BUDGET / layer.tokens, window_size=WINDOW, kernel_size=KERNEL)
    rotary: dict[str, Any] = {"position_embeddings": (cos, sin)}

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        kept_keys, kept_values = press.compress(module, hidden, keys, values, None, rotary)
        return kept_keys[0], kept_values[0]

    return compress


def torch_fresh(layer: Layer) -> Compress:
    """The whole layer in one expression: grouped product, no expansion of keys, new tensors at each step."""
    window = torch.arange(layer.tokens - WINDOW, layer.tokens).expand(KV_HEADS, WINDOW)

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        queries = layer.queries.view(KV_HEADS, ROWS, DIM)
        logits = torch.matmul(queries, layer.keys.transpose(1, 2)).float().view(KV_HEADS, GROUP, WINDOW, -1) * SCALE
        logits[..., -WINDOW:] += FUTURE
        scores = torch.softmax(logits, -1).sum((1, 2))[:, :-WINDOW]
        best = avg_pool1d(scores, KERNEL, 1, KERNEL // 2).topk(BUDGET - WINDOW).indices
        index = torch.cat([best, window], -1)[..., None].expand(-1, -1, DIM)
        return layer.keys.gather(1, index), layer.values.gather(1, index)

    return compress


def torch_reused(layer: Layer) -> Compress:
    """The fastest that we found in torch: a KV head at a time, every large step in place in memory kept between calls.

    Measured and left out as slower or the same: one product for all heads, logits in column blocks, exp and a product
    with the reciprocal sums, bfloat16 keys widened before the product.
    """
    half = layer.keys.dtype != torch.float32
    logits = torch.zeros(ROWS, layer.tokens)
    product = torch.zeros(ROWS, layer.tokens, dtype=layer.keys.dtype) if half else logits
    window_logits = logits.view(GROUP, WINDOW, -1)[..., -WINDOW:]
    sums = torch.zeros(KV_HEADS, layer.tokens)
    index = torch.arange(layer.tokens - BUDGET, layer.tokens).repeat(KV_HEADS, 1)  # ends with the window
    queries = layer.queries.view(KV_HEADS, ROWS, DIM)
    keys, values = layer.empty(), layer.empty()

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        scaled = queries if half else queries * SCALE
        for head in range(KV_HEADS):
            torch.mm(scaled[head], layer.keys[head].T, out=product)
            if half:
                logits.copy_(product).mul_(SCALE)
            window_logits.add_(FUTURE)
            torch.softmax(logits, -1, out=logits)
            torch.sum(logits, 0, out=sums[head])
        scores = avg_pool1d(sums[:, :-WINDOW], KERNEL, 1, KERNEL // 2)
        index[:, :-WINDOW] = scores.topk(BUDGET - WINDOW, sorted=False).indices.sort().values
        for head in range(KV_HEADS):
            torch.index_select(layer.keys[head], 0, index[head], out=keys[head])
            torch.index_select(layer.values[head], 0, index[head], out=values[head])
        return keys, values

    return compress


def numpy_reused(layer: Layer) -> Compress:
    """The same in numpy: a KV head at a time, in place; the softmax's division is folded into the column sums."""
    queries, keys, values, future = _numpy(layer)
    logits = np.zeros((ROWS, layer.tokens), np.float32)
    window_logits = logits.reshape(GROUP, WINDOW, -1)[..., -WINDOW:]
    sums = np.zeros((KV_HEADS, layer.tokens), np.float32)
    kept_keys, kept_values = layer.empty(), layer.empty()

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        scaled = queries.reshape(KV_HEADS, ROWS, DIM) * np.float32(SCALE)
        for head in range(KV_HEADS):
            np.matmul(scaled[head], keys[head].T, out=logits)
            np.add(window_logits, future, out=window_logits)
            np.subtract(logits, logits.max(1, keepdims=True), out=logits)
            np.exp(logits, out=logits)
            np.matmul(1 / logits.sum(1), logits, out=sums[head])
        _numpy_keep(sums, keys, values, kept_keys.numpy(), kept_values.numpy())
        return kept_keys, kept_values

    return compress


def numpy_loop(layer: Layer) -> Compress:
    """A loop over query heads, with new arrays at each step."""
    queries, keys, values, future = _numpy(layer)
    kept_keys, kept_values = layer.empty(), layer.empty()

    def compress() -> tuple[torch.Tensor, torch.Tensor]:
        sums = np.zeros((KV_HEADS, layer.tokens), np.float32)
        for head in range(QUERY_HEADS):
            logits = queries[head] @ keys[head // GROUP].T * np.float32(SCALE)
            logits[:, -WINDOW:] += future
            weights = np.exp(logits - logits.max(1, keepdims=True))
            sums[head // GROUP] += (weights / weights.sum(1, keepdims=True)).sum(0)
        _numpy_keep(sums, keys, values, kept_keys.numpy(), kept_values.numpy())
        return kept_keys, kept_values

    return compress


def _numpy(layer: Layer) -> tuple[Any, Any, Any, Any]:
    return layer.queries.numpy(), layer.keys.numpy(), layer.values.numpy(), FUTURE.numpy()


def _numpy_keep(sums: Any, keys: Any, values: Any, kept_keys: Any, kept_values: Any) -> None:
    """Pools, chooses and copies. mode="clip": np.take would buffer its output otherwise."""
    tokens = sums.shape[1]
    padded = np.pad(sums[:, :-WINDOW], ((0, 0), (KERNEL // 2, KERNEL // 2)))
    scores = sum(padded[:, shift : shift + tokens - WINDOW] for shift in range(KERNEL))
    best = np.argpartition(scores, -(BUDGET - WINDOW), axis=1)[:, -(BUDGET - WINDOW) :]
    best.sort(1)
    for head in range(KV_HEADS):
        index = np.concatenate([best[head], np.arange(tokens - WINDOW, tokens)])
        np.take(keys[head], index, axis=0, out=kept_keys[head], mode="clip")
        np.take(values[head], index, axis=0, out=kept_values[head], mode="clip")


CONTENDERS = {
    "kvsieve, DynamicKV": ours,
    "kvpress, SnapKVPress.compress": kvpress_snapkv,
    "torch, whole layer, new tensors": torch_fresh,
    "torch, head by head, reused memory": torch_reused,
    "numpy, head by head, reused memory": numpy_reused,
    "numpy, loop over query heads": numpy_loop,
}
"""Ours first: the others are compared with it."""
ONLY_FLOAT32 = {"numpy, head by head, reused memory", "numpy, loop over query heads"}
"""Numpy has no bfloat16 arithmetic."""
