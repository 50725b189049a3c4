"""The lab's own tests, without a download: numpy, the package, and the small model of examples/recall. Under 20 seconds.

    python check.py     a line a failed test, then `N passed, N failed`

Here: which functions are tests, and running them. The tests: check_model.py (the forward pass, choosers, units), check_vote.py
(one set for all heads), check_tasks.py (prompts), check_caches.py and check_later.py (what happens after a prefill),
check_results.py (files, intervals, tables), check_pictures.py.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy

import inspect
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType

import check_caches
import check_later
import check_model
import check_pictures
import check_results
import check_tasks
import check_vote


def main() -> int:
    failed = passed = 0
    for module in (check_results, check_tasks, check_pictures, check_model, check_vote, check_caches, check_later):
        for name, test in tests(module):
            start = time.process_time()
            try:
                test()
                passed += 1
                if "-v" in sys.argv:
                    print(f"{time.process_time() - start:6.2f} s  {name}")
            except Exception:
                failed += 1
                print(f"{traceback.format_exc()}FAILED {name}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def tests(module: ModuleType) -> list[tuple[str, Callable[[], None]]]:
    """The functions of a module whose names begin with test_."""
    return [(name, value) for name, value in inspect.getmembers(module, inspect.isfunction) if name.startswith("test_")]


if __name__ == "__main__":
    sys.exit(main())
