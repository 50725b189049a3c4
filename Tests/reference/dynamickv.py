"""DynamicKV (arXiv 2412.14838): layers compete for one budget during prefill."""

from __future__ import annotations

import numpy as np

from reference import drawing
from reference.caches import Kept, Round
from reference.ranking import F64
from reference.shares import Parameters, share

DEFAULTS: Parameters = dict(
    budget=1024, ratio=0, window=8, pool_kernel=7, pool=0, cap=10, every=4, normal=0, share=0, even=0, block=1
)

LAYERS_COMPETE = True


def protected(p: Parameters) -> int:
    return int(p["window"])


def by_code(won: list[int], base: int, heads: int, layers: int, first: int) -> list[int]:
    """D3: the model's budget over the layers seen so far, with the published roundings. `won`: places a layer."""
    seen = len(won)
    counts = [places // seen for places in won]
    if seen == layers:
        counts[-1] += base * heads * seen // layers - sum(counts)
    scaled = [0] * seen
    if sum(counts) > 0:
        total = np.float32(sum(counts))
        scaled = [int(np.float32(first) * (np.float32(count) / total)) for count in counts]
    if sum(scaled) == 0:
        shares = [base * layers // seen] * seen  # the even split
    else:
        ratio = sum(scaled) / (base * layers)
        shares = [int(float(x) // ratio) for x in scaled]
    shares[-1] += base * layers - sum(shares)
    return shares


def by_paper(won: list[int], base: int, layers: int, first: int) -> list[int]:
    """D14: by the largest count, in whole numbers; no remainder is given to anybody."""
    seen, most = len(won), max(won)
    scaled = [first * places // most if most > 0 else 0 for places in won]
    if sum(scaled) == 0:
        return [base * layers // seen] * seen
    return [x * base * layers // sum(scaled) for x in scaled]


def choose(r: Round) -> Kept:
    budget, layers, heads = r.budget(protected(r.p)), len(r.layers), len(r.layers[0])
    if r.rows_of_all() <= budget * r.caches():  # D2, E4
        return [r.everything(layer) for layer in range(layers)]
    recent, every = r.recent(r.window), int(r.p["every"])
    certain = int(r.apart(r.layers[0][0], 0, recent).sum())
    base = (budget - recent) // r.block - certain
    """In blocks, as all counts below."""
    scores: list[list[F64]] = []
    first: list[int] = []
    """What each layer held at first (E4: of the P = n - W candidates that it has)."""
    held: list[int] = []
    for layer, caches in enumerate(r.layers):
        scores.append([r.pooled(head) for head in caches])
        first.append(min(share(r.p["cap"], base), (r.longest(layer) - recent) // r.block - certain))
        held.append(first[layer])
        seen = layer + 1
        if seen % every == 0 or seen == layers:  # D7: also after the last layer
            everyone = np.concatenate(
                [r.blocks(row)[~r.apart(head, 0, recent)] for pair in zip(scores, r.layers) for row, head in zip(*pair)]
            )  # D13
            counts = [sum(len(row) // r.block - certain for row in of_layer) for of_layer in scores]
            owner = np.repeat(np.arange(seen), counts)
            winners = r.gaps.best(everyone, base * heads * seen)
            won = np.bincount(owner[winners], minlength=seen).tolist()
            most = max(first)  # E4: the largest of those seen scales them
            shares = (
                by_paper(won, base, layers, most) if r.p["normal"] == 1 else by_code(won, base, heads, layers, most)
            )
            held = [min(max(mine, 0), now) for mine, now in zip(shares, held)]  # D1
    return [
        [r.keep(head, row, (held[layer] + certain) * r.block) for row, head in zip(scores[layer], caches)]
        for layer, caches in enumerate(r.layers)
    ]


def even(p: Parameters) -> tuple[str, Parameters]:
    """S2."""
    return "snapkv", p


def draw(rng: np.random.Generator, tokens: int) -> Parameters:
    window = drawing.window(rng, tokens)
    own = dict(window=window, pool_kernel=int(drawing.pick(rng, 1, 3, 7)), pool=int(rng.integers(0, 2)))
    own.update(every=int(rng.integers(1, 5)), normal=int(rng.integers(0, 2)))
    cap = drawing.pick(rng, 1, 1.3, 2, 10)
    return {**DEFAULTS, **own, "cap": cap, **drawing.budget(rng, tokens, window)}
