"""From a prefilled prompt, a setting and a share to the rows that each layer and head keeps.

Here: the walk through a plan, and what happens if the library refuses a share. Not here: settings (settings.py), choosers that
are not the library's (ablations.py), one set of many (vote.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from ablations import ABLATIONS, share_of
from llama import Kept, Llama, Prefix
from setting import Setting
from vote import voted

import kvsieve

T = TypeVar("T")


@dataclass(frozen=True)
class Choice:
    kept: Kept
    asked: float
    """The share that it is the choice for: the one asked for, or the smallest that the library does not refuse."""
    share: float
    """Kept rows of all rows, over all layers and heads."""


def choose(setting: Setting, llama: Llama, prefix: Prefix, share: float) -> Choice:
    """What `setting` keeps of `prefix` at `share`."""
    return or_smallest(lambda share: _chosen(setting, llama, prefix, share), share)


def or_smallest(make: Callable[[float], T], share: float) -> T:
    """make(share); if the library refuses this share, with the smallest that it names."""
    try:
        return make(share)
    except kvsieve.KVSieveError as error:
        if error.name != "KVSIEVE_ERR_BUDGET":
            raise
        smallest = float(re.findall(r"\d+(?:\.\d+)?(?:[eE]-?\d+)?", error.message)[-1])
    return make(smallest)


def _chosen(setting: Setting, llama: Llama, prefix: Prefix, share: float) -> Choice:
    if setting.ours:
        kept = ABLATIONS[setting.method](llama, prefix, share, setting.parameters)
    else:
        kept = _by_library(setting.method, llama, prefix, {**setting.parameters, "ratio": share})
    if setting.vote:
        kept = voted(kept, prefix.tokens, share_of(share, prefix.tokens))
    rows = sum(len(head) for layer in kept for head in layer)
    return Choice(kept, share, rows / (llama.layers * llama.kv_heads * prefix.tokens))


def shape(llama: Llama) -> kvsieve.Model:
    return kvsieve.Model(llama.layers, llama.query_heads, llama.kv_heads, llama.head_dim)


def observe(plan: kvsieve.Plan, prefix: Prefix) -> None:
    """Shows a plan all layers of a prompt, and finishes it."""
    for layer, tensors in enumerate(zip(prefix.queries, prefix.keys, prefix.values)):
        plan.observe(layer, *tensors)
    plan.finish()


def _by_library(method: str, llama: Llama, prefix: Prefix, parameters: dict[str, Any]) -> Kept:
    with kvsieve.Plan(method, shape(llama), **parameters) as plan:
        observe(plan, prefix)
        kept = [plan.kept(layer) for layer in range(llama.layers)]
    return [[layer.head(head) for head in range(llama.kv_heads)] for layer in kept]
