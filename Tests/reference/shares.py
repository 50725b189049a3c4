"""Shares of counts, as decimals and exactly; and C, the budget.

A real parameter means the shortest decimal that prints as it: floor(0.29 * 100) is 29.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

Parameters = dict[str, float]


class OverBudget(Exception):
    """The budget cannot hold what the method must keep (KVSIEVE_ERR_BUDGET)."""


def exact(x: float) -> Fraction:
    return Fraction(str(float(x)))


def share(x: float, count: int) -> int:
    return floor(exact(x) * count)


def by_ratio(p: Parameters) -> bool:
    return p["ratio"] > 0


def budget_of(p: Parameters, seen: int) -> int:
    """C(N), N tokens seen."""
    return max(1, share(p["ratio"], seen)) if by_ratio(p) else int(p["budget"])


def holding(p: Parameters, seen: int, protected: int, extended: bool) -> int:
    """C(N) of a method that always keeps `protected` tokens; at least so many.

    A budget that is smaller is refused, and so is a ratio of a prompt. But a prompt of no more tokens than those is kept whole
    whatever its ratio, and a sequence that grew to N tokens keeps the protected ones alone until N has grown on (E8).
    """
    budget = budget_of(p, seen)
    if budget < protected and not (by_ratio(p) and (extended or seen <= protected)):
        raise OverBudget(f"{budget} of {seen} tokens, {protected} protected")
    return max(budget, protected)
