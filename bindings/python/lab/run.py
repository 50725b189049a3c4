"""Runs the lab: tasks x lengths x prompts, each prompt over many settings and shares, into raw CSV files.

    python run.py standard
    python run.py --tasks needle four_keys --settings registry --shares 0.4 0.2 0.12 0.069 0.035 --prompts 100

A unit (a prompt) whose rows are all there is skipped; of others only what is missing is computed. Stop it whenever you want.
Here: options, a process a core, the progress bar. Not here: what a unit is (unit.py), tables (tables.py).
"""

from __future__ import annotations

import os

# Before numpy: a process a core, and one thread each.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
    os.environ.setdefault(variable, "false" if variable.startswith("TOKENIZERS") else "1")

import argparse
import multiprocessing
import sys
import time
from pathlib import Path

import settings
from experiments import EXPERIMENTS, SHARES, Part, wanted
from fetch import cache_folder
from records import Pair, Unit, lacking, merged, read, write
from subjects import SUBJECTS, subject
from tasks import QUERIES, TASKS
from unit import examine

Job = tuple[Unit, Path, list[Pair]]


def main() -> int:
    options = arguments()
    units = wanted(parts(options))
    raw = options.raw or cache_folder() / "raw"
    jobs = [(unit, raw, pairs) for unit, pairs in units.items() if missing(unit, raw, pairs) is not None]
    print(f"{len(units)} units, {len(units) - len(jobs)} of them are there", file=sys.stderr)
    if not jobs:
        return 0
    for model in {unit.model for unit in units}:
        subject(model)  # downloads before there are several processes
    bar = Progress(sum(unit.length for unit, _, _ in jobs))
    with multiprocessing.get_context("spawn").Pool(min(options.processes, len(jobs))) as pool:
        for unit, seconds in pool.imap_unordered(work, jobs):
            bar.advance(unit, seconds)
    bar.close()
    return 0


def parts(options: argparse.Namespace) -> list[Part]:
    """Those of the named experiments, or the one that the options describe."""
    if options.experiments:
        return [part for name in options.experiments for part in EXPERIMENTS[name]]
    tasks = options.tasks or [name for name, task in TASKS.items() if options.model in task.models]
    return [
        Part(
            tasks=tuple(tasks),
            settings=tuple(options.settings),
            shares=tuple(options.shares),
            prompts=options.prompts,
            lengths=tuple(options.lengths),
            queries=QUERIES if options.query == "both" else (options.query,),
            first=options.first,
            model=options.model,
        )
    ]


def work(job: Job) -> tuple[Unit, float]:
    """Makes what is missing of a unit and writes its file; the processor seconds that it took."""
    unit, raw, pairs = job
    start = time.process_time()
    todo = missing(unit, raw, pairs)
    if todo is not None:
        write(unit.path(raw), merged(read(unit.path(raw)), examine(unit, todo), pairs))
    return unit, time.process_time() - start


def missing(unit: Unit, raw: Path, pairs: list[Pair]) -> list[Pair] | None:
    """The pairs that a unit's file does not have; None if it is whole."""
    return lacking(read(unit.path(raw)), pairs)


class Progress:
    """A bar on stderr: units by their tokens, time left by the pace so far."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.units, self.start = total, 0, 0, time.monotonic()

    def advance(self, unit: Unit, seconds: float) -> None:
        self.done += unit.length
        self.units += 1
        left = (time.monotonic() - self.start) * (self.total - self.done) / self.done
        filled = 30 * self.done // self.total
        text = (
            f"[{'#' * filled:30}] {100 * self.done // self.total:3} %, {int(left // 60)} min {int(left % 60):2} s left"
        )
        last = f"{unit.task} {unit.length} {unit.query} {unit.seed}: {seconds:.1f} s"
        ends = "\r" if sys.stderr.isatty() else "\n"
        print(f"{text}; {last:40}", end=ends, file=sys.stderr, flush=True)

    def close(self) -> None:
        minutes = (time.monotonic() - self.start) / 60
        print(f"\n{self.units} units in {minutes:.1f} minutes", file=sys.stderr)


def arguments() -> argparse.Namespace:
    sets = ", ".join(settings.SETS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "experiments", nargs="*", metavar="EXPERIMENT", help=f"of {', '.join(EXPERIMENTS)}; or, without:"
    )
    parser.add_argument("--model", default="smollm2", choices=list(SUBJECTS))
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), help="default: all that the model can be asked")
    parser.add_argument("--settings", nargs="+", default=["registry"], help=f"sets ({sets}) or single settings")
    parser.add_argument("--shares", nargs="+", type=float, default=list(SHARES), help="kept, 0 to 1")
    parser.add_argument("--lengths", nargs="+", type=int, default=[1000], help="tokens of a prompt")
    parser.add_argument("--prompts", type=int, default=20, help="of each task and length")
    parser.add_argument("--first", type=int, default=0, help="number (seed) of the first prompt")
    parser.add_argument("--query", choices=[*QUERIES, "both"], default="both", help="where the question stands")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--raw", type=Path, help="folder of the raw results (default: raw in the cache folder)")
    options = parser.parse_args()
    if unknown := set(options.experiments) - set(EXPERIMENTS):
        parser.error(f"no experiment is called {', '.join(sorted(unknown))}: expected {', '.join(EXPERIMENTS)}")
    try:
        settings.named(options.settings)
    except ValueError as error:
        parser.error(str(error))
    return options


if __name__ == "__main__":
    sys.exit(main())
