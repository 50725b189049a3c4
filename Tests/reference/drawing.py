"""What the draws of several methods have in common."""

from __future__ import annotations

from math import ceil

import numpy as np

from reference.shares import Parameters


def pick(rng: np.random.Generator, *choices: float) -> float:
    return choices[int(rng.integers(0, len(choices)))]


def window(rng: np.random.Generator, tokens: int) -> int:
    """W: 1 ... 12, or less of few tokens; of very few it may be more than they are."""
    if tokens < 10:
        return int(rng.integers(1, 5))
    return int(rng.integers(1, max(2, min(13, tokens // 4))))


def few(rng: np.random.Generator, tokens: int, most: int = 3) -> int:
    """Protected tokens that may be none."""
    return int(rng.integers(0, min(most, tokens // 3) + 1))


def ranges(rng: np.random.Generator, first: int, tokens: int) -> list[tuple[int, int]]:
    """First and count of up to three ranges of the tokens from `first` on, long or short; they may overlap."""
    drawn = []
    for _ in range(int(rng.integers(0, 4))):
        begin = int(rng.integers(0, tokens))
        count = int(rng.integers(1, min(int(pick(rng, 3, tokens // 5 + 2)), tokens - begin + 1)))
        drawn.append((first + begin, count))
    return drawn


def budget(rng: np.random.Generator, tokens: int, protected: int = 1) -> Parameters:
    """A budget, or a ratio one time in three, that some of the tokens exceed; the least that can be one time in eight.

    `protected`: what the method always keeps. Ratios have two decimals, or four where two could not hold that.
    """
    protected = max(1, protected)
    room = int(rng.integers(0, 3)) if rng.integers(0, 8) == 0 else int(tokens * rng.uniform(0.1, 0.7))
    count = protected + max(0, min(room, tokens * 3 // 4 - protected))
    if rng.integers(0, 3) > 0:
        return {"budget": count, "ratio": 0}
    digits = 2 if ceil(100 * count / tokens) * tokens < 100 * (count + 2) else 4
    return {"budget": 1024, "ratio": min(1.0, ceil(10**digits * count / tokens) / 10**digits)}
