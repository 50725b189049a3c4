"""Results by cell: model, task, length, query, setting, share. From raw rows to a small CSV file that is committed.

Here: counts, rates and means with their intervals; differences to one setting are paired, prompt by prompt. Not here:
arithmetic of intervals (intervals.py), markdown (tables.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import records
from intervals import half_width, mean, wilson
from records import Row


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


def cells(rows: Iterable[Row], compared: str) -> list[Cell]:
    """One cell for each place, setting and share; `compared` is the setting of the differences."""
    groups: dict[tuple[Place, str, float], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        place = Place(row.model, row.task, row.length, row.query)
        groups[place, row.setting, row.share][row.seed] = row
    found = []
    for (place, setting, share), by_seed in sorted(groups.items()):
        other = groups.get((place, compared, share), {})
        pairs = [(row, other[seed]) for seed, row in by_seed.items() if seed in other]
        found.append(_cell(place, setting, share, list(by_seed.values()), pairs))
    return found


def _cell(place: Place, setting: str, share: float, rows: list[Row], pairs: list[tuple[Row, Row]]) -> Cell:
    right = sum(row.right for row in rows)
    low, high = wilson(right, len(rows))
    nll = [one.nll - other.nll for one, other in pairs]
    kl = [one.kl - other.kl for one, other in pairs]
    return Cell(
        *place,
        setting=setting,
        share=share,
        prompts=len(rows),
        kept=mean([row.kept for row in rows]),
        right=right,
        right_low=low,
        right_high=high,
        digits=sum(row.digits for row in rows) / sum(row.tokens for row in rows),
        nll=mean([row.nll for row in rows]),
        nll_difference=mean(nll) if nll else float("nan"),
        nll_half=half_width(nll),
        kl=mean([row.kl for row in rows]),
        kl_difference=mean(kl) if kl else float("nan"),
        kl_half=half_width(kl),
    )


def write(path: Path, found: Iterable[Any]) -> None:
    """Four digits of every real number: more is noise."""
    records.write(path, list(found), digits=4, ends="\n")


def read(path: Path) -> list[Cell]:
    return records.read_as(Cell, path)
