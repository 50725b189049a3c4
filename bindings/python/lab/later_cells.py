"""Cells of what happens after a prefill: task, part, setting, size. From raw rows to a small CSV file that is committed.

Here: rates and means with their intervals of 95 %, differences to one setting paired, prompt by prompt; markdown of them.
Not here: raw rows (later_records.py), arithmetic of intervals (intervals.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cells import grouped, judged
from intervals import half_width, mean
from later_records import Later
from setting import FULL


class Where(NamedTuple):
    """What a table is about."""

    experiment: str
    model: str
    task: str
    length: int
    more: int
    part: str


@dataclass(frozen=True)
class LaterCell:
    experiment: str
    model: str
    task: str
    length: int
    more: int
    part: str
    setting: str
    size: float
    prompts: int
    held: float
    right: int
    right_low: float
    right_high: float
    hits: float
    """Rate of due tokens that were the likeliest, over all tokens."""
    agree: float
    """Mean rate of tokens whose likeliest is the whole cache's; agree_half: half its interval over prompts."""
    agree_half: float
    nll: float
    nll_difference: float
    """To the setting that is compared with, at the same size; 0 for itself."""
    nll_half: float
    kl: float
    kl_difference: float
    kl_half: float
    first: float
    """Mean share of the tokens before the first different one; nan if nothing ran freely."""
    first_half: float
    alike: float
    """Mean share of tokens that are the same at the same place; nan likewise."""
    alike_half: float

    @property
    def where(self) -> Where:
        return Where(self.experiment, self.model, self.task, self.length, self.more, self.part)


def cells(rows: Iterable[Later], compared: str) -> list[LaterCell]:
    """One cell for each place, setting and size; `compared` is the setting of the differences."""
    groups = grouped(
        rows,
        lambda row: (
            Where(row.experiment, row.model, row.task, row.length, row.more, row.part),
            row.setting,
            row.size,
        ),
    )
    return [
        _cell(where, setting, size, list(by_seed.values()), groups.get((where, compared, size), {}))
        for (where, setting, size), by_seed in sorted(groups.items())
    ]


def _cell(where: Where, setting: str, size: float, rows: Sequence[Later], others: Mapping[int, Later]) -> LaterCell:
    agree = [row.agree / row.tokens for row in rows]
    free = [(row.first / row.tokens, row.alike / row.tokens) for row in rows if row.first >= 0]
    first, alike = ([one[0] for one in free], [one[1] for one in free])
    return LaterCell(
        *where,
        setting=setting,
        size=size,
        held=mean([row.held for row in rows]),
        hits=sum(row.hits for row in rows) / sum(row.tokens for row in rows),
        agree=mean(agree),
        agree_half=half_width(agree),
        first=mean(first),
        first_half=half_width(first),
        alike=mean(alike),
        alike_half=half_width(alike),
        **judged(rows, others),
    )


def _share(cell: LaterCell, name: str) -> str:
    return f"{100 * getattr(cell, name):.0f} ± {100 * getattr(cell, f'{name}_half'):.0f}"


def _paired(cell: LaterCell, name: str) -> str:
    return (
        f"{getattr(cell, name):.3f} ({getattr(cell, f'{name}_difference'):+.3f} ± {getattr(cell, f'{name}_half'):.3f})"
    )


MEASURES = {
    "right": lambda cell: f"{cell.right} of {cell.prompts} [{100 * cell.right_low:.0f}, {100 * cell.right_high:.0f} %]",
    "hits": lambda cell: f"{100 * cell.hits:.0f}",
    "agree": lambda cell: _share(cell, "agree"),
    "first": lambda cell: _share(cell, "first"),
    "alike": lambda cell: _share(cell, "alike"),
    "nll": lambda cell: _paired(cell, "nll"),
    "kl": lambda cell: _paired(cell, "kl"),
    "held": lambda cell: f"{100 * cell.held:.1f}",
}


def markdown(found: Sequence[LaterCell], measure: str) -> str:
    """A table for each task: settings down, parts and sizes across; the whole cache above."""
    tables: dict[Where, list[LaterCell]] = defaultdict(list)
    for cell in found:
        tables[cell.where._replace(part="")].append(cell)
    return "\n\n".join(_table(where, table, measure) for where, table in tables.items())


def _table(where: Where, table: Sequence[LaterCell], measure: str) -> str:
    columns = list(dict.fromkeys((cell.part, cell.size) for cell in table if cell.setting != FULL))
    at = {(cell.setting, cell.part, cell.size): MEASURES[measure](cell) for cell in table}
    prompts = sorted({cell.prompts for cell in table})
    count = " to ".join(map(str, dict.fromkeys((prompts[0], prompts[-1]))))
    lines = [
        (
            f"{where.experiment}, {where.model}, {where.task}, {where.length} tokens and {where.more} more:"
            f" {measure}, {count} prompts"
        ),
        "",
        "| setting | " + " | ".join(f"{part}, {_size(size)}" for part, size in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
        f"| {FULL} | " + " | ".join(at.get((FULL, part, 1.0), "-").split(" (")[0] for part, _ in columns) + " |",
    ]
    for setting in dict.fromkeys(cell.setting for cell in table if cell.setting != FULL):
        lines.append(f"| {setting} | " + " | ".join(at.get((setting, *column), "-") for column in columns) + " |")
    return "\n".join(lines)


def _size(size: float) -> str:
    return f"{100 * size:g} %" if size <= 1 else f"{size:g} rows"
