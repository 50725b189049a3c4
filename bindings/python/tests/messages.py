"""What finish() of a rank sends, as a formula: bytes of each message, in order. The header's section Several ranks, Costs, in numbers.

Nothing of the library is called: tests compare with what is counted, bench/rank_costs.py goes on to sizes that do not run here.
Of a prompt that is longer than the budget, in blocks of one token; `charge` of windowkv is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

HEAD = 256
HEADER = 544
DIVISION = (2048, 512, 4096, 4096)
"""Counters of the four digits of a score."""


@dataclass(frozen=True)
class Cut:
    """Layers and heads of the whole model, and the most of them that a rank has.

    stages  first layers of the pipeline's stages
    """

    layers: int
    heads: int
    rank_layers: int
    rank_heads: int
    stages: tuple[int, ...] = (0,)

    @property
    def splits(self) -> bool:
        return self.rank_heads < self.heads


@dataclass(frozen=True)
class Sizes:
    """Of a prompt.

    apart   tokens that do not compete: the window, sinks, recent ones
    group   query heads a head; ranges: of protected tokens. The others are parameters
    """

    tokens: int
    group: int = 1
    value_dim: int = 128
    apart: int = 0
    every: int = 4
    size: int = 8
    shared: int = 8
    share: int = 0
    ranges: int = 0


def messages(method: str, cut: Cut, sizes: Sizes) -> list[int]:
    """Bytes of each message of a rank, its head included, in whole words."""
    chosen = 4 * (1 + sizes.ranges) * cut.rank_heads * cut.rank_layers
    middle = _marks(method, cut, sizes) + _means(method, cut, sizes) + _divisions(method, cut, sizes)
    return [HEAD + (size + 7) // 8 * 8 for size in (HEADER, 0, *middle, chosen)]


def _marks(method: str, cut: Cut, sizes: Sizes) -> list[int]:
    """What taskkv ranks heads by."""
    if method != "taskkv":
        return []
    return [4 * cut.rank_heads * cut.rank_layers * (sizes.value_dim if cut.splits else 1)]


def _means(method: str, cut: Cut, sizes: Sizes) -> list[int]:
    """Rows of scores, a round for each layer of a stage that some stage scores."""
    if method == "windowkv":
        competing = sizes.tokens - sizes.apart
        windows = competing // sizes.size if sizes.share == 2 else -(-competing // sizes.size)
        rows = sizes.group * cut.rank_heads if cut.splits else 1
        ends = (*cut.stages[1:], cut.layers)
        scored = {
            layer - first
            for first, end in zip(cut.stages, ends)
            for layer in range(first, end)
            if layer % sizes.shared == 0
        }
        return [16 + 4 * rows * windows] * len(scored)
    together = method == "tova" or (sizes.share > 0 and method != "streamingllm")  # which has no scores
    if not together or not (cut.splits or sizes.share == 2):
        return []
    return [16 + 4 * (sizes.tokens - sizes.apart) * (cut.rank_heads if cut.splits else 1)] * cut.rank_layers


def _divisions(method: str, cut: Cut, sizes: Sizes) -> list[int]:
    if method == "dynamickv" and sizes.share < 2:
        times = sum((layer + 1) % sizes.every == 0 or layer == cut.layers - 1 for layer in range(cut.layers))
        return [*DIVISION, 16 * cut.rank_layers] * times
    return [*DIVISION, 16 * cut.rank_heads] * cut.layers if method == "adakv" and cut.splits else []


# -- A network: seconds of one all-gather of `size` bytes a rank, over `ranks` ranks. alpha is the latency of a message, beta the
# -- seconds a byte.


def ring(size: int, ranks: int, alpha: float, beta: float) -> float:
    """Each rank hands on what it received, to its neighbour, ranks - 1 times."""
    return (ranks - 1) * (alpha + size * beta)


def recursive_doubling(size: int, ranks: int, alpha: float, beta: float) -> float:
    """Pairs exchange all they have, at twice the distance each time."""
    return (ranks - 1).bit_length() * alpha + (ranks - 1) * size * beta
