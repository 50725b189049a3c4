"""Settings for any method by the names of its parameters, and what a method reads by Plan.needs.

No test has a list of methods: one that is about a method's own decision names it, all others go through the library's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import kvsieve


def goes_by_budget(method: kvsieve.MethodInfo) -> bool:
    """Whether a new plan goes by the budget; else it goes by a share of the tokens, "ratio"."""
    return any(info.name == "budget" and info.initial > 0 for info in method.parameters)


def settings(method: kvsieve.MethodInfo, budget: int, ratio: float, **more: float) -> dict[str, float]:
    """The budget or the ratio, whichever the method goes by, and those of `more` that it has."""
    known = {info.name for info in method.parameters}
    size = {"budget": budget} if goes_by_budget(method) else {"ratio": ratio}
    return {**size, **{name: value for name, value in more.items() if name in known}}


def has(method: kvsieve.MethodInfo, name: str) -> bool:
    return any(info.name == name for info in method.parameters)


def read(needs: frozenset[str]) -> set[str]:
    """The arrays whose numbers are read."""
    return {"queries", "keys", "values"} & needs


def looked_at(needs: frozenset[str]) -> set[str]:
    """The arrays that must be there: of `keys` the shape alone may count."""
    return read(needs) | ({"keys"} if "length" in needs else set())


def sparing(needs: frozenset[str], given: dict[str, Any]) -> dict[str, Any]:
    """Of `given` what is looked at, and NaN where numbers are not."""
    numbers = read(needs)
    return {
        name: given[name] if name in numbers else np.full_like(given[name], np.nan)
        for name in given
        if name in looked_at(needs)
    }
