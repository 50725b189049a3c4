"""The words of a prompt as a page of text, each shaded by the share of heads that keep it.

The font is of one width, so that a page is a table of characters: the shading is one array, (lines, columns).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ._sheet import INK, MARK, POINT, SOFT, quiet, shades

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMN, LINE = 6, 15
"""Pixels of a character, and from line to line."""
FONT = COLUMN / 0.60205 / POINT
"""Points at which a character of DejaVu Sans Mono, which matplotlib brings along, is COLUMN pixels wide."""


@dataclass(frozen=True)
class Word:
    position: int
    text: str
    """As it is shown."""
    column: int
    width: int
    """In columns; some characters take two."""


@dataclass(frozen=True)
class Text:
    lines: list[list[Word]]
    all_lines: int
    """How many there were before those kept least were left out."""
    columns: int
    shares: np.ndarray[Any, np.dtype[np.float64]]
    """(T,): of all heads, those that keep a position."""

    @property
    def height(self) -> int:
        return LINE * len(self.lines)

    @property
    def shading(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """(lines, columns): the share of the word that stands there, 0 where none does."""
        table = np.zeros((len(self.lines), self.columns))
        for number, line in enumerate(self.lines):
            for word in line:
                table[number, word.column : word.column + word.width] = self.shares[word.position]
        return table


def wrapped(
    words: Sequence[str],
    first: int,
    end: int,
    pixels: int,
    shares: np.ndarray[Any, np.dtype[np.float64]],
    marks: Sequence[tuple[int, int]],
    most: int,
) -> Text:
    """The words at `first` to `end` in lines of `pixels`.

    If there are more than `most` lines, those with marked words, then those whose words are kept most often.
    """
    columns = pixels // COLUMN
    lines: list[list[Word]] = [[]]
    column = 0
    for group in _unbroken(words, first, end):
        shown = [(position, *_shown(words[position], columns)) for position in group]
        if column and column + sum(width for _, _, width in shown) > columns:
            lines.append([])
            column = 0
        for position, text, width in shown:
            if column + width > columns:  # a group that is longer than a line
                lines.append([])
                column = 0
            lines[-1].append(Word(position, text, column, width))
            column += width
    count = len(lines)
    if count > most:
        worth = [
            (any(marked(word.position, marks) for word in line), sum(shares[word.position] for word in line))
            for line in lines
        ]
        best = sorted(sorted(range(count), key=lambda number: worth[number], reverse=True)[:most])
        lines = [lines[number] for number in best]
    return Text(lines, count, columns, shares)


def marked(position: int, marks: Sequence[tuple[int, int]]) -> bool:
    return any(first <= position < end for first, end in marks)


def draw_text(axes: Axes, text: Text, marks: Sequence[tuple[int, int]]) -> None:
    count = len(text.lines)
    axes.imshow(text.shading, cmap=shades(), vmin=0, vmax=1, aspect="auto", extent=(0, text.columns, count, 0))
    axes.hlines(np.arange(count + 1), 0, text.columns, color="white", linewidth=2 / POINT)
    quiet(axes)
    axes.set_xticks([])
    axes.set_yticks(np.arange(count) + 0.5, [str(line[0].position) for line in text.lines], color=SOFT, fontsize=7)
    axes.tick_params(length=0, pad=6)
    for number, line in enumerate(text.lines):
        for word in line:
            share = text.shares[word.position]
            if word.text.strip():
                axes.text(
                    word.column, number + 0.54, word.text, family="DejaVu Sans Mono", fontsize=FONT,
                    color="white" if share > 0.6 else INK if share > 0 else SOFT, va="center_baseline", parse_math=False,
                )  # fmt: skip
            if marked(word.position, marks):
                ends = [word.column, word.column + word.width]
                axes.plot(ends, [number + 0.96] * 2, color=MARK, linewidth=1.5, solid_capstyle="butt", clip_on=False)
    axes.set(xlim=(0, text.columns), ylim=(count, 0))


def draw_key(axes: Axes, pixels: int, text: Text) -> None:
    """What the shades of the words mean, in one line."""
    axes.imshow(np.linspace(0, 1, 101)[np.newaxis], cmap=shades(), vmin=0, vmax=1, aspect="auto", extent=(0, 120, 1, 0))
    axes.set(xlim=(0, pixels), ylim=(1, 0))
    axes.axis("off")
    axes.plot([0, 120, 120, 0, 0], [0, 0, 1, 1, 0], color=SOFT, linewidth=0.6, clip_on=False)
    note = "words: kept by no head ... by all heads of all layers"
    if len(text.lines) < text.all_lines:
        note += f"; the {len(text.lines)} of {text.all_lines} lines that most heads keep"
    axes.text(128, 0.5, note, fontsize=8.5, color=SOFT, va="center_baseline")


def _unbroken(words: Sequence[str], first: int, end: int) -> Iterator[list[int]]:
    """Positions in groups that a line should not divide: a group begins with white space, or after it."""
    group: list[int] = []
    for position in range(first, end):
        if group and (words[position][:1].isspace() or words[position - 1][-1:].isspace()):
            yield group
            group = []
        group.append(position)
    yield group


def _shown(word: str, columns: int) -> tuple[str, int]:
    """A token's text on one line, and its width in columns. A token without a width gets a dot, so that it is seen."""
    text = "".join("\u21b5" if c == "\n" else " " if c.isspace() else c if c.isprintable() else "\u00b7" for c in word)
    widths = [2 if unicodedata.east_asian_width(c) in "WF" else 0 if unicodedata.combining(c) else 1 for c in text]
    if sum(widths) > columns:
        text, widths = text[: columns // 2], widths[: columns // 2]
    return (text, sum(widths)) if sum(widths) else ("\u00b7", 1)
