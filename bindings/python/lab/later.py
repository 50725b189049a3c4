"""What happens after a prefill: caches that are held while decoding, free generation, follow-up questions.

    python later.py run decoding --prompts 8          raw results; stop it whenever you want, it goes on where it was
    python later.py cells decoding results/decoding.csv
    python later.py show results/decoding.csv --measure kl --parts text

Here: the three experiments as data, options, processes. Not here: what they do (decoding.py, generation.py, followups.py).
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy: a process a core, and one thread each

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import followups
import generation
import settings
from fetch import cache_folder
from later_cells import MEASURES, LaterCell, cells, markdown
from later_records import Later, Stage
from records import Pair, lacking, merged, read_as, write
from setting import FULL
from subjects import subject
from tasks import QUERIES

import decoding
import kvsieve


@dataclass(frozen=True)
class Experiment:
    examine: Callable[[Sequence[Stage], Sequence[Pair]], list[Later]]
    tasks: tuple[str, ...]
    sizes: tuple[float, ...]
    length: int
    more: int
    prompts: int
    compared: str
    """The setting of paired differences."""
    decodes: bool = False
    """Only methods that evict while decoding."""
    together: int = 1
    """Prompts that are examined at once, at most."""


EXPERIMENTS = {
    "decoding": Experiment(
        decoding.examine, ("text",), (160, 256), 500, 600, 16, "streamingllm", decodes=True, together=8
    ),
    "generation": Experiment(generation.examine, ("summary", "continuation"), (0.2, 0.069), 1000, 64, 16, "snapkv"),
    "followups": Experiment(followups.examine, QUERIES, (0.2, 0.12), 1000, 3, 30, "snapkv k15"),
}

Job = tuple[str, list[Stage], Path, list[Pair]]


def main() -> int:
    options = arguments()
    if options.command == "show":
        found = [cell for cell in read_as(LaterCell, options.file) if shown(cell, options)]
        print(markdown(found, options.measure))
    elif options.command == "cells":
        compared = options.compared or EXPERIMENTS[options.experiment].compared
        write(options.file, cells(asked_for(options), compared), digits=4, ends="\n")
    else:
        make(jobs(options), options.processes)
    return 0


def shown(cell: LaterCell, options: argparse.Namespace) -> bool:
    """Whether a cell is among the parts, settings and tasks that are asked for; the whole cache is."""
    chosen = ((cell.part, options.parts), (cell.setting, options.settings), (cell.task, options.tasks))
    return all(not names or name in names or name == FULL for name, names in chosen)


def pairs(options: argparse.Namespace) -> list[Pair]:
    experiment = EXPERIMENTS[options.experiment]
    decode = {method.name for method in kvsieve.methods() if method.decodes}
    able = [one for one in settings.named(options.settings) if not one.ours]
    if experiment.decodes:
        able = [one for one in able if one.method in decode]
    return [(setting, size) for setting in able for size in options.sizes or experiment.sizes]


def stages(options: argparse.Namespace) -> list[Stage]:
    """Prompt 0 of everything first."""
    experiment = EXPERIMENTS[options.experiment]
    seeds = range(options.first, options.first + (options.prompts or experiment.prompts))
    return [
        Stage(options.experiment, "smollm2", task, experiment.length, experiment.more, seed)
        for seed in seeds
        for task in options.tasks or experiment.tasks
    ]


def folder(options: argparse.Namespace) -> Path:
    raw: Path = options.raw or cache_folder() / "raw-later"
    return raw


def jobs(options: argparse.Namespace) -> list[Job]:
    """Stages that lack rows; those that lack the same may be examined together."""
    groups: list[tuple[list[Stage], list[Pair]]] = []
    for stage in stages(options):
        missing = lacking(read_as(Later, stage.path(folder(options))), pairs(options))
        if missing is None:
            continue
        if groups and groups[-1][1] == missing and len(groups[-1][0]) < EXPERIMENTS[options.experiment].together:
            groups[-1][0].append(stage)
        else:
            groups.append(([stage], missing))
    return [(options.experiment, some, folder(options), missing) for some, missing in groups]


def make(todo: Sequence[Job], processes: int) -> None:
    print(f"{sum(len(job[1]) for job in todo)} prompts to examine", file=sys.stderr)
    if not todo:
        return
    subject("smollm2")  # downloads before there are several processes
    start = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(min(processes, len(todo))) as pool:
        for done, (some, seconds) in enumerate(pool.imap_unordered(work, todo), 1):
            left = (time.monotonic() - start) * (len(todo) - done) / done / 60
            names = f"{some[0].task} {', '.join(str(stage.seed) for stage in some)}"
            print(
                f"{names}: {seconds / len(some):.0f} CPU s a prompt; {left:.0f} min left", file=sys.stderr, flush=True
            )


def work(job: Job) -> tuple[list[Stage], float]:
    """Makes what stages lack and writes their files; the processor seconds that it took."""
    name, some, raw, missing = job
    start = time.process_time()
    made = EXPERIMENTS[name].examine(some, missing)
    for stage in some:
        own = [row for row in made if row.seed == stage.seed]
        write(stage.path(raw), merged(read_as(Later, stage.path(raw)), own, missing))
    return some, time.process_time() - start


def asked_for(options: argparse.Namespace) -> Iterator[Later]:
    """The raw rows of an experiment, made with the parameters that settings have now."""
    keys = {(setting.name, setting.digest, size) for setting, size in pairs(options)}
    for stage in stages(options):
        rows = read_as(Later, stage.path(folder(options)))
        yield from (row for row in rows if row.key in keys or row.setting == FULL)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("run", help="makes raw results")
    first.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    second = commands.add_parser("cells", help="raw results to a small CSV file")
    second.add_argument("--compared", help="the setting of paired differences")
    for command in (first, second):
        command.add_argument("experiment", choices=list(EXPERIMENTS))
        command.add_argument("--settings", nargs="+", default=["registry"], help="sets or single settings")
        command.add_argument("--sizes", nargs="+", type=float, help="shares, or rows a head for decoding")
        command.add_argument("--tasks", nargs="+")
        command.add_argument("--prompts", type=int)
        command.add_argument("--first", type=int, default=0, help="number (seed) of the first prompt")
        command.add_argument(
            "--raw", type=Path, help="folder of the raw results (default: raw-later in the cache folder)"
        )
    third = commands.add_parser("show", help="a CSV file to markdown")
    third.add_argument("--measure", choices=list(MEASURES), default="kl")
    for name in ("parts", "settings", "tasks"):
        third.add_argument(f"--{name}", nargs="+", default=[], help="these; default: all")
    for command in (second, third):
        command.add_argument("file", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
