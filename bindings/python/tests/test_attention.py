"""Plan.observe(attention=): each sentence of its docstring. That the choice is right: Tests/Attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, QUERY_HEADS, TOKENS, Cache, fresh, refused

import kvsieve


def logits_of(cache: Cache, layer: int, rows: int = TOKENS) -> Any:
    """(Hq, R, T) of the last R rows; NaN behind each row's own column."""
    queries, keys, _ = cache.layer(layer)
    wide = np.repeat(np.asarray(keys, np.float64), QUERY_HEADS // KV_HEADS, axis=0)
    z = np.einsum("hid,hjd->hij", np.asarray(queries, np.float64)[:, -rows:], wide) / np.sqrt(DIM)
    z[:, np.arange(rows)[:, None] + TOKENS - rows < np.arange(TOKENS)] = np.nan
    return z.astype(np.float32)


def probabilities_of(logits: Any) -> Any:
    p = np.exp(logits - np.nanmax(logits, axis=2, keepdims=True))
    return p / np.nansum(p, axis=2, keepdims=True)


def kept_by(plan: kvsieve.Plan) -> list[list[int]]:
    plan.finish()
    return [plan.kept(layer).positions.tolist() for layer in range(LAYERS)]


def test_the_three_kinds_say_the_same(cache: Cache) -> None:
    with fresh() as plan:
        cache.through(plan)
        expected = [plan.kept(layer).positions.tolist() for layer in range(LAYERS)]
        window = int(plan["window"])
        for kind in ("logits", "probabilities", "sums", "sums of groups"):
            plan.reset()
            for layer in range(LAYERS):
                given = logits_of(cache, layer, window)
                if kind != "logits":
                    given = probabilities_of(given)
                if kind.startswith("sums"):
                    given = np.nansum(given, axis=1, keepdims=True)
                if kind == "sums of groups":
                    given = given.reshape(KV_HEADS, -1, 1, TOKENS).mean(axis=1)
                word: Any = "sums" if kind.startswith("sums") else kind
                plan.observe(layer, attention=given, values=cache.values[layer], kind=word)
            assert kept_by(plan) == expected, kind


def test_logits_are_the_default_and_only_the_last_rows_are_read(cache: Cache) -> None:
    with fresh() as plan:
        chosen = []
        window = int(plan["window"])
        for rows in (window, TOKENS):
            for layer in range(LAYERS):
                given = logits_of(cache, layer, rows)
                given[:, : rows - window] = np.nan
                plan.observe(layer, attention=given, values=cache.values[layer])
            chosen.append(kept_by(plan))
            plan.reset()
        assert chosen[0] == chosen[1]
        refused("KVSIEVE_ERR_SHAPE", plan.observe, 0, attention=logits_of(cache, 0, window - 1))


def test_one_or_the_other(cache: Cache) -> None:
    queries, keys, values = cache.layer(0)
    given = logits_of(cache, 0)
    with fresh() as plan:
        both: list[dict[str, Any]] = [{"queries": queries}, {"keys": keys}]
        for beside in both:
            with pytest.raises(ValueError, match="attention was given beside queries or keys"):
                plan.observe(0, values=values, attention=given, **beside)
        with pytest.raises(ValueError, match="kind is 'weights': expected 'logits', 'probabilities', 'sums'"):
            plan.observe(0, attention=given, kind="weights")
        with pytest.raises(TypeError, match="attention has dtype float64"):
            plan.observe(0, attention=given.astype(np.float64))
        with pytest.raises(ValueError, match="attention has shape"):
            plan.observe(0, attention=given[0])


@pytest.mark.parametrize(("name", "kind"), [("ahakv", "sums"), ("keydiff", "logits")])
def test_what_a_method_does_not_take(name: str, kind: Any) -> None:
    given = np.ones((QUERY_HEADS, 1 if kind == "sums" else 16, TOKENS), np.float32)
    values = np.ones((KV_HEADS, TOKENS, DIM), np.float32)
    with kvsieve.Plan(name, MODEL, budget=TOKENS // 2) as plan, pytest.raises(kvsieve.KVSieveError):
        plan.observe(0, attention=given, values=values, kind=kind)
