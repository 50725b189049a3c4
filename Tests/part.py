"""A part of `make test`: what parts.py has a table of."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    what: str  # one line for --list: what is compared with what
    command: str
    needs: tuple[str, ...] = ()  # steps
    check: bool = False  # is also in `make check`
    long: bool = False  # is in `make test-long` alone; what it guards is in another part in a smaller form
    instructions: str = ""  # the value of KVSIEVE_ISA; "not on this processor" if the library cannot follow it
    repeats: str = ""  # this part has done the same if the processor's own instructions are these
    unless: str = ""  # a file, which a step may write: if it is there the part is not run, and its text says why
    shares: str = ""  # two that share a word never run at once
    cores: int = 1  # how many cores' worth of other parts must not run meanwhile
    limit: int = 1800  # seconds until it is ended and has failed


def words(command: str) -> list[str]:
    first, *rest = shlex.split(command)
    return [sys.executable if first == "python" else first, *rest]
