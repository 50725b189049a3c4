"""python -m kvsieve.plot: a picture of what methods keep of a cache in a file.

Exit status 0 if the picture was written; 2 with one sentence on stderr if an argument, a file or the library refuses; 141 if
what reads the output of --help has gone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import KVSieveError, Plan
from .._cache import FILE, read_cache, read_words
from .._command import can_be_written, chosen, parameters, program
from . import kept, rows, save


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m kvsieve.plot",
        description="Draws which rows of a KV cache a method keeps.",
        epilog=FILE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("file", metavar="FILE.npz", type=Path, help="the cache, see below")
    made.add_argument("--method", metavar="NAME", action="append", required=True, help="several: one under the other")
    made.add_argument(
        "--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], dest="settings",
        help="parameters: budget=256 of all methods that have it, snapkv.window=16 of one method",
    )  # fmt: skip
    made.add_argument("--words", metavar="FILE", type=Path, help="T texts: a .json list of strings, or one a line")
    made.add_argument("--passage", metavar="FIRST:END", help="of the words only these positions")
    made.add_argument("--mark", metavar="NAME=FIRST:END", action="append", default=[], help="a passage to point out")
    made.add_argument("--rows", action="store_true", help="draw rows by layer and head instead of positions")
    made.add_argument("--scale", type=float, default=0.0, help="of the logits; default 1/sqrt(D)")
    made.add_argument("-o", "--output", metavar="PNG", type=Path, default=Path("kept.png"), help="default kept.png")
    return made


def span(text: str, argument: str) -> tuple[int, int]:
    """FIRST:END."""
    first, colon, end = text.partition(":")
    if not colon or not first.isdecimal() or not end.isdecimal():
        raise ValueError(f"{argument} is {text!r}: expected FIRST:END, for example 400:460")
    return int(first), int(end)


def draw(options: argparse.Namespace) -> None:
    names = chosen(options.method)
    given = parameters(names, options.settings)
    can_be_written(options.output)
    passage = span(options.passage, "--passage") if options.passage else None
    marks = {}
    for mark in options.mark:
        name, equals, place = mark.rpartition("=")
        if not equals:
            raise ValueError(f"--mark is {mark!r}: expected NAME=FIRST:END, for example needle=400:412")
        marks[name] = span(place, f"--mark {name}")
    cache = read_cache(options.file)
    words = read_words(options.words, cache.tokens) if options.words else None
    plans: dict[str, Plan] = {}
    try:
        for name in names:
            try:
                plans[name] = cache.through(name, given[name], options.scale)
            except KVSieveError as error:
                raise ValueError(f"{name}: {error.message}") from None
        figure = rows(plans) if options.rows else kept(plans, words, passage=passage, marks=marks)
    finally:
        for plan in plans.values():
            plan.close()
    save(figure, options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    try:
        draw(options)
    except (OSError, TypeError, ValueError, ImportError, KVSieveError) as error:
        print(f"{made.prog}: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(program(main))
