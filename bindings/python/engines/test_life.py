"""What a `with` changes and gives back, what memory is freed, and the cache object's own calls."""

from __future__ import annotations

import copy
import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch
from conftest import CLOSE, DECODING, METHODS, Talk, settings
from families import make, words
from transformers import DynamicCache

import kvsieve.transformers as sieve
from kvsieve.transformers import releases


def state(model: torch.nn.Module) -> tuple[object, ...]:
    return (
        model.config._attn_implementation,
        "generate" in model.__dict__,
        "generate_batch" in model.__dict__,
        len(model.model._forward_pre_hooks),
    )


def plain(model: torch.nn.Module, ids: torch.Tensor, count: int) -> torch.Tensor:
    return model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)


def test_all_is_given_back_whatever_happens() -> None:
    model, ids = make("llama"), words(100, seed=1)
    before, said = state(model), plain(model, ids, 5)
    with sieve.compress(model, "snapkv", budget=40):
        plain(model, ids, 5)
        assert state(model) != before
    assert state(model) == before and torch.equal(plain(model, ids, 5), said)

    class Stop(Exception):
        pass

    def stop(*_: object) -> None:
        raise Stop

    hooked = model.model.layers[2].mlp.register_forward_hook(stop)
    with pytest.raises(Stop), sieve.compress(model, "snapkv", budget=40):
        plain(model, ids, 5)
    assert state(model) == before
    hooked.remove()
    assert torch.equal(plain(model, ids, 5), said)


def test_an_interrupted_cache_says_so_and_begins_anew_after_reset() -> None:
    model, ids = make("llama"), words(100, seed=2)
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    keyword = releases.cache_keyword(model.forward)
    hooked = model.model.layers[2].mlp.register_forward_hook(lambda *_: 1 / 0)
    with cache.attached(), torch.no_grad():
        with pytest.raises(ZeroDivisionError):
            model(ids, **{keyword: cache})
        hooked.remove()
        with pytest.raises(ValueError, match="a forward pass did not end"):
            model(ids, **{keyword: cache})
        cache.reset()
        model(ids, **{keyword: cache})
        assert cache.rounds == 1 and cache.get_seq_length() == 100


def test_every_call_without_a_cache_is_a_new_sequence() -> None:
    model, ids = make("llama"), words(100, seed=3)
    with sieve.compress(model, "snapkv", budget=40) as run:
        said = plain(model, ids, 6)
        first = run.cache
        assert torch.equal(plain(model, ids, 6), said)
        assert run.cache is not first and run.cache.rounds == 1
        model.generate(
            torch.cat([said, ids], 1),
            attention_mask=torch.ones(1, 206, dtype=torch.long),
            past_key_values=run.cache,
            max_new_tokens=1,
        )
        assert run.cache.rounds == 2


def test_a_forward_pass_without_a_cache_gets_one() -> None:
    model, ids = make("llama"), words(100, seed=4)
    keyword = releases.cache_keyword(model.forward)
    with sieve.compress(model, "snapkv", budget=40) as run, torch.no_grad():
        out = model(ids)
        assert getattr(out, keyword) is run.cache and run.cache.sieved[0].keys.shape[2] == 40
        assert getattr(model(ids, use_cache=False), keyword) is None
        with pytest.raises(ValueError, match="is a DynamicCache: expected none, or a SieveCache"):
            model(ids, **{keyword: DynamicCache()})


def storage(cache: sieve.SieveCache) -> int:
    """Bytes of all tensors of the layers, found without the cache's help."""
    found = {}
    for layer in cache.layers:
        for value in vars(layer).values():
            for tensor in value if isinstance(value, tuple) else [value]:
                if isinstance(tensor, torch.Tensor):
                    found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
    return sum(found.values())


@pytest.mark.parametrize("method", METHODS)
def test_memory_is_freed(method: str) -> None:
    talk = Talk(make("llama"), method, **settings(method))
    talk.generate(words(100, seed=5), 1)  # the prompt alone: the last token generated is not in the cache
    rows = sum(talk.cache.kept(layer).total for layer in range(4))
    assert talk.cache.bytes == rows * 2 * 16 * 4  # packed: heads that keep fewer rows take less
    assert talk.cache.bytes <= storage(talk.cache) <= talk.cache.bytes + 4 * 2 * 8  # and a count for each head
    assert talk.cache.full_bytes == 4 * 2 * 2 * 100 * 16 * 4


def test_nothing_outlives_the_with() -> None:
    model, ids = make("llama"), words(100, seed=6)
    gc.disable()
    try:
        with sieve.compress(model, "adakv", budget=40) as run:
            plain(model, ids, 2)
            gone, layer = weakref.ref(run.cache), run.cache.sieved[0]
        del run
        assert gone() is None
    finally:
        gc.enable()
    with pytest.raises(ValueError, match="the layer's cache is gone"):
        layer.update(layer.keys, layer.values)


def test_crop_takes_back_what_was_generated_and_no_more() -> None:
    model = make("llama")
    talk = Talk(model, "adakv", **settings("adakv"))
    talk.generate(words(100, seed=7), 8)
    before = [layer.keys.shape[2] for layer in talk.cache.sieved]
    talk.cache.crop(-3)
    assert talk.cache.get_seq_length() == 104
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [rows - 3 for rows in before]
    talk.text, talk.mask = talk.text[:, :104], talk.mask[:, :104]
    talk.logits = talk.logits[:5]
    talk.generate(words(20, seed=8), 4)
    assert talk.difference() < CLOSE
    with pytest.raises(ValueError, match="crop by 10 tokens: 3 came after the last round"):
        talk.cache.crop(-10)
    with pytest.raises(ValueError, match="crop by 117 tokens"):
        talk.cache.crop(10)


def test_protected_tokens_stay() -> None:
    talk = Talk(make("llama"), "snapkv", protect=[(5, 10), (40, 2)], **settings("snapkv"))
    talk.generate(words(100, seed=9), 3)
    talk.generate(words(50, seed=10), 3)
    for layer in range(4):
        for head in range(2):
            assert {*range(5, 15), 40, 41} <= set(talk.cache.kept(layer).head(head).tolist())
    talk.cache.reset()
    talk.text = talk.mask = None
    talk.rounds, talk.logits, talk.recorder.events = [], [], []
    talk.generate(words(100, seed=11), 3)
    assert {*range(5, 15)} <= set(talk.cache.kept(0).head(0).tolist())
    assert talk.difference() < CLOSE


def test_a_prompt_below_the_budget_is_kept_whole() -> None:
    model, ids = make("llama"), words(30, seed=12)
    said = plain(model, ids, 8)
    with sieve.compress(model, "snapkv", budget=40) as run:
        assert torch.equal(plain(model, ids, 8), said)
        assert run.cache.report().dropped == 0


def test_a_prompt_of_one_token() -> None:
    model = make("llama")
    said = model.generate(max_new_tokens=30, do_sample=False)
    with sieve.compress(model, "snapkv", budget=40) as run:
        assert torch.equal(model.generate(max_new_tokens=30, do_sample=False), said)
        assert run.cache.rounds == 1


@pytest.mark.parametrize("method", DECODING)
def test_inference_mode(method: str) -> None:
    model, ids = make("llama"), words(60, seed=13)
    outs = []
    for mode in (torch.no_grad, torch.inference_mode):
        with mode(), sieve.compress(model, method, decoding=1, **settings(method)):
            outs.append(plain(model, ids, 8))
    assert torch.equal(*outs)


def test_sampling_several_sequences() -> None:
    model, ids = make("llama"), words(100, seed=14)
    with sieve.compress(model, "ahakv", decoding=1, **settings("ahakv")) as run:
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=True, num_return_sequences=3, max_new_tokens=5
        )
    assert out.shape == (3, 105) and len(run.cache.sequences) == 3


def test_two_models_in_turn_and_a_model_beside() -> None:
    """Passes of one model between those of another, as an assistant's would be, leave each other alone."""
    first, second, ids = make("llama"), make("llama", seed=1), words(100, seed=15)
    keyword = releases.cache_keyword(first.forward)
    logits = []
    for beside in (False, True):
        cache = sieve.SieveCache(first, "snapkv", budget=40)
        with cache.attached(), sieve.compress(second, "tova", budget=40), torch.no_grad():
            for part in (ids, ids[:, :1], ids[:, :9]):
                logits.append(first(part, **{keyword: cache}).logits)
                if beside:
                    plain(second, ids, 2)
                    first(ids, use_cache=False)
    assert all(torch.equal(a, b) for a, b in zip(logits[:3], logits[3:]))


def test_a_compiled_forward_pass_breaks_its_graph_and_is_right() -> None:
    talk = Talk(make("llama"), "adakv", **settings("adakv"))
    talk.model.forward = torch.compile(talk.model.forward, backend="eager")
    talk.generate(words(100, seed=17), 4)
    talk.generate(words(30, seed=18), 4)
    del talk.model.forward
    assert talk.dropped() > 0
    assert talk.difference() < CLOSE


def test_neither_copied_nor_doubled() -> None:
    model = make("llama")
    cache = sieve.SieveCache(model, "snapkv", budget=40)
    with pytest.raises(TypeError, match="cannot be copied"):
        copy.deepcopy(cache)
    with pytest.raises(ValueError, match="cannot be doubled"):
        cache.batch_repeat_interleave(2)
    with pytest.raises(ValueError, match="keeps the batch"):
        cache.batch_select_indices(torch.tensor([0]))


def test_importing_kvsieve_imports_neither_torch_nor_transformers() -> None:
    code = "import sys, kvsieve; kvsieve.methods(); print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_report_of_what_was_lost() -> None:
    talk = Talk(make("llama"), "snapkv", report=1, **settings("snapkv"))
    talk.generate(words(100, seed=16), 1)
    report = talk.cache.report()
    assert (report.kept, report.dropped) == (4 * 2 * 40, 4 * 2 * 60)
    assert 0 < report.mass_least <= report.mass_mean < 1
    assert np.array_equal(talk.cache.kept(0).counts, [40, 40])
