"""Many seeded trials on all processors: what they counted, which failed, and the last line that run.py reads."""

from __future__ import annotations

import functools
import os
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

Case = tuple[str, str, int]
"""Method, dtype, seed."""
Outcome = tuple[Counter[str], str | None]
"""What was counted, and what was wrong."""
Task = Callable[[Case], Outcome]


def guarded(task: Task, case: Case) -> tuple[Case, Outcome]:
    try:
        return case, task(case)
    except Exception:
        return case, (Counter(), traceback.format_exc())


def by_hand(cases: tuple[Callable[[], None], ...]) -> tuple[int, int]:
    """How many there are, and how many fail."""
    failed = 0
    for check in cases:
        try:
            check()
        except Exception:
            failed += 1
            print(f"FAILED {check.__module__}.{check.__name__}: {traceback.format_exc()}", flush=True)
    return len(cases), failed


def run(task: Task, cases: list[Case], by_dtype: bool = False, before: tuple[int, int] = (0, 0)) -> int:
    """The exit status. Counts are printed by method, or by method and dtype; `before`: other tests, and how many failed."""
    passed, failed = before[0] - before[1], before[1]

    def name(case: Case) -> str:
        return f"{case[0]:12} {case[1] if by_dtype else ''}"

    last = {name(case): case for case in cases}
    groups: dict[str, Counter[str]] = {}
    for case, (count, wrong) in results(task, cases):
        if wrong:
            failed += 1
            print(f"FAILED {' '.join(map(str, case))}: {wrong}", flush=True)
        else:
            passed += 1
        group = groups.setdefault(name(case), Counter())
        group["tests"] += 1
        group.update(count)
        if case == last[name(case)]:
            print(name(case), ", ".join(f"{number} {what}" for what, number in group.items()), flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def results(task: Task, cases: list[Case]) -> Iterator[tuple[Case, Outcome]]:
    """In order. If the library ends a process, the first case without an outcome has failed, and the other cases run."""
    done = 0
    while done < len(cases):
        with ProcessPoolExecutor(os.cpu_count()) as pool:
            try:
                for result in pool.map(functools.partial(guarded, task), cases[done:]):
                    done += 1
                    yield result
            except BrokenProcessPool:
                yield cases[done], (Counter(), "the process was ended, by this case or by one beside it")
                done += 1
