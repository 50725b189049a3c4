"""Raw results: a CSV file a unit (one prompt of one task), each written whole or not at all.

Here: the columns, where files stand, what is missing of one. Not here: making rows (run.py), reading them for tables (tables.py).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Unit:
    """What one prefill serves: every setting and share."""

    model: str
    task: str
    length: int
    query: str
    seed: int

    def path(self, raw: Path) -> Path:
        return raw / self.model / f"{self.task}-{self.length}-{self.query}" / f"{self.seed:04d}.csv"


@dataclass(frozen=True)
class Row:
    model: str
    task: str
    length: int
    query: str
    seed: int
    setting: str
    digest: str
    """Of the setting's method and parameters (Setting.digest)."""
    share: float
    """Asked for; 1 for the whole cache."""
    kept: float
    """Really kept, of all rows of all layers and heads."""
    right: int
    digits: int
    tokens: int
    """Of the answer."""
    nll: float
    kl: float

    @property
    def key(self) -> tuple[str, str, float]:
        """What tells rows of a unit apart."""
        return self.setting, self.digest, self.share


def read(path: Path) -> list[Row]:
    """The rows of a unit's file; none if it is not there."""
    if not path.exists():
        return []
    kinds = {field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(Row)}
    with path.open(newline="") as file:
        return [Row(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def read_all(raw: Path) -> Iterator[Row]:
    """The rows of all units."""
    for path in sorted(raw.glob("*/*/*.csv")):
        yield from read(path)


def write(path: Path, rows: Iterable[Row]) -> None:
    """Replaces a unit's file by `rows`; who is interrupted leaves the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        for row in rows:
            numbers = {
                name: f"{value:.6g}" if isinstance(value, float) else value for name, value in asdict(row).items()
            }
            writer.writerow(numbers)
    beside.replace(path)
