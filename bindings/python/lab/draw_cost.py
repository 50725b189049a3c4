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
PALE = "#e9ebed"


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
    _draw(axes[kept], {name: [size / MEGABYTE for size in line] for name, line in sizes.items()})
    axes[kept].set(xlim=(0, 1.2 * max(whole) / MEGABYTE), xlabel="MB, float32")
    whole_numbers(axes[kept].xaxis)
    _draw(axes[spent], {"": [np.nan] * len(lengths), **times})
    # A method that reads all T queries takes a hundred times as long as one that reads the last.
    spread = [value for line in times.values() for value in line]
    axes[spent].set(xscale="log", xlim=(0.6 * min(spread), 3 * max(spread)), xlabel="ms of processor time, one thread")
    axes[spent].xaxis.set_major_formatter(lambda value, _: f"{value:,.3g}" if value < 1000 else f"{value:,.0f}")
    axes[spent].set_yticklabels([])
    above(axes[kept], "keys and values kept", f"asked for: {100 * costs[0].share:g} %")
    above(axes[spent], "observe, finish, gather", f"median of {costs[0].repeats}")
    signs = [(sign, colour, f"{tokens:,} tokens") for sign, colour, tokens in zip(SIGNS, COLOURS, lengths)]
    legend(axes[kept], *signs, ("", SOFT, f"SmolLM2-135M, {costs[0].machine}, {costs[0].date}"))
    return figure


def at(costs: Sequence[Cost], setting: str, tokens: int) -> Cost:
    return next(cost for cost in costs if (cost.setting, cost.tokens) == (setting, tokens))


def _draw(axes: Axes, lines: dict[str, list[float]]) -> None:
    """A row a setting, a point a length, its number beside the last."""
    rows = np.arange(len(lines))
    table = np.array(list(lines.values()), float)  # (settings, lengths)
    axes.hlines(
        rows[np.isfinite(table).all(axis=1)], 0, 1, transform=axes.get_yaxis_transform(), color=PALE, linewidth=0.8
    )
    for column, (colour, shape) in enumerate(zip(COLOURS, SHAPES[: table.shape[1]])):
        axes.plot(table[:, column], rows, shape, color=colour, markersize=5, clip_on=False)
    for row, values in enumerate(table):
        if np.isfinite(values).all():
            said = " / ".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in values)
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
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_yticks(rows, list(lines), color=INK)
    axes.tick_params(axis="y", length=0)
