"""What is refused, with its sentence: nothing is compressed wrongly, or not at all, without a word."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from conftest import settings
from families import SIZES, make, words
from transformers import DynamicCache, GenerationConfig, StaticCache
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

import kvsieve
import kvsieve.transformers as sieve
from kvsieve.transformers import releases
from kvsieve.transformers.attention import passing

IDS = words(60, seed=1)
MASK = torch.ones_like(IDS)


def refused(sentence: str, model: Any = None, method: str = "snapkv", **keywords: Any) -> None:
    """generate() with these keywords, inside compress()."""
    model = model or make("llama")
    parameters: Any = {**settings(method), **({"decoding": keywords.pop("decoding")} if "decoding" in keywords else {})}
    with (
        sieve.compress(model, method, **parameters),
        pytest.raises(ValueError, match=sentence),
    ):
        model.generate(IDS, attention_mask=MASK, max_new_tokens=3, **keywords)


def test_arguments_of_generate() -> None:
    model = make("llama")
    refused("generate would run assisted_generation", assistant_model=make("llama", seed=1), do_sample=False)
    refused("generate would run assisted_generation", prompt_lookup_num_tokens=3, do_sample=False)
    refused("use_cache is False", use_cache=False)
    refused("cache_implementation is 'static'", cache_implementation="static")
    refused("cache_implementation is 'offloaded'", cache_implementation="offloaded")
    refused("cache_implementation is 'quantized'", generation_config=GenerationConfig(cache_implementation="quantized"))
    refused("past_key_values is a DynamicCache", past_key_values=DynamicCache())
    refused(
        "past_key_values is a StaticCache", model, past_key_values=StaticCache(config=model.config, max_cache_len=99)
    )
    refused("custom_generate", custom_generate=lambda *_, **__: None)
    refused("num_beams is 2: a plan that decodes", method="h2o", decoding=1, num_beams=2, do_sample=False)
    refused(
        "past_key_values is a SieveCache: expected a SieveCache of this model",
        past_key_values=sieve.SieveCache(model, "tova"),
    )


def test_a_cache_of_one_s_own_must_be_passed() -> None:
    model = make("llama")
    with (
        sieve.SieveCache(model, "snapkv").attached(),
        pytest.raises(ValueError, match="generate has no past_key_values"),
    ):
        model.generate(IDS, attention_mask=MASK)


def test_generate_batch() -> None:
    model = make("llama")
    with sieve.compress(model, "snapkv"), pytest.raises(ValueError, match="generate_batch has paged caches of its own"):
        model.generate_batch(inputs=[[1, 2, 3]])


def test_models() -> None:
    sliding = transformers.MistralForCausalLM(transformers.MistralConfig(**SIZES, sliding_window=16))
    with pytest.raises(ValueError, match="no layer of full attention"):
        sieve.compress(sliding, "snapkv")
    small = {"d_model": 16, "d_ff": 16, "d_kv": 8, "num_layers": 1, "num_heads": 2, "vocab_size": 20}
    with pytest.raises(ValueError, match="has an encoder"):
        sieve.compress(transformers.T5ForConditionalGeneration(transformers.T5Config(**small)), "snapkv")
    with pytest.raises(ValueError, match="model is a Linear"):
        sieve.compress(torch.nn.Linear(2, 2), "snapkv")


def test_attention_that_takes_no_mask_for_each_head() -> None:
    model = make("llama")
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(ValueError, match="attn_implementation is 'flex_attention': expected 'sdpa' or 'eager'"):
        sieve.compress(model, "snapkv").__enter__()


def test_twice() -> None:
    model = make("llama")
    with sieve.compress(model, "snapkv"):
        with pytest.raises(ValueError, match="already"), sieve.compress(model, "snapkv"):
            pass
        assert model.config._attn_implementation == "kvsieve_sdpa"
    assert model.config._attn_implementation == "sdpa"


def test_parameters_when_the_cache_is_made() -> None:
    model = make("llama")
    with pytest.raises(ValueError, match="snapkv has no parameter 'sinks'"):
        sieve.compress(model, "snapkv", sinks=4)
    with pytest.raises(kvsieve.KVSieveError, match="budget"):
        sieve.compress(model, "snapkv", budget=0)
    with pytest.raises(ValueError, match="method is 'snap'"):
        sieve.compress(model, "snap")
    with pytest.raises(ValueError, match="align is set by the cache"):
        sieve.compress(model, "snapkv", align=0)
    with pytest.raises(kvsieve.KVSieveError, match="first"):
        sieve.compress(model, "snapkv", protect=[(-1, 4)])


def passes(model: Any, cache: Any, *parts: Any, **keywords: Any) -> None:
    for part in parts:
        model(part, **{releases.cache_keyword(model.forward): cache}, **keywords)


def test_passes() -> None:
    model = make("llama")
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    with torch.no_grad(), pytest.raises(ValueError, match="outside of its `with cache.attached"):
        passes(model, cache, IDS)
    with cache.attached():
        with pytest.raises(ValueError, match="gradients are being recorded"):
            passes(model, cache, IDS)
        cache.reset()
        with torch.no_grad():
            with pytest.raises(ValueError, match="attention_mask was prepared by the caller"):
                passes(model, cache, IDS, attention_mask=torch.ones(1, 1, 60, 60, dtype=torch.bool).tril())
            cache.reset()
            passes(model, cache, IDS)
            with pytest.raises(ValueError, match="the batch has 2 sequences: expected 1"):
                passes(model, cache, IDS.expand(2, -1))
            cache.reset()
            passes(model, cache, IDS)
            hidden = torch.ones(1, 80, dtype=torch.long)
            hidden[0, 7] = 0
            with pytest.raises(ValueError, match=r"attention_mask shows \[59\] of the first 60 tokens, and all when"):
                passes(model, cache, IDS[:, :20], attention_mask=hidden)


def test_compiled_models() -> None:
    model = make("llama")
    with pytest.raises(ValueError, match="what torch.compile returned"):
        sieve.compress(torch.compile(model), "snapkv")


def test_an_unknown_bias_or_changed_keys() -> None:
    model = make("llama")
    attend = ALL_ATTENTION_FUNCTIONS["kvsieve_sdpa"]
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    layer, module = cache.sieved[0], model.model.layers[0].self_attn
    query, key = torch.zeros(1, 8, 4, 16), torch.zeros(1, 2, 4, 16)
    layer.keys = layer.values = key
    passing.layer = layer
    with pytest.raises(ValueError, match="LlamaAttention adds position_bias"):
        attend(module, query, key, key, None, position_bias=query)
    passing.layer = layer
    with pytest.raises(ValueError, match="LlamaAttention attends to other keys"):
        attend(module, query, key.clone(), key, None)


def test_beams_that_were_compressed_apart() -> None:
    model = make("llama")
    ids = torch.cat([IDS, words(60, seed=2)])
    cache = sieve.SieveCache(model, "snapkv", budget=40, window=8)
    with cache.attached(), torch.no_grad():
        passes(model, cache, ids)
        cache.reorder_cache(torch.tensor([0, 1]))
        with pytest.raises(ValueError, match="beams 1 and 0 change places, but were compressed apart"):
            cache.reorder_cache(torch.tensor([1, 0]))


def test_a_text_that_is_no_longer_than_its_cache() -> None:
    """Refused before the model runs: the cache is as it was, and a longer text is taken."""
    model = make("llama")
    cache = sieve.SieveCache(model, "snapkv", budget=40, window=8)

    def generate(ids: Any, mask: Any = None) -> Any:
        return model.generate(ids, attention_mask=mask, past_key_values=cache, max_new_tokens=4, min_new_tokens=4)

    with cache.attached():
        with pytest.raises(ValueError, match="attention_mask has 80 columns, inputs 60 and the cache 0"):
            generate(IDS, torch.ones(1, 80, dtype=torch.long))
        said = generate(IDS, MASK)
        held = [(layer.keys.clone(), layer.values.clone()) for layer in cache.layers]
        for columns in (10, 60, 63):
            with pytest.raises(ValueError, match=f"inputs has {columns} tokens and the cache 63 already"):
                generate(said[:, :columns])
        with pytest.raises(ValueError, match="attention_mask has 90 columns, inputs 70 and the cache 63"):
            generate(words(70, seed=3), torch.ones(1, 90, dtype=torch.long))
        assert cache.rounds == 1 and cache.get_seq_length() == 63
        for layer, (keys, values) in zip(cache.layers, held):
            assert torch.equal(layer.keys, keys) and torch.equal(layer.values, values)
        generate(torch.cat([said, words(20, seed=4)], 1))
    assert cache.rounds == 2


def test_new_tokens_alone_with_the_mask_of_all() -> None:
    model, more = make("llama"), words(20, seed=5)
    whole, new = (sieve.SieveCache(model, "snapkv", budget=40, window=8) for _ in range(2))
    answers = []
    for cache in (whole, new):
        with cache.attached():
            keywords: Any = {"past_key_values": cache, "max_new_tokens": 4, "min_new_tokens": 4, "do_sample": False}
            said = model.generate(IDS, attention_mask=MASK, **keywords)
            text = torch.cat([said[:, :63], more], 1)
            given = text if cache is whole else more
            if cache is new and not releases.takes_new_tokens(model):
                with pytest.raises(ValueError, match="attention_mask has 83 columns, inputs 20 and the cache 63"):
                    model.generate(given, attention_mask=torch.ones_like(text), **keywords)
                return
            answers.append(model.generate(given, attention_mask=torch.ones_like(text), **keywords)[:, -4:])
    assert torch.equal(*answers)
    assert all(np.array_equal(whole.kept(layer).positions, new.kept(layer).positions) for layer in range(4))


def test_prompts_that_are_announced() -> None:
    model = make("llama")
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    for tokens in (0, -1):
        with pytest.raises(ValueError, match=f"tokens is {tokens}: expected at least 1"):
            cache.prompt(tokens)
    with pytest.raises(TypeError, match="tokens is 1.5: expected a whole number"):
        cache.prompt(1.5)  # type: ignore[arg-type]
    with cache.attached(), torch.no_grad():
        passes(model, cache, IDS)
    with pytest.raises(ValueError, match="column is 60, and 60 were read already"):
        cache.prompt_ends_at(60)
    cache.prompt_ends_at(61)
    cache.prompt_ends_at(None)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_model_is_not_copied_inside(copied: Any) -> None:
    model = make("llama")
    for inside in (sieve.compress(model, "snapkv"), sieve.SieveCache(model, "snapkv").attached()):
        with inside:
            for part in (model, model.model):
                with pytest.raises(
                    TypeError, match=f"{type(part).__name__} is inside a `with` of kvsieve.transformers"
                ):
                    copied(part)
        assert copied(model)
        assert "__reduce_ex__" not in model.__dict__ and "__reduce_ex__" not in model.model.__dict__


def test_a_cache_that_is_passed_by_position() -> None:
    model = make("llama")
    names = list(inspect.signature(model.model.forward).parameters)
    before: Any = [None] * (names.index(releases.cache_keyword(model.model.forward)) - 1)
    with sieve.compress(model, "snapkv", budget=40) as run, torch.no_grad():
        with pytest.raises(
            ValueError, match="is a DynamicCache: expected none, or a SieveCache of this model; generate"
        ):
            model.model(IDS, *before, DynamicCache())
        out = model.model(IDS, *before, None)
        assert getattr(out, releases.cache_keyword(model.model.forward)) is run.cache and run.cache.rounds == 1
        own = sieve.SieveCache(model, "snapkv", budget=40)
        model.model(IDS, *before, own)
    assert own.rounds == 1 and own.sieved[0].keys.shape[2] == 40


def test_the_decoder_alone_was_given() -> None:
    model = make("llama")
    with sieve.compress(model.model, "snapkv"), pytest.raises(ValueError, match="the model whose generate"):
        model.generate(IDS, attention_mask=MASK, max_new_tokens=2)


def test_ranges_and_sequences_that_are_none() -> None:
    model = make("llama")
    for protect in ((0, 40), "system"):
        with pytest.raises(TypeError, match=r"protect\[0\] is .*: expected a pair \(first, count\)"):
            sieve.compress(model, "snapkv", protect=protect)  # type: ignore[arg-type]
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    with cache.attached(), torch.no_grad():
        passes(model, cache, IDS)
    for sequence in (1, -1):
        with pytest.raises(ValueError, match=f"sequence is {sequence}: expected 0 ... 0"):
            cache.report(sequence)
