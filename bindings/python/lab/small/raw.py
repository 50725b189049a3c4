"""The file of outcomes that a table grows from: one line a prompt and cell, appended as prompts are done, so that a run goes on.

The first line names what the outcomes depend on. A file with another first line is not gone on with.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from answers import Outcome

COLUMNS = ("model", "task", "index", "question", "setting", "share", "kept", "tokens", "right")

Unit = tuple[str, str, int]
"""Model, task and number of a prompt: what is prefilled once."""


@dataclass
class Raw:
    """Every outcome so far, by unit."""

    path: Path
    outcomes: dict[Unit, list[Outcome]]

    def add(self, unit: Unit, outcomes: Iterable[Outcome]) -> None:
        """Writes a unit's outcomes in one piece: a run that is ended loses the unit or has all of it."""
        new = list(outcomes)
        lines = [
            [*unit, one.question, one.setting, f"{one.share:g}", f"{one.kept:g}", one.tokens, int(one.right)]
            for one in new
        ]
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
        self.outcomes.setdefault(unit, []).extend(new)


def open_raw(path: Path, depends_on: str) -> Raw:
    """The outcomes in `path`, which is made if there is none. ValueError if they depend on something else."""
    first = f"# {depends_on}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{first}\n{','.join(COLUMNS)}\n")
    with path.open(newline="") as file:
        found = file.readline().rstrip("\n")
        if found != first:
            raise ValueError(f"{path} begins with {found!r}, expected {first!r}: its outcomes are of something else")
        raw = Raw(path, {})
        whole = len(COLUMNS)
        for line in csv.DictReader(file):
            if len([value for value in line.values() if value]) < whole:
                raise ValueError(f"{path} has a broken line: {line}")
            unit = (line["model"], line["task"], int(line["index"]))
            raw.outcomes.setdefault(unit, []).append(
                Outcome(
                    line["question"],
                    line["setting"],
                    float(line["share"]),
                    float(line["kept"]),
                    int(line["tokens"]),
                    line["right"] == "1",
                )
            )
    return raw
