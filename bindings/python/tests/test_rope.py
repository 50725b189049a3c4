"""Plan.gather with a rope: kept keys at positions 0, 1, 2, ..., against rotations written out from the published formulas."""

from __future__ import annotations

import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, INCLUDE, KV_HEADS, LAYERS, MODEL, TOKENS, Cache, fresh, noise, parameters, refused

import kvsieve

FREQUENCIES = (10000.0 ** (-np.arange(0, DIM, 2) / DIM)).astype(np.float32)


def llama(x: np.ndarray, positions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """transformers' apply_rotary_pos_emb of Llama, in double: x * cos + rotate_half(x) * sin."""
    angles = positions[:, None] * frequencies.astype(np.float64)
    emb = np.concatenate([angles, angles], axis=-1)
    half = x.shape[-1] // 2
    rotated_half = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    return np.asarray(x * np.cos(emb) + rotated_half * np.sin(emb))


def gptj(x: np.ndarray, positions: np.ndarray, frequencies: np.ndarray) -> np.ndarray:
    """transformers' apply_rotary_pos_emb of GPT-J, in double: x * cos + rotate_every_two(x) * sin."""
    angles = np.repeat(positions[:, None] * frequencies.astype(np.float64), 2, axis=-1)
    every_two = np.stack([-x[..., 1::2], x[..., ::2]], axis=-1).reshape(x.shape)
    return np.asarray(x * np.cos(angles) + every_two * np.sin(angles))


FORMULAS = {"halves": llama, "neighbours": gptj}


def partial(x: np.ndarray, positions: np.ndarray, rope: kvsieve.Rope) -> np.ndarray:
    """GPT-NeoX's rotary_pct: some numbers of a row are rotated, the rest passes."""
    result = x.astype(np.float64)
    dims = slice(rope.first, rope.first + 2 * rope.frequencies.size)
    result[..., dims] = FORMULAS[rope.pairing](result[..., dims], np.asarray(positions), rope.frequencies)
    return result


def written(plan: kvsieve.Plan, source: np.ndarray, rope: kvsieve.Rope, layer: int = 0) -> list[np.ndarray]:
    """What a gather must write for each head: its rows, turned by index less position, in double."""
    kept = plan.kept(layer)
    rows = []
    for head in range(KV_HEADS):
        positions, count = kept.head(head).astype(np.int64), kept.counts[head]
        rows.append(partial(source[head][positions], np.arange(count) - positions, rope))
    return rows


def close(found: np.ndarray, expected: np.ndarray) -> None:
    norms = np.linalg.norm(expected, axis=-1, keepdims=True)
    assert np.all(np.abs(found.astype(np.float64) - expected) <= 1e-6 * norms)


def nearest(found: np.ndarray, expected: np.ndarray) -> None:
    """No number of `found`'s 16-bit type is nearer to the double than the one found."""
    off = np.abs(found.astype(np.float64) - expected)
    bits = found.view(np.uint16)
    for step in (1, -1):
        other = (bits + np.uint16(step % 65536)).view(found.dtype).astype(np.float64)
        assert np.all((off <= np.abs(other - expected) + 1e-13) | np.isnan(other))


@pytest.mark.parametrize("pairing", FORMULAS)
def test_keys_are_as_the_model_would_have_made_them_at_the_new_positions(
    pairing: str, method: kvsieve.MethodInfo, cache: Cache
) -> None:
    formula, rope = FORMULAS[pairing], kvsieve.Rope(FREQUENCIES, pairing)
    raw = noise(7, LAYERS, KV_HEADS, TOKENS, DIM).astype(np.float64)
    with kvsieve.Plan(method.name, MODEL, **parameters(method)) as plan:
        cache.through(plan)
        for layer in range(LAYERS):
            keys = formula(raw[layer], np.arange(TOKENS), FREQUENCIES).astype(np.float32)
            small, kept = plan.gather(layer, keys, rope=rope), plan.kept(layer)
            expected = [formula(raw[layer][h][kept.head(h)], np.arange(kept.counts[h]), FREQUENCIES) for h in (0, 1)]
            close(small, np.concatenate(expected))


@pytest.mark.parametrize("pairing", FORMULAS)
@pytest.mark.parametrize(("dims", "first"), [(DIM, 0), (2, 0), (6, 3), (10, DIM - 10), (2, DIM - 2)])
def test_the_rest_of_a_row_is_copied(pairing: str, dims: int, first: int, plan: kvsieve.Plan, cache: Cache) -> None:
    rope = kvsieve.Rope(FREQUENCIES[: dims // 2], pairing, first=first)
    expected = np.concatenate(written(plan, cache.keys[0], rope))
    small = plan.gather(0, cache.keys[0], rope=rope)
    close(small, expected)
    rest = [d for d in range(DIM) if not first <= d < first + dims]
    assert np.array_equal(small[:, rest], expected.astype(np.float32)[:, rest])


@pytest.mark.parametrize("pairing", FORMULAS)
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_each_number_is_rounded_once(dtype: Any, pairing: str, plan: kvsieve.Plan, cache: Cache) -> None:
    rope = kvsieve.Rope(FREQUENCIES, pairing)
    scales = np.array([1e-7, 1e-4, 1, 1e4], np.float32)  # subnormal numbers of float16 among them
    for scale in scales:
        source = (cache.keys[0] * scale).astype(dtype)
        nearest(plan.gather(0, source, rope=rope), np.concatenate(written(plan, source.astype(np.float64), rope)))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("token_major", [False, True])
def test_every_layout_has_the_bits_of_the_packed_one(
    dtype: Any, token_major: bool, plan: kvsieve.Plan, cache: Cache
) -> None:
    rope, kept = kvsieve.Rope(FREQUENCIES), plan.kept(0)
    source = cache.keys[0].astype(dtype)
    packed = plan.gather(0, source, rope=rope)
    starts = np.cumsum([0, *kept.counts])
    wide = np.zeros((KV_HEADS, TOKENS, DIM + 2), dtype)[..., 1:-1]
    if token_major:
        wide = np.zeros((TOKENS, KV_HEADS, DIM), dtype).transpose(1, 0, 2)
    wide[...] = source
    apart = np.full((KV_HEADS, kept.longest + 3, DIM), 7, dtype)
    assert plan.gather(0, wide, apart, rope=rope) is apart
    assert np.array_equal(wide, source), "the source was written"
    assert plan.gather(0, wide, wide, rope=rope) is wide
    for head, count in enumerate(kept.counts):
        rows = packed[starts[head] : starts[head + 1]]
        assert np.array_equal(apart[head, :count], rows) and np.all(apart[head, count:] == 7)
        assert np.array_equal(wide[head, :count], rows), "in place"
        assert np.array_equal(wide[head, count:], source[head, count:]), "in place, behind the kept rows"


def test_any_number_of_threads_writes_the_same_bits(cache: Cache) -> None:
    rope, results = kvsieve.Rope(FREQUENCIES), []
    for threads in (1, 2, 3, 4):
        with fresh(threads=threads) as plan:
            cache.through(plan)
            results.append([plan.gather(layer, cache.keys[layer], rope=rope).tobytes() for layer in range(LAYERS)])
    assert results[0] == results[1] == results[2] == results[3]


def test_a_row_at_its_position_already_is_copied_byte_by_byte(cache: Cache) -> None:
    with kvsieve.Plan("streamingllm", MODEL, budget=64, sinks=4) as plan:
        cache.through(plan)
        keys = cache.keys[0].copy()
        bits = keys.view(np.uint32)
        bits[:, :4] = 0x7F812345  # a signalling NaN
        small = plan.gather(0, keys, rope=kvsieve.Rope(FREQUENCIES)).reshape(KV_HEADS, 64, DIM)
    assert np.all(small[:, :4].view(np.uint32) == 0x7F812345)
    assert np.isfinite(small[:, 4:]).all()


def test_a_number_beyond_the_range_becomes_infinity(plan: kvsieve.Plan) -> None:
    source = np.full((KV_HEADS, TOKENS, DIM), 65504, np.float16)
    small = plan.gather(0, source, rope=kvsieve.Rope(FREQUENCIES))
    exact = np.concatenate(written(plan, source.astype(np.float64), kvsieve.Rope(FREQUENCIES)))
    assert np.array_equal(np.isinf(small), np.abs(exact) >= 65520) and np.isinf(small).any()


def test_the_difference_of_positions_decides_a_logit(plan: kvsieve.Plan) -> None:
    """The next token at position count: its logits with the kept keys are those of a prompt of these tokens alone."""
    rope, kept = kvsieve.Rope(FREQUENCIES), plan.kept(0)
    raw, query = noise(8, KV_HEADS, TOKENS, DIM).astype(np.float64), noise(9, 1, DIM).astype(np.float64)
    small = np.zeros((KV_HEADS, kept.longest, DIM), np.float32)
    plan.gather(0, llama(raw, np.arange(TOKENS), FREQUENCIES).astype(np.float32), small, rope=rope)
    for head, count in enumerate(kept.counts):
        text = np.concatenate([raw[head][kept.head(head)], query])
        turned = llama(text, np.arange(count + 1), FREQUENCIES)
        assert np.allclose(small[head, :count] @ turned[-1], turned[:-1] @ turned[-1], atol=1e-4)


def test_a_rotated_cache_goes_on_by_row(cache: Cache) -> None:
    """Rounds of extend: the kept keys of the first are at 0, 1, 2, ... when the second begins."""
    new, rope = 24, kvsieve.Rope(FREQUENCIES)
    raw = noise(7, KV_HEADS, TOKENS + new, DIM).astype(np.float64)
    with fresh() as plan:
        cache.through(plan)
        kept = plan.kept(0)
        n = [plan.kept(layer).longest + new for layer in range(LAYERS)]
        caches = np.zeros((KV_HEADS, n[0], DIM), np.float32)
        plan.gather(0, llama(raw[:, :TOKENS], np.arange(TOKENS), FREQUENCIES).astype(np.float32), caches, rope=rope)
        origin = []
        for head, count in enumerate(kept.counts):
            rows = np.arange(count, count + new)
            caches[head, rows] = llama(raw[head, TOKENS:], rows, FREQUENCIES)
            origin.append(np.concatenate([kept.head(head), np.arange(TOKENS, TOKENS + new)]))
        plan.extend(new)
        for layer in range(LAYERS):
            plan.observe(layer, cache.queries[layer][:, -new:], noise(11 + layer, KV_HEADS, n[layer], DIM), None)
        plan.finish()
        small = plan.gather(0, caches, rope=kvsieve.Rope(FREQUENCIES, by_row=True))
        again, start = plan.kept(0), 0
        assert not np.array_equal(again.positions, again.rows)
        for head, count in enumerate(again.counts):
            text = raw[head][again.head(head)]
            assert np.array_equal(origin[head][again.rows[start : start + count]], again.head(head))
            close(small[start : start + count], llama(text, np.arange(count), FREQUENCIES))
            start += count


def test_what_a_rope_refuses(plan: kvsieve.Plan, cache: Cache) -> None:
    keys = cache.keys[0]
    before = keys.copy()

    def gather(*arguments: Any, source: np.ndarray = keys, **more: Any) -> Any:
        return plan.gather(0, source, source, rope=kvsieve.Rope(*arguments, **more))

    assert "rope.dims is 18" in refused("KVSIEVE_ERR_SHAPE", gather, np.ones(9)).message
    assert "rope.dims is 0" in refused("KVSIEVE_ERR_SHAPE", gather, np.ones(0)).message
    assert "rope.first is -1" in refused("KVSIEVE_ERR_SHAPE", gather, np.ones(2), first=-1).message
    assert "rope.first is 13; expected 0 ... 12" in refused("KVSIEVE_ERR_SHAPE", gather, np.ones(2), first=13).message
    for wrong in (np.nan, np.inf, 1e300):
        with np.errstate(over="ignore"):
            error = refused("KVSIEVE_ERR_NONFINITE", gather, [1, wrong, 1])
        assert "rope.frequencies[1] is" in error.message
    with pytest.raises(ValueError, match="pairing is 'pairs': expected 'halves' or 'neighbours'"):
        gather(FREQUENCIES, "pairs")
    with pytest.raises(ValueError, match=r"frequencies has shape \(2, 2\): expected one dimension"):
        gather(np.ones((2, 2)))
    assert np.array_equal(keys, before)


def test_gather_with_a_rope_comes_after_finish(cache: Cache) -> None:
    with fresh() as plan:
        plan.observe(0, *cache.layer(0))
        rope = kvsieve.Rope(FREQUENCIES)
        refused("KVSIEVE_ERR_STATE", plan.gather, 0, cache.keys[0], cache.keys[0], rope=rope)


def test_the_header_says_where_the_next_token_is() -> None:
    text = re.sub(r"\s*\n \*\s*", " ", (INCLUDE / "kvsieve.h").read_text())
    assert "The position of a head's next token is then the number of rows that the head keeps" in text


def test_frequencies_of_torch_are_copied_without_a_warning() -> None:
    """numpy warns if it asks for a copy and __array__ has no such keyword, as torch's has not."""

    class Tensor:
        def __array__(self, dtype: Any = None) -> Any:
            return FREQUENCIES if dtype is None else FREQUENCIES.astype(dtype, copy=False)

    rope = kvsieve.Rope(Tensor())
    assert np.array_equal(rope.frequencies, FREQUENCIES) and not np.shares_memory(rope.frequencies, FREQUENCIES)
