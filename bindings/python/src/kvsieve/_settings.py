"""A plan's method and its parameters: plan["budget"] = 1024."""

from __future__ import annotations

import ctypes
from typing import Any

from ._handle import Handle
from ._library import library
from ._methods import MethodInfo, find_method, natural, parameter_value
from ._model import Model
from .errors import check


class Settings(Handle):
    """A plan of the library's that knows its method."""

    def __init__(self, method: str | int, model: Model) -> None:
        self.method: MethodInfo = find_method(method)
        super().__init__(self.method.id, model)

    def __setitem__(self, parameter: str | int, value: Any) -> None:
        """Sets a parameter, by name or id, before the first observe.

        `value` is a number, or a word if the parameter is a choice ("localization", "aggregation"; "mean", "max").
        ValueError if the method has no such parameter; KVSieveError if the value is out of bounds or it is too late.
        """
        info = self.method.parameter(parameter)
        number = parameter_value(info, value)
        with self._use() as handle:
            check(library().kvsieve_plan_set(handle, info.id, number))

    def __getitem__(self, parameter: str | int) -> float:
        """Reads a parameter, set or default; an int where the parameter takes whole numbers only."""
        info = self.method.parameter(parameter)
        value = ctypes.c_double()
        with self._use() as handle:
            check(library().kvsieve_plan_get(handle, info.id, ctypes.byref(value)))
        return natural(value.value, info.integral)
