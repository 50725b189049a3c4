"""Settings that differ from a method's own in one thing each, so that a table can say what that thing is worth.

Here: AhaKV without its parts, Task-KV without its own, WindowKV's classes, sizes and groups, DynamicKV's m, cap and normal,
kernels, windows. Not here: the settings they are compared with, or sets (settings.py).
Names begin with the method; `=` is the library's default where it belongs to a series.
"""

from __future__ import annotations

from typing import Any

from setting import TASKKV, WINDOW, WINDOWKV, Setting

LAYERS = 30  # of SmolLM2: what WindowKV's greatest group, and DynamicKV's rarest division are


def of(name: str, method: str, **parameters: Any) -> Setting:
    return Setting(name, method, {"window": WINDOW, **parameters})


def ours(name: str, method: str, **parameters: Any) -> Setting:
    return Setting(name, method, {"window": WINDOW, **parameters}, ours=True)


def ahakv() -> list[Setting]:
    """Its three parts, each away and all away, with attention of single tokens and of neighbours.

    Without recent accumulation the rows of all queries are added, so that early tokens have more terms than late ones.
    """
    parts: dict[str, dict[str, Any]] = {
        "recent accumulation": {"accumulate": "all"},
        "step gain": {"gain": False},
        "value prior": {"prior": False},
    }
    parts["gain and prior"] = parts["step gain"] | parts["value prior"]
    parts["all three"] = parts["recent accumulation"] | parts["gain and prior"]
    found = []
    for kernel in (1, 15):
        found.append(of(f"ahakv k{kernel}", "ahakv", score_kernel=kernel))
        for part, switches in parts.items():
            found.append(ours(f"ahakv k{kernel} without {part}", "ahakv", score_kernel=kernel, **switches))
    return found


def taskkv() -> list[Setting]:
    """With 3 key/value heads the default beta rounds to no whole head but in the last layer; 0.34 makes it one in each.

    One whole head of three costs a third of the cache: below that the library lowers its number to none, so these are
    for shares of 0.4 and more.
    """
    base = {**TASKKV, "recent": WINDOW}
    one = {**base, "beta": 0.34}
    return [
        of("taskkv", "taskkv", **base),
        of("taskkv one head", "taskkv", **one),
        ours("taskkv one head, at random", "taskkv", **one, heads="random"),
        ours("taskkv one head, no middle", "taskkv", **one, middle=False),
        ours("taskkv no middle", "taskkv", **base, middle=False),
        of("snapkv", "snapkv"),
    ]


def windowkv() -> list[Setting]:
    """The mean of a window's tokens against that of their better half, sizes, and layers that share a choice.

    With size 1 both classes are the same. A group of g layers has the pyramid 14 / 8 g, the published steepness.
    """
    found = []
    for size in (1, 4, 8, 16, 32):
        found.append(of(f"windowkv mean size {size}", "windowkv", **WINDOWKV, size=size))
        if size > 1:
            found.append(of(f"windowkv top half size {size}", "windowkv", **WINDOWKV, size=size, task="aggregation"))
    for shared in (1, 2, 8, LAYERS):
        group = {**WINDOWKV, "shared": shared, "pyramid": shared * 14 / 8}
        found.append(of(f"windowkv groups of {shared}", "windowkv", **group))
    return found


def dynamickv() -> list[Setting]:
    """How often the budget is divided, how much a layer holds at first, and the paper's division against the code's."""
    found = [of(f"dynamickv every {every}", "dynamickv", pool="max", every=every) for every in (1, 2, 4, 8, LAYERS)]
    found += [of(f"dynamickv cap {cap}", "dynamickv", pool="max", cap=cap) for cap in (1, 2, 5, 10, 20)]
    found += [of(f"dynamickv normal {normal}", "dynamickv", pool="max", normal=normal) for normal in (0, 1)]
    return [*found, of("dynamickv mean", "dynamickv")]


def kernels() -> list[Setting]:
    """Tokens that are pooled together."""
    found = []
    for kernel in (1, 3, 7, 15, 31):
        found.append(of(f"ahakv kernel {kernel}", "ahakv", score_kernel=kernel))
        found.append(of(f"snapkv kernel {kernel}", "snapkv", pool_kernel=kernel))
        found.append(of(f"dynamickv kernel {kernel}", "dynamickv", pool="max", pool_kernel=kernel))
    return found


def windows() -> list[Setting]:
    """Queries that are looked at, and last tokens that stay."""
    found = []
    for window in (4, 8, 16, 32, 64):
        found.append(Setting(f"ahakv window {window}", "ahakv", {"window": window}))
        found.append(Setting(f"snapkv window {window}", "snapkv", {"window": window, "pool_kernel": 15}))
        found.append(Setting(f"windowkv window {window}", "windowkv", {**WINDOWKV, "window": window}))
        parameters = {"window": window, "pool": "max", "pool_kernel": 15}
        found.append(Setting(f"dynamickv window {window}", "dynamickv", parameters))
    return found


SETS = {
    "ablate-ahakv": ahakv,
    "ablate-taskkv": taskkv,
    "ablate-windowkv": windowkv,
    "ablate-dynamickv": dynamickv,
    "kernels": kernels,
    "windows": windows,
}
