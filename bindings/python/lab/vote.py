"""One set of positions for all heads of all layers, by vote over the sets that heads have chosen apart: what an engine that holds one
set can make of them.

Here: counting. Not here: the library's own way (parameter `share` 2), which averages scores before it ranks.
Letters: T prompt tokens.
"""

from __future__ import annotations

import numpy as np
from llama import Kept


def voted(kept: Kept, tokens: int, count: int) -> Kept:
    """The `count` of `tokens` positions that most heads keep, for every head; ties to the lower position.

    What is protected (a window, sinks) is kept by every head, so that it has all votes and stays. ValueError if that alone is more
    than `count`, which cannot be while heads keep up to `count` rows in the mean.
    """
    votes = np.zeros(tokens, np.int64)  # (T,)
    for layer in kept:
        for head in layer:
            votes[head] += 1
    certain = int((votes == sum(map(len, kept))).sum())
    if certain > count:
        raise ValueError(f"every head keeps the same {certain} rows: expected at most {count}")
    best = np.sort(np.argsort(-votes, kind="stable")[:count]).astype(np.int32)
    return [[best] * len(layer) for layer in kept]
