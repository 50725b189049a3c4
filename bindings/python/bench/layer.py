"""One layer's tensors, made from a seed, and the check that every contender keeps the same rows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

QUERY_HEADS, KV_HEADS, DIM, WINDOW, BUDGET, KERNEL = 32, 8, 128, 32, 1024, 7
"""Llama-3-8B's attention; 32 queries are read, 1,024 rows a KV head are kept, scores are averaged over 7 tokens."""
GROUP = QUERY_HEADS // KV_HEADS
ROWS = GROUP * WINDOW
"""Queries of one KV head."""

NEAR = {torch.float32: 1e-4, torch.bfloat16: 2e-2}
"""How far from the cut, relative to it, a score may be for rounding to decide. kvpress and plain torch round logits, and
kvpress scores as well, to the tensors' type, which has 8 significant bits in bfloat16."""

Compress = Callable[[], tuple[torch.Tensor, torch.Tensor]]
"""Kept keys and values, each (KV_HEADS, BUDGET, DIM), rows of a head in any order."""


@dataclass(frozen=True)
class Layer:
    """Queries (QUERY_HEADS, WINDOW, DIM), keys and values (KV_HEADS, T, DIM)."""

    queries: torch.Tensor
    keys: torch.Tensor
    values: torch.Tensor

    @property
    def tokens(self) -> int:
        return int(self.keys.shape[1])

    def empty(self) -> torch.Tensor:
        """Memory for what is kept, touched."""
        return torch.zeros(KV_HEADS, BUDGET, DIM, dtype=self.keys.dtype)


def make_layer(tokens: int, dtype: torch.dtype, seed: int = 0) -> Layer:
    """Gaussian; but the first two numbers of a value are its position, in two digits that bfloat16 holds exactly."""
    generator = torch.Generator().manual_seed(seed)
    queries, keys, values = (
        torch.randn(heads, count, DIM, generator=generator).to(dtype)
        for heads, count in ((QUERY_HEADS, WINDOW), (KV_HEADS, tokens), (KV_HEADS, tokens))
    )
    position = torch.arange(tokens)
    values[..., 0], values[..., 1] = (position // 256).to(dtype), (position % 256).to(dtype)
    return Layer(queries, keys, values)


def kept_positions(layer: Layer, compress: Compress) -> list[set[int]]:
    """A head's positions, read off the values. ValueError unless each head has BUDGET whole rows, its window among them."""
    keys, values = compress()
    positions = (values[..., 0].long() * 256 + values[..., 1].long()).view(KV_HEADS, BUDGET)
    window = set(range(layer.tokens - WINDOW, layer.tokens))
    kept = []
    for head, rows in enumerate(positions):
        kept.append(set(rows.tolist()))
        if len(kept[-1]) != BUDGET or not window <= kept[-1]:
            raise ValueError(f"head {head}: a row twice, or a row of the window lost")
        pairs = ((keys[head], layer.keys[head, rows]), (values[head], layer.values[head, rows]))
        if not all(torch.equal(*pair) for pair in pairs):
            raise ValueError(f"head {head}: keys and values are not those of the same positions")
    return kept


def distances(layer: Layer) -> torch.Tensor:
    """(KV_HEADS, T): how far a token's score, in double, is above the cut, relative to it: kept are those not below 0."""
    future = torch.full((WINDOW, WINDOW), float("-inf"), dtype=torch.float64).triu(1)
    result = torch.full((KV_HEADS, layer.tokens), float("inf"), dtype=torch.float64)
    for head in range(KV_HEADS):
        queries = layer.queries[head * GROUP : (head + 1) * GROUP].double()
        logits = queries @ layer.keys[head].double().T / DIM**0.5
        logits[..., -WINDOW:] += future
        sums = logits.softmax(-1).sum((0, 1))[:-WINDOW]
        scores = torch.nn.functional.avg_pool1d(sums[None], KERNEL, 1, KERNEL // 2)[0]
        cut = scores.topk(BUDGET - WINDOW).values[-1]
        result[head, :-WINDOW] = scores / cut - 1
    return result


def check_same_rows(layer: Layer, contenders: dict[str, Compress]) -> str:
    """Lines on how many rows differ from the first contender's. ValueError where more than rounding decided."""
    near, distance = NEAR[layer.keys.dtype], distances(layer)
    kept = {name: kept_positions(layer, compress) for name, compress in contenders.items()}
    kept["the choice in double precision"] = [set(head.nonzero()[:, 0].tolist()) for head in distance >= 0]
    first, *others = kept
    lines = [f"{layer.tokens:,} tokens, {layer.keys.dtype}: rows of {KV_HEADS * BUDGET:,} that differ from {first}"]
    for name in others:
        pairs = [(head, at) for head in range(KV_HEADS) for at in kept[first][head] ^ kept[name][head]]
        furthest = max((abs(float(distance[pair])) for pair in pairs), default=0.0)
        if furthest > near:
            raise ValueError(f"{name} and {first} differ in a row whose score is {furthest:.1e} from the cut")
        lines.append(f"{len(pairs) // 2:6} {name}" + (f", scores within {furthest:.2%} of the cut" if pairs else ""))
    return "\n".join(lines)
