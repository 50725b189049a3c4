"""The parameter `align`: a dense cache, which appends one row behind the last for all heads, holds heads of several lengths."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from conftest import KV_HEADS, LAYERS, MODEL, QUERY_HEADS, refused
from extending_engine import BUDGET, KEYS, PROMPT, QUERIES, RATIO, ROUNDS, SETTINGS, VALUES, Engine
from registry import settings

import kvsieve

RAGGED = ("taskkv", "adakv")


def aligned(name: str, align: int) -> kvsieve.Plan:
    plan = kvsieve.Plan(name, MODEL, align=align)
    for parameter, value in settings(plan.method, BUDGET, RATIO, **SETTINGS).items():
        plan[parameter] = value
    return plan


def padded(plan: kvsieve.Plan, layer: int, source: np.ndarray) -> np.ndarray:
    """What a dense cache allocates: padding is NaN, and nobody reads it."""
    out = np.full((KV_HEADS, plan.kept(layer).longest, source.shape[2]), np.nan, np.float32)
    plan.gather(layer, source, out=out)
    return out


def attend(query: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One query of one head over a cache of which `mask` says what is there."""
    logits = np.where(mask, np.nan_to_num(keys) @ query / math.sqrt(len(query)), -np.inf)
    weights = np.exp(logits - logits.max())
    result: np.ndarray = weights @ np.nan_to_num(values) / weights.sum()
    return result


@pytest.mark.parametrize("name", RAGGED)
def test_a_dense_cache_appends_behind_its_last_row(name: str) -> None:
    """No head is moved between rounds: one concatenation for all heads, and a mask of the padding in front."""
    plan, other, ragged = aligned(name, 1), Engine(name), 0
    caches = [(KEYS[layer][:, :PROMPT], VALUES[layer][:, :PROMPT]) for layer in range(LAYERS)]
    seen = 0
    for m, following in zip((PROMPT, *ROUNDS), (*ROUNDS, 1)):
        if seen:
            plan.extend(m)
            other.go_on(m)
        for layer, (keys, values) in enumerate(caches):
            plan.observe(layer, QUERIES[layer][:, seen : seen + m], keys, values)
        plan.finish()
        seen += m
        for layer, (keys, values) in enumerate(caches):
            kept = plan.kept(layer)
            small = padded(plan, layer, keys), padded(plan, layer, values)
            for head in range(KV_HEADS):
                own = kept.head(head)
                assert own.tolist() == other.books[layer][head]
                rows = kept.rows[kept.offsets[head] : kept.offsets[head + 1]]
                assert np.array_equal(keys[head, rows], KEYS[layer, head, own])
                mask = np.arange(kept.longest) >= kept.longest - len(own)
                ragged += not mask.all()
                assert np.array_equal(np.isnan(small[0][head]).all(axis=1), ~mask)
                query = QUERIES[layer, head * QUERY_HEADS // KV_HEADS, seen].astype(np.float64)
                found = attend(query, small[0][head], small[1][head], mask)
                there = KEYS[layer, head, own], VALUES[layer, head, own]
                assert np.allclose(found, attend(query, *there, np.ones(len(own), bool)), rtol=1e-12)
            new = slice(seen, seen + following)
            caches[layer] = (
                np.concatenate([small[0], KEYS[layer][:, new]], axis=1),
                np.concatenate([small[1], VALUES[layer][:, new]], axis=1),
            )
    assert ragged > 5


@pytest.mark.parametrize("name", RAGGED)
def test_gather_in_place_and_with_room_behind(name: str) -> None:
    plan, ragged = aligned(name, 1), 0
    for layer in range(LAYERS):
        plan.observe(layer, QUERIES[layer][:, :PROMPT], KEYS[layer][:, :PROMPT], VALUES[layer][:, :PROMPT])
    plan.finish()
    for layer in range(LAYERS):
        kept, source = plan.kept(layer), KEYS[layer][:, :PROMPT].copy()
        out = np.full((KV_HEADS, kept.longest + 3, source.shape[2]), 7, np.float32)
        plan.gather(layer, source, out=out)
        plan.gather(layer, source, out=source)
        for head, count in enumerate(kept.counts):
            rows = slice(kept.longest - count, kept.longest)
            ragged += count < kept.longest
            assert np.array_equal(out[head, rows], KEYS[layer, head, kept.head(head)])
            assert np.all(out[head, : rows.start] == 7) and np.all(out[head, rows.stop :] == 7)
            assert np.array_equal(source[head, rows], out[head, rows])
            assert np.array_equal(source[head, : rows.start], KEYS[layer, head, : rows.start])
    assert ragged > 0


@pytest.mark.parametrize("name", [method.name for method in kvsieve.methods()])
def test_it_is_a_keyword_of_every_method(name: str) -> None:
    assert kvsieve.Plan(name, MODEL)["align"] == 0 and kvsieve.Plan(name, MODEL, align=1)["align"] == 1
    for wrong in (2, -1, 0.5):
        assert "align" in refused("KVSIEVE_ERR_PARAMETER", kvsieve.Plan, name, MODEL, align=wrong).message


@pytest.mark.parametrize("name", RAGGED)
@pytest.mark.parametrize("front", [0.0, 1e38, np.inf, np.nan])
def test_rows_in_front_of_a_shorter_head_are_not_looked_at(name: str, front: float) -> None:
    plan, expected = aligned(name, 1), Engine(name)
    state: list[Any] = []
    expected.go_on(20)
    for layer in range(LAYERS):
        plan.observe(layer, QUERIES[layer][:, :PROMPT], KEYS[layer][:, :PROMPT], VALUES[layer][:, :PROMPT])
    plan.finish()
    for layer in range(LAYERS):
        grown = []
        for source in (KEYS[layer], VALUES[layer]):
            small = padded(plan, layer, source[:, :PROMPT])
            small[np.isnan(small)] = front
            grown.append(np.concatenate([small, source[:, PROMPT : PROMPT + 20]], axis=1))
        state.append(grown)
    plan.extend(20)
    for layer, (keys, values) in enumerate(state):
        plan.observe(layer, QUERIES[layer][:, PROMPT : PROMPT + 20], keys, values)
    plan.finish()
    assert [
        [plan.kept(layer).head(head).tolist() for head in range(KV_HEADS)] for layer in range(LAYERS)
    ] == expected.books
