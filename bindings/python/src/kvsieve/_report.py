"""What one layer has lost, or all layers together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._abi import kvsieve_report


@dataclass(frozen=True, eq=False)
class Report:
    """What one layer has lost, or all layers of a plan. A copy: later calls of the plan do not change it.

    Letters: H key/value heads.
    """

    kept: int
    """Rows of all heads that are kept."""
    dropped: int
    """Rows of all tokens seen that are not."""
    intact: int
    """First positions, 0 ... intact - 1, that every head still has: a prefix cache can go back to here."""
    mass: np.ndarray[Any, np.dtype[np.float32]] | None
    """(H,), or (L, H) of all layers: the share that a head's kept rows hold of the attention that the method looked at, before
    pooling, gain and prior. None unless report=1; where the layer reads no queries; and once it has taken steps. Of all
    layers it has NaN where a layer has none."""
    mass_mean: float
    """The mean over the heads that have a mass; NaN if there is none."""
    mass_least: float
    """The least of them; NaN if there is none."""


def copied_report(report: kvsieve_report) -> Report:
    """A copy of what the plan still owns."""
    mass = np.ctypeslib.as_array(report.mass, (report.heads,)).copy() if report.mass else None
    counts = report.kept, report.dropped, report.intact
    return Report(*counts, mass, report.mass_mean, report.mass_least)


def of_all(reports: Sequence[Report], heads: int) -> Report:
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
