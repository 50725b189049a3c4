"""compared: what each method's kept rows hold of the attention, and how far they move its output."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._sheet import INK, LEGEND, MARK, SOFT, Sheet, above, legend, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .._compare import Comparison

LEFT, WIDTH, BETWEEN, RIGHT = 110, 300, 40, 40
"""Pixels: the methods' names, a panel, between the two, margin."""
LINE, HEAD, FOOT = 26, 30, 40
BLUE = "#1f65a8"


def compared(rows: Sequence[Comparison]) -> Figure:
    """A line a method, the one whose output is nearest to that of the whole cache first: at the left the share of the attention
    that its rows hold, at the right its output's error (where the cache has values). ValueError if rows is empty."""
    if not rows:
        raise ValueError("rows is empty: expected a Comparison for each method")
    ordered = sorted(rows, key=lambda row: (row.error if not math.isnan(row.error) else 0, -row.mass))
    sheet = Sheet(LEFT + WIDTH + BETWEEN + WIDTH + RIGHT)
    sheet.skip(LEGEND + HEAD)
    left = sheet.place(LEFT, WIDTH, LINE * len(ordered))
    right = sheet.beside(LEFT + WIDTH + BETWEEN, WIDTH)
    sheet.skip(FOOT)
    figure, axes = sheet.figure()
    least, most = (round(100 * bound(row.share for row in ordered)) for bound in (min, max))
    share = f"{least}" if least == most else f"{least} to {most}"
    masses, leasts = [100 * row.mass for row in ordered], [100 * row.mass_least for row in ordered]
    _bars(axes[left], masses, 100)
    axes[left].plot(leasts, range(len(ordered)), "|", color=MARK, markersize=9, markeredgewidth=2)
    above(axes[left], "% of attention", f"in {share} % of the rows")
    axes[left].set_yticks(range(len(ordered)), [row.method for row in ordered], color=INK)
    errors = [row.error for row in ordered]
    known = [error for error in errors if not math.isnan(error)]
    _bars(axes[right], errors if known else [0.0] * len(errors), 1.08 * max(known, default=1.0))
    above(axes[right], "error of the output" if known else "error of the output: not known without v")
    axes[right].set_yticks([])
    legend(axes[left], ("\u2503", MARK, "the least of any layer and head"))
    return figure


def _bars(axes: Axes, numbers: Sequence[float], most: float) -> None:
    axes.barh(range(len(numbers)), numbers, height=0.7, color=BLUE)
    axes.set_xlim(0, most)
    axes.set_ylim(len(numbers) - 0.5, -0.5)
    quiet(axes)
    axes.tick_params(colors=SOFT)
