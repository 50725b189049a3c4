"""Raw results: a CSV file a unit (one prompt of one task), each written whole or not at all.

Here: the columns, where files stand, what is missing of one, any dataclass as a CSV file. Not here: making rows (run.py), reading them for tables (tables.py).
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from setting import FULL, Setting

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

K = TypeVar("K", bound="DataclassInstance")


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


class Made(Protocol):
    """What rows of any experiment have in common, so that a stopped run goes on."""

    @property
    def setting(self) -> str: ...
    @property
    def digest(self) -> str: ...
    @property
    def key(self) -> tuple[str, str, float]: ...


R = TypeVar("R", bound=Made)
Pair = tuple[Setting, float]
"""A setting, and how much it keeps."""


def lacking(rows: Sequence[Made], pairs: Sequence[Pair]) -> list[Pair] | None:
    """The pairs that `rows` of a unit do not have; None if it is whole."""
    there = {row.key for row in rows}
    missing = [(setting, size) for setting, size in pairs if (setting.name, setting.digest, size) not in there]
    return missing if missing or not any(row.setting == FULL for row in rows) else None


def merged(old: Sequence[R], made: Sequence[R], pairs: Sequence[Pair]) -> list[R]:
    """Rows of a unit's file: the new ones, and the old ones that are of no setting that has changed."""
    keys, current = {row.key for row in made}, {setting.name: setting.digest for setting, _ in pairs}
    still = [row for row in old if row.key not in keys and current.get(row.setting, row.digest) == row.digest]
    return [*still, *made]


def read(path: Path) -> list[Row]:
    """The rows of a unit's file; none if it is not there."""
    return read_as(Row, path)


def read_as(kind: type[K], path: Path) -> list[K]:
    """The lines of a CSV file with the columns of `kind`, a dataclass of numbers and words; none if it is not there."""
    if not path.exists():
        return []
    kinds = {field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(kind)}
    with path.open(newline="") as file:
        return [kind(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def read_all(raw: Path) -> Iterator[Row]:
    """The rows of all units."""
    for path in sorted(raw.glob("*/*/*.csv")):
        yield from read(path)


def write(path: Path, rows: Sequence[Any], digits: int = 6, ends: str = "\r\n") -> None:
    """Replaces a file by `rows`, at least one, of one dataclass; who is interrupted leaves the old one."""
    if not rows:
        raise ValueError(f"{path}: there is no row to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.new")
    with beside.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])], lineterminator=ends)
        writer.writeheader()
        for row in rows:
            numbers = asdict(row).items()
            writer.writerow({name: f"{x:.{digits}g}" if isinstance(x, float) else x for name, x in numbers})
    beside.replace(path)
