"""What the command lines share: methods and parameters as they are given, the file to write, the end of the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ._methods import find_method, plain

READER_GONE = 141
"""A shell's word for SIGPIPE, of which other programs end."""


def number_or_word(text: str) -> Any:
    """A value as Plan takes it: an int, a float, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def chosen(names: Sequence[str]) -> list[str]:
    """The methods as the library names them, each once. ValueError if there is none such."""
    return list(dict.fromkeys(find_method(name).name for name in names))


def parameters(names: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By method what --set gives it; `names` are those of chosen(). ValueError for a setting that no method takes."""
    known = {name: find_method(name) for name in names}
    given: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key or not value:
            raise ValueError(f"--set is {setting!r}: expected NAME=VALUE, for example budget=256")
        method, dot, parameter = key.rpartition(".")
        if dot and plain(method) not in known:
            raise ValueError(f"--set {setting}: {method!r} is not among the methods drawn, {', '.join(names)}")
        for name in [plain(method)] if dot else names:
            if any(info.name == parameter for info in known[name].parameters):
                given[name][parameter] = number_or_word(value)
            elif dot or len(names) == 1:
                known[name].parameter(parameter)  # raises, and says which there are
        if not any(parameter in taken for taken in given.values()):
            raise ValueError(f"--set {setting}: none of {', '.join(names)} has a parameter {parameter!r}")
    return given


def can_be_written(output: Path) -> None:
    """ValueError if no file can be written there: to be asked before the work, whose result would be lost."""
    if output.is_dir():
        raise ValueError(f"--output is {output}, a folder: expected a file's name")
    if not output.parent.is_dir():
        raise ValueError(f"--output is {output}: there is no folder {output.parent}")
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise ValueError(f"--output is {output}: it may not be written")


def program(main: Callable[[], int]) -> int:
    """main's exit status. READER_GONE, without a word, if what reads the output has gone; 2 if it cannot be written."""
    try:
        try:
            return main()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        # Or the interpreter would try it again at its end, and say so.
        if sys.stdout is not None:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return READER_GONE
        print(f"the output cannot be written: {error}", file=sys.stderr)
        return 2
