"""Tensors that the library cannot read: forced here by saying that no memory is the CPU's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import CLOSE, DECODING, METHODS, Talk, settings
from families import make, words
from test_batches import left_padded

import kvsieve
from kvsieve.transformers import scores


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "in_memory", lambda tensor: False)


def both(monkeypatch: pytest.MonkeyPatch, kind: str, method: str, **keywords: float) -> tuple[Talk, Talk]:
    """The same conversation, read by the library and by torch."""
    model, talks = make(kind), []
    for there in (True, False):
        monkeypatch.setattr(scores, "in_memory", lambda tensor, there=there: there)
        talk = Talk(model, method, **keywords)
        ids, mask = left_padded([100, 71], seed=1)
        talk.generate(ids, 4, mask)
        ids, mask = left_padded([20, 12], seed=2)
        talk.generate(ids, 4, mask)
        talks.append(talk)
    return talks[0], talks[1]


@pytest.mark.parametrize("method", METHODS)
def test_the_choice_is_the_same(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    read, made = both(monkeypatch, "llama", method, **settings(method))
    for sequence in range(2):
        for layer in range(4):
            wanted, found = read.cache.kept(layer, sequence), made.cache.kept(layer, sequence)
            assert np.array_equal(wanted.positions, found.positions), (method, sequence, layer)
    assert made.difference() < CLOSE


@pytest.mark.parametrize("method", DECODING)
def test_decoding_is_the_same(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    read, made = both(monkeypatch, "llama", method, decoding=1, **settings(method, budget=32))
    for layer in range(4):
        for sequence in range(2):
            wanted, found = (talk.cache.sequences[sequence].plan.slots(layer, 1) for talk in (read, made))
            assert np.array_equal(wanted.positions, found.positions), (method, layer)
    assert made.difference() < CLOSE


@pytest.mark.usefixtures("elsewhere")
def test_only_sums_come_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a prompt of T tokens, Hq times T numbers of a layer; never keys or values."""
    talk, given = Talk(make("llama"), "snapkv", **settings("snapkv")), []
    observe = kvsieve.Plan.observe

    def watched(plan: kvsieve.Plan, layer: int, *arrays: Any, attention: torch.Tensor, **rest: Any) -> None:
        assert not [array for array in arrays if array is not None] and rest.get("values") is None
        given.append(tuple(attention.shape))
        observe(plan, layer, *arrays, attention=attention, **rest)

    monkeypatch.setattr(kvsieve.Plan, "observe", watched)
    talk.generate(words(100, seed=3), 2)
    assert given == [(8, 1, 100)] * 4


def exact(
    queries: np.ndarray, keys: np.ndarray, softcap: float | None, sinks: np.ndarray | None, scale: float
) -> np.ndarray:
    """(Hq, R, n): causal attention of the last R of n tokens, in double."""
    group = queries.shape[0] // keys.shape[0]
    logits = np.einsum("hrd,hnd->hrn", queries, np.repeat(keys, group, 0)) * scale
    if softcap is not None:
        logits = softcap * np.tanh(logits / softcap)
    rows, total = logits.shape[1:]
    logits[:, np.arange(total)[None] > np.arange(total - rows, total)[:, None]] = -np.inf
    weights = np.exp(logits)
    below = weights.sum(-1, keepdims=True)
    if sinks is not None:
        below = below + np.exp(sinks)[:, None, None]
    found: np.ndarray = weights / below
    return found


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("sinks", [False, True])
@pytest.mark.parametrize("rows", [3, 600])
def test_attention_that_torch_computes(softcap: float | None, sinks: bool, rows: int) -> None:
    rng = np.random.default_rng(7)
    queries, keys = rng.standard_normal((6, rows, 16)), rng.standard_normal((2, 600, 16))
    sink = rng.standard_normal(6) if sinks else None
    how = scores.Attention(0.3, softcap, None if sink is None else torch.from_numpy(sink))
    wanted = exact(queries, keys, softcap, sink, 0.3)
    tensors = torch.from_numpy(queries).float(), torch.from_numpy(keys).float()
    found = scores.probabilities(*tensors, [600, 600], how).double().numpy()
    assert np.abs(found - wanted).max() < 1e-6
    added = scores.sums(*tensors, [600, 600], how)[:, 0].double().numpy()
    assert np.abs(added - wanted.sum(1)).max() < 1e-4


@pytest.mark.parametrize("kind", ["gemma2", "gpt_oss"])
@pytest.mark.parametrize("method", ["snapkv", "ahakv", "h2o", "windowkv", "tova"])
def test_the_model_s_own_attention_is_looked_at(kind: str, method: str) -> None:
    """A softcap and sinks: the choice is that by attention that numpy computes with them, and not that without."""
    from reference import current

    model = make(kind)
    talk = Talk(model, method, **settings(method))
    talk.generate(words(100, seed=9), 1)
    talk.difference()  # leaves the queries and keys of the full pass in `current`
    softcap = model.config.attn_logit_softcapping if kind == "gemma2" else None
    sinks = (
        [model.model.layers[i].self_attn.sinks.detach().double().numpy() for i in (1, 3)] if kind == "gpt_oss" else None
    )
    plain = []
    for cap, sink in ((softcap, sinks), (None, None)):
        seen = [current.seen[number] for number in range(2)]
        with kvsieve.Plan(method, kvsieve.Model(2, 8, 2, 16, seen[0].scale), **settings(method)) as plan:
            for layer, one in enumerate(seen):
                queries, keys = (tensor[0, :, :100].double().numpy() for tensor in (one.queries, one.keys))
                rows = exact(queries, keys, cap, sink[layer] if sink else None, one.scale).astype(np.float32)
                plan.observe(layer, attention=rows, kind="probabilities", values=one.values[0, :, :100].contiguous())
            plan.finish()
            plain.append([plan.kept(layer).positions for layer in range(2)])
    assert all(np.array_equal(talk.cache.kept(layer).positions, plain[0][layer]) for layer in range(2))
    # ahakv ranks by logits within a row, which sinks do not move; windowkv's heads vote, a row's share of its sink apart.
    if kind == "gemma2" or method not in ("ahakv", "windowkv"):
        assert not all(np.array_equal(plain[0][layer], plain[1][layer]) for layer in range(2))
