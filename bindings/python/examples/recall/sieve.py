"""From a prefilled prompt to the caches that answer it: the whole cache, sinks + recent, or a method's choice.

Here: each method's parameters for a share of the cache, and the walk through a plan: observe, finish, gather.
Not here: the model's arithmetic (model.py), judging and the table (demo.py).
AhaKV evicts while it decodes (stream.py). An answer here has two tokens at most, whose rows are only appended.
Letters: L layers, Hq query heads, H key/value heads, D head size, T prompt tokens, W last queries, C budget in tokens.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from model import PrefilledLayer, RaggedCache

import kvsieve

WINDOW = 8  # W, for every method
SINKS = 4

FULL, SINKS_AND_RECENT = "full cache", "sinks 4 + recent"
POOLED = "ahakv, pooled"
METHODS = ("ahakv", POOLED, "taskkv", "windowkv", "dynamickv", "snapkv")
"""Names of the library's methods, and AhaKV a second time: with attention that is pooled over neighbours."""


@dataclass(frozen=True)
class Compressed:
    """The caches made of a prompt's, and the time for them."""

    caches: list[RaggedCache]  # one a layer
    share: float  # of the cache that was asked for in the end
    milliseconds: float | None  # of processor time inside the library; None where it was not called
    refusal: str | None  # the library's sentence, when the share first asked for was too small


def parameters(method: str, share: float, task: str) -> dict[str, Any]:
    """A method's parameters for `share` of a prompt; what is not named keeps its default."""
    own: dict[str, dict[str, Any]] = {
        POOLED: {"score_kernel": 7},
        "taskkv": {"sinks": SINKS, "recent": 32},
        # One layer a group and a mild pyramid, since there are four layers; the window counts against the budget.
        "windowkv": {
            "size": 8,
            "shared": 1,
            "pyramid": 2,
            "charge": 1,
            "task": "aggregation" if task == "aggregation" else "localization",
        },
        # Not the default, mean: at 3.5 % of the cache max reads 62 of 64 aggregations, mean 57 (--seed 1 --prompts 64).
        "dynamickv": {"pool": "max"},
    }
    return {"ratio": share, "window": WINDOW, **own.get(method, {})}


def keep_all(prefilled: Sequence[PrefilledLayer]) -> Compressed:
    """Every token of every head."""
    return _keep_positions(prefilled, np.arange(prefilled[0].keys.shape[1]), 1.0)


def keep_sinks_and_recent(prefilled: Sequence[PrefilledLayer], share: float) -> Compressed:
    """The first SINKS tokens and the most recent ones, C in all: no attention is looked at."""
    tokens = prefilled[0].keys.shape[1]
    recent = int(share * tokens) - SINKS
    return _keep_positions(prefilled, np.r_[:SINKS, tokens - recent : tokens], share)


def keep_by_method(
    method: str, model: kvsieve.Model, prefilled: Sequence[PrefilledLayer], share: float, task: str
) -> Compressed:
    """A method's choice at `share`; where the library refuses that share, at the smallest that its sentence names."""
    chosen = parameters(method, share, task)
    try:
        caches, milliseconds = _sieve(method, model, prefilled, chosen)
        return Compressed(caches, share, milliseconds, None)
    except kvsieve.KVSieveError as error:
        if error.name != "KVSIEVE_ERR_BUDGET":
            raise
        refusal = error.message
    chosen["ratio"] = share = float(re.findall(r"\d+(?:\.\d+)?(?:[eE]-?\d+)?", refusal)[-1])
    caches, milliseconds = _sieve(method, model, prefilled, chosen)
    return Compressed(caches, share, milliseconds, refusal)


def _sieve(
    method: str, model: kvsieve.Model, prefilled: Sequence[PrefilledLayer], chosen: dict[str, Any]
) -> tuple[list[RaggedCache], float]:
    """Observes every layer, finishes, gathers keys and values; and the processor milliseconds of those calls."""
    rows = []
    with kvsieve.Plan("ahakv" if method == POOLED else method, model, **chosen) as plan:
        start = time.process_time()
        for number, layer in enumerate(prefilled):
            plan.observe(number, layer.queries, layer.keys, layer.values)
        plan.finish()
        for number, layer in enumerate(prefilled):
            rows.append((plan.gather(number, layer.keys), plan.gather(number, layer.values)))
        milliseconds = 1e3 * (time.process_time() - start)
        caches = [
            RaggedCache(keys, values, np.array(plan.kept(number).offsets)) for number, (keys, values) in enumerate(rows)
        ]
    return caches, milliseconds


def _keep_positions(prefilled: Sequence[PrefilledLayer], positions: np.ndarray, share: float) -> Compressed:
    """The same positions (n,) in every head of every layer."""
    caches = []
    for layer in prefilled:
        heads, _, dim = layer.keys.shape
        caches.append(
            RaggedCache(
                layer.keys[:, positions].reshape(-1, dim),
                layer.values[:, positions].reshape(-1, dim),
                np.arange(heads + 1) * len(positions),
            )
        )
    return Compressed(caches, share, None, None)
