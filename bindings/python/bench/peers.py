"""What compressing one layer's KV cache costs here, in kvpress, in torch and in numpy: `make bench-peers`.

The layer has Llama-3-8B's shape: 32 query heads, 8 KV heads, head size 128. From the last 32 queries and all T keys each
contender computes attention, its sum over queries, an average over 7 tokens, the 992 best tokens of each KV head, and
copies their keys and values and those of the last 32 tokens: SnapKV's choice, 1,024 rows a head. Queries are handed over:
nobody projects. Before anything is timed, all contenders must keep the same rows, up to scores so near the cut that
rounding decides; how many differ is printed.

A cell is the median processor time, user and system, of one compression in milliseconds, and its ratio to ours. All
contenders work on the same tensors, in one process and on one thread, and take turns: ours, the next, ..., ours again, so
that what else the machine does falls on all alike, and each finds the caches as another left them.

What a contender keeps between calls it does not pay for; what it allocates in each call it does. glibc's malloc gives
large blocks back to the kernel, and then most of such a call is page faults; so everything is measured a second time with
a malloc that keeps what is freed, as jemalloc and others can be told to. contenders.py has the contenders, layer.py the
tensors and the check.
"""

from __future__ import annotations

import os
import sys

# Before anything that reads them is imported.
os.environ.update({f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "BLIS")})
if "--avx2" in sys.argv:
    os.environ.update(KVSIEVE_ISA="v3", OPENBLAS_CORETYPE="Haswell", MKL_ENABLE_INSTRUCTIONS="AVX2")
    os.environ.update(ATEN_CPU_CAPABILITY="avx2", ONEDNN_MAX_CPU_ISA="AVX2", DNNL_MAX_CPU_ISA="AVX2")

import argparse
import csv
import ctypes
import datetime
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from contenders import CONTENDERS, ONLY_FLOAT32
from layer import Layer, check_same_rows, make_layer

import kvsieve

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
FLOOR = "reading the keys once (np.sum of 64-bit words)"


def reading(layer: Layer) -> Callable[[], object]:
    """What no contender can do without."""
    words = layer.keys.view(torch.uint8).numpy().view(np.uint64)
    return lambda: words.sum()


def keep_freed_memory() -> None:
    """From now on glibc's malloc takes all memory from its heap and returns none of it."""
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD, M_MMAP_MAX of malloc.h
    process = ctypes.CDLL(None)
    if not (process.mallopt(trim_threshold, -1) and process.mallopt(mmap_max, 0)):
        raise OSError("mallopt refused")


def milliseconds(work: Callable[[], object]) -> float:
    began = time.process_time_ns()
    work()
    return (time.process_time_ns() - began) / 1e6


def measure(tokens: int, dtype: torch.dtype, samples: int) -> dict[str, float]:
    """Median milliseconds by contender, ours first."""
    layer = make_layer(tokens, dtype)
    wanted = [name for name in CONTENDERS if dtype == torch.float32 or name not in ONLY_FLOAT32]
    compressing = {name: CONTENDERS[name](layer) for name in wanted}
    print(check_same_rows(layer, compressing), flush=True)  # warms up as well
    works: dict[str, Callable[[], object]] = {**compressing, FLOOR: reading(layer)}
    rounds = [{name: milliseconds(work) for name, work in works.items()} for _ in range(samples)]
    return {name: statistics.median(took[name] for took in rounds) for name in works}


def table(title: str, columns: dict[int, dict[str, float]]) -> str:
    """Markdown: a line a contender, a column a number of tokens, cells `ms (x ours)`."""
    names = list(next(iter(columns.values())))
    lines = ["| " + " | ".join([title, *(f"{tokens:,}" for tokens in columns)]) + " |", "|---|" + "---|" * len(columns)]
    for name in names:
        cells = [f"{took[name]:.1f} ({took[name] / took[names[0]]:.2g}x)" for took in columns.values()]
        lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines)


def processor() -> str:
    fields = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    values = {name.strip(): value.strip() for name, _, value in reversed(fields)}
    numbers = ", ".join(f"{name} {values[name]}" for name in ("cpu family", "model") if name in values)
    return f"{values.get('model name', 'unknown processor')} ({numbers})"


def write(path: Path, measured: dict[tuple[str, str], dict[int, dict[str, float]]]) -> None:
    """A line a cell."""
    instructions = kvsieve.build_info().split(", ")[1]
    with path.open("w", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["processor", "instructions", "date", "dtype", "malloc", "tokens", "who", "ms"])
        for (dtype, malloc), columns in measured.items():
            for tokens, took in columns.items():
                for name, ms in took.items():
                    today = datetime.date.today()
                    lines.writerow([processor(), instructions, today, dtype, malloc, tokens, name, f"{ms:.2f}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384, 32768], help="more than 1,024")
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=list(DTYPES))
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--csv", type=Path, help="where the medians are written as well, for chart.py")
    parser.add_argument("--avx2", action="store_true", help="all contenders as on a processor without AVX-512")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "kvpress", "transformers", "numpy"))
    measured = {}
    for malloc in ("glibc's malloc", "a malloc that keeps what is freed"):
        for dtype in options.dtypes:
            columns = {tokens: measure(tokens, DTYPES[dtype], options.samples) for tokens in options.tokens}
            measured[dtype, malloc] = columns
        keep_freed_memory()
    print(f"\n{processor()}; {kvsieve.build_info()}; {packages}; {datetime.date.today()}")
    print(f"processor milliseconds of one layer, median of {options.samples}, one thread (times ours)")
    for title, columns in measured.items():
        print(f"\n{table(', '.join(title), columns)}")
    if options.csv:
        write(options.csv, measured)


if __name__ == "__main__":
    main()
