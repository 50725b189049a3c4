"""kept: a heat map of the positions that each head of each layer keeps, and the words shaded by how many keep them.

Letters: L layers, H key/value heads, T tokens seen. A row of the map is a (layer, head), a column a position.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ._selection import Selection, Source, selections
from ._sheet import LEGEND, MARK, POINT, Sheet, above, cells, every, legend, quiet, whole_numbers
from ._words import draw_key, draw_text, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEFT, RIGHT, HEAD, AXIS = 64, 24, 30, 38
"""Pixels: margins; above a panel, for its head; below the last map, for the positions."""
LONGEST, WIDEST = 1600, 1400
"""Tokens that have pixels of their own; pixels of a longer prompt's map."""
ALONE, SOME, MANY = 450, 200, 100
"""Pixels of a map's height that are aimed at: if there is one, if there are up to four, if there are more."""
LINES = 60
"""Lines of text that are shown, of all plans together: those that most heads keep."""


def kept(
    plan: Source | Mapping[str, Source],
    words: Sequence[str] | None = None,
    *,
    passage: tuple[int, int] | None = None,
    marks: Mapping[str, tuple[int, int]] | None = None,
) -> Figure:
    """Which positions a plan keeps: dark where a head of a layer keeps a position.

    plan     a finished Plan, a list of Kept (one a layer), or {name: either} for several, one under the other
    words    (T,) the texts of the tokens seen: below a map they are shaded by the share of all heads that keep them
    passage  (first, end): of the words only these positions; else all, or as many lines as there is room for
    marks    {name: (first, end)}: passages that are pointed out

    ImportError without matplotlib; KVSieveError if a plan is not finished; ValueError if plans saw different numbers of
    tokens, or if words, passage or marks do not fit them.
    """
    chosen = selections(plan)
    tokens = chosen[0].cells.shape[2]
    marked = dict(marks or {})
    first, end = passage or (0, tokens)
    _check(tokens, words, {"passage": (first, end), **marked})

    width = tokens * max(1, round(1200 / tokens)) if tokens <= LONGEST else WIDEST
    aim = ALONE if len(chosen) == 1 else SOME if len(chosen) <= 4 else MANY
    spans, most = list(marked.values()), max(1, LINES // len(chosen))
    texts = [wrapped(words, first, end, width, one.by_position, spans, most) for one in chosen] if words else []
    sheet = Sheet(LEFT + width + RIGHT)
    sheet.skip(LEGEND if marked else 4)
    maps, pages, key = [], [], -1
    for one in chosen:
        sheet.skip(HEAD)
        maps.append(sheet.place(LEFT, width, _height(one.heads, aim)))
    sheet.skip(AXIS)
    for number, text in enumerate(texts):
        if number == 0:
            sheet.skip(14)
            key = sheet.place(LEFT, width, 12)
        sheet.skip(HEAD if len(texts) > 1 else 10)
        pages.append(sheet.place(LEFT, width, text.height))
    sheet.skip(10)

    figure, axes = sheet.figure()
    for number, one in enumerate(chosen):
        _draw_map(axes[maps[number]], one, last=number == len(chosen) - 1)
        _draw_marks(axes[maps[number]], marked, named=number == 0)
    for number, text in enumerate(texts):
        draw_text(axes[pages[number]], text, spans)
        axes[pages[number]].set_label(f"words {chosen[number].name}")
        if len(texts) > 1:
            above(axes[pages[number]], chosen[number].name)
    if texts:
        draw_key(axes[key], width, max(texts, key=lambda text: text.all_lines))
    return figure


def _check(tokens: int, words: Sequence[str] | None, spans: Mapping[str, tuple[int, int]]) -> None:
    for name, span in spans.items():
        if not 0 <= span[0] < span[1] <= tokens:
            raise ValueError(f"{name} is {span}: expected 0 <= first < end <= {tokens}, the tokens seen")
    if words is not None and len(words) != tokens:
        raise ValueError(f"words has {len(words)} texts: expected one for each of the {tokens} tokens seen")


def _height(heads: int, pixels: int) -> int:
    """A whole number of pixels for each head, near `pixels` in all."""
    return heads * min(max(round(pixels / heads), 1), 16)


def _draw_map(axes: Axes, one: Selection, *, last: bool) -> None:
    layers, heads, tokens = one.cells.shape
    rows = layers * heads
    axes.set_label(f"kept {one.name}")
    axes.imshow(
        one.cells.reshape(rows, tokens).astype(np.float32),
        cmap=cells(),
        vmin=0,
        vmax=1,
        aspect="auto",
        # Of a long prompt a pixel is a mean. Else a cell is a whole number of pixels; "auto" would blur its edges.
        interpolation="nearest" if tokens <= LONGEST else "auto",
        interpolation_stage="data",
        extent=(-0.5, tokens - 0.5, rows, 0),
    )
    quiet(axes)
    high = axes.bbox.height
    step = every(layers, high, 14)
    labelled = np.arange(0, layers, step)
    # A line of a pixel under every layer would pale layers of few pixels: these are separated where they are labelled.
    lines = np.arange(1, layers) if high / layers >= 12 else labelled[1:]
    axes.hlines(lines * heads, -0.5, tokens - 0.5, color="white", linewidth=1 / POINT)
    axes.set_yticks(labelled * heads + heads / 2, [str(layer) for layer in labelled])
    label = f"layer ({heads} heads each)"
    axes.set_ylabel(label if heads > 1 and high > 8 * len(label) else "layer")
    total, whole = int(one.cells.sum()), one.cells.size
    above(axes, one.name or "kept", f"{total:,} of {whole:,} rows kept, {100 * total / whole:.3g} %")
    whole_numbers(axes.xaxis)
    if last:
        axes.set_xlabel("position")
    else:
        axes.set_xticks([])


def _draw_marks(axes: Axes, marks: Mapping[str, tuple[int, int]], *, named: bool) -> None:
    """A bar above the map for each mark. Names are in a line above the first map, where none can cover another."""
    over = axes.get_xaxis_transform()
    for first, end in marks.values():
        axes.plot(
            [first - 0.5, end - 0.5],
            [1, 1],
            color=MARK,
            linewidth=5,
            transform=over,
            clip_on=False,
            solid_capstyle="butt",
        )
    if marks and named:
        line = ", ".join(
            f"{name} ({first}{f' to {end - 1}' if end - 1 > first else ''})" for name, (first, end) in marks.items()
        )
        legend(axes, ("\u25ac", MARK, line))
