"""The demo on a few prompts, as a test: with the answers right, and wrong where nothing looked at attention.

Bounds are far from what was measured (32 prompts of each task, README): they catch a wrong eviction, not a bad day.
Streams, whose cache is held at its budget, must be right whenever the full cache is; for these prompts they are.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import numpy as np
import stream
from demo import Row, examine_all, stream_all, summarize
from prompts import TOKENS
from sieve import METHODS, POOLED, SINKS

PROMPTS, STREAMS, SEED = 6, 3, 0
SHARE = 0.12


def check_streams() -> dict[str, bool]:
    """Checks of a cache that is held at its budget while a prompt is added token by token."""
    streams = {(one.cache, one.index): one for one in stream_all(STREAMS, SEED)}
    unasked = list(stream_all(1, SEED, ()))
    full, sliding, evicting = ([streams[cache, index] for index in range(STREAMS)] for cache in stream.CACHES)
    counts = [sum(sum(one.right.values()) for one in several) for several in (full, sliding, evicting)]
    print(f"streams, seed {SEED}, prompts 0 to {STREAMS - 1}: {counts} right of {sum(len(one.right) for one in full)}")

    seen, budget = TOKENS - 1, stream.BUDGET
    recent = np.r_[:SINKS, seen - budget + SINKS : seen]
    share = (budget + 1) / TOKENS  # of the full cache's arrays, which have a spare row as well
    pairs = list(zip(full, evicting))
    return {
        "a stream's full cache holds all": all((one.positions == np.arange(seen)).all() for one in full),
        "sinks and recent tokens are what their cache holds": all(
            (np.sort(one.positions) == recent).all() for one in sliding
        ),
        "the full cache answers from first to last": all(all(one.right.values()) for one in full),
        "the evicting cache answers wherever the full one does": all(
            one.right[at] for whole, one in pairs for at, right in whole.right.items() if right
        ),
        "the evicting cache answers more often than sinks and recent tokens": counts[2] > counts[1],
        "the evicting cache never holds more rows than its budget": all(one.most == budget for one in evicting),
        "its memory is that of the budget and one row": all(
            one.kilobytes == share * whole.kilobytes for whole, one in pairs
        ),
        "the plan's slots are the cache's": all(one.agrees for one in evicting),
        "asking leaves no trace": all(
            not one.right and np.array_equal(one.positions, streams[one.cache, 0].positions) for one in unasked
        ),
    }


def main() -> int:
    outcomes = defaultdict(list)
    for examined in examine_all(PROMPTS, SEED, (SHARE, 0.003)):
        for row, outcome in examined.items():
            outcomes[row].append(outcome)
    rows = {row: summarize(row[0], answered, PROMPTS) for row, answered in outcomes.items()}

    def at(method: str, share: float = SHARE) -> Row:
        return rows[method, share]

    checks = {
        "the whole cache answers": rows["full cache", 1.0].recall == PROMPTS,
        "sinks and recent tokens alone do not recall": at("sinks 4 + recent").recall <= PROMPTS // 2,
        "taskkv recalls": at("taskkv").recall == PROMPTS,
        "dynamickv recalls": at("dynamickv").recall == PROMPTS,
        "windowkv recalls": at("windowkv").recall >= PROMPTS - 2,
        "ahakv finds the first value": at("ahakv").recall_first == PROMPTS,
        "ahakv recalls if it pools attention (A12)": at(POOLED).recall == PROMPTS,
        "snapkv recalls": at("snapkv").recall == PROMPTS,
    }
    for method in METHODS:
        one = at(method)
        checks[f"{method} aggregates"] = one.aggregation >= PROMPTS - 1
        checks[f"{method} keeps no more than its budget"] = one.kept <= SHARE * one.tokens
        checks[f"{method} moves what it keeps"] = one.kilobytes_after < one.kilobytes_before * SHARE * 1.001
        checks[f"{method} refuses a budget below its window, and runs at the one it names"] = bool(
            at(method, 0.003).refusal
        )
    checks |= check_streams()
    for name, holds in checks.items():
        if not holds:
            print(f"FAILED {name}")
    failed = sum(not holds for holds in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
