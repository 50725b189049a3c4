"""Intervals of 95 %: Wilson's of a rate, Student's of a mean, of a paired difference.

Here: arithmetic, checked against numbers worked by hand (check.py). Not here: which results are compared (tables.py).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Z = 1.959964  # 97.5 % of the normal distribution lie below


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The rates that `hits` of `count` are compatible with; 0 and 1 are no certainty."""
    rate, square = hits / count, Z * Z
    middle = (rate + square / (2 * count)) / (1 + square / count)
    half = Z / (1 + square / count) * math.sqrt(rate * (1 - rate) / count + square / (4 * count * count))
    # At both ends the bound is the rate itself, but for rounding.
    return min(max(0.0, middle - half), rate), max(min(1.0, middle + half), rate)


def student(freedom: int) -> float:
    """97.5 % of Student's t lie below: Cornish and Fisher's expansion, within 0.01 from 4 degrees of freedom on."""
    first = (Z**3 + Z) / 4
    second = (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96
    third = (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + first / freedom + second / freedom**2 + third / freedom**3


def mean(numbers: Sequence[float]) -> float:
    """nan of no number."""
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def half_width(numbers: Sequence[float]) -> float:
    """Half the interval of the mean; nan for fewer than two numbers."""
    count = len(numbers)
    if count < 2:
        return math.nan
    middle = mean(numbers)
    variance = math.fsum((number - middle) ** 2 for number in numbers) / (count - 1)
    return student(count - 1) * math.sqrt(variance / count)
