"""What is compared, as data: sets of settings by name.

Here: the registry's set, the decision's, one set for all heads. Not here: ablations (ablation_settings.py), what a setting is
(setting.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import ablation_settings
from setting import TASKKV, WINDOW, WINDOWKV, Setting

import kvsieve

REGISTRY: dict[str, dict[str, Any]] = {
    "taskkv": {**TASKKV, "recent": WINDOW},
    "windowkv": WINDOWKV,
    "dynamickv": {"pool": "max"},  # the authors' choice for Mistral and Qwen2
}


def registry() -> list[Setting]:
    """Every method that the library has, one window for all; then longer kernels, and WindowKV's other class."""
    settings = []
    for method in kvsieve.methods():
        chosen = dict(REGISTRY.get(method.name, {}))
        own = {parameter.name for parameter in method.parameters}
        if "window" in own:
            chosen["window"] = WINDOW
        if "recent" in own:
            chosen.setdefault("recent", WINDOW)
        settings.append(Setting(method.name, method.name, chosen))
    more = [
        Setting("ahakv k7", "ahakv", {"window": WINDOW, "score_kernel": 7}),
        Setting("ahakv k15", "ahakv", {"window": WINDOW, "score_kernel": 15}),
        Setting("snapkv k15", "snapkv", {"window": WINDOW, "pool_kernel": 15}),
        Setting("taskkv k15", "taskkv", {**TASKKV, "recent": WINDOW, "window": WINDOW, "pool_kernel": 15}),
        Setting("dynamickv k15", "dynamickv", {"window": WINDOW, "pool": "max", "pool_kernel": 15}),
        Setting("windowkv aggregation", "windowkv", {**WINDOWKV, "window": WINDOW, "task": "aggregation"}),
    ]
    return settings + more


def decision() -> list[Setting]:
    """A12, which kernel AhaKV pools attention with: all at the library's defaults but for what cannot run; W 32 if the
    method's is 32. The same AhaKV with W 16 stands beside it, as the registry's set has it.
    """
    kernels = (1, 7, 15)
    return [
        *(Setting(f"ahakv W32 k{kernel}", "ahakv", {"score_kernel": kernel}) for kernel in kernels),
        *(Setting(f"ahakv W16 k{kernel}", "ahakv", {"window": 16, "score_kernel": kernel}) for kernel in kernels),
        *(Setting(f"snapkv W32 k{kernel}", "snapkv", {"pool_kernel": kernel}) for kernel in (7, 15)),
        *(Setting(f"dynamickv W8 max k{n}", "dynamickv", {"pool": "max", "pool_kernel": n}) for n in (7, 15)),
        *(Setting(f"taskkv W32 k{kernel}", "taskkv", {**TASKKV, "pool_kernel": kernel}) for kernel in (7, 15)),
        Setting("windowkv W16", "windowkv", WINDOWKV),
    ]


def one_set() -> list[Setting]:
    """What an engine that holds one set of positions for all heads and layers (llama.cpp) can do: `share` 2, a vote over the sets
    that heads choose apart, or what is recent. The sets apart, which it cannot hold, are beside them.
    """
    found = []
    for apart in (
        Setting("dynamickv W8 k7", "dynamickv"),  # the library's defaults
        Setting("dynamickv", "dynamickv", {**REGISTRY["dynamickv"], "window": WINDOW}),
        Setting("dynamickv k15", "dynamickv", {"window": WINDOW, "pool": "max", "pool_kernel": 15}),
        Setting("snapkv W32 k7", "snapkv", {"pool_kernel": 7}),
        Setting("snapkv k15", "snapkv", {"window": WINDOW, "pool_kernel": 15}),
    ):
        shared = replace(apart, name=f"{apart.name} share 2", parameters={**apart.parameters, "share": 2})
        found += [apart, shared, replace(apart, name=its_vote(apart.name), vote=True)]
    return [*found, Setting("streamingllm", "streamingllm")]


def its_vote(name: str) -> str:
    """The setting of `one_set` that takes the vote over the sets of the one called `name`."""
    return f"{name.removesuffix(' share 2').removesuffix(' vote')} vote"


SETS = {"registry": registry, "decision": decision, "one-set": one_set, **ablation_settings.SETS}


def named(names: Iterable[str]) -> list[Setting]:
    """The settings of sets, or single settings by name, each once. ValueError, with what there is, for another name."""
    known = {name: make() for name, make in SETS.items()}
    single = {setting.name: [setting] for settings in known.values() for setting in settings}
    found: dict[str, Setting] = {}
    for name in names:
        if name not in known and name not in single:
            raise ValueError(f"{name!r} is no setting: expected one of {', '.join([*known, *single])}")
        for setting in known.get(name) or single[name]:
            if found.setdefault(setting.name, setting) != setting:
                raise ValueError(f"two settings have the name {setting.name!r}")
    return list(found.values())
