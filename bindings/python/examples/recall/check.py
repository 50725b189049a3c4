"""The demo on a few prompts, as a test: with the answers right, and wrong where nothing looked at attention.

Bounds are far from what was measured (32 prompts of each task, README): they catch a wrong eviction, not a bad day.
"""

from __future__ import annotations

import sys
from collections import defaultdict

from demo import examine_all, summarize

PROMPTS = 6
SHARE = 0.12


def main() -> int:
    outcomes = defaultdict(list)
    for examined in examine_all(PROMPTS, 0, (SHARE, 0.003)):
        for row, outcome in examined.items():
            outcomes[row].append(outcome)
    rows = {row: summarize(row[0], answered, PROMPTS) for row, answered in outcomes.items()}

    def at(method: str, share: float = SHARE):
        return rows[method, share]

    checks = {
        "the whole cache answers": rows["full cache", 1.0].recall == PROMPTS,
        "sinks and recent tokens alone do not recall": at("sinks 4 + recent").recall <= PROMPTS // 2,
        "taskkv recalls": at("taskkv").recall == PROMPTS,
        "dynamickv recalls": at("dynamickv").recall == PROMPTS,
        "windowkv recalls": at("windowkv").recall >= PROMPTS - 2,
        "ahakv finds the first value": at("ahakv").recall_first == PROMPTS,
    }
    for method in ("ahakv", "taskkv", "windowkv", "dynamickv"):
        row = at(method)
        checks[f"{method} aggregates"] = row.aggregation >= PROMPTS - 1
        checks[f"{method} keeps no more than its budget"] = row.kept <= SHARE * row.tokens
        checks[f"{method} moves what it keeps"] = row.kilobytes_after < row.kilobytes_before * SHARE * 1.001
        checks[f"{method} refuses a budget below its window, and runs at the one it names"] = bool(
            at(method, 0.003).refusal
        )
    for name, holds in checks.items():
        if not holds:
            print(f"not so: {name}")
    failed = sum(not holds for holds in checks.values())
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
