"""Prompts that are read in several forward passes, by generate() or by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import CLOSE, METHODS, Talk, settings
from families import make, words

import kvsieve.transformers as sieve
from kvsieve.transformers import releases

CHUNKS = releases.chunks_have_positions(make("llama"))
"""False for releases of transformers whose chunks are wrong with any cache: there they are refused."""


def in_chunks(talk: Talk, new: torch.Tensor, count: int, chunk: int) -> bool:
    """generate() with prefill_chunk_size; False if that was refused, as it must be with such a release."""
    if CHUNKS:
        talk.generate(new, count, prefill_chunk_size=chunk)
    else:
        with pytest.raises(ValueError, match="gives chunks wrong positions"):
            talk.generate(new, count, prefill_chunk_size=chunk)
    return CHUNKS


def kept_by(talk: Talk) -> list[np.ndarray]:
    return [talk.cache.kept(layer).positions for layer in range(4)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunk", [1, 33, 99])  # the last chunk of the second and third has one token, and one token
def test_the_choice_does_not_depend_on_the_chunks(method: str, chunk: int) -> None:
    model = make("llama")
    whole, cut = (Talk(model, method, **settings(method)) for _ in range(2))
    whole.generate(words(100, seed=1), 3)
    if not in_chunks(cut, words(100, seed=1), 3, chunk):
        return
    assert cut.dropped() > 0
    assert all(np.array_equal(a, b) for a, b in zip(kept_by(whole), kept_by(cut)))
    assert cut.difference() < CLOSE


def test_a_follow_up_in_chunks() -> None:
    model = make("llama")
    talk, other = (Talk(model, "adakv", **settings("adakv")) for _ in range(2))
    for each in (talk, other):
        each.generate(words(100, seed=2), 4)
    talk.generate(words(40, seed=3), 3)
    if CHUNKS and not releases.chunks_follow_cache(talk.model):
        with pytest.raises(ValueError, match="reads all of the text again"):
            other.generate(words(40, seed=3), 3, prefill_chunk_size=16)
        return
    if not in_chunks(other, words(40, seed=3), 3, 16):
        return
    assert all(np.array_equal(a, b) for a, b in zip(kept_by(talk), kept_by(other)))
    assert other.difference() < CLOSE


def rows_at_most(talk: Talk, run: object) -> int:
    """The most rows that a layer had while `run` ran."""
    most = 0
    updates = [layer.update for layer in talk.cache.sieved]

    def watched(update: object) -> object:
        def call(*arguments: object, **keywords: object) -> object:
            nonlocal most
            keys, values = update(*arguments, **keywords)  # type: ignore[operator]
            most = max(most, keys.shape[2])
            return keys, values

        return call

    for layer, update in zip(talk.cache.sieved, updates):
        layer.update = watched(update)
    run()  # type: ignore[operator]
    return most


@pytest.mark.parametrize("method", ["snapkv", "ahakv", "streamingllm", "keydiff", "h2o"])
def test_a_prompt_that_is_longer_than_memory(method: str) -> None:
    """each_chunk: a chunk's rows and the budget's are all that a layer ever has."""
    talk = Talk(make("llama"), method, each_chunk=True, **settings(method, budget=40))
    most = rows_at_most(talk, lambda: in_chunks(talk, words(400, seed=4), 5, 50))
    if not CHUNKS:
        return
    assert most == 90
    assert len(talk.recorder.events) == 8
    assert talk.difference() < CLOSE


def test_decoding_after_a_prompt_in_chunks() -> None:
    model = make("llama")
    whole, cut = (Talk(model, "h2o", decoding=1, **settings("h2o")) for _ in range(2))
    whole.generate(words(100, seed=5), 6)
    if not in_chunks(cut, words(100, seed=5), 6, 33):
        return
    assert all(np.array_equal(a, b) for a, b in zip(kept_by(whole), kept_by(cut)))
    assert cut.difference() < CLOSE
    # each_chunk: tokens of later chunks are taken by step
    steps = Talk(model, "h2o", decoding=1, each_chunk=True, **settings("h2o"))
    steps.generate(words(100, seed=5), 6, prefill_chunk_size=60)
    assert [layer.keys.shape[2] for layer in steps.cache.sieved] == [40] * 4
    assert steps.difference() < CLOSE


def test_forward_passes_by_hand() -> None:
    """Every pass of several tokens is a prompt, unless prompt() says how long it is."""
    model, ids = make("llama"), words(130, seed=6)
    by_hand, by_generate = (sieve.SieveCache(model, "snapkv", budget=40, window=8) for _ in range(2))
    keyword = releases.cache_keyword(model.forward)
    with by_generate.attached():
        model.generate(ids, attention_mask=torch.ones_like(ids), past_key_values=by_generate, max_new_tokens=1)
    with by_hand.attached(), torch.no_grad():
        by_hand.prompt(130)
        for part in torch.split(ids, 45, 1):
            model(part, **{keyword: by_hand})
    assert by_hand.rounds == 1 and by_hand.sieved[0].keys.shape[2] == 40
    assert all(np.array_equal(by_hand.kept(i).positions, by_generate.kept(i).positions) for i in range(4))
    again = sieve.SieveCache(model, "snapkv", budget=40, window=8)
    with again.attached(), torch.no_grad():
        for part in torch.split(ids, 45, 1):
            model(part, **{keyword: again})
            assert again.sieved[0].keys.shape[2] == 40
        model(ids[:, :1], **{keyword: again})  # one token is appended
        assert again.sieved[0].keys.shape[2] == 41
    assert again.rounds == 3
