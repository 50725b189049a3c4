"""Every method of the registry through generate(): a prompt, a follow-up, and while tokens are generated."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import CLOSE, DECODING, Talk, columns_of, settings
from families import make, words

from reference import chosen


def test_a_prompt_and_a_follow_up(method: str) -> None:
    model = make("llama")
    parameters = settings(method)
    talk = Talk(model, method, **parameters)
    talk.generate(words(100, seed=1), 6)
    first = [talk.cache.kept(layer) for layer in range(4)]
    talk.generate(words(30, seed=2), 5)
    second = [talk.cache.kept(layer) for layer in range(4)]
    assert talk.dropped() > 0, method
    assert talk.difference() < CLOSE
    expected = chosen(method, talk.rounds, columns_of(talk.mask, 0), 0, **parameters)
    for found, wanted in zip((first, second), expected):
        for layer in range(4):
            assert np.array_equal(found[layer].positions, wanted[layer].positions), (method, layer)


@pytest.mark.parametrize("method", DECODING)
def test_the_budget_is_held_while_decoding(method: str) -> None:
    model = make("llama")
    talk = Talk(model, method, decoding=1, **settings(method, budget=24))
    talk.generate(words(60, seed=3), 20)
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [24] * 4
    talk.generate(words(9, seed=4), 6)  # a follow-up: its tokens are taken by step
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [24] * 4
    assert talk.difference() < CLOSE
    # A row more than the slots: the place of the next token.
    assert talk.cache.bytes == 4 * 2 * 2 * 25 * 16 * 4


@pytest.mark.parametrize("method", DECODING)
def test_slots_that_are_not_full_yet(method: str) -> None:
    talk = Talk(make("llama"), method, decoding=1, **settings(method, budget=32))
    talk.generate(words(20, seed=5), 25)
    assert [layer.keys.shape[2] for layer in talk.cache.sieved] == [32] * 4
    assert talk.difference() < CLOSE
