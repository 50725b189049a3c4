"""Curves of a value against the share that is kept: a panel a setting, all others pale behind it.

Twenty curves with intervals in one panel cannot be told apart; in a panel of its own each is seen against all others.
Here: drawing. Not here: where points come from (points.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from points import RIGHT, Point
from setting import FULL

from kvsieve.plot._sheet import LEGEND, MARK, SOFT, Sheet, above, legend, quiet

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS, WIDTH, HEIGHT = 5, 200, 120
LEFT, BETWEEN, HEAD, FOOT = 56, 22, 34, 44
COLOURS, SHAPES = ("#1f65a8", MARK), ("o", "s")
"""Of the first and the second place of the question."""
PALE, GREY = "#d4d7da", "#a0a4a8"
WORDS = {"seen": "question compressed too", "unseen": "question comes later", "none": "no question"}


def curves(points: Sequence[Point], measure: str, order: Sequence[str] = ()) -> Figure:
    """`points` of one place: model, task, length. Settings in this order, then those that it does not name."""
    of_full = {point.query: point.value for point in points if point.setting in (FULL, "full cache")}
    shown = [point for point in points if point.setting not in (FULL, "full cache")]
    known = {point.setting: None for point in shown}
    settings = [name for name in order if name in known] + [name for name in known if name not in order]
    queries = sorted(
        {point.query for point in shown}, key=lambda query: list(WORDS).index(query) if query in WORDS else 0
    )
    lines = {
        (setting, query): sorted(
            (point for point in shown if (point.setting, point.query) == (setting, query)), key=lambda point: point.kept
        )
        for setting in settings
        for query in queries
    }
    columns = min(COLUMNS, len(settings))
    sheet = Sheet(LEFT + columns * (WIDTH + BETWEEN))
    sheet.skip(2 * LEGEND)
    panels: list[int] = []
    for number in range(len(settings)):
        if number % columns == 0:
            sheet.skip(HEAD)
            panels.append(sheet.place(LEFT, WIDTH, HEIGHT))
        else:
            panels.append(sheet.beside(LEFT + number % columns * (WIDTH + BETWEEN), WIDTH))
    sheet.skip(FOOT)

    figure, axes = sheet.figure()
    top = 1.0 if measure == RIGHT else 1.15 * max(point.value for point in shown)
    for number, setting in enumerate(settings):
        panel = axes[panels[number]]
        for (other, query), line in lines.items():
            if other != setting and query == queries[0]:
                panel.plot([point.kept for point in line], [point.value for point in line], color=PALE, linewidth=0.8)
        for query, colour, shape in zip(queries, COLOURS, SHAPES):
            _draw_line(panel, lines[setting, query], colour, shape)
            if query in of_full:
                panel.axhline(of_full[query], color=colour, linewidth=0.9, linestyle=(0, (4, 3)))
        shares = sorted({point.share for point in shown})
        _finish(panel, shares, top, measure, left=number % columns == 0, last=number + columns >= len(settings))
        above(panel, setting)
    _draw_legend(axes[panels[0]], points, queries, measure, whole=bool(of_full))
    return figure


def _draw_line(axes: Axes, line: Sequence[Point], colour: str, shape: str) -> None:
    across, up = [point.kept for point in line], [point.value for point in line]
    axes.fill_between(
        across, [point.low for point in line], [point.high for point in line], color=colour, alpha=0.18, lw=0
    )
    axes.plot(across, up, color=colour, linewidth=1.4, marker=shape, markersize=3.5, clip_on=False)


def _finish(axes: Axes, shares: Sequence[float], top: float, measure: str, *, left: bool, last: bool) -> None:
    quiet(axes)
    for side in ("left", "bottom"):
        axes.spines[side].set(visible=True, color=SOFT, linewidth=0.6)
    axes.set_xscale("log")
    axes.set(xlim=(shares[0] * 0.85, shares[-1] * 1.15), ylim=(0, top))
    axes.set_xticks([], minor=True)
    axes.set_xticks(shares, [f"{100 * share:.2g}" if last else "" for share in shares])
    if last:
        axes.set_xlabel("% of the rows kept")
    if measure == RIGHT:
        axes.set_yticks(np.linspace(0, 1, 5), ["0", "25", "50", "75", "100"] if left else [""] * 5)
        axes.set_ylabel("% right" if left else "")
    else:
        axes.set_ylabel(f"{measure.upper()}, nats" if left else "")
        if not left:
            axes.set_yticklabels([])


def _draw_legend(axes: Axes, points: Sequence[Point], queries: Sequence[str], measure: str, *, whole: bool) -> None:
    counts = sorted({point.prompts for point in points})
    prompts = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    place = points[0].place
    band = "" if measure == RIGHT else " of the difference to the setting without a band, prompt by prompt"
    about = f"{place.model}, {place.task}, {place.length:,} tokens, {prompts} prompts; pale: 95 % interval{band}"
    legend(axes, ("", SOFT, about), line=1)
    signs = ("\u25cf", "\u25a0")
    entries = [(sign, colour, WORDS.get(query, query)) for query, colour, sign in zip(queries, COLOURS, signs)]
    if whole:
        entries.append(("\u254c", SOFT, "whole cache"))
    legend(axes, *entries, ("\u2500", GREY, "the other settings, " + WORDS.get(queries[0], queries[0])))
