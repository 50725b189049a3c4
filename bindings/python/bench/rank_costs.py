"""What finish() of many ranks costs on a network: rounds and bytes of every method, and an alpha-beta model of the time.

    rank_costs.py table            rounds, bytes and milliseconds of 64 ranks (8 tensor by 8 pipeline), 80 layers, 8 heads, 2^20 tokens
    rank_costs.py count [T ...]    64 ranks in this process, at these lengths: what they send must be what the formula says

The formula is tests/messages.py, which tests hold to what is counted at sizes that run in a second. `count` holds it to 64 ranks
whose attention sums are made up, so that no product is needed. Whether ranks keep what one process keeps is what tests look at.

A message takes alpha seconds, and beta seconds a byte. An all-gather over p ranks of m bytes each takes (p - 1) (alpha + m beta) as
a ring, ceil(log2 p) alpha + (p - 1) m beta by recursive doubling. Nothing else is counted: not what ranks compute between rounds,
not that a rank waits for the slowest.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from messages import Cut, Sizes, messages, recursive_doubling, ring
from ranks import Part, Threads, joined, plan_of

import kvsieve

LAYERS, HEADS, GROUP, TENSOR, PIPELINE, TOKENS = 80, 8, 8, 8, 8, 1 << 20
RANKS = TENSOR * PIPELINE
NETWORKS = [(10e9, 5e-6), (10e9, 20e-6), (100e9, 5e-6), (100e9, 20e-6)]
"""Bits a second, and alpha in seconds."""
MOST_BYTES = 6e9
"""Of all messages that 64 ranks of this process have received at once."""


@dataclass(frozen=True)
class Case:
    """A method with its own parameters; apart: tokens that do not compete."""

    method: str
    apart: int
    share: int = 0

    @property
    def name(self) -> str:
        return f"`{self.method}`" + (f", `share` {self.share}" if self.share else "")

    def sizes(self, tokens: int, value_dim: int) -> Sizes:
        return Sizes(tokens, GROUP, value_dim, self.apart, share=self.share)


CASES = [
    *(Case(method, 0) for method in ("ahakv", "h2o", "snapkv", "pyramidkv", "streamingllm", "keydiff", "random")),
    Case("taskkv", 0),
    Case("windowkv", 16),
    Case("dynamickv", 8),
    Case("adakv", 32),
    Case("tova", 1),
    Case("snapkv", 32, 1),
]
CUT = Cut(LAYERS, HEADS, LAYERS // PIPELINE, HEADS // TENSOR, tuple(range(0, LAYERS, LAYERS // PIPELINE)))


def table() -> None:
    names = [f"{rate / 1e9:.0f} Gbit/s, {alpha * 1e6:.0f} us" for rate, alpha in NETWORKS]
    print(f"| | rounds | bytes that a rank sends | {' | '.join(names)} |")
    print("|---|---|---|" + "---|" * len(names))
    for case in CASES:
        sizes = messages(case.method, CUT, case.sizes(TOKENS, 128))
        times = []
        for rate, alpha in NETWORKS:
            both = [sum(way(size, RANKS, alpha, 8 / rate) for size in sizes) for way in (ring, recursive_doubling)]
            times.append(" / ".join(milliseconds(seconds) for seconds in both))
        print(f"| {case.name} | {len(sizes)} | {sum(sizes):,} | {' | '.join(times)} |")


def milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:,.0f}" if seconds >= 0.01 else f"{seconds * 1e3:.1f}"


# -- 64 ranks in this process --------------------------------------------------------------------------------------------------

DIM = 8
WINDOW = 2
"""Of ahakv, whose probabilities are given row by row; what it sends does not depend on it."""
PARTS = [
    Part(range(first, first + CUT.rank_layers), range(head, head + CUT.rank_heads))
    for first in CUT.stages
    for head in range(0, HEADS, CUT.rank_heads)
]


class Given:
    """What layers are observed by. One row of numbers, begun elsewhere in every layer and head."""

    def __init__(self, tokens: int) -> None:
        generator = np.random.default_rng(8)
        self.tokens = tokens
        self.row = generator.standard_gamma(0.2, 2 * tokens).astype(np.float32) + np.float32(1e-6)
        self.keys = generator.standard_normal((1, tokens, DIM), dtype=np.float32)

    def of(self, method: str, layer: int, head: int) -> dict[str, Any]:
        if method in ("keydiff", "streamingllm", "random"):
            return {"keys": self.keys}
        rows = WINDOW if method == "ahakv" else 1
        first = (layer * HEADS + head) * self.tokens // (LAYERS * HEADS)
        row = self.row[first : first + self.tokens]
        numbers = np.broadcast_to(row, (GROUP, rows, self.tokens))
        kind = "probabilities" if method == "ahakv" else "sums"
        values = {"values": self.keys} if method in ("ahakv", "taskkv") else {}
        return {"attention": np.ascontiguousarray(numbers), "kind": kind, **values}


def sent(case: Case, given: Given) -> list[list[int]]:
    """Bytes of each message, by rank."""
    model = kvsieve.Model(LAYERS, GROUP * HEADS, HEADS, DIM)
    more: dict[str, Any] = {"share": case.share} if case.share else {}
    if case.method == "ahakv":
        more["window"] = WINDOW
    group = Threads(RANKS)
    with contextlib.ExitStack() as closing:
        plans = []
        for rank, part in enumerate(PARTS):
            plan = closing.enter_context(plan_of(part, model, case.method, **more))
            joined(plan, PARTS, rank, group.all_gather(rank))
            for index, layer in enumerate(part.layers):
                plan.observe(index, **given.of(case.method, layer, part.heads.start))
            plans.append(plan)
        for result in group.run(lambda rank: plans[rank].finish()):
            if result is not None:
                raise result
    return group.sent


def count(tokens: int) -> bool:
    """Whether every case is as by the formula."""
    given, right = Given(tokens), True
    for case in CASES:
        expected = messages(case.method, CUT, case.sizes(tokens, DIM))
        room = RANKS**2 * max(expected)
        if room > MOST_BYTES:
            print(f"{tokens:>8} {case.name}: not run, {room / 1e9:.0f} GB of messages in one round")
            continue
        begin = time.monotonic()
        found = sent(case, given)
        same = all(of_rank == expected for of_rank in found)
        right = right and same
        said = f"{len(found[0])} rounds, {sum(found[0]):,} bytes, {'' if same else 'NOT '}as by the formula"
        print(f"{tokens:>8} {case.name}: {said} ({time.monotonic() - begin:.0f} s)", flush=True)
    return right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["table", "count"])
    parser.add_argument("tokens", type=int, nargs="*", default=[4096, 65_536])
    chosen = parser.parse_args()
    if chosen.what == "table":
        table()
        return 0
    return 0 if all(count(tokens) for tokens in chosen.tokens) else 1


if __name__ == "__main__":
    sys.exit(main())
