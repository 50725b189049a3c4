"""Draws the lab's pictures into results/: each a png under 200 kB.

    python pictures.py                                    all that there are numbers for
    python pictures.py prompt grid --share 0.12           some

    prompt   kept.png, kept-best.png, kept-all.png, rows.png: one real prompt through the methods; needs the model (fetch.py)
    grid     needle-grid.png: digits right by depth and length; needs raw results (run.py)
    curves   right-*.png, kl-*.png: against the share kept; needs the CSV files of results (tables.py cells)
    cost     cost.png: bytes and time; needs results/cost.csv (cost.py)

Here: which pictures, from where, to where. Not here: drawing (draw_*.py), numbers.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before numpy: one thread
    os.environ.setdefault(variable, "1")

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cost
import draw_prompt
import points
import settings
from draw_cost import costs_picture
from draw_curves import curves
from draw_grid import grid
from fetch import cache_folder
from records import read_all

import kvsieve
from kvsieve import plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
MAIN = ["ahakv", "taskkv", "windowkv", "dynamickv", "snapkv", "streamingllm"]
"""The four methods that the library is about, the field's baseline, and the first and most recent tokens."""
BEST = ["ahakv k15", "taskkv k15", "windowkv", "dynamickv k15", "streamingllm"]
"""For exact strings; of the last, what it is worth to look at nothing."""
UNEVEN = ["taskkv", "windowkv", "dynamickv", "pyramidkv", "adakv"]
"""Those whose heads or layers do not all keep the same number of rows."""
LARGEST = 200_000
"""Bytes of a picture."""

Picture = tuple[str, "Figure"]


def main() -> int:
    options = arguments()
    kinds = {"prompt": of_prompt, "grid": of_grid, "curves": of_curves, "cost": of_cost}
    options.out.mkdir(parents=True, exist_ok=True)
    failed = False
    for kind in options.kinds or kinds:
        try:
            for name, figure in kinds[kind](options):
                file = options.out / f"{name}.png"
                plot.save(figure, file)
                size = file.stat().st_size
                failed |= size > LARGEST
                print(f"{file} {size:,} bytes{', more than allowed' if size > LARGEST else ''}")
        except (OSError, ValueError) as error:
            failed |= bool(options.kinds)  # who asks for all has those that there are numbers for
            print(f"{kind}: {error}", file=sys.stderr)
    return 1 if failed else 0


def of_prompt(options: argparse.Namespace) -> Iterator[Picture]:
    plain = [method.name for method in kvsieve.methods()]
    one = draw_prompt.read(
        settings.named([*plain, *(name for name in BEST if name not in plain)]),
        options.share,
        options.length,
        options.seed,
    )
    print(f"prompt {options.seed}, {len(one.words)} tokens: the whole cache has {one.digits['full']} of 5 digits right")
    yield "kept", draw_prompt.kept_picture(one, MAIN, words=True)
    yield "kept-best", draw_prompt.kept_picture(one, BEST, words=False)
    yield "kept-all", draw_prompt.kept_picture(one, plain, words=False)
    yield "rows", draw_prompt.rows_picture(one, UNEVEN, options.share)


def of_grid(options: argparse.Namespace) -> Iterator[Picture]:
    chosen = settings.named(options.settings)
    current = {setting.name: setting.digest for setting in chosen}
    rows = (
        row
        for row in read_all(options.raw or cache_folder() / "raw")
        if current.get(row.setting, row.digest) == row.digest
    )
    yield "needle-grid", grid(rows, list(current), options.share)


def of_curves(options: argparse.Namespace) -> Iterator[Picture]:
    files = options.results or [
        *sorted((HERE / "results").glob("registry*.csv")), *(HERE / "small").glob("results.csv"),
    ]  # fmt: skip
    if not files:
        raise ValueError(f"no CSV file in {HERE / 'results'}: make one with tables.py cells")
    order = [setting.name for setting in settings.named(list(settings.SETS))]
    for measure in (points.RIGHT, points.KL):
        for file in files:
            for place, found in points.by_place(points.read(file, measure)).items():
                # An answer of many words is never right to the last; of one that can be right the KL says less.
                exact = place.task not in ("continuation", "summary")
                if exact == (measure == points.RIGHT) and len({point.share for point in found}) > 2:
                    name = f"{measure}-{place.model}-{place.task}-{place.length}".replace(", ", "-").replace(" ", "-")
                    yield name, curves(found, measure, order)


def of_cost(_: argparse.Namespace) -> Iterator[Picture]:
    yield "cost", costs_picture(cost.read(HERE / "results" / "cost.csv"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help="prompt, grid, curves, cost; default all")
    parser.add_argument("--share", type=float, default=0.12, help="kept, of prompt and grid (default 0.12)")
    parser.add_argument("--length", type=int, default=1000, help="tokens of the prompt (default 1000)")
    parser.add_argument("--seed", type=int, default=4, help="number of the needle prompt (default 4)")
    parser.add_argument("--settings", nargs="+", default=["registry"], help="of the grid: sets or single settings")
    parser.add_argument("--raw", type=Path, help="folder of the raw results (default: raw in the cache folder)")
    parser.add_argument("--results", type=Path, nargs="+", help="CSV files of the curves (default: the committed ones)")
    parser.add_argument("--out", type=Path, default=HERE / "results", help="folder of the pictures (default: results)")
    options = parser.parse_args()
    if unknown := sorted(set(options.kinds) - {"prompt", "grid", "curves", "cost"}):
        parser.error(f"no such pictures: {', '.join(unknown)}; there are prompt, grid, curves, cost")
    return options


if __name__ == "__main__":
    sys.exit(main())
