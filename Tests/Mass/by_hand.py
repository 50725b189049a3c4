"""What `mass` keeps, worked by hand: it holds the reference. Keys as in Extending/by_hand.py: a token's weight is its number."""

from __future__ import annotations

from Extending.by_hand import play, same


def snapkv_by_hand() -> None:
    """W 1. Weights 4 1 3 0 2 0 | 2 of 12: of the share 0.75 the last token has 2, and 4 + 3 are 9 of 12 with it."""
    weights = [[[4.0, 1, 3, 1e-9, 2, 1e-9, 2, 1]]]
    same(play("snapkv", 7, weights, weights, budget=5, mass=0.74)[0], [[[0, 2, 6]]])
    same(play("snapkv", 7, weights, weights, budget=5, mass=0.76)[0], [[[0, 2, 4, 6]]])
    same(play("snapkv", 7, weights, weights, budget=2, mass=0.76)[0], [[[0, 6]]])
    same(play("snapkv", 7, weights, weights, budget=5, mass=0.1)[0], [[[6]]])


def snapkv_together_by_hand() -> None:
    """Two heads of 8: they lack 5 and 7 without their last token; token 0 has 4 and 1, token 1 has 1 and 5."""
    weights = [[[4.0, 1, 0.5, 0.5, 2, 1], [1.0, 5, 0.5, 0.5, 1, 1]]]
    same(play("snapkv", 5, weights, weights, budget=4, mass=0.7)[0], [[[0, 4], [1, 4]]])
    # Together 2.5 + 3 of 8: the last tokens have 1.5, token 1 makes it 4.5, token 0 7.
    same(play("snapkv", 5, weights, weights, budget=4, mass=0.55, share=1)[0], [[[1, 4], [1, 4]]])
    same(play("snapkv", 5, weights, weights, budget=4, mass=0.7, share=1)[0], [[[0, 1, 4], [0, 1, 4]]])


def snapkv_in_blocks_by_hand() -> None:
    """Blocks of 2, weights 1 3 | 2 0 | 1 1 of 8: the newest block has 2, the first 4, the second 2."""
    weights = [[[1.0, 3, 2, 1e-9, 1, 1, 1]]]
    same(play("snapkv", 6, weights, weights, budget=5, block=2, mass=0.74)[0], [[[0, 1, 4, 5]]])


def snapkv_reached_exactly() -> None:
    """Ten equal tokens: 8 of them hold 0.8."""
    equal = [[[1.0] * 11]]
    same(play("snapkv", 10, equal, equal, budget=9, mass=0.8)[0], [[[0, 1, 2, 3, 4, 5, 6, 9]]])


CASES = (snapkv_reached_exactly, snapkv_by_hand, snapkv_together_by_hand, snapkv_in_blocks_by_hand)
