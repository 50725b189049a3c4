"""What the tests of kvsieve.plot share: the numbers and texts of a figure, and what layers keep, made by hand or at random."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import kvsieve


def panel(figure: Figure, label: str) -> Axes:
    return next(axes for axes in figure.axes if axes.get_label() == label)


def drawn(figure: Figure, label: str) -> np.ndarray[Any, Any]:
    """The numbers behind a panel's picture."""
    return np.asarray(panel(figure, label).images[0].get_array())


def cells(layers: list[kvsieve.Kept]) -> np.ndarray[Any, Any]:
    """(L * H, T): 1 where a head keeps a position."""
    heads = [layer.head(head) for layer in layers for head in range(len(layer.offsets) - 1)]
    return np.array([np.isin(np.arange(layers[0].tokens), positions) for positions in heads], np.float32)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def kept_at(tokens: int, *heads: list[int]) -> kvsieve.Kept:
    positions = np.array(list(itertools.chain(*heads)), np.int32)
    offsets = np.array([0, *itertools.accumulate(map(len, heads))], np.int64)
    return kvsieve.Kept(offsets, positions, positions, tokens)


def random_kept(layers: int, heads: int, tokens: int) -> list[kvsieve.Kept]:
    """About 12 % of the positions, more of them in some heads than in others."""
    rng = np.random.default_rng(7)
    shares = rng.uniform(0.04, 0.2, (layers, heads))
    return [
        kept_at(tokens, *(np.flatnonzero(rng.random(tokens) < share).tolist() or [0] for share in layer))
        for layer in shares
    ]
