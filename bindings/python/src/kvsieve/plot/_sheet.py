"""A figure that is laid out in pixels from top to bottom, and the colours that all pictures share.

At 100 pixels an inch a heat map's cell is a whole number of pixels wherever that is possible: no cell is wider than
another. Here is also the only place that imports matplotlib's Figure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.text import Text

DOTS = 100
"""Pixels an inch."""
POINT = DOTS / 72
"""Pixels a point, the unit of fonts and lines."""
LEGEND = 18
"""Pixels of a line of legend above the first panel's head."""
INK, SOFT, MARK = "#222222", "#767676", "#d55e00"
"""Text; axes and side remarks; what the caller marked. Blue and vermilion differ for every kind of colour vision."""


def matplotlib() -> Any:
    """The package, or an ImportError that says which extra has it."""
    try:
        import matplotlib
    except ImportError as error:
        raise ImportError("kvsieve.plot needs matplotlib: pip install 'kvsieve[plot]'") from error
    return matplotlib


def shades() -> Colormap:
    """0 white, 1 dark blue, lightness falling evenly: readable without colours."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("kept", ["#ffffff", "#c3d9ee", "#6aa3d3", "#1f65a8", "#0a2f66"])


def cells() -> Colormap:
    """0 a light ground on which white lines can be seen, 1 dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("cells", ["#eef0f2", "#0a2f66"])


@dataclass
class Sheet:
    """Panels one under the other, in pixels from the top left corner. The figure is made when all have their places."""

    width: int
    height: int = 0
    _places: list[tuple[int, int, int, int]] = field(default_factory=list)

    def skip(self, pixels: int) -> None:
        self.height += pixels

    def place(self, left: int, width: int, height: int) -> int:
        """Takes the next `height` pixels; the number of the panel."""
        self._places.append((left, self.height, width, height))
        self.height += height
        return len(self._places) - 1

    def beside(self, left: int, width: int) -> int:
        """A panel as high as the one before, beside it."""
        _, top, _, height = self._places[-1]
        self._places.append((left, top, width, height))
        return len(self._places) - 1

    def figure(self) -> tuple[Figure, list[Axes]]:
        """The figure, and the axes of each panel in the order in which they were placed."""
        matplotlib()
        from matplotlib.figure import Figure

        figure = Figure(figsize=(self.width / DOTS, self.height / DOTS), dpi=DOTS, facecolor="white")
        axes = []
        for left, top, width, height in self._places:
            bottom = self.height - top - height
            box = (left / self.width, bottom / self.height, width / self.width, height / self.height)
            axes.append(figure.add_axes(box))
        return figure, axes


def quiet(axes: Axes) -> None:
    """No frame, short ticks, soft colours: what is drawn is darker than what says where it is."""
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=3, width=0.6, color=SOFT, labelcolor=INK, labelsize=8, pad=2)
    axes.xaxis.label.set(color=INK, fontsize=9)
    axes.yaxis.label.set(color=INK, fontsize=9)


def above(axes: Axes, left: str, right: str = "") -> None:
    """A panel's head: its name, and a remark at the other end of the line. A name that does not fit is cut."""
    line = 1 + 6 / axes.bbox.height
    remark = axes.text(1, line, right, transform=axes.transAxes, fontsize=8.5, color=SOFT, ha="right", parse_math=False)
    name = axes.text(
        0, line, left, transform=axes.transAxes, fontsize=10, fontweight="bold", color=INK, parse_math=False
    )
    room = axes.bbox.width - (wide(remark) + 10 if right else 0)
    while left and wide(name) > room:
        left = left[:-1]
        name.set_text(f"{left}...")


def legend(axes: Axes, *entries: tuple[str, str, str], line: int = 0) -> None:
    """What symbols mean, above the head of a panel: (symbol, its colour, its meaning). Line 0 is the lowest."""
    left = 0.0
    for symbol, color, meaning in entries:
        for text, shade, least in ((symbol, color, 14), (meaning, SOFT, 0)):
            if text:
                shown = axes.annotate(
                    text, (0, 1), xycoords="axes fraction", xytext=(left / POINT, (26 + LEGEND * line) / POINT),
                    textcoords="offset points", fontsize=8.5, color=shade, parse_math=False,
                )  # fmt: skip
                left += max(wide(shown) + 4, least)
        left += 12


def wide(text: Text) -> float:
    """Pixels of a text that was placed."""
    return float(text.get_window_extent().width)


def whole_numbers(axis: Axis) -> None:
    """No tick between 1 and 2."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True))


def every(count: int, pixels: float, least: float) -> int:
    """The first of 1, 2, 5, 10, 20, ... at which labels of `count` things over `pixels` are `least` pixels apart."""
    steps = (digit * 10**power for power in range(12) for digit in (1, 2, 5))
    step: int = next(step for step in steps if pixels / count * step >= least)
    return step
