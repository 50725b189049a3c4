"""Raw results to a small CSV file, and that file to markdown tables.

    python tables.py cells registry results/registry.csv          what is committed, from the raw results
    python tables.py show results/registry.csv --measure right    markdown: settings down, shares across
    python tables.py rank results/decision.csv --settings "ahakv W32 k1" "ahakv W32 k7" --columns needle:nll summary:kl

Here: options and markdown. Not here: counts and intervals (cells.py, intervals.py), running (run.py).
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from cells import Cell, Place, cells, read, write
from experiments import COMPARED, EXPERIMENTS, wanted
from fetch import cache_folder
from intervals import mean
from records import Row
from records import read as read_rows
from setting import FULL

MEASURES = {
    "right": lambda cell: (
        f"{100 * cell.right / cell.prompts:.0f} [{100 * cell.right_low:.0f}, {100 * cell.right_high:.0f}]"
    ),
    "digits": lambda cell: f"{100 * cell.digits:.0f}",
    "nll": lambda cell: f"{cell.nll:.3f} ({cell.nll_difference:+.3f} ± {cell.nll_half:.3f})",
    "kl": lambda cell: f"{cell.kl:.3f} ({cell.kl_difference:+.3f} ± {cell.kl_half:.3f})",
    "kept": lambda cell: f"{100 * cell.kept:.1f}",
}


def main() -> int:
    options = arguments()
    if options.command == "cells":
        compared = options.compared or COMPARED.get(options.experiment, "snapkv")
        made = cells(asked_for(options), compared)
        write(options.file, with_more_prompts(made, read(options.file) if options.file.exists() else []))
    elif options.command == "show":
        for place, table in by_place(read(options.file)).items():
            print(markdown(place, table, options.measure), end="\n\n")
    else:
        print(ranking(read(options.file), options.settings, options.columns, options.shares))
    return 0


def with_more_prompts(made: Sequence[Cell], before: Sequence[Cell]) -> list[Cell]:
    """Of each cell the one with more prompts, the newer of equals: a table may be made on several machines, part by part."""
    found = {(cell.place, cell.setting, cell.share): cell for cell in before}
    for cell in made:
        key = (cell.place, cell.setting, cell.share)
        if key not in found or found[key].prompts <= cell.prompts:
            found[key] = cell
    return [found[key] for key in sorted(found)]


def asked_for(options: argparse.Namespace) -> Iterator[Row]:
    """The raw rows of an experiment, made with the parameters that settings have now."""
    raw = options.raw or cache_folder() / "raw"
    for unit, pairs in wanted(EXPERIMENTS[options.experiment]).items():
        keys = {(setting.name, setting.digest, share) for setting, share in pairs}
        yield from (row for row in read_rows(unit.path(raw)) if row.key in keys or row.setting == FULL)


def by_place(found: Sequence[Cell]) -> dict[Place, list[Cell]]:
    places: dict[Place, list[Cell]] = defaultdict(list)
    for cell in found:
        places[cell.place].append(cell)
    return places


def markdown(place: Place, table: Sequence[Cell], measure: str) -> str:
    """Settings down, shares across, the largest first; the whole cache above."""
    shares = sorted({cell.share for cell in table if cell.setting != FULL}, reverse=True)
    at = {(cell.setting, cell.share): cell for cell in table}
    prompts = {cell.prompts for cell in table}
    count = f"{min(prompts)}" if len(prompts) == 1 else f"{min(prompts)} to {max(prompts)}"
    lines = [
        f"{place.model}, {place.task}, {place.length} tokens, question {place.query}: {measure}, {count} prompts",
        "",
    ]
    lines.append("| setting | " + " | ".join(f"{100 * share:g} %" for share in shares) + " |")
    lines.append("|---" * (len(shares) + 1) + "|")
    if (FULL, 1.0) in at:
        lines.append(f"| {FULL} |" + f" {MEASURES[measure](at[FULL, 1.0]).split(' (')[0]} |" * len(shares))
    for setting in dict.fromkeys(cell.setting for cell in table if cell.setting != FULL):
        texts = [MEASURES[measure](at[setting, share]) if (setting, share) in at else "-" for share in shares]
        lines.append(f"| {setting} | " + " | ".join(texts) + " |")
    return "\n".join(lines)


def ranking(found: Sequence[Cell], names: Sequence[str], columns: Sequence[str], shares: Sequence[float]) -> str:
    """Each setting's value and rank (1 is the least) in every column `task:measure` at every share, and the mean rank."""
    values: dict[str, list[float]] = {name: [] for name in names}
    heads = []
    for column in columns:
        task, measure = column.split(":")
        for share in shares:
            heads.append(f"{task} {measure}, {100 * share:g} %")
            for name in names:
                here = [cell for cell in found if (cell.task, cell.setting, cell.share) == (task, name, share)]
                if len(here) != 1:
                    raise ValueError(f"{task}, {name}, {share}: {len(here)} cells, expected 1")
                values[name].append(getattr(here[0], measure))
    ranks = {
        name: [rank(one, [values[other][i] for other in names]) for i, one in enumerate(values[name])] for name in names
    }
    lines = ["| setting | " + " | ".join(heads) + " | mean rank |", "|---" * (len(heads) + 2) + "|"]
    for name in names:
        texts = [f"{value:.3f} ({place:g})" for value, place in zip(values[name], ranks[name])]
        lines.append(f"| {name} | " + " | ".join(texts) + f" | {mean(ranks[name]):.2f} |")
    return "\n".join(lines)


def rank(one: float, all_of_them: Sequence[float]) -> float:
    """1 for the least; equals share the mean of their places."""
    less = sum(other < one for other in all_of_them)
    return less + (1 + sum(other == one for other in all_of_them)) / 2


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("cells", help="raw results to a small CSV file")
    first.add_argument("experiment", choices=list(EXPERIMENTS))
    first.add_argument("--compared", help="the setting of paired differences (default: the experiment's, or snapkv)")
    first.add_argument("--raw", type=Path, help="folder of the raw results")
    second = commands.add_parser("show", help="a CSV file to markdown")
    second.add_argument("--measure", choices=list(MEASURES), default="right")
    third = commands.add_parser("rank", help="mean rank of some settings")
    third.add_argument("--settings", nargs="+", required=True)
    third.add_argument("--columns", nargs="+", required=True, help="task:measure")
    third.add_argument("--shares", nargs="+", type=float, default=[0.2, 0.12])
    for command in (first, second, third):
        command.add_argument("file", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
