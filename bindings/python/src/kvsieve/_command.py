"""Parameters of methods as a command line gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._methods import find_method


def number_or_word(text: str) -> Any:
    """A value as Plan takes it: an int, a float, or a word."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def parameters(names: Sequence[str], settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """By method what --set gives it. ValueError for a setting that no method takes."""
    known = {name: find_method(name) for name in names}
    given: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals or not key or not value:
            raise ValueError(f"--set is {setting!r}: expected NAME=VALUE, for example budget=256")
        method, dot, parameter = key.rpartition(".")
        if dot and method not in known:
            raise ValueError(f"--set {setting}: {method!r} is not among the methods drawn, {', '.join(names)}")
        for name in [method] if dot else names:
            if any(info.name == parameter for info in known[name].parameters):
                given[name][parameter] = number_or_word(value)
            elif dot or len(names) == 1:
                known[name].parameter(parameter)  # raises, and says which there are
        if not any(parameter in taken for taken in given.values()):
            raise ValueError(f"--set {setting}: none of {', '.join(names)} has a parameter {parameter!r}")
    return given
