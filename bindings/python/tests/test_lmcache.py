"""kvsieve.lmcache.modify_kv against the same worked out in double from the formulas: SnapKV's scores, one choice, rotated keys.

LMCache is not installed here; Kind is its LMCacheSDKCacheKind in name and values, and `stored` what its context cuts off.
"""

from __future__ import annotations

import enum
import threading
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import kvsieve
import kvsieve.lmcache

LAYERS, QUERY_HEADS, HEADS, DIM, CHUNK, WINDOW = 3, 4, 2, 16, 32, 8
FREQUENCIES = (10000.0 ** (-np.arange(0, DIM, 2) / DIM)).astype(np.float32)
ROPE = kvsieve.Rope(FREQUENCIES)


class Kind(enum.Enum):
    KV = "kv"
    QUERY = "query"


class Stored:
    """What the SDK hands over of T tokens."""

    def __init__(self, tokens: int, seed: int, dtype: Any = np.float32) -> None:
        rng = np.random.default_rng(seed)
        self.kv = rng.standard_normal((2, LAYERS, tokens, HEADS * DIM)).astype(dtype)
        self.queries = (2 * rng.standard_normal((1, LAYERS, tokens, QUERY_HEADS * DIM))).astype(dtype)
        self.tokens = rng.integers(0, 50000, tokens).tolist()

    def tensors(self) -> dict[Any, Any]:
        return {Kind.KV: self.kv, Kind.QUERY: self.queries}


def modified(stored: Stored, method: str = "snapkv", **more: Any) -> tuple[Any, Any]:
    settings: dict[str, Any] = {"head_dim": DIM, "rope": ROPE, "chunk": CHUNK, "budget": 2 * CHUNK, **more}
    return kvsieve.lmcache.modify_kv(method, **settings)(stored.tensors(), stored.tokens)


def scores(stored: Stored) -> np.ndarray:
    """(L, T - W): SnapKV's, of the tokens before the window, the mean over heads."""
    total = len(stored.tokens)
    result = []
    for layer in range(LAYERS):
        keys = stored.kv[0, layer].reshape(total, HEADS, DIM).astype(np.float64)
        queries = stored.queries[0, layer].reshape(total, QUERY_HEADS, DIM).astype(np.float64)[-WINDOW:]
        of_heads = np.zeros((HEADS, total - WINDOW))
        for query_head in range(QUERY_HEADS):
            head = query_head // (QUERY_HEADS // HEADS)
            for row in range(WINDOW):
                visible = total - WINDOW + row + 1
                logits = keys[:visible, head] @ queries[row, query_head] / DIM**0.5
                weights = np.exp(logits - logits.max())
                of_heads[head] += (weights / weights.sum())[: total - WINDOW]
        padded = np.pad(of_heads, ((0, 0), (3, 3)))
        pooled = np.stack([padded[:, shift : shift + total - WINDOW] for shift in range(7)]).sum(axis=0)
        result.append(pooled.mean(axis=0) / 7)  # zeros beside both ends count
    return np.array(result)


def rotated(rows: np.ndarray, turns: np.ndarray) -> np.ndarray:
    """(n, H, D): Llama's formula, x cos + rotate_half(x) sin, row i by turns[i] positions."""
    angles = np.tile(turns[:, None] * FREQUENCIES.astype(np.float64), 2)[:, None]
    half = np.concatenate([-rows[..., DIM // 2 :], rows[..., : DIM // 2]], axis=-1)
    return np.asarray(rows * np.cos(angles) + half * np.sin(angles))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("budget", [2 * CHUNK, 4 * CHUNK])
def test_the_same_as_worked_out_plainly(budget: int, seed: int) -> None:
    stored = Stored(8 * CHUNK, seed)
    means = scores(stored).mean(axis=0)
    best = np.argsort(-means, kind="stable")[: budget - WINDOW]
    kept = np.array(sorted([*best.tolist(), *range(len(stored.tokens) - WINDOW, len(stored.tokens))]))
    cut = np.sort(means)[::-1][budget - WINDOW - 1 : budget - WINDOW + 1]
    assert cut[0] - cut[1] > 1e-6, f"seed {seed} has a near-tie at the cut: float32 cannot tell"

    kv, tokens = modified(stored, window=WINDOW, budget=budget)

    assert tokens == [stored.tokens[position] for position in kept]
    assert kv.shape == (2, LAYERS, budget, HEADS * DIM)
    np.testing.assert_array_equal(kv[1], stored.kv[1][:, kept])
    for layer in range(LAYERS):
        rows = stored.kv[0, layer, kept].reshape(-1, HEADS, DIM).astype(np.float64)
        want = rotated(rows, np.arange(len(kept)) - kept).reshape(len(kept), -1)
        np.testing.assert_allclose(kv[0, layer], want, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [method.name for method in kvsieve.methods()])
def test_every_method_keeps_whole_chunks_or_is_refused(name: str) -> None:
    stored = Stored(6 * CHUNK, 1)
    method = next(method for method in kvsieve.methods() if method.name == name)
    known = {parameter.name for parameter in method.parameters}
    if "share" not in known:
        with pytest.raises(ValueError, match="one set for all"):
            modified(stored, name)
        return
    more = {"charge": 1} if "charge" in known else {}
    for budget in (CHUNK, 2 * CHUNK + 7, 3 * CHUNK - 1):
        kv, tokens = modified(stored, name, budget=budget, **more)
        assert kv.shape[2] == len(tokens) == budget // CHUNK * CHUNK, (name, budget)
        at = [stored.tokens.index(token) for token in tokens]
        assert at == sorted(at)
        np.testing.assert_array_equal(kv[1], stored.kv[1][:, at])


def test_by_ratio_and_with_protected_tokens() -> None:
    stored = Stored(8 * CHUNK, 2)
    kv, tokens = modified(stored, budget=1, ratio=0.4, protect=[(3, 5), (100, 2)])  # floor(0.4 * 256) = 102: 3 chunks
    assert kv.shape[2] == 3 * CHUNK
    assert set(stored.tokens[3:8]) | set(stored.tokens[100:102]) <= set(tokens)


def test_without_rope_keys_are_copied() -> None:
    stored = Stored(4 * CHUNK, 3)
    kv, tokens = modified(stored, rope=None)
    at = [stored.tokens.index(token) for token in tokens]
    np.testing.assert_array_equal(kv, stored.kv[:, :, at])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_dtype_is_that_of_the_cache(dtype: Any) -> None:
    stored = Stored(4 * CHUNK, 4, dtype)
    kv, _ = modified(stored)
    assert kv.dtype == dtype and np.isfinite(kv.astype(np.float32)).all()


def test_what_the_budget_holds_is_returned_as_it_is() -> None:
    stored = Stored(2 * CHUNK, 5)
    kv, tokens = modified(stored)
    assert kv is stored.kv and tokens == stored.tokens


def test_a_method_that_reads_no_queries_needs_no_such_context() -> None:
    stored = Stored(4 * CHUNK, 6)
    settings: dict[str, Any] = {"head_dim": DIM, "rope": ROPE, "chunk": CHUNK, "budget": 2 * CHUNK}
    kv, _ = kvsieve.lmcache.modify_kv("keydiff", **settings)({"kv": stored.kv}, stored.tokens)
    np.testing.assert_array_equal(kv, modified(stored, "keydiff")[0])
    with pytest.raises(ValueError, match="kind QUERY"):
        kvsieve.lmcache.modify_kv("snapkv", **settings)({"kv": stored.kv}, stored.tokens)


def test_one_function_serves_streams_at_the_same_time() -> None:
    """LMCacheBatchedStream.modify calls it from a thread a stream."""
    streams = [Stored(5 * CHUNK, seed) for seed in range(6)]
    function = kvsieve.lmcache.modify_kv("snapkv", head_dim=DIM, rope=ROPE, chunk=CHUNK, budget=CHUNK)
    found: dict[int, Any] = {}

    def work(i: int) -> None:
        found[i] = function(streams[i].tensors(), streams[i].tokens)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(streams))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, stream in enumerate(streams):
        kv, tokens = modified(stream, budget=CHUNK)
        assert found[i][1] == tokens
        np.testing.assert_array_equal(found[i][0], kv)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"share": 1}, "share was given"),
        ({"decoding": 1}, "decoding was given"),
        ({"chunk": 0}, "chunk 0"),
        ({"budget": CHUNK - 1, "window": WINDOW}, "a chunk of 32 at least"),
        ({"head_dim": 24}, r"kv has shape \(2, 3, 128, 32\): expected \(2, L, 128, H \* 24\)"),
    ],
)
def test_refused(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        modified(Stored(4 * CHUNK, 7), **more)


def test_windowkv_as_published_is_refused() -> None:
    """It keeps its window beside the budget."""
    with pytest.raises(ValueError, match="of windowkv set charge=1"):
        modified(Stored(8 * CHUNK, 8), "windowkv", window=WINDOW)


def test_tensors_of_other_tokens_are_refused() -> None:
    stored = Stored(4 * CHUNK, 9)
    stored.queries = stored.queries[:, :, :-CHUNK]
    with pytest.raises(ValueError, match="query has shape"):
        modified(stored)
    stored.kv = stored.kv[:1]
    with pytest.raises(ValueError, match="kv has shape"):
        modified(stored)


def test_what_is_no_tensor() -> None:
    stored = Stored(2 * CHUNK, 7)
    function = kvsieve.lmcache.modify_kv("snapkv", head_dim=DIM, rope=ROPE, chunk=CHUNK, budget=CHUNK)
    with pytest.raises(TypeError, match="kv is a list: expected a tensor of torch or an array of numpy"):
        function({"kv": stored.kv.tolist()}, stored.tokens)
    with pytest.raises(TypeError, match="query is a list"):
        function({**stored.tensors(), "query": stored.queries.tolist()}, stored.tokens)
    with pytest.raises(TypeError, match="head_dim is True"):
        kvsieve.lmcache.modify_kv("snapkv", head_dim=True, rope=ROPE)
