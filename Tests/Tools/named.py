"""Runs the functions `tests_...` of modules, which assert, and says which failed. The last line is `N passed, N failed`."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any


def run(*modules: Mapping[str, Any]) -> int:
    """`modules`: the names that each has, vars(module). Returns the exit status."""
    passed = failed = 0
    for names in modules:
        for name, test in sorted(names.items()):
            if not name.startswith("tests_"):
                continue
            try:
                test()
                passed += 1
            except Exception:
                failed += 1
                print(f"{traceback.format_exc()}FAILED {name.removeprefix('tests_').replace('_', ' ')}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
