"""rows: how many rows each head of each layer keeps, against the budget.

Letters: L layers, H key/value heads, C budget in rows a head.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ._selection import Selection, Source, selections
from ._sheet import INK, LEGEND, MARK, SOFT, Sheet, above, every, legend, quiet, shades, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, WIDTH, BETWEEN, RIGHT = 64, 520, 64, 110
"""Pixels: margin, a panel, between the two panels, margin with the scale of shades."""
HEIGHT, HEAD, GAP = 170, 34, 24
BLUE = "#1f65a8"


def rows(plan: Source | Mapping[str, Source], *, budget: int | None = None) -> Figure:
    """Rows kept by layer and head: at the left a dot a head over its layer, at the right the same numbers as shades.

    plan    a finished Plan, a list of Kept (one a layer), or {name: either} for several, one under the other
    budget  C, the dashed line; of a Plan its own budget or ratio unless given, of a list none unless given

    Raises what kept raises.
    """
    chosen = selections(plan)
    sheet = Sheet(LEFT + WIDTH + BETWEEN + WIDTH + RIGHT)
    sheet.skip(LEGEND)
    panels = []
    for _ in chosen:
        sheet.skip(HEAD)
        panels.append((sheet.place(LEFT, WIDTH, HEIGHT), sheet.beside(LEFT + WIDTH + BETWEEN, WIDTH)))
    scale = sheet.beside(LEFT + WIDTH + BETWEEN + WIDTH + 20, 12)
    sheet.skip(GAP + 20)

    figure, axes = sheet.figure()
    most = max(int(one.counts.max()) for one in chosen)
    lines = [one.budget if budget is None else budget for one in chosen]
    top = 1.08 * max([most, *(line for line in lines if line is not None)])
    for one, line, (left, right), last in zip(chosen, lines, panels, [*[False] * (len(chosen) - 1), True]):
        _draw_dots(axes[left], one, line, top, last=last)
        _draw_shades(axes[right], one, most, last=last)
    _draw_scale(axes[scale], most)
    meanings = [("\u25cf", BLUE, "a head"), ("\u2500", BLUE, "mean of a layer")]
    if any(line is not None for line in lines):
        meanings.append(("\u254c", MARK, "budget"))
    legend(axes[panels[0][0]], *meanings)
    return figure


def _draw_dots(axes: Axes, one: Selection, budget: int | None, top: float, *, last: bool) -> None:
    layers, heads = one.counts.shape
    axes.set_label(f"rows {one.name}")
    beside = np.linspace(-0.28, 0.28, heads) if heads > 1 else np.zeros(1)
    places = np.arange(layers)[:, np.newaxis] + beside
    axes.hlines(one.counts.mean(axis=1), np.arange(layers) - 0.42, np.arange(layers) + 0.42, color=BLUE, linewidth=1)
    axes.plot(
        places.ravel(),
        one.counts.ravel(),
        "o",
        color=BLUE,
        markersize=3 if one.heads <= 256 else 1.5,
        markeredgewidth=0,
    )
    if budget is not None:
        axes.axhline(budget, color=MARK, linewidth=1, linestyle=(0, (5, 3)), zorder=0)
    axes.set(xlim=(-0.6, layers - 0.4), ylim=(0, top))
    _finish(axes, layers, last=last)
    whole_numbers(axes.yaxis)
    axes.set_ylabel("rows kept by a head")
    above(axes, one.name or "rows", "" if budget is None else f"budget {budget:,}")


def _draw_shades(axes: Axes, one: Selection, most: int, *, last: bool) -> None:
    layers, heads = one.counts.shape
    axes.set_label(f"shades {one.name}")
    axes.imshow(
        one.counts.T, cmap=shades(), vmin=0, vmax=most, aspect="auto", interpolation="nearest",
        extent=(-0.5, layers - 0.5, heads - 0.5, -0.5),
    )  # fmt: skip
    _finish(axes, layers, last=last)
    heads_labelled = np.arange(0, heads, every(heads, HEIGHT, 14))
    axes.set_yticks(heads_labelled)
    axes.set_ylabel("head")
    low, high = int(one.counts.min()), int(one.counts.max())
    above(axes, "", f"{low:,} to {high:,} rows" if low < high else f"{low:,} rows everywhere")


def _draw_scale(axes: Axes, most: int) -> None:
    axes.imshow(
        np.linspace(0, most, 101)[:, np.newaxis], cmap=shades(), vmin=0, vmax=most, aspect="auto", origin="lower",
        extent=(0, 1, 0, most),
    )  # fmt: skip
    quiet(axes)
    axes.set_xticks([])
    whole_numbers(axes.yaxis)
    axes.yaxis.tick_right()
    axes.yaxis.set_label_position("right")
    axes.set_ylabel("rows kept")


def _finish(axes: Axes, layers: int, *, last: bool) -> None:
    quiet(axes)
    axes.spines["left"].set(visible=True, color=SOFT, linewidth=0.6)
    axes.spines["bottom"].set(visible=True, color=SOFT, linewidth=0.6)
    labelled = np.arange(0, layers, every(layers, WIDTH, 22))
    axes.set_xticks(labelled, [str(layer) for layer in labelled] if last else [""] * len(labelled), color=INK)
    if last:
        axes.set_xlabel("layer")
