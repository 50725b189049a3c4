"""Results as points of a curve: one setting at one share, a value with its 95 % interval.

Here: both kinds of committed CSV files, the lab's (cells.py) and the small models' (small/counting.py). Not here: drawing.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cells

RIGHT, KL, NLL = "right", "kl", "nll"
SMALL_TOKENS = 2048
"""Of every prompt of the small models, whose files have rows a head where the lab's have a share."""


class Place(NamedTuple):
    """What a picture is about."""

    model: str
    task: str
    length: int


@dataclass(frozen=True)
class Point:
    place: Place
    query: str
    """Where the question stands; "none" for a task without one."""
    setting: str
    share: float
    """Asked for; 1 for the whole cache."""
    kept: float
    """Really kept."""
    prompts: int
    value: float
    low: float
    high: float


def read(path: Path, measure: str) -> list[Point]:
    """The points of a file. `measure` is RIGHT, or KL or NLL of the lab's files; the small models' have RIGHT alone.

    The interval of KL and NLL is that of the paired difference to the setting that the file compares with.
    """
    with path.open(newline="") as file:
        names = next(csv.reader(file))
    if "nll_half" in names:
        return [_of_lab(cell, measure) for cell in cells.read(path)]
    if measure != RIGHT:
        return []
    with path.open(newline="") as file:
        # 0 rows: the library refuses the share.
        return [_of_small(row) for row in csv.DictReader(file) if float(row["kept"]) > 0]


def by_place(points: Iterable[Point]) -> dict[Place, list[Point]]:
    places: dict[Place, list[Point]] = {}
    for point in points:
        places.setdefault(point.place, []).append(point)
    return places


def _of_lab(cell: cells.Cell, measure: str) -> Point:
    if measure == RIGHT:
        value, low, high = cell.right / cell.prompts, cell.right_low, cell.right_high
    else:
        value, half = (cell.kl, cell.kl_half) if measure == KL else (cell.nll, cell.nll_half)
        low, high = value - half, value + half
    place = Place(cell.model, cell.task, cell.length)
    return Point(place, cell.query, cell.setting, cell.share, cell.kept, cell.prompts, value, low, high)


def _of_small(row: dict[str, str]) -> Point:
    place = Place(row["model"], row["task"], SMALL_TOKENS)
    value, low, high, share = (float(row[name]) for name in ("rate", "low", "high", "share"))
    kept = float(row["kept"]) / SMALL_TOKENS
    return Point(place, row["question"], row["setting"], share, kept, int(row["prompts"]), value, low, high)
