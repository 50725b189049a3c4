"""Families of models: grouped heads, normalised keys, partial rotary embedding, softcap, sinks, layers with a window."""

from __future__ import annotations

import pytest
import torch
from conftest import CLOSE, Talk, settings
from families import EAGER, FAMILIES, make, words

import kvsieve.transformers as sieve
from kvsieve.transformers import releases

COMPRESSED = {"gemma2": [1, 3], "gemma3": [1, 3], "gpt_oss": [1, 3]}


@pytest.mark.parametrize("method", ["dynamickv", "adakv", "taskkv", "ahakv"])
@pytest.mark.parametrize("kind", FAMILIES)
def test_generate_and_follow_up(kind: str, method: str) -> None:
    talk = Talk(make(kind), method, **settings(method))
    assert [layer.index for layer in talk.cache.sieved] == COMPRESSED.get(kind, [0, 1, 2, 3])
    talk.generate(words(100, seed=1), 5)
    talk.generate(words(25, seed=2), 5)
    assert talk.dropped() > 0
    assert talk.difference() < CLOSE


@pytest.mark.parametrize("kind", [kind for kind in FAMILIES if kind not in EAGER])
def test_eager(kind: str) -> None:
    talk = Talk(make(kind, "eager"), "adakv", **settings("adakv"))
    talk.generate(words(100, seed=3), 4)
    talk.generate(words(25, seed=4), 4)
    assert talk.difference() < CLOSE


@pytest.mark.parametrize("kind", ["gemma2", "gemma3", "gpt_oss"])
@pytest.mark.parametrize("method", ["h2o", "streamingllm"])
def test_decoding_beside_layers_with_a_window(kind: str, method: str) -> None:
    talk = Talk(make(kind), method, decoding=1, **settings(method, budget=24))
    talk.generate(words(60, seed=5), 12)
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [24, 24]
    assert talk.difference() < CLOSE


def test_layers_with_a_window_are_what_transformers_makes_of_them() -> None:
    model, ids = make("gemma3"), words(100, seed=6)
    with sieve.compress(model, "snapkv", budget=20, window=8) as run:
        model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=2, do_sample=False)
    assert [layer.keys.shape[2] for layer in run.cache.layers] == [31, 21, 31, 21]
    assert type(run.cache.layers[0]).__name__ == "DynamicSlidingWindowLayer"


def test_linear_layers_are_left_alone() -> None:
    model = make("qwen3_next")
    if not releases.knows_layer_types():
        with pytest.raises(
            ValueError, match="layer 0 is linear_attention: this release of transformers has no cache for that"
        ):
            sieve.SieveCache(model, "adakv")
        return
    talk = Talk(model, "adakv", **settings("adakv"))
    assert [layer.index for layer in talk.cache.sieved] == [1, 3]
    talk.generate(words(100, seed=8), 5)
    talk.generate(words(30, seed=9), 5)
    assert talk.dropped() > 0
    assert talk.difference() < CLOSE


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_dtypes(dtype: torch.dtype) -> None:
    talk = Talk(make("llama", dtype=dtype), "adakv", **settings("adakv"))
    talk.generate(words(100, seed=7), 5)
    assert talk.cache.sieved[0].packed[0].dtype == dtype
    assert talk.difference() < 0.05  # of logits near 2, rounded to 8 and 11 bits in every layer
