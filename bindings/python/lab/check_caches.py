"""Tests of caches that are held or compressed again: logits against a masked recomputation in double.

Here: Slots, Growing, greedy variants, what a token sees. Not here: whole units, files, cells (check_later.py).
"""

from __future__ import annotations

from functools import cache

import followups
import numpy as np
from check_model import masked_in_double, recall, words
from followups import Growing, begun
from llama import Prefix
from setting import Setting
from unit import greedy

import decoding
from decoding import Slots, through

T, AFTER = 90, 40
DECODING = [
    Setting("ahakv", "ahakv", {"window": 16}),
    Setting("ahakv k7", "ahakv", {"window": 16, "score_kernel": 7}),
    Setting("h2o", "h2o"),
    Setting("streamingllm", "streamingllm"),
    Setting("tova", "tova"),
]


@cache
def prompt() -> Prefix:
    return recall().prefill(words(0, T))


def said(hidden: np.ndarray) -> np.ndarray:
    return recall().logits(hidden)


def recomputed(seen_by: list[list[list[np.ndarray]]]) -> np.ndarray:
    """Logits of the tokens after the prompt in double; seen_by[token][layer][head]: the positions before it that it sees."""

    def sees(layer: int, head: int) -> np.ndarray:
        mask = np.tril(np.ones((T + len(seen_by),) * 2, bool))
        for token, positions in enumerate(seen_by):
            mask[T + token, : T + token] = np.isin(np.arange(T + token), positions[layer][head])
        return mask

    return masked_in_double(recall(), words(0, T) + words(1, len(seen_by)), sees)[T:]


def test_decoding_is_a_masked_recomputation() -> None:
    """A token sees what the plan says is in the slots. One by one or 16 at a step; a cache with room left is among them."""
    llama, tokens = recall(), np.array([words(1, AFTER)])
    for budget in (40, T + 10):
        for setting in DECODING:
            one, seen_by, hidden = Slots(llama, prompt(), setting, budget), [], []
            for token in range(AFTER):
                seen_by.append(
                    [
                        [one.plan.slots(layer, head).positions for head in range(llama.kv_heads)]
                        for layer in range(llama.layers)
                    ]
                )
                hidden.append(through(llama, T + token, [one], tokens[:, token : token + 1], 1)[0, 0])
            assert {len(head) for head in seen_by[-1][0]} == {budget}
            plain = recomputed(seen_by)
            assert abs(said(np.array(hidden)) - plain).max() < 1e-3, setting.name
            at_once = decoding.steps_of(setting)
            assert at_once == (1 if setting.name == "tova" else decoding.TOGETHER)
            # Two variants of other budgets beside it: what one holds is nothing to the others.
            three = [Slots(llama, prompt(), setting, rows) for rows in (budget, 34, budget)]
            again = through(llama, T, three, np.repeat(tokens, 3, 0), at_once)
            assert abs(said(again[0]) - plain).max() < 1e-3 and np.array_equal(again[0], again[2]), setting.name
            assert [held.longest for held in three[1].layers] == [34] * llama.layers


def test_streamingllm_holds_sinks_and_the_newest() -> None:
    """By the definition, without the library: 4 first and 36 newest."""
    llama, one = recall(), Slots(recall(), prompt(), DECODING[3], 40)
    hidden = through(llama, T, [one], np.array([words(1, AFTER)]), 16)[0]
    sees = [np.r_[:4, T + token - 36 : T + token] for token in range(AFTER)]
    plain = recomputed([[[positions] * llama.kv_heads] * llama.layers for positions in sees])
    assert abs(said(hidden) - plain).max() < 1e-3


def test_followups_are_a_masked_recomputation() -> None:
    """Three rounds; heads and layers of different lengths among them. A token sees what was kept, and what came since."""
    llama, rounds = recall(), (21, 1, 18)
    every = [
        Setting("snapkv", "snapkv", {"window": 8}),
        Setting("adakv", "adakv", {"window": 8}),
        Setting("dynamickv", "dynamickv", {"window": 8}),
        Setting("h2o", "h2o"),
    ]
    variants = [Growing(llama, prompt(), begun(llama, prompt(), setting, 0.3), AFTER) for setting in every]
    seen_by: list[list[list[list[np.ndarray]]]] = [[] for _ in every]
    hidden, after, lengths = [], words(1, AFTER), set()
    for count in rounds:
        begin = T + sum(map(len, seen_by[:1]))
        for variant, mine in zip(variants, seen_by):
            assert variant.plan is not None
            kept = [variant.plan.kept(layer) for layer in range(llama.layers)]
            lengths |= {tuple(layer.counts) for layer in kept}
            total = sum(layer.counts.sum() for layer in kept) / llama.layers / llama.kv_heads
            # Rounding, and rows that a layer of DynamicKV may keep and does not have, leave a little of the share.
            assert 0.3 * begin - 2 < total <= 0.3 * begin and abs(variant.held * begin - total) < 1e-6
            for token in range(count):
                since = np.arange(begin, begin + token)
                mine.append([[np.r_[layer.head(head), since] for head in range(llama.kv_heads)] for layer in kept])
        hidden.append(followups.run(llama, variants, after[begin - T : begin - T + count]))
        for variant in variants:
            variant.compress()
    assert any(len(set(counts)) > 1 for counts in lengths)
    for setting, found, mine in zip(every, np.concatenate(hidden, axis=1), seen_by):
        assert abs(said(found) - recomputed(mine)).max() < 1e-3, setting.name


def test_greedy_variants_are_each_by_itself() -> None:
    """Every token is the likeliest of a recomputation; variants do not hear each other."""
    llama, kept = recall(), begun(recall(), prompt(), Setting("", "snapkv", {"window": 8}), 0.2)
    rows = [[kept.kept(layer).head(head) for head in range(llama.kv_heads)] for layer in range(llama.layers)]
    stem = words(5, 3)
    spoken = greedy(llama, prompt(), [None, rows], stem, 6)
    for variant, own in zip((None, rows), spoken):
        hidden = llama.suffix(prompt(), [variant], [*stem, *own[:-1].tolist()]).hidden[0, len(stem) - 1 :]
        assert np.array_equal(said(hidden).argmax(axis=1), own)
