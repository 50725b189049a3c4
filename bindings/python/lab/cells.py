"""Results by cell: model, task, length, query, setting, share. From raw rows to a small CSV file that is committed.

Here: counts, rates and means with their intervals; differences to one setting are paired, prompt by prompt. Not here:
arithmetic of intervals (intervals.py), markdown (tables.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import records
from intervals import half_width, mean, wilson
from records import Row


class Judged(Protocol):
    """A row of any experiment."""

    @property
    def seed(self) -> int: ...
    @property
    def right(self) -> int: ...


R = TypeVar("R", bound=Judged)
K = TypeVar("K", bound=Hashable)


class Place(NamedTuple):
    """What a table is about."""

    model: str
    task: str
    length: int
    query: str


@dataclass(frozen=True)
class Cell:
    model: str
    task: str
    length: int
    query: str
    setting: str
    share: float
    prompts: int
    kept: float
    """Really kept, mean."""
    right: int
    right_low: float
    right_high: float
    """Wilson's interval of the rate, as right_low."""
    digits: float
    """Rate of tokens that were the likeliest."""
    nll: float
    nll_difference: float
    """To the setting that is compared with, at the same share, over the prompts that both have; 0 for itself."""
    nll_half: float
    """Half the interval of that difference."""
    kl: float
    kl_difference: float
    kl_half: float

    @property
    def place(self) -> Place:
        return Place(self.model, self.task, self.length, self.query)


def cells(rows: Iterable[Row], compared: str | Callable[[str], str]) -> list[Cell]:
    """One cell for each place, setting and share; `compared` is the setting of the differences, or says which one for each."""
    other = compared if callable(compared) else lambda _: compared
    groups = grouped(rows, lambda row: (Place(row.model, row.task, row.length, row.query), row.setting, row.share))
    return [
        Cell(
            *place,
            setting=setting,
            share=share,
            kept=mean([row.kept for row in rows]),
            digits=sum(row.digits for row in rows) / sum(row.tokens for row in rows),
            **judged(rows, groups.get((place, other(setting), share), {})),
        )
        for (place, setting, share), by_seed in sorted(groups.items())
        for rows in [list(by_seed.values())]
    ]


def grouped(rows: Iterable[R], key: Callable[[R], K]) -> dict[K, dict[int, R]]:
    """The rows of each key by their seed; of equal ones the last."""
    groups: dict[K, dict[int, R]] = defaultdict(dict)
    for row in rows:
        groups[key(row)][row.seed] = row
    return groups


def judged(rows: Sequence[Judged], others: Mapping[int, Judged]) -> dict[str, Any]:
    """What all cells have of their rows: prompts, right with its interval; nll and kl with the differences to `others`, paired
    by seed."""
    right = sum(row.right for row in rows)
    low, high = wilson(right, len(rows))
    found: dict[str, Any] = {"prompts": len(rows), "right": right, "right_low": low, "right_high": high}
    for name in ("nll", "kl"):
        differences = [getattr(row, name) - getattr(others[row.seed], name) for row in rows if row.seed in others]
        found[name] = mean([getattr(row, name) for row in rows])
        found[f"{name}_difference"] = mean(differences)
        found[f"{name}_half"] = half_width(differences)
    return found


def write(path: Path, found: Iterable[Any]) -> None:
    """Four digits of every real number: more is noise."""
    records.write(path, list(found), digits=4, ends="\n")


def read(path: Path) -> list[Cell]:
    return records.read_as(Cell, path)
