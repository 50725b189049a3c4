"""Cache bytes and time of each setting, side by side. Numbers are cost.py's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from cost import Cost

from kvsieve.plot._sheet import INK, LEGEND, SOFT, Sheet, above, legend, quiet, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, WIDTH, BETWEEN, RIGHT, ROW, HEAD, FOOT = 150, 380, 40, 60, 20, 34, 44
COLOURS = ("#6aa3d3", "#0a2f66", "#d55e00")
"""By length; shapes too, so that no colour need be told."""
SHAPES, SIGNS = ("o", "s", "^"), ("\u25cf", "\u25a0", "\u25b2")
MEGABYTE = 1e6


def costs_picture(costs: Sequence[Cost]) -> Figure:
    """Left: bytes that are kept, beside the whole cache's. Right: milliseconds of processor time in the library."""
    lengths = sorted({cost.tokens for cost in costs})
    if len(lengths) > len(COLOURS):
        raise ValueError(f"the file has {len(lengths)} lengths: expected at most {len(COLOURS)}")
    names = list(dict.fromkeys(cost.setting for cost in costs))
    sheet = Sheet(LEFT + 2 * WIDTH + BETWEEN + RIGHT)
    sheet.skip(LEGEND + HEAD)
    kept, spent = sheet.place(LEFT, WIDTH, ROW * (len(names) + 1)), sheet.beside(LEFT + WIDTH + BETWEEN, WIDTH)
    sheet.skip(FOOT)
    figure, axes = sheet.figure()
    whole = [next(cost.before for cost in costs if cost.tokens == length) for length in lengths]
    sizes = {"whole cache": whole, **{name: [at(costs, name, length).after for length in lengths] for name in names}}
    times = {name: [at(costs, name, length).milliseconds for length in lengths] for name in names}
    _draw(axes[kept], {name: [size / MEGABYTE for size in line] for name, line in sizes.items()}, "MB, float32")
    _draw(axes[spent], {"": [np.nan] * len(lengths), **times}, "ms of processor time, one thread")
    axes[spent].set_yticklabels([])
    above(axes[kept], "keys and values kept", f"asked for: {100 * costs[0].share:g} %")
    above(axes[spent], "observe, finish, gather", f"{costs[0].machine}, {costs[0].date}")
    legend(axes[kept], *((s, c, f"{tokens:,} tokens") for s, c, tokens in zip(SIGNS, COLOURS, lengths)))
    return figure


def at(costs: Sequence[Cost], setting: str, tokens: int) -> Cost:
    return next(cost for cost in costs if (cost.setting, cost.tokens) == (setting, tokens))


def _draw(axes: Axes, lines: dict[str, list[float]], unit: str) -> None:
    """A row a setting, a point a length, its number beside the last."""
    rows = np.arange(len(lines))
    table = np.array(list(lines.values()), float)  # (settings, lengths)
    axes.hlines(rows, 0, table.max(axis=1), color="#e3e5e8", linewidth=1)
    for column, (colour, shape) in enumerate(zip(COLOURS, SHAPES[: table.shape[1]])):
        axes.plot(table[:, column], rows, shape, color=colour, markersize=5, clip_on=False)
    for row, values in enumerate(table):
        if np.isfinite(values).all():
            said = " / ".join(f"{value:.3g}" for value in values)
            axes.annotate(
                said,
                (values.max(), row),
                xytext=(7, 0),
                textcoords="offset points",
                fontsize=8,
                color=SOFT,
                va="center",
            )
    quiet(axes)
    axes.spines["bottom"].set(visible=True, color=SOFT, linewidth=0.6)
    axes.set(ylim=(len(lines) - 0.5, -0.5), xlim=(0, 1.2 * np.nanmax(table)))
    axes.set_yticks(rows, list(lines), color=INK)
    axes.tick_params(axis="y", length=0)
    whole_numbers(axes.xaxis)
    axes.set_xlabel(unit)
