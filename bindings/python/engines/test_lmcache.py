"""kvsieve.lmcache.modify_kv on torch's tensors, as LMCache has them: the same bits as on numpy's, the tokens that torch chooses."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch

import kvsieve
import kvsieve.lmcache

ROOT = Path(__file__).resolve().parents[3]
os.environ.setdefault("KVSIEVE_LIBRARY", str(ROOT / ".build/release/libkvsieve.so"))
sys.path.insert(0, str(ROOT / "bindings/python/bench"))

from lmcache_modify import DIM, HEADS, QUERY_HEADS, by_torch

LAYERS, TOKENS, BUDGET = 2, 1024, 512
DTYPES: dict[Any, Any] = {
    torch.float32: np.float32,
    torch.float16: np.float16,
    torch.bfloat16: ml_dtypes.bfloat16,
}
FREQUENCIES = 500000.0 ** (-torch.arange(0, DIM, 2) / DIM)
torch.set_num_threads(1)


def drawn(seed: int, dtype: Any) -> tuple[Any, Any]:
    random = torch.Generator().manual_seed(seed)
    kv = torch.randn(2, LAYERS, TOKENS, HEADS * DIM, generator=random).to(dtype)
    return kv, torch.randn(1, LAYERS, TOKENS, QUERY_HEADS * DIM, generator=random).to(dtype)


def modified(kv: Any, queries: Any) -> tuple[Any, Any]:
    function = kvsieve.lmcache.modify_kv("snapkv", head_dim=DIM, rope=kvsieve.Rope(FREQUENCIES), budget=BUDGET)
    return function({"kv": kv, "query": queries}, range(TOKENS))


def as_numpy(tensor: Any) -> Any:
    return tensor.view(torch.uint8).numpy().view(DTYPES[tensor.dtype])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_torch_is_as_numpy(dtype: Any) -> None:
    kv, queries = drawn(1, dtype)
    new, tokens = modified(kv, queries)
    want, same_tokens = modified(as_numpy(kv), as_numpy(queries))
    assert isinstance(new, torch.Tensor) and new.is_contiguous() and new.dtype == dtype
    assert tokens == same_tokens and new.shape == (2, LAYERS, BUDGET, HEADS * DIM)
    np.testing.assert_array_equal(as_numpy(new).view(np.uint8), want.view(np.uint8))


@pytest.mark.parametrize("seed", range(3))
def test_the_same_as_in_torch(seed: int) -> None:
    kv, queries = drawn(seed, torch.float32)
    new, tokens = modified(kv, queries)
    want, kept = by_torch(kv, queries, BUDGET, FREQUENCIES)
    assert tokens == kept.tolist()
    assert torch.equal(new[1], want[1])
    assert float((new[0] - want[0]).abs().max()) < 2e-4  # torch's angles are float32: 1,024 positions of 1e-7
