"""Which prompts meet which settings and shares: experiments by name, each a few parts, as data.

Here: the experiments, and the work that parts come to (each prompt once, whatever asks for it). Not here: settings (settings.py),
running (run.py). A part is a product: tasks x lengths x queries x prompts x settings x shares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import settings
from records import Pair, Unit
from tasks import NO_QUERY, QUERIES, SEEN, TASKS

SHARES = (0.4, 0.2, 0.12, 0.069, 0.035)


@dataclass(frozen=True)
class Part:
    tasks: tuple[str, ...]
    settings: tuple[str, ...]
    """Sets or single settings."""
    shares: tuple[float, ...]
    prompts: int
    lengths: tuple[int, ...] = (1000,)
    queries: tuple[str, ...] = QUERIES
    first: int = 0
    """Number of the first prompt."""
    model: str = "smollm2"

    def units(self) -> Iterator[Unit]:
        """A task without a question has its one place whatever `queries` says."""
        for task in self.tasks:
            places = TASKS[task].queries
            for query in places if places == (NO_QUERY,) else [place for place in places if place in self.queries]:
                for length in self.lengths:
                    for seed in range(self.first, self.first + self.prompts):
                        yield Unit(self.model, task, length, query, seed)


def wanted(parts: Iterable[Part]) -> dict[Unit, list[Pair]]:
    """For each unit the settings and shares that some part asks for, each once; prompt 0 of everything first."""
    found: dict[Unit, dict[tuple[str, float], Pair]] = {}
    for part in parts:
        pairs = {(one.name, share): (one, share) for one in settings.named(part.settings) for share in part.shares}
        for unit in part.units():
            there = found.setdefault(unit, {})
            for key, pair in pairs.items():
                if there.setdefault(key, pair)[0] != pair[0]:
                    raise ValueError(f"two settings have the name {key[0]!r}")
    return {unit: list(found[unit].values()) for unit in sorted(found, key=lambda unit: (unit.seed, unit.length))}


RUNNING_TEXT = ("continuation", "summary")
STRINGS = ("needle", "four_keys")
ABLATED = ("needle", "four_keys", "few_shot", "continuation", "summary")

EXPERIMENTS: dict[str, list[Part]] = {
    # `make lab`: under a quarter of an hour on two cores, download and all. 20 prompts have each depth of the needle twice.
    "standard": [
        Part(("needle", "few_shot"), ("registry",), (0.2, 0.069), 20),
        Part(("four_keys", *RUNNING_TEXT), ("registry",), (0.2, 0.069), 20, queries=(SEEN,)),
    ],
    # A12: which kernel AhaKV pools attention with.
    "decision": [Part((*STRINGS, *RUNNING_TEXT), ("decision",), (0.2, 0.12), 30, queries=(SEEN,))],
    # One set of positions for all heads of all layers, as llama.cpp holds it.
    "one-set": [Part(("needle",), ("one-set",), (0.25,), 50, queries=(SEEN,))],
    "registry": [
        Part(tuple(TASKS), ("registry",), SHARES, 100),
        Part(STRINGS, ("registry",), SHARES, 100, lengths=(2000,), queries=(SEEN,)),
        Part(("needle",), ("registry",), (0.12,), 30, lengths=(4000,), queries=(SEEN,)),
    ],
    "ablations": [
        Part(
            ABLATED,
            ("ablate-ahakv", "ablate-windowkv", "ablate-dynamickv", "kernels", "windows"),
            (0.2, 0.12),
            40,
            queries=(SEEN,),
        ),
        Part(ABLATED, ("ablate-taskkv",), (0.6, 0.4), 40, queries=(SEEN,)),
    ],
}

COMPARED: dict[str, str | Callable[[str], str]] = {"decision": "snapkv W32 k7", "one-set": settings.its_vote}
"""The setting that differences are to, or which one for each, where it is not SnapKV of the registry's set."""
