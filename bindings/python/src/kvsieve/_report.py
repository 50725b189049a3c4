"""What one layer has lost, or all layers together."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._abi import kvsieve_report, sized
from ._library import library
from ._model import Model
from ._numbers import whole
from .errors import check


@dataclass(frozen=True, eq=False)
class Report:
    """What one layer has lost, or all layers of a plan. A copy: later calls of the plan do not change it.

    kept        rows of all heads that are kept
    dropped     rows of all tokens seen that are not
    intact      first positions, 0 ... intact - 1, that every head still has: a prefix cache can go back to here
    mass        (H,) float32, or (L, H) of all layers: the share that a head's kept rows hold of the attention that the method
                looked at, before pooling, gain and prior. None unless report=1; where the layer reads no queries; and once it
                has taken steps. Of all layers it has NaN where a layer has none.
    mass_mean   the mean over the heads that have a mass; NaN if there is none
    mass_least  the least of them; NaN if there is none

    Letters: L layers, H key/value heads.
    """

    kept: int
    dropped: int
    intact: int
    mass: np.ndarray[Any, np.dtype[np.float32]] | None
    mass_mean: float
    mass_least: float


def report_of(handle: Any, model: Model, layer: int | None) -> Report:
    """Of a layer, or of all if it is None."""
    if layer is None:
        return _of_all([report_of(handle, model, each) for each in range(model.layers)], model.kv_heads)
    report: kvsieve_report = sized(kvsieve_report)
    check(library().kvsieve_plan_report(handle, whole("layer", layer), ctypes.byref(report)))
    mass = np.ctypeslib.as_array(report.mass, (report.heads,)).copy() if report.mass else None
    return Report(report.kept, report.dropped, report.intact, mass, report.mass_mean, report.mass_least)


def _of_all(reports: Sequence[Report], heads: int) -> Report:
    """The layers' reports as one."""
    kept, dropped = sum(each.kept for each in reports), sum(each.dropped for each in reports)
    intact = min(each.intact for each in reports)
    known = [each.mass for each in reports if each.mass is not None]
    if not known:
        return Report(kept, dropped, intact, None, np.nan, np.nan)
    mass = np.full((len(reports), heads), np.nan, np.float32)
    for layer, each in enumerate(reports):
        if each.mass is not None:
            mass[layer] = each.mass
    return Report(kept, dropped, intact, mass, float(np.mean(known, dtype=np.float64)), float(np.min(known)))
