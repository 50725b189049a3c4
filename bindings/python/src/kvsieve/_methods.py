"""What methods and parameters the library has, asked of the library. Nothing of it is written down here."""

from __future__ import annotations

import ctypes
import functools
from dataclasses import dataclass
from typing import Any

from ._abi import kvsieve_method_info, kvsieve_parameter_info, sized
from ._library import library
from ._numbers import real
from .errors import check

CHOICES = {"task": {"localization": 0, "aggregation": 1}, "pool": {"mean": 0, "max": 1}}
"""Words for the parameters whose numbers are choices: the one thing that the library cannot be asked for."""


@dataclass(frozen=True)
class ParameterInfo:
    """A parameter of a method. Numbers are int where the parameter takes whole numbers only.

    id        the library's number for it
    name      the keyword for Plan and the key for plan[...]: "budget"
    summary   one line, with the unit
    initial   value in a new plan
    lowest    least value allowed
    highest   greatest value allowed
    integral  0 any number, 1 whole numbers, 2 odd whole numbers
    """

    id: int
    name: str
    summary: str
    initial: float
    lowest: float
    highest: float
    integral: int


@dataclass(frozen=True)
class MethodInfo:
    """A method of the library.

    id          the library's number for it, which Plan takes too
    name        what Plan takes: "dynamickv"
    summary     one line
    choose      one line: choose it when ...
    paper       where the method was published: "arXiv 2412.14838"
    decodes     True if the method evicts while decoding, False if decoding appends
    parameters  a ParameterInfo for each
    """

    id: int
    name: str
    summary: str
    choose: str
    paper: str
    decodes: bool
    parameters: list[ParameterInfo]

    def parameter(self, key: str | int) -> ParameterInfo:
        """The parameter whose name or id is `key`. ValueError, naming those there are, if this method has none such."""
        for info in self.parameters:
            if key == info.name or key == info.id:
                return info
        known = ", ".join(info.name for info in self.parameters)
        raise ValueError(f"{self.name} has no parameter {key!r}: it has {known}")


def methods() -> list[MethodInfo]:
    """The methods of the library that is loaded, in its order."""
    return [method_at(index) for index in range(library().kvsieve_method_count())]


@functools.cache
def method_at(index: int) -> MethodInfo:
    """The method at `index`, 0 or more and less than kvsieve_method_count()."""
    info = sized(kvsieve_method_info)
    check(library().kvsieve_method_at(index, ctypes.byref(info)))
    return MethodInfo(
        id=info.id,
        name=info.name.decode(),
        summary=info.summary.decode(),
        choose=info.choose.decode(),
        paper=info.paper.decode(),
        decodes=bool(info.decodes),
        parameters=[_parameter_at(info.id, number) for number in range(info.parameters)],
    )


def find_method(method: str | int) -> MethodInfo:
    """The method of that id or name, also as its paper writes it: "Task-KV". ValueError, naming those there are, if there is none."""
    if not isinstance(method, (str, int)) or isinstance(method, bool):
        raise TypeError(f"method is {method!r}: expected a name or an id")
    known = methods()
    wanted = plain(method) if isinstance(method, str) else method
    for info in known:
        if wanted in (info.name, info.id):
            return info
    raise ValueError(f"method is {method!r}: expected one of {', '.join(info.name for info in known)}")


def plain(name: str) -> str:
    """A method's name as the library has it: "Task-KV" -> "taskkv"."""
    return name.lower().replace("-", "")


def parameter_value(info: ParameterInfo, value: Any) -> float:
    """What C is to get for `value`: a number, or one of CHOICES. Bounds are the library's business."""
    if not isinstance(value, str):
        return real(info.name, value)
    words = CHOICES.get(info.name)
    if words is None:
        raise TypeError(f"{info.name} is {value!r}: expected a number")
    if value not in words:
        raise ValueError(f"{info.name} is {value!r}: expected {' or '.join(map(repr, words))}, or a number")
    return words[value]


def natural(value: float, integral: int) -> float:
    """An int where the parameter takes whole numbers only."""
    return int(value) if integral and value.is_integer() else value


def _parameter_at(method: int, index: int) -> ParameterInfo:
    info = sized(kvsieve_parameter_info)
    check(library().kvsieve_parameter_at(method, index, ctypes.byref(info)))
    return ParameterInfo(
        id=info.id,
        name=info.name.decode(),
        summary=info.summary.decode(),
        initial=natural(info.initial, info.integral),
        lowest=natural(info.lowest, info.integral),
        highest=natural(info.highest, info.integral),
        integral=info.integral,
    )
