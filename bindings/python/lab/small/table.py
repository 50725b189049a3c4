"""Every method of the library x tasks x kept share, on both small models: counts, 95 % intervals, a table.

    python table.py                           # 200 prompts a task; results.csv and results.md
    python table.py --prompts 40 --models "6 layers" --tasks recall copy --csv few.csv --markdown few.md

A run that was ended goes on where it was: outcomes are appended to --raw as prompts are done.
Here: what is run, processes, progress. Not here: how a question is answered (answers.py), parameters (settings.py), counting.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):  # before numpy is loaded: cores are taken by processes
    os.environ.setdefault(variable, "1")

from answers import MODELS, Answerer, Outcome
from counting import cells_of, write_csv
from raw import Raw, Unit, open_raw
from report import markdown
from settings import SHARES, WINDOW, settings
from tasks import TASKS, QuestionMaker

import kvsieve
from kvsieve._library import library  # where the library's file is

HERE = Path(__file__).resolve().parent
RAW = HERE.parents[3] / ".build" / "lab-small"
LACKING = {("4 layers", "copy")}
"""What a model cannot do from its full cache (README): there is nothing to lose."""


def depends_on(model: str, seed: int) -> str:
    """What outcomes depend on, in a line: seed, weights, parameters, the library to its last byte."""
    digest = hashlib.sha256((MODELS[model] / "model.safetensors").read_bytes())
    digest.update(Path(library()._name).read_bytes())
    rows = [(one.name, one.method, sorted(one.own.items())) for one in settings()]
    digest.update(repr((WINDOW, SHARES, rows)).encode())
    return f"{model}, seed {seed}, kvsieve {kvsieve.version()}, {digest.hexdigest()[:16]}"


_answerers: dict[tuple[str, int], Answerer] = {}  # of a process


def work(unit: Unit, seed: int) -> tuple[Unit, list[Outcome]]:
    """All outcomes of one prompt."""
    model, task, index = unit
    if (model, seed) not in _answerers:
        _answerers[model, seed] = Answerer(model, seed)
    cells = [(setting, share) for share in SHARES for setting in settings()]
    return unit, _answerers[model, seed].examine(task, index, cells)


def done(units: list[Unit], seed: int, processes: int) -> Iterator[tuple[Unit, list[Outcome]]]:
    """The units' outcomes as they come."""
    if processes == 1:
        yield from (work(unit, seed) for unit in units)
        return
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for job in as_completed([pool.submit(work, unit, seed) for unit in units]):
            yield job.result()


def run(raws: dict[str, Raw], units: list[Unit], seed: int, processes: int) -> None:
    """What is not in a model's raw file yet; a line of progress to stderr, in place on a terminal, else every 20 prompts."""
    missing = [unit for unit in units if unit not in raws[unit[0]].outcomes]
    start = time.perf_counter()
    for number, (unit, outcomes) in enumerate(done(missing, seed, processes), 1):
        raws[unit[0]].add(unit, outcomes)
        if sys.stderr.isatty() or number % 20 == 0 or number == len(missing):
            seconds = time.perf_counter() - start
            left = seconds / number * (len(missing) - number)
            ending = "\r" if sys.stderr.isatty() and number < len(missing) else "\n"
            so_far = len(units) - len(missing) + number
            line = f"{so_far} of {len(units)} prompts, {left:.0f} s left: {unit[0]}, {unit[1]}"
            print(f"{line:<80}", end=ending, file=sys.stderr, flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--prompts", type=int, default=200, help="of each task (default 200)")
    options.add_argument("--seed", type=int, default=0, help="of the questions (default 0)")
    options.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    options.add_argument("--processes", type=int, default=1, help="each with one thread (default 1)")
    options.add_argument("--raw", type=Path, default=RAW, help="folder of a file a model, outcome by outcome")
    options.add_argument("--csv", type=Path, default=HERE / "results.csv")
    options.add_argument("--markdown", type=Path, default=HERE / "results.md")
    chosen = options.parse_args()
    if chosen.prompts < 1 or chosen.processes < 1:
        options.error("--prompts and --processes must be at least 1")
    known = {model: QuestionMaker(MODELS[model], chosen.seed).tasks for model in chosen.models}
    # Prompt by prompt, so that a run that was ended has as many of each task.
    units = [
        (model, task, index)
        for index in range(chosen.prompts)
        for model in chosen.models
        for task in known[model]
        if task in chosen.tasks and (model, task) not in LACKING
    ]
    raws = {
        model: open_raw(chosen.raw / f"{model.replace(' ', '-')}.csv", depends_on(model, chosen.seed))
        for model in chosen.models
    }
    run(raws, units, chosen.seed, chosen.processes)
    cells = [cell for raw in raws.values() for cell in cells_of(raw, chosen.prompts) if cell.task in chosen.tasks]
    write_csv(chosen.csv, cells)
    chosen.markdown.write_text(markdown(cells, f"Seed {chosen.seed}, kvsieve {kvsieve.version()}"))


if __name__ == "__main__":
    main()
