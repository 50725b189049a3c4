"""Tables, holders and free lists worked by hand: two requests with one prompt, of which one is compressed. StreamingLLM looks at no
tensor, so what it keeps is known: the first `sinks` tokens and the most recent ones.
"""

from __future__ import annotations

from typing import Any

import kvsieve
from engine.paged import Paged, Request
from engine.world import world

MODEL = kvsieve.Model(2, 2, 1, 4)
PROMPT = list(range(64))


def same(got: Any, want: Any) -> None:
    assert got == want, f"{got}, not {want}"


def engine(whole: bool, **parameters: float) -> tuple[Paged, Request, Request]:
    """Of 12 blocks. The first request has the prompt, 64 tokens, 4 blocks; the second the same and 8 tokens more."""

    def make() -> kvsieve.Plan:
        return kvsieve.Plan("streamingllm", MODEL, share=2, even=1, **parameters)

    made = Paged(make, world(MODEL, 4, "float32"), 0, 12, whole)
    made.waiting = [Request(0, PROMPT, 0), Request(1, [*PROMPT, *range(100, 108)], 0)]
    first, second = made.admit(), made.admit()
    assert first is not None and second is not None
    same(first.tables, [[0, 1, 2, 3]])
    same(second.tables, [[0, 1, 2, 3, 4]])
    same(made.blocks[0].holders, [2, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0])
    same(list(made.blocks[0].free), [5, 6, 7, 8, 9, 10, 11])
    return made, first, second


def whole_blocks() -> None:
    """Budget 32, a sink: block 0 and the newest stay where they are, for both; 1 and 2 are the second's alone."""
    made, first, second = engine(True, budget=32, sinks=1, block=16)
    made.compress(first, 0)
    same(first.tables, [[0, 3]])
    same(second.tables, [[0, 1, 2, 3, 4]])
    same(made.blocks[0].holders, [2, 1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0])
    # Two more tokens: a block of its own, which nobody may know, as it came after a loss.
    made.go_on(first, [7, 8])
    same(first.tables, [[0, 3, 5]])
    same(sorted(made.blocks[0].found.values()), [0, 1, 2, 3])
    # The second has 72 tokens: of its 32 rows 16 are block 0, 8 are block 4 and 8 are no whole block.
    made.compress(second, 0)
    same(second.tables, [[0, 4]])
    same(made.blocks[0].holders, [2, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    same(list(made.blocks[0].free), [6, 7, 8, 9, 10, 11, 2, 1])  # the last ones first
    made.release(first)
    made.release(second)
    same(sorted(made.blocks[0].free), list(range(12)))


def compacted_rows() -> None:
    """Budget 24, 20 sinks: rows 0 to 19 and 60 to 63 stay. Block 0 is intact and shared; block 1 has four rows that change: a copy."""
    made, first, second = engine(False, budget=24, sinks=20)
    made.compress(first, 0)
    same(first.tables, [[0, 5]])
    same(second.tables, [[0, 1, 2, 3, 4]])
    same(made.blocks[0].holders, [2, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    # The second holds block 1 alone: it is written, and no longer known. Blocks 2 and 3 are, though free, until they are taken.
    made.compress(second, 0)
    same(second.tables, [[0, 1]])
    same(made.blocks[0].holders, [2, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])
    same(sorted(made.blocks[0].found.values()), [0, 2, 3])
    # A third request with the prompt finds block 0 alone: the chain ends where block 1 was.
    made.waiting = [Request(2, PROMPT, 0)]
    third = made.admit()
    assert third is not None
    same(third.tables[0][0], 0)
    same(made.blocks[0].holders[0], 3)
    same(made.count["shared blocks"], 4 + 1)


CASES = (whole_blocks, compacted_rows)
