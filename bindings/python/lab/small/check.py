"""Tests of the small models' questions, batches and counting: `N passed, N failed`, and a line FAILED for each that fails.

Not here: the checks themselves (selfcheck.py); floors for the methods, which need the table of trained models.
"""

from __future__ import annotations

import inspect
import sys

import selfcheck


def main() -> int:
    functions = [
        function
        for _, function in inspect.getmembers(selfcheck, inspect.isfunction)
        if function.__module__ == selfcheck.__name__ and function.__annotations__.get("return") == "Checks"
    ]
    passed = failed = 0
    for function in functions:
        for what, holds in function():
            passed, failed = passed + bool(holds), failed + (not holds)
            if not holds:
                print(f"FAILED {what}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
