"""What is drawn: which positions each head of each layer keeps, as one boolean array.

Here: from a Plan, or a list of Kept, to the array and the budget; what cannot be drawn is a TypeError or a ValueError.
Letters: L layers, H key/value heads, T tokens seen, C budget in rows a head.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Union

import numpy as np

from .._kept import Kept
from ..plan import Plan

Source = Union[Plan, Sequence[Kept]]
"""What can be drawn: a finished plan, or what each layer keeps."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What one plan keeps."""

    name: str
    cells: np.ndarray[Any, np.dtype[np.bool_]]
    """(L, H, T): True where the head keeps the position."""
    budget: int | None
    """C, if it is known."""

    @property
    def counts(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """(L, H): rows that each head keeps."""
        counts: np.ndarray[Any, np.dtype[np.int64]] = self.cells.sum(axis=2)
        return counts

    @property
    def heads(self) -> int:
        """Heads of all layers together."""
        return len(self.cells) * len(self.cells[0])

    @property
    def by_position(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(T,): the share of all heads that keep a position."""
        shares: np.ndarray[Any, np.dtype[np.float64]] = self.cells.mean(axis=(0, 1))
        return shares


def selections(source: Source | Mapping[str, Source]) -> list[Selection]:
    """One or several plans. Several have names, and saw the same number of tokens: they share an axis."""
    if not isinstance(source, Mapping):
        return [_selection("", source)]
    if not source:
        raise ValueError("there is no plan to draw: expected at least one")
    found = [_selection(name, plan) for name, plan in source.items()]
    lengths = {selection.name: selection.cells.shape[2] for selection in found}
    if len(set(lengths.values())) > 1:
        seen = ", ".join(f"{name} {tokens}" for name, tokens in lengths.items())
        raise ValueError(f"plans saw different numbers of tokens ({seen}): expected the same number")
    return found


def _selection(name: str, source: Source) -> Selection:
    if isinstance(source, Plan):
        return Selection(name or source.method.name, _of_plan(source), _budget(source))
    if isinstance(source, (str, bytes)) or not isinstance(source, Sequence):
        raise TypeError(f"{name or 'plan'} is a {type(source).__name__}: expected a Plan or a list of Kept")
    return Selection(name, _of_kept(name or "plan", source), None)


def _of_plan(plan: Plan) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Asks for slots and not for kept: after step they alone are what the cache holds now.

    KVSieveError if the plan is not finished.
    """
    layers, heads = plan.model.layers, plan.model.kv_heads
    slots = [[plan.slots(layer, head) for head in range(heads)] for layer in range(layers)]
    lengths = sorted({one.tokens for layer in slots for one in layer})
    if len(lengths) > 1:
        raise ValueError(f"layers have seen {lengths[0]} and {lengths[-1]} tokens: step the other layers first")
    cells = np.zeros((layers, heads, lengths[0]), np.bool_)
    for layer in range(layers):
        for head in range(heads):
            cells[layer, head, slots[layer][head].positions] = True
    return cells


def _of_kept(name: str, layers: Sequence[Kept]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    for layer, one in enumerate(layers):
        if not isinstance(one, Kept):
            raise TypeError(f"{name}: layer {layer} is a {type(one).__name__}: expected a Kept")
    shapes = [(len(one.offsets) - 1, one.tokens) for one in layers]
    if not shapes:
        raise ValueError(f"{name} has no layers: expected at least 1")
    for layer, shape in enumerate(shapes):
        if shape != shapes[0]:
            raise ValueError(
                f"{name}: layer {layer} has {shape[0]} heads and {shape[1]} tokens: "
                f"expected {shapes[0][0]} and {shapes[0][1]}, as in layer 0"
            )
    cells = np.zeros((len(layers), *shapes[0]), np.bool_)
    for layer, one in enumerate(layers):
        for head in range(shapes[0][0]):
            cells[layer, head, one.head(head)] = True
    return cells


def _budget(plan: Plan) -> int:
    """C as the header says it: the parameter whose default is 0 replaces the other if it is above 0.

    The ratio counts the tokens that were seen when the plan was finished; a real parameter means its shortest decimal.
    """
    budget, ratio = int(plan["budget"]), plan["ratio"]
    by_ratio = ratio > 0 if plan.method.parameter("budget").initial > 0 else budget == 0
    if not by_ratio:
        return budget
    return max(1, int(Decimal(repr(ratio)) * plan.kept(0).tokens))
