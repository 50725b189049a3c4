"""Outcomes counted: a cell of the table with its 95 % interval, and the CSV of all cells."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from answers import MODELS, Outcome
from raw import Raw, Unit
from tasks import TASKS

NORMAL = 1.959964  # a standard normal number is within this of 0 with probability 0.95


@dataclass(frozen=True)
class Cell:
    """One number of the table."""

    model: str
    task: str
    question: str
    setting: str
    share: float
    kept: float  # rows a head, mean over prompts; 0: the library refuses this share
    right: int
    prompts: int

    @property
    def rate(self) -> float:
        return self.right / self.prompts

    @property
    def interval(self) -> tuple[float, float]:
        return wilson(self.right, self.prompts)


def wilson(right: int, prompts: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a rate; unlike the normal one it is no point at 0 and at 1."""
    rate, square = right / prompts, NORMAL**2 / prompts
    middle = (rate + square / 2) / (1 + square)
    half = NORMAL * math.sqrt(rate * (1 - rate) / prompts + square / prompts / 4) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def cells_of(raw: Raw, prompts: int) -> list[Cell]:
    """The outcomes of the first `prompts` prompts, counted; by model and task, then in the order in which they were run."""
    found: dict[tuple[str, str, str, str, float], list[Outcome]] = defaultdict(list)
    for (model, task, index), outcomes in sorted(raw.outcomes.items(), key=_in_order):
        for outcome in outcomes:
            if index < prompts:
                found[model, task, outcome.question, outcome.setting, outcome.share].append(outcome)
    return [
        Cell(
            *key,
            kept=sum(one.kept for one in outcomes) / len(outcomes),
            right=sum(one.right for one in outcomes),
            prompts=len(outcomes),
        )
        for key, outcomes in found.items()
    ]


def _in_order(entry: tuple[Unit, list[Outcome]]) -> tuple[int, int, int]:
    model, task, index = entry[0]
    return list(MODELS).index(model), TASKS.index(task), index


def write_csv(path: Path, cells: list[Cell]) -> None:
    heads = ("model", "task", "question", "setting", "share", "kept", "prompts", "right", "rate", "low", "high")
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(heads)
        for cell in cells:
            numbers = (f"{number:.4f}" for number in (cell.rate, *cell.interval))
            place = [cell.model, cell.task, cell.question, cell.setting, f"{cell.share:g}", f"{cell.kept:.1f}"]
            writer.writerow([*place, cell.prompts, cell.right, *numbers])
