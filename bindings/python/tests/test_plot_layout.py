"""kvsieve.plot as a picture: no text over another, cells of whole pixels, small files. What is drawn: test_plot.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawings import cells, panel, random_kept
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from kvsieve import plot
from kvsieve.plot._sheet import every

CASES = [(1, 1, 1), (1, 1, 5), (2, 1, 30), (4, 2, 200), (30, 3, 1000), (32, 8, 4000), (80, 8, 700)]


@pytest.mark.parametrize(("layers", "heads", "tokens"), CASES)
def test_no_text_covers_another(layers: int, heads: int, tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every text is inside the picture, and no two share more than a pixel's edge."""
    kept = random_kept(layers, heads, tokens)
    words = [" of", " nineteen", "th", ",", "\n", " $x"] * (tokens // 6 + 1)
    marks = {"first": (0, 1), "last": (tokens - 1, tokens)}
    span = (0, min(tokens, 150))
    two = {"a method with a name of its own " * 9: kept, "b": kept}
    for figure in (
        plot.kept(two, words[:tokens], passage=span, marks=marks),
        plot.kept({str(number): kept for number in range(7)}),
        plot.rows(two, budget=tokens // 8),
    ):
        assert_apart(figure, monkeypatch)


def assert_apart(figure: Figure, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Text] = []
    draw = Text.draw

    def note(text: Text, renderer: Any, *rest: Any) -> None:
        shown.append(text)
        draw(text, renderer, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Text, "draw", note)
        figure.draw_without_rendering()
    shown = [text for text in shown if text.get_visible() and text.get_text().strip()]
    boxes = []
    for text in shown:
        box = text.get_window_extent()
        assert box.x0 >= 0 and box.y0 >= 0, text
        assert box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1, text
        boxes.append((box.x0 + 1, box.x1 - 1, box.y0 + 1, box.y1 - 1))
    assert len(boxes) > 6
    left, right, low, high = (np.array(side) for side in zip(*boxes))
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    tall = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    over = np.argwhere(np.triu((wide > 0) & (tall > 0), 1))
    assert not len(over), [(shown[one], shown[other]) for one, other in over]


def test_cells_are_whole_pixels_and_the_file_is_small(tmp_path: Path) -> None:
    """1,000 positions of 90 heads with all words: under 200 kB, and each cell has its own pixels in the file."""
    kept = random_kept(30, 3, 1000)
    figure = plot.kept(kept, [" word"] * 1000)
    file = tmp_path / "kept.png"
    plot.save(figure, file)
    assert file.stat().st_size < 200_000
    box = panel(figure, "kept ").get_window_extent()
    assert (round(box.width), round(box.height)) == (1000, 450)
    with Image.open(file) as image:
        top = image.height - round(box.y1)
        grey = np.asarray(image.convert("L"))[top : top + 450, round(box.x0) : round(box.x0) + 1000]
    # A cell's middle line, since lines of a pixel divide the layers.
    assert np.array_equal(grey[2::5] < 128, cells(kept) > 0)


@pytest.mark.parametrize(
    ("count", "pixels", "least", "step"), [(30, 450, 14, 1), (30, 180, 14, 5), (80, 160, 14, 10), (700, 350, 14, 50)]
)
def test_labels_are_apart(count: int, pixels: float, least: float, step: int) -> None:
    assert every(count, pixels, least) == step
