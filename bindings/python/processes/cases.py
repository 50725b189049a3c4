"""What test_every_method.py goes through: how the five layers and four heads of joining_rank.py are divided, methods, rounds."""

from __future__ import annotations

from joining_rank import HEADS, LAYERS, TOKENS
from ranks import Part, both, pipeline_parallel, tensor_parallel
from registry import has

import kvsieve

ROUNDS = (TOKENS, 9)
"""New tokens of each."""

DIVISIONS: dict[int, dict[str, list[Part]]] = {
    2: {
        "tensor, even": tensor_parallel(LAYERS, HEADS, 2),
        "tensor, uneven": [Part(range(LAYERS), range(1)), Part(range(LAYERS), range(1, HEADS))],
        "pipeline, uneven": pipeline_parallel(LAYERS, HEADS, 2),
    },
    4: {
        "tensor": tensor_parallel(LAYERS, HEADS, 4),
        "pipeline, uneven": pipeline_parallel(LAYERS, HEADS, 4),
        "both, uneven": both(LAYERS, HEADS),
    },
}


def shares(method: kvsieve.MethodInfo) -> list[int]:
    return [0, 1, 2] if has(method, "share") else [0]
