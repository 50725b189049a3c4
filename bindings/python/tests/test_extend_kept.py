"""Plan.extend: its results. The choice is compared with a replay in Tests/Extending; here is the surface."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, WINDOW, refused
from extending_engine import BUDGET, KEYS, PROMPT, RATIO, ROUNDS, VALUES, Engine
from registry import goes_by_budget

import kvsieve


@pytest.fixture
def engine(method: kvsieve.MethodInfo) -> Engine:
    """A finished prompt, of every method in turn."""
    return Engine(method)


def test_rows_are_positions_until_the_first_extend(engine: Engine) -> None:
    for kept in engine.kept():
        assert np.array_equal(kept.rows, kept.positions) and kept.rows.dtype == np.int32 and kept.rows.flags.owndata


@pytest.mark.parametrize("prompt", [1, WINDOW, 30, PROMPT])
def test_kept(prompt: int, method: kvsieve.MethodInfo) -> None:
    """Rows of the cache and their positions, counts, tokens, slots; what a layer keeps only shrinks."""
    engine = Engine(method, prompt)
    for m in ROUNDS:
        engine.extend(m)
        before = [engine.rows(layer) for layer in range(LAYERS)]
        seen: list[list[set[int]]] = []
        for layer in range(LAYERS):
            engine.observe(layer)
            for other in range(layer + 1):
                kept = engine.plan.kept(other)
                now = [set(kept.head(head).tolist()) for head in range(KV_HEADS)]
                if other == layer:
                    seen.append(now)
                assert all(new <= old for new, old in zip(now, seen[other]))
                seen[other] = now
        engine.finish(LAYERS)
        for layer, kept in enumerate(engine.kept()):
            assert kept.tokens == engine.tokens and kept.rows.shape == kept.positions.shape
            for head, own in enumerate(before[layer]):
                rows = kept.rows[kept.offsets[head] : kept.offsets[head + 1]]
                assert np.all(np.diff(rows) > 0) and 0 <= rows[0] <= rows[-1] == len(own) - 1
                positions = kept.head(head).tolist()
                assert [own[row] for row in rows] == positions and set(positions) <= seen[layer][head]
                slots = engine.plan.slots(layer, head)
                assert (slots.positions.tolist(), slots.tokens) == (positions, engine.tokens)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_gather(dtype: Any, engine: Engine) -> None:
    """Packed, padded and in place: what numpy takes by Kept.rows; rows without a token are not written."""
    for m in (5, 20, 1):
        engine.extend(m)
        sources = [engine.cut(layer, VALUES).astype(dtype) for layer in range(LAYERS)]
        engine.finish(0)
        for layer, source in enumerate(sources):
            kept = engine.plan.kept(layer)
            rows = [kept.rows[kept.offsets[head] : kept.offsets[head + 1]] for head in range(KV_HEADS)]
            truth = [source[head, own] for head, own in enumerate(rows)]
            packed, out = np.concatenate(truth), np.empty((1, kept.total, DIM - 4), dtype)
            came = [VALUES[layer, head, kept.head(head)] for head in range(KV_HEADS)]
            assert np.array_equal(packed, np.concatenate(came).astype(dtype))
            assert np.array_equal(engine.plan.gather(layer, source), packed)
            assert engine.plan.gather(layer, source, out) is out and np.array_equal(out[0], packed)
            padded = np.full((KV_HEADS, kept.longest + 2, DIM - 4), 7, dtype)
            place = np.full((KV_HEADS, source.shape[1] + 9, DIM - 4), 7, dtype)[:, : source.shape[1]]
            place[:] = source
            engine.plan.gather(layer, source, padded)
            engine.plan.gather(layer, place, place)
            for head, own in enumerate(truth):
                assert np.array_equal(padded[head, : len(own)], own) and np.all(padded[head, len(own) :] == 7)
                assert np.array_equal(place[head, : len(own)], own)
                assert place[head, len(own) :].tobytes() == source[head, len(own) :].tobytes()
            for wrong in (source[:, 1:], np.pad(source, ((0, 0), (0, 1), (0, 0))), source[:1]):
                refused("KVSIEVE_ERR_SHAPE", engine.plan.gather, layer, np.ascontiguousarray(wrong), padded)


@pytest.mark.parametrize("stage", range(LAYERS + 2))
def test_reset_is_a_fresh_plan(stage: int, engine: Engine) -> None:
    """Whether no layer, some, all were observed again, or the plan was finished; the prompt is another one first."""
    fresh, other = Engine(engine.plan.method), Engine(engine.plan.method, 60)
    other.go_on(30)
    other.extend(17)
    for layer in range(min(stage, LAYERS)):
        other.observe(layer)
    if stage > LAYERS:
        other.finish(LAYERS)
    other.plan.reset()
    refused("KVSIEVE_ERR_STATE", other.plan.extend, 1)
    refused("KVSIEVE_ERR_STATE", other.plan.kept, 0)
    other.begin()
    assert other.state() == fresh.state()
    assert [other.go_on(m) for m in ROUNDS] == [fresh.go_on(m) for m in ROUNDS]


def test_fifty_times(engine: Engine) -> None:
    """Positions stay valid and the caches within bounds: by a ratio they grow with the tokens, by a budget they do not."""
    most, by_budget = 0, goes_by_budget(engine.plan.method)
    for round in range(50):
        engine.go_on((1, 3, WINDOW + 2, 20, 2)[round % 5])
        for kept in engine.kept():
            for head in range(KV_HEADS):
                positions = kept.head(head)
                assert np.all(np.diff(positions) > 0) and 0 <= positions[0] <= positions[-1] == engine.tokens - 1
            if not by_budget:
                assert kept.total <= int(RATIO * KV_HEADS * engine.tokens)
        total = sum(kept.total for kept in engine.kept())
        if round == 9:
            most = total
        if round > 9 and engine.plan.method.name == "dynamickv":
            assert total <= BUDGET * LAYERS * KV_HEADS
        elif round > 9 and by_budget:
            assert total <= most + LAYERS * KV_HEADS * 4  # whole windows of 4 may be one more or less
    assert engine.tokens > PROMPT + 300


@pytest.mark.parametrize("threads", [2, 4])
def test_threads_change_nothing(threads: int, engine: Engine) -> None:
    many = Engine(engine.plan.method, threads=threads)
    assert many.state() == engine.state()
    for m in ROUNDS:
        assert many.go_on(m) == engine.go_on(m)


def test_a_prompt_that_came_in_pieces(method: kvsieve.MethodInfo) -> None:
    """While nothing was dropped the cache is the sequence. (A sum over all queries is one over the last piece's rows alone.)"""
    every = "all_queries" in Engine(method).plan.needs(0)
    sizes = (20, 15, 34) if every else (5, 3, 61)
    pieces, whole = Engine(method, sizes[0]), Engine(method, sum(sizes))
    for m in sizes[1:]:
        assert all(len(book) == pieces.tokens for layer in pieces.books for book in layer)
        pieces.go_on(m)
    assert (pieces.state() == whole.state()) != every


def test_heads_of_other_lengths() -> None:
    """Task-KV: what is longest in a layer says how many rows all heads' arrays have."""
    engine = Engine("taskkv")
    for m in ROUNDS:
        counts = [kept.counts for kept in engine.kept()]
        engine.extend(m)
        for layer in range(LAYERS):
            assert engine.cut(layer, KEYS).shape[1] == counts[layer].max() + m
        engine.finish(0)
    assert any(len(set(kept.counts.tolist())) > 1 for kept in engine.kept())
