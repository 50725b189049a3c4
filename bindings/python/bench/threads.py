"""64 plans on 8 threads of one process, and the same 64 one after the other, from C (plans.c) and from Python's threads.

    python bindings/python/bench/threads.py [SAMPLES]      KVSIEVE_LIBRARY names the library; it needs a C compiler

A plan is a sequence of two layers of Llama-3-8B's shape and 4,096 tokens in float32: observe, finish, gather of keys and
values. There are 8 prompts, more than caches hold. Both ways take turns. A number is the median of its samples; "at best" is
that of the fastest samples, which other work on the machine disturbed least:

    by CPU time   processor time in sequence divided by that on threads: 1 if plans cost each other nothing
    speed-up      wall time likewise; at most the number of cores
    cores         processor time by wall time, on threads: what is missing to the machine's cores others had
"""

from __future__ import annotations

import datetime
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import kvsieve

ROOT = Path(__file__).resolve().parents[3]
PLANS, CREW, LAYERS, QUERY_HEADS, HEADS, DIM, TOKENS, WINDOW, BUDGET = 64, 8, 2, 32, 8, 128, 4096, 32, 1024
Sample = tuple[float, float, float, float]  # processor and wall seconds in sequence, then on threads


def from_c(samples: int) -> list[Sample]:
    library = Path(os.environ["KVSIEVE_LIBRARY"])
    with tempfile.TemporaryDirectory() as folder:
        program = f"{folder}/plans"
        include = (f"-I{ROOT / 'include'}", f"-I{ROOT / 'bindings/c'}")
        source = Path(__file__).with_name("plans.c")
        command = ["cc", "-std=c11", "-O2", "-pthread", *include, str(source), str(library), "-o", program]
        subprocess.run([*command, f"-Wl,-rpath,{library.parent}"], check=True)
        done = subprocess.run([program, str(samples)], capture_output=True, text=True, check=True)
    found = [tuple(map(float, line.split())) for line in done.stdout.splitlines()]
    return [(a, b, c, d) for a, b, c, d in found]


def from_python(samples: int) -> list[Sample]:
    rng = np.random.default_rng(1)
    shapes = ((QUERY_HEADS, WINDOW, DIM), (HEADS, TOKENS, DIM), (HEADS, TOKENS, DIM))
    prompts = [
        [[rng.standard_normal(shape, np.float32) for shape in shapes] for _ in range(LAYERS)] for _ in range(CREW)
    ]
    rooms = [np.zeros((HEADS, BUDGET, DIM), np.float32) for _ in range(PLANS)]
    model = kvsieve.Model(LAYERS, QUERY_HEADS, HEADS, DIM)
    plans = [kvsieve.Plan("snapkv", model, budget=BUDGET, window=WINDOW) for _ in range(PLANS)]

    def compress(number: int) -> None:
        plan, prompt, room = plans[number], prompts[number % CREW], rooms[number]
        plan.reset()
        for layer, (queries, keys, _) in enumerate(prompt):
            plan.observe(layer, queries, keys)
        plan.finish()
        for layer, (_, keys, values) in enumerate(prompt):
            plan.gather(layer, keys, room)
            plan.gather(layer, values, room)

    def in_sequence() -> None:
        for number in range(PLANS):
            compress(number)

    def on_threads() -> None:
        with ThreadPoolExecutor(CREW) as crew:
            list(crew.map(compress, range(PLANS)))

    in_sequence()
    return [(*timed(in_sequence), *timed(on_threads)) for _ in range(samples)]


def timed(work: Callable[[], None]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def row(name: str, samples: list[Sample]) -> str:
    """Both ratios, each as median and at best, then the cores."""
    cells = [f"{1e3 * statistics.median(sample[0] for sample in samples) / PLANS:.1f}"]
    for before, after in ((0, 2), (1, 3)):
        ratio = statistics.median(sample[before] / sample[after] for sample in samples)
        best = min(sample[before] for sample in samples) / min(sample[after] for sample in samples)
        cells += [f"{ratio:.2f}", f"{best:.2f}"]
    cores = statistics.median(sample[2] / sample[3] for sample in samples)
    return " | ".join([f"| {name}", *cells, f"{cores:.2f} |"])


def main() -> None:
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    today = datetime.datetime.now(datetime.UTC).date()
    print(f"{kvsieve.build_info()}; {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}, {today}\n")
    print(f"| {PLANS} plans on {CREW} threads | CPU ms a plan | by CPU time | at best | speed-up | at best | cores |")
    print("|---|---|---|---|---|---|---|")
    print(row("C", from_c(samples)), flush=True)
    print(row("Python", from_python(samples)), flush=True)


if __name__ == "__main__":
    main()
