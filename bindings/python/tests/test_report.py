"""Plan.report: against numpy's softmax in double, for every method; its words."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from conftest import DIM, KV_HEADS, LAYERS, MODEL, TOKENS, WINDOW, Cache, fresh, parameters, refused

import kvsieve


def has(method: kvsieve.MethodInfo, name: str) -> bool:
    return any(info.name == name for info in method.parameters)


def attention(cache: Cache, layer: int, rows: int) -> np.ndarray:
    """(H, T): each row's share of the attention of the last `rows` queries."""
    queries, keys, _ = (array.astype(np.float64) for array in cache.layer(layer))
    z = np.einsum("hgqd,hkd->hgqk", queries.reshape(KV_HEADS, -1, TOKENS, DIM), keys) / np.sqrt(DIM)
    z = np.where(np.tri(TOKENS, dtype=bool), z, -np.inf)[:, :, -rows:]
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    sums = (p / p.sum(axis=-1, keepdims=True)).sum(axis=(1, 2))
    shares: np.ndarray = sums / sums.sum(axis=-1, keepdims=True)
    return shares


def agrees(plan: kvsieve.Plan, layer: int, shares: np.ndarray | None) -> None:
    kept, report = plan.kept(layer), plan.report(layer)
    assert (report.kept, report.dropped) == (kept.total, KV_HEADS * TOKENS - kept.total)
    leading = [np.append(kept.head(head) != np.arange(kept.counts[head]), True).argmax() for head in range(KV_HEADS)]
    assert report.intact == min(leading)
    if shares is None:
        assert report.mass is None and np.isnan([report.mass_mean, report.mass_least]).all()
        return
    assert report.mass is not None and report.mass.dtype == np.float32
    expected = [shares[head, kept.head(head)].sum() for head in range(KV_HEADS)]
    assert np.allclose(report.mass, expected, rtol=0, atol=2e-6)
    assert np.allclose([report.mass_mean, report.mass_least], [report.mass.mean(), report.mass.min()])


@pytest.mark.parametrize("share", [0, 1, 2])
def test_of_a_prompt(method: kvsieve.MethodInfo, cache: Cache, share: int) -> None:
    """After each observe, as long as what is kept may change, and when it is final."""
    more = {"report": 1} if has(method, "report") else {}
    if has(method, "share"):
        more["share"] = share
    with kvsieve.Plan(method.name, MODEL, **parameters(method), **more) as plan:
        known: list[np.ndarray | None] = []
        for layer in range(LAYERS):
            needs = plan.needs(layer)
            rows = TOKENS if "all_queries" in needs else WINDOW if has(method, "window") else 1
            known.append(attention(cache, layer, rows) if "queries" in needs else None)
            plan.observe(layer, *cache.layer(layer))
            for below in range(layer + 1):
                agrees(plan, below, known[below])
        plan.finish()
        for layer in range(LAYERS):
            agrees(plan, layer, known[layer])


def test_of_all_layers(method: kvsieve.MethodInfo, cache: Cache) -> None:
    more = {"report": 1} if has(method, "report") else {}
    with kvsieve.Plan(method.name, MODEL, **parameters(method), **more) as plan:
        cache.through(plan)
        layers = [plan.report(layer) for layer in range(LAYERS)]
        model = plan.report()
        assert model.kept == sum(each.kept for each in layers) and model.dropped == sum(each.dropped for each in layers)
        assert model.intact == min(each.intact for each in layers)
        known = [each.mass for each in layers if each.mass is not None]
        if not known:
            assert model.mass is None and np.isnan([model.mass_mean, model.mass_least]).all()
            return
        assert model.mass is not None and model.mass.shape == (LAYERS, KV_HEADS)
        for row, each in zip(model.mass, layers):
            assert np.array_equal(row, np.full(KV_HEADS, np.nan) if each.mass is None else each.mass, equal_nan=True)
        assert np.isclose(model.mass_mean, np.mean(known)) and model.mass_least == np.min(known)


def test_without_report_the_counts_are_there(cache: Cache) -> None:
    with fresh() as plan:
        cache.through(plan)
        agrees(plan, 0, None)


def test_heads_keep_no_more_than_a_share_needs(cache: Cache) -> None:
    with kvsieve.Plan("snapkv", MODEL, budget=150, window=WINDOW, report=1, mass=0.6) as plan:
        cache.through(plan)
        model = plan.report()
        assert 0.6 <= model.mass_least < 0.65 and model.kept < LAYERS * KV_HEADS * 150


def test_the_result_is_a_copy_and_frozen(cache: Cache) -> None:
    with fresh(report=1) as plan:
        cache.through(plan)
        report = plan.report(0)
        assert report.mass is not None
        before = report.mass.copy()
        plan.reset()
        plan.observe(0, *cache.layer(1))
        plan.report(0)
        assert np.array_equal(report.mass, before)
        with pytest.raises(dataclasses.FrozenInstanceError):
            report.kept = 0  # type: ignore[misc]


def test_what_is_refused(plan: kvsieve.Plan) -> None:
    refused("KVSIEVE_ERR_SHAPE", plan.report, LAYERS)
    refused("KVSIEVE_ERR_SHAPE", plan.report, -1)
    with pytest.raises(TypeError, match="layer is 'a'"):
        plan.report("a")  # type: ignore[arg-type]
    plan.reset()
    refused("KVSIEVE_ERR_STATE", plan.report, 0)
    refused("KVSIEVE_ERR_STATE", plan.report)
