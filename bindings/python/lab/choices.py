"""From a prefilled prompt, a setting and a share to the rows that each layer and head keeps.

Here: the walk through a plan, and what happens if the library refuses a share. Not here: settings (settings.py), choosers that
are not the library's (ablations.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ablations import ABLATIONS
from llama import Kept, Llama, Prefix
from setting import Setting

import kvsieve


@dataclass(frozen=True)
class Choice:
    kept: Kept
    asked: float
    """The share that it is the choice for: the one asked for, or the smallest that the library does not refuse."""
    share: float
    """Kept rows of all rows, over all layers and heads."""


def choose(setting: Setting, llama: Llama, prefix: Prefix, share: float) -> Choice:
    """What `setting` keeps of `prefix` at `share`."""
    try:
        return _chosen(setting, llama, prefix, share)
    except kvsieve.KVSieveError as error:
        if error.name != "KVSIEVE_ERR_BUDGET":
            raise
        smallest = float(re.findall(r"\d+(?:\.\d+)?(?:[eE]-?\d+)?", error.message)[-1])
    return _chosen(setting, llama, prefix, smallest)


def _chosen(setting: Setting, llama: Llama, prefix: Prefix, share: float) -> Choice:
    if setting.ours:
        kept = ABLATIONS[setting.method](llama, prefix, share, setting.parameters)
    else:
        kept = _by_library(setting.method, llama, prefix, {**setting.parameters, "ratio": share})
    rows = sum(len(head) for layer in kept for head in layer)
    return Choice(kept, share, rows / (llama.layers * llama.kv_heads * prefix.tokens))


def _by_library(method: str, llama: Llama, prefix: Prefix, parameters: dict[str, Any]) -> Kept:
    model = kvsieve.Model(llama.layers, llama.query_heads, llama.kv_heads, llama.head_dim)
    with kvsieve.Plan(method, model, **parameters) as plan:
        for layer in range(llama.layers):
            plan.observe(layer, prefix.queries[layer], prefix.keys[layer], prefix.values[layer])
        plan.finish()
        kept = [plan.kept(layer) for layer in range(llama.layers)]
    return [[layer.head(head) for head in range(llama.kv_heads)] for layer in kept]
