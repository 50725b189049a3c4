"""Tests of one set for all heads: the vote against a plain count and a table worked by hand, and that `share` 2 is one set.

Not here: choosers that leave heads apart (check_model.py).
Letters: H key/value heads, T prompt tokens, C positions of the set.
"""

from __future__ import annotations

from collections import Counter
from math import floor

import numpy as np
import settings
from ablations import share_of
from check_model import TOKENS, prefix, recall
from choices import choose
from vote import voted


def test_vote_by_hand() -> None:
    """Two layers of two heads, six tokens: positions 0 to 5 have 2, 4, 0, 2, 3, 4 votes."""
    kept = [[np.array(head) for head in layer] for layer in ([[0, 1, 4, 5], [1, 3, 5]], [[0, 1, 4, 5], [1, 3, 4, 5]])]
    for count, expected in ((2, [1, 5]), (3, [1, 4, 5]), (4, [0, 1, 4, 5]), (5, [0, 1, 3, 4, 5]), (6, range(6))):
        found = voted(kept, 6, count)
        assert [len(layer) for layer in found] == [2, 2]
        assert all(head.tolist() == list(expected) for layer in found for head in layer), count


def test_vote_does_not_drop_what_every_head_keeps() -> None:
    try:
        voted([[np.array([1, 5]), np.array([1, 5])]], 6, 1)
    except ValueError as error:
        assert "the same 2 rows" in str(error)
    else:
        raise AssertionError("a set was cut that every head keeps")


def test_vote_is_a_plain_count_of_what_heads_keep() -> None:
    """Of every setting that votes, at three shares. The window, which every head keeps, is in the set."""
    by_name = {setting.name: setting for setting in settings.one_set()}
    voting = [setting for setting in by_name.values() if setting.vote]
    assert len(voting) == 5
    for setting in voting:
        apart = by_name[setting.name.removesuffix(" vote")]
        assert (apart.method, apart.parameters, apart.vote) == (setting.method, setting.parameters, False)
        for share in (0.2, 0.25, 0.6):
            votes: Counter[int] = Counter()
            for layer in choose(apart, recall(), prefix(), share).kept:
                for head in layer:
                    votes.update(head.tolist())
            count = share_of(share, TOKENS)
            expected = sorted(sorted(range(TOKENS), key=lambda position: (-votes[position], position))[:count])
            choice = choose(setting, recall(), prefix(), share)
            where = f"{setting.name}, {share}"
            assert all(head.tolist() == expected for layer in choice.kept for head in layer), where
            assert choice.share == floor(share * TOKENS) / TOKENS, where
            assert set(range(TOKENS - 8, TOKENS)) <= set(expected), where


def test_share_2_is_one_set_and_no_vote() -> None:
    for setting in settings.one_set():
        if setting.parameters.get("share") != 2:
            continue
        choice = choose(setting, recall(), prefix(), 0.25)
        (first, *_), *_ = choice.kept
        assert all(np.array_equal(first, head) for layer in choice.kept for head in layer), setting.name
        (vote,) = [one for one in settings.one_set() if one.name == settings.its_vote(setting.name)]
        assert choice.share == choose(vote, recall(), prefix(), 0.25).share
        assert not np.array_equal(first, choose(vote, recall(), prefix(), 0.25).kept[0][0]), setting.name
