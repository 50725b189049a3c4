"""What the library's own work of a rank takes, beside that of one plan of the whole model divided by the ranks.

    rank_time.py [--tokens 8192] [--layers 32] [--turns 5]

Layers are those of Llama-3-8B: 32 query heads, 8 heads of keys and values, head size 128, float32; four of them, again and again; budget 1,024. Processor time of
the thread that calls, in milliseconds: of observe, all layers, and of finish. What the collective itself takes, Python that copies
between threads, is not in it. One plan, two ranks and four take turns, after one turn that is not counted; a number is the median.
Ranks observe one after the other; in finish they are threads, as they must be. `of ideal` is one plan's time over the sum of all
ranks' times.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from ranks import Part, Threads, heads_of, joined, pipeline_parallel, plan_of, tensor_parallel

import kvsieve

HEADS, GROUP, DIM, BUDGET = 8, 4, 128, 1024
METHODS: dict[str, dict[str, Any]] = {
    "snapkv": {},
    "snapkv, share 1": {"share": 1},
    "adakv": {},
    "dynamickv": {},
    "windowkv": {},
    "taskkv": {"budget": 0, "ratio": 0.3},
    "tova": {},
}


@dataclass
class Times:
    """Seconds of each turn, of all ranks together."""

    observe: list[float] = field(default_factory=list)
    finish: list[float] = field(default_factory=list)

    @property
    def whole(self) -> float:
        return statistics.median(map(sum, zip(self.observe, self.finish)))


class Division:
    """Plans of all parts, which have joined."""

    def __init__(self, method: str, model: kvsieve.Model, parts: list[Part]) -> None:
        name = method.split(",")[0]
        self.group, self.parts, self.model = Threads(len(parts)), parts, model
        self.outside = [0.0] * len(parts)
        parameters = {"budget": BUDGET, "threads": 1, **METHODS[method]}
        self.plans = [plan_of(part, model, name, **parameters) for part in parts]
        if len(parts) > 1:
            for rank, plan in enumerate(self.plans):
                joined(plan, parts, rank, self.timed(rank))
        self.times = Times()

    def timed(self, rank: int) -> Callable[[Any, Any], None]:
        """The collective, with its own processor time added up."""
        gather = self.group.all_gather(rank)

        def timed(send: Any, receive: Any) -> None:
            begin = time.thread_time()
            gather(send, receive)
            self.outside[rank] += time.thread_time() - begin

        return timed

    def turn(self, tensors: list[tuple[Any, Any, Any]], counts: bool) -> None:
        observe = 0.0
        for plan, part in zip(self.plans, self.parts):
            own = [[heads_of(array, part, self.model) for array in tensors[layer]] for layer in part.layers]
            begin = time.thread_time()
            for layer, arrays in enumerate(own):
                plan.observe(layer, *arrays)
            observe += time.thread_time() - begin
        self.outside = [0.0] * len(self.parts)

        def finish(rank: int) -> float:
            begin = time.thread_time()
            self.plans[rank].finish()
            return time.thread_time() - begin - self.outside[rank]

        seconds = self.group.run(finish)
        for plan in self.plans:
            plan.reset()
        if counts:
            self.times.observe.append(observe)
            self.times.finish.append(sum(seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--turns", type=int, default=5)
    chosen = parser.parse_args()
    model = kvsieve.Model(chosen.layers, GROUP * HEADS, HEADS, DIM)
    generator = np.random.default_rng(5)

    def normal(heads: int, tokens: int) -> Any:
        return generator.standard_normal((heads, tokens, DIM), dtype=np.float32)

    sizes = ((GROUP * HEADS, 32), (HEADS, chosen.tokens), (HEADS, chosen.tokens))
    few = [tuple(normal(*size) for size in sizes) for _ in range(4)]
    tensors: list[Any] = [few[layer % 4] for layer in range(chosen.layers)]
    whole = [Part(range(chosen.layers), range(HEADS))]
    print("| | one plan: observe, finish | ranks | a rank: observe, finish | of ideal |")
    print("|---|---|---|---|---|")
    for method in METHODS:
        divisions = {"one": Division(method, model, whole)}
        for ranks in (2, 4):
            divisions[f"{ranks} tensor"] = Division(method, model, tensor_parallel(chosen.layers, HEADS, ranks))
            divisions[f"{ranks} pipeline"] = Division(method, model, pipeline_parallel(chosen.layers, HEADS, ranks))
        for turn in range(chosen.turns + 1):
            for division in divisions.values():
                division.turn(tensors, counts=turn > 0)
        one = divisions.pop("one").times
        for name, division in divisions.items():
            times, ranks = division.times, len(division.parts)
            each = ", ".join(
                f"{statistics.median(seconds) / ranks * 1e3:.2f}" for seconds in (times.observe, times.finish)
            )
            alone = ", ".join(f"{statistics.median(seconds) * 1e3:.2f}" for seconds in (one.observe, one.finish))
            print(f"| `{method}` | {alone} | {name} | {each} | {one.whole / times.whole:.2f} |", flush=True)
        for division in divisions.values():
            for plan in division.plans:
                plan.close()


if __name__ == "__main__":
    main()
