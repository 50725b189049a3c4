"""Passes that end early, masks that change, caches that a further pass brings: nothing of it gives other logits without a word."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import CLOSE, DECODING, METHODS, Talk, settings
from families import SIZES, make, words
from transformers import GenerationConfig

import kvsieve.transformers as sieve
from kvsieve.transformers import releases

IDS = words(100, seed=1)


def cache_of(model: Any, method: str = "snapkv", **more: Any) -> sieve.SieveCache:
    return sieve.SieveCache(model, method, **{**settings(method), **more})


def forward(model: Any, cache: Any, ids: Any, **keywords: Any) -> Any:
    with torch.no_grad():
        return model(ids, **{releases.cache_keyword(model.forward): cache}, **keywords).logits


def ones(columns: int, *hidden: int) -> torch.Tensor:
    mask = torch.ones(1, columns, dtype=torch.long)
    mask[0, list(hidden)] = 0
    return mask


@pytest.mark.parametrize("family", ["gemma3", "llama"])
@pytest.mark.parametrize("layer", [0, 1, 3])
def test_a_pass_that_stops_in_any_layer(family: str, layer: int) -> None:
    """Layers that are left alone have its tokens too: the next pass is refused until reset(), whichever layer it was."""
    model = make(family)
    cache = cache_of(model)
    stop = model.model.layers[layer].mlp.register_forward_hook(lambda *_: 1 / 0)
    with cache.attached():
        with pytest.raises(ZeroDivisionError):
            forward(model, cache, IDS)
        stop.remove()
        for ids in (IDS, IDS[:, :1]):
            with pytest.raises(ValueError, match="a forward pass did not end"):
                forward(model, cache, ids)
        cache.reset()
        logits = forward(model, cache, IDS)
    other = cache_of(model)
    with other.attached():
        assert torch.equal(forward(model, other, IDS), logits)


def test_a_refusal_leaves_a_cache_as_it_was_where_it_can() -> None:
    for family, usable in (("llama", True), ("gemma3", False)):
        model = make(family)
        cache = cache_of(model)
        with cache.attached():
            with pytest.raises(ValueError, match="gradients are being recorded"):
                model(IDS, **{releases.cache_keyword(model.forward): cache})
            if not usable:  # its first layer is left alone, and has the tokens
                with pytest.raises(ValueError, match="a forward pass did not end"):
                    forward(model, cache, IDS)
                cache.reset()
            forward(model, cache, IDS)
        assert cache.rounds == 1


@pytest.mark.parametrize("decoding", [0, 1])
def test_masks_that_change_what_was_compressed(decoding: int) -> None:
    model = make("llama")
    method = "h2o" if decoding else "snapkv"
    more: Any = {"decoding": 1} if decoding else {}
    for before, after in ((ones(100), ones(101, 7)), (ones(100, 0, 1), ones(101, 0, 2)), (ones(100, 0), ones(101))):
        cache = cache_of(model, method, **more)
        with cache.attached():
            forward(model, cache, IDS, attention_mask=before)
            with pytest.raises(
                ValueError, match="attention_mask shows .* of the first 100 tokens, and .* when they were"
            ):
                forward(model, cache, IDS[:, :1], attention_mask=after)
            with pytest.raises(ValueError, match="attention_mask has 60 columns: expected 101"):
                forward(model, cache, IDS[:, :1], attention_mask=ones(60))
            said = model.generate(
                torch.cat([IDS, IDS[:, :1]], 1),
                attention_mask=torch.cat([before, ones(1)], 1),
                past_key_values=cache,
                max_new_tokens=2,
            )
        assert said.shape == (1, 103)


def test_a_mask_of_four_dimensions_after_other_passes() -> None:
    model = make("llama")
    four = torch.ones(1, 1, 100, 100, dtype=torch.bool).tril()
    cache = cache_of(model)
    with cache.attached():
        with torch.no_grad():
            model(IDS, use_cache=False)
        with pytest.raises(ValueError, match="attention_mask was prepared by the caller"):
            forward(model, cache, IDS, attention_mask=four)


@pytest.mark.parametrize("name", ["use_cache", "num_beams", "prompt_lookup_num_tokens"])
def test_defaults_of_the_model_beside_a_configuration_that_is_given(name: str) -> None:
    model = make("llama")
    setattr(model.generation_config, name, {"use_cache": False, "num_beams": 2, "prompt_lookup_num_tokens": 3}[name])
    cache = cache_of(model, "h2o", decoding=1)
    with cache.attached(), pytest.raises(ValueError, match="use_cache|num_beams|assisted_generation"):
        model.generate(
            IDS,
            attention_mask=ones(100),
            past_key_values=cache,
            generation_config=GenerationConfig(max_new_tokens=3, do_sample=False, pad_token_id=0),
        )
    assert cache.get_seq_length() == 0


def test_whose_cache_it_is() -> None:
    """run.cache is that of the latest generate(), not of passes inside it, nor of one that was refused."""
    model = make("llama")
    with sieve.compress(model, "snapkv", **settings("snapkv")) as run:
        said = model.generate(IDS, attention_mask=ones(100), max_new_tokens=4, guidance_scale=1.5)
        cache = run.cache
        assert cache.get_seq_length() == said.shape[1] - 1 and cache.rounds == 1
        with pytest.raises(ValueError, match="use_cache is False"):
            model.generate(IDS, attention_mask=ones(100), use_cache=False)
        assert run.cache is cache
        with torch.no_grad():
            model(IDS)
        assert run.cache is not cache


def test_values_that_are_not_the_cache_s() -> None:
    config = transformers.DiffLlamaConfig(**SIZES)
    torch.manual_seed(0)
    model = transformers.DiffLlamaForCausalLM(config).eval()
    cache = cache_of(model)
    # transformers 5.2 does not let its attention be replaced
    sentence = "attends to other values than its cache has|takes no attention function"
    with pytest.raises(ValueError, match=sentence), cache.attached():
        forward(model, cache, IDS)


def test_models_whose_attention_cannot_be_replaced() -> None:
    config = transformers.GPTNeoConfig(
        vocab_size=300, hidden_size=64, num_layers=2, num_heads=4, attention_types=[[["global"], 2]]
    )
    model = transformers.GPTNeoForCausalLM(config)
    with pytest.raises(ValueError, match="takes no attention function of transformers"), cache_of(model).attached():
        pass
    assert not str(model.config._attn_implementation).startswith("kvsieve")


def test_a_turn_after_beams() -> None:
    model = make("llama")
    cache = cache_of(model)
    with cache.attached():
        keywords: Any = {"past_key_values": cache, "max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
        said = model.generate(IDS, attention_mask=ones(100), num_beams=3, **keywords)
        with pytest.raises(ValueError, match="the last turn had 3 beams"):
            model.generate(torch.cat([said, IDS], 1), attention_mask=ones(204), num_beams=3, **keywords)
        cache.reset()
        model.generate(IDS, attention_mask=ones(100), **keywords)
    assert cache.rounds == 1


@pytest.mark.parametrize("method", METHODS)
def test_one_key_value_head(method: str) -> None:
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**SIZES, "num_key_value_heads": 1})).eval()
    for more in ({"decoding": 1}, {}) if method in DECODING else ({},):
        talk = Talk(model, method, **settings(method), **more)
        talk.generate(words(100, seed=2), 12)
        talk.generate(words(40, seed=3), 4)
        assert talk.dropped() > 0
        assert talk.difference() < CLOSE


@pytest.mark.parametrize("method", METHODS)
def test_chunks_with_padding_in_the_middle(method: str) -> None:
    """What is hidden of the new tokens pushes no query of a shown one out."""
    model = make("llama")
    whole, cut = (Talk(model, method, **settings(method)) for _ in range(2))
    if not releases.chunks_follow_cache(model):
        return
    for talk, chunk in ((whole, {}), (cut, {"prefill_chunk_size": 9})):
        talk.generate(words(100, seed=4, batch=2), 5)
        mask = torch.ones(2, 40, dtype=torch.long)
        mask[0, :31] = mask[1, 5:] = 0  # the second one's last chunks are padding, or nearly
        mask[1, -1] = 1
        talk.generate(words(40, seed=5, batch=2), 3, mask, **chunk)
        assert talk.difference() < CLOSE
    for sequence in range(2):
        for layer in range(4):
            a, b = (talk.cache.kept(layer, sequence).positions for talk in (whole, cut))
            assert np.array_equal(a, b), (sequence, layer)


@pytest.mark.parametrize("decoding", [0, 1])
def test_steps_outside_of_inference_mode(decoding: int) -> None:
    model = make("llama")
    more: Any = {"decoding": 1} if decoding else {}
    logits = []
    for mode in (torch.inference_mode, contextlib.nullcontext):
        cache = cache_of(model, "ahakv", **more)
        with cache.attached():
            with mode():
                forward(model, cache, IDS)
                forward(model, cache, IDS[:, :1])
            logits.append([forward(model, cache, IDS[:, i : i + 1]) for i in range(3)])
    assert all(torch.equal(a, b) for a, b in zip(*logits))


def test_a_batch_that_is_masked_whole() -> None:
    model = make("llama")
    cache = cache_of(model)
    with cache.attached():
        said = model.generate(
            IDS, attention_mask=ones(100) * 0, past_key_values=cache, max_new_tokens=2, pad_token_id=0
        )
    assert said.shape == (1, 102) and cache.rounds == 0
    with pytest.raises(ValueError, match="no prompt was read yet"):
        cache.kept(0)


def test_before_a_prompt_and_copies() -> None:
    cache = cache_of(make("llama"))
    for ask in (lambda: cache.kept(0), cache.report):
        with pytest.raises(ValueError, match="no prompt was read yet"):
            ask()
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.copy(cache)


def test_prompts_by_hand_after_one_that_was_announced() -> None:
    model = make("llama")
    cache = cache_of(model)
    with cache.attached():
        cache.prompt(100)
        for part in torch.split(IDS, 40, 1):
            forward(model, cache, part)
        assert cache.rounds == 1
        forward(model, cache, IDS[:, :30])  # as README says: each pass of several tokens is a prompt
    assert cache.rounds == 2 and cache.sieved[0].keys.shape[2] == 40


def test_chunks_of_one_token() -> None:
    """each_chunk: a layer never has more rows than budget + chunk."""
    model = make("llama")
    cache, most = cache_of(model, each_chunk=True), 0
    with cache.attached():
        cache.prompt(70)
        for column in range(70):
            forward(model, cache, IDS[:, column : column + 1])
            most = max(most, cache.sieved[0].keys.shape[2])
    assert most == 40
