"""What a method costs on a real prompt: bytes of the cache before and after, processor time inside the library.

    python cost.py results/cost.csv --lengths 1000 4000

Here: measuring, and the CSV file. Not here: drawing (draw_cost.py), time of other stacks (bench/peers.py).
Letters: L layers, H key/value heads, T tokens, D head size.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy: one thread
    os.environ.setdefault(variable, "1")

import argparse
import csv
import datetime
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import settings
from llama import Llama, Prefix
from setting import Setting
from subjects import subject
from tasks import SEEN, TASKS

import kvsieve


@dataclass(frozen=True)
class Cost:
    setting: str
    tokens: int
    share: float
    """Asked for."""
    before: int
    """Bytes of all keys and values of the prompt, float32."""
    after: int
    """Bytes of those that are kept."""
    milliseconds: float
    """Processor time of observe, finish and the gathers of all layers, one thread: the median of the repeats."""
    repeats: int
    machine: str
    date: str


class Engine:
    """A plan of one setting, and what it does with a prompt."""

    def __init__(self, setting: Setting, llama: Llama, share: float) -> None:
        model = kvsieve.Model(llama.layers, llama.query_heads, llama.kv_heads, llama.head_dim)
        self.setting = setting
        self.plan = kvsieve.Plan(setting.method, model, **{**setting.parameters, "ratio": share})
        self.bytes = 0
        self.times: list[float] = []

    def compress(self, prefix: Prefix) -> None:
        """One prompt from observe to the last gather."""
        self.plan.reset()
        start = time.process_time()
        for layer, arrays in enumerate(zip(prefix.queries, prefix.keys, prefix.values)):
            self.plan.observe(layer, *arrays)
        self.plan.finish()
        self.bytes = 0
        for layer, (keys, values) in enumerate(zip(prefix.keys, prefix.values)):
            self.bytes += self.plan.gather(layer, keys).nbytes + self.plan.gather(layer, values).nbytes
        self.times.append(1e3 * (time.process_time() - start))


def measure(chosen: Sequence[Setting], share: float, length: int, repeats: int) -> list[Cost]:
    """All settings in turns, so that what else the machine does meets all of them. A first turn is not counted."""
    model = subject("smollm2")
    prefix = model.llama.prefill(TASKS["needle"].make(model.words, length, 0, SEEN).context)
    before = sum(array.nbytes for array in [*prefix.keys, *prefix.values])
    engines = [Engine(setting, model.llama, share) for setting in chosen]
    for _ in range(repeats + 1):
        for engine in engines:
            engine.compress(prefix)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    costs = []
    for engine in engines:
        median = statistics.median(engine.times[1:])
        about = (engine.setting.name, prefix.tokens, share, before, engine.bytes, round(median, 2))
        costs.append(Cost(*about, repeats, machine(), today))
    return costs


def machine() -> str:
    """The processor's name, and which instructions the library uses."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else 'processor unknown'}, {kvsieve.build_info().split(', ')[1]}"


def write(path: Path, costs: Iterable[Cost]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Cost)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(cost) for cost in costs)


def read(path: Path) -> list[Cost]:
    kinds = {field.name: {"int": int, "float": float, "str": str}[str(field.type)] for field in fields(Cost)}
    with path.open(newline="") as file:
        return [Cost(**{name: kinds[name](text) for name, text in row.items()}) for row in csv.DictReader(file)]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("file", type=Path, help="the CSV file that is written")
    parser.add_argument("--settings", nargs="+", default=["registry"])
    parser.add_argument("--share", type=float, default=0.12)
    parser.add_argument("--lengths", nargs="+", type=int, default=[1000, 4000])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    chosen = [setting for setting in settings.named(options.settings) if not setting.ours]
    costs = []
    for length in options.lengths:
        print(f"{length} tokens, {len(chosen)} settings", file=sys.stderr)
        costs += measure(chosen, options.share, length, options.repeats)
    write(options.file, costs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
