"""python -m kvsieve: the library that is loaded and its methods; python -m kvsieve check: whether it computes what it must; python -m
kvsieve compare: methods on a cache in a file.

Exit status 0; 2 with one sentence on stderr if an argument, a file or the library refuses; 141 if what reads the output has gone.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import KVSieveError, build_info, methods, self_check
from ._cache import FILE, read_cache
from ._command import can_be_written, chosen, parameters, program
from ._compare import ROWS, Comparison, compare

SHARE = 0.12
"""Of the tokens are kept, if nothing is said."""

COLUMNS = f"""rows   kept rows of a head, the mean, and their share of the tokens
mass   the share of the attention of the last {ROWS} queries that kept rows hold: the mean, and the least of any layer and head
error  how far attention's output over kept rows is from that over all, as a share of it: the mean over the layers
       (mass and error need q, error needs v: else they are -)
ms     observe, finish and gather of all layers, the median of three
"""


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m kvsieve", description="Without a command: the library that is loaded and its methods."
    )
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser(
        "check", help="whether the library computes what it must on this processor",
        description="Every kernel on fixed numbers against double, a plan of each method against a stored answer. If all is as it"
        " must be and an engine's answers are not, the engine is to be looked at.",
    )  # fmt: skip
    compared = commands.add_parser(
        "compare", help="what methods keep of a cache of yours, and what that does to its attention",
        description="Compares methods on a KV cache.", epilog=FILE + "\n" + COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    compared.add_argument("file", metavar="FILE.npz", type=Path, help="the cache, see below")
    compared.add_argument(
        "--keep",
        metavar="SHARE",
        type=float,
        help=f"of the tokens, where --set gives no budget or ratio; default {SHARE}",
    )
    compared.add_argument("--method", metavar="NAME", action="append", help="several may be given; default all")
    compared.add_argument(
        "--set", metavar="NAME=VALUE", nargs="+", action="extend", default=[], dest="settings",
        help="parameters: pool_kernel=15 of all methods that have it, snapkv.window=16 of one method",
    )  # fmt: skip
    compared.add_argument("--scale", type=float, default=0.0, help="of the logits; default 1/sqrt(D)")
    compared.add_argument("-o", "--output", metavar="PNG", type=Path, help="a picture of the table (needs matplotlib)")
    return made


def describe() -> None:
    print(build_info())
    for method in methods():
        print(
            f"  {method.name:13}{method.paper}{': decodes' if method.decodes else ''}\n{'':15}choose it when {method.choose}"
        )


def checked() -> None:
    print(build_info(), flush=True)
    begin = time.perf_counter()
    self_check()
    took = 1000 * (time.perf_counter() - begin)
    print(f"kernels and {len(methods())} methods compute what they must ({took:.0f} ms)")


def line(cells: Sequence[str]) -> str:
    first, *others = cells
    return f"{first:13}" + "".join(f"{cell:>9}" for cell in others)


def printed(row: Comparison) -> str:
    shares = ["-" if math.isnan(share) else f"{100 * share:.1f} %" for share in (row.share, row.mass, row.mass_least)]
    error = "-" if math.isnan(row.error) else f"{row.error:.3f}"
    return line([row.method, f"{row.rows:.1f}", *shares, error, f"{1000 * row.seconds:.1f}"])


def one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def sized(given: dict[str, dict[str, Any]], keep: float | None) -> dict[str, dict[str, Any]]:
    """The parameters of each method, with the share to keep where --set gives no budget or ratio."""
    if keep is not None and not 0 < keep <= 1:
        raise ValueError(f"--keep is {keep:g}: expected a share of the tokens, more than 0 and at most 1")
    for name, own in given.items():
        if "budget" in own and "ratio" in own:
            raise ValueError(f"--set gives {name} a budget and a ratio: expected one of them")
    own_size = {name: "budget" in own or "ratio" in own for name, own in given.items()}
    if keep is not None and all(own_size.values()):
        raise ValueError(f"--keep is {keep:g}, and --set gives every method a budget or ratio: expected one of them")
    share = {"ratio": SHARE if keep is None else keep}
    return {name: own if own_size[name] else {**share, **own} for name, own in given.items()}


def table(options: argparse.Namespace) -> None:
    names = chosen(options.method or [method.name for method in methods()])
    given = sized(parameters(names, options.settings), options.keep)
    if options.output is not None:
        from .plot import _sheet

        _sheet.matplotlib()  # or it would be missed after all methods ran
        can_be_written(options.output)
    cache = read_cache(options.file)
    if options.output is not None and cache.q is None:
        raise ValueError(
            f"--output draws the attention that rows hold, which {options.file} does not tell: expected an array q"
        )
    print(line(["", "rows", "share", "mass", "least", "error", "ms"]))
    made = []
    for name in names:
        try:
            made.append(compare(cache, name, given[name], options.scale))
            print(printed(made[-1]), flush=True)
        except ValueError as error:
            print(f"{name:13}refused: {one_line(error)}")
    if not made:
        raise ValueError(f"no method could choose from {options.file}")
    if options.output is not None:
        from . import plot

        plot.save(plot.compared(made), options.output)


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    options = made.parse_args(arguments)
    try:
        if options.command is None:
            describe()
        elif options.command == "check":
            checked()
        else:
            table(options)
    except BrokenPipeError:
        raise
    except (OSError, TypeError, ValueError, ImportError, MemoryError, KVSieveError) as error:
        print(f"{made.prog}: {one_line(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(program(main))
