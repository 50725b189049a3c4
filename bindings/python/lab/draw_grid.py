"""The needle grid: digits right by setting, depth and length, at one share.

Drawn of raw rows, since a cell of the committed files holds all depths together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from draw_curves import WORDS
from records import Row
from setting import FULL
from tasks.needle import depth

from kvsieve.plot._sheet import INK, LEGEND, SOFT, Sheet, above, legend, quiet, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CELL_WIDTH, CELL_HEIGHT = 30, 17
LEFT, BETWEEN, RIGHT, HEAD, FOOT = 150, 28, 20, 34, 40
NARROWEST = 640
"""Pixels that the legend needs."""

Counts = dict[tuple[str, int, str, float], list[int]]
"""By query, length, setting and depth: digits right, digits, prompts."""


def grid(rows: Iterable[Row], settings: Sequence[str], share: float) -> Figure:
    """The needles among `rows`, at `share`, of `settings` in this order; the whole cache above them.

    ValueError if there is none.
    """
    names = [FULL, *(name for name in settings if name != FULL)]
    counts = counted(rows, names, share)
    if not counts:
        raise ValueError(f"no needle at a share of {share:g} among the raw results: run it with run.py --tasks needle")
    lengths = sorted({length for _, length, _, _ in counts})
    queries = sorted({query for query, _, _, _ in counts}, key=list(WORDS).index)
    depths = sorted({depth for _, _, _, depth in counts})
    names = [name for name in names if any(name == setting for _, _, setting, _ in counts)]

    width, height = CELL_WIDTH * len(depths), CELL_HEIGHT * len(names)
    sheet = Sheet(max(LEFT + len(lengths) * (width + BETWEEN) - BETWEEN + RIGHT, NARROWEST))
    sheet.skip(LEGEND)
    panels = {}
    for query in queries:
        sheet.skip(HEAD)
        for number, length in enumerate(lengths):
            left = LEFT + number * (width + BETWEEN)
            panels[query, length] = sheet.place(left, width, height) if number == 0 else sheet.beside(left, width)
    sheet.skip(FOOT)

    figure, axes = sheet.figure()
    for (query, length), panel in panels.items():
        table = np.full((len(names), len(depths)), np.nan)
        for (row, name), (column, place) in ((x, y) for x in enumerate(names) for y in enumerate(depths)):
            right, digits, _ = counts.get((query, length, name, place), [0, 0, 0])
            if digits:
                table[row, column] = right / digits
        _draw_table(axes[panel], table, names if length == lengths[0] else [], depths, last=query == queries[-1])
        above(axes[panel], f"{length:,} tokens", WORDS[query])
    each = sorted({count for _, _, count in counts.values()})
    prompts = f"{each[0]}" if len(each) == 1 else f"{each[0]} to {each[-1]}"
    said = f"needle: % of the code's digits right, {100 * share:g} % of the rows kept, prompts a cell: {prompts}"
    legend(axes[0], ("", SOFT, said))
    return figure


def counted(rows: Iterable[Row], names: Sequence[str], share: float) -> Counts:
    counts: Counts = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        if row.task == "needle" and row.setting in names and (row.setting == FULL or row.share == share):
            cell = counts[row.query, row.length, row.setting, depth(row.seed)]
            for place, more in enumerate((row.digits, row.tokens, 1)):
                cell[place] += more
    return dict(counts)


def _draw_table(axes: Axes, table: np.ndarray, names: Sequence[str], depths: Sequence[float], *, last: bool) -> None:
    rows, columns = table.shape
    axes.imshow(table, cmap=shades(), vmin=0, vmax=1, aspect="auto", extent=(0, columns, rows, 0))
    axes.hlines(np.arange(rows + 1), 0, columns, color="white", linewidth=0.8)
    axes.vlines(np.arange(columns + 1), 0, rows, color="white", linewidth=0.8)
    for row in range(rows):
        for column in range(columns):
            value = table[row, column]
            said, colour = ("-", SOFT) if np.isnan(value) else (f"{100 * value:.0f}", "white" if value > 0.6 else INK)
            place = (column + 0.5, row + 0.54)
            axes.text(*place, said, color=colour, fontsize=7, ha="center", va="center_baseline")
    quiet(axes)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.set_xticks(np.arange(columns) + 0.5, [f"{100 * place:.0f}" for place in depths] if last else [""] * columns)
    axes.tick_params(length=0)
    if last:
        axes.set_xlabel("depth of the fact, % of the text")
