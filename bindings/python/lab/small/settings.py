"""The settings that a table has a row for: every method of the library that is loaded, and each one's parameters, written once.

A method that is not named here is run with its defaults and the window of the others, so that a new one has a row at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from recall.prompts import AGGREGATION

import kvsieve

WINDOW = 8  # W, for every method that has one: a question has 1 to 4 tokens
SHARES = (0.40, 0.20, 0.12, 0.069, 0.035)  # of the tokens of a prompt
FULL = "full cache"
POOLED = "ahakv, pooled"

Parameters = dict[str, Any]

OWN: dict[str, Parameters] = {
    # The defaults protect 272 tokens, more than a budget of 3.5 % has.
    "taskkv": {"sinks": 4, "recent": 32},
    # Few layers: one a group and a mild pyramid; the window counts against the budget, as with the other methods.
    "windowkv": {"size": 8, "shared": 1, "pyramid": 2, "charge": 1},
    # The pyramid and the cap count on tens of layers; what 4 or 6 can do with the defaults is what is asked here.
    "dynamickv": {"pool": "max"},
}


@dataclass(frozen=True)
class Setting:
    """A row: a method with parameters."""

    name: str
    method: str
    own: Parameters = field(default_factory=dict)

    def parameters(self, share: float, task: str) -> Parameters:
        """For a plan that keeps `share` of the tokens."""
        known = {info.name for info in kvsieve_method(self.method).parameters}
        chosen: Parameters = {"ratio": share, **self.own}
        if "window" in known:
            chosen["window"] = WINDOW
        if "task" in known:
            chosen["task"] = "aggregation" if task == AGGREGATION else "localization"
        return chosen


def kvsieve_method(name: str) -> kvsieve.MethodInfo:
    return next(info for info in kvsieve.methods() if info.name == name)


def settings() -> list[Setting]:
    """One for each method, in the library's order; AhaKV a second time, with attention that is pooled over neighbours."""
    rows = []
    for info in kvsieve.methods():
        rows.append(Setting(info.name, info.name, OWN.get(info.name, {})))
        if info.name == "ahakv":
            rows.append(Setting(POOLED, info.name, {"score_kernel": 7}))
    return rows
