"""Batches: left padding, follow-ups that are padded in the middle, beams, and what a sequence has that another has not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import CLOSE, DECODING, METHODS, Talk, columns_of, settings
from families import make, words

import kvsieve.transformers as sieve
from kvsieve.transformers import releases
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


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "chunk", [25, 40]
)  # the last sequence begins in the third chunk; a whole chunk is padding of all
def test_padding_that_fills_chunks(method: str, chunk: int) -> None:
    """each_chunk: sequences begin in different chunks, and choose as they do alone."""
    own = settings(method, budget=30)
    own |= {"sinks": 1, "recent": 2, "semantic": 3} if method == "taskkv" else {}  # what 15 tokens can hold
    talk = Talk(make("llama"), method, each_chunk=True, **own)
    ids, mask = left_padded([100, 71, 40], seed=9)
    if chunk == 40:
        mask[:, :45] = 0
    if not releases.chunks_have_positions(talk.model):
        with pytest.raises(ValueError, match="gives chunks wrong positions"):
            talk.generate(ids, 4, mask, prefill_chunk_size=chunk)
        return
    talk.generate(ids, 4, mask, prefill_chunk_size=chunk)
    assert talk.difference() < CLOSE
    ends = [*range(chunk, 100, chunk), 100]
    for b in range(3):
        columns = columns_of(talk.mask, b)
        rounds = [(end - chunk, end) for end in ends]
        rounds = [
            (max(first, 0), min(end, 100)) for first, end in rounds if np.any((columns >= first) & (columns < end))
        ]
        rounds[-1] = (ends[-2], 100)
        expected = chosen(method, rounds, columns, b, **own)[-1]
        for layer in range(4):
            assert np.array_equal(talk.cache.kept(layer, b).positions, expected[layer].positions), (b, layer)


@pytest.mark.parametrize("method", METHODS)
def test_a_sequence_that_is_masked_whole(method: str) -> None:
    """It has no prompt, so what is generated for it is its text; the other is not disturbed."""
    talk, alone = (Talk(make("llama"), method, **settings(method)) for _ in range(2))
    ids = words(100, seed=10, batch=2)
    mask = torch.ones_like(ids)
    mask[1] = 0
    talk.generate(ids, 4, mask)
    alone.generate(ids[:1], 4)
    assert torch.equal(talk.text[:1], alone.text)
    assert [one.rounds for one in talk.cache.sequences] == [1, 0]
    for layer in range(4):
        assert np.array_equal(talk.cache.kept(layer).positions, alone.cache.kept(layer).positions)
    ids, mask = left_padded([12, 40], seed=11)
    talk.generate(ids, 3, mask)
    assert [one.rounds for one in talk.cache.sequences] == [2, 1]
    talk.logits = [(column, part[:1]) for column, part in talk.logits]
    talk.text, talk.mask = talk.text[:1], talk.mask[:1]
    for event in talk.recorder.events:
        event.kept = [[of_sequence[0]] for of_sequence in event.kept]
    assert talk.difference() < CLOSE


@pytest.mark.parametrize("method", DECODING)
def test_a_decoding_cache_begins_when_all_sequences_have_a_token(method: str) -> None:
    talk = Talk(make("llama"), method, decoding=1, each_chunk=True, **settings(method, budget=32))
    ids, mask = left_padded([100, 71, 40], seed=12)
    if releases.chunks_have_positions(talk.model):
        talk.generate(ids, 4, mask, prefill_chunk_size=25)
        assert [event.column for event in talk.recorder.events][:2] == [75, 100]
        assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [32] * 4
        assert talk.difference() < CLOSE
    talk.cache.reset()
    mask[1] = 0
    with talk.cache.attached(), pytest.raises(ValueError, match="sequence 1 has no token: a plan that decodes"):
        talk.model.generate(ids, attention_mask=mask, past_key_values=talk.cache, max_new_tokens=2)
    assert talk.cache.get_seq_length() == 0
