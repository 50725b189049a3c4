"""Batches: left padding, follow-ups that are padded in the middle, beams, and what a sequence has that another has not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import CLOSE, DECODING, METHODS, Talk, columns_of, settings
from families import make, words

import kvsieve.transformers as sieve
from reference import chosen


def left_padded(lengths: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask of sequences that end together. Some ids inside a sequence are the padding's."""
    most = max(lengths)
    ids, mask = words(most, seed, batch=len(lengths)), torch.ones(len(lengths), most, dtype=torch.long)
    ids[:, most - 5] = 0
    for row, length in enumerate(lengths):
        mask[row, : most - length] = 0
        ids[row, : most - length] = 0
    return ids, mask


@pytest.mark.parametrize("method", METHODS)
def test_left_padding(method: str) -> None:
    talk = Talk(make("llama"), method, **settings(method))
    ids, mask = left_padded([100, 71, 40], seed=1)
    talk.generate(ids, 4, mask)
    first = [[talk.cache.kept(layer, b) for layer in range(4)] for b in range(3)]
    ids, mask = left_padded([12, 20, 3], seed=2)  # in the middle of the text now
    talk.generate(ids, 4, mask)
    second = [[talk.cache.kept(layer, b) for layer in range(4)] for b in range(3)]
    assert talk.dropped() > 0
    assert talk.difference() < CLOSE
    for b in range(3):
        expected = chosen(method, talk.rounds, columns_of(talk.mask, b), b, **settings(method))
        for found, wanted in zip((first[b], second[b]), expected):
            for layer in range(4):
                assert np.array_equal(found[layer].positions, wanted[layer].positions), (method, b, layer)


@pytest.mark.parametrize("method", DECODING)
def test_decoding_sequences_that_fill_at_different_times(method: str) -> None:
    talk = Talk(make("llama"), method, decoding=1, **settings(method, budget=32))
    ids, mask = left_padded([40, 27, 18], seed=3)
    talk.generate(ids, 20, mask)
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [32] * 4
    ids, mask = left_padded([6, 2, 4], seed=4)
    talk.generate(ids, 3, mask)
    assert talk.difference() < CLOSE


def test_a_batch_chooses_as_each_sequence_alone() -> None:
    model = make("llama")
    ids, mask = left_padded([90, 60], seed=5)
    together, alone = sieve.SieveCache(model, "snapkv", budget=24, window=8), []
    with together.attached():
        model.generate(ids, attention_mask=mask, past_key_values=together, max_new_tokens=2, pad_token_id=0)
    for row, length in ((0, 90), (1, 60)):
        cache = sieve.SieveCache(model, "snapkv", budget=24, window=8)
        with cache.attached():
            own = ids[row : row + 1, -length:]
            model.generate(
                own, attention_mask=torch.ones_like(own), past_key_values=cache, max_new_tokens=2, pad_token_id=0
            )
        alone.append(cache)
    for row in range(2):
        for layer in range(4):
            assert np.array_equal(together.kept(layer, row).positions, alone[row].kept(layer).positions)


def test_tokens_after_the_end_of_a_sequence_can_be_hidden_in_the_next_turn() -> None:
    """generate() fills a sequence that has ended; the caller masks that, and no method looks at it."""
    talk = Talk(make("llama"), "snapkv", **settings("snapkv"))
    ids, mask = left_padded([100, 71], seed=6)
    talk.generate(ids, 10, mask)
    talk.mask[1, -7:] = 0
    ids, mask = left_padded([20, 15], seed=7)
    before = len(talk.logits)
    talk.generate(ids, 3, mask)
    # The first turn's logits are of a text in which those tokens were seen.
    talk.logits = talk.logits[before:]
    assert talk.difference() < CLOSE
    expected = chosen("snapkv", talk.rounds, columns_of(talk.mask, 1), 1, **settings("snapkv"))
    for layer in range(4):
        assert np.array_equal(talk.cache.kept(layer, 1).positions, expected[1][layer].positions)


@pytest.mark.parametrize("method", ["dynamickv", "adakv", "taskkv"])
def test_beams(method: str) -> None:
    """Beams change places in the cache: the winner's score is that of its own text, dropped tokens masked."""
    model = make("llama")
    talk = Talk(model, method, **settings(method))
    ids = words(100, seed=8)
    with talk.recorder, talk.cache.attached():
        out = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            past_key_values=talk.cache,
            num_beams=4,
            num_return_sequences=4,
            max_new_tokens=8,
            min_new_tokens=8,
            do_sample=False,
            length_penalty=0.0,
            return_dict_in_generate=True,
            output_scores=True,
        )
    talk.text, talk.mask = out.sequences, torch.ones_like(out.sequences)
    assert len({tuple(row.tolist()) for row in out.sequences}) == 4
    full = torch.log_softmax(talk.full()[:, 99:-1], -1)
    scores = full.gather(2, out.sequences[:, 100:, None]).sum((1, 2))
    assert float((scores - out.sequences_scores).abs().max()) < 1e-4
    assert talk.dropped() > 0
