"""kvsieve.Paged and kvsieve.Quantised: views of caches as engines have them, with the result of contiguous float32."""

from __future__ import annotations

import hashlib
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, QUERY_HEADS, TOKENS, Cache, fresh, noise, refused
from dlpack_producer import Legacy

import kvsieve

BLOCK = 16
LAYOUTS = ("blocks, block, H, D", "blocks, H, block, D", "blocks, 2, block, H, D")


def paged(array: np.ndarray, layout: str, seed: int = 1) -> kvsieve.Paged:
    """`array` (heads, tokens, dim) in shuffled blocks of a pool twice as large."""
    heads, tokens, dim = array.shape
    entries = -(-tokens // BLOCK)
    rng = np.random.default_rng(seed)
    table = rng.permutation(2 * entries)[:entries].astype(np.int32)
    if layout == "blocks, block, H, D":
        data = np.zeros((2 * entries, BLOCK, heads, dim), array.dtype).transpose(0, 2, 1, 3)
    elif layout == "blocks, H, block, D":
        data = np.zeros((2 * entries, heads, BLOCK, dim), array.dtype)
    else:
        data = np.zeros((2 * entries, 2, BLOCK, heads, dim), array.dtype)[:, 1].transpose(0, 2, 1, 3)
    for token in range(tokens):
        data[table[token // BLOCK], :, token % BLOCK] = array[:, token]
    return kvsieve.Paged(data, table, tokens)


def decoded(dtype: str, rows: np.ndarray) -> np.ndarray:
    """uint8 (..., bytes of a row) to float32, as ggml's dequantize_row_q8_0 and _q4_0, and the float8 types of ml_dtypes."""
    if dtype.startswith("float8"):
        floats: np.ndarray = rows.view(getattr(ml_dtypes, dtype)).astype(np.float32)
        return floats
    size = {"q8_0": 34, "q4_0": 18}[dtype]
    blocks = rows.reshape(*rows.shape[:-1], -1, size)
    scale = np.ascontiguousarray(blocks[..., :2]).view(np.float16).astype(np.float32)
    numbers = np.ascontiguousarray(blocks[..., 2:])
    if dtype == "q8_0":
        whole = numbers.view(np.int8).astype(np.float32)
    else:
        whole = np.concatenate([numbers & 15, numbers >> 4], -1).astype(np.float32) - 8
    return (scale * whole).reshape(*rows.shape[:-1], -1)


def quantised(dtype: str, heads: int, tokens: int, seed: int) -> np.ndarray:
    """Random rows of 64 finite numbers: uint8 (heads, tokens, bytes of a row)."""
    rng = np.random.default_rng(seed)
    length = {"q8_0": 68, "q4_0": 36}.get(dtype, 64)
    rows = rng.integers(0, 256, (heads, tokens, length), np.uint8)
    if dtype.startswith("float8"):
        return rows & 0xBF
    size = length // 2
    for first in (0, size):
        rows[..., first + 1] = rows[..., first + 1] & 3 | (0x20 if dtype == "q8_0" else 0x30)
    return rows


@pytest.mark.parametrize(
    ("dtype", "digest"),
    [("q8_0", "1b058bac19abe208b5da68db0a334770"), ("q4_0", "8a0e20803f9b05a46653142f52a44206")],
)
def test_the_decoding_is_ggmls(dtype: str, digest: str) -> None:
    """The digests are those of gguf.quants.dequantize of gguf 0.19.0, of the same bytes."""
    rows = quantised(dtype, 4, 100, 77)
    assert hashlib.sha256(decoded(dtype, rows).tobytes()).hexdigest()[:32] == digest


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("method", [info.name for info in kvsieve.methods()])
def test_a_paged_cache_gives_the_same_result(method: str, dtype: Any, layout: str, cache: Cache) -> None:
    model = kvsieve.Model(2, cache.queries[0].shape[0], KV_HEADS, DIM)
    with kvsieve.Plan(method, model) as plain, kvsieve.Plan(method, model) as blocks:
        for plan in (plain, blocks):
            name = "budget" if any(p.name == "budget" and p.initial > 0 for p in plan.method.parameters) else "ratio"
            plan[name] = 48 if name == "budget" else 0.6
        for layer in range(2):
            q, k, v = (tensors[layer].astype(dtype) for tensors in (cache.queries, cache.keys, cache.values))
            plain.observe(layer, q, k, v)
            blocks.observe(layer, q, paged(k, layout), paged(v, layout, 2))
        plain.finish()
        blocks.finish()
        for layer in range(2):
            assert np.array_equal(plain.kept(layer).positions, blocks.kept(layer).positions)
            keys = cache.keys[layer].astype(dtype)
            assert np.array_equal(plain.gather(layer, keys), blocks.gather(layer, paged(keys, layout)))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_gather_into_blocks(layout: str, plan: kvsieve.Plan, cache: Cache) -> None:
    kept, keys = plan.kept(0), cache.keys[0]
    out = paged(np.zeros((KV_HEADS, kept.longest, DIM), np.float32), layout)
    assert plan.gather(0, keys, out=out) is out
    for head in range(KV_HEADS):
        for index, position in enumerate(kept.head(head)):
            assert np.array_equal(out.data[out.blocks[index // BLOCK], head, index % BLOCK], keys[head, position])


def test_gather_in_place_in_blocks(plan: kvsieve.Plan, cache: Cache) -> None:
    kept, keys = plan.kept(0), cache.keys[0]
    source = paged(keys, LAYOUTS[0])
    assert plan.gather(0, source, out=source) is source
    for head in range(KV_HEADS):
        for index, position in enumerate(kept.head(head)):
            assert np.array_equal(source.data[source.blocks[index // BLOCK], head, index % BLOCK], keys[head, position])


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0", "float8_e4m3fn", "float8_e5m2"])
@pytest.mark.parametrize("in_blocks", [False, True])
def test_quantised_rows_are_the_numbers_that_they_hold(dtype: str, in_blocks: bool) -> None:
    model = kvsieve.Model(1, 4, 2, 64)
    queries = noise(1, 4, 32, 64)
    for method in ("ahakv", "keydiff", "snapkv", "taskkv"):
        budget = {"ratio": 0.6} if method == "taskkv" else {"budget": 48}
        keys, values = (quantised(dtype, 2, TOKENS, seed) for seed in (3, 4))
        with kvsieve.Plan(method, model, **budget) as plan, kvsieve.Plan(method, model, **budget) as expected:
            expected.observe(0, queries, decoded(dtype, keys), decoded(dtype, values))
            expected.finish()
            rows = [kvsieve.Quantised(tensor, dtype) for tensor in (keys, values)]
            if in_blocks:
                pages = [paged(tensor, LAYOUTS[0]) for tensor in (keys, values)]
                views = [kvsieve.Paged(kvsieve.Quantised(p.data, dtype), p.blocks, p.tokens) for p in pages]
                plan.observe(0, queries, *views)
            else:
                plan.observe(0, queries, *rows)
            plan.finish()
            assert np.array_equal(plan.kept(0).positions, expected.kept(0).positions), method
            small = plan.gather(0, rows[0])
            assert small.dtype == np.uint8
            assert np.array_equal(decoded(dtype, small), expected.gather(0, decoded(dtype, keys)))


@pytest.mark.parametrize("dtype", [ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2])
def test_float8_arrays_are_taken_as_they_are(dtype: Any, plan: kvsieve.Plan, cache: Cache) -> None:
    source = cache.keys[0].astype(dtype)
    small = plan.gather(0, source)
    assert small.dtype == source.dtype
    assert np.array_equal(small.view(np.uint8), plan.gather(0, source.view(np.uint8)))


def test_float8_by_dlpack(plan: kvsieve.Plan, cache: Cache) -> None:
    bytes_ = cache.keys[0].astype(ml_dtypes.float8_e4m3fn)
    for code, name in ((10, "float8_e4m3fn"), (12, "float8_e5m2")):
        array = Legacy(bytes_.view(np.uint8), "uint8")
        array.tensor.code = code
        assert plan.gather(0, array).dtype == np.dtype(getattr(ml_dtypes, name))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int32", "int64", "float64"])
def test_other_dtypes_are_moved_and_not_scored(dtype: str, plan: kvsieve.Plan, cache: Cache) -> None:
    source = (cache.keys[0] * 100).astype(dtype)
    small, kept = plan.gather(0, source), plan.kept(0)
    assert small.dtype == source.dtype
    assert np.array_equal(small, np.concatenate([source[head][kept.head(head)] for head in range(KV_HEADS)]))
    if dtype in ("int8", "bool"):
        with pytest.raises(TypeError, match="out has dtype uint8: expected"):
            plan.gather(0, source, np.zeros((1, kept.total, DIM), np.uint8))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_queries_in_chunks_and_attention_in_blocks(layout: str, cache: Cache) -> None:
    with fresh() as plain, fresh() as blocks, fresh() as given, fresh() as in_blocks:
        window = int(plain["window"])
        for layer in range(LAYERS):
            queries, keys, values = cache.layer(layer)
            plain.observe(layer, queries, keys, values)
            for first in range(0, queries.shape[1], 40):
                blocks.queries(layer, paged(queries[:, first : first + 40], layout, first))
            blocks.observe(layer, keys=paged(keys, layout), values=paged(values, layout, 2))
            wide = np.repeat(keys, queries.shape[0] // KV_HEADS, axis=0)
            logits = np.einsum("hid,hjd->hij", queries[:, -window:], wide) / np.float32(np.sqrt(DIM))
            given.observe(layer, attention=logits, values=values)
            in_blocks.observe(layer, attention=paged(logits, layout), values=paged(values, layout))
        for plan in (plain, blocks, given, in_blocks):
            plan.finish()
        for layer in range(LAYERS):
            assert np.array_equal(plain.kept(layer).positions, blocks.kept(layer).positions)
            assert np.array_equal(given.kept(layer).positions, in_blocks.kept(layer).positions)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rotated_gather_in_blocks(layout: str, plan: kvsieve.Plan, cache: Cache) -> None:
    rope = kvsieve.Rope(10000.0 ** (-np.arange(0, DIM, 2) / DIM))
    keys, kept = cache.keys[0], plan.kept(0)
    expected = plan.gather(0, keys, rope=rope)
    source = paged(keys, layout)
    assert np.array_equal(plan.gather(0, source, rope=rope), expected)
    assert plan.gather(0, source, source, rope=rope) is source
    for head in range(KV_HEADS):
        for index, row in enumerate(expected[kept.offsets[head] : kept.offsets[head + 1]]):
            assert np.array_equal(source.data[source.blocks[index // BLOCK], head, index % BLOCK], row)


@pytest.mark.parametrize("dtype", ["q8_0", "q4_0", "float8_e4m3fn", "float8_e5m2"])
def test_narrow_attention_and_narrow_rotated_rows_are_refused(dtype: str, plan: kvsieve.Plan) -> None:
    rope, name = kvsieve.Rope(np.ones(8)), dtype[:10].upper().replace("LOAT", "")
    rows = kvsieve.Quantised(quantised(dtype, KV_HEADS, TOKENS, 5), dtype)
    error = refused("KVSIEVE_ERR_DTYPE", plan.gather, 0, rows, rope=rope)
    assert f"source.dtype is {name}" in str(error)
    with fresh() as other:
        attention = kvsieve.Quantised(quantised(dtype, QUERY_HEADS, TOKENS, 6), dtype)
        error = refused("KVSIEVE_ERR_DTYPE", other.observe, 0, attention=attention)
        assert f"attention.dtype is {name}" in str(error)


def test_moved_dtypes_are_not_rotated(plan: kvsieve.Plan, cache: Cache) -> None:
    with pytest.raises(TypeError, match="source has dtype float64: expected float32"):
        plan.gather(0, cache.keys[0].astype(np.float64), rope=kvsieve.Rope(np.ones(2)))


def test_bad_tables(plan: kvsieve.Plan, cache: Cache) -> None:
    keys = cache.keys[0]
    good = paged(keys, LAYOUTS[0])

    def gather(blocks: Any, tokens: int | None = TOKENS, data: Any = good.data) -> Any:
        return plan.gather(0, kvsieve.Paged(data, blocks, tokens))

    for entry in (-1, good.data.shape[0], 2**31 - 1, -(2**31)):
        blocks = good.blocks.copy()
        blocks[2] = entry
        error = refused("KVSIEVE_ERR_LAYOUT", gather, blocks)
        assert f"source.blocks[2] is {entry}; expected a block, 0 ... {good.data.shape[0] - 1}" in str(error)
    with pytest.raises(ValueError, match=r"entries in its table: expected room for \d+ tokens"):
        gather(good.blocks[:-1])
    with pytest.raises(TypeError, match=r"source.blocks is int64 of shape \(\d+,\): expected contiguous int32"):
        gather(good.blocks.astype(np.int64))
    with pytest.raises(TypeError, match="expected contiguous int32"):
        gather(np.repeat(good.blocks, 2)[::2])
    with pytest.raises(TypeError, match="source.blocks is a list"):
        gather(good.blocks.tolist())
    with pytest.raises(ValueError, match=r"expected four dimensions \(blocks, heads, tokens, dim\)"):
        gather(good.blocks, TOKENS, keys)
    with pytest.raises(ValueError, match="source has 0 blocks of"):
        gather(good.blocks, TOKENS, good.data[:0])
    out = paged(np.zeros((KV_HEADS, TOKENS, DIM), np.float32), LAYOUTS[1])
    out.blocks[1] = out.blocks[0]
    error = refused("KVSIEVE_ERR_LAYOUT", plan.gather, 0, keys, out)
    assert f"target.blocks has block {out.blocks[0]} twice" in str(error)


def test_bad_rows_of_blocks(plan: kvsieve.Plan) -> None:
    with pytest.raises(ValueError, match="dtype is 'q5_0': expected q8_0, q4_0, float8_e4m3fn, float8_e5m2"):
        kvsieve.Quantised(np.zeros((2, 3, 34), np.uint8), "q5_0")
    with pytest.raises(ValueError, match="source has 35 bytes in a row: expected a multiple of 34, a block of q8_0"):
        plan.gather(0, kvsieve.Quantised(np.zeros((KV_HEADS, TOKENS, 35), np.uint8), "q8_0"))
    with pytest.raises(TypeError, match="source has dtype int8: expected uint8, the bytes of q8_0"):
        plan.gather(0, kvsieve.Quantised(np.zeros((KV_HEADS, TOKENS, 34), np.int8), "q8_0"))


def test_random_tables(plan: kvsieve.Plan, cache: Cache) -> None:
    """Any table: refused, or the rows that it names. The seed is in the message."""
    kept, rng = plan.kept(0), np.random.default_rng(9)
    pool = noise(6, 24, KV_HEADS, 8, DIM)
    entries = -(-TOKENS // 8)
    taken = 0
    for round_ in range(300):
        table = rng.integers(0, 24, entries).astype(np.int32)
        if rng.integers(2):
            table[rng.integers(entries)] = rng.choice([-1, 24, 2**31 - 1, -(2**31), 1000])
        source = kvsieve.Paged(pool, table, TOKENS)
        if table.min() < 0 or table.max() >= 24:
            refused("KVSIEVE_ERR_LAYOUT", plan.gather, 0, source)
            continue
        rows = [pool[table[p // 8], head, p % 8] for head in range(KV_HEADS) for p in kept.head(head)]
        assert np.array_equal(plan.gather(0, source), np.array(rows)), f"round {round_}, seed 9"
        taken += 1
    assert 50 < taken < 250
